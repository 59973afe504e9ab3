//! Plain numbers: F32, F16 and BF16, little-endian.

use half::{bf16, f16};

pub(super) fn dequantize_f32(bytes: &[u8], out: &mut [f32]) {
    for (bytes, out) in bytes.chunks_exact(4).zip(out) {
        *out = f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    }
}

pub(super) fn dequantize_f16(bytes: &[u8], out: &mut [f32]) {
    for (bytes, out) in bytes.chunks_exact(2).zip(out) {
        *out = f16::from_le_bytes([bytes[0], bytes[1]]).to_f32();
    }
}

pub(super) fn dequantize_bf16(bytes: &[u8], out: &mut [f32]) {
    for (bytes, out) in bytes.chunks_exact(2).zip(out) {
        *out = f32::from_bits(u32::from(u16::from_le_bytes([bytes[0], bytes[1]])) << 16);
    }
}

pub(super) fn quantize_f32(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

pub(super) fn quantize_f16(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|&v| f16::from_f32(v).to_le_bytes()).collect()
}

pub(super) fn quantize_bf16(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|&v| bf16::from_f32(v).to_le_bytes()).collect()
}
