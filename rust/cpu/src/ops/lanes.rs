//! Four f32 side by side: one register of every processor's baseline. Loops over `[f32; 4]` become vector code too, but
//! that is each build's own decision; this is the same in all.

/// Number of lanes.
pub(crate) const LANES: usize = 4;

/// Four lanes.
#[derive(Clone, Copy)]
pub(crate) struct Lanes(arch::Register);

impl Lanes {
    /// Four values.
    #[inline(always)]
    pub(crate) fn new(values: [f32; LANES]) -> Self {
        Lanes(arch::from_array(values))
    }

    /// `self + a · b`, rounded twice.
    #[inline(always)]
    pub(crate) fn add_product(self, a: Self, b: Self) -> Self {
        Lanes(arch::add_product(self.0, a.0, b.0))
    }

    /// The four values.
    #[inline(always)]
    pub(crate) fn values(self) -> [f32; LANES] {
        arch::to_array(self.0)
    }
}

#[cfg(target_arch = "x86_64")]
mod arch {
    use core::arch::x86_64::{__m128, _mm_add_ps, _mm_mul_ps};

    pub(super) type Register = __m128;

    #[inline(always)]
    pub(super) fn from_array(values: [f32; 4]) -> Register {
        bytemuck::cast(values)
    }

    #[inline(always)]
    pub(super) fn to_array(register: Register) -> [f32; 4] {
        bytemuck::cast(register)
    }

    #[inline(always)]
    pub(super) fn add_product(sum: Register, a: Register, b: Register) -> Register {
        // SAFETY: SSE is part of every x86-64 processor.
        unsafe { _mm_add_ps(sum, _mm_mul_ps(a, b)) }
    }
}

#[cfg(all(target_family = "wasm", target_feature = "simd128"))]
mod arch {
    #[cfg(target_arch = "wasm32")]
    use core::arch::wasm32 as wasm;
    #[cfg(target_arch = "wasm64")]
    use core::arch::wasm64 as wasm;
    use wasm::{f32x4, f32x4_add, f32x4_extract_lane as lane, f32x4_mul, v128};

    pub(super) type Register = v128;

    #[inline(always)]
    pub(super) fn from_array([a, b, c, d]: [f32; 4]) -> Register {
        f32x4(a, b, c, d)
    }

    #[inline(always)]
    pub(super) fn to_array(register: Register) -> [f32; 4] {
        [lane::<0>(register), lane::<1>(register), lane::<2>(register), lane::<3>(register)]
    }

    #[inline(always)]
    pub(super) fn add_product(sum: Register, a: Register, b: Register) -> Register {
        f32x4_add(sum, f32x4_mul(a, b))
    }
}

#[cfg(not(any(target_arch = "x86_64", all(target_family = "wasm", target_feature = "simd128"))))]
mod arch {
    pub(super) type Register = [f32; 4];

    #[inline(always)]
    pub(super) fn from_array(values: [f32; 4]) -> Register {
        values
    }

    #[inline(always)]
    pub(super) fn to_array(register: Register) -> [f32; 4] {
        register
    }

    #[inline(always)]
    pub(super) fn add_product(sum: Register, a: Register, b: Register) -> Register {
        std::array::from_fn(|i| sum[i] + a[i] * b[i])
    }
}
