//! Which part of an op is whose. Every result is computed whole by one worker, so that it does not depend on their number.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::pool::Worker;

/// Columns are dealt in strips of this many: a multiple of the rows that packed matrices interleave, and whole cache lines.
pub(crate) const STRIP: usize = 16;

/// Part of `0..total`.
pub(crate) fn share(total: usize, worker: &Worker<'_>) -> Range<usize> {
    let bound = |index: usize| total * index / worker.n_threads;
    bound(worker.index)..bound(worker.index + 1)
}

/// Part of `0..cols`, cut at multiples of [`STRIP`].
pub(crate) fn share_cols(cols: usize, worker: &Worker<'_>) -> Range<usize> {
    let strips = share(cols.div_ceil(STRIP), worker);
    (strips.start * STRIP).min(cols)..(strips.end * STRIP).min(cols)
}

/// Pieces that are dealt for each worker, where there are so many.
const PIECES: usize = 8;

/// Pieces of `0..total`, each for the worker that asks first: who is slower, or was interrupted, gets fewer of them.
pub(crate) struct Deal<'a> {
    /// Where the next piece begins.
    next: &'a AtomicUsize,
    total: usize,
    size: usize,
}

impl<'a> Deal<'a> {
    /// Pieces of `size`, `next` being the same counter for all workers, at zero before the first of them asks.
    pub(crate) fn new(total: usize, size: usize, next: &'a AtomicUsize) -> Self {
        Deal { next, total, size }
    }
}

impl Iterator for Deal<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        // Who gets which piece is no news to others: what it computes is told by barriers.
        let start = self.next.fetch_add(self.size, Ordering::Relaxed);
        (start < self.total).then(|| start..(start + self.size).min(self.total))
    }
}

/// Pieces of `0..cols`, cut at multiples of [`STRIP`]; see [`Deal::new`].
pub(crate) fn deal_cols(
    cols: usize,
    n_threads: usize,
    next: &AtomicUsize,
) -> impl Iterator<Item = Range<usize>> + use<'_> {
    let strips = cols.div_ceil(STRIP);
    let n_pieces = if n_threads == 1 { 1 } else { PIECES * n_threads };
    let pieces = Deal::new(strips, strips.div_ceil(n_pieces).max(1), next);
    pieces.map(move |strips| strips.start * STRIP..(strips.end * STRIP).min(cols))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_cover_everything_once_in_any_order_of_asking() {
        for (cols, n_threads) in [(1, 2), (16, 2), (576, 1), (576, 2), (1000, 3), (49152, 8)] {
            let next = AtomicUsize::new(0);
            let workers = (0..n_threads).map(|_| deal_cols(cols, n_threads, &next));
            let mut workers: Vec<_> = workers.collect();
            let (mut end, mut n_pieces) = (0, 0);
            // Worker 0 asks twice as often as each of the others.
            for turn in 0.. {
                let Some(piece) = workers[(turn % (n_threads + 1)) % n_threads].next() else { break };
                assert_eq!(piece.start, end);
                assert!(piece.end == cols || piece.end % STRIP == 0);
                (end, n_pieces) = (piece.end, n_pieces + 1);
            }
            assert_eq!(end, cols);
            assert!(workers.iter_mut().all(|worker| worker.next().is_none()));
            assert!(n_pieces <= PIECES * n_threads && (n_pieces > 1 || cols <= STRIP || n_threads == 1));
        }
    }
}
