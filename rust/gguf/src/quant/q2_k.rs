//! Q2_K: 256 elements of 2 bits in 16 groups of 16, each with a 4-bit scale and a 4-bit minimum.

use bytemuck::{Pod, Zeroable};

use super::block::{Block, F16Le};
use super::fit;
use crate::GgmlType;

/// `d · scale · q − dmin · min`.
///
/// Each half of 128 elements has 32 bytes of `qs`; byte `l` holds elements `l`, `l + 32`, `l + 64` and `l + 96` of
/// its half, from the low bits up.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct BlockQ2_K {
    /// Scale of group `g` in the low half of byte `g`, its minimum in the high half.
    pub scales: [u8; 16],
    /// Codes, four to a byte.
    pub qs: [u8; 64],
    /// Scale of the scales.
    pub d: F16Le,
    /// Scale of the minima.
    pub dmin: F16Le,
}

impl Block for BlockQ2_K {
    const TYPE: GgmlType = GgmlType::Q2_K;
    const ELEMS: usize = 256;

    #[inline]
    fn dequantize(&self, out: &mut [f32]) {
        let (d, dmin) = (self.d.to_f32(), self.dmin.to_f32());
        for (g, out) in out.chunks_exact_mut(16).enumerate() {
            let scale = d * f32::from(self.scales[g] & 0x0f);
            let min = dmin * f32::from(self.scales[g] >> 4);
            // Group g lies in half g / 8, at bit pair (g / 2) % 4, in the lower or upper 16 bytes.
            let first = g / 8 * 32 + g % 2 * 16;
            let shift = g / 2 % 4 * 2;
            for (&q, out) in self.qs[first..first + 16].iter().zip(out) {
                *out = scale * f32::from(q >> shift & 3) - min;
            }
        }
    }

    fn quantize(values: &[f32]) -> Self {
        let fitted = fit::scales_and_minima::<16>(values, 3.0, 15.0);
        let mut block = BlockQ2_K { scales: [0; 16], qs: [0; 64], d: fitted.d, dmin: fitted.dmin };
        for (g, values) in values.chunks_exact(16).enumerate() {
            block.scales[g] = fitted.scales[g] | fitted.minima[g] << 4;
            let first = g / 8 * 32 + g % 2 * 16;
            let shift = g / 2 % 4 * 2;
            for (q, &v) in block.qs[first..first + 16].iter_mut().zip(values) {
                *q |= (fitted.encode(g, v, 3) as u8) << shift;
            }
        }
        block
    }
}
