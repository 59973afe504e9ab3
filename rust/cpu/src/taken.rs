//! Rows in the form that products take them.

use std::cell::UnsafeCell;
use std::ops::Range;

use chord_program::{ExecError, Program};

use crate::memory::Memory;
use crate::options::ActivationType;
use crate::packed::{Activations, Filler, TakenRows};
use crate::plan::{FEW_TOKENS, Form, Plan, Work};
use crate::weights::Weights;

/// Rows `[n, cols]` of one step at a time.
pub(crate) struct Taken {
    n_bytes: u64,
    /// What norms make of them, where there is one.
    normed: Memory<f32>,
    forms: UnsafeCell<Forms>,
    /// Fill the forms, once they have been prepared.
    fillers: UnsafeCell<[Option<Filler>; 3]>,
}

/// The rows in the forms that products take.
pub(crate) struct Forms {
    /// All of them, unchanged.
    values: Activations,
    /// Those with all digits.
    fine: Activations,
    /// Those with one digit.
    coarse: Activations,
}

impl Forms {
    pub(crate) fn new(weights: &Weights) -> Self {
        let digits = weights.activation_type().digits();
        Forms { values: weights.rows(1), fine: weights.rows(digits), coarse: weights.rows(1) }
    }

    /// Makes room for `n` rows in some of the forms, `coarse` of them with one digit.
    fn prepare(&mut self, n: usize, cols: usize, form: Form, coarse: Range<usize>) -> [Option<Filler>; 3] {
        let all = TakenRows::of(0..n);
        let codes = |rows: &mut Activations, taken| form.codes.then(|| rows.prepare(taken, cols, true, false));
        [
            form.values.then(|| self.values.prepare(all, cols, false, true)),
            codes(&mut self.fine, TakenRows::without(n, coarse.clone())),
            codes(&mut self.coarse, TakenRows::of(coarse)),
        ]
    }

    /// What a product takes: one form that has all rows, or two.
    pub(crate) fn of(&self, as_codes: bool) -> impl Iterator<Item = &Activations> {
        let forms = if as_codes { [Some(&self.fine), Some(&self.coarse)] } else { [Some(&self.values), None] };
        forms.into_iter().flatten().filter(|rows| !rows.rows().is_empty())
    }

    fn bytes(&self) -> u64 {
        self.values.bytes() + self.fine.bytes() + self.coarse.bytes()
    }
}

// SAFETY: the cells are reached through `unsafe` functions alone, bound to the rule of `crate::memory`.
unsafe impl Sync for Taken {}

impl Taken {
    /// Room for the rows of any step in a batch of so many tokens and outputs.
    pub(crate) fn new(
        program: &Program,
        plan: &Plan,
        weights: &Weights,
        n_tokens: usize,
        n_outputs: usize,
    ) -> Result<Self, ExecError> {
        let mut forms = Forms::new(weights);
        let is_mixed = weights.activation_type() == ActivationType::Mixed;
        let mut normed_len = 0;
        for step in &plan.steps {
            let Work::TakeRows { x, norm, form } = step.work else { continue };
            let buffer = program.buffer(x);
            let (n_rows, cols) = (buffer.rows.resolve(n_tokens, n_outputs), buffer.cols as usize);
            // Rows of one token lie differently from those of several.
            for n_rows in [1, n_rows] {
                forms.prepare(n_rows, cols, form, 0..0);
            }
            if is_mixed && n_tokens > FEW_TOKENS {
                forms.prepare(n_rows, cols, form, 0..n_rows);
            }
            if norm.is_some() {
                normed_len = normed_len.max((n_rows * cols) as u64);
            }
        }
        let normed = Memory::new(normed_len, "normed rows")?;
        let n_bytes = 4 * normed_len + forms.bytes();
        Ok(Taken { n_bytes, normed, forms: UnsafeCell::new(forms), fillers: UnsafeCell::new([None; 3]) })
    }

    /// Bytes taken.
    pub(crate) fn bytes(&self) -> u64 {
        self.n_bytes
    }

    /// Makes ready for other rows, of which `coarse` are to have one digit; by one worker.
    ///
    /// # Safety
    /// No other worker uses the rows taken until after the next barrier.
    pub(crate) unsafe fn begin(&self, n_rows: usize, cols: usize, form: Form, coarse: Range<usize>) {
        // SAFETY: the caller's promise.
        unsafe { *self.fillers.get() = (*self.forms.get()).prepare(n_rows, cols, form, coarse) }
    }

    /// What fill the rows prepared by [`begin`](Self::begin).
    ///
    /// # Safety
    /// No worker begins before the next barrier.
    pub(crate) unsafe fn fillers(&self) -> impl Iterator<Item = Filler> {
        // SAFETY: the caller's promise.
        unsafe { *self.fillers.get() }.into_iter().flatten()
    }

    /// Rows of the products that follow.
    ///
    /// # Safety
    /// No worker fills them before the next barrier.
    pub(crate) unsafe fn forms(&self) -> &Forms {
        // SAFETY: the caller's promise.
        unsafe { &*self.forms.get() }
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
