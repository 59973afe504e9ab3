//! Block formats: reference decoders and simple encoders.

use crate::GgmlType;

/// Why bytes could not be decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DequantizeError {
    /// There is no decoder for this type.
    #[error("tensors of type {ty} cannot be decoded")]
    Unsupported {
        /// The type.
        ty: GgmlType,
    },
    /// The output is not a whole number of blocks.
    #[error("{elements} elements are not whole blocks of {ty} ({block} each)")]
    PartialBlock {
        /// The type.
        ty: GgmlType,
        /// Length of the output.
        elements: usize,
        /// Elements per block.
        block: u64,
    },
    /// The input is not as long as type and output length ask for.
    #[error("{elements} elements of {ty} take {expected} bytes, found {found}")]
    Length {
        /// The type.
        ty: GgmlType,
        /// Length of the output.
        elements: usize,
        /// Bytes for that many elements.
        expected: u64,
        /// Bytes given.
        found: u64,
    },
}

/// Decodes `bytes` to `out.len()` elements, bit for bit as the reference does.
pub fn dequantize(ty: GgmlType, bytes: &[u8], out: &mut [f32]) -> Result<(), DequantizeError> {
    let _ = (bytes, out);
    Err(DequantizeError::Unsupported { ty })
}

/// Encodes `values` by simple rounding. `None` if the type has no encoder or the values are not whole blocks.
pub fn quantize(ty: GgmlType, values: &[f32]) -> Option<Vec<u8>> {
    let _ = (ty, values);
    None
}
