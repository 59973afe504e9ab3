//! Products with one token: codes are multiplied as they are unpacked.

use std::mem::MaybeUninit;

use super::centring::bias;
use super::codes::{AHEAD, Codes};
use super::formats::Format;
use super::operands::{Operands, file_block_scales, row_block_codes, row_block_scales};
use super::panel::{BLOCK, BYTE_BITS};
use super::scales::{Expanded, Scales};
use super::tiles::{add_scaled, run_of};
use crate::simd::{Dot, Isa};

/// A row block times one token.
///
/// # Safety
/// As for [`product`](super::product::product).
#[inline(always)]
pub(super) unsafe fn one_token<I: Isa, F: Format, D: Dot<I>, const S: usize>(
    operands: &Operands,
    row_block: usize,
) -> [I::F; S] {
    // SAFETY: the caller's promise.
    unsafe {
        let codes = operands.codes.add(row_block * row_block_codes::<I, F, S>(operands.cols));
        let scales = operands.scales.add(row_block * row_block_scales::<I, F, S>(operands.cols));
        let mut sums = [I::splat_f32(0.0); S];
        // Not zeroed, which would take measurable time. Only what `expand` has written is read.
        let (mut scale, mut min) =
            (MaybeUninit::<Expanded<I::F, S>>::uninit(), MaybeUninit::<Expanded<I::F, S>>::uninit());
        let (scale, min) = (scale.as_mut_ptr(), min.as_mut_ptr());
        let block_codes = F::Codes::WORDS * 4 * S * I::LANES;
        let has_min = F::Scales::has_min(bias::<I, F, D>());
        let n_file_blocks = operands.cols / BLOCK / F::Scales::BLOCKS;
        let widener = I::widener();
        let n_quads = 8 * D::PARTS / F::Scales::GROUPS;
        for file_block in 0..n_file_blocks {
            let from = scales.add(file_block * file_block_scales::<I, F, S>());
            F::Scales::expand::<I, S>(from, bias::<I, F, D>(), 0, widener, scale, min);
            for b in 0..F::Scales::BLOCKS {
                let block = file_block * F::Scales::BLOCKS + b;
                let from = codes.add(block * block_codes);
                if F::Codes::PREFETCH {
                    let mut line = 0;
                    while line < block_codes {
                        I::prefetch(from.wrapping_add(AHEAD + line));
                        line += 64;
                    }
                }
                let mut quads = [[I::splat(0); 8]; S];
                let mut v = 0;
                while v < S {
                    quads[v] = F::Codes::block::<I>(from.add(v * I::LANES * 4), S * I::LANES * 4);
                    v += 1;
                }
                let acts = operands.acts.block(block);
                let record = acts.record(0);
                let scale_of_acts = I::splat_f32(record.scale);
                let mut g = 0;
                while g < F::Scales::GROUPS {
                    let mut dots = [I::splat(0); S];
                    for plane in 0..if D::PARTS == 1 { acts.n_planes() } else { 1 } {
                        let acts = acts.plane(plane);
                        let mut v = 0;
                        while v < S {
                            dots[v] = I::shl(dots[v], BYTE_BITS);
                            v += 1;
                        }
                        let mut s = g * n_quads;
                        while s < (g + 1) * n_quads {
                            let mut sums = [I::splat(0); S];
                            let end = s + run_of::<I, D>(n_quads);
                            while s < end {
                                let acts = D::acts(acts.add(4 * s));
                                let mut v = 0;
                                while v < S {
                                    let codes = D::part(quads[v][s / D::PARTS], s % D::PARTS);
                                    sums[v] = D::dot(sums[v], D::codes(codes), acts);
                                    v += 1;
                                }
                                s += 1;
                            }
                            let mut v = 0;
                            while v < S {
                                dots[v] = I::add_i32(dots[v], D::total(sums[v]));
                                v += 1;
                            }
                        }
                    }
                    let sum_of_acts = I::splat_f32(record.sums[if F::Scales::GROUPS == 1 { 0 } else { 1 + g }]);
                    let mut v = 0;
                    while v < S {
                        let min = if has_min { Some((*min)[b][g][v]) } else { None };
                        sums[v] = add_scaled::<I>(sums[v], dots[v], (*scale)[b][g][v], min, scale_of_acts, sum_of_acts);
                        v += 1;
                    }
                    g += 1;
                }
            }
        }
        sums
    }
}
