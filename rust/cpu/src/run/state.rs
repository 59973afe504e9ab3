//! What the workers of a run share besides its buffers, and what each has to itself.

use chord_program::{ExecError, Program, Table};

use super::plan::Plan;
use super::prepared::PreparedRows;
use super::step::FEW_TOKENS;
use crate::kv::KvCache;
use crate::matmul::weights::Weights;
use crate::memory::PerWorker;
use crate::ops::dispatch::{VectorOps, vector_ops};
use crate::ops::splits::Splits;
use crate::ops::{attention, experts};

/// What the workers share.
pub(crate) struct State {
    pub(crate) tables: Vec<Vec<f32>>,
    pub(crate) kv: KvCache,
    /// Rows for products, which all workers prepare together.
    pub(crate) prepared: PreparedRows,
    pub(crate) splits: Splits,
    pub(crate) scratch: PerWorker<Scratch>,
    /// Compiled for this processor, which has been checked.
    pub(crate) ops: VectorOps,
}

/// Memory of one worker.
pub(crate) struct Scratch {
    /// Rows for products of few tokens, which each worker prepares for itself.
    pub(crate) prepared: PreparedRows,
    pub(crate) experts: experts::Scratch,
    pub(crate) attention: attention::Scratch,
}

impl State {
    /// Room for every step of `plan`, which computes all rows.
    pub(crate) fn new(program: &Program, plan: &Plan, weights: &Weights, n_threads: usize) -> Result<Self, ExecError> {
        let prepared =
            |n_tokens| PreparedRows::new(program, &plan.steps, weights, n_tokens, program.max_outputs as usize);
        let scratch = PerWorker::new(n_threads, || {
            let (experts, attention) = (experts::Scratch::new(weights), attention::Scratch::default());
            Ok(Scratch { prepared: prepared(FEW_TOKENS)?, experts, attention })
        })?;
        Ok(State {
            // Before the tables, which need not be computed where caches have no room.
            kv: KvCache::new(program)?,
            tables: program.tables.iter().map(|table| table_rows(table, program.n_ctx)).collect::<Result<_, _>>()?,
            prepared: prepared(program.max_batch as usize)?,
            splits: Splits::new(program, FEW_TOKENS)?,
            scratch,
            ops: vector_ops(weights.isa()),
        })
    }
}

/// The rows of a table for positions below `n_ctx`.
fn table_rows(table: &Table, n_ctx: u32) -> Result<Vec<f32>, ExecError> {
    table.rows(n_ctx).map_err(|_| ExecError::OutOfMemory {
        backend: "cpu",
        needed: 4 * u64::from(n_ctx) * u64::from(table.cols()),
        what: format!("a table of {n_ctx} positions"),
    })
}
