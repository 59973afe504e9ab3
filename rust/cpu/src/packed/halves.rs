//! The tile of sums of 16 bits: see [`Dot::CENTRED`].
//!
//! Sums of a block fit all registers that an engine has, so that those in f32 are in memory meanwhile. Each of them is
//! touched once a block: what minima add is added before, in a loop of its own.

use std::hint::black_box;

use super::activations::Panel;
use super::kernels::{Chunk, add_step};
use crate::simd::{Dot, Isa};

/// Adds the products of a chunk and a panel to `sums`; codes have `GROUPS` scales in each block, minima or not, and their
/// middle is taken off or not.
///
/// # Safety
/// The processor has `I`, and there are activations of one digit for `n_blocks`.
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
    chunk: &Chunk<I, S>,
    n_blocks: usize,
    acts: Panel,
    sums: &mut [[I::F; S]; T],
) {
    // SAFETY: the caller's.
    unsafe {
        let mut kept = *sums;
        if MIN {
            add_minima::<I, S, T, GROUPS>(chunk, n_blocks, acts, &mut kept);
        }
        let n_steps = 8 / GROUPS;
        // Steps are written out, but that any may be the last keeps the compiler from taking them up sum by sum: see
        // `Isa::LOOP`.
        let end = black_box(n_steps);
        for b in 0..n_blocks {
            let steps = chunk.steps.get_unchecked(b);
            let scale = chunk.scale.get_unchecked(b);
            let acts = acts.block(b * T);
            let codes_of_acts = acts.digit(0);
            let mut products = [[I::splat_f32(0.0); S]; T];
            let mut g = 0;
            while g < GROUPS {
                let mut dots = [[I::splat(0); S]; T];
                let mut t = 0;
                while CENTRED && t < T {
                    let less = acts.record(t).less[if GROUPS == 1 { 0 } else { 1 + g }];
                    dots[t] = [D::start(less, chunk.middle); S];
                    t += 1;
                }
                let (steps, acts) = (steps.as_ptr().add(g * n_steps), codes_of_acts.add(4 * g * n_steps * T));
                let mut s = 0;
                while s < n_steps {
                    add_step::<I, D, S, T>(steps, acts, s, &mut dots);
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
                        let scale = scale[g][v];
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
    chunk: &Chunk<I, S>,
    n_blocks: usize,
    acts: Panel,
    sums: &mut [[I::F; S]; T],
) {
    // SAFETY: the caller's.
    unsafe {
        for b in 0..n_blocks {
            let min = chunk.min.get_unchecked(b);
            let acts = acts.block(b * T);
            let mut g = 0;
            while g < GROUPS {
                let mut t = 0;
                while t < T {
                    let sum_of_acts = I::splat_f32(acts.record(t).sums[if GROUPS == 1 { 0 } else { 1 + g }]);
                    let mut v = 0;
                    while v < S {
                        sums[t][v] = I::mul_add(min[g][v], sum_of_acts, sums[t][v]);
                        v += 1;
                    }
                    t += 1;
                }
                g += 1;
            }
        }
    }
}
