//! Each op against its definition, alone in a program, at awkward sizes.

mod support;

use std::sync::Arc;

use chord_cpu::{CpuExecutor, CpuOptions, reference};
use chord_gguf::{GgmlType, dequantize, quantize};
use chord_program::{
    Activation, Batch, BufferId, Executor, Gating, KvSlot, KvType, Mask, OpKind, ProgramBuilder, RopePairing,
    RopeTable, Rows, SegmentKind, Table, Weight, WeightId, WeightRef, WeightSink,
};
use chord_testkit::nmse;

/// NMSE limit of an f32 op against its definition.
const LIMIT: f64 = 1e-10;

/// Repeatable values from −1 to 1.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    fn values(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.next()).collect()
    }
}

/// A program of one op under test. Its inputs are rows of F32 embeddings, so that tests can choose their values.
struct Bench {
    builder: ProgramBuilder,
    weights: Vec<Vec<u8>>,
    n_tokens: usize,
    n_inputs: usize,
}

const N_VOCAB: u32 = 64;
const N_CTX: u32 = 1024;

impl Bench {
    fn new(n_tokens: usize, kv_type: KvType) -> Self {
        let mut builder = ProgramBuilder::new(N_VOCAB, N_CTX, 3, N_VOCAB, N_VOCAB, kv_type);
        builder.segment(SegmentKind::Prologue);
        Bench { builder, weights: Vec::new(), n_tokens, n_inputs: 0 }
    }

    fn weight(&mut self, ty: GgmlType, dims: [u32; 3], values: &[f32]) -> WeightRef {
        let [cols, rows, experts] = dims;
        self.weights.push(quantize(ty, values).expect("whole blocks"));
        let name = format!("w{}", self.weights.len());
        self.builder.weight(Weight { name, ty, cols, rows, experts })
    }

    fn vector(&mut self, values: &[f32]) -> WeightRef {
        self.weight(GgmlType::F32, [values.len() as u32, 1, 1], values)
    }

    /// A buffer `[T, cols]` that holds `values`: row `t` is that of token `t`.
    fn input(&mut self, cols: u32, values: &[f32]) -> BufferId {
        assert_eq!(values.len(), self.n_tokens * cols as usize);
        let mut table = values.to_vec();
        table.resize((N_VOCAB * cols) as usize, f32::NAN);
        let weight = self.weight(GgmlType::F32, [cols, N_VOCAB, 1], &table);
        let [ids, ..] = self.builder.inputs();
        self.n_inputs += 1;
        self.builder.op(format!("in{}", self.n_inputs), Rows::T, cols, OpKind::Embed { ids, weight, scale: 1.0 })
    }

    fn executor(self) -> CpuExecutor {
        let program = Arc::new(self.builder.finish().expect("a valid program"));
        let mut executor = CpuExecutor::new(program, CpuOptions::exact()).expect("memory");
        for (id, bytes) in self.weights.iter().enumerate() {
            executor.write(WeightId(id as u32), 0, bytes).expect("the weight fits");
        }
        executor.finish().expect("all weights");
        executor
    }

    /// Runs the program on one sequence from position 0 on and returns the buffer's values.
    fn run(self, wanted: BufferId) -> Vec<f32> {
        let n = self.n_tokens as u32;
        let pos: Vec<u32> = (0..n).collect();
        let rows: Vec<u32> = (0..n).rev().collect();
        run_batch(&mut self.executor(), &pos, &vec![0; n as usize], &rows, wanted)
    }
}

/// Runs a batch whose token `t` has the id `t`.
fn run_batch(executor: &mut CpuExecutor, pos: &[u32], seq: &[u32], rows: &[u32], wanted: BufferId) -> Vec<f32> {
    let ids: Vec<u32> = (0..pos.len() as u32).collect();
    let batch = Batch { ids: &ids, pos, seq, out_rows: rows };
    let mut found = Vec::new();
    let mut visit = |_, id, values: &[f32]| {
        if id == wanted {
            found = values.to_vec();
        }
        Ok(())
    };
    executor.trace(&batch, &mut visit).expect("the batch runs");
    found
}

