//! Four lanes in plain Rust.

// Functions are unsafe for the reason that `Isa` gives, and so are all operations in them.
#![allow(unsafe_op_in_unsafe_fn)]

use super::f16::f16_to_f32;
use super::{Dot, Isa};

#[derive(Clone, Copy)]
pub(crate) struct Scalar;

macro_rules! each_lane {
    ($i:ident => $value:expr) => {{
        let mut out = [Default::default(); 4];
        let mut $i = 0;
        while $i < 4 {
            out[$i] = $value;
            $i += 1;
        }
        out
    }};
}

impl Isa for Scalar {
    const LANES: usize = 4;
    type V = [u32; 4];
    type F = [f32; 4];
    type Widener = ();
    type Dot4 = Bytes;
    type Dot5 = Bytes;
    type Dot7 = Bytes;
    type Dot8 = Bytes;
    type Dot16 = Self::Dot8;

    #[inline(always)]
    unsafe fn load(from: *const u8) -> Self::V {
        from.cast::<Self::V>().read_unaligned()
    }

    #[inline(always)]
    unsafe fn splat(value: u32) -> Self::V {
        [value; 4]
    }

    #[inline(always)]
    unsafe fn and(a: Self::V, b: Self::V) -> Self::V {
        each_lane!(i => a[i] & b[i])
    }

    #[inline(always)]
    unsafe fn or(a: Self::V, b: Self::V) -> Self::V {
        each_lane!(i => a[i] | b[i])
    }

    #[inline(always)]
    unsafe fn shl(v: Self::V, n: u32) -> Self::V {
        each_lane!(i => v[i] << n)
    }

    #[inline(always)]
    unsafe fn shr(v: Self::V, n: u32) -> Self::V {
        each_lane!(i => v[i] >> n)
    }

    #[inline(always)]
    unsafe fn sar(v: Self::V, n: u32) -> Self::V {
        each_lane!(i => (v[i] as i32 >> n) as u32)
    }

    #[inline(always)]
    unsafe fn look_up(table: &[u8; 16], at: Self::V) -> Self::V {
        each_lane!(i => u32::from_le_bytes(at[i].to_le_bytes().map(|at| table[usize::from(at)])))
    }

    #[inline(always)]
    unsafe fn add_i32(a: Self::V, b: Self::V) -> Self::V {
        each_lane!(i => a[i].wrapping_add(b[i]))
    }

    #[inline(always)]
    unsafe fn to_f32(v: Self::V) -> Self::F {
        each_lane!(i => v[i] as i32 as f32)
    }

    #[inline(always)]
    unsafe fn as_f32(v: Self::V) -> Self::F {
        each_lane!(i => f32::from_bits(v[i]))
    }

    #[inline(always)]
    unsafe fn load_f32(from: *const f32) -> Self::F {
        from.cast::<Self::F>().read_unaligned()
    }

    #[inline(always)]
    unsafe fn store_f32(to: *mut f32, v: Self::F) {
        to.cast::<Self::F>().write_unaligned(v)
    }

    #[inline(always)]
    unsafe fn store_i8(to: *mut i8, v: Self::V) {
        to.cast::<[i8; 4]>().write_unaligned(each_lane!(i => v[i] as i8))
    }

    #[inline(always)]
    unsafe fn store_i16(to: *mut i16, v: Self::V) {
        to.cast::<[i16; 4]>().write_unaligned(each_lane!(i => v[i] as i16))
    }

    #[inline(always)]
    unsafe fn splat_f32(value: f32) -> Self::F {
        [value; 4]
    }

    #[inline(always)]
    unsafe fn load_f16(from: *const u8) -> Self::F {
        let halves = from.cast::<[u16; 4]>().read_unaligned();
        each_lane!(i => f16_to_f32(halves[i]))
    }

    #[inline(always)]
    unsafe fn widener() {}

    #[inline(always)]
    unsafe fn load_finite_f16(from: *const u8, (): ()) -> Self::F {
        Self::load_f16(from)
    }

    #[inline(always)]
    unsafe fn load_u16(from: *const u8) -> Self::V {
        let numbers = from.cast::<[u16; 4]>().read_unaligned();
        each_lane!(i => u32::from(numbers[i]))
    }

    #[inline(always)]
    unsafe fn mul(a: Self::F, b: Self::F) -> Self::F {
        each_lane!(i => a[i] * b[i])
    }

    #[inline(always)]
    unsafe fn mul_add(a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        each_lane!(i => a[i] * b[i] + c[i])
    }
}

/// Signed bytes.
pub(crate) struct Bytes;

impl Dot<Scalar> for Bytes {
    const SIGN: u8 = 0;
    type Codes = [u32; 4];
    type Acts = [i8; 4];

    #[inline(always)]
    unsafe fn codes(v: [u32; 4]) -> Self::Codes {
        v
    }

    #[inline(always)]
    unsafe fn acts(from: *const i8) -> Self::Acts {
        from.cast::<[i8; 4]>().read_unaligned()
    }

    #[inline(always)]
    unsafe fn dot(sum: [u32; 4], codes: Self::Codes, acts: Self::Acts) -> [u32; 4] {
        each_lane!(i => {
            let codes = codes[i].to_le_bytes();
            let mut lane = sum[i] as i32;
            let mut b = 0;
            while b < 4 {
                lane += i32::from(codes[b] as i8) * i32::from(acts[b]);
                b += 1;
            }
            lane as u32
        })
    }
}
