//! Products of row blocks with unchanged activations: rows of any type become f32, a chunk at a time.

use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ops::Range;

use super::centring::sign;
use super::codes::Codes;
use super::formats::Format;
use super::operands::Operands;
use super::panel::{BLOCK, CHUNK};
use super::product::PANELS;
use super::scales::Scales;
use super::unpack::{Chunk, unpack};
use crate::simd::Isa;

/// Columns that become f32 at a time.
const COLS: usize = CHUNK * BLOCK;

/// A chunk of a row block: for each column the vectors of its rows.
pub(crate) type Columns<F, const S: usize> = [[F; S]; COLS];

/// Rows that become f32.
pub(crate) trait Rows: 'static {
    /// Writes columns `first` to `first + n` of a row block. `first` is a multiple of [`COLS`].
    ///
    /// # Safety
    /// The processor has `I`, and the operands' pointers are good for their shape.
    unsafe fn decode<I: Isa, const S: usize>(
        operands: &Operands,
        row_block: usize,
        first: usize,
        n: usize,
        to: *mut Columns<I::F, S>,
    );
}

/// Rows of a quantized type.
pub(crate) struct Quantized<F>(PhantomData<F>);

impl<F: Format> Rows for Quantized<F> {
    #[inline(always)]
    unsafe fn decode<I: Isa, const S: usize>(
        operands: &Operands,
        row_block: usize,
        first: usize,
        n: usize,
        to: *mut Columns<I::F, S>,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            // Only blocks that were unpacked are read.
            let mut chunk = MaybeUninit::<Chunk<I, S>>::uninit();
            let chunk = chunk.as_mut_ptr();
            let n_blocks = n / BLOCK;
            unpack::<I, F, I::Dot8, S>(operands, row_block, first / BLOCK, n_blocks, chunk);
            // Signed codes that are not biased.
            let signed = F::Codes::SIGNED && sign::<I, F>() == 0;
            for b in 0..n_blocks {
                for s in 0..8 {
                    let g = s * F::Scales::GROUPS / 8;
                    let mut v = 0;
                    while v < S {
                        let codes = (*chunk).quads[b][s][v];
                        let (scale, min) = ((*chunk).scale[b][g][v], (*chunk).min[b][g][v]);
                        for i in 0..4 {
                            let code = if signed {
                                I::sar(I::shl(codes, 24 - 8 * i), 24)
                            } else {
                                I::and(I::shr(codes, 8 * i), I::splat(0xff))
                            };
                            (*to)[b * BLOCK + s * 4 + i as usize][v] = I::mul_add(I::to_f32(code), scale, min);
                        }
                        v += 1;
                    }
                }
            }
        }
    }
}

/// Rows of f32.
pub(crate) struct F32;
/// Rows of f16.
pub(crate) struct F16;
/// Rows of bf16.
pub(crate) struct Bf16;

macro_rules! plain {
    ($name:ident, $bytes:literal, |$from:ident| $load:expr) => {
        impl Rows for $name {
            #[inline(always)]
            unsafe fn decode<I: Isa, const S: usize>(
                operands: &Operands,
                row_block: usize,
                first: usize,
                n: usize,
                to: *mut Columns<I::F, S>,
            ) {
                // SAFETY: the caller's promise.
                unsafe {
                    let start = operands.codes.add((row_block * operands.cols + first) * S * I::LANES * $bytes);
                    for k in 0..n {
                        for v in 0..S {
                            let $from = start.add((k * S + v) * I::LANES * $bytes);
                            (*to)[k][v] = $load;
                        }
                    }
                }
            }
        }
    };
}

plain!(F32, 4, |from| I::load_f32(from.cast()));
plain!(F16, 2, |from| I::load_f16(from));
plain!(Bf16, 2, |from| I::as_f32(I::shl(I::load_u16(from), 16)));

/// Adds the products of some columns and a panel to sums: [`tile`], compiled once for each instruction set.
pub(crate) type Tile<I, const S: usize, const T: usize> =
    unsafe fn(*const Columns<<I as Isa>::F, S>, usize, *const f32, &mut [[<I as Isa>::F; S]; T]);

