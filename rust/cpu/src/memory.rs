//! Memory that all workers of a run see and of which each writes its own part.
//!
//! The rule that keeps this sound, everywhere in this crate: between two barriers no element is written by one worker and
//! read or written by another. [`Plan`](crate::plan::Plan) puts the barriers where the ops' shares would break it.

use std::cell::UnsafeCell;
use std::ops::Range;
use std::ptr::NonNull;

use bytemuck::Zeroable;
use chord_program::{ExecError, Table};

use crate::slabs::{Line, Lines, Slabs};

/// A fixed number of elements, shared by the workers.
pub(crate) struct Memory<T> {
    start: NonNull<T>,
    len: usize,
    /// Where they lie.
    _lines: Lines,
}

// SAFETY: plain owned memory; what is done with it through `&self` is `unsafe` and bound to the rule above.
unsafe impl<T: Send> Send for Memory<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for Memory<T> {}

impl<T: Copy + Zeroable> Memory<T> {
    /// Zeros.
    pub(crate) fn new(len: u64, what: &str) -> Result<Self, ExecError> {
        Self::new_in(&mut Slabs::one(), len, what)
    }

    /// The same, in slabs that other memory lies in too.
    pub(crate) fn new_in(slabs: &mut Slabs, len: u64, what: &str) -> Result<Self, ExecError> {
        const { assert!(align_of::<T>() <= align_of::<Line>()) };
        let lines = slabs.take(len.saturating_mul(size_of::<T>() as u64).div_ceil(size_of::<Line>() as u64), what)?;
        Ok(Memory { start: lines.start(), len: len as usize, _lines: lines })
    }
}

impl<T> Memory<T> {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// # Safety
    /// No other worker writes to the range before the next barrier.
    #[inline(always)]
    pub(crate) unsafe fn read(&self, range: Range<usize>) -> &[T] {
        assert!(range.start <= range.end && range.end <= self.len);
        // SAFETY: inside of the memory, and the caller's promise.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr().add(range.start), range.len()) }
    }

    /// # Safety
    /// No other worker reads or writes the range before the next barrier, and the caller holds no other reference into it.
    #[inline(always)]
    #[allow(clippy::mut_from_ref)]
    pub(crate) unsafe fn write(&self, range: Range<usize>) -> &mut [T] {
        assert!(range.start <= range.end && range.end <= self.len);
        // SAFETY: inside of the memory, and the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr().add(range.start), range.len()) }
    }

    /// Where an element lies. Using it is bound to the same rule.
    #[inline(always)]
    pub(crate) fn place(&self, at: usize) -> *mut T {
        assert!(at < self.len);
        // SAFETY: inside of the memory.
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
        // SAFETY: the caller's promise.
        unsafe { &mut *self.values[index].0.get() }
    }
}

/// The rows of a table for positions below `n_ctx`.
pub(crate) fn table_rows(table: &Table, n_ctx: u32) -> Result<Vec<f32>, ExecError> {
    table.rows(n_ctx).map_err(|_| ExecError::OutOfMemory {
        backend: "cpu",
        needed: 4 * u64::from(n_ctx) * u64::from(table.cols()),
        what: format!("a table of {n_ctx} positions"),
    })
}
