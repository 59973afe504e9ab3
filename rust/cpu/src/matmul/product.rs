//! Products of row blocks with rounded activations.
//!
//! A row block is `S` vectors of rows side by side. One token is multiplied as the codes are unpacked. For more tokens
//! a chunk of 256 columns is unpacked once and then multiplied with panels of `T` tokens, whose sums stay in registers.

use std::mem::MaybeUninit;
use std::ops::Range;

use super::formats::Format;
use super::operands::Operands;
use super::panel::{BLOCK, CHUNK, blocks_before};
use super::single_token::one_token;
use super::single_token_looped::one_token_looped;
use super::tiles::Tile;
use super::unpack::{Chunk, unpack};
use crate::simd::{Dot, Isa};

/// Most panels that are multiplied with a chunk once it is unpacked.
pub(crate) const PANELS: usize = if cfg!(target_family = "wasm") { 64 } else { 16 };

/// Computes a product with the products of `D`. Where the instruction set has [`Isa::LOOP`], activations are in
/// `PLANES` planes.
///
/// # Safety
/// The processor has `I`, the operands' pointers are good for their shape, activations are those that `D` takes, and
/// `tile` is for `D` and the codes of `F`.
#[inline(always)]
pub(crate) unsafe fn product<I: Isa, F: Format, D: Dot<I>, const S: usize, const T: usize, const PLANES: usize>(
    operands: &Operands,
    tile: Tile<I, S, T>,
) {
    // SAFETY: the caller's promise.
    unsafe {
        if operands.n_tokens == 1 {
            for row_block in operands.row_blocks.clone() {
                let sums = if I::LOOP {
                    one_token_looped::<I, F, D, S, PLANES>(operands, row_block)
                } else {
                    one_token::<I, F, D, S>(operands, row_block)
                };
                operands.store::<I, S>(row_block, 0, &sums);
            }
        } else {
            let n_panels = operands.n_tokens.div_ceil(T);
            let mut first = 0;
            while first < n_panels {
                let panels = first..(first + PANELS).min(n_panels);
                for row_block in operands.row_blocks.clone() {
                    many_tokens::<I, F, D, S, T>(operands, row_block, panels.clone(), tile);
                }
                first = panels.end;
            }
        }
    }
}

/// A row block times some panels of tokens.
#[inline(always)]
unsafe fn many_tokens<I: Isa, F: Format, D: Dot<I>, const S: usize, const T: usize>(
    operands: &Operands,
    row_block: usize,
    panels: Range<usize>,
    tile: Tile<I, S, T>,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let (n_blocks, n_panels) = (operands.cols / BLOCK, operands.n_tokens.div_ceil(T));
        let zero = I::splat_f32(0.0);
        let mut all_sums = [MaybeUninit::<[[I::F; S]; T]>::uninit(); PANELS];
        for sums in &mut all_sums[..panels.len()] {
            sums.write([[zero; S]; T]);
        }
        // Only blocks that were unpacked are read.
        let mut chunk = MaybeUninit::<Chunk<I, S>>::uninit();
        let chunk = chunk.as_mut_ptr();
        let mut first = 0;
        while first < n_blocks {
            let n = CHUNK.min(n_blocks - first);
            unpack::<I, F, D, S>(operands, row_block, first, n, chunk);
            for (sums, panel) in all_sums.iter_mut().zip(panels.clone()) {
                let acts = operands.acts.block(blocks_before(panel, first, n_panels, n_blocks) * T);
                tile(chunk, n, acts, sums.assume_init_mut());
            }
            first += n;
        }
        for (sums, panel) in all_sums.iter().zip(panels) {
            let sums = sums.assume_init_ref();
            for (t, sums) in sums.iter().enumerate().take(operands.n_tokens - panel * T) {
                operands.store::<I, S>(row_block, panel * T + t, sums);
            }
        }
    }
}
