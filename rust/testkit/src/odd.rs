//! Tiny models that are odd in one way each, and what a verdict and a load must both say of them.

use chord_gguf::{Array, Value};

use crate::TinyModel;

/// A model that is odd.
#[derive(Clone, Debug)]
pub struct Odd {
    /// Its name.
    pub name: &'static str,
    /// The model.
    pub model: TinyModel,
    /// `fits`, or the code that it is refused with.
    pub verdict: &'static str,
}

fn text(value: &str) -> Value {
    Value::String(value.to_owned())
}

/// All of them, and a few that are not odd.
pub fn odd_models() -> Vec<Odd> {
    let llama = TinyModel::llama;
    let template = |source: &str| llama().with("tokenizer.chat_template", text(source));
    let bpe = |pre: &str| llama().with_bpe(Some(pre));
    let heads = |numbers: Vec<u32>| llama().with("attention.head_count", Value::Array(Array::U32(numbers)));
    let flags = Value::Array(Array::Bool(vec![true, false]));
    let experts = llama().with("expert_count", Value::U32(4)).with("expert_used_count", Value::U32(2));
    let no_experts = llama().with("expert_count", Value::U32(0)).with("expert_used_count", Value::U32(0));
    let t5 = llama().with("general.architecture", text("t5")).with("tokenizer.ggml.model", text("t5"));
    let mut trailing = llama();
    trailing.trailing_bytes = 64;
    [
        ("plain", llama(), "fits"),
        ("gemma3", TinyModel::of("gemma3"), "fits"),
        ("olmo2", TinyModel::of("olmo2"), "fits"),
        ("olmoe", TinyModel::of("olmoe"), "fits"),
        ("counts-of-0", no_experts, "fits"),
        ("equal-heads", heads(vec![4, 4]), "fits"),
        ("unequal-heads", heads(vec![4, 8]), "unsupported-value"),
        ("window-flags", TinyModel::of("gemma3").with("attention.sliding_window_pattern", flags), "fits"),
        ("trailing-bytes", trailing, "fits"),
        ("bpe", bpe("gpt-2"), "fits"),
        ("bpe-default", bpe("default"), "fits"),
        ("bpe-unsaid", llama().with_bpe(None), "fits"),
        ("tekken", bpe("tekken"), "unknown-pre-tokenizer"),
        ("deepseek-llm", bpe("deepseek-llm"), "unknown-pre-tokenizer"),
        ("gpt-4o", bpe("gpt-4o"), "unknown-pre-tokenizer"),
        ("other-tokenizer", llama().with("tokenizer.ggml.model", text("t5")), "unknown-tokenizer-model"),
        ("no-tokens", llama().without("tokenizer.ggml.tokens"), "metadata-missing"),
        ("same-token-twice", llama().with_token(TinyModel::TOKENS as usize - 1, "z"), "duplicate-token"),
        ("template", template("{{ messages[0].content }}"), "fits"),
        ("template-cut-off", template("{{ messages"), "template-error"),
        ("template-bad-tag", template("{% for %}"), "template-error"),
        ("template-of-a-number", llama().with("tokenizer.chat_template", Value::U32(1)), "metadata-wrong-type"),
        ("output-bias", llama().with_tensor("output.bias", &[TinyModel::TOKENS]), "unread-tensor"),
        ("scale", llama().with_tensor("blk.0.attn_q.scale", &[1]), "unread-tensor"),
        ("input-scale", llama().with_tensor("blk.0.attn_q.input_scale", &[1]), "fits"),
        ("vision", llama().with_tensor("v.blk.0.attn_q.weight", &[32, 32]), "fits"),
        ("few-rope-factors", llama().with_tensor("rope_freqs.weight", &[3]), "tensor-values"),
        ("experts", experts, "unsupported-value"),
        ("other-architecture", llama().with("general.architecture", text("mamba")), "unsupported-architecture"),
        // A missing page is reported before anything else that is missing.
        ("other-in-all", t5, "unsupported-architecture"),
        ("no-architecture", llama().without("general.architecture"), "missing-key"),
        ("no-layers", llama().without("block_count"), "missing-key"),
    ]
    .map(|(name, model, verdict)| Odd { name, model, verdict })
    .into()
}
