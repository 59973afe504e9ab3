//! Rows in the form that products take them.

use std::cell::UnsafeCell;
use std::ops::Range;

use chord_program::{ExecError, Program};

use crate::memory::Memory;
use crate::packed::{Activations, Filler};
use crate::plan::{Form, Plan, Work};

/// Rows `[n, cols]` of one step at a time.
pub(crate) struct Taken {
    n_bytes: u64,
    /// What norms make of them, where there is one.
    normed: Memory<f32>,
    activations: UnsafeCell<Activations>,
    /// Fills the activations; there once they have been prepared.
    filler: UnsafeCell<Option<Filler>>,
}

// SAFETY: the cells are reached through `unsafe` functions alone, bound to the rule of `crate::memory`.
unsafe impl Sync for Taken {}

impl Taken {
    /// Room in `activations` for the rows of any step in a batch of so many tokens and outputs.
    pub(crate) fn new(
        program: &Program,
        plan: &Plan,
        mut activations: Activations,
        n_tokens: usize,
        n_outputs: usize,
    ) -> Result<Self, ExecError> {
        let mut normed_len = 0;
        for step in &plan.steps {
            let Work::TakeRows { x, norm, form } = step.work else { continue };
            let buffer = program.buffer(x);
            let (n_rows, cols) = (buffer.rows.resolve(n_tokens, n_outputs), buffer.cols as usize);
            // Rows of one token lie differently from those of several.
            for n_rows in [1, n_rows] {
                activations.prepare(n_rows, cols, form.codes, form.values);
            }
            if norm.is_some() {
                normed_len = normed_len.max((n_rows * cols) as u64);
            }
        }
        let normed = Memory::new(normed_len, "normed rows")?;
        let n_bytes = 4 * normed_len + activations.bytes();
        Ok(Taken { n_bytes, normed, activations: UnsafeCell::new(activations), filler: UnsafeCell::new(None) })
    }

    /// Bytes taken.
    pub(crate) fn bytes(&self) -> u64 {
        self.n_bytes
    }

    /// Makes ready for other rows; by one worker.
    ///
    /// # Safety
    /// No other worker uses the rows taken until after the next barrier.
    pub(crate) unsafe fn begin(&self, n_rows: usize, cols: usize, form: Form) {
        // SAFETY: the caller's promise.
        unsafe {
            let filler = (*self.activations.get()).prepare(n_rows, cols, form.codes, form.values);
            *self.filler.get() = Some(filler);
        }
    }

    /// What fills the rows prepared by [`begin`](Self::begin).
    ///
    /// # Safety
    /// No worker begins before the next barrier.
    pub(crate) unsafe fn filler(&self) -> Filler {
        // SAFETY: the caller's promise.
        unsafe { *self.filler.get() }.expect("rows have been begun")
    }

    /// Rows of the products that follow.
    ///
    /// # Safety
    /// No worker fills them before the next barrier.
    pub(crate) unsafe fn activations(&self) -> &Activations {
        // SAFETY: the caller's promise.
        unsafe { &*self.activations.get() }
    }

    /// The normed rows `rows`.
    ///
    /// # Safety
    /// No other worker writes to them before the next barrier.
    pub(crate) unsafe fn normed(&self, rows: Range<usize>, cols: usize) -> &[f32] {
        // SAFETY: the caller's promise.
        unsafe { self.normed.read(rows.start * cols..rows.end * cols) }
    }

    /// A normed row to be written.
    ///
    /// # Safety
    /// No other worker touches it before the next barrier, and this one holds no other reference to it.
    #[allow(clippy::mut_from_ref)]
    pub(crate) unsafe fn normed_mut(&self, row: usize, cols: usize) -> &mut [f32] {
        // SAFETY: the caller's promise.
        unsafe { self.normed.write(row * cols..(row + 1) * cols) }
    }
}
