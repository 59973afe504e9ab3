//! The numbers of a model, read from metadata and checked once.

use chord_gguf::Header;

use crate::ModelError;
use crate::keys::{Keys, MAX_CTX};
use crate::rope::{self, RopeScaling};

/// Llama 3.1 405B has 128.
const MAX_HEADS: u32 = 1024;
/// Gemma and Qwen use 256, latent attention 576.
const MAX_HEAD_DIM: u32 = 4096;
/// Llama 3.1 405B has 16,384.
const MAX_EMBD: u32 = 1 << 18;
/// Llama 3.1 405B has 53,248.
const MAX_FF: u32 = 1 << 20;
/// Gemma has 262,144.
const MAX_VOCAB: u32 = 1 << 22;
/// Kimi K2 has 384.
const MAX_EXPERTS: u32 = 4096;

/// The numbers of a model, every one checked against its limits.
#[derive(Clone, Debug, PartialEq)]
pub struct Hyperparameters {
    /// What `general.architecture` says.
    pub architecture: String,
    /// Rows of the token embedding.
    pub n_vocab: u32,
    /// Context length trained for.
    pub n_ctx_train: u32,
    /// Columns of the residual stream.
    pub n_embd: u32,
    /// Layers that compute the answer.
    pub n_layer: u32,
    /// Layers of the file: those after the layers for the answer may predict further tokens.
    pub n_block: u32,
    /// Columns of the feed-forward network (of one expert, where there are experts).
    pub n_ff: u32,
    /// Query heads.
    pub n_head: u32,
    /// Key and value heads; divides `n_head`.
    pub n_kv_head: u32,
    /// Columns of a query or key head.
    pub k_dim: u32,
    /// Columns of a value head.
    pub v_dim: u32,
    /// Columns of a head that are rotated; even.
    pub n_rot: u32,
    /// Base of the rotation's frequencies.
    pub rope_theta: f64,
    /// Stretching of the rotation.
    pub rope_scaling: RopeScaling,
    /// Added to the mean square in norms.
    pub norm_eps: f32,
    /// Sliding window of the layers that have one, in positions.
    pub window: Option<u32>,
    /// Experts, 0 for a dense model.
    pub n_expert: u32,
    /// Experts a token is routed to.
    pub n_expert_used: u32,
}

impl Hyperparameters {
    /// Reads the hyperparameters of any architecture that names its keys in the usual way.
    pub fn from_header(header: &Header) -> Result<Self, ModelError> {
        let keys = Keys::new(header)?;
        let n_embd = keys.count("embedding_length", MAX_EMBD)?;
        let (n_layer, n_block) = keys.layers()?;
        let n_head = keys.layers_count("attention.head_count", MAX_HEADS, n_block)?;
        let n_kv_head = keys.optional_layers_count("attention.head_count_kv", MAX_HEADS, n_block)?.unwrap_or(n_head);
        if n_head % n_kv_head != 0 {
            return Err(keys.inconsistent(
                ("attention.head_count", n_head),
                ("attention.head_count_kv", n_kv_head),
                "query heads must be a multiple of key and value heads",
            ));
        }
        let k_dim = match keys.optional_count("attention.key_length", MAX_HEAD_DIM)? {
            Some(dim) => dim,
            None if n_embd % n_head == 0 => n_embd / n_head,
            None => {
                return Err(keys.inconsistent(
                    ("embedding_length", n_embd),
                    ("attention.head_count", n_head),
                    "without attention.key_length the heads must divide the columns",
                ));
            }
        };
        let n_rot = keys.optional_count("rope.dimension_count", MAX_HEAD_DIM)?.unwrap_or(k_dim);
        if n_rot > k_dim || n_rot % 2 != 0 {
            return Err(keys.inconsistent(
                ("rope.dimension_count", n_rot),
                ("attention.key_length", k_dim),
                "an even number of a head's columns can be rotated",
            ));
        }
        let n_expert = keys.optional_count("expert_count", MAX_EXPERTS)?.unwrap_or(0);
        let n_expert_used = if n_expert == 0 { 0 } else { keys.layers_count("expert_used_count", n_expert, n_block)? };
        let expert_ff = keys.optional_layers_count("expert_feed_forward_length", MAX_FF, n_block)?;
        let n_ff = match expert_ff.filter(|_| n_expert > 0) {
            Some(n_ff) => n_ff,
            None => keys.layers_count("feed_forward_length", MAX_FF, n_block)?,
        };
        let n_ctx_train = keys.count("context_length", MAX_CTX)?;
        Ok(Hyperparameters {
            n_vocab: vocabulary(header)?,
            n_ctx_train,
            n_embd,
            n_layer,
            n_block,
            n_ff,
            n_head,
            n_kv_head,
            k_dim,
            v_dim: keys.optional_count("attention.value_length", MAX_HEAD_DIM)?.unwrap_or(k_dim),
            n_rot,
            rope_theta: rope::theta(&keys, "rope.freq_base")?.unwrap_or(10_000.0),
            rope_scaling: RopeScaling::from_keys(&keys, n_ctx_train)?,
            norm_eps: keys.number("attention.layer_norm_rms_epsilon", 0.0, 1.0)? as f32,
            window: keys.optional_count("attention.sliding_window", MAX_CTX)?,
            n_expert,
            n_expert_used,
            architecture: keys.architecture,
        })
    }

    /// Columns of all query heads.
    pub fn q_cols(&self) -> u32 {
        self.n_head * self.k_dim
    }

    /// Columns of all key heads.
    pub fn k_cols(&self) -> u32 {
        self.n_kv_head * self.k_dim
    }

    /// Columns of all value heads.
    pub fn v_cols(&self) -> u32 {
        self.n_kv_head * self.v_dim
    }

    /// The usual factor on attention scores, `1 / √k_dim`.
    pub fn attention_scale(&self) -> f32 {
        (1.0 / f64::from(self.k_dim).sqrt()) as f32
    }
}

/// Unusual ways in which a header gives the numbers of its model; none changes an answer.
pub fn notes(header: &Header) -> Vec<String> {
    const MAY_BE_ARRAYS: [&str; 6] = [
        "attention.head_count",
        "attention.head_count_kv",
        "feed_forward_length",
        "expert_feed_forward_length",
        "expert_used_count",
        "attention.sliding_window_pattern",
    ];
    let Ok(keys) = Keys::new(header) else { return Vec::new() };
    let arrays = MAY_BE_ARRAYS.into_iter().filter_map(|name| Some((name, keys.get(name)?.as_array()?)));
    let arrays =
        arrays.map(|(name, array)| format!("{} is given layer by layer ({})", keys.key(name), array.type_name()));
    arrays.chain(rope::notes(&keys)).collect()
}

fn vocabulary(header: &Header) -> Result<u32, ModelError> {
    let name = "token_embd.weight";
    let tensor = header.tensor(name).ok_or_else(|| ModelError::MissingTensor { tensor: name.to_owned() })?;
    match tensor.dims.get(1) {
        Some(&rows) if rows >= 1 && rows <= u64::from(MAX_VOCAB) => Ok(rows as u32),
        _ => Err(ModelError::OutOfRange {
            key: format!("{name} rows"),
            found: tensor.dims.get(1).copied().unwrap_or(0) as f64,
            min: 1.0,
            max: f64::from(MAX_VOCAB),
        }),
    }
}
