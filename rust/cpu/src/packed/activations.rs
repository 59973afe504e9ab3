//! The other factor of products: activations, quantized to eight bits or as they are.

use std::ops::Range;

use super::dispatch::{Kernels, kernels};
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
enum Form {
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
    fn size(self) -> usize {
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
                            for b in 0..self.cols / BLOCK {
                                place.write(b, 0.0, &[0; BLOCK], &[0; BLOCK]);
                            }
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

/// Where the codes of one token go.
pub(crate) struct Place {
    codes: *mut i8,
    records: *mut Record,
    /// Tokens in the panel: groups of four bytes lie four times as many bytes apart, records as many of theirs.
    width: usize,
    panel: usize,
    n_panels: usize,
    n_blocks: usize,
    form: Form,
}

impl Place {
    #[inline(always)]
    fn has_second(&self) -> bool {
        !matches!(self.form, Form::Digit)
    }

    /// Writes the digits of block `b` and its record; `scale` is that of first digits.
    #[inline(always)]
    unsafe fn write(&self, b: usize, scale: f32, first: &[i32; BLOCK], second: &[i32; BLOCK]) {
        // SAFETY: the caller's: there is room.
        unsafe {
            let at = place_of_block(self.panel, b, self.n_panels, self.n_blocks) * self.width;
            let codes = self.codes.add(at * BLOCK * self.form.size());
            let pairs = pair_sums(first);
            let (mut scale, mut sums) = (scale, half_sums(pairs));
            if let Form::Words = self.form {
                self.write_words(codes, first, second);
            } else {
                self.write_digits(codes, first);
            }
            if let Form::Digits { plane } = self.form {
                self.write_digits(codes.add(plane), second);
            }
            if self.has_second() {
                let low = half_sums(pair_sums(second));
                sums = [(sums[0] << DIGIT_BITS) + low[0], (sums[1] << DIGIT_BITS) + low[1]];
                scale /= (1 << DIGIT_BITS) as f32;
            }
            let sum = |n: i32| scale * n as f32;
            let less = |[first, last]: [i32; 2]| (-first) as u32 & 0xffff | (-last as u32) << 16;
            let both = [pairs[0][0] + pairs[1][0], pairs[0][1] + pairs[1][1]];
            self.records.add(at).write(Record {
                scale,
                sums: [sum(sums[0] + sums[1]), sum(sums[0]), sum(sums[1])],
                less: [less(both), less(pairs[0]), less(pairs[1])],
            });
        }
    }

    #[inline(always)]
    unsafe fn write_digits(&self, to: *mut i8, digits: &[i32; BLOCK]) {
        for s in 0..BLOCK / 4 {
            let four = [digits[4 * s], digits[4 * s + 1], digits[4 * s + 2], digits[4 * s + 3]];
            // SAFETY: the caller's.
            unsafe { to.add(4 * s * self.width).cast::<[i8; 4]>().write_unaligned(four.map(|digit| digit as i8)) };
        }
    }

    #[inline(always)]
    unsafe fn write_words(&self, to: *mut i8, first: &[i32; BLOCK], second: &[i32; BLOCK]) {
        for s in 0..BLOCK / 4 {
            for part in 0..2 {
                let word = |k: usize| ((first[k] << DIGIT_BITS) + second[k]) as i16;
                let two = [word(4 * s + part), word(4 * s + part + 2)];
                // SAFETY: the caller's.
                unsafe { to.add(4 * (2 * s + part) * self.width).cast::<[i16; 2]>().write_unaligned(two) };
            }
        }
    }
}

/// Of the first 16 and of the last 16: the sum of the first two of each four, and of the last two.
#[inline(always)]
fn pair_sums(digits: &[i32; BLOCK]) -> [[i32; 2]; 2] {
    let mut sums = [[0; 2]; 2];
    for (half, sums) in sums.iter_mut().enumerate() {
        for four in digits[half * 16..half * 16 + 16].as_chunks::<4>().0 {
            sums[0] += four[0] + four[1];
            sums[1] += four[2] + four[3];
        }
    }
    sums
}

/// Sums of the first 16 and of the last 16.
#[inline(always)]
fn half_sums([first, last]: [[i32; 2]; 2]) -> [i32; 2] {
    [first[0] + first[1], last[0] + last[1]]
}

/// Quantizes one token.
///
/// # Safety
/// `x` points to `cols` numbers, and `place` to room for them.
#[inline(always)]
pub(crate) unsafe fn quantize_token(x: *const f32, cols: usize, place: &Place) {
    for b in 0..cols / BLOCK {
        // SAFETY: the caller's.
        unsafe {
            let x = &*x.add(b * BLOCK).cast::<[f32; BLOCK]>();
            if let Some((scale, inverse)) = scale_of(x) {
                let (first, rest) = round(x, inverse);
                let mut second = [0; BLOCK];
                if place.has_second() {
                    // What is left is at most a half.
                    second = round(&rest, (1 << DIGIT_BITS) as f32).0.map(|digit| digit.clamp(-127, 127));
                }
                place.write(b, scale, &first, &second);
            } else {
                let scale = if largest(x).is_finite() { 0.0 } else { f32::NAN };
                place.write(b, scale, &[0; BLOCK], &[0; BLOCK]);
            }
        }
    }
}

/// Adding it to a number of up to 2²² rounds that to an integer, half to even, and leaves it in the lowest bits.
const ROUND: f32 = 12_582_912.0;

/// Scale of a block and what it is multiplied with; `None` if it is not finite, all zeros, or too small.
#[inline(always)]
fn scale_of(x: &[f32; BLOCK]) -> Option<(f32, f32)> {
    let largest = largest(x);
    let inverse = 127.0 / largest;
    (largest.is_finite() && inverse.is_finite()).then_some((largest / 127.0, inverse))
}

/// The largest magnitude; not finite where any number is not.
#[inline(always)]
fn largest(x: &[f32; BLOCK]) -> f32 {
    // Magnitudes compare as their bits do, and what is not finite has the largest ones.
    let mut largest = 0;
    for x in x {
        let magnitude = x.to_bits() & 0x7fff_ffff;
        largest = if magnitude > largest { magnitude } else { largest };
    }
    f32::from_bits(largest)
}

/// `x · factor` rounded to integers, and what rounding took off.
#[inline(always)]
fn round(x: &[f32; BLOCK], factor: f32) -> ([i32; BLOCK], [f32; BLOCK]) {
    let (mut codes, mut rest) = ([0; BLOCK], [0.0; BLOCK]);
    for i in 0..BLOCK {
        let product = x[i] * factor;
        let rounded = product + ROUND;
        codes[i] = rounded.to_bits() as i32 - ROUND.to_bits() as i32;
        rest[i] = product - (rounded - ROUND);
    }
    (codes, rest)
}
