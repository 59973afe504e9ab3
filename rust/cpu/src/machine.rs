//! Runs steps: weights, tables and KV cache, and one match over [`OpKind`]. Each worker computes its share.
//!
//! Everything here that is `unsafe` rests on one argument: a step touches what its layout in [`crate::plan`] says, and the
//! plan's barriers keep the rule of [`crate::memory`].
#![allow(clippy::undocumented_unsafe_blocks)]

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use chord_gguf::GgmlType;
use chord_program::{Batch, BufferId, ExecError, MemoryPlan, Op, OpKind, Program, Rows, Table, WeightRef, WeightUse};

use crate::batch::{Block, Inputs, cut};
use crate::frame::{Frame, View};
use crate::kv::{AnyHead, KvCache};
use crate::memory::{PerWorker, table_rows};
use crate::ops::dispatch::{VectorOps, vector_ops};
use crate::ops::parts::{self, Parts};
use crate::ops::{attention, elementwise, experts};
use crate::options::ActivationType;
use crate::plan::{FEW_TOKENS, Form, Fusion, Plan, Step, Work};
use crate::pool::{Abandoned, Pool, PoolError, Worker};
use crate::profile::{Clock, Profile};
use crate::share::{Deal, deal_cols, share, share_cols};
use crate::simd::InstructionSet;
use crate::taken::Taken;
use crate::weights::Weights;

pub(crate) struct Machine {
    /// As it was given: what traces run.
    pub(crate) program: Arc<Program>,
    /// What batches run, segment by segment: the same without rows that nobody asks for. Weights, slots and the buffers of
    /// `program` have the same numbers.
    pub(crate) narrow: Program,
    pub(crate) weights: Weights,
    pool: Pool,
    plans: Plans,
    state: State,
    /// How much of each step has been dealt.
    dealt: Vec<AtomicUsize>,
    blocks: Vec<Block>,
    /// Ops run so far.
    pub(crate) ops_run: u64,
    /// Kept while someone wants to know.
    pub(crate) profile: Option<Profile>,
}

/// The steps.
struct Plans {
    /// For batches of at most [`FEW_TOKENS`].
    few: Plan,
    /// For larger ones.
    many: Plan,
    /// Every op on its own.
    single: Plan,
}

/// What the workers share beside the frame.
struct State {
    tables: Vec<Vec<f32>>,
    kv: KvCache,
    /// Rows for products, taken by all together.
    taken: Taken,
    /// Of attention that is shared out by positions.
    parts: Parts,
    scratch: PerWorker<Scratch>,
    /// Compiled for this processor, which has been checked.
    ops: VectorOps,
}

/// Memory of one worker.
struct Scratch {
    /// Rows for products, taken by this worker for itself.
    taken: Taken,
    experts: experts::Scratch,
    attention: attention::Scratch,
}

/// What to run of a program.
#[derive(Clone, Debug)]
pub(crate) enum Part {
    /// Segments, fused.
    Segments(Range<usize>),
    /// One op on its own.
    Op(usize),
}

impl Machine {
    /// Also says where the buffers of a [`Frame`] for it lie.
    pub(crate) fn new(
        program: Arc<Program>,
        activations: ActivationType,
        pool: Pool,
    ) -> Result<(Self, MemoryPlan), ExecError> {
        check(&program)?;
        let narrow = program.narrowed();
        let weights = Weights::new(&program, activations)?;
        let plan = |program: &Program, fusion| {
            let takes_codes =
                |op: usize| program.ops[op].kind.product().is_some_and(|product| weights.takes_codes(product.weight));
            Plan::new(program, fusion, takes_codes)
        };
        let single = plan(&program, Fusion::No);
        // Of all rows, as a trace takes them.
        let whole = plan(&program, Fusion::Yes);
        let fused = plan(&narrow, Fusion::Yes);
        let memory = fused.memory(&narrow);
        let n_outputs = program.max_outputs as usize;
        let scratch = PerWorker::new(pool.n_threads(), || {
            let taken = Taken::new(&program, &whole, &weights, FEW_TOKENS, n_outputs)?;
            Ok(Scratch { taken, experts: experts::Scratch::new(&weights), attention: attention::Scratch::default() })
        })?;
        let state = State {
            // Before the tables, which need not be computed where caches have no room.
            kv: KvCache::new(&program)?,
            tables: program.tables.iter().map(|table| table_rows(table, program.n_ctx)).collect::<Result<_, _>>()?,
            taken: Taken::new(&program, &whole, &weights, program.max_batch as usize, n_outputs)?,
            parts: Parts::new(&program, FEW_TOKENS)?,
            scratch,
            ops: vector_ops(weights.isa()),
        };
        let plans = Plans {
            few: fused.with_barriers(&narrow, &memory, true),
            many: fused.with_barriers(&narrow, &memory, false),
            single: single.with_barriers(&program, &single.memory(&program), false),
        };
        let dealt = (0..fused.steps.len().max(single.steps.len())).map(|_| AtomicUsize::new(0)).collect();
        let blocks = Vec::new();
        Ok((Machine { weights, pool, plans, state, dealt, blocks, ops_run: 0, profile: None, program, narrow }, memory))
    }

