//! Codes that are multiplied with an offset, which their minima make up for: signed codes, where an instruction takes
//! unsigned ones, and unsigned codes that are centred so that their sums fit 16 bits.

use std::marker::PhantomData;

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

/// `D` without centring, for activations in two planes: their records have the sums of one byte alone.
pub(crate) struct Uncentred<D>(PhantomData<D>);

impl<I: Isa, D: Dot<I>> Dot<I> for Uncentred<D> {
    const SIGN: u8 = D::SIGN;
    const QUADS: usize = D::QUADS;
    const IN_LANES: bool = D::IN_LANES;
    const PARTS: usize = D::PARTS;
    type Codes = D::Codes;
    type Acts = D::Acts;

    #[inline(always)]
    unsafe fn codes(v: I::V) -> D::Codes {
        // SAFETY: the caller's promise, here and below.
        unsafe { D::codes(v) }
    }

    #[inline(always)]
    unsafe fn acts(from: *const i8) -> D::Acts {
        // SAFETY: as above.
        unsafe { D::acts(from) }
    }

    #[inline(always)]
    unsafe fn part(codes: I::V, part: usize) -> I::V {
        // SAFETY: as above.
        unsafe { D::part(codes, part) }
    }

    #[inline(always)]
    unsafe fn dot(sum: I::V, codes: D::Codes, acts: D::Acts) -> I::V {
        // SAFETY: as above.
        unsafe { D::dot(sum, codes, acts) }
    }

    #[inline(always)]
    unsafe fn total(sum: I::V) -> I::V {
        // SAFETY: as above.
        unsafe { D::total(sum) }
    }
}
