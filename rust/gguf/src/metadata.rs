//! The metadata of a file: an ordered map with typed getters.

use crate::value::{Array, StringArray, Value};

/// A metadata key is missing or holds a value of another type.
#[derive(Clone, Debug, PartialEq, thiserror::Error, serde::Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum MetadataError {
    /// No such key.
    #[error("metadata key `{key}` is missing (expected {expected})")]
    Missing {
        /// The requested key.
        key: String,
        /// The requested type.
        expected: &'static str,
    },
    /// The key holds a value of another type.
    #[error("metadata key `{key}` is of type {found}, expected {expected}")]
    WrongType {
        /// The requested key.
        key: String,
        /// The requested type.
        expected: &'static str,
        /// The type in the file.
        found: &'static str,
    },
    /// The key holds an integer outside the requested range.
    #[error("metadata key `{key}` is {found}, which does not fit {expected}")]
    OutOfRange {
        /// The requested key.
        key: String,
        /// The requested type.
        expected: &'static str,
        /// The number in the file.
        found: i128,
    },
}

impl MetadataError {
    /// Stable kebab-case code.
    pub const fn code(&self) -> &'static str {
        match self {
            MetadataError::Missing { .. } => "metadata-missing",
            MetadataError::WrongType { .. } => "metadata-wrong-type",
            MetadataError::OutOfRange { .. } => "metadata-out-of-range",
        }
    }

    /// The key concerned.
    pub fn key(&self) -> &str {
        match self {
            MetadataError::Missing { key, .. }
            | MetadataError::WrongType { key, .. }
            | MetadataError::OutOfRange { key, .. } => key,
        }
    }
}

/// Keys and values in the order of the file. Keys are unique.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metadata {
    entries: Vec<(String, Value)>,
    /// Indices into `entries`, sorted by key.
    by_key: Vec<u32>,
}

