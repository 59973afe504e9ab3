//! The engine on a GPU, a software one where there is no other: it gives the same text as the CPU, and decoding creates
//! no GPU objects.
#![cfg(feature = "gpu")]

mod common;

use chord_engine::{Backend, CounterInfo, Engine, FinishReason, GenerateRequest, LoadOptions, Prompt, Sampling};
use chord_testkit::model_path;
use common::{cpu, generate, load};

/// Without the self-test, which takes longer than these models and has its own tests.
fn on_gpu() -> LoadOptions {
    LoadOptions { backend: Backend::Gpu, self_test: false, ..cpu() }
}

fn request(max_tokens: u32) -> GenerateRequest {
    GenerateRequest {
        prompt: Prompt::Text("Once upon a time".into()),
        max_tokens: Some(max_tokens),
        sampling: Sampling::GREEDY,
        ..Default::default()
    }
}

#[test]
fn the_text_is_the_cpus_greedy_or_drawn_in_one_chunk_or_many() {
    for model in ["llama.Q4_K_M.gguf", "gemma3.Q4_K_M.gguf"] {
        let path = model_path(model);
        let expected = load(&path, &cpu()).unwrap();
        let drawn = Sampling { temperature: 1.0, top_k: 40, ..Sampling::GREEDY };
        let requests = [request(24), GenerateRequest { sampling: drawn, seed: Some(3), ..request(24) }];
        let mut expected_engine = expected;
        let expected: Vec<_> = requests.iter().map(|r| generate(&mut expected_engine, r).unwrap().0.tokens).collect();
        for max_batch in [None, Some(3)] {
            let mut engine = load(&path, &LoadOptions { max_batch, ..on_gpu() }).unwrap();
            for (request, expected) in requests.iter().zip(&expected) {
                assert_eq!(
                    &generate(&mut engine, request).unwrap().0.tokens,
                    expected,
                    "{model} in chunks of {max_batch:?}"
                );
            }
            assert_eq!(engine.info().backend, "gpu");
        }
    }
}

#[test]
fn a_gpu_that_was_compared_with_the_cpu_says_so() {
    let path = model_path("llama.Q4_0.gguf");
    let info = load(&path, &LoadOptions { self_test: true, ..on_gpu() }).unwrap().info();
    assert!(info.why[0].contains("computes as the CPU does"), "{:?}", info.why);
}

/// What a run of `n` tokens adds to the counters.
fn counted(engine: &mut Engine, n: u32) -> CounterInfo {
    engine.runner_mut().clear(0).unwrap();
    let before = engine.info().counters;
    let (shown, _) = generate(engine, &request(n)).unwrap();
    assert_eq!(shown.tokens.len(), n as usize);
    let after = engine.info().counters;
    CounterInfo {
        buffers_created: after.buffers_created - before.buffers_created,
        bind_groups_created: after.bind_groups_created - before.bind_groups_created,
        pipelines_created: after.pipelines_created - before.pipelines_created,
        submits: after.submits - before.submits,
        dispatches: after.dispatches - before.dispatches,
        tokens: after.tokens - before.tokens,
        readbacks_before_submit: after.readbacks_before_submit - before.readbacks_before_submit,
    }
}

#[test]
fn tokens_2_to_20_make_nothing_submit_once_each_and_wait_for_nothing() {
    let path = model_path("llama.Q4_0.gguf");
    let mut engine = load(&path, &on_gpu()).unwrap();
    counted(&mut engine, 2);
    let (short, long) = (counted(&mut engine, 2), counted(&mut engine, 20));
    assert_eq!(long.tokens - short.tokens, 18);
    assert_eq!(long.submits - short.submits, 18);
    for counters in [short, long] {
        let made = (counters.buffers_created, counters.bind_groups_created, counters.pipelines_created);
        assert_eq!(made, (0, 0, 0));
        assert_eq!(counters.readbacks_before_submit, 0);
    }
}

/// Steps run ahead of the text: those after a stop string must leave no trace in what follows.
#[test]
fn steps_beyond_a_stop_string_are_taken_back() {
    let path = model_path("llama.Q4_0.gguf");
    let mut engine = load(&path, &on_gpu()).unwrap();
    let (free, _) = generate(&mut engine, &request(24)).unwrap();
    for at in [2, 5, 11] {
        let stop = &free.pieces[at];
        let with_stop = GenerateRequest { stop: vec![stop.clone()], ..request(24) };
        let (shown, result) = generate(&mut engine, &with_stop).unwrap();
        assert_eq!(shown.text, free.text[..free.text.find(stop.as_str()).unwrap()]);
        assert_eq!(result.finish_reason, FinishReason::Stop);
        let (again, _) = generate(&mut engine, &request(24)).unwrap();
        assert_eq!(again.tokens, free.tokens);
    }
}

#[test]
fn a_small_binding_limit_and_no_optional_features_change_nothing() {
    let path = model_path("llama.Q4_K_M.gguf");
    // Nothing but the weights is larger than the limit.
    let small = LoadOptions { n_ctx: Some(64), max_batch: Some(4), max_outputs: 1, ..on_gpu() };
    let mut engine = load(&path, &small).unwrap();
    let (expected, _) = generate(&mut engine, &request(16)).unwrap();
    let options = LoadOptions {
        max_binding_bytes: Some(64 << 10),
        disable_features: vec!["subgroups".into(), "shader-f16".into()],
        fusion: false,
        ..small
    };
    let mut engine = load(&path, &options).unwrap();
    assert!(engine.info().features.is_empty());
    assert_eq!(generate(&mut engine, &request(16)).unwrap().0.tokens, expected.tokens);
}

/// Where every adapter is a software one, `auto` uses the CPU and says why; elsewhere it uses the GPU.
#[test]
fn auto_ranks_software_adapters_below_the_cpu() {
    let path = model_path("llama.Q4_0.gguf");
    let info = load(&path, &LoadOptions { backend: Backend::Auto, ..cpu() }).unwrap().info();
    if info.backend == "cpu" {
        assert!(info.why[0].starts_with("no GPU: "), "{:?}", info.why);
    } else {
        assert!(!info.is_software);
    }
}

mod full {
    use super::*;

    #[test]
    #[ignore = "takes minutes: CHORD_FULL=1"]
    fn smollm2_names_the_capital_of_france_on_the_gpu() {
        let path = model_path("SmolLM2-135M-Instruct.Q4_1.gguf");
        let mut engine = load(&path, &on_gpu()).unwrap();
        let message = chord_text::Message::new("user", "What is the capital of France?");
        let prompt = Prompt::Messages(vec![message]);
        let request =
            GenerateRequest { prompt, max_tokens: Some(16), sampling: Sampling::GREEDY, ..Default::default() };
        assert_eq!(generate(&mut engine, &request).unwrap().0.text, "The capital of France is Paris.");
    }
}
