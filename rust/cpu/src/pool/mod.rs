//! Threads that run one job together and meet at barriers inside it.
//!
//! Natively [`Pool::spawn`] starts threads. In a browser only the host can start them: [`Pool::remote`] makes a pool
//! that expects workers, each of which is handed an [`invitation`](Pool::invitation) and calls [`join`] with it. The
//! calling thread is worker 0. Between runs workers spin for a moment and then sleep; dropping the pool ends them.

mod barrier;
mod signal;
#[cfg(test)]
mod tests;
pub(crate) mod work_queue;

use std::any::Any;
use std::cell::UnsafeCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::AcqRel, Ordering::Acquire, Ordering::Release};
use std::sync::{Arc, Mutex, PoisonError};

pub use barrier::Abandoned;
pub(crate) use barrier::Barrier;
use signal::Signal;

/// Most workers of a pool, the caller included: more than any machine that this is made for can use.
pub const MOST_THREADS: usize = 64;

/// What every worker runs.
type Job<'a> = dyn Fn(&Worker<'_>) -> Result<(), Abandoned> + Sync + 'a;

/// Why a pool could not be made, or a run did not finish.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PoolError {
    /// The system could not start a thread.
    #[error("thread {index} of {n_threads} could not be started: {reason}")]
    Spawn {
        /// Which one.
        index: usize,
        /// Threads wanted.
        n_threads: usize,
        /// What the system says.
        reason: String,
    },
    /// Not all of the expected workers have joined.
    #[error("{joined} of {expected} workers have joined the pool")]
    Incomplete {
        /// Workers that have joined.
        joined: usize,
        /// Workers that were expected, without the caller.
        expected: usize,
    },
    /// A worker panicked in a run. The pool can be used again.
    #[error("a CPU worker panicked: {0}")]
    Panicked(String),
}

/// One of the threads of a run, as its job sees it.
#[derive(Debug)]
pub struct Worker<'a> {
    /// From 0 on; 0 is the thread that called [`Pool::run`].
    pub index: usize,
    /// Threads in the run.
    pub n_threads: usize,
    barrier: &'a Barrier,
}

impl<'a> Worker<'a> {
    #[cfg(test)]
    pub(crate) fn new(index: usize, n_threads: usize, barrier: &'a Barrier) -> Self {
        Worker { index, n_threads, barrier }
    }

    /// Waits until every worker has arrived. All of them must arrive, at the same barriers in the same order.
    ///
    /// # Errors
    /// If one of them has panicked; the job should return.
    #[inline]
    pub fn barrier(&self) -> Result<(), Abandoned> {
        self.barrier.wait()
    }
}

/// What the workers share.
struct Shared {
    n_threads: usize,
    /// Of the current run. Written before `started` advances, read after.
    job: UnsafeCell<Option<*const Job<'static>>>,
    /// Advances when a run begins, or when the workers are to end.
    started: Signal,
    /// Workers still in the run, the caller not counted.
    running: AtomicUsize,
    /// Advances when the last of them has left it.
    finished: Signal,
    barrier: Barrier,
    joined: AtomicUsize,
    is_over: AtomicBool,
    /// The first panic of a run.
    panic: Mutex<Option<String>>,
}

// SAFETY: `job` is the only member that is not `Sync` by itself; it is written by the pool's owner while no worker is
// in a run and read by workers after `started` has advanced, which orders the two.
unsafe impl Sync for Shared {}
// SAFETY: as above; the pointer is to a `Sync` closure that outlives the run.
unsafe impl Send for Shared {}

impl Shared {
    fn new(n_threads: usize) -> Self {
        Shared {
            n_threads,
            job: UnsafeCell::new(None),
            started: Signal::default(),
            running: AtomicUsize::new(0),
            finished: Signal::default(),
            barrier: Barrier::new(n_threads),
            joined: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
            panic: Mutex::new(None),
        }
    }

    /// Runs the job as one of its workers. A panic releases the others from their barriers.
    fn take_part(&self, index: usize, job: &Job<'_>) {
        let worker = Worker { index, n_threads: self.n_threads, barrier: &self.barrier };
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| job(&worker))) {
            let mut first = self.panic.lock().unwrap_or_else(PoisonError::into_inner);
            first.get_or_insert_with(|| message(payload.as_ref()));
            drop(first);
            self.barrier.abandon();
        }
    }

    /// Runs jobs as worker `index` until the pool ends.
    fn serve(&self, index: usize) {
        let mut seen = 0;
        loop {
            self.started.wait_past(seen, || false);
            // The owner starts no run before every worker has left the previous one.
            seen = seen.wrapping_add(1);
            if self.is_over.load(Acquire) {
                return;
            }
            // SAFETY: `started` has advanced, so the job is there, and it lives until `running` is 0.
            let job = unsafe { (*self.job.get()).map(|job| &*job) };
            if let Some(job) = job {
                self.take_part(index, job);
            }
            if self.running.fetch_sub(1, AcqRel) == 1 {
                self.finished.advance();
            }
        }
    }
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a message".to_owned())
}

