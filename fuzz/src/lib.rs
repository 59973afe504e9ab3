//! What the fuzz targets share. A target is a function of bytes that must neither panic nor use more memory or time
//! than its limits: libFuzzer ends the process at the first panic, even one that the code under test would catch.

pub mod memory;
pub mod nearly_valid;
#[path = "../../rust/text/tests/support/synthetic.rs"]
pub mod vocabularies;

use std::rc::Rc;

use chord_engine::{Backend, LoadOptions, ReadAt, ReadError};

/// A file of which the first bytes are given and all others are zero.
pub struct ZeroFilled<'a> {
    /// The first bytes.
    pub start: &'a [u8],
    /// Bytes of the whole file.
    pub len: u64,
    /// The farthest position at which a read has ended.
    pub end_of_reads: u64,
}

impl ReadAt for ZeroFilled<'_> {
    fn len(&self) -> u64 {
        self.len
    }

    async fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), ReadError> {
        self.end_of_reads = self.end_of_reads.max(offset + buf.len() as u64);
        buf.fill(0);
        let rest = usize::try_from(offset).ok().and_then(|offset| self.start.get(offset..)).unwrap_or_default();
        let n = rest.len().min(buf.len());
        buf[..n].copy_from_slice(&rest[..n]);
        Ok(())
    }
}

/// A file in memory, of which an engine may keep a reference.
#[derive(Clone)]
pub struct WholeFile(pub Rc<[u8]>);

impl ReadAt for WholeFile {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    async fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<(), ReadError> {
        ReadAt::read_at(&mut &*self.0, offset, buf).await
    }
}

/// One thread of the CPU, so that all memory is counted and every run is the same.
pub fn one_thread() -> LoadOptions {
    LoadOptions { backend: Backend::Cpu, threads: Some(1), ..LoadOptions::default() }
}
