//! The metadata of one architecture, read key by key.

use chord_gguf::{Array, Header, Value};

use crate::ModelError;

/// Llama 3.1 405B has 126.
const MAX_LAYERS: u32 = 1024;
/// Llama 4 Scout was trained for 10,485,760.
pub(crate) const MAX_CTX: u32 = 1 << 26;

/// Metadata of one architecture, by keys without its prefix.
pub(crate) struct Keys<'a> {
    header: &'a Header,
    pub(crate) architecture: String,
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

    pub(crate) fn missing(&self, name: &str) -> ModelError {
        ModelError::MissingKey { key: self.key(name) }
    }

    pub(crate) fn inconsistent(&self, a: (&str, u32), b: (&str, u32), why: &'static str) -> ModelError {
        ModelError::Inconsistent {
            key: self.key(a.0),
            value: a.1.into(),
            other_key: self.key(b.0),
            other: b.1.into(),
            why,
        }
    }

    pub(crate) fn integer(&self, name: &str, min: u32, max: u32) -> Result<Option<u32>, ModelError> {
        self.get(name).map(|value| self.integer_of(name, value, value, min, max)).transpose()
    }

    /// `element` as a whole number; `value` is what the key holds.
    pub(crate) fn integer_of(
        &self,
        name: &str,
        value: &Value,
        element: &Value,
        min: u32,
        max: u32,
    ) -> Result<u32, ModelError> {
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
    pub(crate) fn count(&self, name: &str, max: u32) -> Result<u32, ModelError> {
        self.integer(name, 1, max)?.ok_or_else(|| self.missing(name))
    }

    /// A whole number from 1 to `max`, if the key is there. llama.cpp writes every key it knows, with 0 for what a
    /// model does not have.
    pub(crate) fn optional_count(&self, name: &str, max: u32) -> Result<Option<u32>, ModelError> {
        Ok(self.integer(name, 0, max)?.filter(|&n| n > 0))
    }

    /// As [`Self::count`], for a key that may hold one number for each of `n_block` layers.
    pub(crate) fn layers_count(&self, name: &str, max: u32, n_block: u32) -> Result<u32, ModelError> {
        self.layers_integer(name, 1, max, n_block)?.ok_or_else(|| self.missing(name))
    }

    /// As [`Self::optional_count`], for a key that may hold one number for each of `n_block` layers.
    pub(crate) fn optional_layers_count(&self, name: &str, max: u32, n_block: u32) -> Result<Option<u32>, ModelError> {
        Ok(self.layers_integer(name, 0, max, n_block)?.filter(|&n| n > 0))
    }

    /// One number, or as many equal ones as there are layers. None of the architectures here has layers of several
    /// sizes.
    pub(crate) fn layers_integer(
        &self,
        name: &str,
        min: u32,
        max: u32,
        n_block: u32,
    ) -> Result<Option<u32>, ModelError> {
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
    pub(crate) fn layers_array(&self, name: &str, n_block: u32) -> Result<Option<&'a Array>, ModelError> {
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

    /// Which layers have a sliding window. The key holds a flag for each layer, or a period: of each period, all layers
    /// but the last have a window (all of them, for a period of 0).
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

    pub(crate) fn number(&self, name: &str, min: f64, max: f64) -> Result<f64, ModelError> {
        self.any_number(name, min, max)?.ok_or_else(|| self.missing(name))
    }

    /// A finite number from `min` to `max`, if the key is there. llama.cpp writes 0 where there is none.
    pub(crate) fn optional_number(&self, name: &str, min: f64, max: f64) -> Result<Option<f64>, ModelError> {
        match self.get(name).and_then(Value::as_f64) {
            Some(0.0) => Ok(None),
            _ => self.any_number(name, min, max),
        }
    }

    pub(crate) fn any_number(&self, name: &str, min: f64, max: f64) -> Result<Option<f64>, ModelError> {
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

    pub(crate) fn wrong_type(&self, name: &str, expected: &'static str, found: &Value) -> ModelError {
        ModelError::WrongType { key: self.key(name), expected, found: found.type_name() }
    }
}
