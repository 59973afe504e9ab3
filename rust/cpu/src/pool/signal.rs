//! A counter that threads wait for: a short spin, then sleep.

use std::sync::atomic::{AtomicU32, Ordering::Acquire, Ordering::SeqCst};
use std::sync::{Condvar, Mutex, PoisonError};

/// Checks before a waiting thread yields its core or, where it cannot yield, sleeps. A `pause` of x86 takes dozens of
/// cycles (all of these together 10 µs on Zen 4); WebAssembly has no such instruction (some 100 µs in V8).
const SPINS: u32 = if cfg!(target_family = "wasm") { 200_000 } else { 400 };

/// How long it then yields between checks. If both threads share one core because of other programs, the thread that is
/// waited for gets it at once.
#[cfg(not(target_family = "wasm"))]
const YIELDING: std::time::Duration = std::time::Duration::from_millis(2);

/// A counter. It has a cache line to itself, since threads read it all the time.
#[repr(align(64))]
#[derive(Debug, Default)]
pub(super) struct Signal {
    value: AtomicU32,
    sleepers: AtomicU32,
    lock: Mutex<()>,
    moved: Condvar,
}

impl Signal {
    pub(super) fn value(&self) -> u32 {
        self.value.load(Acquire)
    }

    /// Adds one. A thread that sees the new value also sees what this thread has written.
    pub(super) fn advance(&self) {
        self.value.fetch_add(1, SeqCst);
        self.wake();
    }

    /// Makes sleeping threads check again what they wait for.
    ///
    /// A sleeper counts itself before its last check, and this reads the count after the change, so one sees the other.
    pub(super) fn wake(&self) {
        if self.sleepers.load(SeqCst) > 0 {
            let _guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
            self.moved.notify_all();
        }
    }

    /// Waits until the value is no longer `seen`, or `or` is true, which is checked only before sleeping.
    pub(super) fn wait_past(&self, seen: u32, or: impl Fn() -> bool) {
        if self.spin_past(seen) {
            return;
        }
        let mut guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        self.sleepers.fetch_add(1, SeqCst);
        while self.value.load(SeqCst) == seen && !or() {
            guard = self.moved.wait(guard).unwrap_or_else(PoisonError::into_inner);
        }
        self.sleepers.fetch_sub(1, SeqCst);
    }

    /// Checks for a while, and says whether the value has changed.
    fn spin_past(&self, seen: u32) -> bool {
        for _ in 0..SPINS {
            if self.value.load(Acquire) != seen {
                return true;
            }
            std::hint::spin_loop();
        }
        #[cfg(not(target_family = "wasm"))]
        {
            let start = std::time::Instant::now();
            while start.elapsed() < YIELDING {
                if self.value.load(Acquire) != seen {
                    return true;
                }
                std::thread::yield_now();
            }
        }
        false
    }
}
