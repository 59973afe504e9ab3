//! The other factor of products: activations, quantized to eight bits or as they are.

use std::ops::Range;

use super::dispatch::{Kernels, kernels};
use crate::simd::InstructionSet;

/// Columns that share a scale.
pub(crate) const BLOCK: usize = 32;

/// Of 32 activations of a token: their scale, then that scale times the sum of all codes, of the first 16 and of the
/// last 16.
pub(crate) type Record = [f32; 4];

/// Activations of some tokens, in the order that products read them.
///
/// Tokens lie in panels of as many as a product takes at a time, four columns of each token after four columns of the
/// one before; the last panel is filled up with zeros. One token alone is a panel of one. Buffers are kept between
/// uses and only grow.
///
/// Each 32 neighbouring columns are quantized to −127 … 127: where the largest magnitude is `m`, the code of `x` is
/// `x · (127 / m)`, rounded half to even, and the scale is `m / 127`. A block with an infinity or a NaN has a NaN as its
/// scale, so that every product with it is NaN. A second digit, where it is wanted, is what the first one left over,
/// quantized in the same way with a scale of `m / 127 / 254`; all second digits lie behind all first ones.
pub struct Activations {
    kernels: &'static Kernels,
    digits: usize,
    n_tokens: usize,
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
            n_tokens: 0,
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
        let filler = self.prepare(n_tokens, cols, as_codes, as_values);
        // SAFETY: `x` has the shape, and nobody else fills.
        unsafe { filler.fill(x.as_ptr(), 0..filler.n_panels()) };
    }

    /// Makes room for `[n_tokens, cols]`; what is returned fills it, by several threads if wanted.
    pub fn prepare(&mut self, n_tokens: usize, cols: usize, as_codes: bool, as_values: bool) -> Filler {
        assert!(!as_codes || cols.is_multiple_of(BLOCK), "{cols} columns are not blocks of {BLOCK}");
        (self.n_tokens, self.cols, self.has_codes, self.has_values) = (n_tokens, cols, as_codes, as_values);
        let n_panels = n_tokens.div_ceil(self.panel_tokens());
        let elements = n_panels * self.panel_tokens() * cols;
        if as_codes && self.codes.len() < elements * self.digits {
            self.codes.resize(elements * self.digits, 0);
            self.records.resize(elements / BLOCK * self.digits, [0.0; 4]);
        }
        if as_values && self.values.len() < elements {
            self.values.resize(elements, 0.0);
        }
        Filler {
            kernels: self.kernels,
            n_tokens,
            cols,
            plane: if self.digits == 2 { elements } else { 0 },
            codes: if as_codes { self.codes.as_mut_ptr() } else { std::ptr::null_mut() },
            records: self.records.as_mut_ptr(),
            values: if as_values { self.values.as_mut_ptr() } else { std::ptr::null_mut() },
        }
    }

    /// Number of tokens.
    pub fn n_tokens(&self) -> usize {
        self.n_tokens
    }

    /// Number of columns.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Bytes taken.
    pub fn bytes(&self) -> u64 {
        (self.codes.capacity() + self.records.capacity() * 16 + self.values.capacity() * 4) as u64
    }

    fn panel_tokens(&self) -> usize {
        panel_tokens(self.kernels, self.n_tokens)
    }

    pub(crate) fn isa(&self) -> InstructionSet {
        self.kernels.isa
    }

    /// Digits of each code.
    pub(crate) fn digits(&self) -> usize {
        self.digits
    }

    /// Codes of one digit.
    pub(crate) fn plane(&self) -> usize {
        self.n_tokens.div_ceil(self.panel_tokens()) * self.panel_tokens() * self.cols
    }

    /// Codes and their records, if [`Activations::quantize`] filled them last.
    pub(crate) fn codes(&self) -> Option<(*const i8, *const Record)> {
        self.has_codes.then_some((self.codes.as_ptr(), self.records.as_ptr()))
    }

    /// Values, if [`Activations::keep`] filled them last.
    pub(crate) fn values(&self) -> Option<*const f32> {
        self.has_values.then_some(self.values.as_ptr())
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
    n_tokens: usize,
    cols: usize,
    /// Codes of one digit, where there are two.
    plane: usize,
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
        self.n_tokens.div_ceil(panel_tokens(self.kernels, self.n_tokens))
    }

    /// Fills some panels from all tokens' activations.
    ///
    /// # Safety
    /// `x` points to `[n_tokens, cols]` numbers, the activations are alive and unused, and no other thread fills any of
    /// these panels.
    pub unsafe fn fill(&self, x: *const f32, panels: Range<usize>) {
        let width = panel_tokens(self.kernels, self.n_tokens);
        for panel in panels {
            let first = panel * width;
            for t in 0..width {
                let token = first + t;
                let real = token < self.n_tokens;
                // SAFETY: the caller's, and buffers have room for whole panels.
                unsafe {
                    let row = if real { x.add(token * self.cols) } else { std::ptr::null() };
                    if !self.codes.is_null() {
                        let codes = self.codes.add(first * self.cols + 4 * t);
                        let records = self.records.add(first * (self.cols / BLOCK) + t);
                        if real {
                            (self.kernels.quantize)(row, self.cols, codes, records, width, self.plane);
                        } else {
                            blank(self.cols, codes, records, width);
                            if self.plane > 0 {
                                blank(self.cols, codes.add(self.plane), records.add(self.plane / BLOCK), width);
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

/// A token of zeros.
unsafe fn blank(cols: usize, codes: *mut i8, records: *mut Record, width: usize) {
    // SAFETY: the caller's.
    unsafe {
        for k in 0..cols / 4 {
            codes.add(4 * k * width).cast::<[i8; 4]>().write_unaligned([0; 4]);
        }
        for b in 0..cols / BLOCK {
            records.add(b * width).write([0.0; 4]);
        }
    }
}

/// Quantizes one token. Its groups of four codes lie `4 · width` bytes apart, its records `width`; second digits, where
/// `plane` is not 0, so many codes behind the first ones.
///
/// # Safety
/// `x` points to `cols` numbers, the others to room for them.
#[inline(always)]
pub(crate) unsafe fn quantize_token(
    x: *const f32,
    cols: usize,
    codes: *mut i8,
    records: *mut Record,
    width: usize,
    plane: usize,
) {
    for b in 0..cols / BLOCK {
        // SAFETY: the caller's.
        unsafe {
            let x = &*x.add(b * BLOCK).cast::<[f32; BLOCK]>();
            let (codes, records) = (codes.add(b * BLOCK * width), records.add(b * width));
            let Some((scale, inverse)) = scale_of(x) else {
                let scale = if largest(x).is_finite() { 0.0 } else { f32::NAN };
                write(&[0; BLOCK], scale, codes, records, width);
                if plane > 0 {
                    write(&[0; BLOCK], scale, codes.add(plane), records.add(plane / BLOCK), width);
                }
                continue;
            };
            let (rounded, rest) = round(x, inverse);
            write(&rounded, scale, codes, records, width);
            if plane > 0 {
                // What is left is at most a half.
                let (rounded, _) = round(&rest, 254.0);
                write(&rounded, scale / 254.0, codes.add(plane), records.add(plane / BLOCK), width);
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

/// Writes a block's codes and their record.
#[inline(always)]
unsafe fn write(rounded: &[i32; BLOCK], scale: f32, codes: *mut i8, record: *mut Record, width: usize) {
    let mut sums = [0i32; 2];
    for (half, sum) in sums.iter_mut().enumerate() {
        for code in &rounded[half * 16..half * 16 + 16] {
            *sum += code;
        }
    }
    let sum = |n: i32| scale * n as f32;
    // SAFETY: the caller's.
    unsafe {
        for s in 0..BLOCK / 4 {
            let four = [rounded[4 * s], rounded[4 * s + 1], rounded[4 * s + 2], rounded[4 * s + 3]];
            codes.add(4 * s * width).cast::<[i8; 4]>().write_unaligned(four.map(|code| code as i8));
        }
        record.write([scale, sum(sums[0] + sums[1]), sum(sums[0]), sum(sums[1])]);
    }
}
