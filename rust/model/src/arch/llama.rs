//! Llama 1 to 3, Mistral, TinyLlama, SmolLM2: pre-norm, rotary attention over grouped heads, gated SiLU.
//!
//! Files store Q and K with their rows permuted so that neighbouring columns turn together.

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
        let q = m.biased("Qcur", normed, "attn_q", q_cols)?;
        let k = m.biased("Kcur", normed, "attn_k", k_cols)?;
        let v = m.biased("Vcur", normed, "attn_v", v_cols)?;
        let q = m.rope("Qcur.2", q, table, RopePairing::Interleaved);
        let k = m.rope("Kcur.2", k, table, RopePairing::Interleaved);
        let heads = m.attention("kqv_out", [q, k, v], attend);
        let attn = m.biased("attn_out", heads, "attn_output", n_embd)?;
        let mid = m.add("ffn_inp", x, attn);

        let normed = m.norm("ffn_norm", mid, "ffn_norm")?;
        let ffn = m.biased_gated_ffn(normed, Activation::Silu, "ffn_swiglu")?;
        x = m.add("l_out", mid, ffn);
    }
    m.logits(x, None)
}
