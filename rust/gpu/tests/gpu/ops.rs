//! Each op alone against the CPU: real shapes, odd ones, many rows, sentinels on both sides (a GPU trace checks them).

use chord_gguf::GgmlType::F32 as F32_TYPE;
use chord_gpu::{GpuOptions, PlanOptions};
use chord_program::{
    Activation, BufferId, KvSlot, KvType, Mask, OpKind, ProgramBuilder, RopePairing, RopeTable, Rows, SegmentKind,
    Table,
};

use crate::setup::{Case, F32, Model, SOFT, Tokens, check, check_on, gpu, options, request};

const WIDTHS: [u32; 7] = [1, 9, 31, 33, 576, 640, 2048];

fn case() -> Case {
    case_of(64, KvType::F32, 1)
}

fn case_of(n_ctx: u32, kv_type: KvType, n_seq: u32) -> Case {
    let mut b = ProgramBuilder::new(64, n_ctx, n_seq, n_ctx.min(130), 130, kv_type);
    b.segment(SegmentKind::Prologue);
    Case::new(b)
}

/// One op on each of the widths, for a single token and for an odd number.
fn check_widths(op: impl Fn(&mut Case, BufferId, u32)) {
    for cols in WIDTHS {
        let mut c = case();
        let x = c.source("x", cols);
        op(&mut c, x, cols);
        check(&c.finish(), &[Tokens::run(0, 1), Tokens::run(1, 13)], F32);
    }
}

#[test]
fn rms_norm_matches() {
    check_widths(|c, x, cols| {
        let weight = Some(c.weight("w", F32_TYPE, 1, cols));
        c.b.op("normed", Rows::T, cols, OpKind::RmsNorm { x, weight, group: cols, eps: 1e-6 });
        c.b.op("bare", Rows::T, cols, OpKind::RmsNorm { x, weight: None, group: cols, eps: 0.5 });
    });
}

#[test]
fn rms_norm_of_each_head_matches() {
    for head in [64, 80, 96, 128, 256] {
        let mut c = case();
        let x = c.source("x", 3 * head);
        let weight = Some(c.weight("w", F32_TYPE, 1, head));
        c.b.op("normed", Rows::T, 3 * head, OpKind::RmsNorm { x, weight, group: head, eps: 1e-6 });
        check(&c.finish(), &[Tokens::run(0, 5)], F32);
    }
}

#[test]
fn layer_norm_matches() {
    check_widths(|c, x, cols| {
        if cols == 1 {
            return; // A single column has no variance: the result is noise over eps.
        }
        let weight = c.weight("w", F32_TYPE, 1, cols);
        let bias = Some(c.weight("b", F32_TYPE, 1, cols));
        c.b.op("normed", Rows::T, cols, OpKind::LayerNorm { x, weight: weight.clone(), bias, eps: 1e-5 });
        c.b.op("bare", Rows::T, cols, OpKind::LayerNorm { x, weight, bias: None, eps: 1e-5 });
    });
}

#[test]
fn elementwise_ops_match() {
    check_widths(|c, x, cols| {
        let y = c.source("y", cols);
        c.b.op("sum", Rows::T, cols, OpKind::Add { a: x, b: y, scale: 0.25 });
        c.b.op("scaled", Rows::T, cols, OpKind::Scale { x, scale: -3.0 });
        c.b.op("capped", Rows::T, cols, OpKind::SoftCap { x, cap: 0.7 });
        for (name, act) in
            [("silu", Activation::Silu), ("gelu", Activation::GeluTanh), ("relu", Activation::ReluSquared)]
        {
            c.b.op(format!("{name}.glu"), Rows::T, cols, OpKind::Glu { gate: x, up: y, act });
            c.b.op(format!("{name}.act"), Rows::T, cols, OpKind::Act { x, act });
        }
    });
}

#[test]
fn non_linearities_stay_finite_and_exact_far_from_zero() {
    let mut c = case();
    let values: Vec<f32> = (0..64).flat_map(|i| [(i as f32 - 32.0) * 40.0, 1e30, -1e30, 0.0, 1e-3, -1e-3]).collect();
    let weight = c.weight_of("x.table", F32_TYPE, 64, 6, &values);
    let [ids, ..] = c.b.inputs();
    let x = c.b.op("x", Rows::T, 6, OpKind::Embed { ids, weight, scale: 1.0 });
    let small = c.b.op("small", Rows::T, 6, OpKind::SoftCap { x, cap: 30.0 });
    for (name, act) in [("silu", Activation::Silu), ("gelu", Activation::GeluTanh)] {
        c.b.op(name, Rows::T, 6, OpKind::Act { x: small, act });
    }
    check(&c.finish(), &[Tokens::of_ids(0, &(0..64).collect::<Vec<_>>())], F32);
}

