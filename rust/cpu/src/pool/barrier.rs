//! A point at which the workers of a run wait for each other.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::AcqRel, Ordering::Relaxed, Ordering::SeqCst};

use super::signal::Signal;

/// A worker has panicked, and the others leave the run too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abandoned;

#[derive(Debug)]
pub(crate) struct Barrier {
    n_workers: u32,
    arrived: AtomicU32,
    /// Advances when all have arrived.
    passed: Signal,
    abandoned: AtomicBool,
}

impl Barrier {
    pub(crate) fn new(n_workers: usize) -> Self {
        let n_workers = n_workers as u32;
        Barrier { n_workers, arrived: AtomicU32::new(0), passed: Signal::default(), abandoned: AtomicBool::new(false) }
    }

    /// Waits until all workers have arrived; each then sees what the others have written before.
    pub(super) fn wait(&self) -> Result<(), Abandoned> {
        if self.n_workers == 1 {
            return Ok(());
        }
        // No other worker can advance it before this one has arrived.
        let seen = self.passed.value();
        if self.arrived.fetch_add(1, AcqRel) + 1 == self.n_workers {
            self.arrived.store(0, Relaxed);
            self.passed.advance();
        } else {
            self.passed.wait_past(seen, || self.is_abandoned());
        }
        if self.is_abandoned() { Err(Abandoned) } else { Ok(()) }
    }

    fn is_abandoned(&self) -> bool {
        self.abandoned.load(SeqCst)
    }

    /// Releases all workers that wait or will wait.
    pub(super) fn abandon(&self) {
        self.abandoned.store(true, SeqCst);
        self.passed.wake();
    }

    /// Makes it usable again, while no worker waits.
    pub(super) fn reset(&self) {
        self.arrived.store(0, Relaxed);
        self.abandoned.store(false, SeqCst);
    }
}
