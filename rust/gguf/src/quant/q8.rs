//! Q8_0: 32 signed bytes and a scale.

use bytemuck::{Pod, Zeroable};

use super::block::{Block, F16Le};
use super::fit;
use crate::GgmlType;

/// `d · q`.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct BlockQ8_0 {
    /// Scale.
    pub d: F16Le,
    /// Codes.
    pub qs: [i8; 32],
}

impl Block for BlockQ8_0 {
    const TYPE: GgmlType = GgmlType::Q8_0;
    const ELEMS: usize = 32;

    #[inline]
    fn dequantize(&self, out: &mut [f32]) {
        let d = self.d.to_f32();
        for (&q, out) in self.qs.iter().zip(out) {
            *out = f32::from(q) * d;
        }
    }

    fn quantize(values: &[f32]) -> Self {
        let largest = values.iter().fold(0.0f32, |max, v| max.max(v.abs()));
        let d = F16Le::from_f32(largest / 127.0);
        let inverse = fit::inverse(d.to_f32());
        let mut qs = [0; 32];
        for (q, &v) in qs.iter_mut().zip(values) {
            *q = fit::round_to(v * inverse, -127, 127) as i8;
        }
        BlockQ8_0 { d, qs }
    }
}
