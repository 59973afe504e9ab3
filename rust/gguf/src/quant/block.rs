//! What all block formats have in common.

use bytemuck::{Pod, Zeroable};

use crate::GgmlType;

/// A little-endian f16 with the alignment of a byte, so that blocks can be viewed in place at any address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(transparent)]
pub struct F16Le(pub [u8; 2]);

impl F16Le {
    /// Rounds to the nearest f16, ties to even.
    pub fn from_f32(value: f32) -> Self {
        F16Le(half::f16::from_f32(value).to_le_bytes())
    }

    /// Widens; exact.
    #[inline]
    pub fn to_f32(self) -> f32 {
        half::f16::from_le_bytes(self.0).to_f32()
    }
}

/// One block of a tensor type: a view of the bytes in the file, with no padding and the alignment of a byte.
pub trait Block: Pod {
    /// The type this is a block of.
    const TYPE: GgmlType;
    /// Elements per block.
    const ELEMS: usize;

    /// Decodes the block to `out`, whose length is [`Block::ELEMS`].
    fn dequantize(&self, out: &mut [f32]);

    /// Encodes `values`, whose length is [`Block::ELEMS`]. Finite values give finite scales as long as they fit f16.
    fn quantize(values: &[f32]) -> Self;
}

/// Views `bytes` as whole blocks; `None` if a part of a block is left over.
#[inline]
pub fn blocks<B: Block>(bytes: &[u8]) -> Option<&[B]> {
    bytemuck::try_cast_slice(bytes).ok()
}

/// Decodes whole blocks. Lengths have been checked.
pub(super) fn dequantize_all<B: Block>(bytes: &[u8], out: &mut [f32]) {
    debug_assert_eq!(size_of::<B>() as u64, B::TYPE.block_bytes());
    for (block, out) in bytemuck::cast_slice::<u8, B>(bytes).iter().zip(out.chunks_exact_mut(B::ELEMS)) {
        block.dequantize(out);
    }
}

/// Encodes whole blocks. The length has been checked.
pub(super) fn quantize_all<B: Block>(values: &[f32]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(values.len() / B::ELEMS * size_of::<B>());
    for values in values.chunks_exact(B::ELEMS) {
        bytes.extend_from_slice(bytemuck::bytes_of(&B::quantize(values)));
    }
    bytes
}
