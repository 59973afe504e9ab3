//! Q4_0 and Q4_1: 32 elements of 4 bits. Byte `i` holds element `i` in its low half and element `i + 16` in its high
//! half.

use bytemuck::{Pod, Zeroable};

use super::block::{Block, F16Le};
use super::fit;
use crate::GgmlType;

/// `d · (q − 8)`.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct BlockQ4_0 {
    /// Scale.
    pub d: F16Le,
    /// Codes, two to a byte.
    pub qs: [u8; 16],
}

impl Block for BlockQ4_0 {
    const TYPE: GgmlType = GgmlType::Q4_0;
    const ELEMS: usize = 32;

    #[inline]
    fn dequantize(&self, out: &mut [f32]) {
        let d = self.d.to_f32();
        let (low, high) = out.split_at_mut(16);
        for ((&q, low), high) in self.qs.iter().zip(low).zip(high) {
            *low = d * (i32::from(q & 0x0f) - 8) as f32;
            *high = d * (i32::from(q >> 4) - 8) as f32;
        }
    }

    fn quantize(values: &[f32]) -> Self {
        let (d, inverse) = fit::signed_scale(values, 8.0);
        let qs = fit::pack_nibbles(values, |v| fit::round_to(v * inverse, -8, 7) + 8);
        BlockQ4_0 { d, qs }
    }
}

/// `d · q + m`.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct BlockQ4_1 {
    /// Scale.
    pub d: F16Le,
    /// Minimum.
    pub m: F16Le,
    /// Codes, two to a byte.
    pub qs: [u8; 16],
}

impl Block for BlockQ4_1 {
    const TYPE: GgmlType = GgmlType::Q4_1;
    const ELEMS: usize = 32;

    #[inline]
    fn dequantize(&self, out: &mut [f32]) {
        let (d, m) = (self.d.to_f32(), self.m.to_f32());
        let (low, high) = out.split_at_mut(16);
        for ((&q, low), high) in self.qs.iter().zip(low).zip(high) {
            *low = d * f32::from(q & 0x0f) + m;
            *high = d * f32::from(q >> 4) + m;
        }
    }

    fn quantize(values: &[f32]) -> Self {
        let (d, m, inverse, min) = fit::range_scale(values, 15.0);
        let qs = fit::pack_nibbles(values, |v| fit::round_to((v - min) * inverse, 0, 15));
        BlockQ4_1 { d, m, qs }
    }
}
