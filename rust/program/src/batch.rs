//! What one run of a program works on.

use crate::{ExecError, Program};

/// The batch inputs: prefill, decode, several sequences and all-position logits are one mechanism.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// Token ids `[T]`.
    pub ids: &'a [u32],
    /// Position of each token in its sequence `[T]`, rising by one within a sequence.
    pub pos: &'a [u32],
    /// Sequence of each token `[T]`.
    pub seq: &'a [u32],
    /// Rows of the batch whose outputs are wanted `[R]`.
    pub out_rows: &'a [u32],
}

/// `T` and `R` of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BatchShape {
    /// Tokens.
    pub n_tokens: usize,
    /// Output rows.
    pub n_outputs: usize,
}

impl Batch<'_> {
    /// `T` and `R`.
    pub fn shape(&self) -> BatchShape {
        BatchShape { n_tokens: self.ids.len(), n_outputs: self.out_rows.len() }
    }

    /// Checks lengths, ids, positions, sequences and rows against the program's limits.
    pub fn check(&self, program: &Program) -> Result<(), ExecError> {
        let bad = |what: String| Err(ExecError::BadBatch(what));
        let n = self.ids.len();
        if n == 0 || n > program.max_batch as usize {
            return bad(format!("{n} tokens, expected 1 to {}", program.max_batch));
        }
        if self.pos.len() != n || self.seq.len() != n {
            return bad(format!("{n} ids, {} positions, {} sequences", self.pos.len(), self.seq.len()));
        }
        if self.out_rows.len() > program.max_outputs as usize {
            return bad(format!("{} output rows, at most {}", self.out_rows.len(), program.max_outputs));
        }
        let over = |values: &[u32], limit: u32| values.iter().copied().find(|&v| v >= limit);
        if let Some(id) = over(self.ids, program.n_vocab) {
            return bad(format!("token id {id}, the vocabulary has {}", program.n_vocab));
        }
        if let Some(pos) = over(self.pos, program.n_ctx) {
            return bad(format!("position {pos}, the context holds {}", program.n_ctx));
        }
        if let Some(seq) = over(self.seq, program.n_seq_max) {
            return bad(format!("sequence {seq} of {}", program.n_seq_max));
        }
        if let Some(row) = over(self.out_rows, n as u32) {
            return bad(format!("output row {row} of {n}"));
        }
        Ok(())
    }
}
