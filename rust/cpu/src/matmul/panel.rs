//! How rounded activations are stored: in panels of tokens, with a record for each 32 columns.

/// Columns that share a scale.
pub(crate) const BLOCK: usize = 32;

/// Blocks of a KC chunk: what is unpacked at a time.
pub(crate) const CHUNK: usize = 8;

/// Bits of a low byte.
pub(crate) const BYTE_BITS: u32 = 8;

/// What products need to know of 32 activations of a token.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(crate) struct Record {
    pub(crate) scale: f32,
    /// That scale times the sum of all codes, of the first 16 and of the last 16.
    pub(crate) sums: [f32; 3],
    /// For the same columns, two negated sums of 16 bits each: in the lower half of the first two of every four codes,
    /// in the upper half of the last two. They are meant for codes of one byte.
    pub(crate) neg_sums: [u32; 3],
}

/// How the bytes of codes are stored.
#[derive(Clone, Copy)]
pub(super) enum ByteLayout {
    /// One byte for each code.
    OneByte,
    /// The high bytes of all tokens, `plane` of them, and then the low bytes.
    TwoPlanes { plane: usize },
    /// Numbers of 16 bits.
    I16,
}

impl ByteLayout {
    /// Bytes of a code in its plane.
    #[inline(always)]
    pub(super) fn size(self) -> usize {
        if let ByteLayout::I16 = self { 2 } else { 1 }
    }
}

/// Rounded activations of the tokens in a panel, from some block on.
#[derive(Clone, Copy)]
pub(crate) struct Panel {
    pub(super) codes: *const i8,
    pub(super) records: *const Record,
    pub(super) layout: ByteLayout,
}

impl Panel {
    /// The block after `n` others, counting the blocks of all tokens.
    #[inline(always)]
    pub(crate) unsafe fn block(&self, n: usize) -> Panel {
        // SAFETY: the caller promises that there are so many blocks.
        unsafe {
            Panel { codes: self.codes.add(n * BLOCK * self.layout.size()), records: self.records.add(n), ..*self }
        }
    }

    /// Whether codes are numbers of 16 bits.
    #[inline(always)]
    pub(crate) fn is_16_bit(&self) -> bool {
        matches!(self.layout, ByteLayout::I16)
    }

    /// Planes of codes: two where the high and the low bytes are apart.
    #[inline(always)]
    pub(crate) fn n_planes(&self) -> usize {
        if let ByteLayout::TwoPlanes { .. } = self.layout { 2 } else { 1 }
    }

    /// Codes of plane `index`, which is below [`Panel::n_planes`].
    #[inline(always)]
    pub(crate) fn plane(&self, index: usize) -> *const i8 {
        if let ByteLayout::TwoPlanes { plane } = self.layout {
            self.codes.wrapping_add(index * plane)
        } else {
            self.codes
        }
    }

    /// The record of the first block of token `t`.
    #[inline(always)]
    pub(crate) unsafe fn record(&self, t: usize) -> &Record {
        // SAFETY: the caller promises that the panel has this token.
        unsafe { &*self.records.add(t) }
    }
}

/// How many blocks of a panel's width are before block `block` of panel `panel`. The panels of a chunk follow each
/// other, as they are multiplied with the same weights.
#[inline(always)]
pub(crate) fn blocks_before(panel: usize, block: usize, n_panels: usize, n_blocks: usize) -> usize {
    let first = block / CHUNK * CHUNK;
    let in_chunk = CHUNK.min(n_blocks - first);
    first * n_panels + panel * in_chunk + block - first
}
