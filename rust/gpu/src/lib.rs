//! WebGPU executor.
