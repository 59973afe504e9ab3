//! Q5_K: as Q4_K, with a fifth bit for each element.

use bytemuck::{Pod, Zeroable};

use super::block::{Block, F16Le};
use super::fit;
use super::q4_k::{pack_scale_min, scale_min};
use crate::GgmlType;

/// `d · scale · q − dmin · min`.
///
/// The low four bits lie as in Q4_K. The fifth bit of element `l` of group `g` is bit `g` of `qh[l]`.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct BlockQ5_K {
    /// Scale of the scales.
    pub d: F16Le,
    /// Scale of the minima.
    pub dmin: F16Le,
    /// Packed scales and minima, see [`scale_min`].
    pub scales: [u8; 12],
    /// Fifth bits.
    pub qh: [u8; 32],
    /// Low four bits of the codes, two to a byte.
    pub qs: [u8; 128],
}

impl Block for BlockQ5_K {
    const TYPE: GgmlType = GgmlType::Q5_K;
    const ELEMS: usize = 256;

    #[inline]
    fn dequantize(&self, out: &mut [f32]) {
        let (d, dmin) = (self.d.to_f32(), self.dmin.to_f32());
        for (g, out) in out.chunks_exact_mut(32).enumerate() {
            let (scale, min) = scale_min(&self.scales, g);
            let (scale, min) = (d * f32::from(scale), dmin * f32::from(min));
            let shift = g % 2 * 4;
            for ((&low, &high), out) in self.qs[g / 2 * 32..][..32].iter().zip(&self.qh).zip(out) {
                let q = (low >> shift & 0x0f) | (high >> g & 1) << 4;
                *out = scale * f32::from(q) - min;
            }
        }
    }

    fn quantize(values: &[f32]) -> Self {
        let fitted = fit::scales_and_minima::<8>(values, 31.0, 63.0);
        let (mut qs, mut qh) = ([0; 128], [0; 32]);
        for (g, values) in values.chunks_exact(32).enumerate() {
            for (l, &v) in values.iter().enumerate() {
                let q = fitted.encode(g, v, 31) as u8;
                qs[g / 2 * 32 + l] |= (q & 0x0f) << (g % 2 * 4);
                qh[l] |= (q >> 4) << g;
            }
        }
        BlockQ5_K { d: fitted.d, dmin: fitted.dmin, scales: pack_scale_min(&fitted.scales, &fitted.minima), qh, qs }
    }
}
