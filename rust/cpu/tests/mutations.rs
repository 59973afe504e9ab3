//! Programs broken on purpose: comparing activations with the reference's must name the op that was broken.
//!
//! Only ops that these models use have reference activations; `ops.rs` checks the others against their definition.

mod support;

use chord_program::{Activation, Gating, KvType, Mask, OpKind, Program, RopePairing};
use chord_testkit::Recipe;
use chord_testkit::compare::NMSE_F32_KV;
use support::{compare_trace, executor, lower, options};

/// Breaks the op that writes `broken` (or, for ops without output, the first one for which `breaks` returns true), and
/// expects the first buffer out of tolerance to be `named`.
fn check(recipe: &str, broken: Option<&str>, named: &str, breaks: impl Fn(&Program, &mut OpKind) -> bool) {
    let recipe = Recipe::named(recipe);
    let (file, golden) = (recipe.file(), recipe.golden());
    let mut program = lower(&file, &options(KvType::F32, golden.n_ctx));
    let original = program.clone();
    let index = (0..program.ops.len())
        .find(|&index| {
            let op = &mut program.ops[index];
            let is_wanted = match broken {
                Some(name) => op.outputs.iter().any(|id| original.buffer(*id).name == name),
                None => true,
            };
            is_wanted && breaks(&original, &mut op.kind)
        })
        .expect("an op to break");
    assert_ne!(program, original, "the op was not changed");
    let compared = compare_trace(&mut executor(&file, program), &recipe.trace());
    let first = compared.iter().find(|(_, _, nmse)| *nmse > NMSE_F32_KV);
    let (op, name, nmse) = first.unwrap_or_else(|| panic!("{broken:?} was broken and nothing shows it"));
    println!("{broken:?}: {name} {nmse:.1e}");
    assert_eq!(name, named, "op {index} was broken, op {op} stands out first");
}

/// Changes a field that a pattern binds, and returns whether the pattern matched.
macro_rules! set {
    ($pattern:pat => $change:expr) => {
        |_: &Program, kind: &mut OpKind| {
            let $pattern = kind else { return false };
            $change;
            true
        }
    };
}

#[test]
fn embed_scale() {
    check("gemma3", Some("inp_scaled"), "inp_scaled", set!(OpKind::Embed { scale, .. } => *scale *= 1.01));
}

#[test]
fn norm_epsilon() {
    // Against activations of size 1 smaller changes drown in rounding; `ops.rs` and the snapshots pin the exact value.
    check("llama", Some("attn_norm-0"), "attn_norm-0", set!(OpKind::RmsNorm { eps, .. } => *eps *= 100.0));
    check("gemma3", Some("ffn_post_norm-0"), "ffn_post_norm-0", set!(OpKind::RmsNorm { eps, .. } => *eps *= 1e4));
}

#[test]
fn norm_weight() {
    check("llama", Some("ffn_norm-1"), "ffn_norm-1", set!(OpKind::RmsNorm { weight, .. } => *weight = None));
    check("gemma3", Some("Qcur_normed-1"), "Qcur_normed-1", set!(OpKind::RmsNorm { weight, .. } => *weight = None));
}

#[test]
fn norm_group() {
    let breaks = set!(OpKind::RmsNorm { group, .. } => *group = 32);
    check("olmo2", Some("Qcur_normed-0"), "Qcur_normed-0", breaks);
}

#[test]
fn norm_order() {
    // The network reads what came before its norm.
    check("llama", Some("ffn_gate-0"), "ffn_gate-0", |program, kind| {
        let OpKind::MatMul { x, .. } = kind else { return false };
        let before = program.buffers.iter().position(|b| b.name == "ffn_inp-0").expect("the residual");
        *x = chord_program::BufferId(before as u32);
        true
    });
}

#[test]
fn matmul_scale() {
    check("llama", Some("attn_out-1"), "attn_out-1", set!(OpKind::MatMul { scale, .. } => *scale = 0.99));
}

#[test]
fn matmul_bias() {
    check("qwen2", Some("Kcur-1.1"), "Kcur-1.1", set!(OpKind::MatMul { bias, .. } => *bias = None));
}

#[test]
fn matmul_weight() {
    check("llama", Some("Vcur-0"), "Vcur-0", |program, kind| {
        let OpKind::MatMul { weight, .. } = kind else { return false };
        let other = program.weights.iter().position(|w| w.name == "blk.0.attn_k.weight").expect("the other tensor");
        weight.weight = chord_program::WeightId(other as u32);
        true
    });
}

