//! Each op broken on purpose: the comparison of traces must name it.

use chord_gguf::GgmlType;
use chord_gpu::PlanOptions;
use chord_gpu::shader::FILES;
use chord_program::{
    Activation, KvSlot, KvType, Mask, OpKind, ProgramBuilder, RopePairing, RopeTable, Rows, SegmentKind, Table,
};

use crate::setup::{Case, Model, SOFT, Tokens, first_difference, gpu, gpu_without};

/// Runs on software adapters only.
const SOFTWARE_ATTENTION: &str = "ops/attention_rows.wgsl";

/// The end of a product, and the kernel that has an end of its own. SwiftShader runs it whatever kernels are requested.
const EPILOGUE: &str = "matmul/epilogue.wgsl";
const LANE_ROWS: &str = "matmul/lane_rows.wgsl";

/// A file, what is broken in it (a text and what it becomes), and the op that must be named. A KV write shows in the
/// attention that reads it.
const MUTATIONS: [(&str, &str, &str, &str); 17] = [
    ("ops/rms_norm.wgsl", "+ EPS)", "+ 2.0 * EPS)", "rms_norm"),
    ("ops/layer_norm.wgsl", "x[base + i] - mean;", "x[base + i] - mean * 2.0;", "layer_norm"),
    ("ops/rope.wgsl", "u * turn.x - v * turn.y", "u * turn.x + v * turn.y", "rope"),
    ("ops/rope.wgsl", "let second = first + n_pairs;", "let second = first + n_pairs - 1u;", "rope"),
    ("include/kv.wgsl", "pos % CAPACITY", "pos / 2u % CAPACITY", "attention"),
    ("ops/attention.wgsl", "key <= pos &&", "key < max(pos, 1u) &&", "attention"),
    ("include/window.wgsl", "pos - min(pos, WINDOW - 1u)", "pos - min(pos, WINDOW)", "attention"),
    (SOFTWARE_ATTENTION, "key <= pos; key", "key < max(pos, 1u); key", "attention"),
    ("ops/elementwise.wgsl", "a[i] + FACTOR * b[i]", "a[i] + b[i]", "add"),
    ("ops/elementwise.wgsl", "ACT(a[i]) * b[i]", "ACT(b[i]) * a[i]", "glu"),
    ("ops/elementwise.wgsl", "return ACT(a[i]);", "return 1.001 * ACT(a[i]);", "act"),
    ("ops/elementwise.wgsl", "return FACTOR * a[i];", "return a[i];", "scale"),
    ("ops/elementwise.wgsl", "CAP * tanh_exact(a[i] / CAP)", "a[i]", "soft_cap"),
    ("ops/gather_rows.wgsl", "batch_out_row(row)", "row", "gather_rows"),
    ("ops/kv_write.wgsl", "kv_pack(v[", "kv_pack(2.0 * v[", "attention"),
    ("include/batch.wgsl", "return batch.words[t];", "return 1u ^ batch.words[t];", "embed"),
    (EPILOGUE, "SCALE * product", "1.001 * SCALE * product", "matmul"),
];

