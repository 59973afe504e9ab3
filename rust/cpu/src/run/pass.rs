//! One pass through the program for one batch, as the workers see it, and how ops divide their work.
//!
//! Everything `unsafe` in the ops of a pass rests on one argument: a worker touches what [`super::access`] assigns to
//! it, and the plan's barriers keep the rule of [`crate::memory`].

use std::ops::Range;

use chord_program::{BufferId, Program, Rows, WeightRef};

use super::input::Inputs;
use super::prepared::PreparedRows;
use super::state::{Scratch, State};
use crate::matmul::weights::Weights;
use crate::memory::{Frame, View};
use crate::pool::Worker;
use crate::pool::work_queue::{WorkQueue, partition, partition_columns};

/// One pass.
pub(crate) struct Pass<'a> {
    pub(crate) program: &'a Program,
    pub(crate) weights: &'a Weights,
    pub(crate) state: &'a State,
    pub(crate) inputs: Inputs<'a>,
    pub(crate) frame: &'a Frame,
    /// Whether there are at most [`FEW_TOKENS`](super::step::FEW_TOKENS) tokens.
    pub(crate) few: bool,
    /// Tokens whose rows are rounded to 8 bits where others have 16: see `ActivationType::coarse_rows`.
    pub(crate) coarse: Range<usize>,
}

/// A worker's share of a step.
pub(crate) struct Share<'a> {
    pub(crate) worker: &'a Worker<'a>,
    /// The step's pieces, for ops whose work is divided dynamically.
    pub(crate) queue: &'a WorkQueue,
    /// The columns to compute, where a piece of a chain of steps was claimed.
    pub(crate) piece: Option<Range<usize>>,
}

impl Share<'_> {
    /// Columns of this share: those of its piece, or an equal part of all.
    pub(crate) fn columns(&self, total: usize) -> Range<usize> {
        self.piece.clone().unwrap_or_else(|| partition_columns(total, self.worker))
    }
}

impl Pass<'_> {
    /// The rows that a product reads.
    pub(crate) fn prepared<'s>(&'s self, scratch: &'s Scratch) -> &'s PreparedRows {
        if self.few { &scratch.prepared } else { &self.state.prepared }
    }

    /// The rows of a buffer that are rounded to 8 bits where others have 16.
    pub(crate) fn coarse_rows(&self, x: BufferId) -> Range<usize> {
        match self.program.buffer(x).rows {
            Rows::Tokens(n) => self.coarse.start * n as usize..self.coarse.end * n as usize,
            Rows::Fixed(_) | Rows::Outputs(_) => 0..0,
        }
    }

    pub(crate) fn view(&self, id: BufferId) -> View<'_> {
        self.frame.view(id)
    }

    pub(crate) fn vector(&self, view: &Option<WeightRef>) -> Option<&[f32]> {
        view.as_ref().map(|view| self.weights.vector(view))
    }

    /// Applies `f` to each group of `group` columns in this worker's part; the first argument is the row.
    pub(crate) fn for_groups(
        &self,
        x: BufferId,
        out: BufferId,
        group: u32,
        worker: &Worker<'_>,
        mut f: impl FnMut(usize, &[f32], &mut [f32]),
    ) {
        let (x, out) = (self.view(x), self.view(out));
        let group = group as usize;
        let per_row = x.cols / group;
        for index in partition(x.rows * per_row, worker) {
            let (row, first) = (index / per_row, index % per_row * group);
            let cols = first..first + group;
            // SAFETY: this group of input and output is assigned to this worker, and they are two buffers.
            unsafe { f(row, x.part(row, cols.clone()), out.part_mut(row, cols)) };
        }
    }

    /// Applies `f` to the columns of each row in this worker's share.
    pub(crate) fn for_columns<const N: usize>(
        &self,
        inputs: [BufferId; N],
        out: BufferId,
        share: &Share<'_>,
        f: impl Fn([&[f32]; N], &mut [f32]),
    ) {
        let out = self.view(out);
        let cols = share.columns(out.cols);
        if cols.is_empty() {
            return;
        }
        let inputs = inputs.map(|id| self.view(id));
        for row in 0..out.rows {
            // SAFETY: these columns of inputs and output are assigned to this worker, and the output is no input.
            unsafe { f(inputs.map(|input| input.part(row, cols.clone())), out.part_mut(row, cols.clone())) };
        }
    }
}
