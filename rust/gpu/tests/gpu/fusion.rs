//! Fused ops against the same ops one by one: only the speed may differ.

use chord_gguf::GgmlType;
use chord_gpu::{GpuOptions, PlanOptions};
use chord_program::{
    Activation, Executor, KvSlot, KvType, Mask, OpKind, OutputName, ProgramBuilder, RopePairing, RopeTable, Rows,
    SegmentKind, Table, Want,
};
use chord_testkit::nmse;

use crate::models::recipe;
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
    assert_eq!(without - with, 1 + 2, "one add, and three products of one input, in one layer");
}

/// One layer between an embedding and logits. Its queries and keys are rotated, and normalized first if `norms`.
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
fn queries_and_keys_are_normalized_rotated_and_stored_at_once() {
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

/// Five products of one input: three of the types `types[..3]`, and a gated pair of the type `types[3]`.
fn products_model(act: Activation, types: [GgmlType; 4]) -> Model {
    let width = 256;
    let mut b = ProgramBuilder::new(64, 64, 1, 16, 16, KvType::F32);
    b.segment(SegmentKind::Prologue);
    let mut c = Case::new(b);
    let [_, _, _, out_rows] = c.b.inputs();
    let x = c.source("x", width);
    c.b.segment(SegmentKind::Layer(0));
    let product = |c: &mut Case, name: &str, x, ty, rows| {
        let weight = c.weight(&format!("{name}.weight"), ty, rows, width);
        c.b.op(name, Rows::T, rows, OpKind::MatMul { x, weight, bias: None, scale: 1.0 })
    };
    let first = product(&mut c, "first", x, types[0], 48);
    let early = c.b.op("early", Rows::T, 48, OpKind::Scale { x: first, scale: 0.5 });
    let second = product(&mut c, "second", x, types[1], 48);
    let third = product(&mut c, "third", x, types[2], 48);
    let sum = c.b.op("sum", Rows::T, 48, OpKind::Add { a: early, b: second, scale: 1.0 });
    let sum = c.b.op("sum.2", Rows::T, 48, OpKind::Glu { gate: sum, up: third, act: Activation::Silu });
    let gate = product(&mut c, "gate", x, types[3], 48);
    let up = product(&mut c, "up", x, types[3], 48);
    let gated = c.b.op("gated", Rows::T, 48, OpKind::Glu { gate, up, act });
    let y = c.b.op("y", Rows::T, 48, OpKind::Add { a: sum, b: gated, scale: 1.0 });
    c.b.segment(SegmentKind::Epilogue);
    let out = c.b.op("logits", Rows::R, 48, OpKind::GatherRows { x: y, rows: out_rows });
    c.b.output(OutputName::Hidden, out);
    let weight = c.weight("out.weight", GgmlType::F16, 64, 48);
    let out = c.b.op("result", Rows::R, 64, OpKind::MatMul { x: out, weight, bias: None, scale: 1.0 });
    c.b.output(OutputName::Logits, out);
    c.finish()
}

#[test]
fn products_of_one_input_run_together_where_their_types_agree() {
    use GgmlType::{Q4_K, Q6_K, Q8_0};
    for disabled in VARIANTS {
        let gpu = gpu_without(disabled);
        for (types, saved) in [
            ([Q4_K; 4], 2 + 2),
            ([Q4_K, Q4_K, Q6_K, Q8_0], 1 + 2),
            ([Q4_K, Q8_0, Q4_K, Q6_K], 1 + 2),
            ([Q8_0, Q4_K, Q6_K, Q4_K], 2),
        ] {
            let model = products_model(Activation::GeluTanh, types);
            let [mut fused, mut plain] =
                [true, false].map(|on| model.on_gpu(&gpu, plan(on)).expect("a model the GPU runs"));
            let [with, without] = compare([&mut fused, &mut plain], 64);
            // A product without a sibling may take in the add that follows it, too.
            assert!(without - with >= saved, "{types:?}: {with} dispatches fused, {without} not");
        }
    }
}

#[test]
fn activations_beyond_one_binding_are_rotated_one_by_one() {
    let model = turned_model(true, RopePairing::Halves, 80, KvType::F32);
    let small = request(GpuOptions { max_binding_bytes: Some(20_480), ..options() });
    let [mut fused, mut plain] = [true, false].map(|on| model.on_gpu(&small, plan(on)).expect("a model the GPU runs"));
    let [with, without] = compare([&mut fused, &mut plain], 64);
    assert_eq!(with, without);
}

#[test]
fn recipes_are_the_same_fused_and_not() {
    for name in ["llama.Q4_K", "gemma3.Q4_K"] {
        let (_, model) = recipe(name, KvType::F32, 16);
        let [mut fused, mut plain] = [true, false].map(|on| model.on_gpu(&gpu(), plan(on)));
        let [with, without] = compare([&mut fused, &mut plain], 128);
        let layers = model.program.slots.len() as u64;
        println!("{name}: {with} dispatches a token fused, {without} not, in {layers} layers");
        assert!(with + 3 * layers <= without, "{name}: {with} dispatches fused, {without} not");
    }
}
