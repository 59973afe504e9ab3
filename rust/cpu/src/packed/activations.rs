//! The other factor of products: activations, quantized to eight bits or as they are.

use std::ops::Range;

use super::dispatch::{Kernels, kernels};
use super::rounding::Place;
use super::scales::CHUNK;
use crate::simd::InstructionSet;

/// Columns that share a scale.
pub(crate) const BLOCK: usize = 32;

/// What products need to know of 32 activations of a token.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(crate) struct Record {
    pub(crate) scale: f32,
    /// That scale times the sum of all codes, of the first 16 and of the last 16.
    pub(crate) sums: [f32; 3],
    /// Of the same columns two sums of 16 bits, negative ones: of the first two of each four codes, and above it of the
    /// last two. Only where codes have one digit.
    pub(crate) less: [u32; 3],
}

/// Rows of a matrix that are taken as tokens: `n` from `start` on, and of these from the one at `gap_at` on those that come
/// `gap` later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TakenRows {
    n: usize,
    start: usize,
    gap_at: usize,
    gap: usize,
}

impl TakenRows {
    /// Neighbours.
    pub fn of(rows: Range<usize>) -> Self {
        TakenRows { n: rows.len(), start: rows.start, gap_at: 0, gap: 0 }
    }

    /// The first `n` but those in `gap`.
    pub fn without(n: usize, gap: Range<usize>) -> Self {
        TakenRows { n: n - gap.len(), start: 0, gap_at: gap.start, gap: gap.len() }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.n
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.n == 0
    }

    /// The row of a token.
    #[inline(always)]
    pub(crate) fn row(&self, token: usize) -> usize {
        self.start + token + if token >= self.gap_at { self.gap } else { 0 }
    }
}

/// Bits of a second digit.
pub(crate) const DIGIT_BITS: u32 = 8;

/// Activations of some tokens, in the order that products read them.
///
/// Tokens lie in panels of as many as a product takes at a time, four columns of each token after four columns of the
/// one before; the last panel is filled up with zeros. One token alone is a panel of one. Of codes, 256 columns of all
/// panels come before the next 256. Buffers are kept between uses and only grow.
///
/// Each 32 neighbouring columns are quantized to −127 … 127: where the largest magnitude is `m`, the code of `x` is
/// `x · (127 / m)`, rounded half to even, and the scale is `m / 127`. A block with an infinity or a NaN has a NaN as its
/// scale, so that every product with it is NaN. A second digit, where it is wanted, is what the first one left over in
/// 256ths, at most ±127 of them: the code is then `256 · first + second`, its scale `m / 127 / 256`. All second digits lie
/// behind all first ones; or, where an instruction set multiplies 16 bits at once, codes lie as such, of each four columns
/// the first and the third before the second and the fourth, for each token.
pub struct Activations {
    kernels: &'static Kernels,
    digits: usize,
    rows: TakenRows,
    cols: usize,
    has_codes: bool,
    has_values: bool,
    codes: Vec<i8>,
    records: Vec<Record>,
    values: Vec<f32>,
}

impl Activations {
    /// Empty buffers, for codes of one digit.
    pub fn new(isa: InstructionSet) -> Self {
        Self::with_digits(isa, 1)
    }

    /// Empty buffers, for codes of one digit of eight bits, or of two.
    pub fn with_digits(isa: InstructionSet, digits: usize) -> Self {
        assert!((1..=2).contains(&digits), "{digits} digits");
        Activations {
            kernels: kernels(isa),
            digits,
            rows: TakenRows::default(),
            cols: 0,
            has_codes: false,
            has_values: false,
            codes: Vec::new(),
            records: Vec::new(),
            values: Vec::new(),
        }
    }

    /// Takes `x`, `[n_tokens, cols]`, as eight-bit codes. `cols` is a multiple of 32.
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
        let filler = self.prepare(TakenRows::of(0..n_tokens), cols, as_codes, as_values);
        // SAFETY: `x` has the shape, and nobody else fills.
        unsafe { filler.fill(x.as_ptr(), 0..filler.n_panels()) };
    }

    /// Makes room for rows of `cols` columns; what is returned fills it, by several threads if wanted.
    pub fn prepare(&mut self, rows: TakenRows, cols: usize, as_codes: bool, as_values: bool) -> Filler {
        assert!(!as_codes || cols.is_multiple_of(BLOCK), "{cols} columns are not blocks of {BLOCK}");
        (self.rows, self.cols, self.has_codes, self.has_values) = (rows, cols, as_codes, as_values);
        let elements = self.plane();
        if as_codes && self.codes.len() < elements * self.digits {
            self.codes.resize(elements * self.digits, 0);
            self.records.resize(elements / BLOCK, Record::default());
        }
        if as_values && self.values.len() < elements {
            self.values.resize(elements, 0.0);
        }
        Filler {
            kernels: self.kernels,
            rows,
            cols,
            form: self.form(),
            codes: if as_codes { self.codes.as_mut_ptr() } else { std::ptr::null_mut() },
            records: self.records.as_mut_ptr(),
            values: if as_values { self.values.as_mut_ptr() } else { std::ptr::null_mut() },
        }
    }

    /// The tokens.
    pub fn rows(&self) -> TakenRows {
        self.rows
    }

    /// Number of columns.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Bytes taken.
    pub fn bytes(&self) -> u64 {
        (self.codes.capacity() + self.records.capacity() * size_of::<Record>() + self.values.capacity() * 4) as u64
    }

    fn panel_tokens(&self) -> usize {
        panel_tokens(self.kernels, self.rows.len())
    }

    pub(crate) fn isa(&self) -> InstructionSet {
        self.kernels.isa
    }

    /// Codes of all tokens.
    fn plane(&self) -> usize {
        self.rows.len().div_ceil(self.panel_tokens()) * self.panel_tokens() * self.cols
    }

    fn form(&self) -> Form {
        match self.digits {
            1 => Form::Digit,
            _ if self.rows.len() >= self.kernels.words_from => Form::Words,
            _ => Form::Digits { plane: self.plane() },
        }
    }

    /// Whether [`Activations::quantize`] filled them last.
    pub(crate) fn has_codes(&self) -> bool {
        self.has_codes
    }

    /// Whether [`Activations::keep`] filled them last.
    pub(crate) fn has_values(&self) -> bool {
        self.has_values
    }

    /// The first panel of codes; to be read only if there are any.
    pub(crate) fn panel(&self) -> Panel {
        Panel { codes: self.codes.as_ptr(), records: self.records.as_ptr(), form: self.form() }
    }

    /// Values, to be read only if there are any.
    pub(crate) fn values(&self) -> *const f32 {
        self.values.as_ptr()
    }
}

