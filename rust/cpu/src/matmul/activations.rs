//! The other factor of products: activations, rounded to codes of one byte or two, or unchanged.

use std::ops::Range;

use super::dispatch::{Kernels, kernels};
use super::panel::{BLOCK, ByteLayout, Panel, Record};
use super::rounding::TokenSlot;
use super::selection::{RowSelection, SelectedRows};
use crate::simd::InstructionSet;

/// Activations of some tokens, in the order that products read them.
///
/// Tokens are in panels of as many as a product multiplies at a time. In a panel of codes, four columns of each token
/// follow the same four of the token before; in a panel of unchanged values, it is one column of each. The last panel
/// is padded with zeros; a single token is a panel of one. Codes of 256 columns of all panels come before those of the
/// next 256. Buffers are kept between uses and only grow.
///
/// Each 32 neighbouring columns are rounded to −127 … 127: where the largest magnitude is `m`, the code of `x` is
/// `x · (127 / m)`, rounded half to even, and the scale is `m / 127`. A block with an infinity or a NaN has NaN as its
/// scale, so that every product with it is NaN. Where codes have two bytes, this is the high byte, and the low byte is
/// the rest in 256ths, at most ±127 of them: the code is `256 · high + low`, its scale `m / 127 / 256`. The low bytes
/// of all codes are stored after the high bytes. Where an instruction set multiplies numbers of 16 bits, codes are such
/// numbers instead: of every four columns, the first and the third of all tokens in the panel come before the second
/// and the fourth.
pub struct Activations {
    kernels: &'static Kernels,
    code_bytes: usize,
    selection: RowSelection,
    cols: usize,
    has_codes: bool,
    has_values: bool,
    codes: Vec<i8>,
    records: Vec<Record>,
    values: Vec<f32>,
}

impl Activations {
    /// Empty buffers, for codes of one byte.
    pub fn new(isa: InstructionSet) -> Self {
        Self::with_bytes(isa, 1)
    }

    /// Empty buffers, for codes of one byte or of two.
    pub fn with_bytes(isa: InstructionSet, bytes: usize) -> Self {
        assert!((1..=2).contains(&bytes), "{bytes} bytes");
        Activations {
            kernels: kernels(isa),
            code_bytes: bytes,
            selection: RowSelection::default(),
            cols: 0,
            has_codes: false,
            has_values: false,
            codes: Vec::new(),
            records: Vec::new(),
            values: Vec::new(),
        }
    }

    /// Takes `x`, `[n_tokens, cols]`, as codes. `cols` is a multiple of 32.
    pub fn quantize(&mut self, x: &[f32], n_tokens: usize, cols: usize) {
        self.fill(x, n_tokens, cols, true, false);
    }

    /// Takes `x`, `[n_tokens, cols]`, unchanged.
    pub fn keep(&mut self, x: &[f32], n_tokens: usize, cols: usize) {
        self.fill(x, n_tokens, cols, false, true);
    }

    /// Takes `x`, `[n_tokens, cols]`, as codes, unchanged, or both: see [`Activations::quantize`] and
    /// [`Activations::keep`].
    pub fn fill(&mut self, x: &[f32], n_tokens: usize, cols: usize, as_codes: bool, as_values: bool) {
        assert_eq!(x.len(), n_tokens * cols, "activations are [{n_tokens}, {cols}]");
        let filler = self.prepare(0..n_tokens, 1, cols, as_codes, as_values);
        // SAFETY: `x` has the shape, and no other thread fills.
        unsafe { filler.fill(x.as_ptr(), 0..filler.n_panels()) };
    }

    /// Makes room for the rows of `cols` columns from which `rows` of a result are made; `rows_per_input` neighbouring
    /// rows of the result share one. The returned filler fills the room, on several threads if wanted.
    pub fn prepare(
        &mut self,
        rows: impl IntoIterator<Item = usize>,
        rows_per_input: usize,
        cols: usize,
        as_codes: bool,
        as_values: bool,
    ) -> Filler {
        assert!(!as_codes || cols.is_multiple_of(BLOCK), "{cols} columns are not blocks of {BLOCK}");
        self.selection.select(rows, rows_per_input);
        (self.cols, self.has_codes, self.has_values) = (cols, as_codes, as_values);
        let elements = self.plane();
        if as_codes && self.codes.len() < elements * self.code_bytes {
            self.codes.resize(elements * self.code_bytes, 0);
            self.records.resize(elements / BLOCK, Record::default());
        }
        if as_values && self.values.len() < elements {
            self.values.resize(elements, 0.0);
        }
        Filler {
            kernels: self.kernels,
            rows: self.selection.rows(),
            cols,
            layout: self.layout(),
            codes: if as_codes { self.codes.as_mut_ptr() } else { std::ptr::null_mut() },
            records: self.records.as_mut_ptr(),
            values: if as_values { self.values.as_mut_ptr() } else { std::ptr::null_mut() },
        }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.selection.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.selection.is_empty()
    }

