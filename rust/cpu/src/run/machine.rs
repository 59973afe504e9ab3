//! A program made ready to run: weights, plans and state, and the loop in which workers walk through the steps.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use chord_gguf::GgmlType;
use chord_program::{Batch, ExecError, MemoryPlan, OpKind, Program, Table, WeightUse};

use super::input::Inputs;
use super::pass::{Pass, Share};
use super::plan::{Fusion, Plan};
use super::profile::{Clock, Profile};
use super::state::State;
use super::step::FEW_TOKENS;
use crate::matmul::ActivationType;
use crate::matmul::weights::Weights;
use crate::memory::Frame;
use crate::ops::token_block::{TokenBlock, cut};
use crate::pool::work_queue::WorkQueue;
use crate::pool::{Abandoned, Pool, PoolError, Worker};
use crate::simd::InstructionSet;

pub(crate) struct Machine {
    /// The program as it was given, which traces run.
    pub(crate) program: Arc<Program>,
    /// What batches run, segment by segment: the same without rows whose results are not wanted. Weights, slots and the
    /// buffers of `program` have the same numbers.
    pub(crate) narrow: Program,
    pub(crate) weights: Weights,
    pool: Pool,
    plans: Plans,
    state: State,
    /// One for each step.
    queues: Vec<WorkQueue>,
    blocks: Vec<TokenBlock>,
    /// Ops run so far.
    pub(crate) ops_run: u64,
    /// Set while a profile is wanted.
    pub(crate) profile: Option<Profile>,
}

/// The steps for each kind of run.
struct Plans {
    /// For batches of at most [`FEW_TOKENS`].
    few: Plan,
    /// For larger ones.
    many: Plan,
    /// Every op on its own.
    single: Plan,
}

/// How much of a program to run.
#[derive(Clone, Debug)]
pub(crate) enum Scope {
    /// Segments, fused.
    Segments(Range<usize>),
    /// One op on its own.
    Op(usize),
}

impl Machine {
    /// Also returns where the buffers of a [`Frame`] for it lie.
    pub(crate) fn new(
        program: Arc<Program>,
        activations: ActivationType,
        isa: InstructionSet,
        pool: Pool,
    ) -> Result<(Self, MemoryPlan), ExecError> {
        check(&program)?;
        let narrow = program.narrowed();
        let weights = Weights::new(&program, activations, isa)?;
        let plan = |program: &Program, fusion| {
            let is_rounded =
                |op: usize| program.ops[op].kind.product().is_some_and(|product| weights.takes_codes(product.weight));
            Plan::new(program, fusion, is_rounded)
        };
        let single = plan(&program, Fusion::No);
        let fused = plan(&narrow, Fusion::Yes);
        let memory = fused.memory(&narrow);
        // A trace computes all rows.
        let state = State::new(&program, &plan(&program, Fusion::Yes), &weights, pool.n_threads())?;
        let plans = Plans {
            few: fused.with_barriers(&narrow, &memory, true),
            many: fused.with_barriers(&narrow, &memory, false),
            single: single.with_barriers(&program, &single.memory(&program), false),
        };
        let queues = (0..fused.steps.len().max(single.steps.len())).map(|_| WorkQueue::default()).collect();
        let blocks = Vec::new();
        Ok((
            Machine { weights, pool, plans, state, queues, blocks, ops_run: 0, profile: None, program, narrow },
            memory,
        ))
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
        self.state.prepared.bytes() + self.state.splits.bytes()
    }

    pub(crate) fn isa(&self) -> InstructionSet {
        self.weights.isa()
    }

    /// Runs a part of the program for a batch, on all workers.
    pub(crate) fn run(&mut self, scope: Scope, batch: &Batch<'_>, frame: &mut Frame) -> Result<(), ExecError> {
        let few = batch.ids.len() <= FEW_TOKENS;
        let is_op = matches!(scope, Scope::Op(_));
        let (program, plan, few, steps, n_ops) = match scope {
            Scope::Segments(segments) => {
                let plan = if few { &self.plans.few } else { &self.plans.many };
                let ops = |index: usize| self.narrow.segments[index].ops.len();
                let n_ops = segments.clone().map(ops).sum();
                let steps = plan.segments[segments.start].start..plan.segments[segments.end - 1].end;
                (&self.narrow, plan, few, steps, n_ops)
            }
            Scope::Op(op) => {
                let plan = &self.plans.single;
                (&*self.program, plan, false, plan.ops[op]..plan.ops[op + 1], 1)
            }
        };
        self.ops_run += n_ops as u64;
        cut(batch, &mut self.blocks);
        let inputs = Inputs { batch: *batch, blocks: &self.blocks };
        let frame = &*frame;
        // Traces treat all rows alike.
        let coarse = if is_op { 0..0 } else { self.weights.activation_type().coarse_rows(batch) };
        let pass = Pass { program, weights: &self.weights, state: &self.state, inputs, frame, few, coarse };
        let steps = &plan.steps[steps];
        let queues = &self.queues[..steps.len()];
        queues.iter().for_each(WorkQueue::reset);
        let clock = self.profile.is_some().then(|| Mutex::new(Clock::default()));
        // A profile times each step on its own.
        let chains = self.pool.n_threads() > 1 && clock.is_none();
        let job = |worker: &Worker<'_>| -> Result<(), Abandoned> {
            let clock = clock.as_ref().filter(|_| worker.index == 0);
            let mut clock = clock.map(|clock| clock.lock().unwrap_or_else(PoisonError::into_inner));
            let mut index = 0;
            while index < steps.len() {
                let (step, queue) = (&steps[index], &queues[index]);
                clock.iter_mut().for_each(|clock| clock.wait_begins());
                if step.barrier && index > 0 {
                    worker.barrier()?;
                }
                clock.iter_mut().for_each(|clock| clock.work_begins());
                if chains && step.chained > 0 {
                    pass.run_chain(&steps[index..index + step.chained], queue, worker)?;
                    index += step.chained;
                } else {
                    pass.run_step(&step.work, &Share { worker, queue, piece: None })?;
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
