//! Attention of few queries over many positions, which are split among workers: there may be fewer heads than workers.
//!
//! Splits are of a fixed size and combined in order, so that sums do not depend on the number of workers.

use std::ops::Range;

use chord_program::{ExecError, OpKind, Program};

use crate::memory::SharedMemory;

/// Below any score; its exponential is negligible.
pub(super) const UNSEEN: f32 = -1e30;
/// Fewest positions of a split. A short one costs less than waiting for other workers.
const FEWEST_POSITIONS: u32 = 128;
/// Most splits of a whole context.
const MOST: u32 = 64;

/// Partial results of the splits: for each row, head and split the weighted sum of values, the largest score and the
/// sum of exponentials relative to it.
pub(crate) struct Splits {
    memory: SharedMemory<f32>,
    /// Positions of a split. A position divided by this is the number of its split.
    positions: u32,
}

/// How the partial results of one attention op are laid out.
#[derive(Clone, Copy)]
pub(crate) struct SplitLayout {
    pub(crate) n_heads: usize,
    pub(crate) v_dim: usize,
    /// Splits that each row has room for.
    pub(crate) n_splits: usize,
}

/// One of the splits.
pub(crate) struct Split<'a> {
    pub(crate) index: usize,
    pub(crate) positions: Range<u32>,
    pub(crate) all: &'a Splits,
    pub(crate) layout: SplitLayout,
}

impl Splits {
    /// Room for any attention op of the program, with batches of at most `n_rows`.
    pub(crate) fn new(program: &Program, n_rows: usize) -> Result<Self, ExecError> {
        let positions = program.n_ctx.div_ceil(MOST).next_multiple_of(FEWEST_POSITIONS);
        // A window need not begin where a split does.
        let n_splits = program.n_ctx.div_ceil(positions) as usize + 1;
        let len = program.ops.iter().filter_map(|op| {
            let OpKind::Attention { slot, n_heads, .. } = op.kind else { return None };
            let v_dim = program.slot(slot).v_dim as usize;
            Some(SplitLayout { n_heads: n_heads as usize, v_dim, n_splits }.len(n_rows))
        });
        Ok(Splits { memory: SharedMemory::new(len.max().unwrap_or(0) as u64, "attention")?, positions })
    }

    /// Bytes allocated.
    pub(crate) fn bytes(&self) -> u64 {
        4 * self.memory.len() as u64
    }

    /// How many splits the positions `seen` touch.
    pub(crate) fn count(&self, seen: &Range<u32>) -> usize {
        (seen.end.div_ceil(self.positions) - seen.start / self.positions) as usize
    }

    /// Split `index` of the positions `seen`.
    pub(crate) fn split(&self, seen: &Range<u32>, index: usize, layout: SplitLayout) -> Split<'_> {
        let number = seen.start / self.positions + index as u32;
        Split { index, positions: number * self.positions..(number + 1) * self.positions, all: self, layout }
    }

    /// Combines the first `count` splits of a row's head.
    ///
    /// # Safety
    /// The rule of [`crate::memory`] for them.
    pub(crate) unsafe fn combine(&self, row: usize, head: usize, layout: SplitLayout, count: usize, out: &mut [f32]) {
        let first = layout.offset(row, head, 0);
        // SAFETY: the caller keeps the rule for these splits.
        let splits = unsafe { self.memory.read(first..first + count * layout.stride()) };
        let largest = splits.chunks_exact(layout.stride()).map(|split| split[layout.v_dim]).fold(UNSEEN, f32::max);
        out.fill(0.0);
        let mut total = 0.0;
        for split in splits.chunks_exact(layout.stride()) {
            let (sums, [max, sum]) = (&split[..layout.v_dim], [split[layout.v_dim], split[layout.v_dim + 1]]);
            let weight = (max - largest).exp();
            total += weight * sum;
            out.iter_mut().zip(sums).for_each(|(out, sum)| *out += weight * sum);
        }
        let inverse = 1.0 / total;
        out.iter_mut().for_each(|out| *out *= inverse);
    }
}

impl SplitLayout {
    /// Numbers of a split: the sums, the largest score, the sum of exponentials.
    fn stride(self) -> usize {
        self.v_dim + 2
    }

    fn offset(self, row: usize, head: usize, split: usize) -> usize {
        ((row * self.n_heads + head) * self.n_splits + split) * self.stride()
    }

    fn len(self, n_rows: usize) -> usize {
        self.offset(n_rows, 0, 0)
    }
}

impl Split<'_> {
    /// Stores one query's partial result.
    ///
    /// # Safety
    /// The rule of [`crate::memory`] for this split of this row and head.
    pub(crate) unsafe fn store(&self, row: usize, head: usize, sums: &[f32], max: f32, sum: f32) {
        let first = self.layout.offset(row, head, self.index);
        // SAFETY: the caller keeps the rule for this split.
        let stored = unsafe { self.all.memory.write(first..first + self.layout.stride()) };
        stored[..sums.len()].copy_from_slice(sums);
        stored[sums.len()..].copy_from_slice(&[max, sum]);
    }
}
