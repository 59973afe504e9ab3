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

/// Pieces of `0..cols`, cut at multiples of [`STRIP`]; see [`Deal::new`]. For `few` tokens, where asking for a piece takes
/// long beside computing it, three quarters of all are shared out before.
pub(crate) fn deal_cols<'a>(
    cols: usize,
    few: bool,
    worker: &Worker<'_>,
    next: &'a AtomicUsize,
) -> impl Iterator<Item = Range<usize>> + use<'a> {
    let strips = cols.div_ceil(STRIP);
    let n_pieces = if worker.n_threads == 1 { 1 } else { PIECES * worker.n_threads };
    let n_shared = if few { strips * 3 / 4 } else { 0 };
    let own = Some(share(n_shared, worker)).filter(|strips| !strips.is_empty());
    let pieces = Deal::new(strips - n_shared, strips.div_ceil(n_pieces).max(1), next);
    let dealt = pieces.map(move |strips| n_shared + strips.start..n_shared + strips.end);
    own.into_iter().chain(dealt).map(move |strips| strips.start * STRIP..(strips.end * STRIP).min(cols))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::Barrier;

    #[test]
    fn pieces_cover_everything_once_in_any_order_of_asking() {
        let shapes = [(1, 2), (16, 2), (40, 2), (576, 1), (576, 2), (1000, 3), (49152, 8)];
        for ((cols, n_threads), few) in shapes.into_iter().flat_map(|shape| [(shape, false), (shape, true)]) {
            let (barrier, next) = (Barrier::new(n_threads), AtomicUsize::new(0));
            let workers = (0..n_threads).map(|index| Worker::new(index, n_threads, &barrier));
            let mut workers: Vec<_> = workers.map(|worker| deal_cols(cols, few, &worker, &next)).collect();
            let (mut pieces, mut finished) = (Vec::new(), vec![false; n_threads]);
            // Worker 0 asks twice as often as each of the others.
            for turn in 0.. {
                let worker = (turn % (n_threads + 1)) % n_threads;
                match workers[worker].next() {
                    Some(piece) => pieces.push((piece.start, piece.end)),
                    None => finished[worker] = true,
                }
                if finished.iter().all(|&finished| finished) {
                    break;
                }
            }
            assert!(pieces.len() <= (PIECES + 1) * n_threads && (pieces.len() > 1 || cols <= STRIP || n_threads == 1));
            pieces.sort_unstable();
            let end = pieces.into_iter().fold(0, |end, piece| {
                assert!(piece.0 == end && piece.1 > end && (piece.1 == cols || piece.1 % STRIP == 0), "{piece:?}");
                piece.1
            });
            assert_eq!(end, cols);
        }
    }
}
