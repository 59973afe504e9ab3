//! The WebGPU executor: runs a [`chord_program::Program`] on wgpu, native and in browsers from the same code.
//!
//! [`Gpu`] opens a device; everything made on it comes from the typed pools of [`Resources`]; an op becomes
//! [`Kernels`], dispatches that are made once and encoded for every batch.

mod constants;
mod device;
mod executor;
mod fusion;
pub mod kernel;
pub mod ops;
mod pipelines;
mod plan;
mod readback;
mod resources;
mod sequence;
pub mod shader;
mod trace;
pub mod weights;

pub use device::{Features, Gpu, GpuOptions};
pub use executor::{GpuExecutor, MAX_AHEAD, PlanOptions};
pub use kernel::{Access, Activation, Binding, Dispatch, Grid, KernelSource, Kernels};
pub use plan::missing_kernel;
pub use resources::{Allocation, MemoryKind, MemoryWatch, PipelineKey, Resources};
