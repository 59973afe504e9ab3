//! Tiny models on the CPU: the reference's numbers through every way of cutting a prompt, and text in and out.

mod common;

use chord_engine::{
    CancelFlag, Engine, FinishReason, GenerateRequest, LoadOptions, Prompt, RawRequest, ReadAt, Sampling, load_runner,
    read_header,
};
use chord_testkit::compare::NMSE_F32_KV;
use chord_testkit::{LogitsComparison, Recipe, model_path};
use chord_text::Message;
use common::{TestFile, clock, cpu, generate, load, written};
use pollster::block_on;

/// Chunked prefill at several chunk sizes, all positions.
#[test]
fn logits_are_the_references_however_the_prompt_is_cut() {
    for name in ["llama.Q4_K", "llama.Q4_0", "gemma3.Q4_K", "qwen2.Q4_K", "olmo2.Q4_K", "olmoe.Q4_K"] {
        let golden = Recipe::named(name).golden();
        let path = written(&format!("{name}.gguf"), &Recipe::named(name).bytes());
        for chunk in [1, 7, 48] {
            let mut file = TestFile::open(&path);
            let cancel = CancelFlag::new();
            let header = block_on(read_header(&mut file, &mut |_| (), &cancel)).unwrap();
            let options = LoadOptions { max_batch: Some(chunk), max_outputs: chunk, ..cpu() };
            let mut ignore = |_| ();
            let loading = load_runner(file, header, &options, clock, &mut ignore, &cancel);
            let (mut runner, _) = block_on(loading).unwrap();
            let mut comparison = LogitsComparison::new(&golden);
            let mut on_rows = |first: usize, rows: &[f32]| {
                comparison.rows(first, rows);
                Ok(())
            };
            block_on(runner.logits(&golden.tokens, &cancel, &mut on_rows, &mut async || {})).unwrap();
            comparison.report().assert_within(NMSE_F32_KV, &format!("{name} in chunks of {chunk}"));
        }
    }
}

fn tiny() -> Engine {
    load(&model_path("llama.Q4_0.gguf"), &cpu()).unwrap()
}

fn request(prompt: &str, max_tokens: u32) -> GenerateRequest {
    GenerateRequest {
        prompt: Prompt::Text(prompt.into()),
        max_tokens: Some(max_tokens),
        sampling: Sampling::GREEDY,
        ..Default::default()
    }
}

#[test]
fn the_text_is_that_of_the_tokens_and_figures_add_up() {
    let mut engine = tiny();
    let (shown, result) = generate(&mut engine, &request("Once upon a time", 32)).unwrap();
    let mut detokenizer = chord_text::Detokenizer::continuing();
    let mut expected = String::new();
    for &id in &shown.tokens {
        expected.push_str(detokenizer.push(engine.tokenizer(), id));
    }
    expected.push_str(detokenizer.finish());
    assert_eq!(shown.text, expected);
    assert_eq!(shown.tokens.len(), result.usage.completion_tokens as usize);
    let prompt = engine.encode_prompt(&Prompt::Text("Once upon a time".into()), None).unwrap();
    assert_eq!(result.usage.prompt_tokens as usize, prompt.len());
    assert_eq!(Some(prompt[0]), engine.tokenizer().bos());
    let timings = result.timings;
    assert!(timings.time_to_first_token_ms > 0.0 && timings.prefill_tokens_per_s > 0.0);
    assert!(timings.decode_tokens_per_s > 0.0 && timings.total_ms >= timings.prefill_ms + timings.decode_ms);
}

/// Against the engine's own logits, which are compared with the reference above.
#[test]
fn greedy_text_takes_the_best_logit_at_every_step() {
    let mut engine = tiny();
    let (shown, _) = generate(&mut engine, &request("Once upon a time", 24)).unwrap();
    let mut tokens = engine.encode_prompt(&Prompt::Text("Once upon a time".into()), None).unwrap();
    let n_prompt = tokens.len();
    tokens.extend(&shown.tokens);
    let n_vocab = engine.info().n_vocab as usize;
    let mut best = Vec::new();
    let mut on_rows = |_: usize, rows: &[f32]| {
        best.extend(
            rows.chunks(n_vocab)
                .map(|row| (0..n_vocab).reduce(|best, id| if row[id] > row[best] { id } else { best }).unwrap() as u32),
        );
        Ok(())
    };
    block_on(engine.logits(&tokens, &CancelFlag::new(), &mut on_rows, &mut async || {})).unwrap();
    assert_eq!(best[n_prompt - 1..tokens.len() - 1], shown.tokens);
}

/// Any piece of the text can be a stop string, wherever tokens end within it: the text shown ends before it.
#[test]
fn a_stop_string_ends_the_text_before_it_and_no_part_of_it_is_shown() {
    let mut engine = tiny();
    let (free, _) = generate(&mut engine, &request("The quick brown fox", 40)).unwrap();
    let starts: Vec<usize> = free.text.char_indices().map(|(at, _)| at).collect();
    let mut checked = 0;
    for length in [1, 2, 3, 5] {
        for from in starts.iter().step_by(3) {
            let Some(to) = free.text[*from..].char_indices().map(|(at, _)| from + at).nth(length) else { continue };
            let stop = free.text[*from..to].to_owned();
            let expected = &free.text[..free.text.find(&stop).unwrap()];
            let with_stop = GenerateRequest { stop: vec![stop.clone()], ..request("The quick brown fox", 40) };
            let (shown, result) = generate(&mut engine, &with_stop).unwrap();
            assert_eq!(shown.text, expected, "stop {stop:?}");
            assert_eq!(result.finish_reason, FinishReason::Stop);
            checked += 1;
        }
    }
    assert!(checked > 20, "{checked} stop strings are too few to mean anything: {:?}", free.text);
}