    /// The rows, and where their products go.
    pub(crate) fn rows(&self) -> SelectedRows {
        self.selection.rows()
    }

    /// Number of columns.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Bytes held.
    pub fn bytes(&self) -> u64 {
        (self.codes.capacity() + self.records.capacity() * size_of::<Record>() + self.values.capacity() * 4) as u64
    }

    fn panel_tokens(&self) -> usize {
        panel_tokens(self.kernels, self.len())
    }

    pub(crate) fn isa(&self) -> InstructionSet {
        self.kernels.isa
    }

    /// Number of elements of all tokens, padding included.
    fn plane(&self) -> usize {
        self.len().div_ceil(self.panel_tokens()) * self.panel_tokens() * self.cols
    }

    fn layout(&self) -> ByteLayout {
        match self.code_bytes {
            1 => ByteLayout::OneByte,
            _ if self.len() >= self.kernels.dot16_from => ByteLayout::I16,
            _ => ByteLayout::TwoPlanes { plane: self.plane() },
        }
    }

    /// Whether they were last filled with codes.
    pub(crate) fn has_codes(&self) -> bool {
        self.has_codes
    }

    /// Whether they were last filled with unchanged values.
    pub(crate) fn has_values(&self) -> bool {
        self.has_values
    }

    /// The first panel of codes; to be read only if there are any.
    pub(crate) fn panel(&self) -> Panel {
        Panel { codes: self.codes.as_ptr(), records: self.records.as_ptr(), layout: self.layout() }
    }

    /// Values, to be read only if there are any.
    pub(crate) fn values(&self) -> *const f32 {
        self.values.as_ptr()
    }
}

fn panel_tokens(kernels: &Kernels, n_tokens: usize) -> usize {
    if n_tokens == 1 { 1 } else { kernels.panel_tokens }
}

/// Fills [`Activations`], panel by panel. It points into them: they must neither move nor be used before all panels are
/// filled.
#[derive(Clone, Copy)]
pub struct Filler {
    kernels: &'static Kernels,
    rows: SelectedRows,
    cols: usize,
    layout: ByteLayout,
    codes: *mut i8,
    records: *mut Record,
    values: *mut f32,
}

// SAFETY: the pointers are used by `fill` alone, whose callers keep panels apart.
unsafe impl Send for Filler {}
// SAFETY: as above.
unsafe impl Sync for Filler {}

impl Filler {
    /// Number of panels.
    pub fn n_panels(&self) -> usize {
        self.rows.len().div_ceil(panel_tokens(self.kernels, self.rows.len()))
    }

    /// Fills some panels from the rows of a matrix.
    ///
    /// # Safety
    /// `x` points to a matrix of `cols` columns that has all requested rows, the activations are alive and unused, and
    /// no other thread fills any of these panels.
    pub unsafe fn fill(&self, x: *const f32, panels: Range<usize>) {
        let width = panel_tokens(self.kernels, self.rows.len());
        for panel in panels {
            let first = panel * width;
            for t in 0..width {
                let token = first + t;
                let real = token < self.rows.len();
                // SAFETY: the caller's promise, and buffers have room for whole panels.
                unsafe {
                    let row = if real { x.add(self.rows.input(token) * self.cols) } else { std::ptr::null() };
                    if !self.codes.is_null() {
                        let slot = TokenSlot {
                            codes: self.codes.add(4 * t),
                            records: self.records.add(t),
                            width,
                            panel,
                            n_panels: self.n_panels(),
                            n_blocks: self.cols / BLOCK,
                            layout: self.layout,
                        };
                        if real {
                            (self.kernels.quantize)(row, self.cols, &slot);
                        } else {
                            slot.write_zeros();
                        }
                    }
                    if !self.values.is_null() {
                        let values = self.values.add(first * self.cols + t);
                        for k in 0..self.cols {
                            *values.add(k * width) = if real { *row.add(k) } else { 0.0 };
                        }
                    }
                }
            }
        }
    }
}
