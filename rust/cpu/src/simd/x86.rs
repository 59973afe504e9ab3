//! x86-64: AVX2, and AVX-512 with VNNI.

// Functions are unsafe for the reason that `Isa` gives, and so are all operations in them.
#![allow(unsafe_op_in_unsafe_fn)]

use core::arch::x86_64::*;

use super::{Dot, Isa};

/// Eight lanes.
#[derive(Clone, Copy)]
pub(crate) struct Avx2;

/// Sixteen lanes.
#[derive(Clone, Copy)]
pub(crate) struct Avx512Vnni;

macro_rules! isa {
    (
        $name:ident, $lanes:literal, $v:ty, $f:ty, $four:ty, $five:ty, $narrow:ty, $wide:ty, $half:ty,
        $load:ident, $splat:ident, $and:ident, $or:ident, $shl:ident, $shr:ident, $sar:ident, $add:ident,
        $to_f32:ident, $as_f32:ident, $load_f32:ident, $store_f32:ident, $splat_f32:ident, $from_f16:ident,
        $from_u16:ident, $mul:ident, $mul_add:ident, $broadcast:ident, $shuffle:ident, |$vector:ident| $to_i8:expr, $to_i16:expr
    ) => {
        impl Isa for $name {
            const LANES: usize = $lanes;
            type V = $v;
            type F = $f;
            type Widener = ();
            type Dot4 = $four;
            type Dot5 = $five;
            type Dot7 = $narrow;
            type Dot8 = $wide;
            type Dot16 = Self::Dot8;

            #[inline(always)]
            unsafe fn load(from: *const u8) -> $v {
                $load(from.cast())
            }

            #[inline(always)]
            fn prefetch(from: *const u8) {
                // SAFETY: every x86-64 processor has it, and it never faults.
                unsafe { _mm_prefetch::<_MM_HINT_T0>(from.cast()) };
            }

            #[inline(always)]
            unsafe fn splat(value: u32) -> $v {
                $splat(value as i32)
            }

            #[inline(always)]
            unsafe fn and(a: $v, b: $v) -> $v {
                $and(a, b)
            }

            #[inline(always)]
            unsafe fn or(a: $v, b: $v) -> $v {
                $or(a, b)
            }

            // Counts are constants wherever this is inlined, and the compiler makes them part of the instruction.
            #[inline(always)]
            unsafe fn shl(v: $v, n: u32) -> $v {
                $shl(v, _mm_cvtsi32_si128(n as i32))
            }

            #[inline(always)]
            unsafe fn shr(v: $v, n: u32) -> $v {
                $shr(v, _mm_cvtsi32_si128(n as i32))
            }

            #[inline(always)]
            unsafe fn sar(v: $v, n: u32) -> $v {
                $sar(v, _mm_cvtsi32_si128(n as i32))
            }

            #[inline(always)]
            unsafe fn look_up(table: &[u8; 16], at: $v) -> $v {
                $shuffle($broadcast(_mm_loadu_si128(table.as_ptr().cast())), at)
            }

            #[inline(always)]
            unsafe fn add_i32(a: $v, b: $v) -> $v {
                $add(a, b)
            }

            #[inline(always)]
            unsafe fn to_f32(v: $v) -> $f {
                $to_f32(v)
            }

            #[inline(always)]
            unsafe fn as_f32(v: $v) -> $f {
                $as_f32(v)
            }

            #[inline(always)]
            unsafe fn load_f32(from: *const f32) -> $f {
                $load_f32(from)
            }

            #[inline(always)]
            unsafe fn store_f32(to: *mut f32, v: $f) {
                $store_f32(to, v)
            }

            #[inline(always)]
            unsafe fn store_i8(to: *mut i8, $vector: $v) {
                let bytes = $to_i8;
                std::ptr::from_ref(&bytes).cast::<i8>().copy_to_nonoverlapping(to, $lanes);
            }

            #[inline(always)]
            unsafe fn store_i16(to: *mut i16, $vector: $v) {
                to.cast::<$half>().write_unaligned($to_i16)
            }

            #[inline(always)]
            unsafe fn splat_f32(value: f32) -> $f {
                $splat_f32(value)
            }

            #[inline(always)]
            unsafe fn load_f16(from: *const u8) -> $f {
                $from_f16(from.cast::<$half>().read_unaligned())
            }

            #[inline(always)]
            unsafe fn widener() {}

            #[inline(always)]
            unsafe fn load_finite_f16(from: *const u8, (): ()) -> $f {
                Self::load_f16(from)
            }

            #[inline(always)]
            unsafe fn load_u16(from: *const u8) -> $v {
                $from_u16(from.cast::<$half>().read_unaligned())
            }

            #[inline(always)]
            unsafe fn mul(a: $f, b: $f) -> $f {
                $mul(a, b)
            }

            #[inline(always)]
            unsafe fn mul_add(a: $f, b: $f, c: $f) -> $f {
                $mul_add(a, b, c)
            }
        }
    };
}

#[rustfmt::skip]
isa!(
    Avx2, 8, __m256i, __m256, Twos<8>, Twos<4>, UnsignedPairs, SignedPairs, __m128i,
    _mm256_loadu_si256, _mm256_set1_epi32, _mm256_and_si256, _mm256_or_si256,
    _mm256_sll_epi32, _mm256_srl_epi32, _mm256_sra_epi32, _mm256_add_epi32, _mm256_cvtepi32_ps, _mm256_castsi256_ps,
    _mm256_loadu_ps, _mm256_storeu_ps, _mm256_set1_ps, _mm256_cvtph_ps, _mm256_cvtepu16_epi32,
    _mm256_mul_ps, _mm256_fmadd_ps, _mm256_broadcastsi128_si256, _mm256_shuffle_epi8,
    |v| _mm_cvtsi128_si64(_mm_packs_epi16(halves(v), halves(v))), halves(v)
);

