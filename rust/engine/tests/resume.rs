//! An interrupted answer that continues where it ended.

mod common;

use chord_engine::{CancelFlag, Engine, Event, GenerateRequest, GenerateResult, Prompt, Sampling};
use chord_testkit::model_path;
use common::{cpu, generate, load};
use pollster::block_on;

fn tiny() -> Engine {
    load(&model_path("llama.Q4_0.gguf"), &cpu()).unwrap()
}

/// A whole run: its tokens, its text, and the text's length when each token was chosen.
struct Whole {
    tokens: Vec<u32>,
    text: String,
    shown_before: Vec<usize>,
    result: GenerateResult,
}

fn run(engine: &mut Engine, request: &GenerateRequest) -> Whole {
    let (mut tokens, mut text, mut shown_before) = (Vec::new(), String::new(), Vec::new());
    let mut on_event = |event: Event<'_>| match event {
        Event::Text(piece) => text.push_str(piece),
        Event::Token(id) => {
            tokens.push(id);
            shown_before.push(text.len());
        }
        _ => (),
    };
    let result = block_on(engine.generate(request, &CancelFlag::new(), &mut on_event, &mut async || {})).unwrap();
    Whole { tokens, text, shown_before, result }
}

fn request(sampling: Sampling, stop: &[String]) -> GenerateRequest {
    GenerateRequest {
        prompt: Prompt::Text("The quick brown fox".into()),
        sampling,
        max_tokens: Some(24),
        stop: stop.to_vec(),
        seed: Some(7),
        ..Default::default()
    }
}

/// Three characters from the middle of a text.
fn middle(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    chars[chars.len() / 2..][..3].iter().collect()
}

#[test]
fn an_answer_broken_off_after_any_token_goes_on_as_it_would_have() {
    let mut engine = tiny();
    let greedy = Sampling::GREEDY;
    let drawn = Sampling { temperature: 1.5, top_k: 40, repeat_penalty: 1.3, ..greedy };
    let free = run(&mut engine, &request(greedy, &[]));
    let stop = middle(&free.text);
    for (sampling, stop) in [(greedy, vec![]), (drawn, vec![]), (greedy, vec![stop])] {
        let asked = request(sampling, &stop);
        let whole = run(&mut engine, &asked);
        assert!(whole.tokens.len() > 4, "{} tokens are too few to break off", whole.tokens.len());
        for broken in 1..whole.tokens.len() {
            let rest = GenerateRequest { answered: whole.tokens[..broken].to_vec(), ..asked.clone() };
            let (shown, result) = generate(&mut engine, &rest).unwrap();
            let what = format!("{sampling:?}, stop {stop:?}, broken off after {broken}");
            assert_eq!(shown.tokens, whole.tokens[broken..], "{what}");
            assert_eq!(shown.text, whole.text[whole.shown_before[broken]..], "{what}");
            assert_eq!(result.finish_reason, whole.result.finish_reason, "{what}");
            assert_eq!(result.usage.prompt_tokens, whole.result.usage.prompt_tokens, "{what}");
            assert_eq!(result.usage.completion_tokens, whole.result.usage.completion_tokens, "{what}");
        }
    }
}

#[test]
fn an_answer_broken_off_after_its_last_token_only_ends() {
    let mut engine = tiny();
    let free = run(&mut engine, &request(Sampling::GREEDY, &[]));
    let stop = middle(&free.text);
    for stop in [vec![], vec![stop]] {
        let asked = request(Sampling::GREEDY, &stop);
        let whole = run(&mut engine, &asked);
        let rest = GenerateRequest { answered: whole.tokens.clone(), ..asked };
        let (shown, result) = generate(&mut engine, &rest).unwrap();
        assert!(shown.tokens.is_empty());
        assert!(whole.text.ends_with(&shown.text) && shown.text.len() < 8, "{:?} is shown again", shown.text);
        assert_eq!(result.finish_reason, whole.result.finish_reason);
        assert_eq!(result.usage.completion_tokens, whole.result.usage.completion_tokens);
    }
}

#[test]
fn an_answer_that_filled_the_context_only_ends() {
    let path = model_path("llama.Q4_0.gguf");
    let mut engine = load(&path, &chord_engine::LoadOptions { n_ctx: Some(40), ..cpu() }).unwrap();
    let asked = GenerateRequest { max_tokens: None, ..request(Sampling::GREEDY, &[]) };
    let whole = run(&mut engine, &asked);
    let rest = GenerateRequest { answered: whole.tokens.clone(), ..asked };
    let (shown, result) = generate(&mut engine, &rest).unwrap();
    assert_eq!((shown.tokens.len(), result.finish_reason), (0, whole.result.finish_reason));
}
