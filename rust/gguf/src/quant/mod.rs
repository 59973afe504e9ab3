//! Block formats: reference decoders and simple encoders.
//!
//! [`dequantize`] and [`quantize`] work on runs of whole blocks. Kernels that decode as they go view a row as blocks
//! of its type with [`blocks`] and call [`Block::dequantize`], or read the fields.
//!
//! [`for_each_quantized!`](crate::for_each_quantized) is the one list of the quantized types that are read.

// The blocks are named as ggml names their types.
#![allow(non_camel_case_types)]

mod block;
mod fit;
mod iq4_nl;
mod plain;
mod q2_k;
mod q3_k;
mod q4;
mod q4_k;
mod q5;
mod q5_k;
mod q6_k;
mod q8;

pub use block::{Block, F16Le, blocks};
pub use iq4_nl::{BlockIQ4_NL, IQ4_NL_VALUES};
pub use q2_k::BlockQ2_K;
pub use q3_k::BlockQ3_K;
pub use q4::{BlockQ4_0, BlockQ4_1};
pub use q4_k::{BlockQ4_K, scale_min};
pub use q5::{BlockQ5_0, BlockQ5_1};
pub use q5_k::BlockQ5_K;
pub use q6_k::BlockQ6_K;
pub use q8::BlockQ8_0;

use crate::GgmlType;
use block::{dequantize_all, quantize_all};

/// Calls a macro with every quantized type that is read, and its block:
/// `for_each_quantized!(name: arguments)` becomes `name!((arguments) Q4_0 BlockQ4_0, Q4_1 BlockQ4_1, …)`.
///
/// The code for each type is generated from this list, here and in the executors. A type that is not on it can be
/// listed, but its tensors cannot be read.
#[macro_export]
macro_rules! for_each_quantized {
    ($name:ident: $($arguments:tt)*) => {
        $name! {
            ($($arguments)*)
            Q4_0 BlockQ4_0,
            Q4_1 BlockQ4_1,
            Q5_0 BlockQ5_0,
            Q5_1 BlockQ5_1,
            Q8_0 BlockQ8_0,
            Q2_K BlockQ2_K,
            Q3_K BlockQ3_K,
            Q4_K BlockQ4_K,
            Q5_K BlockQ5_K,
            Q6_K BlockQ6_K,
            IQ4_NL BlockIQ4_NL,
        }
    };
}

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
///
/// # Errors
/// If the type has no decoder, if `out` is not a whole number of blocks, or if `bytes` is not exactly as long as those
/// blocks.
pub fn dequantize(ty: GgmlType, bytes: &[u8], out: &mut [f32]) -> Result<(), DequantizeError> {
    let elements = out.len();
    if !ty.can_dequantize() {
        return Err(DequantizeError::Unsupported { ty });
    }
    let Some(expected) = ty.row_bytes(elements as u64) else {
        return Err(DequantizeError::PartialBlock { ty, elements, block: ty.block_elems() });
    };
    if expected != bytes.len() as u64 {
        return Err(DequantizeError::Length { ty, elements, expected, found: bytes.len() as u64 });
    }
    match ty {
        GgmlType::F32 => plain::dequantize_f32(bytes, out),
        GgmlType::F16 => plain::dequantize_f16(bytes, out),
        GgmlType::BF16 => plain::dequantize_bf16(bytes, out),
        _ => for_each_quantized!(dequantize_as: ty, bytes, out),
    }
    Ok(())
}

macro_rules! dequantize_as {
    (($ty:ident, $bytes:ident, $out:ident) $($name:ident $block:ident,)*) => {
        match $ty {
            $(GgmlType::$name => dequantize_all::<$block>($bytes, $out),)*
            ty => return Err(DequantizeError::Unsupported { ty }),
        }
    };
}
use dequantize_as;

/// Encodes `values` by simple rounding: the result is valid, but not the best that the format allows.
///
/// `None` if the type has no encoder or the values are not whole blocks. Types with a decoder have an encoder.
pub fn quantize(ty: GgmlType, values: &[f32]) -> Option<Vec<u8>> {
    ty.row_bytes(values.len() as u64)?;
    match ty {
        GgmlType::F32 => Some(plain::quantize_f32(values)),
        GgmlType::F16 => Some(plain::quantize_f16(values)),
        GgmlType::BF16 => Some(plain::quantize_bf16(values)),
        _ => for_each_quantized!(quantize_as: ty, values),
    }
}

macro_rules! quantize_as {
    (($ty:ident, $values:ident) $($name:ident $block:ident,)*) => {
        match $ty {
            $(GgmlType::$name => Some(quantize_all::<$block>($values)),)*
            _ => None,
        }
    };
}
use quantize_as;

#[cfg(test)]
mod tests {
    use super::*;

