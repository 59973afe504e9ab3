//! Products: preparing their rows, and multiplying.

use std::ops::Range;

use chord_program::{BufferId, OpKind, WeightRef};

use super::pass::{Pass, Share};
use super::prepared::PreparedRows;
use super::state::Scratch;
use super::step::RowFormats;
use crate::memory::View;
use crate::ops::{elementwise, experts};
use crate::pool::work_queue::partition;
use crate::pool::{Abandoned, Worker};

/// What a product reads: the rows of `x`, or the result of the norm before the product.
#[derive(Clone, Copy)]
pub(crate) struct ProductRows<'a> {
    pub(crate) x: View<'a>,
    pub(crate) normed: bool,
}

impl Pass<'_> {
    /// Norms this worker's part of the rows, and fills its part of the panels; with few tokens, all of both.
    pub(crate) fn prepare_rows(
        &self,
        x: BufferId,
        norm: Option<usize>,
        formats: RowFormats,
        worker: &Worker<'_>,
        scratch: &mut Scratch,
    ) -> Result<(), Abandoned> {
        let coarse = self.coarse_rows(x);
        let x = self.view(x);
        let prepared = self.prepared(scratch);
        if (self.few || worker.index == 0) && !formats.is_none() {
            // SAFETY: with few tokens the rows are this worker's own; else the others wait at the barrier below, and at
            // one before this step if they still read earlier rows.
            unsafe { prepared.begin(x.rows, x.cols, formats, coarse) };
        }
        if let Some(op) = norm {
            let OpKind::RmsNorm { weight, eps, .. } = &self.program.ops[op].kind else {
                unreachable!("the plan fuses no other op")
            };
            let weight = self.vector(weight);
            for row in if self.few { 0..x.rows } else { partition(x.rows, worker) } {
                // SAFETY: no worker writes to `x` in this step, and the normed row is this worker's.
                unsafe {
                    let (x, normed) = (x.part(row, 0..x.cols), prepared.normed_mut(row, x.cols));
                    elementwise::rms_norm(x, weight, *eps, normed);
                }
            }
        }
        if !self.few {
            worker.barrier()?;
        }
        if !formats.is_none() {
            // SAFETY: after the barrier no worker writes to the rows, or begins before the next one.
            let (rows, fillers) = unsafe {
                let rows = if norm.is_some() { prepared.normed(x.rows, x.cols) } else { x.all() };
                (rows, prepared.fillers())
            };
            for filler in fillers {
                let panels = if self.few { 0..filler.n_panels() } else { partition(filler.n_panels(), worker) };
                // SAFETY: the rows have the shape that `begin` was given, and the panels are this worker's.
                unsafe { filler.fill(rows.as_ptr(), panels) };
            }
        }
        Ok(())
    }

    pub(crate) fn matmul(
        &self,
        weight: &WeightRef,
        bias: &Option<WeightRef>,
        scale: f32,
        out: View<'_>,
        share: &Share<'_>,
        prepared: &PreparedRows,
    ) {
        if out.rows == 0 {
            return;
        }
        let matrix = self.weights.matrix(self.program, weight, 0);
        let multiply = |cols: Range<usize>| {
            // SAFETY: a barrier lies between filling the rows and this step, unless they are this worker's own.
            for rows in unsafe { prepared.formats() }.of(matrix.takes_codes()) {
                // SAFETY: these columns of `out` are this worker's.
                unsafe { matrix.multiply(rows, cols.clone(), out.pointer(0, cols.start), out.cols) };
            }
            if scale != 1.0 || bias.is_some() {
                for row in 0..out.rows {
                    let bias = self.vector(bias).map(|bias| &bias[cols.clone()]);
                    // SAFETY: as above, and there is no other reference.
                    elementwise::scale_and_bias(unsafe { out.part_mut(row, cols.clone()) }, scale, bias);
                }
            }
        };
        if !self.few {
            share.queue.claim_columns(out.cols, false, share.worker).for_each(multiply);
            return;
        }
        let cols = share.columns(out.cols);
        if !cols.is_empty() {
            multiply(cols);
        }
    }

    pub(crate) fn matmul_id(
        &self,
        ids: BufferId,
        weight: &WeightRef,
        rows: ProductRows<'_>,
        out: BufferId,
        share: &Share<'_>,
        scratch: &mut Scratch,
    ) {
        let (coarse, out) = (self.coarse_rows(out), self.view(out));
        let cols = share.columns(out.cols);
        if out.rows == 0 || cols.is_empty() {
            return;
        }
        let expert = |expert| self.weights.matrix(self.program, weight, expert);
        let prepared = if self.few { &scratch.prepared } else { &self.state.prepared };
        let ProductRows { x, normed } = rows;
        // SAFETY: no worker writes to ids and rows in this step, and these columns of `out` are this worker's.
        unsafe {
            let ids: &[u32] = bytemuck::cast_slice(self.view(ids).all());
            let rows = if normed { prepared.normed(x.rows, x.cols) } else { x.all() };
            experts::multiply(rows, ids, expert, cols, out, coarse, &mut scratch.experts);
        }
    }
}