#[test]
fn expert_matmul_weight() {
    check("olmoe", Some("ffn_moe_gate-0"), "ffn_moe_gate-0", |program, kind| {
        let OpKind::MatMulId { weight, .. } = kind else { return false };
        let other = program.weights.iter().position(|w| w.name == "blk.0.ffn_up_exps.weight").expect("the tensor");
        weight.weight = chord_program::WeightId(other as u32);
        true
    });
}

#[test]
fn residual_scale() {
    check("llama", Some("ffn_inp-0"), "ffn_inp-0", set!(OpKind::Add { scale, .. } => *scale = 0.98));
}

#[test]
fn rope_pairing() {
    let halves = set!(OpKind::Rope { pairing, .. } => *pairing = RopePairing::Halves);
    let interleaved = set!(OpKind::Rope { pairing, .. } => *pairing = RopePairing::Interleaved);
    check("llama", Some("Qcur-0.2"), "Qcur-0.2", halves);
    check("llama", Some("Kcur-1.2"), "Kcur-1.2", halves);
    check("qwen2", Some("Qcur-0.3"), "Qcur-0.3", interleaved);
}

#[test]
fn rope_table() {
    // Layer 0 has a window, and with it the local rotation.
    check("gemma3", Some("Kcur-0.2"), "Kcur-0.2", set!(OpKind::Rope { table, .. } => table.0 = 0));
    check("gemma3", Some("Qcur-1.2"), "Qcur-1.2", set!(OpKind::Rope { table, .. } => table.0 = 1));
}

#[test]
fn rope_of_a_part_of_the_heads() {
    check("llama", Some("Qcur-0.2"), "Qcur-0.2", set!(OpKind::Rope { head_dim, .. } => *head_dim = 64));
}

#[test]
fn keys_and_values_exchanged() {
    check("llama", None, "kqv_out-0", set!(OpKind::KvWrite { k, v, .. } => std::mem::swap(k, v)));
}

#[test]
fn attention_scale() {
    check("llama", Some("kqv_out-0"), "kqv_out-0", set!(OpKind::Attention { scale, .. } => *scale *= 1.05));
}

#[test]
fn attention_mask() {
    let bidirectional = set!(OpKind::Attention { mask, .. } => *mask = Mask::Bidirectional);
    check("llama", Some("kqv_out-0"), "kqv_out-0", bidirectional);
}

#[test]
fn attention_window() {
    for wrong in [None, Some(15), Some(17)] {
        let breaks = set!(OpKind::Attention { mask, .. } => *mask = Mask::Causal { window: wrong });
        check("gemma3", Some("kqv_out-0"), "kqv_out-0", breaks);
    }
}

#[test]
fn attention_soft_cap() {
    check("llama", Some("kqv_out-0"), "kqv_out-0", set!(OpKind::Attention { soft_cap, .. } => *soft_cap = Some(1.0)));
}

#[test]
fn gated_activation() {
    let silu = set!(OpKind::Glu { act, .. } => *act = Activation::Silu);
    let gelu = set!(OpKind::Glu { act, .. } => *act = Activation::GeluTanh);
    check("gemma3", Some("ffn_geglu-1"), "ffn_geglu-1", silu);
    check("llama", Some("ffn_swiglu-1"), "ffn_swiglu-1", gelu);
    let exchanged = set!(OpKind::Glu { gate, up, .. } => std::mem::swap(gate, up));
    check("llama", Some("ffn_swiglu-0"), "ffn_swiglu-0", exchanged);
}

#[test]
fn routing() {
    for wrong in [Gating::Softmax { renormalize: true }, Gating::Sigmoid { renormalize: false }] {
        let breaks = set!(OpKind::Route { gating, .. } => *gating = wrong);
        check("olmoe", Some("ffn_moe_topk-0"), "ffn_moe_weights-0", breaks);
    }
    check("olmoe", Some("ffn_moe_topk-1"), "ffn_moe_weights-1", set!(OpKind::Route { scale, .. } => *scale = 1.01));
}

#[test]
fn mixing_of_experts() {
    check("olmoe", Some("ffn_moe_out-0"), "ffn_moe_out-0", |program, kind| {
        let OpKind::CombineExperts { x, .. } = kind else { return false };
        let other = program.buffers.iter().position(|b| b.name == "ffn_moe_swiglu-0").expect("a buffer of that shape");
        *x = chord_program::BufferId(other as u32);
        true
    });
}

#[test]
fn gathered_rows() {
    check("llama", Some("result_inp"), "result_norm", |program, kind| {
        let OpKind::GatherRows { rows, .. } = kind else { return false };
        *rows = program.inputs[1];
        true
    });
}
