//! From packed weights to vectors: a chunk of columns that many tokens are multiplied with.

use super::centring::{bias, middle};
use super::codes::Codes;
use super::formats::Format;
use super::operands::{Operands, file_block_scales, row_block_codes, row_block_scales};
use super::panel::CHUNK;
use super::scales::{Expanded, Scales};
use crate::simd::{Dot, Isa};

/// A KC chunk of a row block, unpacked: for each block eight quads, or sixteen where each has two parts.
pub(crate) struct Chunk<I: Isa, const S: usize> {
    pub(crate) quads: [[[I::V; S]; 16]; CHUNK],
    pub(crate) scale: Expanded<I::F, S>,
    pub(crate) min: Expanded<I::F, S>,
    /// See [`middle`].
    pub(crate) middle: I::V,
}

/// Unpacks `n_blocks` blocks of a row block for `D`, from block `first` on, to the first blocks of `chunk`.
///
/// # Safety
/// As for [`product`](super::product::product); `chunk` can be written. Its other blocks stay as they are.
#[inline(always)]
pub(crate) unsafe fn unpack<I: Isa, F: Format, D: Dot<I>, const S: usize>(
    operands: &Operands,
    row_block: usize,
    first: usize,
    n_blocks: usize,
    chunk: *mut Chunk<I, S>,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let block_codes = F::Codes::WORDS * 4 * S * I::LANES;
        let codes = operands.codes.add(row_block * row_block_codes::<I, F, S>(operands.cols) + first * block_codes);
        let scales = operands.scales.add(row_block * row_block_scales::<I, F, S>(operands.cols));
        let widener = I::widener();
        (*chunk).middle = middle::<I, F>();
        let (scale, min) = (&raw mut (*chunk).scale, &raw mut (*chunk).min);
        for b in 0..n_blocks {
            if b % F::Scales::BLOCKS == 0 {
                let file_block = scales.add((first + b) / F::Scales::BLOCKS * file_block_scales::<I, F, S>());
                F::Scales::expand::<I, S>(file_block, bias::<I, F, D>(), b, widener, scale, min);
            }
            let from = codes.add(b * block_codes);
            let mut v = 0;
            while v < S {
                let quads = F::Codes::block::<I>(from.add(v * I::LANES * 4), S * I::LANES * 4);
                let mut s = 0;
                while s < 8 * D::PARTS {
                    (*chunk).quads[b][s][v] = D::part(quads[s / D::PARTS], s % D::PARTS);
                    s += 1;
                }
                v += 1;
            }
        }
    }
}
