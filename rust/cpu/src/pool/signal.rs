//! A counter that threads wait for: a short spin, then sleep.

use std::sync::atomic::{AtomicU32, Ordering::Acquire, Ordering::SeqCst};
use std::sync::{Condvar, Mutex, PoisonError};

/// Looks before a waiting thread goes to sleep: some 50 µs, longer than most parts of a run take apart, shorter than what
/// an idle core costs. A `pause` of x86 takes dozens of cycles, WebAssembly has nothing like it.
const SPINS: u32 = if cfg!(target_family = "wasm") { 20_000 } else { 2_000 };

/// A value that only moves on. Alone in its cache line, since threads look at it all the time.
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

    /// Moves on. What this thread has written is seen by those who see the new value.
    pub(super) fn advance(&self) {
        self.value.fetch_add(1, SeqCst);
        self.wake();
    }

    /// Makes sleepers look again at what they wait for.
    ///
    /// A sleeper counts itself before its last look, and this looks at the count after the change: one sees the other.
    pub(super) fn wake(&self) {
        if self.sleepers.load(SeqCst) > 0 {
            let _guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
            self.moved.notify_all();
        }
    }

    /// Waits until the value is no longer `seen`, or `or` is true, which is looked at before going to sleep only.
    pub(super) fn wait_past(&self, seen: u32, or: impl Fn() -> bool) {
        for _ in 0..SPINS {
            if self.value.load(Acquire) != seen {
                return;
            }
            std::hint::spin_loop();
        }
        let mut guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        self.sleepers.fetch_add(1, SeqCst);
        while self.value.load(SeqCst) == seen && !or() {
            guard = self.moved.wait(guard).unwrap_or_else(PoisonError::into_inner);
        }
        self.sleepers.fetch_sub(1, SeqCst);
    }
}
