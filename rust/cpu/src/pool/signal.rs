//! A counter that threads wait for: a short spin, then sleep.

use std::sync::atomic::{AtomicU32, Ordering::Acquire, Ordering::SeqCst};
use std::sync::{Condvar, Mutex, PoisonError};

/// Looks before a waiting thread lets others have its core, or, where it cannot, goes to sleep. A `pause` of x86 takes
/// dozens of cycles (on Zen 4 these take 10 µs together), WebAssembly has nothing like it (in V8 these take some 100
/// µs).
const SPINS: u32 = if cfg!(target_family = "wasm") { 200_000 } else { 400 };

/// How long it then goes on looking while no other thread wants the core. If it is the thread that is waited for, which
/// happens where other programs leave one core to both, it has it at once.
#[cfg(not(target_family = "wasm"))]
const YIELDING: std::time::Duration = std::time::Duration::from_millis(2);

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

    /// Looks for a while, and says whether the value has moved on.
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
