//! Memory for weights, keys and values, taken from the system in large pieces.
//!
//! A token reads all of them once. With pages of 4 KiB a good part of that time goes into finding out where each page
//! lies; with the large pages that systems give to large pieces of memory it does not.

use std::alloc::{Layout, alloc, dealloc};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::Arc;

use bytemuck::{Pod, Zeroable};
use chord_program::ExecError;

/// A cache line: vectors that begin at a multiple of their size never cross one.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
pub(crate) struct Line([u8; 64]);

/// Lines of a piece of memory that many share. WebAssembly has no pages to choose from, and what is left over
/// of a piece would be lost: there everyone gets their own.
const SHARED: usize = if cfg!(target_family = "wasm") { 0 } else { (32 << 20) / size_of::<Line>() };
/// A large page.
const PAGE: usize = 2 << 20;

/// Hands out memory.
pub(crate) struct Slabs {
    /// Lines of a slab, at least.
    len: usize,
    /// The slab in use, and how many of its lines are taken.
    current: Option<(Arc<Slab>, usize)>,
}

/// A piece of memory from the system.
struct Slab {
    start: NonNull<Line>,
    layout: Layout,
}

// SAFETY: owned memory that is touched through `Lines` alone.
unsafe impl Send for Slab {}
// SAFETY: as above.
unsafe impl Sync for Slab {}

impl Slab {
    fn new(len: usize) -> Option<Self> {
        let layout = Layout::array::<Line>(len).ok()?;
        let layout = if layout.size() < PAGE { layout } else { layout.align_to(PAGE).ok()? };
        // SAFETY: slabs are never empty.
        let start = NonNull::new(unsafe { alloc(layout) })?;
        #[cfg(target_os = "linux")]
        if layout.align() == PAGE {
            // SAFETY: the memory just taken. This is advice: where it is not heeded, nothing changes.
            unsafe { libc::madvise(start.as_ptr().cast(), layout.size(), libc::MADV_HUGEPAGE) };
        }
        Some(Slab { start: start.cast(), layout })
    }

    fn len(&self) -> usize {
        self.layout.size() / size_of::<Line>()
    }
}

impl Drop for Slab {
    fn drop(&mut self) {
        // SAFETY: taken with this layout.
        unsafe { dealloc(self.start.as_ptr().cast(), self.layout) };
    }
}

/// Some lines of a slab, zeroed when they are handed out.
pub(crate) struct Lines {
    start: NonNull<Line>,
    len: usize,
    /// Keeps the memory alive; no lines, no slab.
    _slab: Option<Arc<Slab>>,
}

// SAFETY: no two of these share a line.
unsafe impl Send for Lines {}
// SAFETY: as above.
unsafe impl Sync for Lines {}

impl Slabs {
    /// For one taker.
    pub(crate) fn one() -> Self {
        Slabs { len: 0, current: None }
    }

    /// For many.
    pub(crate) fn shared() -> Self {
        Slabs { len: SHARED, current: None }
    }

    /// So many lines of zeros.
    ///
    /// # Errors
    /// If the system has no more memory; `what` it was for is told.
    pub(crate) fn take(&mut self, len: u64, what: &str) -> Result<Lines, ExecError> {
        let needed = len.saturating_mul(size_of::<Line>() as u64);
        let out_of_memory = || ExecError::OutOfMemory { backend: "cpu", needed, what: what.to_owned() };
        let len = usize::try_from(len).map_err(|_| out_of_memory())?;
        if len == 0 {
            return Ok(Lines { start: NonNull::dangling(), len, _slab: None });
        }
        let (slab, taken) = match self.current.take() {
            Some((slab, taken)) if slab.len() - taken >= len => (slab, taken),
            _ => (Arc::new(Slab::new(len.max(self.len)).ok_or_else(out_of_memory)?), 0),
        };
        // SAFETY: inside of the slab, and nobody else has these lines.
        let start = unsafe {
            let start = slab.start.add(taken);
            start.write_bytes(0, len);
            start
        };
        self.current = Some((Arc::clone(&slab), taken + len));
        Ok(Lines { start, len, _slab: Some(slab) })
    }
}

impl Lines {
    /// Where they begin, for those who see to it themselves that no two threads get into each other's way.
    pub(crate) fn start<T>(&self) -> NonNull<T> {
        self.start.cast()
    }
}

impl Deref for Lines {
    type Target = [Line];

    fn deref(&self) -> &[Line] {
        // SAFETY: initialized when handed out, and nobody else's.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl DerefMut for Lines {
    fn deref_mut(&mut self) -> &mut [Line] {
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_zeros_and_nobody_elses() {
        let mut slabs = Slabs { len: 10, current: None };
        let mut all: Vec<Lines> = [4, 6, 0, 1, 30, 2].map(|len| slabs.take(len, "lines").expect("memory")).into();
        for (index, lines) in all.iter_mut().enumerate() {
            assert!(bytemuck::cast_slice::<Line, u8>(lines).iter().all(|&byte| byte == 0), "lines {index}");
            bytemuck::cast_slice_mut::<Line, u8>(lines).fill(index as u8 + 1);
        }
        drop(slabs);
        for (index, lines) in all.iter().enumerate() {
            let bytes = bytemuck::cast_slice::<Line, u8>(lines);
            assert!(bytes.iter().all(|&byte| byte == index as u8 + 1), "lines {index}");
            assert!(lines.as_ptr().cast::<u8>().align_offset(64) == 0);
        }
        assert_eq!(all.iter().map(|lines| lines.len()).collect::<Vec<_>>(), [4, 6, 0, 1, 30, 2]);
    }

    #[test]
    fn too_much_is_refused() {
        let what = Slabs::one().take(u64::MAX / 64, "weights").err();
        assert!(matches!(what, Some(ExecError::OutOfMemory { needed, .. }) if needed >= u64::MAX - 63), "{what:?}");
    }
}
