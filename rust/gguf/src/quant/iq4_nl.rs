//! IQ4_NL: 32 elements of 4 bits that stand for unevenly spaced values. Byte `i` holds element `i` in its low half and
//! element `i + 16` in its high half.

use bytemuck::{Pod, Zeroable};

use super::block::{Block, F16Le};
use super::fit;
use crate::GgmlType;

/// What the sixteen codes stand for, in ascending order.
pub const IQ4_NL_VALUES: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

/// `d · value[q]`.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct BlockIQ4_NL {
    /// Scale.
    pub d: F16Le,
    /// Codes, two to a byte.
    pub qs: [u8; 16],
}

impl Block for BlockIQ4_NL {
    const TYPE: GgmlType = GgmlType::IQ4_NL;
    const ELEMS: usize = 32;

    #[inline]
    fn dequantize(&self, out: &mut [f32]) {
        let d = self.d.to_f32();
        let value = |code: u8| d * f32::from(IQ4_NL_VALUES[usize::from(code)]);
        let (low, high) = out.split_at_mut(16);
        for ((&q, low), high) in self.qs.iter().zip(low).zip(high) {
            *low = value(q & 0x0f);
            *high = value(q >> 4);
        }
    }

    fn quantize(values: &[f32]) -> Self {
        let (d, inverse) = fit::signed_scale(values, 127.0);
        let nearest = |v: f32| {
            let distance = |code: &usize| (v * inverse - f32::from(IQ4_NL_VALUES[*code])).abs();
            (0..16).min_by(|a, b| distance(a).total_cmp(&distance(b))).unwrap_or(8) as i32
        };
        BlockIQ4_NL { d, qs: fit::pack_nibbles(values, nearest) }
    }
}
