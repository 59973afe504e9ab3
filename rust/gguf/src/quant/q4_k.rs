//! Q4_K: 256 elements of 4 bits in 8 groups of 32, each with a 6-bit scale and a 6-bit minimum.

use bytemuck::{Pod, Zeroable};

use super::block::{Block, F16Le};
use super::fit;
use crate::GgmlType;

/// `d · scale · q − dmin · min`.
///
/// Each pair of groups has 32 bytes of `qs`: the first group in the low halves, the second in the high halves.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct BlockQ4_K {
    /// Scale of the scales.
    pub d: F16Le,
    /// Scale of the minima.
    pub dmin: F16Le,
    /// Packed scales and minima, see [`scale_min`].
    pub scales: [u8; 12],
    /// Codes, two to a byte.
    pub qs: [u8; 128],
}

/// Scale and minimum of group `g` (0 to 7) of a Q4_K or Q5_K block, 0 to 63 each.
///
/// Groups 0 to 3 have their scales in the low six bits of bytes 0 to 3 and their minima in those of bytes 4 to 7.
/// Groups 4 to 7 have the low four bits of both in bytes 8 to 11, and the high two in the top bits of bytes 0 to 7.
#[inline]
pub fn scale_min(scales: &[u8; 12], g: usize) -> (u8, u8) {
    if g < 4 {
        (scales[g] & 0x3f, scales[g + 4] & 0x3f)
    } else {
        let scale = (scales[g + 4] & 0x0f) | (scales[g - 4] >> 6) << 4;
        let min = (scales[g + 4] >> 4) | (scales[g] >> 6) << 4;
        (scale, min)
    }
}

/// The inverse of [`scale_min`].
pub(super) fn pack_scale_min(scales: &[u8; 8], minima: &[u8; 8]) -> [u8; 12] {
    let mut packed = [0; 12];
    for g in 0..4 {
        packed[g] = scales[g] | (scales[g + 4] >> 4) << 6;
        packed[g + 4] = minima[g] | (minima[g + 4] >> 4) << 6;
        packed[g + 8] = (scales[g + 4] & 0x0f) | (minima[g + 4] & 0x0f) << 4;
    }
    packed
}

impl Block for BlockQ4_K {
    const TYPE: GgmlType = GgmlType::Q4_K;
    const ELEMS: usize = 256;

    #[inline]
    fn dequantize(&self, out: &mut [f32]) {
        let (d, dmin) = (self.d.to_f32(), self.dmin.to_f32());
        for (g, out) in out.chunks_exact_mut(32).enumerate() {
            let (scale, min) = scale_min(&self.scales, g);
            let (scale, min) = (d * f32::from(scale), dmin * f32::from(min));
            let shift = g % 2 * 4;
            for (&q, out) in self.qs[g / 2 * 32..][..32].iter().zip(out) {
                *out = scale * f32::from(q >> shift & 0x0f) - min;
            }
        }
    }

    fn quantize(values: &[f32]) -> Self {
        let fitted = fit::scales_and_minima::<8>(values, 15.0, 63.0);
        let mut qs = [0; 128];
        for (g, values) in values.chunks_exact(32).enumerate() {
            for (q, &v) in qs[g / 2 * 32..][..32].iter_mut().zip(values) {
                *q |= (fitted.encode(g, v, 15) as u8) << (g % 2 * 4);
            }
        }
        BlockQ4_K { d: fitted.d, dmin: fitted.dmin, scales: pack_scale_min(&fitted.scales, &fitted.minima), qs }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_scales_read_back() {
        let scales = [0, 63, 17, 34, 50, 1, 63, 15];
        let minima = [63, 0, 16, 33, 9, 62, 0, 48];
        let packed = pack_scale_min(&scales, &minima);
        for g in 0..8 {
            assert_eq!(scale_min(&packed, g), (scales[g], minima[g]));
        }
    }
}