#[test]
fn a_turn_reuses_the_cache_and_says_what_it_would_have_said_without() {
    let mut engine = tiny();
    let (first, _) = generate(&mut engine, &request("One, two, three", 12)).unwrap();
    let mut turn = engine.encode_prompt(&Prompt::Text("One, two, three".into()), None).unwrap();
    turn.extend(&first.tokens);
    turn.extend([40, 41, 42]);
    let second = GenerateRequest {
        prompt: Prompt::Tokens(turn.clone()),
        max_tokens: Some(12),
        sampling: Sampling::GREEDY,
        ..Default::default()
    };
    let (reused, result) = generate(&mut engine, &second).unwrap();
    assert_eq!(result.usage.cached_tokens as usize, turn.len() - 4, "all but the last reply token and the new ones");
    let mut fresh = tiny();
    let (afresh, result) = generate(&mut fresh, &second).unwrap();
    assert_eq!(result.usage.cached_tokens, 0);
    assert_eq!(reused.tokens, afresh.tokens);
}

#[test]
fn a_seed_gives_the_same_text_again_and_is_returned_where_none_was_given() {
    let mut engine = tiny();
    let sampling = Sampling { temperature: 1.5, top_k: 40, top_p: 0.95, min_p: 0.01, ..Sampling::GREEDY };
    let drawn = GenerateRequest { sampling, ..request("Hello", 24) };
    let (first, result) = generate(&mut engine, &drawn).unwrap();
    let (other, _) = generate(&mut engine, &drawn).unwrap();
    assert_ne!(first.tokens, other.tokens, "two seeds of its own");
    let again = GenerateRequest { seed: Some(result.seed), ..drawn };
    assert_eq!(generate(&mut engine, &again).unwrap().0.tokens, first.tokens);
}

#[test]
fn messages_need_a_template_and_prompts_need_tokens() {
    let mut engine = tiny();
    let message = Message::new("user", "hi");
    let ask = |prompt| GenerateRequest { prompt, sampling: Sampling::GREEDY, ..Default::default() };
    let code = |engine: &mut Engine, prompt| generate(engine, &ask(prompt)).unwrap_err().code().to_owned();
    assert_eq!(code(&mut engine, Prompt::Messages(vec![message])), "no-chat-template");
    assert_eq!(code(&mut engine, Prompt::Messages(vec![])), "empty-prompt");
    assert_eq!(code(&mut engine, Prompt::Tokens(vec![])), "empty-prompt");
    assert_eq!(code(&mut engine, Prompt::Tokens(vec![1; 513])), "prompt-too-long");
    assert_eq!(code(&mut engine, Prompt::Tokens(vec![512])), "invalid-argument");
    assert!(generate(&mut engine, &request("still works", 2)).is_ok());
}

#[test]
fn requests_are_read_from_json_with_defaults_for_the_rest() {
    let text = r#"{ "prompt": { "messages": [{ "role": "user", "content": "hi" }] }, "stop": ["x"],
                    "sampling": { "temperature": 0.5 }, "max_tokens": 3, "seed": 9 }"#;
    let read = |text: &str| serde_json::from_str::<RawRequest>(text);
    let parsed = read(text).unwrap().check().unwrap();
    assert_eq!(parsed.sampling, Sampling { temperature: 0.5, ..Sampling::default() });
    assert_eq!((parsed.max_tokens, parsed.seed, parsed.stop.len()), (Some(3), Some(9), 1));
    assert_eq!(read("{}").unwrap().check().unwrap(), GenerateRequest::default());
    assert!(read(r#"{ "max_token": 3 }"#).is_err(), "a typo is refused");
    assert!(read(r#"{ "sampling": { "top_n": 3 } }"#).is_err(), "a typo is refused");
}

#[test]
fn the_weights_pass_once_in_order_through_windows_of_the_given_size() {
    let path = model_path("llama.Q4_0.gguf");
    let file = TestFile::open(&path);
    let (reads, len) = (file.reads.clone(), file.len());
    let options = LoadOptions { window_bytes: 64 << 10, ..cpu() };
    let mut seen = Vec::new();
    let mut progress = |p: chord_engine::LoadProgress| seen.push(p);
    block_on(chord_engine::Engine::load(file, &options, clock, &mut progress, &CancelFlag::new())).unwrap();
    let reads = reads.borrow();
    let (header, weights) = reads.split_at(1);
    assert_eq!(header[0].0, 0);
    assert!(weights.iter().all(|&(_, n)| n <= 64 << 10));
    assert!(weights.windows(2).all(|pair| pair[0].0 + pair[0].1 <= pair[1].0), "each byte once, forwards");
    let total: u64 = weights.iter().map(|(_, n)| n).sum();
    assert!(total > len / 2);
    let last = seen.iter().rfind(|p| p.stage == chord_engine::LoadStage::Weights).unwrap();
    assert_eq!(last.loaded, last.total);
    assert!(seen.windows(2).all(|p| p[0].stage != p[1].stage || p[0].loaded <= p[1].loaded));
}
