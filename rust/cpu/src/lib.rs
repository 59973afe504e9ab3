//! CPU executor: runs a [`Program`](chord_program::Program) on one thread or several.
//!
//! [`reference`](mod@reference) defines every op in plain scalar code with f64 sums; [`CpuExecutor`] is the same maths
//! arranged for vectors and threads. Every worker of its [`pool`] walks the whole program, computes its share of each op,
//! and meets the others at barriers where shares depend on each other. Results do not depend on the number of threads.

// Vector instructions of 64-bit WebAssembly, the same as those of 32-bit.
#![cfg_attr(target_arch = "wasm64", feature(simd_wasm64))]

mod batch;
mod device;
mod executor;
mod frame;
mod kv;
mod machine;
mod memory;
mod ops;
mod options;
pub mod packed;
mod plan;
#[cfg(test)]
mod plan_tests;
pub mod pool;
mod profile;
pub mod reference;
mod schedule;
mod share;
mod simd;
mod slabs;
mod taken;
mod weights;

pub use executor::CpuExecutor;
pub use options::{ActivationType, CpuOptions};
pub use pool::{Pool, PoolError};
pub use profile::{Profile, StepTimes};
pub use simd::InstructionSet;
