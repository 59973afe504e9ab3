//! OLMoE: pre-norm, norms on all columns of Q and K together, and a mixture of experts whose weights are the soft-max
//! over all experts, not renormalized.

use chord_program::{Activation, Gating, RopePairing};

use crate::ModelError;
use crate::lowering::{Attend, Lowering};

pub(crate) fn lower(m: &mut Lowering<'_>) -> Result<(), ModelError> {
    m.require("expert_count", m.h.n_expert)?;
    let (n_embd, q_cols, k_cols, v_cols) = (m.h.n_embd, m.h.q_cols(), m.h.k_cols(), m.h.v_cols());
    let attend = Attend { scale: m.h.attention_scale(), window: None };
    let table = m.rope_table(m.h.rope_theta, m.h.rope_scaling.factor);

    let mut x = m.embed("inp_embd", 1.0)?;
    for layer in 0..m.h.n_layer {
        m.layer(layer);
        let normed = m.norm("attn_norm", x, "attn_norm")?;
        let q = m.biased("Qcur", normed, "attn_q", q_cols)?;
        let k = m.biased("Kcur", normed, "attn_k", k_cols)?;
        let v = m.biased("Vcur", normed, "attn_v", v_cols)?;
        let q = m.norm("Qcur_normed", q, "attn_q_norm")?;
        let k = m.norm("Kcur_normed", k, "attn_k_norm")?;
        let q = m.rope("Qcur.1", q, table, RopePairing::Halves);
        let k = m.rope("Kcur.1", k, table, RopePairing::Halves);
        let heads = m.attention("kqv_out", [q, k, v], attend);
        let attn = m.linear("attn_out", heads, "attn_output", n_embd)?;
        let mid = m.add("ffn_inp", x, attn);

        let normed = m.norm("ffn_norm", mid, "ffn_norm")?;
        let ffn = m.expert_ffn(normed, Activation::Silu, Gating::Softmax { renormalize: false })?;
        x = m.add("l_out", mid, ffn);
    }
    m.logits(x, None)
}