#[test]
fn gather_rows_matches() {
    check_widths(|c, x, cols| {
        let [.., rows] = c.b.inputs();
        c.b.op("gathered", Rows::R, cols, OpKind::GatherRows { x, rows });
    });
    let mut c = case();
    let x = c.source("x", 33);
    let [.., rows] = c.b.inputs();
    c.b.op("gathered", Rows::R, 33, OpKind::GatherRows { x, rows });
    check(&c.finish(), &[Tokens::run(0, 13).with_outputs(&[12, 0, 7, 7])], 0.0);
}

#[test]
fn no_output_rows_is_no_work() {
    let mut c = case();
    let x = c.source("x", 33);
    let [.., rows] = c.b.inputs();
    let gathered = c.b.op("gathered", Rows::R, 33, OpKind::GatherRows { x, rows });
    c.b.op("scaled", Rows::R, 33, OpKind::Scale { x: gathered, scale: 2.0 });
    check(&c.finish(), &[Tokens::run(0, 3).with_outputs(&[])], 0.0);
}

#[test]
fn rope_matches_in_both_pairings_and_leaves_the_rest_of_a_head() {
    for head in [64, 80, 96, 128, 256] {
        for pairing in [RopePairing::Interleaved, RopePairing::Halves] {
            let mut c = case();
            let x = c.source("x", 3 * head);
            let [_, pos, ..] = c.b.inputs();
            for n_rot in [head, head / 2, head / 4 * 2 - 2] {
                let table = c.b.table(Table::Rope(RopeTable::new(10_000.0, n_rot, 1.0, None)));
                let kind = OpKind::Rope { x, pos, table, head_dim: head, pairing };
                c.b.op(format!("turned.{n_rot}"), Rows::T, 3 * head, kind);
            }
            check(&c.finish(), &[Tokens::run(0, 17), Tokens::run(17, 3), Tokens::run(20, 1)], F32);
        }
    }
}

/// Shape of an attention test.
#[derive(Clone, Copy)]
struct Heads {
    n_heads: u32,
    n_kv_heads: u32,
    k_dim: u32,
    v_dim: u32,
}

fn attention_model(
    heads: Heads,
    kv: KvType,
    window: Option<u32>,
    soft_cap: Option<f32>,
    capacity: u32,
    n_seq: u32,
) -> Model {
    let mut c = case_of(512, kv, n_seq);
    let Heads { n_heads, n_kv_heads, k_dim, v_dim } = heads;
    let q = c.source("q", n_heads * k_dim);
    let k = c.source("k", n_kv_heads * k_dim);
    let v = c.source("v", n_kv_heads * v_dim);
    let [_, pos, seq, _] = c.b.inputs();
    let slot = KvSlot { name: "kv-0".into(), n_kv_heads, k_dim, v_dim, capacity, window };
    let slot = c.b.slot(slot);
    c.b.push(OpKind::KvWrite { k, v, pos, seq, slot }, vec![]);
    let kind = OpKind::Attention {
        q,
        pos,
        seq,
        slot,
        n_heads,
        scale: 2.0 / (k_dim as f32).sqrt(),
        mask: Mask::Causal { window },
        soft_cap,
        sinks: None,
    };
    c.b.op("out", Rows::T, n_heads * v_dim, kind);
    c.finish()
}

/// Attention in all its shapes, for the validation of shaders.
pub(crate) fn shapes() -> Vec<Model> {
    let mut models = Vec::new();
    for dim in [64, 80, 96, 128, 256] {
        let heads = Heads { n_heads: 4, n_kv_heads: 2, k_dim: dim, v_dim: dim };
        models.push(attention_model(heads, KvType::F32, None, None, 512, 1));
        models.push(attention_model(heads, KvType::F16, Some(100), Some(30.0), 512, 1));
    }
    models
}

/// A prompt in two chunks of odd length, then single tokens, then a few at once.
fn conversation() -> Vec<Tokens> {
    vec![Tokens::run(0, 67), Tokens::run(67, 130), Tokens::run(197, 1), Tokens::run(198, 1), Tokens::run(199, 3)]
}