#[track_caller]
fn assert_close(expected: &[f32], found: &[f32], what: &str) {
    let error = nmse(expected, found);
    assert!(error <= LIMIT, "{what}: NMSE {error:e}");
}

const ODD: [u32; 12] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 31, 33, 576];

#[test]
fn rms_norm() {
    let mut random = Random(1);
    for (cols, group) in ODD.iter().map(|&c| (c, c)).chain([(66, 33), (31 * 9, 31), (1024, 256)]) {
        let x = random.values(3 * cols as usize);
        let w = random.values(group as usize);
        for with_weight in [true, false] {
            let mut bench = Bench::new(3, KvType::F32);
            let input = bench.input(cols, &x);
            let weight = with_weight.then(|| bench.vector(&w));
            let out = bench.builder.op("out", Rows::T, cols, OpKind::RmsNorm { x: input, weight, group, eps: 1e-3 });
            let expected = reference::rms_norm(&x, with_weight.then_some(&w), group as usize, 1e-3);
            assert_close(&expected, &bench.run(out), &format!("{cols} columns in groups of {group}"));
        }
    }
}

#[test]
fn layer_norm() {
    let mut random = Random(2);
    for cols in ODD {
        let (x, w, b) = (random.values(4 * cols as usize), random.values(cols as usize), random.values(cols as usize));
        for with_bias in [true, false] {
            let mut bench = Bench::new(4, KvType::F32);
            let input = bench.input(cols, &x);
            let weight = bench.vector(&w);
            let bias = with_bias.then(|| bench.vector(&b));
            let out = bench.builder.op("out", Rows::T, cols, OpKind::LayerNorm { x: input, weight, bias, eps: 1e-2 });
            let expected = reference::layer_norm(&x, &w, with_bias.then_some(&b), 1e-2);
            assert_close(&expected, &bench.run(out), &format!("{cols} columns"));
        }
    }
}

fn decoded(ty: GgmlType, values: &[f32]) -> Vec<f32> {
    let bytes = quantize(ty, values).expect("whole blocks");
    let mut out = vec![0.0; values.len()];
    dequantize(ty, &bytes, &mut out).expect("a decoder");
    out
}

/// Sizes of the inner dimension that a type allows, odd ones first.
fn inner_sizes(ty: GgmlType) -> Vec<u32> {
    match ty.block_elems() {
        1 => ODD.to_vec(),
        32 => vec![32, 96, 576, 640],
        _ => vec![256, 768],
    }
}

#[test]
fn matmul_of_every_type_shape_and_number_of_rows() {
    let mut random = Random(3);
    for ty in GgmlType::decodable() {
        for cols in inner_sizes(ty) {
            for n in [1, 3, 16, 17, 33] {
                // Judged together: a single product may cancel to nearly nothing.
                let (mut expected, mut found) = (Vec::new(), Vec::new());
                for t in [1, 2, 3, 4, 5, 9] {
                    let x = random.values(t * cols as usize);
                    let w = random.values((n * cols) as usize);
                    let b = random.values(n as usize);
                    let mut bench = Bench::new(t, KvType::F32);
                    let input = bench.input(cols, &x);
                    let weight = bench.weight(ty, [cols, n, 1], &w);
                    let bias = Some(bench.vector(&b));
                    let kind = OpKind::MatMul { x: input, weight, bias, scale: 0.7 };
                    let out = bench.builder.op("out", Rows::T, n, kind);
                    expected.extend(reference::matmul(&x, &decoded(ty, &w), cols as usize, Some(&b), 0.7));
                    found.extend(bench.run(out));
                }
                assert_close(&expected, &found, &format!("{ty} [{n}, {cols}]"));
            }
        }
    }
}

#[test]
fn matmul_at_the_inner_sizes_of_real_models() {
    let mut random = Random(4);
    for cols in [576, 640, 2048, 4096, 5632, 14336] {
        for ty in [GgmlType::Q4_0, GgmlType::Q8_0, GgmlType::Q4_K, GgmlType::Q6_K, GgmlType::F16] {
            if ty.row_bytes(cols).is_none() {
                continue;
            }
            let (x, w) = (random.values(5 * cols as usize), random.values(7 * cols as usize));
            let mut bench = Bench::new(5, KvType::F32);
            let input = bench.input(cols as u32, &x);
            let weight = bench.weight(ty, [cols as u32, 7, 1], &w);
            let out = bench.builder.op("out", Rows::T, 7, OpKind::MatMul { x: input, weight, bias: None, scale: 1.0 });
            let expected = reference::matmul(&x, &decoded(ty, &w), cols as usize, None, 1.0);
            assert_close(&expected, &bench.run(out), &format!("{ty}, {cols} columns"));
        }
    }
}

