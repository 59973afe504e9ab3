//! Where the time of a load goes.

use serde::Serialize;

/// Milliseconds of the engine's parts of a load, one after the other. Work of the source, which reads and checks
/// meanwhile, counts only as far as the engine waits for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct LoadTimes {
    /// Reading and checking the header, waiting for its bytes included.
    pub header_ms: f64,
    /// Building the tokenizer and the chat template.
    pub text_ms: f64,
    /// Opening the device, or gathering the CPU's threads.
    pub device_ms: f64,
    /// Comparing the GPU with the CPU: the GPU's kernels are those of the model and are compiled here. On the CPU,
    /// measuring its instruction sets.
    pub self_test_ms: f64,
    /// Compiling the remaining kernels and making room for the weights.
    pub compile_ms: f64,
    /// Waiting for the bytes of the weights.
    pub read_ms: f64,
    /// Bringing the weights to their place, up to the arrival of the last one.
    pub upload_ms: f64,
}
