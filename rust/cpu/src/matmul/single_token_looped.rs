//! Products with one token where the compiler must be kept from having many values alive at a time: see [`Isa::LOOP`].

use std::hint::black_box;
use std::mem::MaybeUninit;

use super::centring::{bias, is_centred, middle};
use super::codes::Codes;
use super::formats::Format;
use super::operands::{Operands, file_block_scales, row_block_codes, row_block_scales};
use super::panel::{BLOCK, BYTE_BITS, Panel};
use super::scales::{Expanded, Scales};
use super::tiles::add_scaled;
use crate::simd::{Dot, Isa};

/// Sums of some vectors of rows, by group and plane.
type Dots<I, const S: usize> = [[[<I as Isa>::V; S]; 2]; 2];

/// A row block times one token, whose activations are in `PLANES` planes.
///
/// # Safety
/// As for [`product`](super::product::product).
#[inline(always)]
pub(super) unsafe fn one_token_looped<I: Isa, F: Format, D: Dot<I>, const S: usize, const PLANES: usize>(
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
        let stride = S * I::LANES * 4;
        let has_min = F::Scales::has_min(bias::<I, F, D>());
        let n_file_blocks = operands.cols / BLOCK / F::Scales::BLOCKS;
        let widener = I::widener();
        let middle = middle::<I, F>();
        let n_groups = F::Scales::GROUPS;
        // As many vectors of rows at a time as the registers have sums for.
        let at_a_time = S / (n_groups * PLANES);
        let n_words = black_box(4);
        for file_block in 0..n_file_blocks {
            let scales = scales.add(file_block * file_block_scales::<I, F, S>());
            if F::Scales::BLOCKS > 1 {
                F::Scales::expand::<I, S>(scales, bias::<I, F, D>(), 0, widener, scale, min);
            }
            for b in 0..F::Scales::BLOCKS {
                let block = file_block * F::Scales::BLOCKS + b;
                let from = codes.add(block * F::Codes::WORDS * stride);
                let acts = operands.acts.block(block);
                let record = acts.record(0);
                if F::Scales::BLOCKS == 1 && at_a_time < S {
                    F::Scales::expand::<I, S>(scales, bias::<I, F, D>(), 0, widener, scale, min);
                }
                let mut first = 0;
                while first < S {
                    let mut dots: Dots<I, S> = [[[I::splat(0); S]; 2]; 2];
                    if is_centred::<I, F, D>() {
                        dots[0][0] = [D::start(record.neg_sums[n_groups - 1], middle); S];
                        dots[1][0] = [D::start(record.neg_sums[2], middle); S];
                    }
                    let add_word = |w: usize, dots: &mut Dots<I, S>| {
                        let from = from.add(first * I::LANES * 4);
                        add_word::<I, F, D, S, PLANES>(from, acts, w, at_a_time, dots);
                    };
                    // A block may end after any word, as far as the compiler knows: see `Isa::LOOP`.
                    // Rarely used with 8-bit activations, where size counts more.
                    if F::Codes::SHIFTS_BY_WORD && (D::PARTS == 2 || PLANES == 2) {
                        'block: {
                            add_word(0, &mut dots);
                            if n_words == 1 {
                                break 'block;
                            }
                            add_word(1, &mut dots);
                            if n_words == 2 {
                                break 'block;
                            }
                            add_word(2, &mut dots);
                            if n_words == 3 {
                                break 'block;
                            }
                            add_word(3, &mut dots);
                        }
                    } else {
                        let mut w = 0;
                        while w < 4 {
                            add_word(w, &mut dots);
                            w += 1;
                            if w == n_words {
                                break;
                            }
                        }
                    }
                    if F::Scales::BLOCKS == 1 && at_a_time == S {
                        F::Scales::expand::<I, S>(scales, bias::<I, F, D>(), 0, widener, scale, min);
                    }
                    let mut g = 0;
                    while g < n_groups {
                        let scale_of_acts = I::splat_f32(record.scale);
                        let sum_of_acts = I::splat_f32(record.sums[if n_groups == 1 { 0 } else { 1 + g }]);
                        let mut v = 0;
                        while v < at_a_time {
                            let mut dot = D::total(dots[g][0][v]);
                            if PLANES == 2 {
                                dot = I::add_i32(I::shl(dot, BYTE_BITS), D::total(dots[g][1][v]));
                            }
                            let row = first + v;
                            let min = if has_min { Some((*min)[b][g][row]) } else { None };
                            let scale = (*scale)[b][g][row];
                            sums[row] = add_scaled::<I>(sums[row], dot, scale, min, scale_of_acts, sum_of_acts);
                            v += 1;
                        }
                        g += 1;
                    }
                    first += at_a_time;
                }
            }
        }
        sums
    }
}

/// Adds the products of quads `w` and `w + 4` of some vectors of rows.
#[inline(always)]
unsafe fn add_word<I: Isa, F: Format, D: Dot<I>, const S: usize, const PLANES: usize>(
    from: *const u8,
    acts: Panel,
    w: usize,
    n_vectors: usize,
    dots: &mut Dots<I, S>,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let other = F::Scales::GROUPS - 1;
        let mut part = 0;
        while part < D::PARTS {
            let at = |quad: usize| 4 * (quad * D::PARTS + part);
            // Where there is one plane, the second is not read.
            let last = PLANES - 1;
            let first = [D::acts(acts.plane(0).add(at(w))), D::acts(acts.plane(last).add(at(w)))];
            let second = [D::acts(acts.plane(0).add(at(w + 4))), D::acts(acts.plane(last).add(at(w + 4)))];
            let mut v = 0;
            while v < n_vectors {
                let [a, b] = F::Codes::pair::<I>(from.add(v * I::LANES * 4), S * I::LANES * 4, w);
                let (a, b) = (D::codes(D::part(a, part)), D::codes(D::part(b, part)));
                let mut plane = 0;
                while plane < PLANES {
                    dots[0][plane][v] = D::dot(dots[0][plane][v], a, first[plane]);
                    dots[other][plane][v] = D::dot(dots[other][plane][v], b, second[plane]);
                    plane += 1;
                }
                v += 1;
            }
            part += 1;
        }
    }
}
