//! The inner loops of products with many tokens: a chunk times a panel.

use std::hint::black_box;

use super::panel::{BYTE_BITS, Panel};
use super::unpack::Chunk;
use crate::simd::{Dot, Isa};

/// Adds the products of some blocks of a chunk and a panel to sums: [`tile`], compiled once for each instruction set
/// and kind of codes rather than once for each type.
pub(crate) type Tile<I, const S: usize, const T: usize> =
    unsafe fn(*const Chunk<I, S>, usize, Panel, &mut [[<I as Isa>::F; S]; T]);

/// How many quads of a group of `quads` may be summed before their sums are widened.
#[inline(always)]
pub(super) const fn run_of<I: Isa, D: Dot<I>>(quads: usize) -> usize {
    if D::QUADS < quads { D::QUADS } else { quads }
}

/// Adds a group's products to sums: `scale · scale of activations · dots`, and its minima times the activations' sum.
#[inline(always)]
pub(super) unsafe fn add_scaled<I: Isa>(
    sum: I::F,
    dots: I::V,
    scale: I::F,
    min: Option<I::F>,
    scale_of_acts: I::F,
    sum_of_acts: I::F,
) -> I::F {
    // SAFETY: the caller's promise.
    unsafe {
        let sum = I::mul_add(I::mul(I::to_f32(dots), scale), scale_of_acts, sum);
        if let Some(min) = min { I::mul_add(min, sum_of_acts, sum) } else { sum }
    }
}

/// Adds the products of a chunk and a panel to `sums`; codes have `GROUPS` scales in each block, and minima if `MIN`.
///
/// # Safety
/// The processor has `I`, and `n_blocks` are unpacked and have activations.
#[inline(always)]
pub(crate) unsafe fn tile<I: Isa, D: Dot<I>, const S: usize, const T: usize, const GROUPS: usize, const MIN: bool>(
    chunk: *const Chunk<I, S>,
    n_blocks: usize,
    acts: Panel,
    sums: &mut [[I::F; S]; T],
) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut kept = *sums;
        let n_quads = 8 * D::PARTS / GROUPS;
        let run = run_of::<I, D>(n_quads);
        // A number that the compiler does not know keeps the loop a loop.
        let run = if I::LOOP { black_box(run) } else { run };
        for b in 0..n_blocks {
            let quads = (&raw const (*chunk).quads).cast::<[[I::V; S]; 16]>().add(b).cast::<[I::V; S]>();
            let scale = (&raw const (*chunk).scale).cast::<[[I::F; S]; 2]>().add(b);
            let min = (&raw const (*chunk).min).cast::<[[I::F; S]; 2]>().add(b);
            let acts = acts.block(b * T);
            let mut g = 0;
            while g < GROUPS {
                let mut dots = [[I::splat(0); S]; T];
                for plane in 0..if D::PARTS == 1 { acts.n_planes() } else { 1 } {
                    let acts = acts.plane(plane);
                    let mut t = 0;
                    while t < T {
                        let mut v = 0;
                        while v < S {
                            dots[t][v] = I::shl(dots[t][v], BYTE_BITS);
                            v += 1;
                        }
                        t += 1;
                    }
                    let mut part = 0;
                    while part < n_quads / run_of::<I, D>(n_quads) {
                        let mut sums = if D::IN_LANES { dots } else { [[I::splat(0); S]; T] };
                        let mut s = g * n_quads + part * run_of::<I, D>(n_quads);
                        let end = s + run;
                        while s < end {
                            add_quad::<I, D, S, T>(quads, acts, s, &mut sums);
                            s += 1;
                        }
                        let mut t = 0;
                        while t < T {
                            let mut v = 0;
                            while v < S {
                                let sum = sums[t][v];
                                dots[t][v] = if D::IN_LANES { sum } else { I::add_i32(dots[t][v], D::total(sum)) };
                                v += 1;
                            }
                            t += 1;
                        }
                        part += 1;
                    }
                }
                let mut t = 0;
                while t < T {
                    let record = acts.record(t);
                    let scale_of_acts = I::splat_f32(record.scale);
                    let sum_of_acts = I::splat_f32(record.sums[if GROUPS == 1 { 0 } else { 1 + g }]);
                    let mut v = 0;
                    while v < S {
                        let min = if MIN { Some((*min)[g][v]) } else { None };
                        let (sum, dots) = (kept[t][v], dots[t][v]);
                        kept[t][v] = add_scaled::<I>(sum, dots, (*scale)[g][v], min, scale_of_acts, sum_of_acts);
                        v += 1;
                    }
                    t += 1;
                }
                g += 1;
            }
        }
        *sums = kept;
    }
}

/// Adds the products of one quad.
#[inline(always)]
pub(crate) unsafe fn add_quad<I: Isa, D: Dot<I>, const S: usize, const T: usize>(
    quads: *const [I::V; S],
    acts: *const i8,
    s: usize,
    dots: &mut [[I::V; S]; T],
) {
    // SAFETY: the caller's promise.
    unsafe {
        let codes_of_quad = &*quads.add(s);
        let mut codes = [D::codes(codes_of_quad[0]); S];
        let mut v = 1;
        while v < S {
            codes[v] = D::codes(codes_of_quad[v]);
            v += 1;
        }
        let mut t = 0;
        while t < T {
            let acts = D::acts(acts.add(4 * (s * T + t)));
            let mut v = 0;
            while v < S {
                dots[t][v] = D::dot(dots[t][v], codes[v], acts);
                v += 1;
            }
            t += 1;
        }
    }
}
