//! Decoding rows of blocks to f32, for types whose plain decoder does not vectorise.

use chord_gguf::GgmlType;
use chord_gguf::quant::{BlockQ5_0, BlockQ5_1, BlockQ6_K, F16Le, blocks};

use super::f16::f16_to_f32;

/// Decodes a row, to the same values as [`chord_gguf::dequantize`].
pub(crate) fn decode_row(ty: GgmlType, bytes: &[u8], out: &mut [f32]) {
    match ty {
        GgmlType::F16 => {
            let (numbers, _) = bytes.as_chunks::<2>();
            out.iter_mut().zip(numbers).for_each(|(out, &n)| *out = f16_to_f32(u16::from_le_bytes(n)));
        }
        GgmlType::Q5_0 => {
            for (block, out) in whole::<BlockQ5_0>(bytes).iter().zip(out.as_chunks_mut::<32>().0) {
                let d = single(block.d);
                decode_five(&block.qs, block.qh, out, |q| d * (q - 16) as f32);
            }
        }
        GgmlType::Q5_1 => {
            for (block, out) in whole::<BlockQ5_1>(bytes).iter().zip(out.as_chunks_mut::<32>().0) {
                let (d, m) = (single(block.d), single(block.m));
                decode_five(&block.qs, block.qh, out, |q| d * q as f32 + m);
            }
        }
        GgmlType::Q6_K => {
            for (block, out) in whole::<BlockQ6_K>(bytes).iter().zip(out.as_chunks_mut::<256>().0) {
                decode_q6_k(block, out);
            }
        }
        _ => chord_gguf::dequantize(ty, bytes, out).expect("whole rows of a type that can be decoded"),
    }
}

fn whole<B: chord_gguf::quant::Block>(bytes: &[u8]) -> &[B] {
    blocks(bytes).expect("whole blocks")
}

#[inline(always)]
fn single(half: F16Le) -> f32 {
    f16_to_f32(u16::from_le_bytes(half.0))
}

/// For each byte, its bits from the lowest on, as 0 or 16.
const SPREAD: [[u8; 8]; 256] = {
    let mut table = [[0; 8]; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut bit = 0;
        while bit < 8 {
            table[byte][bit] = ((byte >> bit & 1) << 4) as u8;
            bit += 1;
        }
        byte += 1;
    }
    table
};

/// Four bits from `qs` and one from `qh` for each element.
#[inline(always)]
fn decode_five(qs: &[u8; 16], qh: [u8; 4], out: &mut [f32; 32], value: impl Fn(i32) -> f32) {
    let mut fifths = [0; 32];
    for (place, byte) in fifths.as_chunks_mut::<8>().0.iter_mut().zip(qh) {
        *place = SPREAD[byte as usize];
    }
    let (low, high) = out.split_at_mut(16);
    for ((out, q), fifth) in low.iter_mut().zip(qs).zip(&fifths[..16]) {
        *out = value(i32::from(q & 0x0f | fifth));
    }
    for ((out, q), fifth) in high.iter_mut().zip(qs).zip(&fifths[16..]) {
        *out = value(i32::from(q >> 4 | fifth));
    }
}

#[inline(always)]
fn decode_q6_k(block: &BlockQ6_K, out: &mut [f32; 256]) {
    let d = single(block.d);
    let halves = block.ql.as_chunks::<64>().0.iter().zip(block.qh.as_chunks::<32>().0);
    let scales = block.scales.as_chunks::<8>().0;
    for (((ql, qh), scales), out) in halves.zip(scales).zip(out.as_chunks_mut::<128>().0) {
        let (ql_a, ql_b) = ql.split_at(32);
        quarter::<0, 0>(d, ql_a, qh, scales, &mut out[..32]);
        quarter::<1, 0>(d, ql_b, qh, scales, &mut out[32..64]);
        quarter::<2, 4>(d, ql_a, qh, scales, &mut out[64..96]);
        quarter::<3, 4>(d, ql_b, qh, scales, &mut out[96..]);
    }
}

/// 32 elements: four bits of `ql` from bit `LOW` on, two of `qh`, and a scale for each 16.
#[inline(always)]
fn quarter<const QUARTER: usize, const LOW: u32>(d: f32, ql: &[u8], qh: &[u8; 32], scales: &[i8; 8], out: &mut [f32]) {
    for part in 0..2 {
        let scale = d * f32::from(scales[2 * QUARTER + part]);
        let at = part * 16..part * 16 + 16;
        for ((out, l), h) in out[at.clone()].iter_mut().zip(&ql[at.clone()]).zip(&qh[at]) {
            let q = (l >> LOW & 0x0f) | (h >> (2 * QUARTER) & 3) << 4;
            *out = scale * (i32::from(q) - 32) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_to_the_plain_decoders_bits() {
        let mut state = 1u32;
        let values: Vec<f32> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        })
        .take(2048)
        .collect();
        for ty in [GgmlType::F16, GgmlType::Q5_0, GgmlType::Q5_1, GgmlType::Q6_K, GgmlType::Q4_K] {
            let bytes = chord_gguf::quantize(ty, &values).unwrap();
            let (mut expected, mut found) = (vec![0.0; 2048], vec![f32::NAN; 2048]);
            chord_gguf::dequantize(ty, &bytes, &mut expected).unwrap();
            decode_row(ty, &bytes, &mut found);
            assert!(expected.iter().zip(&found).all(|(e, f)| e.to_bits() == f.to_bits()), "{ty}");
        }
    }
}