    pub(crate) fn n_threads(&self) -> usize {
        self.pool.n_threads()
    }

    pub(crate) fn table_bytes(&self) -> u64 {
        self.state.tables.iter().map(|table| 4 * table.len() as u64).sum()
    }

    pub(crate) fn kv_bytes(&self) -> u64 {
        self.state.kv.bytes()
    }

    pub(crate) fn scratch_bytes(&self) -> u64 {
        self.state.taken.bytes() + self.state.parts.bytes()
    }

    pub(crate) fn isa(&self) -> InstructionSet {
        self.weights.isa()
    }

    /// Runs a part of the program for a batch, on all workers.
    pub(crate) fn run(&mut self, part: Part, batch: &Batch<'_>, frame: &mut Frame) -> Result<(), ExecError> {
        let few = batch.ids.len() <= FEW_TOKENS;
        let is_op = matches!(part, Part::Op(_));
        let (program, plan, few, steps, n_ops) = match part {
            Part::Segments(segments) => {
                let plan = if few { &self.plans.few } else { &self.plans.many };
                let ops = |index: usize| self.narrow.segments[index].ops.len();
                let n_ops = segments.clone().map(ops).sum();
                let steps = plan.segments[segments.start].start..plan.segments[segments.end - 1].end;
                (&self.narrow, plan, few, steps, n_ops)
            }
            Part::Op(op) => {
                let plan = &self.plans.single;
                (&*self.program, plan, false, plan.ops[op]..plan.ops[op + 1], 1)
            }
        };
        self.ops_run += n_ops as u64;
        cut(batch, &mut self.blocks);
        let inputs = Inputs { batch: *batch, blocks: &self.blocks };
        let frame = &*frame;
        // Traces take all rows alike.
        let coarse = if is_op { 0..0 } else { self.weights.activation_type().coarse_rows(batch) };
        let run = Run { program, weights: &self.weights, state: &self.state, inputs, frame, few, coarse };
        let steps = &plan.steps[steps];
        let dealt = &self.dealt[..steps.len()];
        dealt.iter().for_each(|dealt| dealt.store(0, Ordering::Relaxed));
        let clock = self.profile.is_some().then(|| Mutex::new(Clock::default()));
        // A profile tells steps apart.
        let deals = self.pool.n_threads() > 1 && clock.is_none();
        let job = |worker: &Worker<'_>| -> Result<(), Abandoned> {
            let clock = clock.as_ref().filter(|_| worker.index == 0);
            let mut clock = clock.map(|clock| clock.lock().unwrap_or_else(PoisonError::into_inner));
            let mut index = 0;
            while index < steps.len() {
                let (step, dealt) = (&steps[index], &dealt[index]);
                clock.iter_mut().for_each(|clock| clock.wait_begins());
                if step.barrier && index > 0 {
                    worker.barrier()?;
                }
                clock.iter_mut().for_each(|clock| clock.work_begins());
                if deals && step.together > 0 {
                    let those = &steps[index..index + step.together];
                    run.together(those, dealt, worker)?;
                    index += those.len();
                } else {
                    run.step(&step.work, &Turn { worker, dealt, piece: None })?;
                    index += 1;
                }
                clock.iter_mut().for_each(|clock| clock.work_ends());
            }
            Ok(())
        };
        let done = self.pool.run(&job).map_err(|error| match error {
            PoolError::Panicked(what) => {
                ExecError::Device(format!("a CPU worker panicked: {what}; please report this"))
            }
            other => ExecError::Device(other.to_string()),
        });
        if let (Some(profile), Some(clock)) = (&mut self.profile, clock) {
            clock.into_inner().unwrap_or_else(PoisonError::into_inner).add_to(profile, program, steps);
        }
        done
    }
}

