//! The bytes of a tensor: hashes of their place in the file, with scales that give a row unit gain.

use chord_gguf::GgmlType;
use half::f16;

/// Fills `out` with the bytes from `at` (in the file) on, of a tensor of rows of `cols` that begins at `start`.
pub(super) fn fill(ty: GgmlType, cols: u64, start: u64, at: u64, out: &mut [u8]) {
    if ty == GgmlType::F32 {
        // Norms.
        return repeat(&1f32.to_le_bytes(), start, at, out);
    }
    noise(at, out);
    let gain = 1.0 / (cols as f32).sqrt();
    match ty {
        GgmlType::Q8_0 => {
            // The one code that quantizers never write.
            out.iter_mut().for_each(|byte| *byte = byte.wrapping_add(u8::from(*byte == 0x80)));
            scales(gain / rms(-127..=127), 34, start, at, out);
        }
        GgmlType::Q4_0 => scales(gain / rms(-8..=7), 18, start, at, out),
        GgmlType::F16 => {
            // The sign and the fraction are noise, the exponent is the row's.
            // Numbers from 1 to 2 have a root mean square of 1.53; their gain is met within a factor of the root of 2.
            let bits = f16::from_f32(gain / 1.53 * std::f32::consts::SQRT_2).to_bits() & 0x7c00;
            for (byte, place) in out.iter_mut().zip(at - start..) {
                *byte = if place % 2 == 0 { *byte } else { *byte & 0x83 | (bits >> 8) as u8 };
            }
        }
        other => panic!("{other} is not made here"),
    }
}

/// Root of the mean square of equally frequent codes.
fn rms(codes: std::ops::RangeInclusive<i32>) -> f32 {
    let n = codes.clone().count() as f32;
    (codes.map(|code| (code * code) as f32).sum::<f32>() / n).sqrt()
}

/// Writes `scale` as f16 at the start of every block of `block` bytes.
fn scales(scale: f32, block: u64, start: u64, at: u64, out: &mut [u8]) {
    let scale = f16::from_f32(scale).to_le_bytes();
    let phase = (at - start) % block;
    if phase == 1
        && let Some(first) = out.first_mut()
    {
        *first = scale[1];
    }
    let mut next = ((block - phase) % block) as usize;
    while next < out.len() {
        let n = 2.min(out.len() - next);
        out[next..next + n].copy_from_slice(&scale[..n]);
        next += block as usize;
    }
}

/// `pattern` again and again from `start` on.
fn repeat(pattern: &[u8; 4], start: u64, at: u64, out: &mut [u8]) {
    for (byte, place) in out.iter_mut().zip(at - start..) {
        *byte = pattern[(place % 4) as usize];
    }
}

/// Byte `i` of the file is a byte of the hash of `i / 8`.
fn noise(at: u64, out: &mut [u8]) {
    let head = ((8 - at % 8) % 8).min(out.len() as u64) as usize;
    let (first, rest) = out.split_at_mut(head);
    for (byte, place) in first.iter_mut().zip(at..) {
        *byte = hash(place / 8).to_le_bytes()[(place % 8) as usize];
    }
    let from = (at + head as u64) / 8;
    let (words, tail) = rest.as_chunks_mut::<8>();
    let after = from + words.len() as u64;
    words.iter_mut().zip(from..).for_each(|(word, index)| *word = hash(index).to_le_bytes());
    let n = tail.len();
    tail.copy_from_slice(&hash(after).to_le_bytes()[..n]);
}

/// The mixing step of SplitMix64 (Steele, Lea and Flood, 2014).
fn hash(index: u64) -> u64 {
    let z = index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
