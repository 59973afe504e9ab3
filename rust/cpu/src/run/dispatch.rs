//! From steps to ops: one match over [`OpKind`]. Each worker computes its share.

use chord_program::{BufferId, Op, OpKind, Table};

use super::pass::{Pass, Share};
use super::product::ProductRows;
use super::state::Scratch;
use super::step::{Step, Work};
use crate::ops::{attention, elementwise, experts};
use crate::pool::work_queue::{WorkQueue, partition};
use crate::pool::{Abandoned, Worker};

impl Pass<'_> {
    /// Computes pieces of columns, each through all steps of a chain: see [`Step::chained`].
    pub(crate) fn run_chain(&self, steps: &[Step], queue: &WorkQueue, worker: &Worker<'_>) -> Result<(), Abandoned> {
        let (Work::Product { op, .. } | Work::Op(op)) = steps[0].work else {
            unreachable!("preparing rows is never part of a chain")
        };
        let cols = self.program.buffer(self.program.ops[op].out()).cols as usize;
        for piece in queue.claim_columns(cols, true, worker) {
            let share = Share { worker, queue, piece: Some(piece) };
            steps.iter().try_for_each(|step| self.run_step(&step.work, &share))?;
        }
        Ok(())
    }

    /// Computes this worker's share of a step.
    pub(crate) fn run_step(&self, work: &Work, share: &Share<'_>) -> Result<(), Abandoned> {
        // SAFETY: each worker asks for its own, once per step.
        let scratch = unsafe { self.state.scratch.get(share.worker.index) };
        match work {
            Work::PrepareRows { x, norm, formats } => self.prepare_rows(*x, *norm, *formats, share.worker, scratch),
            Work::Product { op, x, normed } => {
                let rows = ProductRows { x: self.view(*x), normed: *normed };
                self.run_op(&self.program.ops[*op], Some(rows), share, scratch)
            }
            Work::Op(op) => self.run_op(&self.program.ops[*op], None, share, scratch),
        }
    }

    /// Computes this worker's share of an op; `rows` are those of a product.
    fn run_op(
        &self,
        op: &Op,
        rows: Option<ProductRows<'_>>,
        share: &Share<'_>,
        scratch: &mut Scratch,
    ) -> Result<(), Abandoned> {
        let worker = share.worker;
        let view = |id: BufferId| self.view(id);
        let input = |id: BufferId| self.inputs.values(self.program, id);
        match &op.kind {
            OpKind::Embed { ids, weight, scale } => {
                let (ids, out) = (input(*ids), view(op.out()));
                let matrix = self.weights.matrix(self.program, weight, 0);
                for row in partition(out.rows, worker) {
                    // SAFETY: this row is this worker's.
                    let out = unsafe { out.part_mut(row, 0..out.cols) };
                    matrix.decode(ids[row] as usize, out, &mut scratch.experts.bytes);
                    elementwise::scale_and_bias(out, *scale, None);
                }
            }
            OpKind::RmsNorm { x, weight, group, eps } => {
                let weight = self.vector(weight);
                self.for_groups(*x, op.out(), *group, worker, |_, x, out| elementwise::rms_norm(x, weight, *eps, out));
            }
            OpKind::LayerNorm { x, weight, bias, eps } => {
                let (weight, bias) = (self.weights.vector(weight), self.vector(bias));
                let norm = |_, x: &[f32], out: &mut [f32]| elementwise::layer_norm(x, weight, bias, *eps, out);
                self.for_groups(*x, op.out(), self.program.buffer(*x).cols, worker, norm);
            }
            OpKind::MatMul { weight, bias, scale, .. } => {
                self.matmul(weight, bias, *scale, view(op.out()), share, self.prepared(scratch));
            }
            OpKind::MatMulId { ids, weight, .. } => {
                let rows = rows.expect("the plan prepares the rows of every product");
                self.matmul_id(*ids, weight, rows, op.out(), share, scratch);
            }
            OpKind::Add { a, b, scale } => {
                self.for_columns([*a, *b], op.out(), share, |[a, b], out| elementwise::add(a, b, *scale, out));
            }
            OpKind::Rope { x, pos, table, head_dim, pairing } => {
                let Table::Rope(rope) = self.program.table(*table) else { unreachable!("checked at the start") };
                let (pos, n_rot) = (input(*pos), rope.n_rot() as usize);
                let angles = &self.state.tables[table.0 as usize];
                let rope = |row: usize, x: &[f32], out: &mut [f32]| {
                    elementwise::rope(x, &angles[pos[row] as usize * n_rot..][..n_rot], *pairing, out);
                };
                self.for_groups(*x, op.out(), *head_dim, worker, rope);
            }
            OpKind::KvWrite { k, v, pos, seq, slot } => {
                let (k, v, pos, seq) = (view(*k), view(*v), input(*pos), input(*seq));
                let shape = self.program.slot(*slot);
                let (heads, k_dim, v_dim) = (shape.n_kv_heads as usize, shape.k_dim as usize, shape.v_dim as usize);
                for index in partition(k.rows * heads, worker) {
                    let (row, head) = (index / heads, index % heads);
                    // SAFETY: this head of the row is this worker's, and so is its cell: no two rows of a batch have
                    // the same position of a sequence.
                    unsafe {
                        let k = k.part(row, head * k_dim..(head + 1) * k_dim);
                        let v = v.part(row, head * v_dim..(head + 1) * v_dim);
                        self.state.kv.write(*slot, seq[row], head, pos[row], k, v);
                    }
                }
            }
            OpKind::Attention { q, slot, n_heads, scale, mask, soft_cap, sinks, .. } => {
                let kv = self.program.slot(*slot);
                let params = attention::Params {
                    slot: *slot,
                    n_heads: *n_heads as usize,
                    n_kv_heads: kv.n_kv_heads as usize,
                    k_dim: kv.k_dim as usize,
                    v_dim: kv.v_dim as usize,
                    scale: *scale,
                    mask: *mask,
                    soft_cap: *soft_cap,
                    sinks: self.vector(sinks),
                };
                return self.attention(&params, view(*q), view(op.out()), share, &mut scratch.attention);
            }
            OpKind::Glu { gate, up, act } => {
                let glu = self.state.ops.glu;
                // SAFETY: the processor has been checked for these ops.
                let glu = |[gate, up]: [&[f32]; 2], out: &mut [f32]| unsafe { glu(gate, Some(up), *act, out) };
                self.for_columns([*gate, *up], op.out(), share, glu);
            }
            OpKind::Act { x, act } => {
                let glu = self.state.ops.glu;
                // SAFETY: as above.
                self.for_columns([*x], op.out(), share, |[x], out| unsafe { glu(x, None, *act, out) });
            }
            OpKind::Route { logits, k, gating, scale } => {
                let (logits, ids, weights) = (view(*logits), view(op.outputs[0]), view(op.outputs[1]));
                let k = *k as usize;
                for row in partition(logits.rows, worker) {
                    // SAFETY: this row of input and outputs is this worker's.
                    unsafe {
                        let ids = bytemuck::cast_slice_mut(ids.part_mut(row, 0..k));
                        let (logits, weights) = (logits.part(row, 0..logits.cols), weights.part_mut(row, 0..k));
                        experts::route(logits, *gating, *scale, ids, weights, &mut scratch.experts.order);
                    }
                }
            }
            OpKind::CombineExperts { x, weights } => {
                let (x, weights, out) = (view(*x), view(*weights), view(op.out()));
                let cols = share.columns(out.cols);
                for row in 0..out.rows {
                    // SAFETY: no worker writes to the weights in this step, and these columns are this worker's.
                    unsafe {
                        let weights = weights.part(row, 0..weights.cols);
                        let x = |j: usize| x.part(row * weights.len() + j, cols.clone());
                        experts::combine(x, weights, out.part_mut(row, cols.clone()));
                    }
                }
            }
            OpKind::GatherRows { x, rows } => {
                let (x, rows, out) = (view(*x), input(*rows), view(op.out()));
                let cols = share.columns(out.cols);
                for (row, &from) in rows.iter().take(out.rows).enumerate() {
                    // SAFETY: these columns of all rows are this worker's.
                    unsafe { out.part_mut(row, cols.clone()).copy_from_slice(x.part(from as usize, cols.clone())) };
                }
            }
            OpKind::SoftCap { x, cap } => {
                self.for_columns([*x], op.out(), share, |[x], out| elementwise::soft_cap(x, *cap, out));
            }
            OpKind::Scale { x, scale } => {
                self.for_columns([*x], op.out(), share, |[x], out| elementwise::scale(x, *scale, out));
            }
        }
        Ok(())
    }
}
