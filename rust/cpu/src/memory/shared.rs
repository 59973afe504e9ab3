//! Elements that several workers reach through a shared reference.

use std::cell::UnsafeCell;
use std::ops::Range;
use std::ptr::NonNull;

use bytemuck::Zeroable;
use chord_program::ExecError;

use super::huge_pages::{CacheLine, CacheLines, HugePages};

/// A fixed number of elements, shared by the workers.
pub(crate) struct SharedMemory<T> {
    start: NonNull<T>,
    len: usize,
    /// Owns the memory.
    _lines: CacheLines,
}

// SAFETY: plain owned memory; access through `&self` is `unsafe` and bound to the rule of `crate::memory`.
unsafe impl<T: Send> Send for SharedMemory<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for SharedMemory<T> {}

impl<T: Copy + Zeroable> SharedMemory<T> {
    /// Zeros.
    pub(crate) fn new(len: u64, what: &str) -> Result<Self, ExecError> {
        Self::new_in(&mut HugePages::for_one(), len, what)
    }

    /// Zeros, in pages that hold other memory too.
    pub(crate) fn new_in(pages: &mut HugePages, len: u64, what: &str) -> Result<Self, ExecError> {
        const { assert!(align_of::<T>() <= align_of::<CacheLine>()) };
        let n_lines = len.saturating_mul(size_of::<T>() as u64).div_ceil(size_of::<CacheLine>() as u64);
        let lines = pages.allocate(n_lines, what)?;
        Ok(SharedMemory { start: lines.start(), len: len as usize, _lines: lines })
    }
}

impl<T> SharedMemory<T> {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// # Safety
    /// No other worker writes to the range before the next barrier.
    #[inline(always)]
    pub(crate) unsafe fn read(&self, range: Range<usize>) -> &[T] {
        assert!(range.start <= range.end && range.end <= self.len);
        // SAFETY: the range lies in the memory, and the caller promises that no worker writes to it.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().add(range.start), range.len()) }
    }

    /// # Safety
    /// No other worker reads or writes the range before the next barrier, and the caller holds no other reference to
    /// it.
    #[inline(always)]
    #[allow(clippy::mut_from_ref)]
    pub(crate) unsafe fn write(&self, range: Range<usize>) -> &mut [T] {
        assert!(range.start <= range.end && range.end <= self.len);
        // SAFETY: the range lies in the memory, and the caller promises that no other worker touches it.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr().add(range.start), range.len()) }
    }

    /// Points to an element. Its use is bound to the rule of [`crate::memory`].
    #[inline(always)]
    pub(crate) fn pointer(&self, at: usize) -> *mut T {
        assert!(at < self.len);
        // SAFETY: the element lies in the memory.
        unsafe { self.start.as_ptr().add(at) }
    }
}

/// One value for each worker, each in cache lines of its own.
pub(crate) struct PerWorker<T> {
    values: Vec<Padded<T>>,
}

#[repr(align(128))]
struct Padded<T>(UnsafeCell<T>);

// SAFETY: `get` is `unsafe`: each value is used by its worker alone.
unsafe impl<T: Send> Sync for PerWorker<T> {}

impl<T> PerWorker<T> {
    pub(crate) fn new(n_threads: usize, make: impl FnMut() -> Result<T, ExecError>) -> Result<Self, ExecError> {
        let mut make = make;
        let values = (0..n_threads).map(|_| Ok(Padded(UnsafeCell::new(make()?))));
        Ok(PerWorker { values: values.collect::<Result<_, ExecError>>()? })
    }

    /// # Safety
    /// Only worker `index` asks for this value, and holds one reference at a time.
    #[allow(clippy::mut_from_ref)]
    pub(crate) unsafe fn get(&self, index: usize) -> &mut T {
        // SAFETY: the caller promises that there is no other reference.
        unsafe { &mut *self.values[index].0.get() }
    }
}
