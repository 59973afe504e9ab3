//! Attention of few queries over many positions, in parts of them: as many things to do as workers, and more, where there
//! are fewer heads than that.
//!
//! Parts are of a fixed size and put together in order, so that sums do not depend on the number of workers.

use std::ops::Range;

use chord_program::{ExecError, Mask, OpKind, Program};

use super::attention::UNSEEN;
use crate::batch::Block;
use crate::memory::Memory;

/// Positions of a part, at least. A short part costs less than it takes to wait for the others.
const POSITIONS: u32 = 128;
/// Parts of a whole context, at most.
const MOST: u32 = 64;

/// What the workers make of their parts: for each row, head and part the weighted sum of values, the largest score and
/// the sum of exponentials relative to it.
pub(crate) struct Parts {
    memory: Memory<f32>,
    /// Of a part: the part of a position is that many times smaller.
    positions: u32,
}

/// The parts of one attention op.
#[derive(Clone, Copy)]
pub(crate) struct Layout {
    pub(crate) n_heads: usize,
    pub(crate) v_dim: usize,
    /// Parts that a row has room for.
    pub(crate) n_parts: usize,
}

/// One of them.
pub(crate) struct Part<'a> {
    pub(crate) index: usize,
    pub(crate) positions: Range<u32>,
    pub(crate) parts: &'a Parts,
    pub(crate) layout: Layout,
}

impl Parts {
    /// Room for any attention op of the program, with batches of at most `n_rows`.
    pub(crate) fn new(program: &Program, n_rows: usize) -> Result<Self, ExecError> {
        let positions = program.n_ctx.div_ceil(MOST).next_multiple_of(POSITIONS);
        // A window need not begin where a part does.
        let n_parts = program.n_ctx.div_ceil(positions) as usize + 1;
        let len = program.ops.iter().filter_map(|op| {
            let OpKind::Attention { slot, n_heads, .. } = op.kind else { return None };
            let v_dim = program.slot(slot).v_dim as usize;
            Some(Layout { n_heads: n_heads as usize, v_dim, n_parts }.len(n_rows))
        });
        Ok(Parts { memory: Memory::new(len.max().unwrap_or(0) as u64, "attention")?, positions })
    }

    /// Bytes taken.
    pub(crate) fn bytes(&self) -> u64 {
        4 * self.memory.len() as u64
    }

    /// How many parts there are of the positions `seen`.
    pub(crate) fn count(&self, seen: &Range<u32>) -> usize {
        (seen.end.div_ceil(self.positions) - seen.start / self.positions) as usize
    }

    /// Part `index` of the positions `seen`.
    pub(crate) fn part(&self, seen: &Range<u32>, index: usize, layout: Layout) -> Part<'_> {
        let number = seen.start / self.positions + index as u32;
        Part { index, positions: number * self.positions..(number + 1) * self.positions, parts: self, layout }
    }

    /// Puts the first `count` parts of a row's head together.
    ///
    /// # Safety
    /// The rule of [`crate::memory`] for them.
    pub(crate) unsafe fn combine(&self, row: usize, head: usize, layout: Layout, count: usize, out: &mut [f32]) {
        let first = layout.place(row, head, 0);
        // SAFETY: the caller's promise.
        let parts = unsafe { self.memory.read(first..first + count * layout.stride()) };
        let largest = parts.chunks_exact(layout.stride()).map(|part| part[layout.v_dim]).fold(UNSEEN, f32::max);
        out.fill(0.0);
        let mut total = 0.0;
        for part in parts.chunks_exact(layout.stride()) {
            let (sums, [max, sum]) = (&part[..layout.v_dim], [part[layout.v_dim], part[layout.v_dim + 1]]);
            let weight = (max - largest).exp();
            total += weight * sum;
            out.iter_mut().zip(sums).for_each(|(out, sum)| *out += weight * sum);
        }
        let inverse = 1.0 / total;
        out.iter_mut().for_each(|out| *out *= inverse);
    }
}

/// Positions that any row of a block sees.
pub(crate) fn seen(block: &Block, mask: Mask, pos: &[u32]) -> Range<u32> {
    let rows = block.rows.clone().map(|row| block.seen(mask, pos[row]));
    rows.reduce(|a, b| a.start.min(b.start)..a.end.max(b.end)).unwrap_or(0..0)
}

impl Layout {
    /// The sums, the largest score, the sum of exponentials.
    fn stride(self) -> usize {
        self.v_dim + 2
    }

    fn place(self, row: usize, head: usize, part: usize) -> usize {
        ((row * self.n_heads + head) * self.n_parts + part) * self.stride()
    }

    fn len(self, n_rows: usize) -> usize {
        self.place(n_rows, 0, 0)
    }
}

impl Part<'_> {
    /// Keeps what one query has found here.
    ///
    /// # Safety
    /// The rule of [`crate::memory`] for this part of this row and head.
    pub(crate) unsafe fn keep(&self, row: usize, head: usize, sums: &[f32], max: f32, sum: f32) {
        let first = self.layout.place(row, head, self.index);
        // SAFETY: the caller's promise.
        let place = unsafe { self.parts.memory.write(first..first + self.layout.stride()) };
        place[..sums.len()].copy_from_slice(sums);
        place[sums.len()..].copy_from_slice(&[max, sum]);
    }
}
