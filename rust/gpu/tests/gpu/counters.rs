//! What a greedy run makes and moves: nothing is created after the first token, one submit a token, no waiting.

use chord_gpu::PlanOptions;
use chord_program::{Executor, KvType, Want};

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
    // Batch, ids and read-back beside the activations.
    let activations = chord_program::MemoryPlan::new(program, 256, chord_program::Reuse::Yes).total;
    let rest = memory.scratch - activations.min(memory.scratch);
    assert!(rest <= 1 << 20, "{name}: {rest} bytes of scratch beside the activations");
    drop(executor);
}