/// A worker's entry where the host starts threads: serves the pool until it is dropped. Blocks.
///
/// # Safety
/// `invitation` must come from [`Pool::invitation`] in the same memory, and be used once.
pub unsafe fn join(invitation: usize) {
    // SAFETY: the caller promises that this is the pointer of an `Arc` which was leaked for this call.
    let shared = unsafe { Arc::from_raw(invitation as *const Shared) };
    let index = shared.joined.fetch_add(1, AcqRel) + 1;
    if index < shared.n_threads {
        shared.serve(index);
    }
}

/// A group of threads that work on one run at a time.
pub struct Pool {
    shared: Arc<Shared>,
    #[cfg(not(target_family = "wasm"))]
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("n_threads", &self.n_threads()).finish_non_exhaustive()
    }
}

impl Pool {
    /// The calling thread alone, which never waits.
    pub fn alone() -> Self {
        Pool::remote(1)
    }

    /// A pool of `n_threads` (at least 1, at most [`MOST_THREADS`]), the caller included, whose other members are
    /// threads of this process.
    ///
    /// # Errors
    /// If the system starts no more threads.
    #[cfg(not(target_family = "wasm"))]
    pub fn spawn(n_threads: usize) -> Result<Self, PoolError> {
        let mut pool = Pool::remote(n_threads);
        for index in 1..pool.n_threads() {
            let shared = Arc::clone(&pool.shared);
            let thread = std::thread::Builder::new().name(format!("chord-cpu-{index}"));
            let spawned = thread.spawn(move || {
                shared.joined.fetch_add(1, AcqRel);
                shared.serve(index);
            });
            let failed = |error: std::io::Error| PoolError::Spawn { index, n_threads, reason: error.to_string() };
            pool.threads.push(spawned.map_err(failed)?);
        }
        Ok(pool)
    }

    /// Only the host can start threads here: [`Pool::remote`] makes a pool of more than one.
    ///
    /// # Errors
    /// For more than one thread.
    #[cfg(target_family = "wasm")]
    pub fn spawn(n_threads: usize) -> Result<Self, PoolError> {
        let reason = "only the host can start threads".to_owned();
        if n_threads > 1 { Err(PoolError::Spawn { index: 1, n_threads, reason }) } else { Ok(Pool::alone()) }
    }

    /// A pool that expects `n_threads` − 1 workers to [`join`]. Nothing may be run before they have joined:
    /// [`is_complete`](Self::is_complete).
    pub fn remote(n_threads: usize) -> Self {
        Pool {
            shared: Arc::new(Shared::new(n_threads.clamp(1, MOST_THREADS))),
            #[cfg(not(target_family = "wasm"))]
            threads: Vec::new(),
        }
    }

    /// What one more worker needs to [`join`]. It must join, since joining frees the memory of the invitation.
    pub fn invitation(&self) -> usize {
        Arc::into_raw(Arc::clone(&self.shared)) as usize
    }

    /// Members, the caller included.
    pub fn n_threads(&self) -> usize {
        self.shared.n_threads
    }

    /// Whether all workers have joined.
    pub fn is_complete(&self) -> bool {
        self.shared.joined.load(Acquire) + 1 >= self.n_threads()
    }

    /// Runs `job` on every worker and returns when all have returned from it.
    ///
    /// # Errors
    /// If a worker panicked, or workers of a [`remote`](Self::remote) pool have not joined. A panic on the only thread
    /// of a pool propagates to the caller.
    pub fn run(&mut self, job: &Job<'_>) -> Result<(), PoolError> {
        let shared = &*self.shared;
        if shared.n_threads == 1 {
            let worker = Worker { index: 0, n_threads: 1, barrier: &shared.barrier };
            // No other thread can have panicked.
            let _ = job(&worker);
            return Ok(());
        }
        self.check_complete()?;
        let finished = shared.finished.value();
        // SAFETY: no worker is in a run. The lifetime ends with this function, which does not return before all workers
        // have left the job.
        unsafe {
            let job: *const Job<'_> = job;
            *shared.job.get() = Some(std::mem::transmute::<*const Job<'_>, *const Job<'static>>(job));
        }
        shared.running.store(shared.n_threads - 1, Release);
        shared.started.advance();
        shared.take_part(0, job);
        shared.finished.wait_past(finished, || false);
        let panic = shared.panic.lock().unwrap_or_else(PoisonError::into_inner).take();
        match panic {
            Some(message) => {
                shared.barrier.reset();
                Err(PoolError::Panicked(message))
            }
            None => Ok(()),
        }
    }

    /// Checks that all workers have joined or will join. Threads spawned here will; workers from elsewhere may never.
    fn check_complete(&self) -> Result<(), PoolError> {
        #[cfg(not(target_family = "wasm"))]
        if !self.threads.is_empty() {
            return Ok(());
        }
        if self.is_complete() {
            return Ok(());
        }
        let joined = self.shared.joined.load(Acquire);
        Err(PoolError::Incomplete { joined, expected: self.n_threads() - 1 })
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Release);
        self.shared.started.advance();
        #[cfg(not(target_family = "wasm"))]
        for thread in self.threads.drain(..) {
            // A worker's panics are caught, so that the result of its thread says nothing.
            let _ = thread.join();
        }
    }
}

/// The number of threads to use by default: the cores, less one for everything else where there are more than two.
pub fn default_threads() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    if cores > 2 { (cores - 1).min(MOST_THREADS) } else { cores }
}
