//! One product: what it reads and writes, and where.

use std::ops::Range;

use super::codes::Codes;
use super::formats::Format;
use super::panel::{BLOCK, Panel};
use super::scales::Scales;
use super::selection::SelectedRows;
use crate::simd::Isa;

/// Everything that a product reads and writes.
pub(crate) struct Operands {
    /// Codes of all row blocks, or their elements where the type is not quantized.
    pub(crate) codes: *const u8,
    /// Scales of all row blocks.
    pub(crate) scales: *const u8,
    pub(crate) cols: usize,
    /// Rows wanted.
    pub(crate) rows: Range<usize>,
    /// Row blocks to multiply; each holds some of `rows`.
    pub(crate) row_blocks: Range<usize>,
    pub(crate) n_tokens: usize,
    /// Where the products of tokens go.
    pub(crate) tokens: SelectedRows,
    /// The first panel of rounded activations, if there are any.
    pub(crate) acts: Panel,
    /// Unchanged activations, if there are any.
    pub(crate) act_values: *const f32,
    /// Element `[token, row − rows.start]` is at `tokens.output(token) · stride + row − rows.start`.
    pub(crate) out: *mut f32,
    pub(crate) stride: usize,
}

impl Operands {
    /// Writes a row block's sums of one token, without the rows that are not wanted.
    #[inline(always)]
    pub(crate) unsafe fn store<I: Isa, const S: usize>(&self, row_block: usize, token: usize, sums: &[I::F; S]) {
        let first = row_block * S * I::LANES;
        // SAFETY: the output has room for all tokens and wanted rows.
        unsafe {
            let out = self.out.add(self.tokens.output(token) * self.stride);
            if first >= self.rows.start && first + S * I::LANES <= self.rows.end {
                let out = out.add(first - self.rows.start);
                let mut v = 0;
                while v < S {
                    I::store_f32(out.add(v * I::LANES), sums[v]);
                    v += 1;
                }
            } else {
                let mut rows = [0.0f32; 64];
                let mut v = 0;
                while v < S {
                    I::store_f32(rows.as_mut_ptr().add(v * I::LANES), sums[v]);
                    v += 1;
                }
                let mut i = 0;
                while i < S * I::LANES {
                    if self.rows.contains(&(first + i)) {
                        *out.add(first + i - self.rows.start) = rows[i];
                    }
                    i += 1;
                }
            }
        }
    }
}

/// Bytes of a row block's codes.
#[inline(always)]
pub(super) fn row_block_codes<I: Isa, F: Format, const S: usize>(cols: usize) -> usize {
    cols / BLOCK * F::Codes::WORDS * 4 * S * I::LANES
}

/// Bytes of a file block's scales, in all rows of a row block.
#[inline(always)]
pub(super) fn file_block_scales<I: Isa, F: Format, const S: usize>() -> usize {
    (F::Scales::WORDS * 4 + F::Scales::F16S * 2) * S * I::LANES
}

/// Bytes of a row block's scales.
#[inline(always)]
pub(super) fn row_block_scales<I: Isa, F: Format, const S: usize>(cols: usize) -> usize {
    cols / BLOCK / F::Scales::BLOCKS * file_block_scales::<I, F, S>()
}