/// A program with every op, windowed attention on a ring included.
fn every_op() -> Model {
    let width = 64;
    let mut b = ProgramBuilder::new(64, 256, 1, 64, 64, KvType::F32);
    b.segment(SegmentKind::Prologue);
    let mut c = Case::new(b);
    let [_, pos, seq, out_rows] = c.b.inputs();
    let x = c.source("x", width);
    let y = c.source("y", width);
    let weight = c.weight("norm.weight", GgmlType::F32, 1, width);
    let rms = OpKind::RmsNorm { x, weight: Some(weight.clone()), group: width, eps: 0.01 };
    let normed = c.b.op("rms", Rows::T, width, rms);
    c.b.op("layer", Rows::T, width, OpKind::LayerNorm { x: y, weight, bias: None, eps: 0.01 });
    let q_weight = c.weight("q.weight", GgmlType::Q8_0, 128, width);
    let q = c.b.op("q", Rows::T, 128, OpKind::MatMul { x: normed, weight: q_weight, bias: None, scale: 1.0 });
    let table = c.b.table(Table::Rope(RopeTable::new(10_000.0, 64, 1.0, None)));
    let turn = |x| OpKind::Rope { x, pos, table, head_dim: 64, pairing: RopePairing::Halves };
    let q = c.b.op("q.turned", Rows::T, 128, turn(q));
    let k = c.b.op("k.turned", Rows::T, 64, turn(x));
    let slot = KvSlot { name: "kv-0".into(), n_kv_heads: 1, k_dim: 64, v_dim: 64, capacity: 80, window: Some(16) };
    let slot = c.b.slot(slot);
    c.b.push(OpKind::KvWrite { k, v: y, pos, seq, slot }, vec![]);
    let mask = Mask::Causal { window: Some(16) };
    let attention = OpKind::Attention { q, pos, seq, slot, n_heads: 2, scale: 0.3, mask, soft_cap: None, sinks: None };
    c.b.op("attended", Rows::T, 128, attention);
    let sum = c.b.op("sum", Rows::T, width, OpKind::Add { a: x, b: y, scale: 0.5 });
    c.b.op("glu", Rows::T, width, OpKind::Glu { gate: sum, up: y, act: Activation::Silu });
    c.b.op("act", Rows::T, width, OpKind::Act { x: sum, act: Activation::GeluTanh });
    c.b.op("scaled", Rows::T, width, OpKind::Scale { x: sum, scale: 1.5 });
    c.b.op("capped", Rows::T, width, OpKind::SoftCap { x: sum, cap: 0.5 });
    c.b.op("gathered", Rows::R, width, OpKind::GatherRows { x: sum, rows: out_rows });
    c.finish()
}

/// Programs whose kernels are validated.
pub(crate) fn programs() -> Vec<Model> {
    vec![every_op()]
}

fn batches() -> Vec<Tokens> {
    vec![Tokens::run(0, 40).with_outputs(&[3, 1]), Tokens::run(40, 1)]
}

#[test]
fn intact_kernels_show_no_difference() {
    let model = every_op();
    let mut executor = model.on_gpu(&gpu(), PlanOptions::default()).expect("a program the GPU runs");
    assert_eq!(first_difference(&model, &mut executor, &batches(), SOFT).expect("traces"), None);
}

#[test]
fn a_broken_op_is_named() {
    let (hardware, software) = (gpu(), gpu_without(&[]));
    let model = every_op();
    let has_lane_rows = hardware.is_software() && !hardware.adapter.name.contains("llvmpipe");
    for (file, from, to, op) in MUTATIONS {
        let file = if file == EPILOGUE && has_lane_rows { LANE_ROWS } else { file };
        let text = FILES.iter().find(|(name, _)| *name == file).unwrap_or_else(|| panic!("no file {file}")).1;
        assert!(text.contains(from), "{file} does not contain {from:?}");
        let mut options = PlanOptions::default();
        options.shaders.replace(file, text.replace(from, to));
        let gpu = if file == SOFTWARE_ATTENTION { &software } else { &hardware };
        let mut executor = model.on_gpu(gpu, options).expect("the broken kernel compiles");
        let difference = first_difference(&model, &mut executor, &batches(), SOFT).expect("traces");
        assert_eq!(difference.map(|(name, _)| name), Some(op), "{file}: {from} → {to}");
    }
}

#[test]
fn a_write_past_the_end_is_seen() {
    let text = FILES.iter().find(|(name, _)| *name == "ops/elementwise.wgsl").expect("the file").1;
    let mut options = PlanOptions::default();
    let broken = text.replace("min(start + SPAN, N_ROWS * COLS)", "min(start + SPAN, N_ROWS * COLS + 1u)");
    assert_ne!(text, broken);
    options.shaders.replace("ops/elementwise.wgsl", broken);
    let model = every_op();
    let mut executor = model.on_gpu(&gpu(), options).expect("the broken kernel compiles");
    let error = first_difference(&model, &mut executor, &batches(), SOFT).expect_err("a sentinel was overwritten");
    assert!(error.to_string().contains("outside"), "{error}");
}
