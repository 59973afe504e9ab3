//! How rows of each block type lie on the device: see [`planes`](super::planes).

use chord_gguf::GgmlType;

use super::planes::planes;

/// Weights that a kernel takes at once.
pub(crate) const UNIT: u32 = 32;

/// A row on the device: one piece in the plane `codes` and one in the plane `scales`. Together they have as many bytes
/// as in the file, but for padding: two bytes after an odd number of f16 scales, and zeros after ragged rows of floats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Layout {
    /// Block type.
    pub ty: GgmlType,
    /// Columns.
    pub cols: u32,
    /// Bytes of a row in the file.
    pub file_bytes: u64,
    /// Bytes of a row in `codes`, a multiple of 16.
    pub code_bytes: u64,
    /// Bytes of a row in `scales`, a multiple of 4; 0 for types without that plane.
    pub scale_bytes: u64,
}

impl Layout {
    /// The layout of rows of `cols` columns; none for types without a kernel and for rows that end within a block.
    pub fn new(ty: GgmlType, cols: u32) -> Option<Self> {
        let file_bytes = ty.row_bytes(u64::from(cols)).filter(|bytes| *bytes > 0)?;
        let blocks = u64::from(cols) / ty.block_elems();
        // Rows of plain numbers are padded with zeros to whole units.
        let (code_bytes, scale_bytes) = if GgmlType::FLOATS.contains(&ty) {
            (u64::from(cols.next_multiple_of(UNIT)) * ty.block_bytes(), 0)
        } else {
            let planes = planes(ty)?;
            let scales: usize = planes.scales.iter().map(|part| part.len()).sum();
            (blocks * planes.codes.len() as u64, (blocks * scales as u64).next_multiple_of(4))
        };
        Some(Layout { ty, cols, file_bytes, code_bytes, scale_bytes })
    }

    /// Bytes of a row in both planes.
    pub fn row_bytes(&self) -> u64 {
        self.code_bytes + self.scale_bytes
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
        self.scale_bytes == 0 && self.code_bytes == self.file_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::super::types;
    use super::*;

    #[test]
    fn rows_take_no_more_room_than_in_the_file() {
        for ty in types() {
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
        for ty in types() {
            for blocks in 1..40 {
                let layout = Layout::new(ty, blocks * ty.block_elems() as u32).unwrap();
                assert!(layout.code_bytes.is_multiple_of(16) && layout.scale_bytes.is_multiple_of(4), "{layout:?}");
            }
        }
    }

    #[test]
    fn partial_blocks_and_types_without_a_kernel_have_no_layout() {
        assert_eq!(Layout::new(GgmlType::Q4_K, 576), None);
        assert_eq!(Layout::new(GgmlType::Q4_0, 33), None);
        assert_eq!(Layout::new(GgmlType::Q2_K, 256), None);
        assert_eq!(Layout::new(GgmlType::F32, 0), None);
    }
}