#[test]
fn attention_matches_for_real_head_sizes() {
    for dim in [64, 80, 96, 128, 256] {
        // Groups of different sizes: 3, 4, 1 and 24 query heads to a KV head.
        for (n_heads, n_kv_heads) in if dim == 64 { vec![(9, 3), (4, 1), (2, 2), (24, 1)] } else { vec![(4, 2)] } {
            let heads = Heads { n_heads, n_kv_heads, k_dim: dim, v_dim: dim };
            let model = attention_model(heads, KvType::F32, None, None, 512, 1);
            check(&model, &conversation(), SOFT);
        }
    }
}

#[test]
fn attention_through_an_f16_cache_matches() {
    for dim in [64, 80, 256] {
        let heads = Heads { n_heads: 4, n_kv_heads: 2, k_dim: dim, v_dim: dim };
        check(&attention_model(heads, KvType::F16, None, None, 512, 1), &conversation(), SOFT);
    }
}

#[test]
fn attention_with_window_ring_and_soft_cap_matches() {
    let heads = Heads { n_heads: 4, n_kv_heads: 2, k_dim: 64, v_dim: 32 };
    for (window, capacity) in [(1, 512), (33, 512), (64, 200), (150, 512)] {
        let model = attention_model(heads, KvType::F32, Some(window), Some(1.5), capacity, 1);
        check(&model, &conversation(), SOFT);
    }
}

#[test]
fn attention_split_over_keys_matches() {
    let heads = Heads { n_heads: 6, n_kv_heads: 2, k_dim: 96, v_dim: 64 };
    for window in [None, Some(70)] {
        let model = attention_model(heads, KvType::F32, window, None, 512, 1);
        for splits in [1, 2, 5, 16] {
            let options = PlanOptions { attention_splits: Some(splits), ..PlanOptions::default() };
            check_on(&model, &gpu(), options, &conversation(), SOFT);
        }
    }
}

#[test]
fn sequences_do_not_see_each_other() {
    let heads = Heads { n_heads: 3, n_kv_heads: 1, k_dim: 64, v_dim: 64 };
    let model = attention_model(heads, KvType::F32, None, None, 512, 3);
    let mixed = Tokens {
        ids: (1..=12).collect(),
        pos: vec![0, 0, 1, 1, 2, 0, 1, 2, 3, 2, 3, 4],
        seq: vec![0, 1, 0, 1, 0, 2, 2, 2, 2, 1, 0, 0],
        out_rows: vec![],
    };
    let next = Tokens { ids: vec![9, 8, 7], pos: vec![5, 3, 4], seq: vec![0, 1, 2], out_rows: vec![] };
    check(&model, &[mixed, next], SOFT);
}

#[test]
fn more_rows_than_one_grid_dimension() {
    // 70,000 rows of three columns: norms take a workgroup each.
    let mut b = ProgramBuilder::new(64, 70_000, 1, 70_000, 1, KvType::F32);
    b.segment(SegmentKind::Prologue);
    let mut c = Case::new(b);
    let x = c.source("x", 3);
    let weight = Some(c.weight("w", F32_TYPE, 1, 3));
    let y = c.b.op("normed", Rows::T, 3, OpKind::RmsNorm { x, weight, group: 3, eps: 1e-6 });
    c.b.op("sum", Rows::T, 3, OpKind::Add { a: x, b: y, scale: 1.0 });
    check(&c.finish(), &[Tokens::run(0, 70_000).with_outputs(&[])], F32);
}

#[test]
fn heads_without_a_kernel_are_refused_when_the_executor_is_made() {
    let heads = Heads { n_heads: 2, n_kv_heads: 2, k_dim: 6, v_dim: 64 };
    let model = attention_model(heads, KvType::F32, None, None, 512, 1);
    let error = model.on_gpu(&gpu(), PlanOptions::default()).expect_err("heads of 6 columns have no kernel");
    assert!(matches!(error, chord_program::ExecError::Unsupported { .. }), "{error}");
}

#[test]
fn a_cache_larger_than_a_binding_is_refused() {
    let heads = Heads { n_heads: 2, n_kv_heads: 2, k_dim: 64, v_dim: 64 };
    let model = attention_model(heads, KvType::F32, None, None, 512, 1);
    let small = request(GpuOptions { max_binding_bytes: Some(65_536), ..options() });
    let error = model.on_gpu(&small, PlanOptions::default()).expect_err("512 positions need 256 KiB of keys");
    assert!(error.to_string().contains("kv-0"), "{error}");
}