#[test]
fn a_view_of_some_rows_multiplies_by_those_rows() {
    let mut random = Random(5);
    for ty in [GgmlType::F32, GgmlType::Q4_0, GgmlType::Q6_K, GgmlType::BF16] {
        let (x, w) = (random.values(3 * 256), random.values(40 * 256));
        let mut bench = Bench::new(3, KvType::F32);
        let input = bench.input(256, &x);
        let whole = bench.weight(ty, [256, 40, 1], &w);
        let weight = WeightRef { rows: 5..38, ..whole };
        let out = bench.builder.op("out", Rows::T, 33, OpKind::MatMul { x: input, weight, bias: None, scale: 1.0 });
        let expected = reference::matmul(&x, &decoded(ty, &w)[5 * 256..38 * 256], 256, None, 1.0);
        assert_close(&expected, &bench.run(out), ty.name());
    }
}

#[test]
fn more_than_65535_rows() {
    let mut random = Random(6);
    let (x, w) = (random.values(32), random.values(70_001 * 32));
    let mut bench = Bench::new(1, KvType::F32);
    let input = bench.input(32, &x);
    let weight = bench.weight(GgmlType::Q8_0, [32, 70_001, 1], &w);
    let out = bench.builder.op("out", Rows::T, 70_001, OpKind::MatMul { x: input, weight, bias: None, scale: 1.0 });
    assert_close(&reference::matmul(&x, &decoded(GgmlType::Q8_0, &w), 32, None, 1.0), &bench.run(out), "70,001 rows");
}

#[test]
fn embedding_rows_are_decoded_and_scaled() {
    let mut random = Random(7);
    for ty in GgmlType::decodable() {
        let w = random.values(N_VOCAB as usize * 256);
        let mut bench = Bench::new(9, KvType::F32);
        let weight = bench.weight(ty, [256, N_VOCAB, 1], &w);
        let [ids, ..] = bench.builder.inputs();
        let out = bench.builder.op("out", Rows::T, 256, OpKind::Embed { ids, weight, scale: 16.0 });
        let ids: Vec<u32> = (0..9).collect();
        assert_eq!(reference::embed(&ids, &decoded(ty, &w), 256, 16.0), bench.run(out), "{ty}");
    }
}

#[test]
fn rope_of_whole_and_partial_heads() {
    let mut random = Random(8);
    for (head_dim, n_rot) in [(64, 64), (32, 20), (6, 2), (9, 8), (256, 256)] {
        for pairing in [RopePairing::Interleaved, RopePairing::Halves] {
            let cols = 3 * head_dim;
            let x = random.values(7 * cols as usize);
            let mut rope = RopeTable::new(500.0, n_rot, 2.0, None);
            rope.magnitude = 1.25;
            let mut bench = Bench::new(7, KvType::F32);
            let input = bench.input(cols, &x);
            let [_, pos, ..] = bench.builder.inputs();
            let table = bench.builder.table(Table::Rope(rope.clone()));
            let kind = OpKind::Rope { x: input, pos, table, head_dim, pairing };
            let out = bench.builder.op("out", Rows::T, cols, kind);
            let pos: Vec<u32> = (0..7).collect();
            let expected = reference::rope(&x, &pos, &rope, head_dim as usize, pairing);
            assert_close(&expected, &bench.run(out), &format!("{n_rot} of {head_dim}, {pairing:?}"));
        }
    }
}

