//! Models whose layers do not all fit: the same text as with all of them held.
#![cfg(feature = "gpu")]

mod common;

use std::cell::Cell;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use chord_engine::{
    Backend, CancelFlag, Engine, EngineError, Event, FinishReason, GenerateRequest, LoadOptions, Prompt, ReadAt,
    ReadError, Sampling,
};
use chord_program::ExecError;
use chord_testkit::model_path;
use common::{TestFile, clock, cpu, generate, load};
use pollster::block_on;

const GEMMA3: &str = "gemma3.Q4_K_M.gguf";

fn on_gpu() -> LoadOptions {
    LoadOptions { backend: Backend::Gpu, self_test: false, ..cpu() }
}

fn request(prompt: &str, max_tokens: u32) -> GenerateRequest {
    GenerateRequest {
        prompt: Prompt::Text(prompt.into()),
        max_tokens: Some(max_tokens),
        sampling: Sampling::GREEDY,
        ..Default::default()
    }
}

/// Bytes with room for a third of what can be paged.
fn a_third(path: &Path, options: &LoadOptions, resident: &Engine) -> u64 {
    let memory = resident.info().memory;
    let all = memory.weights + memory.kv + memory.scratch;
    match load(path, &LoadOptions { max_gpu_bytes: Some(0), ..options.clone() }) {
        Err(EngineError::Exec(ExecError::OutOfMemory { needed, .. })) => needed + (all - needed) / 3,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("a model without memory"),
    }
}

/// The model resident, and with room for a third of its layers.
fn both(path: &Path, options: &LoadOptions) -> (Engine, Engine) {
    let resident = load(path, options).unwrap();
    let max = a_third(path, options, &resident);
    let paged = load(path, &LoadOptions { max_gpu_bytes: Some(max), ..options.clone() }).unwrap();
    let info = paged.info();
    assert!(info.paging.paged_layers > info.paging.resident_layers, "{:?}", info.paging);
    assert!(info.memory.weights + info.memory.kv + info.memory.scratch <= max, "{:?} of {max}", info.memory);
    assert!(info.why.iter().any(|why| why.contains("paged")), "{:?}", info.why);
    assert_eq!(resident.info().paging.paged_layers, 0);
    (resident, paged)
}

#[test]
fn the_text_is_that_of_the_resident_model_greedy_or_drawn_in_one_chunk_or_many() {
    let path = model_path(GEMMA3);
    let drawn = Sampling { temperature: 1.0, top_k: 40, ..Sampling::GREEDY };
    for max_batch in [None, Some(3)] {
        let (mut resident, mut paged) = both(&path, &LoadOptions { max_batch, n_ctx: Some(128), ..on_gpu() });
        let before = paged.info().counters;
        // The second continues the first, the third departs from it: prefixes are reused, cut and thrown away.
        for (prompt, sampling) in [
            ("Once upon a time", Sampling::GREEDY),
            ("Once upon a time there was", Sampling::GREEDY),
            ("Once upon a day", drawn),
            ("Nothing of this", Sampling::GREEDY),
        ] {
            let request = GenerateRequest { sampling, seed: Some(3), ..request(prompt, 12) };
            let (expected, _) = generate(&mut resident, &request).unwrap();
            let (found, result) = generate(&mut paged, &request).unwrap();
            assert_eq!(found, expected, "{prompt} in chunks of {max_batch:?}");
            assert!(result.timings.stall_ms_per_token >= 0.0);
        }
        let after = paged.info();
        assert_eq!(after.counters.bind_groups_created, before.bind_groups_created);
        assert_eq!(after.counters.pipelines_created, before.pipelines_created);
        assert!(after.paging.bytes_read > 20 * after.paging.bytes_per_token, "{:?}", after.paging);
    }
}

#[test]
fn steps_beyond_a_stop_string_are_taken_back() {
    let path = model_path(GEMMA3);
    let (mut resident, mut paged) = both(&path, &LoadOptions { n_ctx: Some(128), ..on_gpu() });
    let (free, _) = generate(&mut resident, &request("Once upon a time", 16)).unwrap();
    let stop = &free.pieces[4];
    let with_stop = GenerateRequest { stop: vec![stop.clone()], ..request("Once upon a time", 16) };
    let (shown, result) = generate(&mut paged, &with_stop).unwrap();
    assert_eq!(shown.text, free.text[..free.text.find(stop.as_str()).unwrap()]);
    assert_eq!(result.finish_reason, FinishReason::Stop);
    assert_eq!(generate(&mut paged, &request("Once upon a time", 16)).unwrap().0.tokens, free.tokens);
}

