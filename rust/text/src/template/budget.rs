//! How much text a template may handle in one run.

use std::fmt::{self, Write};
use std::sync::atomic::{AtomicUsize, Ordering};

use minijinja::value::{Value, ValueKind};
use minijinja::{Error, ErrorKind};

use super::writing;
use crate::limits::{MAX_TEMPLATE_VALUE_BYTES, MAX_TEMPLATE_WORK_BYTES};

/// Bytes that one element of a list or map costs besides its contents.
const ELEMENT_BYTES: usize = 64;

/// Levels of lists within lists that are looked into.
pub(super) const MAX_DEPTH: usize = 64;

/// The cause of errors about the size of text, with the limit that was passed.
#[derive(Debug)]
pub(super) struct TooMuchText(pub(super) usize);

impl fmt::Display for TooMuchText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "more than {} bytes of text", self.0)
    }
}

impl std::error::Error for TooMuchText {}

fn too_much(limit: usize) -> Error {
    Error::new(ErrorKind::InvalidOperation, "too much text").with_source(TooMuchText(limit))
}

/// Bytes of text read and written so far by all operations of one run.
///
/// The engine's fuel counts steps; this counts what a step can cost. Together they bound time and memory.
#[derive(Debug, Default)]
pub(super) struct Budget(AtomicUsize);

impl Budget {
    /// Bytes left.
    pub(super) fn left(&self) -> usize {
        MAX_TEMPLATE_WORK_BYTES.saturating_sub(self.0.load(Ordering::Relaxed))
    }

    /// Takes `bytes` off.
    pub(super) fn charge(&self, bytes: usize) -> Result<(), Error> {
        if bytes > self.left() {
            return Err(too_much(MAX_TEMPLATE_WORK_BYTES));
        }
        self.0.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// Takes the cost of making one value of `bytes` off; `None` stands for more than can be counted.
    pub(super) fn charge_value(&self, bytes: Option<usize>) -> Result<(), Error> {
        let bytes = bytes.unwrap_or(usize::MAX);
        self.check_value(bytes)?;
        self.charge(bytes)
    }

    /// Refuses values of more than [`MAX_TEMPLATE_VALUE_BYTES`].
    pub(super) fn check_value(&self, bytes: usize) -> Result<(), Error> {
        if bytes > MAX_TEMPLATE_VALUE_BYTES { Err(too_much(MAX_TEMPLATE_VALUE_BYTES)) } else { Ok(()) }
    }

    /// Takes off the cost of reading `value` with all that it holds.
    pub(super) fn charge_deep(&self, value: &Value) -> Result<(), Error> {
        self.charge(weigh(value, self.left(), MAX_DEPTH).ok_or_else(|| too_much(MAX_TEMPLATE_WORK_BYTES))?)
    }

    /// Writes `value` as a template's output shows it.
    pub(super) fn write(&self, out: &mut dyn Write, value: &Value) -> Result<(), Error> {
        if let Some(text) = value.as_str() {
            self.charge(text.len())?;
            return Ok(out.write_str(text)?);
        }
        self.charge_deep(value)?;
        Ok(out.write_str(&writing::text(value))?)
    }
}

/// Size of `value` without what it holds.
pub(super) fn shallow_bytes(value: &Value) -> usize {
    match value.as_str() {
        Some(text) => text.len(),
        None => value.len().unwrap_or(1).saturating_mul(ELEMENT_BYTES),
    }
}

/// Size of `value` with what it holds; `None` above `limit` or deeper than `depth`. A list that holds another twice
/// counts it twice, as writing it would.
fn weigh(value: &Value, limit: usize, depth: usize) -> Option<usize> {
    if let Some(text) = value.as_str() {
        return Some(text.len()).filter(|&bytes| bytes <= limit);
    }
    if !matches!(value.kind(), ValueKind::Seq | ValueKind::Map | ValueKind::Iterable) {
        return Some(ELEMENT_BYTES).filter(|&bytes| bytes <= limit);
    }
    let depth = depth.checked_sub(1)?;
    let mut total = ELEMENT_BYTES;
    // A value of another kind that cannot be iterated holds nothing to weigh.
    let Ok(items) = value.try_iter() else { return Some(total) };
    for item in items {
        total += ELEMENT_BYTES;
        if value.kind() == ValueKind::Map {
            total += weigh(&value.get_item(&item).unwrap_or_default(), limit.checked_sub(total)?, depth)?;
        }
        total += weigh(&item, limit.checked_sub(total)?, depth)?;
    }
    Some(total).filter(|&bytes| bytes <= limit)
}
