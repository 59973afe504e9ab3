//! What a greedy run creates and submits: nothing is created after the first token, one submit a token, no waiting.

use std::collections::BTreeSet;

use chord_gpu::{PlanOptions, missing_kernel};
use chord_program::{BatchShape, Executor, KvType, Want};
use chord_testkit::architecture_recipes;

use crate::models::{ModelFile, build, golden_and_model, recipe};
use crate::setup::{Tokens, all_ids, gpu, no_wake};
use crate::stream::small_model;

#[test]
fn tokens_2_to_20_create_nothing_and_submit_once_each() {
    let mut executor = small_model(1).on_gpu(&gpu(), PlanOptions::default()).expect("a model the GPU runs");
    executor.enqueue_prefill(&Tokens::run(0, 5).with_outputs(&[4]).batch(), Want::Ids).expect("a prompt");
    let before = executor.counters();
    // As the engine does: a few steps ahead of the ids it takes.
    executor.enqueue_decode(0, 3).expect("room");
    let mut ids = Vec::new();
    let mut asked = 3;
    while ids.len() < 20 {
        let seen = ids.len();
        let _ = executor.poll_ids(&mut no_wake(), &mut ids);
        assert!(ids.len() > seen, "a native poll waits for at least one id");
        while asked < 19 && asked < ids.len() + 3 {
            executor.enqueue_decode(0, 1).expect("room");
            asked += 1;
        }
    }
    let after = executor.counters();
    assert_eq!(ids.len(), 20);
    assert_eq!(after.tokens - before.tokens, 19);
    assert_eq!(after.submits - before.submits, 19);
    assert_eq!(after.buffers_created, before.buffers_created);
    assert_eq!(after.bind_groups_created, before.bind_groups_created);
    assert_eq!(after.pipelines_created, before.pipelines_created);
    assert_eq!(after.readbacks_before_submit - before.readbacks_before_submit, 0);
    // The batch of a step is prepared by the step before; the host only learns the id.
    assert_eq!(after.bytes_uploaded - before.bytes_uploaded, 0);
    assert_eq!(after.bytes_read_back - before.bytes_read_back, 4 * 19);
}

/// Dispatches of a decode step for each layer, by architecture. Every dispatch costs a real GPU microseconds: a number
/// here may fall, but rise only for a reason.
const DISPATCHES_PER_LAYER: [(&str, u64); 4] = [("llama", 8), ("qwen2", 10), ("gemma3", 12), ("olmo2", 12)];
/// Where a slot has many positions, several workgroups share a token's keys, and another dispatch merges their parts.
const MERGE: u64 = 1;
/// The embedding, the rows wanted, their norm, the logits, and two for the greedy choice.
const OTHER_DISPATCHES: u64 = 6;

#[test]
fn a_decode_step_makes_the_expected_dispatches_and_binds_each_weight_once() {
    let mut seen = BTreeSet::new();
    for recipe in architecture_recipes() {
        let model = ModelFile::of(recipe.file(), &build(recipe.golden().n_ctx, KvType::F16, 16));
        if missing_kernel(&model.program).is_none() {
            let known = DISPATCHES_PER_LAYER.into_iter().find(|(name, _)| *name == recipe.architecture);
            let (architecture, per_layer) = known.expect("a number for every architecture that runs");
            check_step(&recipe.name, per_layer, &model);
            seen.insert(architecture);
        }
    }
    assert_eq!(seen, DISPATCHES_PER_LAYER.map(|(name, _)| name).into());
    let (_, path) = golden_and_model("smollm2-135m-instruct.q4_1");
    let (_, per_layer) = DISPATCHES_PER_LAYER[0];
    check_step("SmolLM2", per_layer + MERGE, &ModelFile::open(&path, &build(512, KvType::F16, 16)));
}

fn check_step(name: &str, per_layer: u64, model: &ModelFile) {
    let mut executor = model.on_gpu(&gpu(), PlanOptions::default());
    executor.enqueue_prefill(&Tokens::run(0, 5).with_outputs(&[4]).batch(), Want::Ids).expect("a prompt");
    all_ids(&mut executor).expect("an id");
    let before = executor.counters();
    executor.enqueue_decode(0, 1).expect("room");
    all_ids(&mut executor).expect("an id");
    let program = &model.program;
    let n_layers = program.slots.len() as u64;
    let dispatches = executor.counters().dispatches - before.dispatches;
    assert_eq!(dispatches, n_layers * per_layer + OTHER_DISPATCHES, "{name}: {n_layers} layers");

    // A row with an odd number of f16 scales takes two bytes more on the device.
    let bound = executor.weight_bytes_bound(BatchShape { n_tokens: 1, n_outputs: 1 });
    let used = program.ops.iter().flat_map(|op| op.kind.weights()).map(|used| program.weight(used.weight));
    let used: u64 = used
        .map(|weight| (weight.n_bytes() / u64::from(weight.rows)).next_multiple_of(4) * u64::from(weight.rows))
        .sum();
    assert_eq!(bound, used, "{name}: bytes of weights");
}

#[test]
fn waiting_for_each_id_is_counted() {
    let mut executor = small_model(1).on_gpu(&gpu(), PlanOptions::default()).expect("a model the GPU runs");
    executor.enqueue_prefill(&Tokens::run(0, 5).with_outputs(&[4]).batch(), Want::Ids).expect("a prompt");
    for _ in 0..3 {
        all_ids(&mut executor).expect("ids");
        executor.enqueue_decode(0, 1).expect("room");
    }
    assert_eq!(executor.counters().readbacks_before_submit, 3);
}

#[test]
fn memory_on_the_device_is_the_tensors_and_little_more() {
    for name in ["llama.Q4_K", "llama.Q6_K", "llama.Q8_0", "llama.Q4_0", "gemma3.Q4_K"] {
        check_memory(name, &recipe(name, KvType::F16, 16).1);
    }
    let (_, path) = golden_and_model("smollm2-135m-instruct.q4_1");
    check_memory("SmolLM2", &ModelFile::open(&path, &build(512, KvType::F16, 16)));
}

fn check_memory(name: &str, model: &ModelFile) {
    let executor = model.on_gpu(&gpu(), PlanOptions::default());
    let memory = executor.device().memory;
    let program = &model.program;
    let tables: u64 = program.tables.iter().map(|t| 4 * u64::from(t.cols()) * u64::from(program.n_ctx)).sum();
    assert_eq!(memory.kv, program.kv_bytes(), "{name}");
    let most = program.weight_bytes() * 105 / 100 + tables;
    assert!(memory.weights <= most, "{name}: {} bytes of weights, at most {most}", memory.weights);
    // Batch, ids and read-back besides the activations.
    let activations = chord_program::MemoryPlan::new(program, 256, chord_program::Reuse::Yes).total;
    let rest = memory.scratch - activations.min(memory.scratch);
    assert!(rest <= 1 << 20, "{name}: {rest} bytes of scratch besides the activations");
    drop(executor);
}
