//! Q5_0 and Q5_1: 32 elements of 5 bits. The low four lie as in Q4_0; the fifth of element `i` is bit `i` of a
//! little-endian 32-bit word.

use bytemuck::{Pod, Zeroable};

use super::block::{Block, F16Le};
use super::fit;
use crate::GgmlType;

/// `d · (q − 16)`.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct BlockQ5_0 {
    /// Scale.
    pub d: F16Le,
    /// Fifth bits.
    pub qh: [u8; 4],
    /// Low four bits of the codes, two to a byte.
    pub qs: [u8; 16],
}

impl Block for BlockQ5_0 {
    const TYPE: GgmlType = GgmlType::Q5_0;
    const ELEMS: usize = 32;

    #[inline]
    fn dequantize(&self, out: &mut [f32]) {
        let d = self.d.to_f32();
        unpack(&self.qs, self.qh, out, |q| d * (i32::from(q) - 16) as f32);
    }

    fn quantize(values: &[f32]) -> Self {
        let (d, inverse) = fit::signed_scale(values, 16.0);
        let (qs, qh) = pack(values, |v| fit::round_to(v * inverse, -16, 15) + 16);
        BlockQ5_0 { d, qh, qs }
    }
}

/// `d · q + m`.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct BlockQ5_1 {
    /// Scale.
    pub d: F16Le,
    /// Minimum.
    pub m: F16Le,
    /// Fifth bits.
    pub qh: [u8; 4],
    /// Low four bits of the codes, two to a byte.
    pub qs: [u8; 16],
}

impl Block for BlockQ5_1 {
    const TYPE: GgmlType = GgmlType::Q5_1;
    const ELEMS: usize = 32;

    #[inline]
    fn dequantize(&self, out: &mut [f32]) {
        let (d, m) = (self.d.to_f32(), self.m.to_f32());
        unpack(&self.qs, self.qh, out, |q| d * f32::from(q) + m);
    }

    fn quantize(values: &[f32]) -> Self {
        let (d, m, inverse, min) = fit::range_scale(values, 31.0);
        let (qs, qh) = pack(values, |v| fit::round_to((v - min) * inverse, 0, 31));
        BlockQ5_1 { d, m, qh, qs }
    }
}

#[inline]
fn unpack(qs: &[u8; 16], qh: [u8; 4], out: &mut [f32], decode: impl Fn(u8) -> f32) {
    let qh = u32::from_le_bytes(qh);
    let (low, high) = out.split_at_mut(16);
    for (i, ((&q, low), high)) in qs.iter().zip(low).zip(high).enumerate() {
        *low = decode(q & 0x0f | ((qh >> i) as u8 & 1) << 4);
        *high = decode(q >> 4 | ((qh >> (i + 16)) as u8 & 1) << 4);
    }
}

fn pack(values: &[f32], encode: impl Fn(f32) -> i32) -> ([u8; 16], [u8; 4]) {
    let mut qh = 0u32;
    for (i, &v) in values.iter().enumerate() {
        qh |= (encode(v) as u32 >> 4) << i;
    }
    (fit::pack_nibbles(values, |v| encode(v) & 0x0f), qh.to_le_bytes())
}