impl Metadata {
    /// Number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&Value> {
        let slot = self.find(key).ok()?;
        Some(&self.entries[self.by_key[slot] as usize].1)
    }

    /// Whether `key` is present.
    pub fn contains(&self, key: &str) -> bool {
        self.find(key).is_ok()
    }

    /// All entries in the order of the file.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> + '_ {
        self.entries.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// Adds an entry; gives key and value back if the key is already there.
    pub fn insert(&mut self, key: String, value: Value) -> Result<(), (String, Value)> {
        match self.find(&key) {
            Ok(_) => Err((key, value)),
            Err(slot) => {
                self.by_key.insert(slot, self.entries.len() as u32);
                self.entries.push((key, value));
                Ok(())
            }
        }
    }

    /// An integer of any stored width that fits `u32`.
    pub fn u32(&self, key: &str) -> Result<u32, MetadataError> {
        self.opt_u32(key)?.ok_or_else(|| missing(key, "u32"))
    }

    /// Like [`Metadata::u32`]; `None` if the key is absent.
    pub fn opt_u32(&self, key: &str) -> Result<Option<u32>, MetadataError> {
        self.opt_integer(key, "u32")
    }

    /// An integer of any stored width that fits `u64`.
    pub fn u64(&self, key: &str) -> Result<u64, MetadataError> {
        self.opt_u64(key)?.ok_or_else(|| missing(key, "u64"))
    }

    /// Like [`Metadata::u64`]; `None` if the key is absent.
    pub fn opt_u64(&self, key: &str) -> Result<Option<u64>, MetadataError> {
        self.opt_integer(key, "u64")
    }

    /// A float of either width, as f32.
    pub fn f32(&self, key: &str) -> Result<f32, MetadataError> {
        self.opt_f32(key)?.ok_or_else(|| missing(key, "f32"))
    }

    /// Like [`Metadata::f32`]; `None` if the key is absent.
    pub fn opt_f32(&self, key: &str) -> Result<Option<f32>, MetadataError> {
        self.opt(key, "f32", |value| value.as_f64().map(|v| v as f32))
    }

    /// A text.
    pub fn str(&self, key: &str) -> Result<&str, MetadataError> {
        self.opt_str(key)?.ok_or_else(|| missing(key, "string"))
    }

    /// Like [`Metadata::str`]; `None` if the key is absent.
    pub fn opt_str(&self, key: &str) -> Result<Option<&str>, MetadataError> {
        self.opt(key, "string", Value::as_str)
    }

    /// A truth value.
    pub fn bool(&self, key: &str) -> Result<bool, MetadataError> {
        self.opt_bool(key)?.ok_or_else(|| missing(key, "bool"))
    }

    /// Like [`Metadata::bool`]; `None` if the key is absent.
    pub fn opt_bool(&self, key: &str) -> Result<Option<bool>, MetadataError> {
        self.opt(key, "bool", Value::as_bool)
    }

    /// An array of any element type.
    pub fn array(&self, key: &str) -> Result<&Array, MetadataError> {
        self.opt_array(key)?.ok_or_else(|| missing(key, "array"))
    }

    /// Like [`Metadata::array`]; `None` if the key is absent.
    pub fn opt_array(&self, key: &str) -> Result<Option<&Array>, MetadataError> {
        self.opt(key, "array", Value::as_array)
    }

    /// An array of strings.
    pub fn strings(&self, key: &str) -> Result<&StringArray, MetadataError> {
        self.opt_strings(key)?.ok_or_else(|| missing(key, "array of string"))
    }

    /// Like [`Metadata::strings`]; `None` if the key is absent.
    pub fn opt_strings(&self, key: &str) -> Result<Option<&StringArray>, MetadataError> {
        self.opt(key, "array of string", |value| value.as_array()?.as_strings())
    }

    /// An array of f32.
    pub fn f32s(&self, key: &str) -> Result<&[f32], MetadataError> {
        self.opt_f32s(key)?.ok_or_else(|| missing(key, "array of f32"))
    }

    /// Like [`Metadata::f32s`]; `None` if the key is absent.
    pub fn opt_f32s(&self, key: &str) -> Result<Option<&[f32]>, MetadataError> {
        self.opt(key, "array of f32", |value| match value {
            Value::Array(Array::F32(values)) => Some(values.as_slice()),
            _ => None,
        })
    }

    /// An array of i32.
    pub fn i32s(&self, key: &str) -> Result<&[i32], MetadataError> {
        self.opt_i32s(key)?.ok_or_else(|| missing(key, "array of i32"))
    }

    /// Like [`Metadata::i32s`]; `None` if the key is absent.
    pub fn opt_i32s(&self, key: &str) -> Result<Option<&[i32]>, MetadataError> {
        self.opt(key, "array of i32", |value| match value {
            Value::Array(Array::I32(values)) => Some(values.as_slice()),
            _ => None,
        })
    }

    fn find(&self, key: &str) -> Result<usize, usize> {
        self.by_key.binary_search_by(|&index| self.entries[index as usize].0.as_str().cmp(key))
    }

    fn opt<'a, T>(
        &'a self,
        key: &str,
        expected: &'static str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, MetadataError> {
        match self.get(key) {
            None => Ok(None),
            Some(value) => match read(value) {
                Some(found) => Ok(Some(found)),
                None => Err(MetadataError::WrongType { key: key.to_owned(), expected, found: value.type_name() }),
            },
        }
    }

    fn opt_integer<T: TryFrom<i128>>(&self, key: &str, expected: &'static str) -> Result<Option<T>, MetadataError> {
        let wide = |value: &Value| value.as_u64().map(i128::from).or_else(|| value.as_i64().map(i128::from));
        match self.opt(key, expected, wide)? {
            None => Ok(None),
            Some(found) => match T::try_from(found) {
                Ok(fitting) => Ok(Some(fitting)),
                Err(_) => Err(MetadataError::OutOfRange { key: key.to_owned(), expected, found }),
            },
        }
    }
}

fn missing(key: &str, expected: &'static str) -> MetadataError {
    MetadataError::Missing { key: key.to_owned(), expected }
}
