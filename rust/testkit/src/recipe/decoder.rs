//! The decoders that recipes are made of: shapes, metadata and tensors by architecture.

use chord_gguf::{GgmlType, Value};

use super::Recipe;
use super::tensor::TensorRecipe;

/// Every architecture with a recipe.
pub(crate) const ARCHITECTURES: [&str; 5] = ["llama", "gemma3", "qwen2", "olmo2", "olmoe"];

/// Layers of every decoder.
pub(crate) const N_LAYER: u32 = 2;
const N_EXPERT: u32 = 4;
const N_EXPERT_USED: u32 = 2;
/// Size of queries and keys for inputs of size 1: scores must vary enough for a wrong angle to be seen.
const SHARP: f32 = 1.6;

/// Sizes of a decoder.
#[derive(Clone, Debug)]
pub(crate) struct Decoder {
    architecture: &'static str,
    /// Trained length.
    n_ctx: u32,
    /// Positions of a window, where a layer has one.
    window: u32,
    n_vocab: u32,
    n_embd: u32,
    n_ff: u32,
    n_head: u32,
    n_kv_head: u32,
    head_dim: u32,
    ty: GgmlType,
    /// Whether the file has a divisor for each frequency of the rotation.
    has_factors: bool,
    /// Whether the embedding is the output's matrix too.
    is_tied: bool,
}

impl Decoder {
    /// Two heads of F32 weights and a vocabulary of 128.
    pub(super) fn small(architecture: &'static str) -> Self {
        Decoder {
            architecture,
            // Results have 48 positions.
            n_ctx: 256,
            window: 16,
            n_vocab: 128,
            n_embd: 64,
            n_ff: 96,
            n_head: 2,
            n_kv_head: if architecture == "olmoe" { 2 } else { 1 },
            head_dim: 32,
            ty: GgmlType::F32,
            has_factors: false,
            is_tied: architecture == "gemma3",
        }
    }

    /// Of some kilobytes, whose embedding is the output's matrix too.
    pub(crate) fn tiny(architecture: &'static str, n_vocab: u32) -> Self {
        let sizes = Decoder { n_ctx: 64, window: 4, n_vocab, n_embd: 32, n_ff: 64, ..Decoder::small(architecture) };
        Decoder { n_head: 4, n_kv_head: 2, head_dim: 8, is_tied: true, ..sizes }
    }

    /// With matrices of `ty`, whose rows are whole blocks of every type.
    pub(super) fn of_blocks(architecture: &'static str, ty: GgmlType) -> Self {
        let n_kv_head = if architecture == "olmoe" { 8 } else { 2 };
        Decoder { n_embd: 256, n_ff: 512, n_head: 8, n_kv_head, ty, ..Decoder::small(architecture) }
    }

    /// With keys and values for each head.
    pub(super) fn ungrouped(self) -> Self {
        Decoder { n_kv_head: self.n_head, ..self }
    }

    /// With the embedding as the output's matrix.
    pub(super) fn tied(self) -> Self {
        Decoder { is_tied: true, ..self }
    }

    /// As small as it can be to show how it rotates.
    pub(super) fn for_rope(architecture: &'static str) -> Self {
        Decoder { n_vocab: 64, n_ff: 64, ..Decoder::small(architecture) }
    }

    /// With a divisor for each frequency of the rotation.
    pub(super) fn with_factors(self) -> Self {
        Decoder { has_factors: true, ..self }
    }

    /// The recipe of this name for it.
    pub(super) fn recipe(&self, name: String) -> Recipe {
        Recipe {
            name,
            architecture: self.architecture,
            ty: self.ty,
            metadata: self.metadata(),
            tensors: self.tensors(),
            betas: None,
            same_as: None,
        }
    }

    /// Metadata, by keys without the architecture.
    pub(crate) fn metadata(&self) -> Vec<(String, Value)> {
        let mut metadata = vec![
            ("vocab_size", Value::U32(self.n_vocab)),
            ("context_length", Value::U32(self.n_ctx)),
            ("embedding_length", Value::U32(self.n_embd)),
            ("block_count", Value::U32(N_LAYER)),
            ("feed_forward_length", Value::U32(self.n_ff)),
            ("attention.head_count", Value::U32(self.n_head)),
            ("attention.head_count_kv", Value::U32(self.n_kv_head)),
            ("attention.key_length", Value::U32(self.head_dim)),
            ("attention.value_length", Value::U32(self.head_dim)),
            ("attention.layer_norm_rms_epsilon", Value::F32(1e-6)),
        ];
        match self.architecture {
            "gemma3" => metadata.extend([
                ("attention.sliding_window", Value::U32(self.window)),
                // Of two layers the first has the window.
                ("attention.sliding_window_pattern", Value::U32(2)),
            ]),
            "olmoe" => metadata
                .extend([("expert_count", Value::U32(N_EXPERT)), ("expert_used_count", Value::U32(N_EXPERT_USED))]),
            _ => {}
        }
        metadata.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }

