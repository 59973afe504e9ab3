//! A batch as the workers see it: its inputs, and its tokens in blocks that attention deals out.

use std::ops::Range;

use chord_program::{Batch, BufferId, Mask, Program};

/// Most tokens of a block: each fetch of keys and values serves all of them.
const BLOCK: usize = 16;

/// Neighbouring tokens of one sequence, their positions rising by one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) rows: Range<usize>,
    pub(crate) seq: u32,
    /// First and last position of its sequence in the whole batch.
    span: (u32, u32),
}

impl Block {
    /// Positions that a row of the block sees.
    pub(crate) fn seen(&self, mask: Mask, pos: u32) -> Range<u32> {
        match mask {
            Mask::Causal { window } => window.map_or(0, |w| (pos + 1).saturating_sub(w))..pos + 1,
            Mask::Bidirectional => self.span.0..self.span.1 + 1,
        }
    }
}

/// What a run works on.
pub(crate) struct Inputs<'a> {
    pub(crate) batch: Batch<'a>,
    pub(crate) blocks: &'a [Block],
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

/// Cuts a batch into blocks.
pub(crate) fn cut(batch: &Batch<'_>, blocks: &mut Vec<Block>) {
    blocks.clear();
    for (row, (&pos, &seq)) in batch.pos.iter().zip(batch.seq).enumerate() {
        match blocks.last_mut() {
            Some(block) if block.seq == seq && block.rows.len() < BLOCK => block.rows.end = row + 1,
            _ => blocks.push(Block { rows: row..row + 1, seq, span: (pos, pos) }),
        }
    }
    for block in blocks.iter_mut() {
        let of_sequence = batch.pos.iter().zip(batch.seq).filter(|&(_, &seq)| seq == block.seq);
        block.span = of_sequence.fold((u32::MAX, 0), |(first, last), (&pos, _)| (first.min(pos), last.max(pos)));
    }
}
