//! CPU executor: runs a [`Program`](chord_program::Program) on one thread, with weights as the file stores them.
//!
//! [`reference`](mod@reference) defines every op in plain scalar code with f64 sums; [`CpuExecutor`] is the same maths
//! arranged so that compilers vectorise it.

// Vector instructions of 64-bit WebAssembly, the same as those of 32-bit.
#![cfg_attr(target_arch = "wasm64", feature(simd_wasm64))]

mod executor;
mod frame;
mod kv;
mod machine;
mod ops;
pub mod packed;
pub mod reference;
mod schedule;
mod simd;
mod weights;

pub use executor::CpuExecutor;
pub use simd::InstructionSet;