    pub(crate) fn tensors(&self) -> Vec<TensorRecipe> {
        let (n_embd, n_ff) = (self.n_embd, self.n_ff);
        let mut tensors = vec![self.matrix("token_embd", &[n_embd, self.n_vocab], 1.0)];
        if self.has_factors {
            let factors = TensorRecipe::matrix("rope_freqs", &[self.head_dim / 2], 0.0);
            tensors.push(TensorRecipe { reach: 0.5, around: 1.5, ..factors });
        }
        for layer in 0..N_LAYER {
            self.attention(layer, &mut tensors);
            let ffn: &[(&str, &[u32])] = if self.architecture == "olmoe" {
                &[
                    ("ffn_gate_inp", &[n_embd, N_EXPERT]),
                    ("ffn_gate_exps", &[n_embd, n_ff, N_EXPERT]),
                    ("ffn_up_exps", &[n_embd, n_ff, N_EXPERT]),
                    ("ffn_down_exps", &[n_ff, n_embd, N_EXPERT]),
                ]
            } else {
                &[("ffn_gate", &[n_embd, n_ff]), ("ffn_up", &[n_embd, n_ff]), ("ffn_down", &[n_ff, n_embd])]
            };
            tensors.extend(ffn.iter().map(|(name, dims)| self.matrix(&format!("blk.{layer}.{name}"), dims, 1.0)));
            self.norms(layer, &mut tensors);
        }
        tensors.push(TensorRecipe::norm("output_norm", n_embd, 1.0));
        if !self.is_tied {
            tensors.push(self.matrix("output", &[n_embd, self.n_vocab], 2.0));
        }
        tensors
    }

    fn attention(&self, layer: u32, tensors: &mut Vec<TensorRecipe>) {
        let (q_cols, kv_cols) = (self.n_head * self.head_dim, self.n_kv_head * self.head_dim);
        let name = |name: &str| format!("blk.{layer}.{name}");
        tensors.extend([
            self.matrix(&name("attn_q"), &[self.n_embd, q_cols], SHARP),
            self.matrix(&name("attn_k"), &[self.n_embd, kv_cols], SHARP),
            self.matrix(&name("attn_v"), &[self.n_embd, kv_cols], 1.0),
            self.matrix(&name("attn_output"), &[q_cols, self.n_embd], 1.0),
        ]);
        if self.architecture == "qwen2" {
            let biases = [("attn_q", q_cols), ("attn_k", kv_cols), ("attn_v", kv_cols)];
            tensors.extend(biases.map(|(part, cols)| TensorRecipe::bias(&name(part), cols)));
        }
    }

    fn norms(&self, layer: u32, tensors: &mut Vec<TensorRecipe>) {
        let mut norm = |name: &str, cols, around| {
            tensors.push(TensorRecipe::norm(&format!("blk.{layer}.{name}"), cols, around));
        };
        if self.architecture != "olmo2" {
            norm("attn_norm", self.n_embd, 1.0);
            norm("ffn_norm", self.n_embd, 1.0);
        }
        if matches!(self.architecture, "olmo2" | "gemma3") {
            norm("post_attention_norm", self.n_embd, 1.0);
            norm("post_ffw_norm", self.n_embd, 1.0);
        }
        let normed = match self.architecture {
            "gemma3" => Some((self.head_dim, self.head_dim)),
            "olmo2" | "olmoe" => Some((self.n_head * self.head_dim, self.n_kv_head * self.head_dim)),
            _ => None,
        };
        if let Some((q_cols, k_cols)) = normed {
            norm("attn_q_norm", q_cols, SHARP);
            norm("attn_k_norm", k_cols, SHARP);
        }
    }

    fn matrix(&self, name: &str, dims: &[u32], gain: f32) -> TensorRecipe {
        TensorRecipe { ty: self.ty, ..TensorRecipe::matrix(name, dims, gain) }
    }
}
