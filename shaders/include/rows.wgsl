// The rows of this batch, computed from constants. Where constants are in a uniform buffer, kernels over tokens and
// kernels over outputs then share a pipeline; an expression in the kernel's code would make two.

override ROWS_PER_TOKEN: u32 = 0u;
override ROWS_PER_OUTPUT: u32 = 0u;
override ROWS_FIXED: u32 = 0u;

fn rows_of_batch() -> u32 {
    return batch.n_tokens * ROWS_PER_TOKEN + batch.n_outputs * ROWS_PER_OUTPUT + ROWS_FIXED;
}
