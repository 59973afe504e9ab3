//! 64-bit ARM, without and with its products of bytes.

// Functions are unsafe for the reason that `Isa` gives, and so are all operations in them.
#![allow(unsafe_op_in_unsafe_fn)]

use core::arch::aarch64::*;
use core::arch::asm;

use super::{Dot, Isa};

macro_rules! isa {
    ($(#[$doc:meta])* $name:ident, $dot:ty) => {
        $(#[$doc])*
        #[derive(Clone, Copy)]
        pub(crate) struct $name;

        impl Isa for $name {
            const LANES: usize = 4;
            type V = uint32x4_t;
            type F = float32x4_t;
            type Widener = ();
            type Dot4 = $dot;
            type Dot5 = $dot;
            type Dot7 = $dot;
            type Dot8 = $dot;
            type Dot16 = Self::Dot8;

            #[inline(always)]
            unsafe fn load(from: *const u8) -> uint32x4_t {
                vreinterpretq_u32_u8(vld1q_u8(from))
            }

            #[inline(always)]
            unsafe fn splat(value: u32) -> uint32x4_t {
                vdupq_n_u32(value)
            }

            #[inline(always)]
            unsafe fn and(a: uint32x4_t, b: uint32x4_t) -> uint32x4_t {
                vandq_u32(a, b)
            }

            #[inline(always)]
            unsafe fn or(a: uint32x4_t, b: uint32x4_t) -> uint32x4_t {
                vorrq_u32(a, b)
            }

            // There is one shift, to the left by a count that may be negative; constant counts become immediates.
            #[inline(always)]
            unsafe fn shl(v: uint32x4_t, n: u32) -> uint32x4_t {
                vshlq_u32(v, vdupq_n_s32(n as i32))
            }

            #[inline(always)]
            unsafe fn shr(v: uint32x4_t, n: u32) -> uint32x4_t {
                vshlq_u32(v, vdupq_n_s32(-(n as i32)))
            }

            #[inline(always)]
            unsafe fn sar(v: uint32x4_t, n: u32) -> uint32x4_t {
                vreinterpretq_u32_s32(vshlq_s32(vreinterpretq_s32_u32(v), vdupq_n_s32(-(n as i32))))
            }

            #[inline(always)]
            unsafe fn look_up(table: &[u8; 16], at: uint32x4_t) -> uint32x4_t {
                vreinterpretq_u32_u8(vqtbl1q_u8(vld1q_u8(table.as_ptr()), vreinterpretq_u8_u32(at)))
            }

            #[inline(always)]
            unsafe fn add_i32(a: uint32x4_t, b: uint32x4_t) -> uint32x4_t {
                vaddq_u32(a, b)
            }

            #[inline(always)]
            unsafe fn to_f32(v: uint32x4_t) -> float32x4_t {
                vcvtq_f32_s32(vreinterpretq_s32_u32(v))
            }

            #[inline(always)]
            unsafe fn as_f32(v: uint32x4_t) -> float32x4_t {
                vreinterpretq_f32_u32(v)
            }

            #[inline(always)]
            unsafe fn load_f32(from: *const f32) -> float32x4_t {
                vld1q_f32(from)
            }

            #[inline(always)]
            unsafe fn store_f32(to: *mut f32, v: float32x4_t) {
                vst1q_f32(to, v)
            }

            #[inline(always)]
            unsafe fn store_i8(to: *mut i8, v: uint32x4_t) {
                let halves = vmovn_u32(v);
                let bytes = vreinterpret_u32_u8(vmovn_u16(vcombine_u16(halves, halves)));
                to.cast::<u32>().write_unaligned(vget_lane_u32::<0>(bytes));
            }

            #[inline(always)]
            unsafe fn store_i16(to: *mut i16, v: uint32x4_t) {
                vst1_u16(to.cast(), vmovn_u32(v))
            }

            #[inline(always)]
            unsafe fn splat_f32(value: f32) -> float32x4_t {
                vdupq_n_f32(value)
            }

            #[inline(always)]
            unsafe fn load_f16(from: *const u8) -> float32x4_t {
                // As in `simd::f16`; the sign is copied into the bits that the exponent's bias frees.
                let halves = vreinterpretq_u32_s32(vmovl_s16(vreinterpret_s16_u8(vld1_u8(from))));
                let bits = vshlq_n_u32::<13>(halves);
                let finite = vmulq_f32(
                    vreinterpretq_f32_u32(vandq_u32(bits, vdupq_n_u32(0x8fff_ffff))),
                    vdupq_n_f32(f32::from_bits(0x7780_0000)),
                );
                let magnitude = vandq_u32(bits, vdupq_n_u32(0x0fff_ffff));
                let infinite = vandq_u32(vcgeq_u32(magnitude, vdupq_n_u32(0x0f80_0000)), vdupq_n_u32(0x7f80_0000));
                vreinterpretq_f32_u32(vorrq_u32(vreinterpretq_u32_f32(finite), infinite))
            }

            #[inline(always)]
            unsafe fn widener() {}

            #[inline(always)]
            unsafe fn load_finite_f16(from: *const u8, (): ()) -> float32x4_t {
                Self::load_f16(from)
            }

            #[inline(always)]
            unsafe fn load_u16(from: *const u8) -> uint32x4_t {
                vmovl_u16(vreinterpret_u16_u8(vld1_u8(from)))
            }

            #[inline(always)]
            unsafe fn mul(a: float32x4_t, b: float32x4_t) -> float32x4_t {
                vmulq_f32(a, b)
            }

            #[inline(always)]
            unsafe fn mul_add(a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
                vfmaq_f32(c, a, b)
            }
        }
    };
}

isa!(
    /// What every 64-bit ARM processor has.
    Neon,
    Products
);
isa!(
    /// With `sdot`.
    NeonDot,
    Fours
);

#[inline(always)]
unsafe fn splat_acts(from: *const i8) -> int8x16_t {
    vreinterpretq_s8_s32(vdupq_n_s32(from.cast::<i32>().read_unaligned()))
}

/// Signed bytes, multiplied to 16 bits. Sums of two products, of at most 128 · 127 each, still fit 16 bits.
pub(crate) struct Products;

impl Dot<Neon> for Products {
    const SIGN: u8 = 0;
    type Codes = int8x16_t;
    type Acts = int8x16_t;

    #[inline(always)]
    unsafe fn codes(v: uint32x4_t) -> int8x16_t {
        vreinterpretq_s8_u32(v)
    }

    #[inline(always)]
    unsafe fn acts(from: *const i8) -> int8x16_t {
        splat_acts(from)
    }

    #[inline(always)]
    unsafe fn dot(sum: uint32x4_t, codes: int8x16_t, acts: int8x16_t) -> uint32x4_t {
        let low = vmull_s8(vget_low_s8(codes), vget_low_s8(acts));
        let high = vmull_high_s8(codes, acts);
        vreinterpretq_u32_s32(vpadalq_s16(vreinterpretq_s32_u32(sum), vpaddq_s16(low, high)))
    }
}

/// Signed bytes, four products at a time.
pub(crate) struct Fours;

impl Dot<NeonDot> for Fours {
    const SIGN: u8 = 0;
    type Codes = int8x16_t;
    type Acts = int8x16_t;

    #[inline(always)]
    unsafe fn codes(v: uint32x4_t) -> int8x16_t {
        vreinterpretq_s8_u32(v)
    }

    #[inline(always)]
    unsafe fn acts(from: *const i8) -> int8x16_t {
        splat_acts(from)
    }

    #[inline(always)]
    unsafe fn dot(sum: uint32x4_t, codes: int8x16_t, acts: int8x16_t) -> uint32x4_t {
        let mut sum = sum;
        // The intrinsic is not stable yet.
        // SAFETY: the processor has the instruction, which touches nothing but its registers.
        unsafe {
            asm!(
                "sdot {sum:v}.4s, {codes:v}.16b, {acts:v}.16b",
                sum = inout(vreg) sum,
                codes = in(vreg) codes,
                acts = in(vreg) acts,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
        sum
    }
}
