//! WebAssembly's 128-bit vectors, without and with the relaxed instructions.

// Functions are unsafe for the reason that `Isa` gives, and so are all operations in them.
#![allow(unsafe_op_in_unsafe_fn)]

#[cfg(target_arch = "wasm32")]
use core::arch::wasm32 as arch;
#[cfg(target_arch = "wasm64")]
use core::arch::wasm64 as arch;

use std::hint::black_box;

use arch::v128;

use super::{Dot, Isa};

macro_rules! isa {
    ($(#[$doc:meta])* $name:ident, $dot16_from:expr, $narrow:ty, |$a:ident, $b:ident, $c:ident| $mul_add:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy)]
        pub(crate) struct $name;

        impl Isa for $name {
            const LANES: usize = 4;
            const LOOP: bool = true;
            const DOT16_FROM: usize = $dot16_from;
            type V = v128;
            type F = v128;
            type Widener = [v128; 2];
            const FINITE_F16_IS_FASTER: bool = true;
            type Dot4 = $narrow;
            type Dot5 = $narrow;
            type Dot7 = $narrow;
            type Dot8 = Pairs;
            type Dot16 = Words;

            #[inline(always)]
            unsafe fn load(from: *const u8) -> v128 {
                arch::v128_load(from.cast())
            }

            #[inline(always)]
            unsafe fn splat(value: u32) -> v128 {
                arch::u32x4_splat(value)
            }

            #[inline(always)]
            unsafe fn and(a: v128, b: v128) -> v128 {
                arch::v128_and(a, b)
            }

            #[inline(always)]
            unsafe fn or(a: v128, b: v128) -> v128 {
                arch::v128_or(a, b)
            }

            #[inline(always)]
            unsafe fn shl(v: v128, n: u32) -> v128 {
                arch::i32x4_shl(v, n)
            }

            #[inline(always)]
            unsafe fn shr(v: v128, n: u32) -> v128 {
                arch::u32x4_shr(v, n)
            }

            #[inline(always)]
            unsafe fn shr_16(v: v128, n: u32) -> v128 {
                arch::u16x8_shr(v, n)
            }

            #[inline(always)]
            unsafe fn sar(v: v128, n: u32) -> v128 {
                arch::i32x4_shr(v, n)
            }

            #[inline(always)]
            unsafe fn look_up(table: &[u8; 16], at: v128) -> v128 {
                arch::i8x16_swizzle(arch::v128_load(table.as_ptr().cast()), at)
            }

            #[inline(always)]
            unsafe fn add_i32(a: v128, b: v128) -> v128 {
                arch::i32x4_add(a, b)
            }

            #[inline(always)]
            unsafe fn to_f32(v: v128) -> v128 {
                arch::f32x4_convert_i32x4(v)
            }

            #[inline(always)]
            unsafe fn as_f32(v: v128) -> v128 {
                v
            }

            #[inline(always)]
            unsafe fn load_f32(from: *const f32) -> v128 {
                arch::v128_load(from.cast())
            }

            #[inline(always)]
            unsafe fn store_f32(to: *mut f32, v: v128) {
                arch::v128_store(to.cast(), v)
            }

            #[inline(always)]
            unsafe fn store_i8(to: *mut i8, v: v128) {
                let halves = arch::i16x8_narrow_i32x4(v, v);
                arch::v128_store32_lane::<0>(arch::i8x16_narrow_i16x8(halves, halves), to.cast())
            }

            #[inline(always)]
            unsafe fn store_i16(to: *mut i16, v: v128) {
                arch::v128_store64_lane::<0>(arch::i16x8_narrow_i32x4(v, v), to.cast())
            }

            #[inline(always)]
            unsafe fn splat_f32(value: f32) -> v128 {
                arch::f32x4_splat(value)
            }

            #[inline(always)]
            unsafe fn load_f16(from: *const u8) -> v128 {
                // As in `simd::f16`; the sign is copied into the bits that the exponent's bias frees.
                let bits = arch::i32x4_shl(arch::i32x4_load_extend_i16x4(from.cast()), 13);
                let finite = arch::f32x4_mul(
                    arch::v128_and(bits, arch::u32x4_splat(0x8fff_ffff)),
                    arch::f32x4_splat(f32::from_bits(0x7780_0000)),
                );
                let magnitude = arch::v128_and(bits, arch::u32x4_splat(0x0fff_ffff));
                let infinite = arch::i32x4_ge(magnitude, arch::i32x4_splat(0x0f80_0000));
                arch::v128_or(finite, arch::v128_and(infinite, arch::u32x4_splat(0x7f80_0000)))
            }

            #[inline(always)]
            unsafe fn widener() -> [v128; 2] {
                // The compiler would make constants that it knows anew at every use.
                [arch::u32x4_splat(black_box(0x8fff_ffff)), arch::u32x4_splat(black_box(0x7780_0000))]
            }

            #[inline(always)]
            unsafe fn load_finite_f16(from: *const u8, widener: [v128; 2]) -> v128 {
                let bits = arch::i32x4_shl(arch::i32x4_load_extend_i16x4(from.cast()), 13);
                arch::f32x4_mul(arch::v128_and(bits, widener[0]), widener[1])
            }

            #[inline(always)]
            unsafe fn load_u16(from: *const u8) -> v128 {
                arch::u32x4_load_extend_u16x4(from.cast())
            }

            #[inline(always)]
            unsafe fn mul(a: v128, b: v128) -> v128 {
                arch::f32x4_mul(a, b)
            }

            #[inline(always)]
            unsafe fn mul_add($a: v128, $b: v128, $c: v128) -> v128 {
                $mul_add
            }
        }
    };
}

#[cfg(not(target_feature = "relaxed-simd"))]
isa!(
    /// What every engine with vectors has.
    Simd128,
    1,
    Pairs,
    |a, b, c| arch::f32x4_add(arch::f32x4_mul(a, b), c)
);

#[cfg(target_feature = "relaxed-simd")]
isa!(
    /// With sums of two products of bytes, and multiplication and addition in one.
    RelaxedSimd,
    1,
    Twos,
    |a, b, c| arch::f32x4_relaxed_madd(a, b, c)
);

#[cfg(target_feature = "relaxed-simd")]
isa!(
    /// The same with sums of four products of bytes, for processors that have an instruction for them.
    RelaxedDot,
    usize::MAX,
    Fours,
    |a, b, c| arch::f32x4_relaxed_madd(a, b, c)
);

/// Signed bytes, taken apart into even and odd ones of 16 bits.
pub(crate) struct Pairs;

/// Bytes 0 and 2 of each lane, and bytes 1 and 3.
#[derive(Clone, Copy)]
pub(crate) struct EvenOdd(v128, v128);

#[inline(always)]
fn even_odd(bytes: v128) -> EvenOdd {
    EvenOdd(arch::i16x8_shr(arch::i16x8_shl(bytes, 8), 8), arch::i16x8_shr(bytes, 8))
}

impl<I: Isa<V = v128>> Dot<I> for Pairs {
    const SIGN: u8 = 0;
    type Codes = EvenOdd;
    type Acts = EvenOdd;

    #[inline(always)]
    unsafe fn codes(v: v128) -> EvenOdd {
        even_odd(v)
    }

    #[inline(always)]
    unsafe fn acts(from: *const i8) -> EvenOdd {
        even_odd(arch::v128_load32_splat(from.cast()))
    }

    #[inline(always)]
    unsafe fn dot(sum: v128, codes: EvenOdd, acts: EvenOdd) -> v128 {
        let sum = arch::i32x4_add(sum, arch::i32x4_dot_i16x8(codes.0, acts.0));
        arch::i32x4_add(sum, arch::i32x4_dot_i16x8(codes.1, acts.1))
    }
}

/// Even bytes, or odd ones, as 16 bits, with two activations of 16 bits.
pub(crate) struct Words;

impl<I: Isa<V = v128>> Dot<I> for Words {
    const SIGN: u8 = 0;
    const PARTS: usize = 2;
    type Codes = v128;
    type Acts = v128;

    #[inline(always)]
    unsafe fn codes(v: v128) -> v128 {
        v
    }

    #[inline(always)]
    unsafe fn acts(from: *const i8) -> v128 {
        arch::v128_load32_splat(from.cast())
    }

    #[inline(always)]
    unsafe fn part(codes: v128, part: usize) -> v128 {
        let parts = even_odd(codes);
        if part == 0 { parts.0 } else { parts.1 }
    }

    #[inline(always)]
    unsafe fn dot(sum: v128, codes: v128, acts: v128) -> v128 {
        arch::i32x4_add(sum, arch::i32x4_dot_i16x8(codes, acts))
    }
}

/// Codes of up to six bits: engines may take the second operand's bytes as signed or unsigned, and for 0 to 127 that is
/// the same. Sums of two products stay in 16 bits for a block.
#[cfg(target_feature = "relaxed-simd")]
pub(crate) struct Twos;

#[cfg(target_feature = "relaxed-simd")]
impl Dot<RelaxedSimd> for Twos {
    const SIGN: u8 = 0;
    const IN_LANES: bool = false;
    const CENTRED: bool = true;
    type Codes = v128;
    type Acts = v128;

    #[inline(always)]
    unsafe fn codes(v: v128) -> v128 {
        v
    }

    #[inline(always)]
    unsafe fn acts(from: *const i8) -> v128 {
        arch::v128_load32_splat(from.cast())
    }

    #[inline(always)]
    unsafe fn dot(sum: v128, codes: v128, acts: v128) -> v128 {
        arch::i16x8_add(sum, arch::i16x8_relaxed_dot_i8x16_i7x16(acts, codes))
    }

    #[inline(always)]
    unsafe fn start(neg_sums: u32, middle: v128) -> v128 {
        arch::i16x8_mul(arch::u32x4_splat(neg_sums), middle)
    }

    #[inline(always)]
    unsafe fn total(sum: v128) -> v128 {
        // As fast as the instruction that adds neighbours, for which engines load a vector of ones every time.
        arch::i32x4_dot_i16x8(sum, arch::i16x8_splat(1))
    }
}

/// The same codes, four products to a sum of 32 bits. Centred codes need no minima where the type has none of its own.
#[cfg(target_feature = "relaxed-simd")]
pub(crate) struct Fours;

#[cfg(target_feature = "relaxed-simd")]
impl Dot<RelaxedDot> for Fours {
    const SIGN: u8 = 0;
    const CENTRED: bool = true;
    type Codes = v128;
    type Acts = v128;

    #[inline(always)]
    unsafe fn codes(v: v128) -> v128 {
        v
    }

    #[inline(always)]
    unsafe fn acts(from: *const i8) -> v128 {
        arch::v128_load32_splat(from.cast())
    }

    #[inline(always)]
    unsafe fn dot(sum: v128, codes: v128, acts: v128) -> v128 {
        arch::i32x4_relaxed_dot_i8x16_i7x16_add(acts, codes, sum)
    }

    #[inline(always)]
    unsafe fn start(neg_sums: u32, middle: v128) -> v128 {
        arch::i32x4_dot_i16x8(arch::u32x4_splat(neg_sums), middle)
    }
}
