//! Q6_K: 256 elements of 6 bits in 16 groups of 16, each with an 8-bit signed scale.

use bytemuck::{Pod, Zeroable};

use super::block::{Block, F16Le};
use super::fit;
use crate::GgmlType;

/// `d · scale · (q − 32)`.
///
/// Each half of 128 elements has 64 bytes of `ql` and 32 of `qh`. With its elements in four quarters of 32, quarters
/// 0 and 1 are in the low halves of `ql`, quarters 2 and 3 in the high halves; the high two bits of quarter `j` are bit
/// pair `j` of `qh`.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct BlockQ6_K {
    /// Low four bits of the codes, two to a byte.
    pub ql: [u8; 128],
    /// High two bits of the codes, four to a byte.
    pub qh: [u8; 64],
    /// Scale of each group.
    pub scales: [i8; 16],
    /// Scale of the scales.
    pub d: F16Le,
}

impl Block for BlockQ6_K {
    const TYPE: GgmlType = GgmlType::Q6_K;
    const ELEMS: usize = 256;

    #[inline]
    fn dequantize(&self, out: &mut [f32]) {
        let d = self.d.to_f32();
        for (g, out) in out.chunks_exact_mut(16).enumerate() {
            let scale = d * f32::from(self.scales[g]);
            let place = Place::of_group(g);
            let low = &self.ql[place.ql..][..16];
            let high = &self.qh[place.qh..][..16];
            for ((&low, &high), out) in low.iter().zip(high).zip(out) {
                let q = (low >> place.ql_shift & 0x0f) | (high >> place.qh_shift & 3) << 4;
                *out = scale * (i32::from(q) - 32) as f32;
            }
        }
    }

    fn quantize(values: &[f32]) -> Self {
        let (d, scales) = fit::signed_scales::<16>(values, 32.0, 128);
        let mut block = BlockQ6_K { ql: [0; 128], qh: [0; 64], scales: scales.map(|s| s as i8), d };
        for (g, values) in values.chunks_exact(16).enumerate() {
            let inverse = fit::inverse(d.to_f32() * scales[g] as f32);
            let place = Place::of_group(g);
            for (l, &v) in values.iter().enumerate() {
                let q = (fit::round_to(v * inverse, -32, 31) + 32) as u8;
                block.ql[place.ql + l] |= (q & 0x0f) << place.ql_shift;
                block.qh[place.qh + l] |= (q >> 4) << place.qh_shift;
            }
        }
        block
    }
}

/// Where a group of 16 elements lies.
struct Place {
    ql: usize,
    ql_shift: usize,
    qh: usize,
    qh_shift: usize,
}

impl Place {
    #[inline]
    fn of_group(g: usize) -> Self {
        let (half, quarter, upper) = (g / 8, g / 2 % 4, g % 2 * 16);
        Place {
            ql: half * 64 + quarter % 2 * 32 + upper,
            ql_shift: quarter / 2 * 4,
            qh: half * 32 + upper,
            qh_shift: quarter * 2,
        }
    }
}
