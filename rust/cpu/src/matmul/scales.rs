//! How scales and minima are packed, and how they become vectors of f32.
//!
//! A weight is `scale · code + min`, with codes as [`Codes`](super::codes::Codes) unpacks them: what a format subtracts
//! from its codes is part of the minimum. Scales belong to groups of 32 columns, or of 16.
//!
//! A *file block* has words and f16 numbers, each stored for all rows of a row block side by side: all words first.

use super::panel::CHUNK;
use crate::simd::Isa;

/// Scales, or minima, of up to [`CHUNK`] blocks: one or two groups in each, and `S` vectors of rows.
pub(crate) type Expanded<F, const S: usize> = [[[F; S]; 2]; CHUNK];

/// A packing of scales and minima.
pub(crate) trait Scales: 'static {
    /// Blocks of 32 columns in a file block.
    const BLOCKS: usize;
    /// Groups with a scale of their own in a block.
    const GROUPS: usize;
    /// 32-bit words of a file block and row.
    const WORDS: usize;
    /// f16 numbers of a file block and row.
    const F16S: usize;
    /// What the format subtracts from its codes; `None` if it has minima.
    const OFFSET: Option<u32>;

    /// Whether there are minima other than zero, where codes are multiplied with `bias` added.
    #[inline(always)]
    fn has_min(bias: f32) -> bool {
        Self::OFFSET.is_none_or(|offset| offset as f32 + bias != 0.0)
    }

    /// Writes the scales and minima of a file block, `S` vectors of rows, from block `first` on; `bias` as above.
    ///
    /// # Safety
    /// The processor has `I`, and the file block can be read.
    unsafe fn expand<I: Isa, const S: usize>(
        from: *const u8,
        bias: f32,
        first: usize,
        widener: I::Widener,
        scale: *mut Expanded<I::F, S>,
        min: *mut Expanded<I::F, S>,
    );
}

/// Word `w` of vector `v`.
#[inline(always)]
unsafe fn word<I: Isa, const S: usize>(from: *const u8, w: usize, v: usize) -> I::V {
    // SAFETY: the caller's promise.
    unsafe { I::load(from.add((w * S + v) * I::LANES * 4)) }
}

/// f16 number `h` of vector `v`, after `words` words. Numbers that are not finite may become anything: for such rows
/// see [`PackedMatrix`](super::matrix::PackedMatrix).
#[inline(always)]
unsafe fn f16_at<I: Isa, const S: usize>(
    from: *const u8,
    words: usize,
    h: usize,
    v: usize,
    widener: I::Widener,
) -> I::F {
    // SAFETY: the caller's promise.
    unsafe { I::load_finite_f16(from.add((words * S * 4 + (h * S + v) * 2) * I::LANES), widener) }
}

/// Byte `i` of each lane, as f32.
#[inline(always)]
unsafe fn byte<I: Isa>(v: I::V, i: usize) -> I::F {
    // SAFETY: the caller's promise.
    unsafe {
        match i {
            0 => I::to_f32(I::and(v, I::splat(0xff))),
            3 => I::to_f32(I::shr(v, 24)),
            _ => I::to_f32(I::and(I::shr(v, 8 * i as u32), I::splat(0xff))),
        }
    }
}

/// A minimum for codes that are larger by `bias`.
#[inline(always)]
unsafe fn biased<I: Isa>(min: I::F, scale: I::F, bias: f32) -> I::F {
    // SAFETY: the caller's promise.
    unsafe { if bias == 0.0 { min } else { I::mul_add(scale, I::splat_f32(-bias), min) } }
}

/// An f16 scale for each block, and `OFFSET` subtracted from each code.
pub(crate) struct F16Scale<const OFFSET: u32>;

impl<const OFFSET: u32> Scales for F16Scale<OFFSET> {
    const BLOCKS: usize = 1;
    const GROUPS: usize = 1;
    const WORDS: usize = 0;
    const F16S: usize = 1;
    const OFFSET: Option<u32> = Some(OFFSET);

