//! The numbers of a model, read from metadata and checked once.

use chord_gguf::{Header, Value};

use crate::ModelError;

/// Llama 3.1 405B has 126.
const MAX_LAYERS: u32 = 1024;
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
/// Llama 4 Scout was trained for 10,485,760.
const MAX_CTX: u32 = 1 << 26;

/// How positions are stretched beyond the length that the rotation was first trained for.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum RopeScaling {
    /// Not at all.
    None,
    /// Every angle divided by the factor.
    Linear(f64),
}

impl RopeScaling {
    /// What every angle is divided by.
    pub fn divisor(self) -> f64 {
        match self {
            RopeScaling::None => 1.0,
            RopeScaling::Linear(factor) => factor,
        }
    }
}

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
    /// Layers.
    pub n_layer: u32,
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
        let n_head = keys.count("attention.head_count", MAX_HEADS)?;
        let n_kv_head = keys.optional_count("attention.head_count_kv", MAX_HEADS)?.unwrap_or(n_head);
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
        let n_expert_used = if n_expert == 0 { 0 } else { keys.count("expert_used_count", n_expert)? };
        let expert_ff = keys.optional_count("expert_feed_forward_length", MAX_FF)?.filter(|_| n_expert > 0);
        Ok(Hyperparameters {
            n_vocab: vocabulary(header)?,
            n_ctx_train: keys.count("context_length", MAX_CTX)?,
            n_embd,
            n_layer: keys.count("block_count", MAX_LAYERS)?,
            n_ff: expert_ff.map_or_else(|| keys.count("feed_forward_length", MAX_FF), Ok)?,
            n_head,
            n_kv_head,
            k_dim,
            v_dim: keys.optional_count("attention.value_length", MAX_HEAD_DIM)?.unwrap_or(k_dim),
            n_rot,
            rope_theta: keys.optional_number("rope.freq_base", 1.0, 1e12)?.unwrap_or(10_000.0),
            rope_scaling: keys.rope_scaling()?,
            norm_eps: keys.number("attention.layer_norm_rms_epsilon", 0.0, 1.0)? as f32,
            window: keys.optional_count_or_zero("attention.sliding_window", MAX_CTX)?,
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

/// Metadata of one architecture, by keys without its prefix.
pub(crate) struct Keys<'a> {
    header: &'a Header,
    architecture: String,
}

impl<'a> Keys<'a> {
    pub(crate) fn new(header: &'a Header) -> Result<Self, ModelError> {
        Ok(Keys { header, architecture: Keys::architecture_of(header)?.to_owned() })
    }

    /// What `general.architecture` says.
    pub(crate) fn architecture_of(header: &Header) -> Result<&str, ModelError> {
        header.architecture().ok_or_else(|| ModelError::MissingKey { key: "general.architecture".to_owned() })
    }

    fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.architecture)
    }

    fn get(&self, name: &str) -> Option<&'a Value> {
        self.header.metadata.get(&self.key(name))
    }

    fn missing(&self, name: &str) -> ModelError {
        ModelError::MissingKey { key: self.key(name) }
    }

    fn inconsistent(&self, a: (&str, u32), b: (&str, u32), why: &'static str) -> ModelError {
        ModelError::Inconsistent {
            key: self.key(a.0),
            value: a.1.into(),
            other_key: self.key(b.0),
            other: b.1.into(),
            why,
        }
    }

    fn integer(&self, name: &str, min: u32, max: u32) -> Result<Option<u32>, ModelError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let found = value.as_u64().ok_or_else(|| self.wrong_type(name, "a whole number", value))?;
        if found < u64::from(min) || found > u64::from(max) {
            return Err(ModelError::OutOfRange {
                key: self.key(name),
                found: found as f64,
                min: min.into(),
                max: max.into(),
            });
        }
        Ok(Some(found as u32))
    }

    /// A whole number from 1 to `max`.
    fn count(&self, name: &str, max: u32) -> Result<u32, ModelError> {
        self.integer(name, 1, max)?.ok_or_else(|| self.missing(name))
    }

    /// A whole number from 1 to `max`, if the key is there.
    pub(crate) fn optional_count(&self, name: &str, max: u32) -> Result<Option<u32>, ModelError> {
        self.integer(name, 1, max)
    }

    /// The same for keys where 0 means absent.
    fn optional_count_or_zero(&self, name: &str, max: u32) -> Result<Option<u32>, ModelError> {
        Ok(self.integer(name, 0, max)?.filter(|&n| n > 0))
    }

    fn number(&self, name: &str, min: f64, max: f64) -> Result<f64, ModelError> {
        self.optional_number(name, min, max)?.ok_or_else(|| self.missing(name))
    }

    /// A finite number from `min` to `max`, if the key is there.
    pub(crate) fn optional_number(&self, name: &str, min: f64, max: f64) -> Result<Option<f64>, ModelError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let found = value.as_f64().ok_or_else(|| self.wrong_type(name, "a number", value))?;
        if !(min..=max).contains(&found) {
            return Err(ModelError::OutOfRange { key: self.key(name), found, min, max });
        }
        Ok(Some(found))
    }

    fn wrong_type(&self, name: &str, expected: &'static str, found: &Value) -> ModelError {
        ModelError::WrongType { key: self.key(name), expected, found: found.type_name() }
    }

    fn rope_scaling(&self) -> Result<RopeScaling, ModelError> {
        let name = "rope.scaling.type";
        let kind = match self.get(name) {
            None => None,
            Some(value) => Some(value.as_str().ok_or_else(|| self.wrong_type(name, "a string", value))?),
        };
        // Early files have only `rope.scale_linear`.
        let factor = match self.optional_number("rope.scaling.factor", 0.0, 1e6)? {
            Some(factor) => Some(factor),
            None => self.optional_number("rope.scale_linear", 0.0, 1e6)?,
        };
        match (kind, factor.filter(|&f| f > 0.0)) {
            (Some("none"), _) | (None | Some("linear"), None) => Ok(RopeScaling::None),
            (None | Some("linear"), Some(factor)) => Ok(RopeScaling::Linear(factor)),
            (Some(other), _) => Err(ModelError::UnsupportedValue { key: self.key(name), value: other.to_owned() }),
        }
    }
}
