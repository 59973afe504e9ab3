//! Real models on the CPU, against the reference's greedy continuations.

mod common;

use chord_engine::{Engine, FinishReason, GenerateRequest, Prompt, Sampling};
use chord_testkit::compare::MARGIN;
use chord_testkit::{Chat, Golden};
use chord_text::Message;
use common::{cpu, generate, load};

const SMOLLM2: &str = "smollm2-135m-instruct.q4_1";
const GEMMA3: &str = "gemma-3-270m.q4_k_m";

fn open(golden: &str) -> (Golden, Engine) {
    let golden = Golden::named(golden);
    let options = chord_engine::LoadOptions { n_ctx: Some(golden.n_ctx), ..cpu() };
    let engine = load(&golden.model_path(), &options).unwrap();
    (golden, engine)
}

fn user(content: &str) -> Message {
    Message::new("user", content)
}

fn prompt_of(chat: &Chat) -> Prompt {
    match chat.rendered {
        Some(_) => Prompt::Messages(vec![user(&chat.prompt)]),
        None => Prompt::Text(chat.prompt.clone()),
    }
}

/// The prompt as text and tokens, then the continuation up to the first step that rounding may decide.
fn check_chat(engine: &mut Engine, chat: &Chat) {
    let prompt = prompt_of(chat);
    if let (Some(rendered), Prompt::Messages(messages)) = (&chat.rendered, &prompt) {
        assert_eq!(&engine.render(messages, None).unwrap(), rendered);
    }
    assert_eq!(engine.encode_prompt(&prompt, None).unwrap(), chat.tokens);
    let request = GenerateRequest {
        prompt,
        max_tokens: Some(chat.greedy.len() as u32),
        sampling: Sampling::GREEDY,
        ..Default::default()
    };
    let (shown, _) = generate(engine, &request).unwrap();
    let report = chat.compare_greedy(&shown.tokens, MARGIN);
    assert!(report.is_ok(), "{:?}: {report:?}", chat.prompt);
}

#[test]
fn smollm2_names_the_capital_of_france_and_a_second_turn_reuses_the_first() {
    let (golden, mut engine) = open(SMOLLM2);
    let chat = golden.chats.iter().find(|chat| chat.prompt.contains("capital of France")).unwrap();
    check_chat(&mut engine, chat);

    let mut messages = vec![user(&chat.prompt)];
    let ask = |messages: &[Message], n| GenerateRequest {
        prompt: Prompt::Messages(messages.to_vec()),
        max_tokens: Some(n),
        sampling: Sampling::GREEDY,
        ..Default::default()
    };
    let (shown, result) = generate(&mut engine, &ask(&messages, 32)).unwrap();
    assert_eq!(shown.text, "The capital of France is Paris.");
    assert_eq!(result.finish_reason, FinishReason::Stop);
    messages.extend([Message::new("assistant", shown.text), user("And of Italy?")]);
    let (_, result) = generate(&mut engine, &ask(&messages, 2)).unwrap();
    // All of the first turn and of the reply, its end token included.
    let held = chat.tokens.len() + chat.greedy.len() - 1;
    assert!(result.usage.cached_tokens as usize >= held, "{:?}, held {held}", result.usage);
    assert!(result.usage.prompt_tokens > result.usage.cached_tokens);
}

#[test]
fn smollm2_continues_raw_text() {
    let (_, mut engine) = open(SMOLLM2);
    let prompt = Prompt::Text("The capital of France is".into());
    let (shown, _) = generate(
        &mut engine,
        &GenerateRequest { prompt, max_tokens: Some(4), sampling: Sampling::GREEDY, ..Default::default() },
    )
    .unwrap();
    assert!(shown.text.contains("Paris"), "{:?}", shown.text);
}

/// Minutes: `CHORD_FULL=1 npm test`.
mod full {
    use super::*;

    #[test]
    #[ignore = "takes minutes: CHORD_FULL=1"]
    fn greedy_continuations_of_smollm2_are_the_references() {
        let (golden, mut engine) = open(SMOLLM2);
        golden.chats.iter().for_each(|chat| check_chat(&mut engine, chat));
    }

    #[test]
    #[ignore = "takes minutes: CHORD_FULL=1, and CHORD_GOLDEN"]
    fn greedy_continuations_of_gemma3_are_the_references() {
        let (golden, mut engine) = open(GEMMA3);
        golden.chats.iter().for_each(|chat| check_chat(&mut engine, chat));
    }
}
