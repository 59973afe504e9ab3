//! The greedy choice, and the step from one decoded token to the next, both on the device.

use chord_program::{ExecError, Rows};

use super::OpContext;
use crate::{Access, Activation, Binding, Dispatch, Grid, KernelSource};

const CHUNK: u32 = 4096;
const LANES: u32 = 256;

/// What the host finds in place of an id where a logit was not a number.
pub const NOT_A_NUMBER: u32 = u32::MAX;

/// What the greedy choice reads and writes.
#[derive(Clone, Debug)]
pub struct Argmax<'a> {
    /// `[R, n_vocab]`.
    pub logits: &'a Activation,
    /// [`scratch_bytes`] of room.
    pub scratch: Binding,
    /// Ids for the host, `[R]`.
    pub ids: Binding,
    /// Each sequence's next id.
    pub next: Binding,
    /// The batch, to be turned into the next decode step.
    pub batch: Binding,
}

/// Bytes of scratch for `max_outputs` rows.
pub fn scratch_bytes(n_vocab: u32, max_outputs: u32) -> u64 {
    8 * u64::from(n_vocab.div_ceil(CHUNK)) * u64::from(max_outputs)
}

/// The two dispatches of the choice.
pub fn argmax(ctx: &OpContext<'_>, op: &Argmax<'_>) -> Result<[Dispatch; 2], ExecError> {
    let n_vocab = op.logits.cols;
    let chunks = n_vocab.div_ceil(CHUNK);
    let lanes = if ctx.resources.gpu.lanes_are_a_loop { 1 } else { LANES };
    let source = |file| KernelSource::new(file).define("LANES", format!("{lanes}u"));
    let partial = source("ops/argmax_partial.wgsl").constant("N_VOCAB", n_vocab);
    let bindings = [ctx.batch.clone(), op.logits.binding(), op.scratch.clone()];
    let partial = ctx.resources.dispatch(&partial, &bindings, Grid::per_row(Rows::R, chunks))?;
    let finish = source("ops/argmax_finish.wgsl").constant("N_CHUNKS", chunks);
    let batch = Binding { access: Access::ReadWrite, ..op.batch.clone() };
    let bindings = [batch, op.scratch.clone(), op.ids.clone(), op.next.clone()];
    let finish = ctx.resources.dispatch(&finish, &bindings, Grid::fixed(1))?;
    Ok([partial, finish])
}
