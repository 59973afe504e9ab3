//! A batch as the workers see it.

use chord_program::{Batch, BufferId, Program};

use crate::ops::token_block::TokenBlock;

/// The input of a run.
pub(crate) struct Inputs<'a> {
    pub(crate) batch: Batch<'a>,
    pub(crate) blocks: &'a [TokenBlock],
}

impl Inputs<'_> {
    /// The batch's values of an input buffer.
    pub(crate) fn values(&self, program: &Program, id: BufferId) -> &[u32] {
        let [ids, pos, seq, out_rows] = program.inputs;
        match id {
            _ if id == ids => self.batch.ids,
            _ if id == pos => self.batch.pos,
            _ if id == seq => self.batch.seq,
            _ if id == out_rows => self.batch.out_rows,
            _ => unreachable!("checked when the executor was made"),
        }
    }
}
