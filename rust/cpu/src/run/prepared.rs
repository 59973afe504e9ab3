//! The input rows of products, in the formats that their kernels read.

use std::cell::UnsafeCell;
use std::ops::Range;

use chord_program::{ExecError, Program};

use super::step::{FEW_TOKENS, RowFormats, Step, Work};
use crate::matmul::weights::Weights;
use crate::matmul::{ActivationType, Activations, Filler};
use crate::memory::SharedMemory;

/// The rows `[n, cols]` that the next products read.
pub(crate) struct PreparedRows {
    n_bytes: u64,
    /// The result of the norm before the products, where there is one.
    normed: SharedMemory<f32>,
    formats: UnsafeCell<Formats>,
    /// What fills the formats, once there is room in them.
    fillers: UnsafeCell<[Option<Filler>; 3]>,
}

/// The rows in each format.
pub(crate) struct Formats {
    /// All rows, unchanged.
    exact: Activations,
    /// Rows rounded to as many bits as the executor's options ask for.
    fine: Activations,
    /// Rows rounded to 8 bits where others have 16.
    coarse: Activations,
}

impl Formats {
    fn new(weights: &Weights) -> Self {
        let code_bytes = weights.activation_type().code_bytes();
        Formats { exact: weights.rows(1), fine: weights.rows(code_bytes), coarse: weights.rows(1) }
    }

    /// Makes room for `n` rows in some of the formats, `coarse` of them in 8 bits.
    fn make_room(&mut self, n: usize, cols: usize, formats: RowFormats, coarse: Range<usize>) -> [Option<Filler>; 3] {
        let Range { start, end } = coarse;
        let RowFormats { exact, rounded } = formats;
        [
            exact.then(|| self.exact.prepare(0..n, 1, cols, false, true)),
            rounded.then(|| self.fine.prepare((0..start).chain(end..n), 1, cols, true, false)),
            rounded.then(|| self.coarse.prepare(start..end, 1, cols, true, false)),
        ]
    }

    /// The rows that a product reads: all in one format, or some in each of two.
    pub(crate) fn of(&self, is_rounded: bool) -> impl Iterator<Item = &Activations> {
        let formats = if is_rounded { [Some(&self.fine), Some(&self.coarse)] } else { [Some(&self.exact), None] };
        formats.into_iter().flatten().filter(|rows| !rows.is_empty())
    }

    fn bytes(&self) -> u64 {
        self.exact.bytes() + self.fine.bytes() + self.coarse.bytes()
    }
}

// SAFETY: the cells are reached through `unsafe` functions alone, bound to the rule of `crate::memory`.
unsafe impl Sync for PreparedRows {}

impl PreparedRows {
    /// Room for the rows of any step in a batch of `n_tokens` tokens and `n_outputs` outputs.
    pub(crate) fn new(
        program: &Program,
        steps: &[Step],
        weights: &Weights,
        n_tokens: usize,
        n_outputs: usize,
    ) -> Result<Self, ExecError> {
        let mut room = Formats::new(weights);
        let is_mixed = weights.activation_type() == ActivationType::Mixed;
        let mut normed_len = 0;
        for step in steps {
            let Work::PrepareRows { x, norm, formats } = step.work else { continue };
            let buffer = program.buffer(x);
            let (n_rows, cols) = (buffer.rows.resolve(n_tokens, n_outputs), buffer.cols as usize);
            // Rows of one token are laid out differently from those of several.
            for n_rows in [1, n_rows] {
                room.make_room(n_rows, cols, formats, 0..0);
            }
            if is_mixed && n_tokens > FEW_TOKENS {
                room.make_room(n_rows, cols, formats, 0..n_rows);
            }
            if norm.is_some() {
                normed_len = normed_len.max((n_rows * cols) as u64);
            }
        }
        let normed = SharedMemory::new(normed_len, "normed rows")?;
        let n_bytes = 4 * normed_len + room.bytes();
        let (formats, fillers) = (UnsafeCell::new(room), UnsafeCell::new([None; 3]));
        Ok(PreparedRows { n_bytes, normed, formats, fillers })
    }

    /// Bytes allocated.
    pub(crate) fn bytes(&self) -> u64 {
        self.n_bytes
    }

    /// Makes room for other rows, of which `coarse` are to have 8 bits. One worker calls this.
    ///
    /// # Safety
    /// No other worker uses the prepared rows until after the next barrier.
    pub(crate) unsafe fn begin(&self, n_rows: usize, cols: usize, formats: RowFormats, coarse: Range<usize>) {
        // SAFETY: the caller promises that no other worker holds a reference into the cells.
        unsafe { *self.fillers.get() = (*self.formats.get()).make_room(n_rows, cols, formats, coarse) }
    }

    /// What fills the rows that [`begin`](Self::begin) made room for.
    ///
    /// # Safety
    /// No worker calls [`begin`](Self::begin) before the next barrier.
    pub(crate) unsafe fn fillers(&self) -> impl Iterator<Item = Filler> {
        // SAFETY: the caller promises that no worker writes to the cell.
        unsafe { *self.fillers.get() }.into_iter().flatten()
    }

    /// The rows in each format.
    ///
    /// # Safety
    /// No worker fills them before the next barrier.
    pub(crate) unsafe fn formats(&self) -> &Formats {
        // SAFETY: the caller promises that no worker writes to the cell.
        unsafe { &*self.formats.get() }
    }

    /// The first `n` normed rows.
    ///
    /// # Safety
    /// No other worker writes to them before the next barrier.
    pub(crate) unsafe fn normed(&self, n: usize, cols: usize) -> &[f32] {
        // SAFETY: the caller's promise is that of `read`.
        unsafe { self.normed.read(0..n * cols) }
    }

    /// A normed row to be written.
    ///
    /// # Safety
    /// No other worker touches it before the next barrier, and this one holds no other reference to it.
    #[allow(clippy::mut_from_ref)]
    pub(crate) unsafe fn normed_mut(&self, row: usize, cols: usize) -> &mut [f32] {
        // SAFETY: the caller's promise is that of `write`.
        unsafe { self.normed.write(row * cols..(row + 1) * cols) }
    }
}
