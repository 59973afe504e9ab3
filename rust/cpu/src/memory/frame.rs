//! The buffers of one run, in one arena.

use std::ops::Range;

use chord_program::{BatchShape, BufferClass, BufferId, ExecError, MemoryPlan, Program};

use super::shared::SharedMemory;

/// Activations of a batch. Values of u32 are stored as their bits.
pub(crate) struct Frame {
    arena: SharedMemory<f32>,
    /// First element of each buffer.
    starts: Vec<usize>,
    /// Rows of each buffer in the current batch.
    rows: Vec<usize>,
    cols: Vec<usize>,
}

impl Frame {
    /// A frame for batches of any size, where buffers that are never alive together share memory.
    pub(crate) fn shared(program: &Program, plan: &MemoryPlan) -> Result<Self, ExecError> {
        let starts = plan.offsets.iter().map(|offset| offset.unwrap_or(0) as usize / 4).collect();
        let arena = SharedMemory::new(plan.total / 4, "activations")?;
        Ok(Frame { arena, starts, rows: vec![0; program.buffers.len()], cols: cols(program) })
    }

    /// A frame for one batch, where every buffer keeps its values.
    pub(crate) fn separate(program: &Program, shape: BatchShape) -> Result<Self, ExecError> {
        let cols = cols(program);
        let mut rows = vec![0; cols.len()];
        count_rows(program, shape, &mut rows);
        let mut starts = Vec::with_capacity(cols.len());
        let total = rows.iter().zip(&cols).fold(0, |next, (rows, cols)| {
            starts.push(next);
            next + rows * cols
        });
        Ok(Frame { arena: SharedMemory::new(total as u64, "traced activations")?, starts, rows, cols })
    }

    /// Sets the sizes for a batch.
    pub(crate) fn resize(&mut self, program: &Program, shape: BatchShape) {
        count_rows(program, shape, &mut self.rows);
    }

    pub(crate) fn bytes(&self) -> u64 {
        4 * self.arena.len() as u64
    }

    /// A buffer's values, while nothing runs.
    pub(crate) fn get(&mut self, id: BufferId) -> &[f32] {
        // SAFETY: no worker has the frame, since this borrows it mutably.
        unsafe { self.view(id).all() }
    }

    /// A buffer as the workers see it.
    pub(crate) fn view(&self, id: BufferId) -> View<'_> {
        let index = id.0 as usize;
        View { arena: &self.arena, start: self.starts[index], rows: self.rows[index], cols: self.cols[index] }
    }
}

/// A matrix `[rows, cols]` in the arena. All access is bound to the rule of [`crate::memory`].
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    arena: &'a SharedMemory<f32>,
    start: usize,
    pub(crate) rows: usize,
    pub(crate) cols: usize,
}

impl<'a> View<'a> {
    /// # Safety
    /// No other worker writes to the buffer before the next barrier.
    pub(crate) unsafe fn all(self) -> &'a [f32] {
        // SAFETY: the caller's promise is that of `read`.
        unsafe { self.arena.read(self.start..self.start + self.rows * self.cols) }
    }

    /// Columns of a row.
    ///
    /// # Safety
    /// No other worker writes to them before the next barrier.
    pub(crate) unsafe fn part(self, row: usize, cols: Range<usize>) -> &'a [f32] {
        // SAFETY: the caller's promise is that of `read`.
        unsafe { self.arena.read(self.range(row, cols)) }
    }

    /// Columns of a row, to be written.
    ///
    /// # Safety
    /// No other worker touches them before the next barrier, and this one holds no other reference to them.
    pub(crate) unsafe fn part_mut(self, row: usize, cols: Range<usize>) -> &'a mut [f32] {
        // SAFETY: the caller's promise is that of `write`.
        unsafe { self.arena.write(self.range(row, cols)) }
    }

    /// Points to a column of a row, for kernels that write rows `cols` apart.
    pub(crate) fn pointer(self, row: usize, col: usize) -> *mut f32 {
        self.arena.pointer(self.range(row, col..self.cols).start)
    }

    fn range(self, row: usize, cols: Range<usize>) -> Range<usize> {
        debug_assert!(row < self.rows && cols.end <= self.cols);
        let start = self.start + row * self.cols;
        start + cols.start..start + cols.end
    }
}

fn cols(program: &Program) -> Vec<usize> {
    program.buffers.iter().map(|buffer| buffer.cols as usize).collect()
}

fn count_rows(program: &Program, shape: BatchShape, rows: &mut [usize]) {
    for (rows, buffer) in rows.iter_mut().zip(&program.buffers) {
        *rows = match buffer.class {
            BufferClass::Input => 0,
            _ => buffer.rows.resolve(shape.n_tokens, shape.n_outputs),
        };
    }
}
