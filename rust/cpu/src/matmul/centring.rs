//! Codes that are multiplied with an offset, which their minima make up for: signed codes, where an instruction takes
//! unsigned ones, and unsigned codes that are centred so that their sums fit 16 bits.

use super::codes::Codes;
use super::formats::Format;
use super::scales::Scales;
use crate::simd::{Dot, Isa};

/// How the codes of `F` are multiplied.
pub(crate) type DotOf<I, F> = <<F as Format>::Codes as Codes>::Dot<I>;

/// The byte that signed codes of `F` are combined with for `I`: see [`Dot::SIGN`].
#[inline(always)]
pub(crate) const fn sign<I: Isa, F: Format>() -> u8 {
    if F::Codes::SIGNED { DotOf::<I, F>::SIGN } else { 0 }
}

/// Whether `D` subtracts the middle of the codes of `F`: where their sums would not fit otherwise, or where that saves
/// the minima.
#[inline(always)]
pub(crate) const fn is_centred<I: Isa, F: Format, D: Dot<I>>() -> bool {
    D::CENTRED && (F::Codes::MIDDLE > 8 || F::Scales::OFFSET.is_some())
}

/// How much larger the codes of `F` are when `D` multiplies them.
#[inline(always)]
pub(crate) const fn bias<I: Isa, F: Format, D: Dot<I>>() -> f32 {
    if F::Codes::SIGNED {
        sign::<I, F>() as f32
    } else if is_centred::<I, F, D>() {
        -(F::Codes::MIDDLE as f32)
    } else {
        0.0
    }
}

/// The middle of the codes of `F` in both 16-bit numbers of each lane.
#[inline(always)]
pub(crate) unsafe fn middle<I: Isa, F: Format>() -> I::V {
    // SAFETY: the caller's promise.
    unsafe { I::splat(F::Codes::MIDDLE as u32 * 0x1_0001) }
}
