//! What ops and rounding need of a vector besides [`Isa`].

// Functions are unsafe for the reason that `Isa` gives, and so are all operations in them.
#![allow(unsafe_op_in_unsafe_fn)]

use super::Isa;

/// Arithmetic on vectors of `f32`. Unsafe for the reason that [`Isa`]'s functions are.
pub(crate) trait Float: Isa {
    unsafe fn add(a: Self::F, b: Self::F) -> Self::F;
    unsafe fn sub(a: Self::F, b: Self::F) -> Self::F;
    unsafe fn div(a: Self::F, b: Self::F) -> Self::F;
    /// The larger one of each lane; NaN where `b` is.
    unsafe fn max(a: Self::F, b: Self::F) -> Self::F;
    /// The smaller one of each lane; NaN where `b` is.
    unsafe fn min(a: Self::F, b: Self::F) -> Self::F;
    /// The same bits as integers.
    unsafe fn bits(v: Self::F) -> Self::V;
}

macro_rules! float {
    ($isa:ty, $f:ty, $v:ty, |$a:ident, $b:ident| $add:expr, $sub:expr, $div:expr, $max:expr, $min:expr, $bits:expr) => {
        impl Float for $isa {
            #[inline(always)]
            unsafe fn add($a: $f, $b: $f) -> $f {
                $add
            }

            #[inline(always)]
            unsafe fn sub($a: $f, $b: $f) -> $f {
                $sub
            }

            #[inline(always)]
            unsafe fn div($a: $f, $b: $f) -> $f {
                $div
            }

            #[inline(always)]
            unsafe fn max($a: $f, $b: $f) -> $f {
                $max
            }

            #[inline(always)]
            unsafe fn min($a: $f, $b: $f) -> $f {
                $min
            }

            #[inline(always)]
            unsafe fn bits($a: $f) -> $v {
                $bits
            }
        }
    };
}

#[cfg(not(all(target_family = "wasm", target_feature = "simd128")))]
mod scalar {
    use super::Float;
    use crate::simd::scalar::Scalar;

    fn each(a: [f32; 4], b: [f32; 4], f: impl Fn(f32, f32) -> f32) -> [f32; 4] {
        std::array::from_fn(|i| f(a[i], b[i]))
    }

    #[rustfmt::skip]
    float!(
        Scalar, [f32; 4], [u32; 4], |a, b|
        each(a, b, |a, b| a + b), each(a, b, |a, b| a - b), each(a, b, |a, b| a / b),
        each(a, b, |a, b| if a > b { a } else { b }), each(a, b, |a, b| if a < b { a } else { b }),
        a.map(f32::to_bits)
    );
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use core::arch::x86_64::*;

    use super::Float;
    use crate::simd::x86::{Avx2, Avx512Vnni};

    // Where one operand is NaN, `max` and `min` return the second.
    #[rustfmt::skip]
    float!(
        Avx2, __m256, __m256i, |a, b|
        _mm256_add_ps(a, b), _mm256_sub_ps(a, b), _mm256_div_ps(a, b),
        _mm256_max_ps(a, b), _mm256_min_ps(a, b), _mm256_castps_si256(a)
    );
    #[rustfmt::skip]
    float!(
        Avx512Vnni, __m512, __m512i, |a, b|
        _mm512_add_ps(a, b), _mm512_sub_ps(a, b), _mm512_div_ps(a, b),
        _mm512_max_ps(a, b), _mm512_min_ps(a, b), _mm512_castps_si512(a)
    );
}

#[cfg(all(target_family = "wasm", target_feature = "simd128"))]
mod wasm {
    #[cfg(target_arch = "wasm32")]
    use core::arch::wasm32::*;
    #[cfg(target_arch = "wasm64")]
    use core::arch::wasm64::*;

    use super::Float;

    #[cfg(not(target_feature = "relaxed-simd"))]
    #[rustfmt::skip]
    float!(
        crate::simd::wasm::Simd128, v128, v128, |a, b|
        f32x4_add(a, b), f32x4_sub(a, b), f32x4_div(a, b), f32x4_max(a, b), f32x4_min(a, b), a
    );
    #[cfg(target_feature = "relaxed-simd")]
    #[rustfmt::skip]
    float!(
        crate::simd::wasm::RelaxedSimd, v128, v128, |a, b|
        f32x4_add(a, b), f32x4_sub(a, b), f32x4_div(a, b), f32x4_max(a, b), f32x4_min(a, b), a
    );
}

#[cfg(target_arch = "aarch64")]
mod neon {
    use core::arch::aarch64::*;

    use super::Float;
    use crate::simd::neon::{Neon, NeonDot};

    #[rustfmt::skip]
    float!(
        Neon, float32x4_t, uint32x4_t, |a, b|
        vaddq_f32(a, b), vsubq_f32(a, b), vdivq_f32(a, b), vmaxq_f32(a, b), vminq_f32(a, b), vreinterpretq_u32_f32(a)
    );
    #[rustfmt::skip]
    float!(
        NeonDot, float32x4_t, uint32x4_t, |a, b|
        vaddq_f32(a, b), vsubq_f32(a, b), vdivq_f32(a, b), vmaxq_f32(a, b), vminq_f32(a, b), vreinterpretq_u32_f32(a)
    );
}
