//! Q3_K: 256 elements of 3 bits in 16 groups of 16, each with a 6-bit signed scale.

use bytemuck::{Pod, Zeroable};

use super::block::{Block, F16Le};
use super::fit;
use crate::GgmlType;

/// `d · (scale − 32) · (q − 4)`.
///
/// The low two bits lie as in Q2_K. The third bit of element `l + 32 · j` is bit `j` of `hmask[l]`.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct BlockQ3_K {
    /// Third bits.
    pub hmask: [u8; 32],
    /// Low two bits of the codes, four to a byte.
    pub qs: [u8; 64],
    /// Packed scales, see [`BlockQ3_K::scale`].
    pub scales: [u8; 12],
    /// Scale of the scales.
    pub d: F16Le,
}

impl BlockQ3_K {
    /// The scale of group `g` (0 to 15), −32 to 31.
    ///
    /// Its low four bits are a half of byte `g % 8`; its high two bits are a pair of byte `8 + g % 4`.
    #[inline]
    pub fn scale(&self, g: usize) -> i8 {
        let low = self.scales[g % 8] >> (g / 8 * 4) & 0x0f;
        let high = self.scales[8 + g % 4] >> (g / 4 * 2) & 3;
        (low | high << 4) as i8 - 32
    }

    fn set_scale(&mut self, g: usize, scale: i32) {
        let biased = (scale + 32) as u8;
        self.scales[g % 8] |= (biased & 0x0f) << (g / 8 * 4);
        self.scales[8 + g % 4] |= (biased >> 4) << (g / 4 * 2);
    }
}

impl Block for BlockQ3_K {
    const TYPE: GgmlType = GgmlType::Q3_K;
    const ELEMS: usize = 256;

    #[inline]
    fn dequantize(&self, out: &mut [f32]) {
        let d = self.d.to_f32();
        for (g, out) in out.chunks_exact_mut(16).enumerate() {
            let scale = d * f32::from(self.scale(g));
            let first = g / 8 * 32 + g % 2 * 16;
            let shift = g / 2 % 4 * 2;
            let high = &self.hmask[g % 2 * 16..][..16];
            for ((&low, &high), out) in self.qs[first..first + 16].iter().zip(high).zip(out) {
                let q = (low >> shift & 3) | (high >> (g / 2) & 1) << 2;
                *out = scale * (i32::from(q) - 4) as f32;
            }
        }
    }

    fn quantize(values: &[f32]) -> Self {
        let (d, scales) = fit::signed_scales::<16>(values, 4.0, 32);
        let mut block = BlockQ3_K { hmask: [0; 32], qs: [0; 64], scales: [0; 12], d };
        for (g, values) in values.chunks_exact(16).enumerate() {
            block.set_scale(g, scales[g]);
            let inverse = fit::inverse(d.to_f32() * scales[g] as f32);
            let first = g / 8 * 32 + g % 2 * 16;
            let shift = g / 2 % 4 * 2;
            for (l, &v) in values.iter().enumerate() {
                let q = (fit::round_to(v * inverse, -4, 3) + 4) as u8;
                block.qs[first + l] |= (q & 3) << shift;
                block.hmask[g % 2 * 16 + l] |= (q >> 2) << (g / 2);
            }
        }
        block
    }
}
