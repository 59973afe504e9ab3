//! How the executor computes, and on how many threads.

/// Form of the rows that quantized matrices are multiplied with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ActivationType {
    /// Rounded to 8 bits, with a scale for each 32: integer products. Fastest with prompts.
    Q8,
    /// Rounded to two digits of 8 bits: nearly as good as unrounded, for twice the integer products.
    #[default]
    Q16,
    /// As they are: exact up to the order of sums.
    F32,
}

/// Choices of a [`CpuExecutor`](crate::CpuExecutor).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuOptions {
    /// Threads, the calling one included; [`default_threads`](crate::pool::default_threads) without a number.
    pub threads: Option<usize>,
    /// Form of activations in products.
    pub activations: ActivationType,
}

impl CpuOptions {
    /// One thread, nothing rounded: what other executors are compared with.
    pub fn exact() -> Self {
        CpuOptions { threads: Some(1), activations: ActivationType::F32 }
    }
}
