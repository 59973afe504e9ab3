//! The numbers of a model, read from metadata and checked once.

use chord_gguf::{Array, Header, Value};

use crate::{ModelError, RopeScaling, rope};

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
pub(crate) const MAX_CTX: u32 = 1 << 26;

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
    /// Layers that the answer is computed with.
    pub n_layer: u32,
    /// Layers of the file: some behind those for the answer may predict further tokens.
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

/// Unusual ways in which a header gives the numbers of its model, without effect.
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

    pub(crate) fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.architecture)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&'a Value> {
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
        self.get(name).map(|value| self.integer_of(name, value, value, min, max)).transpose()
    }

    /// `element` as a whole number; `value` is what the key holds.
    fn integer_of(&self, name: &str, value: &Value, element: &Value, min: u32, max: u32) -> Result<u32, ModelError> {
        let found = element.as_u64().ok_or_else(|| self.wrong_type(name, "a whole number", value))?;
        if found < u64::from(min) || found > u64::from(max) {
            return Err(ModelError::OutOfRange {
                key: self.key(name),
                found: found as f64,
                min: min.into(),
                max: max.into(),
            });
        }
        Ok(found as u32)
    }

    /// A whole number from 1 to `max`.
    fn count(&self, name: &str, max: u32) -> Result<u32, ModelError> {
        self.integer(name, 1, max)?.ok_or_else(|| self.missing(name))
    }

    /// A whole number from 1 to `max`, if the key is there. llama.cpp writes every key it knows, with 0 for what a
    /// model does not have.
    pub(crate) fn optional_count(&self, name: &str, max: u32) -> Result<Option<u32>, ModelError> {
        Ok(self.integer(name, 0, max)?.filter(|&n| n > 0))
    }

    /// As [`Self::count`], for a key that may hold one number for each of `n_block` layers.
    fn layers_count(&self, name: &str, max: u32, n_block: u32) -> Result<u32, ModelError> {
        self.layers_integer(name, 1, max, n_block)?.ok_or_else(|| self.missing(name))
    }

    /// As [`Self::optional_count`], for a key that may hold one number for each of `n_block` layers.
    fn optional_layers_count(&self, name: &str, max: u32, n_block: u32) -> Result<Option<u32>, ModelError> {
        Ok(self.layers_integer(name, 0, max, n_block)?.filter(|&n| n > 0))
    }

    /// One number, or as many equal ones as there are layers. None of the architectures here has layers of several
    /// sizes.
    fn layers_integer(&self, name: &str, min: u32, max: u32, n_block: u32) -> Result<Option<u32>, ModelError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let Some(array) = self.layers_array(name, n_block)? else { return self.integer(name, min, max) };
        let mut first = None;
        for element in (0..array.len()).filter_map(|layer| array.get(layer)) {
            let number = self.integer_of(name, value, &element, min, max)?;
            match first {
                Some(first) if first != number => {
                    let value = format!("[{first}, …, {number}, …]: different numbers in different layers");
                    return Err(ModelError::UnsupportedValue { key: self.key(name), value });
                }
                _ => first = Some(number),
            }
        }
        Ok(first)
    }

    /// The array under `name`, if there is one; it has as many elements as there are layers.
    fn layers_array(&self, name: &str, n_block: u32) -> Result<Option<&'a Array>, ModelError> {
        let Some(array) = self.get(name).and_then(Value::as_array) else { return Ok(None) };
        if array.len() as u64 == u64::from(n_block) {
            return Ok(Some(array));
        }
        Err(ModelError::Inconsistent {
            key: format!("length of {}", self.key(name)),
            value: array.len() as u64,
            other_key: self.key("block_count"),
            other: n_block.into(),
            why: "an array has one element for each layer",
        })
    }

    /// Which of the layers have a sliding window: told by a flag for each of them, or by a period of which all layers
    /// but the last have one (all, for a period of 0).
    pub(crate) fn windowed_layers(&self, name: &str, n_block: u32, period: u32) -> Result<Vec<bool>, ModelError> {
        let Some(array) = self.layers_array(name, n_block)? else {
            let period = self.integer(name, 0, MAX_LAYERS)?.unwrap_or(period);
            return Ok((0..n_block).map(|layer| period == 0 || layer % period < period - 1).collect());
        };
        let wrong_type = || ModelError::WrongType {
            key: self.key(name),
            expected: "a whole number or a flag for each layer",
            found: array.type_name(),
        };
        let is_set = |flag: Value| flag.as_bool().or_else(|| flag.as_i64().map(|n| n != 0));
        (0..array.len()).map(|layer| array.get(layer).and_then(is_set).ok_or_else(wrong_type)).collect()
    }

    /// Layers that compute the answer, and layers of the file: the last ones may predict further tokens.
    pub(crate) fn layers(&self) -> Result<(u32, u32), ModelError> {
        let n_block = self.count("block_count", MAX_LAYERS)?;
        let name = "nextn_predict_layers";
        let n_ahead = self.optional_count(name, MAX_LAYERS)?.unwrap_or(0);
        if n_ahead < n_block {
            return Ok((n_block - n_ahead, n_block));
        }
        let why = "some layers must be left for the answer";
        Err(self.inconsistent((name, n_ahead), ("block_count", n_block), why))
    }

    fn number(&self, name: &str, min: f64, max: f64) -> Result<f64, ModelError> {
        self.any_number(name, min, max)?.ok_or_else(|| self.missing(name))
    }

    /// A finite number from `min` to `max`, if the key is there. 0 is how llama.cpp writes that there is none.
    pub(crate) fn optional_number(&self, name: &str, min: f64, max: f64) -> Result<Option<f64>, ModelError> {
        match self.get(name).and_then(Value::as_f64) {
            Some(0.0) => Ok(None),
            _ => self.any_number(name, min, max),
        }
    }

    fn any_number(&self, name: &str, min: f64, max: f64) -> Result<Option<f64>, ModelError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let found = value.as_f64().ok_or_else(|| self.wrong_type(name, "a number", value))?;
        if !(min..=max).contains(&found) {
            return Err(ModelError::OutOfRange { key: self.key(name), found, min, max });
        }
        Ok(Some(found))
    }

    /// A text, if the key is there.
    pub(crate) fn optional_text(&self, name: &str) -> Result<Option<&'a str>, ModelError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        value.as_str().map(Some).ok_or_else(|| self.wrong_type(name, "a string", value))
    }

    fn wrong_type(&self, name: &str, expected: &'static str, found: &Value) -> ModelError {
        ModelError::WrongType { key: self.key(name), expected, found: found.type_name() }
    }
}
