//! How rows of each storage type lie on the device. The readers of these layouts are the files of `shaders/quant`.

use chord_gguf::GgmlType;

/// Weights that a kernel takes at once.
pub(crate) const UNIT: u32 = 32;

/// A row on the device: one piece in the plane `quants`, read as `vec4<u32>`, and one in the plane `scales`, read as
/// `u32`. Block sizes that are not a multiple of 16 bytes are taken apart so that both planes are aligned; the sum stays
/// the file's, but for two bytes in rows with an odd number of blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Layout {
    /// Storage type.
    pub ty: GgmlType,
    /// Columns.
    pub cols: u32,
    /// Bytes of a row in the file.
    pub file_bytes: u64,
    /// Bytes of a row in `quants`, a multiple of 16.
    pub quant_bytes: u64,
    /// Bytes of a row in `scales`, a multiple of 4; 0 for types without that plane.
    pub scale_bytes: u64,
}

impl Layout {
    /// The layout of rows of `cols` columns; none for types without a kernel, and for rows of broken blocks.
    pub fn new(ty: GgmlType, cols: u32) -> Option<Self> {
        let file_bytes = ty.row_bytes(u64::from(cols)).filter(|bytes| *bytes > 0)?;
        let blocks = u64::from(cols) / ty.block_elems();
        let halves = (2 * blocks).next_multiple_of(4);
        let (quant_bytes, scale_bytes) = match ty {
            // Rows of plain numbers are padded with zeros to whole units.
            GgmlType::F32 => (u64::from(cols.next_multiple_of(UNIT)) * 4, 0),
            GgmlType::F16 | GgmlType::BF16 => (u64::from(cols.next_multiple_of(UNIT)) * 2, 0),
            GgmlType::Q4_0 => (16 * blocks, halves),
            GgmlType::Q4_1 => (16 * blocks, 4 * blocks),
            GgmlType::Q5_0 => (16 * blocks, 4 * blocks + halves),
            GgmlType::Q5_1 => (16 * blocks, 8 * blocks),
            GgmlType::Q8_0 => (32 * blocks, halves),
            GgmlType::Q4_K | GgmlType::Q5_K => (file_bytes, 0),
            GgmlType::Q6_K => (192 * blocks, 16 * blocks + halves),
            _ => return None,
        };
        Some(Layout { ty, cols, file_bytes, quant_bytes, scale_bytes })
    }

    /// Bytes of a row in both planes.
    pub fn row_bytes(&self) -> u64 {
        self.quant_bytes + self.scale_bytes
    }

    /// Units in a row.
    pub fn units(&self) -> u32 {
        self.cols.div_ceil(UNIT)
    }

    /// Words of a row in `scales`.
    pub fn scale_words(&self) -> u32 {
        (self.scale_bytes / 4) as u32
    }

    /// True if the last unit of a row is not full: its columns are read and written one by one.
    pub fn is_ragged(&self) -> bool {
        !self.cols.is_multiple_of(UNIT)
    }

    /// True if the bytes on the device are the file's.
    pub fn is_verbatim(&self) -> bool {
        self.scale_bytes == 0 && self.quant_bytes == self.file_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) const TYPES: [GgmlType; 11] = [
        GgmlType::F32,
        GgmlType::F16,
        GgmlType::BF16,
        GgmlType::Q4_0,
        GgmlType::Q4_1,
        GgmlType::Q5_0,
        GgmlType::Q5_1,
        GgmlType::Q8_0,
        GgmlType::Q4_K,
        GgmlType::Q5_K,
        GgmlType::Q6_K,
    ];

    #[test]
    fn rows_take_no_more_room_than_in_the_file() {
        for ty in TYPES {
            for cols in [512, 2048, 14336, 4096] {
                let layout = Layout::new(ty, cols).unwrap();
                assert_eq!(layout.row_bytes(), layout.file_bytes, "{ty} of {cols}");
            }
        }
    }

    #[test]
    fn an_odd_number_of_blocks_costs_two_bytes() {
        for (ty, cols) in [(GgmlType::Q4_0, 33 * 32), (GgmlType::Q8_0, 33 * 32), (GgmlType::Q6_K, 9 * 256)] {
            let layout = Layout::new(ty, cols).unwrap();
            assert_eq!(layout.row_bytes(), layout.file_bytes + 2, "{ty}");
        }
    }

    #[test]
    fn planes_are_aligned_for_their_loads() {
        for ty in TYPES {
            for blocks in 1..40 {
                let layout = Layout::new(ty, blocks * ty.block_elems() as u32).unwrap();
                assert!(layout.quant_bytes.is_multiple_of(16) && layout.scale_bytes.is_multiple_of(4), "{layout:?}");
            }
        }
    }

    #[test]
    fn broken_blocks_and_types_without_a_kernel_have_no_layout() {
        assert_eq!(Layout::new(GgmlType::Q4_K, 576), None);
        assert_eq!(Layout::new(GgmlType::Q4_0, 33), None);
        assert_eq!(Layout::new(GgmlType::Q2_K, 256), None);
        assert_eq!(Layout::new(GgmlType::F32, 0), None);
    }
}
