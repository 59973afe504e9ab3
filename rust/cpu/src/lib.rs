//! CPU executor: runs a [`Program`](chord_program::Program) on one thread or several.
//!
//! [`reference`](mod@reference) defines every op in plain scalar code with f64 sums; [`CpuExecutor`] is the same maths
//! arranged for vectors and threads. Every worker of its [`pool`] walks the whole program, computes its share of each
//! op, and meets the others at barriers where shares depend on each other. Results do not depend on the number of
//! threads.

// Vector instructions of 64-bit WebAssembly, the same as those of 32-bit.
#![cfg_attr(target_arch = "wasm64", feature(simd_wasm64))]

mod device;
mod kv;
pub mod matmul;
mod memory;
mod ops;
pub mod pool;
pub mod reference;
mod run;
mod simd;

pub use matmul::{ActivationType, CpuOptions};
pub use pool::{Pool, PoolError};
pub use run::{CpuExecutor, Profile, StepTimes};
pub use simd::InstructionSet;