    /// Values distributed like weights, on a bell curve.
    fn sample(n: usize, seed: u64) -> Vec<f32> {
        let mut state = seed;
        let mut uniform = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
        };
        (0..n).map(|_| (0..6).map(|_| uniform()).sum::<f32>() * 0.05).collect()
    }

    fn nmse(expected: &[f32], actual: &[f32]) -> f64 {
        let error: f64 = expected.iter().zip(actual).map(|(e, a)| f64::from(e - a).powi(2)).sum();
        error / expected.iter().map(|&e| f64::from(e).powi(2)).sum::<f64>()
    }

    #[test]
    fn encoded_values_decode_to_nearly_themselves() {
        // Steps of s give noise of s² / 12. A group of 16 draws spans 3.5 σ on average and one of 32 spans 4.1 σ: in 3
        // steps (Q2_K) that is 0.116 σ², in 15 (Q4_K, with a rounded scale) 6e-3 σ²; each bit more divides by four.
        let limits = [
            (GgmlType::F32, 0.0),
            (GgmlType::F16, 1e-7),
            (GgmlType::BF16, 1e-5),
            (GgmlType::Q8_0, 6e-5),
            (GgmlType::Q6_K, 4e-4),
            (GgmlType::Q5_K, 1.5e-3),
            (GgmlType::Q5_1, 1.5e-3),
            (GgmlType::Q5_0, 2.5e-3),
            (GgmlType::Q4_K, 6e-3),
            (GgmlType::Q4_1, 6e-3),
            (GgmlType::Q4_0, 1e-2),
            (GgmlType::IQ4_NL, 1e-2),
            (GgmlType::Q3_K, 3e-2),
            (GgmlType::Q2_K, 1.2e-1),
        ];
        let values = sample(4096, 7);
        for (ty, limit) in limits {
            let bytes = quantize(ty, &values).unwrap();
            assert_eq!(bytes.len() as u64, ty.row_bytes(4096).unwrap());
            let mut back = vec![f32::NAN; 4096];
            dequantize(ty, &bytes, &mut back).unwrap();
            let error = nmse(&values, &back);
            assert!(error <= limit, "{ty}: {error:e} > {limit:e}");
        }
    }

    #[test]
    fn all_zero_and_constant_blocks_encode() {
        for ty in GgmlType::decodable() {
            for value in [0.0, -0.0, 1.5, -1.5] {
                let bytes = quantize(ty, &[value; 256]).unwrap();
                let mut back = [f32::NAN; 256];
                dequantize(ty, &bytes, &mut back).unwrap();
                for found in back {
                    assert!((found - value).abs() <= 0.01, "{ty}: {value} became {found}");
                }
            }
        }
    }

    #[test]
    fn every_decoder_has_an_encoder_and_no_other_type_has_either() {
        for &ty in GgmlType::ALL {
            assert_eq!(quantize(ty, &[0.0; 256]).is_some(), ty.can_dequantize(), "{ty}");
            let bytes = vec![0; ty.row_bytes(256).unwrap() as usize];
            assert_eq!(dequantize(ty, &bytes, &mut [0.0; 256]).is_ok(), ty.can_dequantize(), "{ty}");
        }
    }

    #[test]
    fn wrong_lengths_are_refused() {
        let mut out = [0.0; 64];
        assert_eq!(
            dequantize(GgmlType::Q4_0, &[0; 35], &mut out),
            Err(DequantizeError::Length { ty: GgmlType::Q4_0, elements: 64, expected: 36, found: 35 })
        );
        assert_eq!(
            dequantize(GgmlType::Q4_K, &[0; 144], &mut out),
            Err(DequantizeError::PartialBlock { ty: GgmlType::Q4_K, elements: 64, block: 256 })
        );
        assert_eq!(
            dequantize(GgmlType::Q8_K, &[0; 74], &mut out),
            Err(DequantizeError::Unsupported { ty: GgmlType::Q8_K })
        );
        assert_eq!(quantize(GgmlType::Q6_K, &[0.0; 255]), None);
        assert!(blocks::<BlockQ4_0>(&[0; 36]).is_some_and(|blocks| blocks.len() == 2));
        assert!(blocks::<BlockQ4_0>(&[0; 37]).is_none());
    }

    #[test]
    fn blocks_can_be_viewed_at_odd_addresses() {
        let bytes = quantize(GgmlType::Q6_K, &sample(512, 3)).unwrap();
        let mut shifted = vec![0; bytes.len() + 1];
        shifted[1..].copy_from_slice(&bytes);
        let (mut even, mut odd) = ([0.0; 512], [0.0; 512]);
        dequantize(GgmlType::Q6_K, &bytes, &mut even).unwrap();
        dequantize(GgmlType::Q6_K, &shifted[1..], &mut odd).unwrap();
        assert_eq!(even, odd);
    }
}