#[test]
fn elementwise_ops() {
    let mut random = Random(9);
    for cols in ODD {
        let (a, b) = (random.values(2 * cols as usize), random.values(2 * cols as usize));
        // Large enough to saturate what saturates.
        let a: Vec<f32> = a.iter().map(|x| x * 30.0).collect();
        let check = |kind: &dyn Fn(BufferId, BufferId) -> OpKind, expected: Vec<f32>| {
            let mut bench = Bench::new(2, KvType::F32);
            let (first, second) = (bench.input(cols, &a), bench.input(cols, &b));
            let kind = kind(first, second);
            let name = kind.name();
            let out = bench.builder.op("out", Rows::T, cols, kind);
            assert_close(&expected, &bench.run(out), &format!("{name} of {cols} columns"));
        };
        check(&|a, b| OpKind::Add { a, b, scale: -0.3 }, reference::add(&a, &b, -0.3));
        check(&|x, _| OpKind::Scale { x, scale: 2.5 }, reference::scale(&a, 2.5));
        check(&|x, _| OpKind::SoftCap { x, cap: 4.0 }, reference::soft_cap(&a, 4.0));
        for act in [Activation::Silu, Activation::GeluTanh, Activation::ReluSquared] {
            check(&|gate, up| OpKind::Glu { gate, up, act }, reference::glu(&a, &b, act));
            check(&|x, _| OpKind::Act { x, act }, reference::act(&a, act));
        }
    }
}

#[test]
fn gathered_rows_are_copies() {
    let x = Random(10).values(9 * 33);
    let mut bench = Bench::new(9, KvType::F32);
    let input = bench.input(33, &x);
    let [.., rows] = bench.builder.inputs();
    let out = bench.builder.op("out", Rows::R, 33, OpKind::GatherRows { x: input, rows });
    let mut executor = bench.executor();
    let pos: Vec<u32> = (0..9).collect();
    let found = run_batch(&mut executor, &pos, &[0; 9], &[8, 0, 3, 3], out);
    assert_eq!(reference::gather_rows(&x, &[8, 0, 3, 3], 33), found);
}

#[test]
fn no_output_rows_are_no_error() {
    let x = Random(11).values(4 * 64);
    let mut bench = Bench::new(4, KvType::F32);
    let input = bench.input(64, &x);
    let [.., rows] = bench.builder.inputs();
    let gathered = bench.builder.op("gathered", Rows::R, 64, OpKind::GatherRows { x: input, rows });
    let weight = bench.weight(GgmlType::Q4_0, [64, 8, 1], &[0.5; 512]);
    let kind = OpKind::MatMul { x: gathered, weight, bias: None, scale: 1.0 };
    let out = bench.builder.op("out", Rows::R, 8, kind);
    let found = run_batch(&mut bench.executor(), &[0, 1, 2, 3], &[0; 4], &[], out);
    assert!(found.is_empty());
}

#[test]
fn experts_are_chosen_multiplied_and_mixed() {
    let mut random = Random(12);
    let (experts, k, cols, n) = (5u32, 3u32, 64u32, 9u32);
    let gatings = [false, true].map(|renormalize| [Gating::Softmax { renormalize }, Gating::Sigmoid { renormalize }]);
    for gating in gatings.into_iter().flatten() {
        for t in [1, 2, 7] {
            let (x, mut l) = (random.values(t * 64), random.values(t * experts as usize));
            // A tie: the lower expert goes first.
            (l[1], l[3]) = (2.0, 2.0);
            let w = random.values((experts * n * cols) as usize);
            let mut bench = Bench::new(t, KvType::F32);
            let input = bench.input(cols, &x);
            let logits = bench.input(experts, &l);
            let up_weight = bench.weight(GgmlType::Q5_0, [cols, n, experts], &w);
            let b = &mut bench.builder;
            let ids = b.buffer_u32("chosen", Rows::T, k);
            let weights = b.buffer("weights", Rows::T, k);
            b.push(OpKind::Route { logits, k, gating, scale: 1.5 }, vec![ids, weights]);
            let up = b.op("up", Rows::Tokens(k), n, OpKind::MatMulId { x: input, ids, weight: up_weight });
            let mixed = b.op("mixed", Rows::T, n, OpKind::CombineExperts { x: up, weights });
            let mut executor = bench.executor();
            let pos: Vec<u32> = (0..t as u32).collect();
            let run = |executor: &mut CpuExecutor, id| {
                executor.truncate(0, 0).expect("from the start");
                run_batch(executor, &pos, &vec![0; t], &[], id)
            };
            let (ids, gates) = reference::route(&l, experts as usize, k as usize, gating, 1.5);
            assert_eq!(ids[..2], [1, 3]);
            assert_close(&gates, &run(&mut executor, weights), &format!("{gating:?}"));
            let w = decoded(GgmlType::Q5_0, &w);
            let product = reference::matmul_id(&x, &ids, k as usize, &w, n as usize, cols as usize);
            assert_close(&product, &run(&mut executor, up), "experts of shared rows");
            let sum = reference::combine_experts(&product, &gates, k as usize, n as usize);
            assert_close(&sum, &run(&mut executor, mixed), "mixed experts");
        }
    }
}