    #[inline(always)]
    unsafe fn expand<I: Isa, const S: usize>(
        from: *const u8,
        bias: f32,
        first: usize,
        widener: I::Widener,
        scale: *mut Expanded<I::F, S>,
        min: *mut Expanded<I::F, S>,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            let offset = I::splat_f32(-(OFFSET as f32) - bias);
            let mut v = 0;
            while v < S {
                let d = f16_at::<I, S>(from, 0, 0, v, widener);
                (*scale)[first][0][v] = d;
                (*min)[first][0][v] = I::mul(d, offset);
                v += 1;
            }
        }
    }
}

/// An f16 scale and an f16 minimum for each block.
pub(crate) struct F16ScaleAndMin;

impl Scales for F16ScaleAndMin {
    const BLOCKS: usize = 1;
    const GROUPS: usize = 1;
    const WORDS: usize = 0;
    const F16S: usize = 2;
    const OFFSET: Option<u32> = None;

    #[inline(always)]
    unsafe fn expand<I: Isa, const S: usize>(
        from: *const u8,
        bias: f32,
        first: usize,
        widener: I::Widener,
        scale: *mut Expanded<I::F, S>,
        min: *mut Expanded<I::F, S>,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            let mut v = 0;
            while v < S {
                let d = f16_at::<I, S>(from, 0, 0, v, widener);
                (*scale)[first][0][v] = d;
                (*min)[first][0][v] = biased::<I>(f16_at::<I, S>(from, 0, 1, v, widener), d, bias);
                v += 1;
            }
        }
    }
}

/// Eight scales and minima of six bits, as Q4_K packs them into three words, with an f16 scale for each kind.
pub(crate) struct SixBitScales;

impl Scales for SixBitScales {
    const BLOCKS: usize = 8;
    const GROUPS: usize = 1;
    const WORDS: usize = 3;
    const F16S: usize = 2;
    const OFFSET: Option<u32> = None;

    #[inline(always)]
    unsafe fn expand<I: Isa, const S: usize>(
        from: *const u8,
        bias: f32,
        _: usize,
        widener: I::Widener,
        scale: *mut Expanded<I::F, S>,
        min: *mut Expanded<I::F, S>,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            let (six, four, two) = (I::splat(0x3f3f_3f3f), I::splat(0x0f0f_0f0f), I::splat(0x3030_3030));
            let mut v = 0;
            while v < S {
                let (a, b, c) = (word::<I, S>(from, 0, v), word::<I, S>(from, 1, v), word::<I, S>(from, 2, v));
                let d = f16_at::<I, S>(from, 3, 0, v, widener);
                let dmin = I::mul(f16_at::<I, S>(from, 3, 1, v, widener), I::splat_f32(-1.0));
                let scales = [I::and(a, six), I::or(I::and(c, four), I::and(I::shr(a, 2), two))];
                let minima = [I::and(b, six), I::or(I::and(I::shr(c, 4), four), I::and(I::shr(b, 2), two))];
                let mut g = 0;
                while g < 8 {
                    let value = I::mul(d, byte::<I>(scales[g / 4], g % 4));
                    (*scale)[g][0][v] = value;
                    (*min)[g][0][v] = biased::<I>(I::mul(dmin, byte::<I>(minima[g / 4], g % 4)), value, bias);
                    g += 1;
                }
                v += 1;
            }
        }
    }
}

/// Sixteen scales and minima of four bits, a byte for both, with an f16 scale for each kind.
pub(crate) struct FourBitScales;

impl Scales for FourBitScales {
    const BLOCKS: usize = 8;
    const GROUPS: usize = 2;
    const WORDS: usize = 4;
    const F16S: usize = 2;
    const OFFSET: Option<u32> = None;

