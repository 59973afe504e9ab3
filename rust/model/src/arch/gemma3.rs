//! Gemma 3: norms before and after each block and on the heads of Q and K. Of every six layers, five have a sliding
//! window and a rotation of their own; the sixth attends to the whole context. Stored norm weights already include the
//! `+ 1`.

use chord_program::{Activation, RopePairing};

use crate::lowering::{Attend, Lowering};
use crate::{ModelError, rope};

/// Every sixth layer attends to the whole context.
const WINDOW_PERIOD: u32 = 6;
/// Rotation of the layers with a window.
const WINDOW_THETA: f64 = 10_000.0;
/// The 27B model, the only one with this many layers, scales its scores by `1 / √(n_embd / n_head)`.
const LAYERS_27B: u32 = 62;

pub(crate) fn lower(m: &mut Lowering<'_>) -> Result<(), ModelError> {
    m.refuse("expert_count", Some(m.h.n_expert))?;
    let (n_embd, q_cols, k_cols, v_cols) = (m.h.n_embd, m.h.q_cols(), m.h.k_cols(), m.h.v_cols());
    let k_dim = m.h.k_dim;
    let scale = match m.h.n_layer {
        LAYERS_27B => (1.0 / f64::from(n_embd / m.h.n_head).sqrt()) as f32,
        _ => m.h.attention_scale(),
    };
    let has_window = m.keys()?.windowed_layers("attention.sliding_window_pattern", m.h.n_block, WINDOW_PERIOD)?;
    m.refuse_other("attention.key_length_swa", k_dim)?;
    m.refuse_other("attention.value_length_swa", m.h.v_dim)?;
    m.refuse_other("rope.dimension_count_swa", m.h.n_rot)?;
    let window_theta = rope::theta(&m.keys()?, "rope.freq_base_swa")?.unwrap_or(WINDOW_THETA);
    let soft_cap = m.keys()?.optional_number("final_logit_softcapping", 1e-3, 1e6)?.map(|cap| cap as f32);
    let global_table = m.rope_table(m.h.rope_theta, m.h.rope_scaling.factor);
    let window_table = m.rope_table(window_theta, 1.0);

    let mut x = m.embed("inp_scaled", (n_embd as f32).sqrt())?;
    for layer in 0..m.h.n_layer {
        m.layer(layer);
        let window = m.h.window.filter(|_| has_window[layer as usize]);
        let table = if window.is_some() { window_table } else { global_table };
        let normed = m.norm("attn_norm", x, "attn_norm")?;
        let q = m.biased("Qcur", normed, "attn_q", q_cols)?;
        let k = m.biased("Kcur", normed, "attn_k", k_cols)?;
        let v = m.biased("Vcur", normed, "attn_v", v_cols)?;
        let q = m.norm_heads("Qcur_normed", q, "attn_q_norm", k_dim)?;
        let k = m.norm_heads("Kcur_normed", k, "attn_k_norm", k_dim)?;
        let q = m.rope("Qcur.2", q, table, RopePairing::Halves);
        let k = m.rope("Kcur.2", k, table, RopePairing::Halves);
        let heads = m.attention("kqv_out", [q, k, v], Attend { scale, window });
        let attn = m.linear("attn_out", heads, "attn_output", n_embd)?;
        let attn = m.norm("attn_post_norm", attn, "post_attention_norm")?;
        let mid = m.add("sa_out", x, attn);

        let normed = m.norm("ffn_norm", mid, "ffn_norm")?;
        let ffn = m.gated_ffn(normed, Activation::GeluTanh, "ffn_geglu")?;
        let ffn = m.norm("ffn_post_norm", ffn, "post_ffw_norm")?;
        x = m.add("l_out", mid, ffn);
    }
    m.logits(x, soft_cap)
}
