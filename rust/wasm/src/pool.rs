//! The CPU's threads, which only the host can start.

use std::cell::RefCell;
use std::future::ready;

use chord_engine::PoolSource;
use chord_engine::pool::{Pool, join};
use wasm_bindgen::prelude::wasm_bindgen;

/// The threads of the CPU, the engine's own included. The host starts the others and has each of them call
/// [`join_pool`].
#[wasm_bindgen]
#[derive(Debug)]
pub struct ThreadPool(Pool);

#[wasm_bindgen]
impl ThreadPool {
    /// A pool of `n_threads`, this one included.
    #[wasm_bindgen(constructor)]
    pub fn new(n_threads: usize) -> ThreadPool {
        ThreadPool(Pool::remote(n_threads))
    }

    /// An invitation, with which one more worker joins. The worker must join, because it frees the invitation's memory.
    pub fn invitation(&self) -> usize {
        self.0.invitation()
    }

    /// Whether all workers have joined: nothing may be run before.
    pub fn is_complete(&self) -> bool {
        self.0.is_complete()
    }
}

impl ThreadPool {
    /// Members, the engine's own thread included.
    pub(crate) fn n_threads(&self) -> u32 {
        self.0.n_threads() as u32
    }

    /// Gives the pool to the load that requested it.
    pub(crate) fn into_source(self) -> PoolSource {
        let pool = RefCell::new(Some(self.0));
        PoolSource::new(move |_| {
            let taken = pool.borrow_mut().take();
            Box::pin(ready(taken.ok_or_else(|| "the pool is in use".to_owned())))
        })
    }
}

/// A worker's entry: serves the pool that the invitation is for until it is dropped. Blocks.
#[wasm_bindgen]
pub fn join_pool(invitation: usize) {
    // SAFETY: the host gives each invitation of a `ThreadPool` of this memory to one worker, once.
    unsafe { join(invitation) }
}
