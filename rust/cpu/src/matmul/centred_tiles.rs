//! The tile whose sums may begin with minus the codes' middle: see [`Dot::CENTRED`].
//!
//! The sums of a block fill all registers that an engine has, and the f32 sums are in memory meanwhile: each is touched
//! once a block, and minima are added to it before, in a loop of their own.

use std::hint::black_box;

use super::panel::Panel;
use super::tiles::add_quad;
use super::unpack::Chunk;
use crate::simd::{Dot, Isa};

/// Adds the products of a chunk and a panel to `sums`; codes have `GROUPS` scales in each block, minima if `MIN`, and
/// are centred if `CENTRED`.
///
/// # Safety
/// The processor has `I`, and `n_blocks` are unpacked and have activations of one byte.
#[inline(always)]
pub(crate) unsafe fn tile<
    I: Isa,
    D: Dot<I>,
    const S: usize,
    const T: usize,
    const GROUPS: usize,
    const MIN: bool,
    const CENTRED: bool,
>(
    chunk: *const Chunk<I, S>,
    n_blocks: usize,
    acts: Panel,
    sums: &mut [[I::F; S]; T],
) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut kept = *sums;
        if MIN {
            add_minima::<I, S, T, GROUPS>(chunk, n_blocks, acts, &mut kept);
        }
        let n_quads = 8 / GROUPS;
        // The loop is unrolled, but since any quad may be the last the compiler does not reorder them sum by sum: see
        // `Isa::LOOP`.
        let end = black_box(n_quads);
        for b in 0..n_blocks {
            let quads = (&raw const (*chunk).quads).cast::<[[I::V; S]; 16]>().add(b).cast::<[I::V; S]>();
            let scale = (&raw const (*chunk).scale).cast::<[[I::F; S]; 2]>().add(b);
            let acts = acts.block(b * T);
            let codes_of_acts = acts.plane(0);
            let mut products = [[I::splat_f32(0.0); S]; T];
            let mut g = 0;
            while g < GROUPS {
                let mut dots = [[I::splat(0); S]; T];
                let mut t = 0;
                while CENTRED && t < T {
                    let neg_sums = acts.record(t).neg_sums[if GROUPS == 1 { 0 } else { 1 + g }];
                    dots[t] = [D::start(neg_sums, (*chunk).middle); S];
                    t += 1;
                }
                let (quads, acts) = (quads.add(g * n_quads), codes_of_acts.add(4 * g * n_quads * T));
                let mut s = 0;
                while s < n_quads {
                    add_quad::<I, D, S, T>(quads, acts, s, &mut dots);
                    s += 1;
                    if s == end {
                        break;
                    }
                }
                let mut t = 0;
                while t < T {
                    let mut v = 0;
                    while v < S {
                        let dots = I::to_f32(D::total(dots[t][v]));
                        let scale = (*scale)[g][v];
                        products[t][v] =
                            if g == 0 { I::mul(dots, scale) } else { I::mul_add(dots, scale, products[t][v]) };
                        v += 1;
                    }
                    t += 1;
                }
                g += 1;
            }
            let mut t = 0;
            while t < T {
                let scale = I::splat_f32(acts.record(t).scale);
                let mut v = 0;
                while v < S {
                    kept[t][v] = I::mul_add(products[t][v], scale, kept[t][v]);
                    v += 1;
                }
                t += 1;
            }
        }
        *sums = kept;
    }
}

/// Adds minima times sums of activations.
#[inline(always)]
unsafe fn add_minima<I: Isa, const S: usize, const T: usize, const GROUPS: usize>(
    chunk: *const Chunk<I, S>,
    n_blocks: usize,
    acts: Panel,
    sums: &mut [[I::F; S]; T],
) {
    // SAFETY: the caller's promise.
    unsafe {
        for b in 0..n_blocks {
            let min = (&raw const (*chunk).min).cast::<[[I::F; S]; 2]>().add(b);
            let acts = acts.block(b * T);
            let mut g = 0;
            while g < GROUPS {
                let mut t = 0;
                while t < T {
                    let sum_of_acts = I::splat_f32(acts.record(t).sums[if GROUPS == 1 { 0 } else { 1 + g }]);
                    let mut v = 0;
                    while v < S {
                        sums[t][v] = I::mul_add((*min)[g][v], sum_of_acts, sums[t][v]);
                        v += 1;
                    }
                    t += 1;
                }
                g += 1;
            }
        }
    }
}
