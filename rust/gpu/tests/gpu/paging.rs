//! Paged layers: the same numbers as with all layers held, within the memory allowed, and nothing created on the way.

use std::future::poll_fn;
use std::path::Path;

use chord_gpu::{Gpu, GpuExecutor, PlanOptions};
use chord_program::{ExecError, Executor, KvType, Paged, Want, WeightId, WeightSink};
use pollster::block_on;

use crate::models::{ModelFile, build, golden_and_model};
use crate::setup::{Tokens, all_ids, gpu, logits};

const GEMMA3: &str = "tiny/gemma3.Q4_K_M";

/// Writes every weight that is held.
fn load(model: &ModelFile, executor: &mut GpuExecutor) {
    let own = model.program.layer_weights();
    let pages = executor.device().pages;
    let is_paged = |id: WeightId| pages.segments.iter().any(|segment| own[*segment].contains(&id));
    for (index, weight) in model.program.weights.iter().enumerate() {
        let id = WeightId(index as u32);
        if !is_paged(id) {
            executor.write(id, 0, model.file.tensor_bytes(&weight.name)).expect("a weight that fits");
        }
    }
    executor.finish().expect("all weights that are held are there");
}

fn open(model: &ModelFile, gpu: &Gpu, max: u64) -> GpuExecutor {
    let options = PlanOptions { max_bytes: Some(max), ..PlanOptions::default() };
    let mut executor = block_on(GpuExecutor::new(gpu, model.program.clone(), options)).expect("a model that pages");
    load(model, &mut executor);
    executor
}

fn bring(model: &ModelFile, executor: &mut dyn Paged, segment: usize) {
    for id in &model.program.layer_weights()[segment] {
        let weight = model.program.weight(*id);
        let bytes = model.file.tensor_bytes(&weight.name);
        // In two parts, as through a window.
        let half = (weight.rows / 2) as usize * weight.row_bytes() as usize;
        executor.write(*id, 0, &bytes[..half]).expect("the first rows");
        executor.write(*id, half as u64, &bytes[half..]).expect("the other rows");
    }
}

/// Brings pages until everything is submitted; returns which ones, in order.
fn feed(model: &ModelFile, executor: &mut GpuExecutor) -> Vec<usize> {
    let mut brought = Vec::new();
    let Some(paged) = executor.paged() else { return brought };
    while !paged.advance().expect("work that runs") {
        let page = block_on(poll_fn(|cx| paged.poll_page(cx))).expect("a slot").expect("something is missing");
        bring(model, paged, page);
        brought.push(page);
    }
    brought
}

fn least(model: &ModelFile, gpu: &Gpu) -> u64 {
    let options = PlanOptions { max_bytes: Some(0), ..PlanOptions::default() };
    match block_on(GpuExecutor::new(gpu, model.program.clone(), options)) {
        Err(ExecError::OutOfMemory { needed, .. }) => needed,
        other => panic!("expected an error for too little memory, found {other:?}"),
    }
}

/// All positions' logits in chunks of `chunk`, with the host's steps in between.
fn all_logits(model: &ModelFile, executor: &mut GpuExecutor, ids: &[u32], chunk: usize) -> Vec<f32> {
    let mut all = Vec::new();
    for (index, ids) in ids.chunks(chunk).enumerate() {
        let tokens = Tokens::of_ids((index * chunk) as u32, ids);
        executor.enqueue_prefill(&tokens.batch(), Want::Logits).expect("a batch that fits");
        feed(model, executor);
        all.extend(logits(executor).expect("logits"));
    }
    all
}

fn model(path: &Path, n_ctx: u32) -> ModelFile {
    ModelFile::open(path, &build(n_ctx, KvType::F16, 16))
}

#[test]
fn logits_are_those_of_the_resident_model_bit_for_bit() {
    let gpu = gpu();
    let (golden, path) = golden_and_model(GEMMA3);
    let model = model(&path, golden.n_ctx);
    let ids = &golden.tokens[..golden.tokens.len().min(40)];
    let mut resident = model.on_gpu(&gpu, PlanOptions::default());
    let (least, all) = (least(&model, &gpu), resident.device().memory.total());
    for chunk in [16, 1] {
        let expected = all_logits(&model, &mut resident, ids, chunk);
        for max in [least, (least + all) / 2] {
            let mut executor = open(&model, &gpu, max);
            assert!(all_logits(&model, &mut executor, ids, chunk) == expected, "{max} bytes, chunks of {chunk}");
            let device = executor.device();
            assert!(!device.pages.segments.is_empty(), "nothing is paged in {max} of {all} bytes");
            assert!(device.memory.total() <= max, "{:?}, at most {max}", device.memory);
        }
    }
}

#[test]
fn greedy_steps_create_nothing_and_read_each_page_once() {
    let (golden, path) = golden_and_model(GEMMA3);
    let (gpu, model) = (gpu(), model(&path, golden.n_ctx));
    let prompt = Tokens::of_ids(0, &golden.tokens[..9]).with_outputs(&[8]);
    let mut resident = model.on_gpu(&gpu, PlanOptions::default());
    resident.enqueue_prefill(&prompt.batch(), Want::Ids).expect("a prompt");
    resident.enqueue_decode(0, 19).expect("room");
    let expected = all_ids(&mut resident).expect("ids");

    let mut executor = open(&model, &gpu, least(&model, &gpu));
    let pages = executor.device().pages.segments;
    assert_eq!(pages.len(), 7);
    let before = executor.counters();
    executor.enqueue_prefill(&prompt.batch(), Want::Ids).expect("a prompt");
    feed(&model, &mut executor);
    let mut found = all_ids(&mut executor).expect("ids");
    for step in 0..19 {
        executor.enqueue_decode(0, 1).expect("room");
        assert_eq!(feed(&model, &mut executor), pages, "step {step}");
        found.extend(all_ids(&mut executor).expect("ids"));
    }
    assert_eq!(found, expected);
    let after = executor.counters();
    assert_eq!(after.buffers_created, before.buffers_created);
    assert_eq!(after.bind_groups_created, before.bind_groups_created);
    assert_eq!(after.pipelines_created, before.pipelines_created);
}