    #[inline(always)]
    unsafe fn expand<I: Isa, const S: usize>(
        from: *const u8,
        bias: f32,
        _: usize,
        widener: I::Widener,
        scale: *mut Expanded<I::F, S>,
        min: *mut Expanded<I::F, S>,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            let mask = I::splat(0x0f0f_0f0f);
            let mut v = 0;
            while v < S {
                let d = f16_at::<I, S>(from, 4, 0, v, widener);
                let dmin = I::mul(f16_at::<I, S>(from, 4, 1, v, widener), I::splat_f32(-1.0));
                let mut w = 0;
                while w < 4 {
                    let both = word::<I, S>(from, w, v);
                    let (scales, minima) = (I::and(both, mask), I::and(I::shr(both, 4), mask));
                    let mut i = 0;
                    while i < 4 {
                        let value = I::mul(d, byte::<I>(scales, i));
                        (*scale)[2 * w + i / 2][i % 2][v] = value;
                        (*min)[2 * w + i / 2][i % 2][v] = biased::<I>(I::mul(dmin, byte::<I>(minima, i)), value, bias);
                        i += 1;
                    }
                    w += 1;
                }
                v += 1;
            }
        }
    }
}

/// Sixteen signed scales of six bits, as Q3_K packs them into three words, with an f16 scale; 4 is subtracted from each
/// code.
pub(crate) struct SignedSixBitScales;

impl Scales for SignedSixBitScales {
    const BLOCKS: usize = 8;
    const GROUPS: usize = 2;
    const WORDS: usize = 3;
    const F16S: usize = 1;
    const OFFSET: Option<u32> = Some(4);

    #[inline(always)]
    unsafe fn expand<I: Isa, const S: usize>(
        from: *const u8,
        bias: f32,
        _: usize,
        widener: I::Widener,
        scale: *mut Expanded<I::F, S>,
        min: *mut Expanded<I::F, S>,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            let (four, two) = (I::splat(0x0f0f_0f0f), I::splat(0x3030_3030));
            let (middle, offset) = (I::splat_f32(-32.0), I::splat_f32(-4.0 - bias));
            let mut v = 0;
            while v < S {
                let (a, b, c) = (word::<I, S>(from, 0, v), word::<I, S>(from, 1, v), word::<I, S>(from, 2, v));
                let d = f16_at::<I, S>(from, 3, 0, v, widener);
                let scales = [
                    I::or(I::and(a, four), I::and(I::shl(c, 4), two)),
                    I::or(I::and(b, four), I::and(I::shl(c, 2), two)),
                    I::or(I::and(I::shr(a, 4), four), I::and(c, two)),
                    I::or(I::and(I::shr(b, 4), four), I::and(I::shr(c, 2), two)),
                ];
                let mut g = 0;
                while g < 16 {
                    let sixth = byte::<I>(scales[g / 4], g % 4);
                    let value = I::mul(d, I::mul_add(sixth, I::splat_f32(1.0), middle));
                    (*scale)[g / 2][g % 2][v] = value;
                    (*min)[g / 2][g % 2][v] = I::mul(value, offset);
                    g += 1;
                }
                v += 1;
            }
        }
    }
}

/// Sixteen signed scales of eight bits, with an f16 scale; 32 is subtracted from each code.
pub(crate) struct EightBitScales;

impl Scales for EightBitScales {
    const BLOCKS: usize = 8;
    const GROUPS: usize = 2;
    const WORDS: usize = 4;
    const F16S: usize = 1;
    const OFFSET: Option<u32> = Some(32);

    #[inline(always)]
    unsafe fn expand<I: Isa, const S: usize>(
        from: *const u8,
        bias: f32,
        _: usize,
        widener: I::Widener,
        scale: *mut Expanded<I::F, S>,
        min: *mut Expanded<I::F, S>,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            let offset = I::splat_f32(-32.0 - bias);
            let mut v = 0;
            while v < S {
                let d = f16_at::<I, S>(from, 4, 0, v, widener);
                let mut w = 0;
                while w < 4 {
                    let scales = word::<I, S>(from, w, v);
                    let mut i = 0;
                    while i < 4 {
                        let signed = I::to_f32(I::sar(I::shl(scales, 24 - 8 * i as u32), 24));
                        let value = I::mul(d, signed);
                        (*scale)[2 * w + i / 2][i % 2][v] = value;
                        (*min)[2 * w + i / 2][i % 2][v] = I::mul(value, offset);
                        i += 1;
                    }
                    w += 1;
                }
                v += 1;
            }
        }
    }
}
