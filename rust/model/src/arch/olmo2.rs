//! OLMo 2: norms after the blocks instead of before them, and on all columns of Q and K together.

use chord_program::{Activation, RopePairing};

use crate::ModelError;
use crate::lowering::{Attend, Lowering};

pub(crate) fn lower(m: &mut Lowering<'_>) -> Result<(), ModelError> {
    m.refuse("expert_count", Some(m.h.n_expert))?;
    m.refuse("attention.sliding_window", m.h.window)?;
    let (n_embd, q_cols, k_cols, v_cols) = (m.h.n_embd, m.h.q_cols(), m.h.k_cols(), m.h.v_cols());
    let attend = Attend { scale: m.h.attention_scale(), window: None };
    let table = m.rope_table(m.h.rope_theta, m.h.rope_scaling.factor);

    let mut x = m.embed("inp_embd", 1.0)?;
    for layer in 0..m.h.n_layer {
        m.layer(layer);
        let q = m.biased("Qcur", x, "attn_q", q_cols)?;
        let k = m.biased("Kcur", x, "attn_k", k_cols)?;
        let v = m.biased("Vcur", x, "attn_v", v_cols)?;
        let q = m.norm("Qcur_normed", q, "attn_q_norm")?;
        let k = m.norm("Kcur_normed", k, "attn_k_norm")?;
        let q = m.rope("Qcur.1", q, table, RopePairing::Halves);
        let k = m.rope("Kcur.1", k, table, RopePairing::Halves);
        let heads = m.attention("kqv_out", [q, k, v], attend);
        let attn = m.linear("attn_out", heads, "attn_output", n_embd)?;
        let attn = m.norm("attn_post_norm", attn, "post_attention_norm")?;
        let mid = m.add("ffn_inp", x, attn);

        let ffn = m.gated_ffn(mid, Activation::Silu, "ffn_swiglu")?;
        // The reference does not number this one by layer, only by occurrence.
        let name = if layer == 0 { "=ffn_post_norm".to_owned() } else { format!("=ffn_post_norm.{layer}") };
        let ffn = m.norm(&name, ffn, "post_ffw_norm")?;
        x = m.add("l_out", mid, ffn);
    }
    m.logits(x, None)
}