/// The next page may arrive before it is needed: it uses the other slot.
#[test]
fn pages_are_requested_a_layer_ahead_and_kept() {
    let (golden, path) = golden_and_model(GEMMA3);
    let (gpu, model) = (gpu(), model(&path, golden.n_ctx));
    let mut executor = open(&model, &gpu, least(&model, &gpu));
    let pages = executor.device().pages.segments;
    let next = |executor: &mut GpuExecutor| {
        let paged = executor.paged().expect("an executor that pages");
        let page = block_on(poll_fn(|cx| paged.poll_page(cx))).expect("a slot");
        page.inspect(|page| bring(&model, paged, *page))
    };
    // Before anything is enqueued.
    assert_eq!([next(&mut executor), next(&mut executor)], [Some(pages[0]), Some(pages[1])]);
    assert_eq!(next(&mut executor), None, "both slots hold what comes next");
    executor.enqueue_prefill(&Tokens::of_ids(0, &golden.tokens[..3]).batch(), Want::Ids).expect("a prompt");
    assert!(!executor.paged().expect("it pages").advance().expect("work that runs"));
    assert_eq!([next(&mut executor), next(&mut executor)], [Some(pages[2]), Some(pages[3])]);
    assert_eq!(feed(&model, &mut executor), pages[4..]);
    // At the end of a run the first page of the next one is requested.
    assert_eq!(next(&mut executor), Some(pages[0]));
    assert_eq!(all_ids(&mut executor).expect("ids").len(), 3);
}

#[test]
fn work_abandoned_halfway_leaves_no_trace() {
    let (golden, path) = golden_and_model(GEMMA3);
    let (gpu, model) = (gpu(), model(&path, golden.n_ctx));
    let ids = &golden.tokens[..12];
    let mut executor = open(&model, &gpu, least(&model, &gpu));
    let expected = all_logits(&model, &mut executor, ids, 4);
    for steps in 0..6 {
        executor.truncate(0, 4).expect("a cut");
        let tokens = Tokens::of_ids(4, &[7; 5]);
        executor.enqueue_prefill(&tokens.batch(), Want::Logits).expect("a batch that fits");
        executor.enqueue_prefill(&Tokens::of_ids(9, &[8; 2]).batch(), Want::Ids).expect("another one");
        let paged = executor.paged().expect("an executor that pages");
        for step in 0..steps {
            assert!(!paged.advance().expect("work that runs"));
            let page = block_on(poll_fn(|cx| paged.poll_page(cx))).expect("a slot").expect("a page");
            if step + 1 < steps {
                bring(&model, paged, page);
            }
        }
        assert_eq!(paged.abandon(), 1);
        assert!(paged.advance().expect("nothing waits"));
        let rest = Tokens::of_ids(4, &ids[4..]);
        executor.enqueue_prefill(&rest.batch(), Want::Logits).expect("positions continue where they were");
        feed(&model, &mut executor);
        let found = logits(&mut executor).expect("logits");
        let from = 4 * model.program.n_vocab as usize;
        assert!(chord_testkit::nmse(&expected[from..], &found) < 1e-9, "after {steps} steps");
    }
}

#[test]
fn too_little_memory_for_two_slots_is_an_error_with_the_bytes_needed() {
    let (golden, path) = golden_and_model(GEMMA3);
    let (gpu, model) = (gpu(), model(&path, golden.n_ctx));
    let needed = least(&model, &gpu);
    let options = PlanOptions { max_bytes: Some(needed - 1), ..PlanOptions::default() };
    let error = block_on(GpuExecutor::new(&gpu, model.program.clone(), options)).expect_err("one byte too few");
    assert!(error.to_string().contains(&needed.to_string()), "{error}");
    let all = model.on_gpu(&gpu, PlanOptions::default()).device().memory.total();
    let mut roomy = open(&model, &gpu, 2 * all);
    assert!(roomy.paged().is_none() && roomy.device().pages.segments.is_empty());
}

#[test]
fn a_page_in_the_wrong_place_is_refused() {
    let (golden, path) = golden_and_model(GEMMA3);
    let (gpu, model) = (gpu(), model(&path, golden.n_ctx));
    let mut executor = open(&model, &gpu, least(&model, &gpu));
    let segment = executor.device().pages.segments[3];
    let id = model.program.layer_weights()[segment][0];
    let bytes = model.file.tensor_bytes(&model.program.weight(id).name);
    let error = executor.write(id, 0, bytes).expect_err("it was not requested");
    assert!(matches!(error, ExecError::BadBatch(_)), "{error}");
    let tokens = Tokens::run(0, 1);
    let error = executor.run_segment(0, &tokens.batch()).expect_err("no single segments");
    assert!(matches!(error, ExecError::Unsupported { .. }), "{error}");
    let error = executor.trace(&tokens.batch(), &mut |_, _, _| Ok(())).expect_err("no traces");
    assert!(matches!(error, ExecError::Unsupported { .. }), "{error}");
}