#[test]
fn experts_with_rows_of_their_own() {
    let mut random = Random(13);
    let (experts, k, t) = (4u32, 2u32, 5usize);
    let (x, l) = (random.values(t * 32), random.values(t * experts as usize));
    let (up, down) = (random.values((experts * 64 * 32) as usize), random.values((experts * 32 * 64) as usize));
    let mut bench = Bench::new(t, KvType::F32);
    let input = bench.input(32, &x);
    let logits = bench.input(experts, &l);
    let up_weight = bench.weight(GgmlType::F16, [32, 64, experts], &up);
    let down_weight = bench.weight(GgmlType::Q8_0, [64, 32, experts], &down);
    let b = &mut bench.builder;
    let (ids, weights) = (b.buffer_u32("chosen", Rows::T, k), b.buffer("weights", Rows::T, k));
    let gating = Gating::Softmax { renormalize: false };
    b.push(OpKind::Route { logits, k, gating, scale: 1.0 }, vec![ids, weights]);
    let middle = b.op("middle", Rows::Tokens(k), 64, OpKind::MatMulId { x: input, ids, weight: up_weight });
    let out = b.op("out", Rows::Tokens(k), 32, OpKind::MatMulId { x: middle, ids, weight: down_weight });
    let (ids, _) = reference::route(&l, 4, 2, gating, 1.0);
    let middle = reference::matmul_id(&x, &ids, 2, &decoded(GgmlType::F16, &up), 64, 32);
    let expected = reference::matmul_id(&middle, &ids, 2, &decoded(GgmlType::Q8_0, &down), 32, 64);
    assert_close(&expected, &bench.run(out), "a second product");
}

/// One attention op over a slot, with the batches that fill it.
struct AttentionCase {
    n_heads: u32,
    n_kv_heads: u32,
    k_dim: u32,
    v_dim: u32,
    mask: Mask,
    soft_cap: Option<f32>,
    sinks: bool,
    capacity: u32,
}

/// Runs batches of `(position, sequence)` one after another, each against all keys so far.
fn check_attention(case: &AttentionCase, batches: &[Vec<(u32, u32)>], seed: u64) {
    let mut random = Random(seed);
    let t = batches.iter().map(Vec::len).max().expect("a batch");
    let AttentionCase { n_heads, n_kv_heads, k_dim, v_dim, mask, soft_cap, capacity, .. } = *case;
    let width = [n_heads * k_dim, n_kv_heads * k_dim, n_kv_heads * v_dim];
    let values = width.map(|cols| random.values(t * cols as usize));
    let sinks = case.sinks.then(|| random.values(n_heads as usize));
    let scale = 2.0 / (k_dim as f32).sqrt();

    let mut bench = Bench::new(t, KvType::F32);
    let [q, k, v] = std::array::from_fn(|i| bench.input(width[i], &values[i]));
    let sink_weight = sinks.as_ref().map(|s| bench.vector(s));
    let b = &mut bench.builder;
    let [_, pos, seq, _] = b.inputs();
    let window = match mask {
        Mask::Causal { window } => window,
        Mask::Bidirectional => None,
    };
    let slot = b.slot(KvSlot { name: "kv".into(), n_kv_heads, k_dim, v_dim, capacity, window });
    b.push(OpKind::KvWrite { k, v, pos, seq, slot }, Vec::new());
    let kind = OpKind::Attention { q, pos, seq, slot, n_heads, scale, mask, soft_cap, sinks: sink_weight };
    let out = b.op("out", Rows::T, n_heads * v_dim, kind);
    let mut executor = bench.executor();

    let (mut keys, mut vals, mut key_pos, mut key_seq) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for batch in batches {
        let (pos, seq): (Vec<u32>, Vec<u32>) = batch.iter().copied().unzip();
        let n = batch.len();
        keys.extend_from_slice(&values[1][..n * width[1] as usize]);
        vals.extend_from_slice(&values[2][..n * width[2] as usize]);
        key_pos.extend_from_slice(&pos);
        key_seq.extend_from_slice(&seq);
        let kv = reference::KeyValues { k: &keys, v: &vals, pos: &key_pos, seq: &key_seq };
        let (n_heads, n_kv_heads) = (n_heads as usize, n_kv_heads as usize);
        let shape = reference::AttentionShape { n_heads, n_kv_heads, scale, mask, soft_cap, sinks: sinks.as_deref() };
        let q = &values[0][..n * width[0] as usize];
        let expected = reference::attention(q, &pos, &seq, kv, shape);
        let found = run_batch(&mut executor, &pos, &seq, &[], out);
        assert_close(&expected, &found, &format!("{mask:?}, {n_heads} over {n_kv_heads} heads, batch at {}", pos[0]));
    }
}

