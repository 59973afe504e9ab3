//! Bounds what an input makes the code allocate.

use chord_testkit::allocations::{self, Counting};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Runs `work`; returns its result, and the most bytes that it held at any moment beyond those held before.
pub fn peak<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = allocations::reset_peak();
    let result = work();
    (result, allocations::peak() - before)
}