/// Computes a product; `single` is for one token.
///
/// # Safety
/// The processor has `I`, and the operands' pointers are good for their shape.
#[inline(always)]
pub(crate) unsafe fn product<I: Isa, R: Rows, const S: usize, const T: usize>(
    operands: &Operands,
    single: Tile<I, S, 1>,
    tile: Tile<I, S, T>,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let width = if operands.n_tokens == 1 { 1 } else { T };
        let n_panels = operands.n_tokens.div_ceil(width);
        let mut columns = MaybeUninit::<Columns<I::F, S>>::uninit();
        let mut first = 0;
        while first < n_panels {
            let panels = first..(first + PANELS).min(n_panels);
            for row_block in operands.row_blocks.clone() {
                if width == 1 {
                    multiply::<I, R, S, 1>(operands, row_block, panels.clone(), single, &mut columns);
                } else {
                    multiply::<I, R, S, T>(operands, row_block, panels.clone(), tile, &mut columns);
                }
            }
            first = panels.end;
        }
    }
}

#[inline(always)]
unsafe fn multiply<I: Isa, R: Rows, const S: usize, const T: usize>(
    operands: &Operands,
    row_block: usize,
    panels: Range<usize>,
    tile: Tile<I, S, T>,
    columns: &mut MaybeUninit<Columns<I::F, S>>,
) {
    // SAFETY: the caller's promise; only columns that were decoded are read.
    unsafe {
        let zero = I::splat_f32(0.0);
        let mut all_sums = [MaybeUninit::<[[I::F; S]; T]>::uninit(); PANELS];
        for sums in &mut all_sums[..panels.len()] {
            sums.write([[zero; S]; T]);
        }
        let columns = columns.as_mut_ptr();
        let mut first = 0;
        while first < operands.cols {
            let n = COLS.min(operands.cols - first);
            R::decode::<I, S>(operands, row_block, first, n, columns);
            for (sums, panel) in all_sums.iter_mut().zip(panels.clone()) {
                let acts = operands.act_values.add((panel * operands.cols + first) * T);
                tile(columns, n, acts, sums.assume_init_mut());
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

/// Adds the products of `n` columns and a panel to `sums`.
///
/// # Safety
/// The processor has `I`, and there are activations for `n` columns.
#[inline(always)]
pub(crate) unsafe fn tile<I: Isa, const S: usize, const T: usize>(
    columns: *const Columns<I::F, S>,
    n: usize,
    acts: *const f32,
    sums: &mut [[I::F; S]; T],
) {
    // SAFETY: the caller's promise.
    unsafe {
        let one = I::splat_f32(1.0);
        // One token's products are added to four sums alternately, so that no addition waits for the one before.
        let n_sums = if T == 1 { 4 } else { 1 };
        let mut kept = [[[I::splat_f32(0.0); S]; T]; 4];
        kept[0] = *sums;
        let mut k = 0;
        while k + n_sums <= n {
            let mut i_sum = 0;
            while i_sum < n_sums {
                let weights = *columns.cast::<[I::F; S]>().add(k + i_sum);
                let mut t = 0;
                while t < T {
                    let act = I::splat_f32(*acts.add((k + i_sum) * T + t));
                    let mut v = 0;
                    while v < S {
                        kept[i_sum][t][v] = I::mul_add(weights[v], act, kept[i_sum][t][v]);
                        v += 1;
                    }
                    t += 1;
                }
                i_sum += 1;
            }
            k += n_sums;
        }
        while k < n {
            let weights = *columns.cast::<[I::F; S]>().add(k);
            let act = I::splat_f32(*acts.add(k * T));
            let mut v = 0;
            while v < S {
                kept[0][0][v] = I::mul_add(weights[v], act, kept[0][0][v]);
                v += 1;
            }
            k += 1;
        }
        let mut i_sum = 1;
        while i_sum < n_sums {
            let mut v = 0;
            while v < S {
                kept[0][0][v] = I::mul_add(kept[i_sum][0][v], one, kept[0][0][v]);
                v += 1;
            }
            i_sum += 1;
        }
        *sums = kept[0];
    }
}
