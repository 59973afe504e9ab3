//! Which part of an op is whose. Every result is computed whole by one worker, so that it does not depend on their number.

use std::ops::Range;

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
