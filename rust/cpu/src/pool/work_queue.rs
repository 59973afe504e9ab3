//! How the work of a step is divided among workers: in equal parts before it begins, or dynamically from a queue.
//!
//! Every result is computed whole by one worker, so that it does not depend on their number.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Worker;

/// Columns are divided in blocks of this many: a multiple of the rows that packed matrices interleave, and whole cache
/// lines.
const COLUMN_BLOCK: usize = 16;

/// A worker's equal part of `0..total`.
pub(crate) fn partition(total: usize, worker: &Worker<'_>) -> Range<usize> {
    let bound = |index: usize| total * index / worker.n_threads;
    bound(worker.index)..bound(worker.index + 1)
}

/// A worker's equal part of `0..cols`, in whole column blocks.
pub(crate) fn partition_columns(cols: usize, worker: &Worker<'_>) -> Range<usize> {
    let blocks = partition(cols.div_ceil(COLUMN_BLOCK), worker);
    (blocks.start * COLUMN_BLOCK).min(cols)..(blocks.end * COLUMN_BLOCK).min(cols)
}

/// Pieces in a queue for each worker, where there are enough column blocks.
const PIECES_PER_WORKER: usize = 8;

/// The pieces of one step. Each is claimed by the worker that asks first, so that a worker that is slower, or was
/// interrupted, does fewer of them.
#[derive(Debug, Default)]
pub(crate) struct WorkQueue {
    /// Where the next piece begins.
    next: AtomicUsize,
}

impl WorkQueue {
    /// Makes all pieces available again, while no worker uses the queue.
    pub(crate) fn reset(&self) {
        self.next.store(0, Ordering::Relaxed);
    }

    /// Claims pieces of `0..total` until none is left. All workers ask for the same `total` and `size`.
    pub(crate) fn claim(&self, total: usize, size: usize) -> impl Iterator<Item = Range<usize>> + use<'_> {
        std::iter::from_fn(move || {
            // Which worker has which piece need not be ordered with anything: barriers publish what it computes.
            let start = self.next.fetch_add(size, Ordering::Relaxed);
            (start < total).then(|| start..(start + size).min(total))
        })
    }

    /// Claims pieces of `0..cols`, in whole column blocks. For `few` tokens, where claiming a piece takes long compared
    /// with computing it, three quarters of the columns are divided equally beforehand.
    pub(crate) fn claim_columns(
        &self,
        cols: usize,
        few: bool,
        worker: &Worker<'_>,
    ) -> impl Iterator<Item = Range<usize>> + use<'_> {
        let n_blocks = cols.div_ceil(COLUMN_BLOCK);
        let n_pieces = if worker.n_threads == 1 { 1 } else { PIECES_PER_WORKER * worker.n_threads };
        let n_equal = if few { n_blocks * 3 / 4 } else { 0 };
        let own = Some(partition(n_equal, worker)).filter(|blocks| !blocks.is_empty());
        let claimed = self.claim(n_blocks - n_equal, n_blocks.div_ceil(n_pieces).max(1));
        let claimed = claimed.map(move |blocks| n_equal + blocks.start..n_equal + blocks.end);
        let all = own.into_iter().chain(claimed);
        all.map(move |blocks| blocks.start * COLUMN_BLOCK..(blocks.end * COLUMN_BLOCK).min(cols))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Barrier;
    use super::*;

    #[test]
    fn pieces_cover_everything_once_in_any_order_of_claims() {
        let shapes = [(1, 2), (16, 2), (40, 2), (576, 1), (576, 2), (1000, 3), (49152, 8)];
        for ((cols, n_threads), few) in shapes.into_iter().flat_map(|shape| [(shape, false), (shape, true)]) {
            let (barrier, queue) = (Barrier::new(n_threads), WorkQueue::default());
            let workers = (0..n_threads).map(|index| Worker::new(index, n_threads, &barrier));
            let mut workers: Vec<_> = workers.map(|worker| queue.claim_columns(cols, few, &worker)).collect();
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
            let most = (PIECES_PER_WORKER + 1) * n_threads;
            assert!(pieces.len() <= most && (pieces.len() > 1 || cols <= COLUMN_BLOCK || n_threads == 1));
            pieces.sort_unstable();
            let end = pieces.into_iter().fold(0, |end, (start, next)| {
                assert!(start == end && next > end && (next == cols || next % COLUMN_BLOCK == 0), "{start}..{next}");
                next
            });
            assert_eq!(end, cols);
        }
    }
}
