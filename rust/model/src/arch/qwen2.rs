//! Qwen 2 and 2.5: the usual decoder with biases on Q, K and V, and halves of a head turned together.

use chord_program::{Activation, RopePairing};

use crate::ModelError;
use crate::lowering::{Attend, Lowering};

pub(crate) fn lower(m: &mut Lowering<'_>) -> Result<(), ModelError> {
    m.refuse("expert_count", Some(m.h.n_expert))?;
    let (n_embd, q_cols, k_cols, v_cols) = (m.h.n_embd, m.h.q_cols(), m.h.k_cols(), m.h.v_cols());
    let attend = Attend { scale: m.h.attention_scale(), window: None };
    let table = m.rope_table(m.h.rope_theta, m.h.rope_scaling.factor);

    let mut x = m.embed("inp_embd", 1.0)?;
    for layer in 0..m.h.n_layer {
        m.layer(layer);
        let normed = m.norm("attn_norm", x, "attn_norm")?;
        let q = m.biased("Qcur.1", normed, "attn_q", q_cols)?;
        let k = m.biased("Kcur.1", normed, "attn_k", k_cols)?;
        let v = m.biased("Vcur.1", normed, "attn_v", v_cols)?;
        let q = m.rope("Qcur.3", q, table, RopePairing::Halves);
        let k = m.rope("Kcur.3", k, table, RopePairing::Halves);
        let heads = m.attention("kqv_out", [q, k, v], attend);
        let attn = m.linear("attn_out", heads, "attn_output", n_embd)?;
        let mid = m.add("ffn_inp", x, attn);

        let normed = m.norm("ffn_norm", mid, "ffn_norm")?;
        let ffn = m.gated_ffn(normed, Activation::Silu, "ffn_swiglu")?;
        x = m.add("l_out", mid, ffn);
    }
    m.biased_logits(x)
}
