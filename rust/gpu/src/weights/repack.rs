//! From the file's blocks to the planes of [`Layout`], row by row. Only bits move; nothing is rounded.

use super::Layout;
use super::planes::planes;

/// Appends the `codes` plane of whole rows.
pub(super) fn push_codes(layout: &Layout, rows: &[u8], out: &mut Vec<u8>) {
    match planes(layout.ty) {
        Some(planes) if !layout.is_verbatim() => {
            for block in rows.chunks_exact(layout.ty.block_bytes() as usize) {
                planes.codes.push(block, out);
            }
        }
        _ => {
            let padding = (layout.code_bytes - layout.file_bytes) as usize;
            for row in rows.chunks_exact(layout.file_bytes as usize) {
                out.extend(row);
                out.resize(out.len() + padding, 0);
            }
        }
    }
}

/// Appends the `scales` plane of whole rows: nothing for types without one.
pub(super) fn push_scales(layout: &Layout, rows: &[u8], out: &mut Vec<u8>) {
    let Some(planes) = planes(layout.ty).filter(|planes| !planes.scales.is_empty()) else { return };
    for row in rows.chunks_exact(layout.file_bytes as usize) {
        for part in planes.scales {
            for block in row.chunks_exact(layout.ty.block_bytes() as usize) {
                part.push(block, out);
            }
        }
        // An odd number of f16 leaves half a word.
        out.resize(out.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use chord_gguf::GgmlType;

    use super::*;

    #[test]
    fn no_bit_is_lost() {
        for ty in super::super::types().filter(|ty| ty.is_quantized()) {
            let layout = Layout::new(ty, 3 * 256).unwrap();
            let rows: Vec<u8> = (0..2 * layout.file_bytes).map(|i| (i * 37 + i / 256) as u8).collect();
            let (mut codes, mut scales) = (Vec::new(), Vec::new());
            push_codes(&layout, &rows, &mut codes);
            push_scales(&layout, &rows, &mut scales);
            assert_eq!(codes.len() as u64, 2 * layout.code_bytes, "{ty}");
            assert_eq!(scales.len() as u64, 2 * layout.scale_bytes, "{ty}");
            let ones = |bytes: &[u8]| bytes.iter().map(|b| b.count_ones()).sum::<u32>();
            assert_eq!(ones(&codes) + ones(&scales), ones(&rows), "{ty}");
        }
    }

    #[test]
    fn floats_are_padded_with_zeros_to_whole_units() {
        let layout = Layout::new(GgmlType::F16, 33).unwrap();
        let mut codes = Vec::new();
        push_codes(&layout, &[0xff; 66 * 2], &mut codes);
        assert_eq!(codes.len(), 256);
        assert!(codes[..66].iter().all(|b| *b == 0xff) && codes[66..128].iter().all(|b| *b == 0));
        assert!(codes[128..194].iter().all(|b| *b == 0xff));
    }
}