/// How codes lie.
#[derive(Clone, Copy)]
pub(super) enum Form {
    /// Bytes.
    Digit,
    /// Bytes, with so many codes of all tokens before the second digits.
    Digits { plane: usize },
    /// Numbers of 16 bits.
    Words,
}

impl Form {
    /// Bytes of a code in its plane.
    #[inline(always)]
    pub(super) fn size(self) -> usize {
        if let Form::Words = self { 2 } else { 1 }
    }
}

/// Rounded activations of the tokens in a panel, from some block on.
#[derive(Clone, Copy)]
pub(crate) struct Panel {
    codes: *const i8,
    records: *const Record,
    form: Form,
}

impl Panel {
    /// The block that lies behind `n` others, those of all tokens counted.
    #[inline(always)]
    pub(crate) unsafe fn block(&self, n: usize) -> Panel {
        // SAFETY: the caller's.
        unsafe { Panel { codes: self.codes.add(n * BLOCK * self.form.size()), records: self.records.add(n), ..*self } }
    }

    /// Whether codes are numbers of 16 bits.
    #[inline(always)]
    pub(crate) fn has_words(&self) -> bool {
        matches!(self.form, Form::Words)
    }

    /// How many planes of codes there are: numbers of 16 bits are in one.
    #[inline(always)]
    pub(crate) fn digits(&self) -> usize {
        if let Form::Digits { .. } = self.form { 2 } else { 1 }
    }

    /// Codes of a plane, the first one being 0; nothing can be read there if there are fewer.
    #[inline(always)]
    pub(crate) fn digit(&self, digit: usize) -> *const i8 {
        if let Form::Digits { plane } = self.form { self.codes.wrapping_add(digit * plane) } else { self.codes }
    }

    /// The record of the first block of token `t`.
    #[inline(always)]
    pub(crate) unsafe fn record(&self, t: usize) -> &Record {
        // SAFETY: the caller's.
        unsafe { &*self.records.add(t) }
    }
}

/// How many blocks of a panel's width lie before block `block` of panel `panel`: the panels of a chunk follow each other, as
/// they are multiplied with the same weights.
#[inline(always)]
pub(crate) fn place_of_block(panel: usize, block: usize, n_panels: usize, n_blocks: usize) -> usize {
    let first = block / CHUNK * CHUNK;
    let in_chunk = CHUNK.min(n_blocks - first);
    first * n_panels + panel * in_chunk + block - first
}

fn panel_tokens(kernels: &Kernels, n_tokens: usize) -> usize {
    if n_tokens == 1 { 1 } else { kernels.panel_tokens }
}

/// Fills [`Activations`], panel by panel. It points into them: they must neither move nor be used before all panels are
/// filled.
#[derive(Clone, Copy)]
pub struct Filler {
    kernels: &'static Kernels,
    rows: TakenRows,
    cols: usize,
    form: Form,
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
    /// `x` points to a matrix of `cols` columns that has all rows to be taken, the activations are alive and unused, and
    /// no other thread fills any of these panels.
    pub unsafe fn fill(&self, x: *const f32, panels: Range<usize>) {
        let width = panel_tokens(self.kernels, self.rows.len());
        for panel in panels {
            let first = panel * width;
            for t in 0..width {
                let token = first + t;
                let real = token < self.rows.len();
                // SAFETY: the caller's, and buffers have room for whole panels.
                unsafe {
                    let row = if real { x.add(self.rows.row(token) * self.cols) } else { std::ptr::null() };
                    if !self.codes.is_null() {
                        let place = Place {
                            codes: self.codes.add(4 * t),
                            records: self.records.add(t),
                            width,
                            panel,
                            n_panels: self.n_panels(),
                            n_blocks: self.cols / BLOCK,
                            form: self.form,
                        };
                        if real {
                            (self.kernels.quantize)(row, self.cols, &place);
                        } else {
                            place.write_zeros();
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