const PLAIN: AttentionCase = AttentionCase {
    n_heads: 6,
    n_kv_heads: 2,
    k_dim: 64,
    v_dim: 64,
    mask: Mask::Causal { window: None },
    soft_cap: None,
    sinks: false,
    capacity: N_CTX,
};

/// Batches of the given sizes, one after another, of sequence 0.
fn in_turn(sizes: &[u32]) -> Vec<Vec<(u32, u32)>> {
    let mut positions = 0u32..;
    sizes.iter().map(|&n| positions.by_ref().take(n as usize).map(|pos| (pos, 0)).collect()).collect()
}

#[test]
fn attention_over_grouped_heads_and_head_sizes() {
    for (n_heads, n_kv_heads) in [(1, 1), (4, 4), (6, 2), (9, 3), (4, 1)] {
        for (k_dim, v_dim) in [(64, 64), (80, 80), (96, 96), (128, 128), (256, 256), (31, 33), (5, 3)] {
            let case = AttentionCase { n_heads, n_kv_heads, k_dim, v_dim, ..PLAIN };
            check_attention(&case, &in_turn(&[5, 1, 3]), 20);
        }
    }
}

#[test]
fn attention_over_more_keys_than_a_tile() {
    check_attention(&PLAIN, &in_turn(&[64, 64, 64, 64, 1, 33, 1]), 21);
}

#[test]
fn attention_with_a_soft_cap_and_sinks() {
    check_attention(&AttentionCase { soft_cap: Some(1.5), ..PLAIN }, &in_turn(&[9, 1, 7]), 22);
    check_attention(&AttentionCase { sinks: true, ..PLAIN }, &in_turn(&[9, 1, 7]), 23);
}

#[test]
fn a_ring_of_a_windows_size_wraps() {
    for window in [1, 7, 16] {
        let mask = Mask::Causal { window: Some(window) };
        // A ring needs room for the window and the largest batch, 64 here; positions pass its end two or three times.
        for capacity in [window + N_VOCAB, window + N_VOCAB + 16] {
            let case = AttentionCase { mask, capacity, n_heads: 2, n_kv_heads: 1, k_dim: 16, v_dim: 16, ..PLAIN };
            check_attention(&case, &in_turn(&[64, 64, 5, 1, 1, 64, 31, 1]), 24);
        }
    }
}

#[test]
fn sequences_do_not_see_each_other() {
    let batches =
        vec![vec![(0, 0), (1, 0), (0, 2), (2, 0), (1, 2)], vec![(0, 1), (3, 0), (2, 2)], vec![(4, 0), (1, 1), (3, 2)]];
    check_attention(&PLAIN, &batches, 25);
}

#[test]
fn encoders_see_the_whole_batch() {
    let case = AttentionCase { mask: Mask::Bidirectional, ..PLAIN };
    check_attention(&case, &[vec![(0, 0), (1, 0), (2, 0), (0, 1), (1, 1)]], 26);
}