/// One run, as the workers see it.
struct Run<'a> {
    program: &'a Program,
    weights: &'a Weights,
    state: &'a State,
    inputs: Inputs<'a>,
    frame: &'a Frame,
    few: bool,
    /// Tokens whose rows have one digit: see [`ActivationType::coarse_rows`].
    coarse: Range<usize>,
}

/// What a product reads: the rows of `x`, or what the norm in front of the product has made of them.
#[derive(Clone, Copy)]
struct ProductRows<'a> {
    x: View<'a>,
    normed: bool,
}

/// A worker's turn at a step.
struct Turn<'a> {
    worker: &'a Worker<'a>,
    /// How much of the step has been dealt.
    dealt: &'a AtomicUsize,
    /// The columns to compute, where they were dealt before.
    piece: Option<Range<usize>>,
}

impl Turn<'_> {
    /// Columns of this turn, where everyone has a share.
    fn cols(&self, total: usize) -> Range<usize> {
        self.piece.clone().unwrap_or_else(|| share_cols(total, self.worker))
    }
}

impl Run<'_> {
    /// Steps that are dealt together: see [`Step::together`].
    fn together(&self, steps: &[Step], dealt: &AtomicUsize, worker: &Worker<'_>) -> Result<(), Abandoned> {
        let (Work::Product { op, .. } | Work::Op(op)) = steps[0].work else { unreachable!("rows are never dealt") };
        let cols = self.program.buffer(self.program.ops[op].out()).cols as usize;
        for piece in deal_cols(cols, true, worker, dealt) {
            let turn = Turn { worker, dealt, piece: Some(piece) };
            steps.iter().try_for_each(|step| self.step(&step.work, &turn))?;
        }
        Ok(())
    }

    fn step(&self, work: &Work, turn: &Turn<'_>) -> Result<(), Abandoned> {
        // SAFETY: each worker asks for its own, once per step.
        let scratch = unsafe { self.state.scratch.get(turn.worker.index) };
        match work {
            Work::TakeRows { x, norm, form } => self.take_rows(*x, *norm, *form, turn.worker, scratch),
            Work::Product { op, x, normed } => {
                let rows = ProductRows { x: self.frame.view(*x), normed: *normed };
                self.op(&self.program.ops[*op], Some(rows), turn, scratch)
            }
            Work::Op(op) => self.op(&self.program.ops[*op], None, turn, scratch),
        }
    }

    /// The rows of a buffer that have one digit.
    fn coarse_rows(&self, x: BufferId) -> Range<usize> {
        match self.program.buffer(x).rows {
            Rows::Tokens(n) => self.coarse.start * n as usize..self.coarse.end * n as usize,
            Rows::Fixed(_) | Rows::Outputs(_) => 0..0,
        }
    }

    /// Norms its share of the rows, and brings its share of their panels into form. Who takes rows for itself takes them
    /// all.
    fn take_rows(
        &self,
        x: BufferId,
        norm: Option<usize>,
        form: Form,
        worker: &Worker<'_>,
        scratch: &mut Scratch,
    ) -> Result<(), Abandoned> {
        let coarse = self.coarse_rows(x);
        let x = self.frame.view(x);
        let taken = self.taken(scratch);
        if (self.few || worker.index == 0) && !form.is_none() {
            unsafe { taken.begin(x.rows, x.cols, form, coarse) };
        }
        if let Some(op) = norm {
            let OpKind::RmsNorm { weight, eps, .. } = &self.program.ops[op].kind else {
                unreachable!("no other is fused")
            };
            let weight = self.vector(weight);
            for row in if self.few { 0..x.rows } else { share(x.rows, worker) } {
                unsafe { elementwise::rms_norm(x.part(row, 0..x.cols), weight, *eps, taken.normed_mut(row, x.cols)) };
            }
        }
        if !self.few {
            worker.barrier()?;
        }
        if !form.is_none() {
            let rows = if norm.is_some() { unsafe { taken.normed(0..x.rows, x.cols) } } else { unsafe { x.all() } };
            for filler in unsafe { taken.fillers() } {
                let panels = if self.few { 0..filler.n_panels() } else { share(filler.n_panels(), worker) };
                unsafe { filler.fill(rows.as_ptr(), panels) };
            }
        }
        Ok(())
    }

    /// The rows that a product reads, in the form that its kernels take.
    fn taken<'t>(&'t self, scratch: &'t Scratch) -> &'t Taken {
        if self.few { &scratch.taken } else { &self.state.taken }
    }

    fn matmul(
        &self,
        weight: &WeightRef,
        bias: &Option<WeightRef>,
        scale: f32,
        out: View<'_>,
        turn: &Turn<'_>,
        taken: &Taken,
    ) {
        if out.rows == 0 {
            return;
        }
        let matrix = self.weights.matrix(self.program, weight, 0);
        let multiply = |cols: Range<usize>| {
            for rows in unsafe { taken.forms() }.of(matrix.takes_codes()) {
                unsafe { matrix.multiply(rows, cols.clone(), out.place(0, cols.start), out.cols) };
            }
            if scale != 1.0 || bias.is_some() {
                for row in 0..out.rows {
                    let bias = self.vector(bias).map(|bias| &bias[cols.clone()]);
                    elementwise::scale_and_bias(unsafe { out.part_mut(row, cols.clone()) }, scale, bias);
                }
            }
        };
        if !self.few {
            deal_cols(out.cols, false, turn.worker, turn.dealt).for_each(multiply);
            return;
        }
        let cols = turn.cols(out.cols);
        if !cols.is_empty() {
            multiply(cols);
        }
    }

    fn matmul_id(
        &self,
        ids: BufferId,
        weight: &WeightRef,
        rows: ProductRows<'_>,
        out: BufferId,
        turn: &Turn<'_>,
        scratch: &mut Scratch,
    ) {
        let (coarse, out) = (self.coarse_rows(out), self.frame.view(out));
        let cols = turn.cols(out.cols);
        if out.rows == 0 || cols.is_empty() {
            return;
        }
        let ids: &[u32] = bytemuck::cast_slice(unsafe { self.frame.view(ids).all() });
        let expert = |expert| self.weights.matrix(self.program, weight, expert);
        let taken = if self.few { &scratch.taken } else { &self.state.taken };
        let ProductRows { x, normed } = rows;
        let rows = if normed { unsafe { taken.normed(0..x.rows, x.cols) } } else { unsafe { x.all() } };
        unsafe { experts::multiply(rows, ids, expert, cols, out, coarse, &mut scratch.experts) };
    }

    /// Computes this worker's share of an op; `rows` are those of a product.
    fn op(
        &self,
        op: &Op,
        rows: Option<ProductRows<'_>>,
        turn: &Turn<'_>,
        scratch: &mut Scratch,
    ) -> Result<(), Abandoned> {
        let worker = turn.worker;
        let view = |id: BufferId| self.frame.view(id);
        let input = |id: BufferId| self.inputs.values(self.program, id);
        match &op.kind {
            OpKind::Embed { ids, weight, scale } => {
                let (ids, out) = (input(*ids), view(op.out()));
                let matrix = self.weights.matrix(self.program, weight, 0);
                for row in share(out.rows, worker) {
                    let out = unsafe { out.part_mut(row, 0..out.cols) };
                    matrix.decode(ids[row] as usize, out, &mut scratch.experts.bytes);
                    elementwise::scale_and_bias(out, *scale, None);
                }
            }
            OpKind::RmsNorm { x, weight, group, eps } => {
                let weight = self.vector(weight);
                self.units(*x, op.out(), *group, worker, |_, x, out| elementwise::rms_norm(x, weight, *eps, out));
            }
            OpKind::LayerNorm { x, weight, bias, eps } => {
                let (weight, bias) = (self.weights.vector(weight), self.vector(bias));
                let norm = |_, x: &[f32], out: &mut [f32]| elementwise::layer_norm(x, weight, bias, *eps, out);
                self.units(*x, op.out(), self.program.buffer(*x).cols, worker, norm);
            }
            OpKind::Rope { x, pos, table, head_dim, pairing } => {
                let Table::Rope(rope) = self.program.table(*table) else { unreachable!("checked at the start") };
                let (pos, n_rot) = (input(*pos), rope.n_rot() as usize);
                let turns = &self.state.tables[table.0 as usize];
                let rope = |row: usize, x: &[f32], out: &mut [f32]| {
                    elementwise::rope(x, &turns[pos[row] as usize * n_rot..][..n_rot], *pairing, out);
                };
                self.units(*x, op.out(), *head_dim, worker, rope);
            }
            OpKind::KvWrite { k, v, pos, seq, slot } => {
                let (k, v, pos, seq) = (view(*k), view(*v), input(*pos), input(*seq));
                let shape = self.program.slot(*slot);
                let (heads, k_dim, v_dim) = (shape.n_kv_heads as usize, shape.k_dim as usize, shape.v_dim as usize);
                for unit in share(k.rows * heads, worker) {
                    let (row, head) = (unit / heads, unit % heads);
                    unsafe {
                        let k = k.part(row, head * k_dim..(head + 1) * k_dim);
                        let v = v.part(row, head * v_dim..(head + 1) * v_dim);
                        self.state.kv.write(*slot, seq[row], head, pos[row], k, v);
                    }
                }
            }
            OpKind::Attention { q, slot, n_heads, scale, mask, soft_cap, sinks, .. } => {
                let kv = self.program.slot(*slot);
                let shape = attention::Shape {
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
                return self.attention(&shape, view(*q), view(op.out()), turn.dealt, worker, &mut scratch.attention);
            }
            OpKind::Add { a, b, scale } => {
                self.cols([*a, *b], op.out(), turn, |[a, b], out| elementwise::add(a, b, *scale, out));
            }
            OpKind::Glu { gate, up, act } => {
                let glu = self.state.ops.glu;
                self.cols([*gate, *up], op.out(), turn, |[gate, up], out| unsafe { glu(gate, Some(up), *act, out) });
            }
            OpKind::Act { x, act } => {
                let glu = self.state.ops.glu;
                self.cols([*x], op.out(), turn, |[x], out| unsafe { glu(x, None, *act, out) });
            }
            OpKind::SoftCap { x, cap } => {
                self.cols([*x], op.out(), turn, |[x], out| elementwise::soft_cap(x, *cap, out));
            }
            OpKind::Scale { x, scale } => {
                self.cols([*x], op.out(), turn, |[x], out| elementwise::scale(x, *scale, out));
            }
            OpKind::Route { logits, k, gating, scale } => {
                let (logits, ids, weights) = (view(*logits), view(op.outputs[0]), view(op.outputs[1]));
                let k = *k as usize;
                for row in share(logits.rows, worker) {
                    unsafe {
                        let ids = bytemuck::cast_slice_mut(ids.part_mut(row, 0..k));
                        let (logits, weights) = (logits.part(row, 0..logits.cols), weights.part_mut(row, 0..k));
                        experts::route(logits, *gating, *scale, ids, weights, &mut scratch.experts.order);
                    }
                }
            }
            OpKind::CombineExperts { x, weights } => {
                let (x, weights, out) = (view(*x), view(*weights), view(op.out()));
                let cols = turn.cols(out.cols);
                for row in 0..out.rows {
                    unsafe {
                        let weights = weights.part(row, 0..weights.cols);
                        let x = |j: usize| x.part(row * weights.len() + j, cols.clone());
                        experts::combine(x, weights, out.part_mut(row, cols.clone()));
                    }
                }
            }
            OpKind::GatherRows { x, rows } => {
                let (x, rows, out) = (view(*x), input(*rows), view(op.out()));
                let cols = turn.cols(out.cols);
                for (row, &from) in rows.iter().take(out.rows).enumerate() {
                    unsafe { out.part_mut(row, cols.clone()).copy_from_slice(x.part(from as usize, cols.clone())) };
                }
            }
            OpKind::MatMul { weight, bias, scale, .. } => {
                self.matmul(weight, bias, *scale, view(op.out()), turn, self.taken(scratch));
            }
            OpKind::MatMulId { ids, weight, .. } => {
                let rows = rows.expect("the plan takes the rows of each product");
                self.matmul_id(*ids, weight, rows, op.out(), turn, scratch);
            }
        }
        Ok(())
    }

    /// Blocks of tokens and KV heads are dealt to whoever is free: under a causal mask later blocks have more to do. Where
    /// there are few tokens, parts of the positions that they see go to workers in turn.
    fn attention(
        &self,
        shape: &attention::Shape<'_>,
        q: View<'_>,
        out: View<'_>,
        dealt: &AtomicUsize,
        worker: &Worker<'_>,
        scratch: &mut attention::Scratch,
    ) -> Result<(), Abandoned> {
        let (pos, all_parts) = (self.inputs.batch.pos, &self.state.parts);
        let seen = |block: &Block| parts::seen(block, shape.mask, pos);
        let n_parts = match self.inputs.batch.ids.len() {
            ..=FEW_TOKENS => self.inputs.blocks.iter().map(|block| all_parts.count(&seen(block))).max().unwrap_or(1),
            _ => 1,
        };
        let layout = parts::Layout { n_heads: shape.n_heads, v_dim: shape.v_dim, n_parts };
        let of_block = n_parts * shape.n_kv_heads;
        let n_items = self.inputs.blocks.len() * of_block;
        let mut attend = |item: usize| {
            let (block, kv_head) = (&self.inputs.blocks[item / of_block], item % shape.n_kv_heads);
            let part = (n_parts > 1).then(|| all_parts.part(&seen(block), item % of_block / shape.n_kv_heads, layout));
            match self.state.kv.head(shape.slot, block.seq, kv_head) {
                AnyHead::F32(head) => {
                    let job = attention::Job { shape, kv_head, block, part, pos, head, q, out };
                    unsafe { (self.state.ops.attend_f32)(&job, scratch) };
                }
                AnyHead::F16(head) => {
                    let job = attention::Job { shape, kv_head, block, part, pos, head, q, out };
                    unsafe { (self.state.ops.attend_f16)(&job, scratch) };
                }
            }
        };
        if self.few {
            (worker.index..n_items).step_by(worker.n_threads).for_each(attend);
        } else {
            // The longest first.
            Deal::new(n_items, 1, dealt).flatten().for_each(|item| attend(n_items - 1 - item));
        }
        if n_parts > 1 {
            worker.barrier()?;
            for index in share(out.rows * shape.n_heads, worker) {
                let (row, head) = (index / shape.n_heads, index % shape.n_heads);
                unsafe {
                    let out = out.part_mut(row, head * shape.v_dim..(head + 1) * shape.v_dim);
                    all_parts.combine(row, head, layout, n_parts, out);
                }
            }
        }
        Ok(())
    }

    /// Applies `f` to each unit of `unit` columns in this worker's share, told its row.
    fn units(
        &self,
        x: BufferId,
        out: BufferId,
        unit: u32,
        worker: &Worker<'_>,
        mut f: impl FnMut(usize, &[f32], &mut [f32]),
    ) {
        let (x, out) = (self.frame.view(x), self.frame.view(out));
        let unit = unit as usize;
        let per_row = x.cols / unit;
        for index in share(x.rows * per_row, worker) {
            let (row, first) = (index / per_row, index % per_row * unit);
            unsafe { f(row, x.part(row, first..first + unit), out.part_mut(row, first..first + unit)) };
        }
    }

    /// Applies `f` to each row's columns in this worker's share.
    fn cols<const N: usize>(
        &self,
        inputs: [BufferId; N],
        out: BufferId,
        turn: &Turn<'_>,
        f: impl Fn([&[f32]; N], &mut [f32]),
    ) {
        let out = self.frame.view(out);
        let cols = turn.cols(out.cols);
        if cols.is_empty() {
            return;
        }
        let inputs = inputs.map(|id| self.frame.view(id));
        for row in 0..out.rows {
            unsafe { f(inputs.map(|input| input.part(row, cols.clone())), out.part_mut(row, cols.clone())) };
        }
    }

    fn vector(&self, view: &Option<WeightRef>) -> Option<&[f32]> {
        view.as_ref().map(|view| self.weights.vector(view))
    }
}

/// Refuses what no step could run.
fn check(program: &Program) -> Result<(), ExecError> {
    let unsupported = |what: String| Err(ExecError::Unsupported { backend: "cpu", what });
    for op in &program.ops {
        if let Some((id, _)) = op.kind.batch_inputs().iter().find(|(id, _)| !program.inputs.contains(id)) {
            return unsupported(format!("{} where a batch input is expected", program.buffer(*id).name));
        }
        if let OpKind::Rope { table, .. } = op.kind
            && !matches!(program.table(table), Table::Rope(_))
        {
            return unsupported("this kind of table".to_owned());
        }
        // Norm weights, biases and sinks are read as f32 where they lie.
        let vectors = op.kind.weight_uses().into_iter().filter(|(_, how)| *how == WeightUse::Vector);
        for weight in vectors.map(|(view, _)| program.weight(view.weight)) {
            if weight.ty != GgmlType::F32 || weight.rows != 1 {
                return unsupported(format!("{} as a vector of {}", weight.name, weight.ty));
            }
        }
    }
    Ok(())
}
