//! From the file's blocks to the planes of [`Layout`], row by row. Only bits move; nothing is rounded.

use chord_gguf::GgmlType;

use super::Layout;

/// Appends the `quants` plane of whole rows.
pub(super) fn push_quants(layout: &Layout, rows: &[u8], out: &mut Vec<u8>) {
    match layout.ty {
        GgmlType::Q4_0 => push_blocks::<18>(rows, out, |block, out| out.extend(&block[2..])),
        GgmlType::Q4_1 => push_blocks::<20>(rows, out, |block, out| out.extend(&block[4..])),
        GgmlType::Q5_0 => push_blocks::<22>(rows, out, |block, out| out.extend(&block[6..])),
        GgmlType::Q5_1 => push_blocks::<24>(rows, out, |block, out| out.extend(&block[8..])),
        GgmlType::Q8_0 => push_blocks::<34>(rows, out, |block, out| out.extend(&block[2..])),
        GgmlType::Q6_K => push_blocks::<210>(rows, out, |block, out| out.extend(&block[..192])),
        _ => {
            let padding = (layout.quant_bytes - layout.file_bytes) as usize;
            for row in rows.chunks_exact(layout.file_bytes as usize) {
                out.extend(row);
                out.resize(out.len() + padding, 0);
            }
        }
    }
}

/// Appends the `scales` plane of whole rows: nothing for types without one.
pub(super) fn push_scales(layout: &Layout, rows: &[u8], out: &mut Vec<u8>) {
    if layout.scale_bytes == 0 {
        return;
    }
    for row in rows.chunks_exact(layout.file_bytes as usize) {
        match layout.ty {
            GgmlType::Q4_0 => push_blocks::<18>(row, out, |block, out| out.extend(&block[..2])),
            GgmlType::Q4_1 => push_blocks::<20>(row, out, |block, out| out.extend(&block[..4])),
            GgmlType::Q5_0 => {
                push_blocks::<22>(row, out, |block, out| out.extend(fifth_bits(&block[2..6])));
                push_blocks::<22>(row, out, |block, out| out.extend(&block[..2]));
            }
            GgmlType::Q5_1 => {
                push_blocks::<24>(row, out, |block, out| out.extend(fifth_bits(&block[4..8])));
                push_blocks::<24>(row, out, |block, out| out.extend(&block[..4]));
            }
            GgmlType::Q8_0 => push_blocks::<34>(row, out, |block, out| out.extend(&block[..2])),
            GgmlType::Q6_K => {
                push_blocks::<210>(row, out, |block, out| {
                    out.extend(SCALES_OF_UNITS.map(|group| block[192 + group]));
                });
                push_blocks::<210>(row, out, |block, out| out.extend(&block[208..]));
            }
            _ => unreachable!("{} has no scales of its own", layout.ty),
        }
        // An odd number of f16 leaves half a word.
        out.resize(out.len().next_multiple_of(4), 0);
    }
}

/// Groups of a Q6_K block in the order of its units, two groups a unit: see `shaders/quant/q6_k.wgsl`.
const SCALES_OF_UNITS: [usize; 16] = [0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15];

fn push_blocks<const BYTES: usize>(rows: &[u8], out: &mut Vec<u8>, push: impl Fn(&[u8; BYTES], &mut Vec<u8>)) {
    for block in rows.as_chunks::<BYTES>().0 {
        push(block, out);
    }
}

/// Moves the fifth bit of element `4j + l` of a Q5 block from bit `4j + l` to bit `8l + j`: see
/// `shaders/quant/fifth_bits.wgsl`.
fn fifth_bits(bytes: &[u8]) -> [u8; 4] {
    let bits = bytes.iter().rev().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte));
    std::array::from_fn(|l| (0..8).fold(0, |byte, j| byte | ((bits >> (4 * j + l) & 1) as u8) << j))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fifth_bits_go_to_the_byte_of_their_lane() {
        for element in 0..32u32 {
            let (j, l) = (element / 4, element % 4);
            assert_eq!(u32::from_le_bytes(fifth_bits(&(1u32 << element).to_le_bytes())), 1 << (8 * l + j));
        }
    }

    #[test]
    fn no_bit_is_lost() {
        let types = [GgmlType::Q4_0, GgmlType::Q4_1, GgmlType::Q5_0, GgmlType::Q5_1, GgmlType::Q8_0, GgmlType::Q6_K];
        for ty in types {
            let layout = Layout::new(ty, 3 * 256).unwrap();
            let rows: Vec<u8> = (0..2 * layout.file_bytes).map(|i| (i * 37 + i / 256) as u8).collect();
            let (mut quants, mut scales) = (Vec::new(), Vec::new());
            push_quants(&layout, &rows, &mut quants);
            push_scales(&layout, &rows, &mut scales);
            assert_eq!(quants.len() as u64, 2 * layout.quant_bytes, "{ty}");
            assert_eq!(scales.len() as u64, 2 * layout.scale_bytes, "{ty}");
            let ones = |bytes: &[u8]| bytes.iter().map(|b| b.count_ones()).sum::<u32>();
            assert_eq!(ones(&quants) + ones(&scales), ones(&rows), "{ty}");
        }
    }

    #[test]
    fn floats_are_padded_with_zeros_to_whole_units() {
        let layout = Layout::new(GgmlType::F16, 33).unwrap();
        let mut quants = Vec::new();
        push_quants(&layout, &[0xff; 66 * 2], &mut quants);
        assert_eq!(quants.len(), 256);
        assert!(quants[..66].iter().all(|b| *b == 0xff) && quants[66..128].iter().all(|b| *b == 0));
        assert!(quants[128..194].iter().all(|b| *b == 0xff));
    }
}
