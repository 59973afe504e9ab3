//! Which rows of a matrix are the tokens of a product.

use std::ops::Range;

/// Rows of a matrix that are taken as tokens: `n` from `start` on, and of these from the one at `gap_at` on those that come
/// `gap` later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TakenRows {
    n: usize,
    start: usize,
    gap_at: usize,
    gap: usize,
}

impl TakenRows {
    /// Neighbours.
    pub fn of(rows: Range<usize>) -> Self {
        TakenRows { n: rows.len(), start: rows.start, gap_at: 0, gap: 0 }
    }

    /// The first `n` but those in `gap`.
    pub fn without(n: usize, gap: Range<usize>) -> Self {
        TakenRows { n: n - gap.len(), start: 0, gap_at: gap.start, gap: gap.len() }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.n
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.n == 0
    }

    /// The row of a token.
    #[inline(always)]
    pub(crate) fn row(&self, token: usize) -> usize {
        self.start + token + if token >= self.gap_at { self.gap } else { 0 }
    }
}