/// Raises a flag, fails or sleeps at a chosen read.
struct Scripted {
    file: TestFile,
    reads: Rc<Cell<usize>>,
    cancel_at: Rc<Cell<usize>>,
    fail_at: Rc<Cell<usize>>,
    cancel: CancelFlag,
    delay: Rc<Cell<Duration>>,
}

impl ReadAt for Scripted {
    fn len(&self) -> u64 {
        self.file.len()
    }
    async fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), ReadError> {
        self.reads.set(self.reads.get() + 1);
        std::thread::sleep(self.delay.get());
        if self.reads.get() == self.cancel_at.get() {
            self.cancel.cancel();
        }
        if self.reads.get() == self.fail_at.get() {
            return Err(ReadError { code: "network".into(), message: "the connection is gone".into() });
        }
        self.file.read_at(offset, buf).await
    }
}

#[test]
fn a_run_can_be_cancelled_or_fail_between_layers_and_the_next_one_is_right() {
    let path = model_path(GEMMA3);
    let options = LoadOptions { n_ctx: Some(128), max_batch: Some(4), window_bytes: 1 << 20, ..on_gpu() };
    let mut resident = load(&path, &options).unwrap();
    let max_gpu_bytes = Some(a_third(&path, &options, &resident));
    let options = LoadOptions { max_gpu_bytes, ..options };
    let (cancel, never) = (CancelFlag::new(), usize::MAX);
    let [reads, cancel_at, fail_at] = [0, never, never].map(|n| Rc::new(Cell::new(n)));
    let delay = Rc::new(Cell::new(Duration::ZERO));
    let file = Scripted {
        file: TestFile::open(&path),
        reads: reads.clone(),
        cancel_at: cancel_at.clone(),
        fail_at: fail_at.clone(),
        cancel: cancel.clone(),
        delay: delay.clone(),
    };
    let mut paged = block_on(Engine::load(file, &options, clock, &mut |_| (), &cancel)).unwrap();

    let drawn = Sampling { temperature: 1.0, top_k: 5, ..Sampling::GREEDY };
    for sampling in [Sampling::GREEDY, drawn] {
        let request = GenerateRequest { sampling, seed: Some(1), ..request("Once upon a time there was", 6) };
        let (expected, _) = generate(&mut resident, &request).unwrap();
        // In the first chunk of the prompt, a later one, and among the tokens.
        for after in [1, 3, 7, 12, 17, 22, 31] {
            for (at, is_failure) in [(&cancel_at, false), (&fail_at, true)] {
                paged.runner_mut().clear(0).unwrap();
                at.set(reads.get() + after);
                let outcome = block_on(paged.generate(&request, &cancel, &mut |_: Event<'_>| (), &mut async || {}));
                match outcome {
                    Ok(result) if !is_failure => assert_eq!(result.finish_reason, FinishReason::Cancelled, "{after}"),
                    Err(error) if is_failure => assert_eq!(error.code(), "network"),
                    other => panic!("after {after} reads: {other:?}"),
                }
                cancel.reset();
                at.set(never);
                assert_eq!(generate(&mut paged, &request).unwrap().0, expected, "after {after} reads, {is_failure}");
            }
        }
    }

    // The device waits for a slow file.
    delay.set(Duration::from_millis(20));
    paged.runner_mut().clear(0).unwrap();
    let (_, result) = generate(&mut paged, &request("Once", 3)).unwrap();
    let n_paged = f64::from(paged.info().paging.paged_layers);
    let per_token = result.timings.stall_ms_per_token;
    assert!(per_token > 10.0 * n_paged, "{per_token} ms of waiting for {n_paged} layers of 20 ms");
    assert!(per_token <= result.timings.decode_ms / 2.0);
}

#[test]
fn smollm2_with_room_for_a_third_of_its_layers_says_the_same() {
    let path = model_path("SmolLM2-135M-Instruct.Q4_1.gguf");
    let (mut resident, mut paged) = both(&path, &LoadOptions { n_ctx: Some(256), max_batch: Some(16), ..on_gpu() });
    let request = request("The capital of France is", 4);
    let (expected, _) = generate(&mut resident, &request).unwrap();
    let (found, result) = generate(&mut paged, &request).unwrap();
    assert_eq!(found, expected);
    let paging = paged.info().paging;
    println!("{:?}: {paging:?}, {:?}", found.text, result.timings);
    assert_eq!((paging.resident_layers, paging.paged_layers), (9, 21));
}
