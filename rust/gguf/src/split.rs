//! Models in several files: each part is a GGUF file of its own, with some of the tensors and its place among the
//! parts.

use crate::Header;

/// Place of a part, from 0.
const NO: &str = "split.no";
/// Number of parts.
const COUNT: &str = "split.count";
/// Number of tensors of all parts.
const TENSORS: &str = "split.tensors.count";

/// A part of a split model that does not belong to the others.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("part {part} of {parts} does not fit the others: {what}; take all parts from the same place")]
pub struct SplitError {
    /// The part, from 1.
    pub part: usize,
    /// Number of parts given.
    pub parts: usize,
    /// What was expected and found.
    pub what: String,
}

impl SplitError {
    /// Stable kebab-case code.
    pub const fn code(&self) -> &'static str {
        "bad-split"
    }
}

impl Header {
    /// The number of files that hold the model, from `split.count`; 1 if absent.
    pub fn n_parts(&self) -> u64 {
        self.split_key(COUNT).unwrap_or(1).max(1)
    }

    /// Joins the headers of all parts of a model, in their order: the metadata of the first, the tensors of all.
    /// Offsets count from the start of the first file, as if the files were concatenated.
    ///
    /// # Errors
    /// For parts in another order or of another model, and for too few or too many of them.
    pub fn join(parts: Vec<Header>) -> Result<Header, SplitError> {
        let n_parts = parts.len();
        let n_tensors: u64 = parts.iter().map(|part| part.tensors.len() as u64).sum();
        let bad = |index: usize, what: String| SplitError { part: index + 1, parts: n_parts, what };
        for (index, part) in parts.iter().enumerate() {
            let (no, count) = (part.split_key(NO), part.split_key(COUNT));
            if no != Some(index as u64) || count.is_some_and(|count| count != n_parts as u64) {
                let shown = |number: Option<u64>| number.map_or("absent".to_owned(), |number| number.to_string());
                let (no, count) = (shown(no), shown(count));
                return Err(bad(index, format!("{NO} is {no} and {COUNT} {count}, expected {index} and {n_parts}")));
            }
        }
        let mut joined: Option<Header> = None;
        for (index, part) in parts.into_iter().enumerate() {
            if let Some(expected) = part.split_key(TENSORS).filter(|&expected| expected != n_tensors) {
                return Err(bad(
                    index,
                    format!("{TENSORS} is {expected}, the parts have {n_tensors} tensors together"),
                ));
            }
            let Some(whole) = &mut joined else {
                joined = Some(part);
                continue;
            };
            if let Some(tensor) = part.tensors.iter().find(|tensor| whole.tensor(&tensor.name).is_some()) {
                return Err(bad(index, format!("tensor {:?} is in a part before it as well", tensor.name)));
            }
            let base = whole.file_len;
            whole.tensors.extend(part.tensors.into_iter().map(|mut tensor| {
                tensor.offset += base;
                tensor
            }));
            whole.file_len += part.file_len;
            whole.trailing_bytes += part.trailing_bytes;
            whole.sort_names();
        }
        joined.ok_or(SplitError { part: 0, parts: 0, what: "there are no parts".to_owned() })
    }

    fn split_key(&self, key: &str) -> Option<u64> {
        self.metadata.get(key)?.as_u64()
    }

    fn sort_names(&mut self) {
        let tensors = &self.tensors;
        self.by_name = (0..tensors.len() as u32).collect();
        self.by_name.sort_by(|&a, &b| tensors[a as usize].name.cmp(&tensors[b as usize].name));
    }
}
