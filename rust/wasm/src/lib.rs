//! wasm-bindgen face of the engine: the same calls, in JavaScript's types. What it adds is the edge: bytes come from
//! the host as they are asked for, errors become objects `{ code, message, details }`, and a panic tells the host
//! before the module dies.

mod cancel;
mod engine;
mod error;
mod host;
mod inspect;
mod panic;
mod pool;

pub use cancel::CancelToken;
pub use engine::WasmEngine;
pub use host::Host;
pub use inspect::inspect;
pub use panic::on_panic;
pub use pool::{ThreadPool, join_pool};
