//! Fused ops against the same ops one by one: only the speed may differ.

use chord_gguf::GgmlType;
use chord_gpu::{GpuOptions, PlanOptions};
use chord_program::{
    Executor, KvSlot, KvType, Mask, OpKind, OutputName, ProgramBuilder, RopePairing, RopeTable, Rows, SegmentKind,
    Table, Want,
};
use chord_testkit::nmse;

use crate::models::{ModelFile, build, golden_and_model};
use crate::setup::{Case, Model, Tokens, VARIANTS, gpu, gpu_without, logits, options, request};
use crate::stream::small_model;

/// NMSE that a different order of f32 sums may cost.
const REORDERED: f64 = 1e-11;

fn plan(fusion: bool) -> PlanOptions {
    PlanOptions { fusion, ..PlanOptions::default() }
}

/// Runs prompts and single tokens with fusion and without, and returns the dispatches of a single token of each.
fn compare(mut executors: [&mut dyn Executor; 2], n_vocab: u32) -> [u64; 2] {
    let mut dispatches = [0; 2];
    for tokens in [Tokens::run(0, 13), Tokens::run(13, 2), Tokens::run(15, 1), Tokens::run(16, 1)] {
        let n = tokens.ids.len() as u32;
        let tokens = tokens.with_outputs(&[n - 1]);
        let mut results = Vec::new();
        for (executor, dispatched) in executors.iter_mut().zip(&mut dispatches) {
            let before = executor.counters().dispatches;
            executor.enqueue_prefill(&tokens.batch(), Want::Logits).expect("a batch that fits");
            results.push(logits(&mut **executor).expect("logits"));
            *dispatched = executor.counters().dispatches - before;
        }
        assert_eq!(results[0].len(), n_vocab as usize);
        let error = nmse(&results[1], &results[0]);
        assert!(error <= REORDERED, "NMSE {error:e} between fused and unfused");
    }
    dispatches
}

#[test]
fn a_residual_is_added_by_the_product() {
    let model = small_model(1);
    let [mut fused, mut plain] = [true, false].map(|on| model.on_gpu(&gpu(), plan(on)).expect("a model the GPU runs"));
    let [with, without] = compare([&mut fused, &mut plain], 64);
    assert_eq!(without - with, 1, "one add in one layer");
}

/// One layer between an embedding and logits, whose queries and keys are turned, and normalized before if `norms`.
fn turned_model(norms: bool, pairing: RopePairing, n_rot: u32, kv: KvType) -> Model {
    let mut b = ProgramBuilder::new(64, 64, 1, 16, 16, kv);
    b.segment(SegmentKind::Prologue);
    let mut c = Case::new(b);
    let [_, pos, seq, out_rows] = c.b.inputs();
    let head = 80;
    let sources = [("q", 3 * head), ("k", head), ("v", 32)].map(|(name, cols)| c.source(name, cols));
    c.b.segment(SegmentKind::Layer(0));
    let table = c.b.table(Table::Rope(RopeTable::new(100.0, n_rot, 1.0, None)));
    let turn = |c: &mut Case, mut x, name: &str, cols, eps| {
        if norms {
            let weight = Some(c.weight(&format!("{name}.norm"), GgmlType::F32, 1, head));
            x = c.b.op(format!("{name}.normed"), Rows::T, cols, OpKind::RmsNorm { x, weight, group: head, eps });
        }
        c.b.op(format!("{name}.turned"), Rows::T, cols, OpKind::Rope { x, pos, table, head_dim: head, pairing })
    };
    let q = turn(&mut c, sources[0], "query", 3 * head, 0.5);
    let k = turn(&mut c, sources[1], "key", head, 0.01);
    let slot = KvSlot { name: "kv-0".into(), n_kv_heads: 1, k_dim: head, v_dim: 32, capacity: 64, window: None };
    let slot = c.b.slot(slot);
    c.b.push(OpKind::KvWrite { k, v: sources[2], pos, seq, slot }, vec![]);
    let mask = Mask::Causal { window: None };
    let kind = OpKind::Attention { q, pos, seq, slot, n_heads: 3, scale: 0.2, mask, soft_cap: None, sinks: None };
    let y = c.b.op("attended", Rows::T, 96, kind);
    c.b.segment(SegmentKind::Epilogue);
    let last = c.b.op("last", Rows::R, 96, OpKind::GatherRows { x: y, rows: out_rows });
    let weight = c.weight("out.weight", GgmlType::F16, 64, 96);
    let out = c.b.op("logits", Rows::R, 64, OpKind::MatMul { x: last, weight, bias: None, scale: 1.0 });
    c.b.output(OutputName::Logits, out);
    c.finish()
}

#[test]
fn queries_and_keys_are_normalized_turned_and_stored_at_once() {
    for disabled in VARIANTS {
        let gpu = gpu_without(disabled);
        for (norms, pairing, n_rot, kv) in [
            (true, RopePairing::Halves, 80, KvType::F32),
            (true, RopePairing::Interleaved, 20, KvType::F16),
            (false, RopePairing::Halves, 40, KvType::F16),
            (false, RopePairing::Interleaved, 80, KvType::F32),
        ] {
            let model = turned_model(norms, pairing, n_rot, kv);
            let [mut fused, mut plain] =
                [true, false].map(|on| model.on_gpu(&gpu, plan(on)).expect("a model the GPU runs"));
            let [with, without] = compare([&mut fused, &mut plain], 64);
            assert_eq!(without - with, if norms { 4 } else { 2 }, "{norms} {pairing:?}");
        }
    }
}

#[test]
fn activations_beyond_one_binding_are_turned_one_by_one() {
    let model = turned_model(true, RopePairing::Halves, 80, KvType::F32);
    let small = request(GpuOptions { max_binding_bytes: Some(20_480), ..options() });
    let [mut fused, mut plain] = [true, false].map(|on| model.on_gpu(&small, plan(on)).expect("a model the GPU runs"));
    let [with, without] = compare([&mut fused, &mut plain], 64);
    assert_eq!(with, without);
}

#[test]
fn tiny_models_are_the_same_fused_and_not() {
    for name in ["llama.Q4_K_M", "gemma3.Q4_K_M"] {
        let Some((golden, path)) = golden_and_model(&format!("tiny/{name}")) else { continue };
        let model = ModelFile::open(&path, &build(golden.n_ctx, KvType::F32, 16));
        let [mut fused, mut plain] = [true, false].map(|on| model.on_gpu(&gpu(), plan(on)));
        let [with, without] = compare([&mut fused, &mut plain], 512);
        let layers = model.program.slots.len() as u64;
        println!("{name}: {with} dispatches a token fused, {without} not, in {layers} layers");
        assert!(with + 3 * layers <= without, "{name}: {with} dispatches fused, {without} not");
    }
}
