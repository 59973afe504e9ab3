//! A batch's tokens in blocks that attention works on together.

use std::ops::Range;

use chord_program::{Batch, Mask};

/// Most tokens of a block: keys and values are loaded once for all of them.
const MOST_TOKENS: usize = 16;

/// Neighbouring tokens of one sequence, their positions rising by one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TokenBlock {
    pub(crate) rows: Range<usize>,
    pub(crate) seq: u32,
    /// First and last position of its sequence in the whole batch.
    span: (u32, u32),
}

impl TokenBlock {
    /// Positions that the token at `pos` sees.
    pub(crate) fn seen(&self, mask: Mask, pos: u32) -> Range<u32> {
        match mask {
            Mask::Causal { window } => window.map_or(0, |w| (pos + 1).saturating_sub(w))..pos + 1,
            Mask::Bidirectional => self.span.0..self.span.1 + 1,
        }
    }

    /// Positions that any of its tokens sees; `pos` are those of the batch.
    pub(crate) fn seen_by_any(&self, mask: Mask, pos: &[u32]) -> Range<u32> {
        let rows = self.rows.clone().map(|row| self.seen(mask, pos[row]));
        rows.reduce(|a, b| a.start.min(b.start)..a.end.max(b.end)).unwrap_or(0..0)
    }
}

/// Divides a batch into blocks.
pub(crate) fn cut(batch: &Batch<'_>, blocks: &mut Vec<TokenBlock>) {
    blocks.clear();
    for (row, (&pos, &seq)) in batch.pos.iter().zip(batch.seq).enumerate() {
        match blocks.last_mut() {
            Some(block) if block.seq == seq && block.rows.len() < MOST_TOKENS => block.rows.end = row + 1,
            Some(_) | None => blocks.push(TokenBlock { rows: row..row + 1, seq, span: (pos, pos) }),
        }
    }
    for block in blocks.iter_mut() {
        let of_sequence = batch.pos.iter().zip(batch.seq).filter(|&(_, &seq)| seq == block.seq);
        block.span = of_sequence.fold((u32::MAX, 0), |(first, last), (&pos, _)| (first.min(pos), last.max(pos)));
    }
}
