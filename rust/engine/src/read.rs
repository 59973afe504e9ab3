//! Where a model's bytes come from.

use std::borrow::Cow;

/// Reads byte ranges of one file: positioned reads of a native file, or a store's answers in the browser.
#[allow(async_fn_in_trait, reason = "the engine runs on one thread; no future of it needs to be Send")]
pub trait ReadAt {
    /// Bytes in the file.
    fn len(&self) -> u64;

    /// True for a file without bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `buf` from byte `offset` on. The range is within [`len`](Self::len).
    async fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), ReadError>;
}

/// A failed read, with the reader's code (`network`, `quota`, `io`).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, serde::Serialize)]
#[error("{message}")]
pub struct ReadError {
    /// Stable kebab-case code.
    pub code: Cow<'static, str>,
    /// What went wrong, where, and what to do.
    pub message: String,
}

impl ReadError {
    /// An I/O error of the operating system or of the store.
    pub fn io(message: impl Into<String>) -> Self {
        ReadError { code: Cow::Borrowed("io"), message: message.into() }
    }
}

/// A whole file that is in memory already.
impl ReadAt for &[u8] {
    fn len(&self) -> u64 {
        <[u8]>::len(self) as u64
    }

    async fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), ReadError> {
        let range = usize::try_from(offset).ok().and_then(|start| Some(start..start.checked_add(buf.len())?));
        match range.and_then(|range| self.get(range)) {
            Some(bytes) => {
                buf.copy_from_slice(bytes);
                Ok(())
            }
            None => Err(ReadError::io(format!("{} bytes at {offset} of {} bytes", buf.len(), <[u8]>::len(self)))),
        }
    }
}