#[rustfmt::skip]
isa!(
    Avx512Vnni, 16, __m512i, __m512, Fours, Fours, Fours, Fours, __m256i,
    _mm512_loadu_si512, _mm512_set1_epi32, _mm512_and_si512, _mm512_or_si512,
    _mm512_sll_epi32, _mm512_srl_epi32, _mm512_sra_epi32, _mm512_add_epi32, _mm512_cvtepi32_ps, _mm512_castsi512_ps,
    _mm512_loadu_ps, _mm512_storeu_ps, _mm512_set1_ps, _mm512_cvtph_ps, _mm512_cvtepu16_epi32,
    _mm512_mul_ps, _mm512_fmadd_ps, _mm512_broadcast_i32x4, _mm512_shuffle_epi8,
    |v| _mm512_cvtepi32_epi8(v), _mm512_cvtepi32_epi16(v)
);

/// The lanes as 16 bits each, which they fit.
#[inline(always)]
unsafe fn halves(v: __m256i) -> __m128i {
    _mm256_castsi256_si128(_mm256_permute4x64_epi64::<0b10_00>(_mm256_packs_epi32(v, v)))
}

#[inline(always)]
unsafe fn splat_256(from: *const i8) -> __m256i {
    _mm256_set1_epi32(from.cast::<i32>().read_unaligned())
}

/// Sums of two and then of four products. Two products of 127 · 127 fit 16 bits: nothing saturates.
#[inline(always)]
unsafe fn add_fours(sum: __m256i, unsigned: __m256i, signed: __m256i) -> __m256i {
    let twos = _mm256_maddubs_epi16(unsigned, signed);
    _mm256_add_epi32(sum, _mm256_madd_epi16(twos, _mm256_set1_epi16(1)))
}

/// Unsigned codes of fewer bits: sums of two products stay in 16 bits for `QUADS` quads.
pub(crate) struct Twos<const QUADS: usize>;

impl<const QUADS: usize> Dot<Avx2> for Twos<QUADS> {
    const SIGN: u8 = 0x80;
    const QUADS: usize = QUADS;
    const IN_LANES: bool = false;
    type Codes = __m256i;
    type Acts = __m256i;

    #[inline(always)]
    unsafe fn codes(v: __m256i) -> __m256i {
        v
    }

    #[inline(always)]
    unsafe fn acts(from: *const i8) -> __m256i {
        splat_256(from)
    }

    #[inline(always)]
    unsafe fn dot(sum: __m256i, codes: __m256i, acts: __m256i) -> __m256i {
        _mm256_add_epi16(sum, _mm256_maddubs_epi16(codes, acts))
    }

    #[inline(always)]
    unsafe fn total(sum: __m256i) -> __m256i {
        _mm256_madd_epi16(sum, _mm256_set1_epi16(1))
    }
}

/// Unsigned codes of at most seven bits.
pub(crate) struct UnsignedPairs;

impl Dot<Avx2> for UnsignedPairs {
    const SIGN: u8 = 0x80;
    type Codes = __m256i;
    type Acts = __m256i;

    #[inline(always)]
    unsafe fn codes(v: __m256i) -> __m256i {
        v
    }

    #[inline(always)]
    unsafe fn acts(from: *const i8) -> __m256i {
        splat_256(from)
    }

    #[inline(always)]
    unsafe fn dot(sum: __m256i, codes: __m256i, acts: __m256i) -> __m256i {
        add_fours(sum, codes, acts)
    }
}

/// Signed weights: their signs are moved to the activations. Two products of 128 · 127 still fit 16 bits.
pub(crate) struct SignedPairs;

/// Magnitudes and the signed bytes.
#[derive(Clone, Copy)]
pub(crate) struct Signed(__m256i, __m256i);

impl Dot<Avx2> for SignedPairs {
    const SIGN: u8 = 0;
    type Codes = Signed;
    type Acts = __m256i;

    #[inline(always)]
    unsafe fn codes(v: __m256i) -> Signed {
        Signed(_mm256_abs_epi8(v), v)
    }

    #[inline(always)]
    unsafe fn acts(from: *const i8) -> __m256i {
        splat_256(from)
    }

    #[inline(always)]
    unsafe fn dot(sum: __m256i, codes: Signed, acts: __m256i) -> __m256i {
        add_fours(sum, codes.0, _mm256_sign_epi8(acts, codes.1))
    }
}

/// Unsigned codes of eight bits, in one instruction.
pub(crate) struct Fours;

impl Dot<Avx512Vnni> for Fours {
    const SIGN: u8 = 0x80;
    type Codes = __m512i;
    type Acts = __m512i;

    #[inline(always)]
    unsafe fn codes(v: __m512i) -> __m512i {
        v
    }

    #[inline(always)]
    unsafe fn acts(from: *const i8) -> __m512i {
        _mm512_set1_epi32(from.cast::<i32>().read_unaligned())
    }

    #[inline(always)]
    unsafe fn dot(sum: __m512i, codes: __m512i, acts: __m512i) -> __m512i {
        _mm512_dpbusd_epi32(sum, codes, acts)
    }
}
