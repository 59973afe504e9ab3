//! An allocator for weights, keys and values that takes memory from the system in huge pages.
//!
//! A token reads all of it once. With pages of 4 KiB a good part of that time goes into translating addresses; with
//! huge pages, which systems give to large allocations, it does not.

use std::alloc::{Layout, alloc, dealloc};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::Arc;

use bytemuck::{Pod, Zeroable};
use chord_program::ExecError;

/// A cache line: vectors that begin at a multiple of their size never cross one.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
pub(crate) struct CacheLine([u8; 64]);

/// Lines of a region that many allocations share. WebAssembly has no pages to choose from, and the unused end of a
/// region would be lost: there each allocation is a region of its own.
const SHARED_LINES: usize = if cfg!(target_family = "wasm") { 0 } else { (32 << 20) / size_of::<CacheLine>() };
/// Bytes of a huge page.
const HUGE_PAGE: usize = 2 << 20;

/// Allocates cache lines from regions of huge pages.
pub(crate) struct HugePages {
    /// Fewest lines of a region.
    region_lines: usize,
    /// The region in use, and how many of its lines are allocated.
    current: Option<(Arc<Region>, usize)>,
}

/// Memory from the system.
struct Region {
    start: NonNull<CacheLine>,
    layout: Layout,
}

// SAFETY: owned memory that is touched through `CacheLines` alone.
unsafe impl Send for Region {}
// SAFETY: as above.
unsafe impl Sync for Region {}

impl Region {
    fn new(n_lines: usize) -> Option<Self> {
        let layout = Layout::array::<CacheLine>(n_lines).ok()?;
        let layout = if layout.size() < HUGE_PAGE { layout } else { layout.align_to(HUGE_PAGE).ok()? };
        // SAFETY: a region has at least one line.
        let start = NonNull::new(unsafe { alloc(layout) })?;
        #[cfg(target_os = "linux")]
        if layout.align() == HUGE_PAGE {
            // SAFETY: the memory was just allocated. This is advice: where the system ignores it, nothing changes.
            unsafe { libc::madvise(start.as_ptr().cast(), layout.size(), libc::MADV_HUGEPAGE) };
        }
        Some(Region { start: start.cast(), layout })
    }

    fn n_lines(&self) -> usize {
        self.layout.size() / size_of::<CacheLine>()
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout.
        unsafe { dealloc(self.start.as_ptr().cast(), self.layout) };
    }
}

/// Lines of a region, zeroed when they are allocated.
pub(crate) struct CacheLines {
    start: NonNull<CacheLine>,
    len: usize,
    /// Keeps the memory alive; `None` where there are no lines.
    _region: Option<Arc<Region>>,
}

// SAFETY: no two of these share a line.
unsafe impl Send for CacheLines {}
// SAFETY: as above.
unsafe impl Sync for CacheLines {}

impl HugePages {
    /// For one allocation.
    pub(crate) fn for_one() -> Self {
        HugePages { region_lines: 0, current: None }
    }

    /// For many allocations, which share regions.
    pub(crate) fn for_many() -> Self {
        HugePages { region_lines: SHARED_LINES, current: None }
    }

    /// `len` lines of zeros.
    ///
    /// # Errors
    /// If the system has no more memory; the error names `what` it was for.
    pub(crate) fn allocate(&mut self, len: u64, what: &str) -> Result<CacheLines, ExecError> {
        let needed = len.saturating_mul(size_of::<CacheLine>() as u64);
        let out_of_memory = || ExecError::OutOfMemory { backend: "cpu", needed, what: what.to_owned() };
        let len = usize::try_from(len).map_err(|_| out_of_memory())?;
        if len == 0 {
            return Ok(CacheLines { start: NonNull::dangling(), len, _region: None });
        }
        let (region, used) = match self.current.take() {
            Some((region, used)) if region.n_lines() - used >= len => (region, used),
            Some(_) | None => (Arc::new(Region::new(len.max(self.region_lines)).ok_or_else(out_of_memory)?), 0),
        };
        // SAFETY: these lines are in the region, and no other allocation has them.
        let start = unsafe {
            let start = region.start.add(used);
            start.write_bytes(0, len);
            start
        };
        self.current = Some((Arc::clone(&region), used + len));
        Ok(CacheLines { start, len, _region: Some(region) })
    }
}

impl CacheLines {
    /// The first byte, for memory that is shared under a rule of its own.
    pub(crate) fn start<T>(&self) -> NonNull<T> {
        self.start.cast()
    }
}

impl Deref for CacheLines {
    type Target = [CacheLine];

    fn deref(&self) -> &[CacheLine] {
        // SAFETY: the lines were zeroed when allocated, and belong to this alone.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl DerefMut for CacheLines {
    fn deref_mut(&mut self) -> &mut [CacheLine] {
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allocations_are_zeroed_and_disjoint() {
        let mut pages = HugePages { region_lines: 10, current: None };
        let mut all: Vec<CacheLines> =
            [4, 6, 0, 1, 30, 2].map(|len| pages.allocate(len, "lines").expect("memory")).into();
        for (index, lines) in all.iter_mut().enumerate() {
            assert!(bytemuck::cast_slice::<CacheLine, u8>(lines).iter().all(|&byte| byte == 0), "lines {index}");
            bytemuck::cast_slice_mut::<CacheLine, u8>(lines).fill(index as u8 + 1);
        }
        drop(pages);
        for (index, lines) in all.iter().enumerate() {
            let bytes = bytemuck::cast_slice::<CacheLine, u8>(lines);
            assert!(bytes.iter().all(|&byte| byte == index as u8 + 1), "lines {index}");
            assert!(lines.as_ptr().cast::<u8>().align_offset(64) == 0);
        }
        assert_eq!(all.iter().map(|lines| lines.len()).collect::<Vec<_>>(), [4, 6, 0, 1, 30, 2]);
    }

    #[test]
    fn too_much_is_refused() {
        let what = HugePages::for_one().allocate(u64::MAX / 64, "weights").err();
        assert!(matches!(what, Some(ExecError::OutOfMemory { needed, .. }) if needed >= u64::MAX - 63), "{what:?}");
    }
}
