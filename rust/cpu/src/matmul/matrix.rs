//! A packed matrix.

use std::ops::Range;

use chord_gguf::quant::*;
use chord_gguf::{GgmlType, for_each_quantized};
use chord_program::ExecError;

use super::activations::Activations;
use super::codes::Codes;
use super::dispatch::{Kernels, Product, kernels};
use super::formats::{self, Format};
use super::operands::Operands;
use super::panel::BLOCK;
use super::scales::Scales;
use crate::memory::{CacheLines, HugePages};
use crate::simd::InstructionSet;

/// The form in which activations are multiplied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// Codes of one byte or two, with a scale for each 32: see [`Activations::quantize`].
    Rounded,
    /// Unchanged: see [`Activations::keep`].
    F32,
}

/// A matrix `[rows, cols]` of any type that can be decoded, packed for one instruction set.
///
/// Rows are divided into row blocks of [`PackedMatrix::row_block_rows`]; the last one is padded with rows of zeros.
/// Within a row block, words of the same columns are side by side. Codes and scales of quantized types are stored
/// apart. All products of a row with a scale or minimum that is not finite are NaN.
pub struct PackedMatrix {
    ty: GgmlType,
    rows: usize,
    cols: usize,
    kernels: &'static Kernels,
    codes: CacheLines,
    scales: CacheLines,
    /// Rows with a scale or minimum that is not finite, in any order: instruction sets differ in what they make of such
    /// numbers.
    nan_rows: Vec<usize>,
    quantized: Option<Product>,
    exact: Product,
}

/// Runs `$body` with `$F` as the format of a quantized type.
macro_rules! with_format {
    ($ty:expr, $F:ident => $body:expr) => {
        for_each_quantized!(match_format: $ty, $F, $body)
    };
}

macro_rules! match_format {
    (($ty:expr, $F:ident, $body:expr) $($name:ident $block:ident,)*) => {
        match $ty {
            $(GgmlType::$name => {
                type $F = $block;
                $body
            })*
            ty => unreachable!("{ty} is not quantized"),
        }
    };
}

impl PackedMatrix {
    /// A matrix of zeros.
    ///
    /// # Errors
    /// If the type cannot be decoded, `cols` is not a whole number of blocks, or memory cannot be allocated; `name` is
    /// part of the error.
    ///
    /// # Panics
    /// If `isa` is not one of [`InstructionSet::available`].
    pub fn new(ty: GgmlType, rows: usize, cols: usize, isa: InstructionSet, name: &str) -> Result<Self, ExecError> {
        Self::new_in(&mut HugePages::for_one(), ty, rows, cols, isa, name)
    }

    /// The same, in pages that hold other matrices too.
    pub(crate) fn new_in(
        pages: &mut HugePages,
        ty: GgmlType,
        rows: usize,
        cols: usize,
        isa: InstructionSet,
        name: &str,
    ) -> Result<Self, ExecError> {
        let kernels = kernels(isa);
        let unsupported =
            || ExecError::Unsupported { backend: "cpu", what: format!("{name} of type {ty}, {cols} wide") };
        let exact = (kernels.exact)(ty).ok_or_else(unsupported)?;
        ty.row_bytes(cols as u64).ok_or_else(unsupported)?;
        let (codes, scales) = if ty.is_quantized() {
            with_format!(ty, F => (code_bytes::<F>(cols), scale_bytes::<F>(cols)))
        } else {
            (cols * ty.block_bytes() as usize, 0)
        };
        let padded = rows.div_ceil(kernels.row_block_rows) as u64 * kernels.row_block_rows as u64;
        let mut lines = |row_bytes: usize| pages.allocate((padded * row_bytes as u64).div_ceil(64), name);
        Ok(PackedMatrix {
            ty,
            rows,
            cols,
            kernels,
            codes: lines(codes)?,
            scales: lines(scales)?,
            nan_rows: Vec::new(),
            quantized: (kernels.quantized)(ty),
            exact,
        })
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Type of the elements.
    pub fn ty(&self) -> GgmlType {
        self.ty
    }

    /// Bytes held.
    pub fn bytes(&self) -> u64 {
        64 * (self.codes.len() + self.scales.len()) as u64
    }

    /// Rows in a row block.
    pub fn row_block_rows(&self) -> usize {
        self.kernels.row_block_rows
    }

    /// The row blocks that hold `rows`. A product can be split between threads by splitting these.
    pub fn row_blocks(&self, rows: Range<usize>) -> Range<usize> {
        rows.start / self.row_block_rows()..rows.end.div_ceil(self.row_block_rows())
    }

    /// Whether there are products with activations of this precision: every type has those with f32, quantized types
    /// also those with rounded activations.
    pub fn multiplies(&self, precision: Precision) -> bool {
        precision == Precision::F32 || self.quantized.is_some()
    }

    /// Packs rows, as the file stores them, from row `first` on. `bytes` are whole rows; rows may come in any order.
    pub fn write_rows(&mut self, first: usize, bytes: &[u8]) {
        let row_bytes = self.row_bytes();
        assert!(bytes.len().is_multiple_of(row_bytes), "{} bytes are not whole rows of {row_bytes}", bytes.len());
        assert!(first + bytes.len() / row_bytes <= self.rows, "rows from {first} on are more than {}", self.rows);
        for (i, bytes) in bytes.chunks_exact(row_bytes).enumerate() {
            let row = first + i;
            if self.ty.is_quantized() {
                with_format!(self.ty, F => self.write_row::<F>(row, bytes));
            } else {
                self.write_plain(row, bytes);
            }
        }
    }

    /// Row `row` as the file stores it.
    pub fn read_row(&self, row: usize, bytes: &mut [u8]) {
        assert!(row < self.rows && bytes.len() == self.row_bytes(), "row {row} of {}", self.rows);
        if self.ty.is_quantized() {
            with_format!(self.ty, F => self.read_blocks::<F>(row, bytemuck::cast_slice_mut(bytes)));
        } else {
            let size = self.ty.block_bytes() as usize;
            let (row_block, lane) = self.place(row, self.cols * size);
            let row_block = &bytemuck::cast_slice(&self.codes)[row_block];
            for (element, column) in
                bytes.chunks_exact_mut(size).zip(column_chunks(row_block, size, self.row_block_rows()))
            {
                element.copy_from_slice(&column[lane * size..][..size]);
            }
        }
    }

    /// Row `row` decoded, bit for bit as [`chord_gguf::dequantize`] does it.
    pub fn decode_row(&self, row: usize, out: &mut [f32]) {
        assert_eq!(out.len(), self.cols, "a row of {}", self.cols);
        let mut bytes = vec![0; self.row_bytes()];
        self.read_row(row, &mut bytes);
        chord_gguf::dequantize(self.ty, &bytes, out).expect("a whole row of a type that can be decoded");
    }

    /// `out[token, row] = x[token] · self[row]` for some row blocks of `rows`: element `[token, row]` is written at
    /// `token · stride + row − rows.start`, for every token and for the rows in `row_blocks`. `token` is the row of the
    /// result that the selection of `x` names.
    ///
    /// # Safety
    /// `out` can be written at these places, and no other thread touches them meanwhile.
    ///
    /// # Panics
    /// If `rows` are not rows of this matrix, `row_blocks` are not in [`PackedMatrix::row_blocks`], or the activations
    /// have another width, instruction set or precision.
    pub unsafe fn multiply(
        &self,
        x: &Activations,
        precision: Precision,
        rows: Range<usize>,
        row_blocks: Range<usize>,
        out: *mut f32,
        stride: usize,
    ) {
        assert!(rows.start <= rows.end && rows.end <= self.rows, "rows {rows:?} of {}", self.rows);
        let all = self.row_blocks(rows.clone());
        assert!(
            row_blocks.is_empty() || all.start <= row_blocks.start && row_blocks.end <= all.end,
            "row_blocks {row_blocks:?} of {all:?}"
        );
        assert_eq!((x.cols(), x.isa()), (self.cols, self.kernels.isa), "activations for another matrix");
        if row_blocks.is_empty() || rows.is_empty() || x.is_empty() {
            return;
        }
        let operands = Operands {
            codes: self.codes.as_ptr().cast(),
            scales: self.scales.as_ptr().cast(),
            cols: self.cols,
            rows,
            row_blocks,
            n_tokens: x.len(),
            tokens: x.rows(),
            acts: x.panel(),
            act_values: x.values(),
            out,
            stride,
        };
        let run = match precision {
            Precision::Rounded => {
                assert!(x.has_codes(), "activations are not rounded");
                self.quantized.expect("a quantized type")
            }
            Precision::F32 => {
                assert!(x.has_values(), "activations are not f32");
                self.exact
            }
        };
        // SAFETY: the processor has the instruction set (`kernels` has checked it), planes and activations have these
        // shapes, and the output is the caller's promise.
        unsafe { run(&operands) }
        for &row in &self.nan_rows {
            if operands.rows.contains(&row) && operands.row_blocks.contains(&(row / self.row_block_rows())) {
                for token in 0..operands.n_tokens {
                    // SAFETY: as above.
                    unsafe { *out.add(operands.tokens.output(token) * stride + row - operands.rows.start) = f32::NAN };
                }
            }
        }
    }

    fn row_bytes(&self) -> usize {
        self.ty.row_bytes(self.cols as u64).expect("checked when made") as usize
    }

    /// Range in bytes of the row block that holds `row`, in a plane with `row_bytes` for each row, and the row's lane.
    fn place(&self, row: usize, row_bytes: usize) -> (Range<usize>, usize) {
        let row_block_bytes = row_bytes * self.row_block_rows();
        let start = row / self.row_block_rows() * row_block_bytes;
        (start..start + row_block_bytes, row % self.row_block_rows())
    }

    fn write_plain(&mut self, row: usize, bytes: &[u8]) {
        let size = self.ty.block_bytes() as usize;
        let n = self.row_block_rows();
        let (row_block, lane) = self.place(row, self.cols * size);
        let row_block = &mut bytemuck::cast_slice_mut(&mut self.codes)[row_block];
        for (element, column) in bytes.chunks_exact(size).zip(row_block.chunks_exact_mut(n * size)) {
            column[lane * size..][..size].copy_from_slice(element);
        }
    }

    fn write_row<F: Format>(&mut self, row: usize, bytes: &[u8]) {
        let n = self.row_block_rows();
        let sign = self.kernels.sign;
        let (row_block, lane) = self.place(row, code_bytes::<F>(self.cols));
        let (scale_block, _) = self.place(row, scale_bytes::<F>(self.cols));
        let codes: &mut [u32] = &mut bytemuck::cast_slice_mut(&mut self.codes)[row_block.start / 4..row_block.end / 4];
        let scales: &mut [u8] = &mut bytemuck::cast_slice_mut(&mut self.scales)[scale_block];
        let blocks = bytemuck::cast_slice::<u8, F>(bytes);
        self.nan_rows.retain(|&other| other != row);
        let mut is_finite = true;
        let codes = codes.chunks_exact_mut(F::Scales::BLOCKS * F::Codes::WORDS * n);
        let scales = scales.chunks_exact_mut((4 * F::Scales::WORDS + 2 * F::Scales::F16S) * n);
        for ((block, codes), scales) in blocks.iter().zip(codes).zip(scales) {
            let file_block = block.split();
            for (quads, codes) in file_block.codes.iter().zip(codes.chunks_exact_mut(F::Codes::WORDS * n)) {
                for (word, column) in F::Codes::pack(quads, sign).iter().zip(codes.chunks_exact_mut(n)) {
                    column[lane] = *word;
                }
            }
            let (words, f16s) = scales.split_at_mut(4 * F::Scales::WORDS * n);
            for (word, column) in file_block.words.iter().zip(words.chunks_exact_mut(4 * n)) {
                column[4 * lane..][..4].copy_from_slice(&word.to_le_bytes());
            }
            for (half, column) in file_block.f16s.iter().zip(f16s.chunks_exact_mut(2 * n)) {
                column[2 * lane..][..2].copy_from_slice(&half.to_le_bytes());
                is_finite &= half & 0x7c00 != 0x7c00;
            }
        }
        if !is_finite {
            self.nan_rows.push(row);
        }
    }

    fn read_blocks<F: Format>(&self, row: usize, blocks: &mut [F]) {
        let n = self.row_block_rows();
        let sign = self.kernels.sign;
        let (row_block, lane) = self.place(row, code_bytes::<F>(self.cols));
        let codes: &[u32] = &bytemuck::cast_slice(&self.codes)[row_block.start / 4..row_block.end / 4];
        let (row_block, _) = self.place(row, scale_bytes::<F>(self.cols));
        let scales: &[u8] = &bytemuck::cast_slice(&self.scales)[row_block];
        let codes = codes.chunks_exact(F::Scales::BLOCKS * F::Codes::WORDS * n);
        let scales = scales.chunks_exact((4 * F::Scales::WORDS + 2 * F::Scales::F16S) * n);
        for ((block, codes), scales) in blocks.iter_mut().zip(codes).zip(scales) {
            let mut file_block = formats::Fields::default();
            for (quads, codes) in file_block.codes.iter_mut().zip(codes.chunks_exact(F::Codes::WORDS * n)) {
                let mut words = [0; 8];
                for (word, column) in words.iter_mut().zip(codes.chunks_exact(n)) {
                    *word = column[lane];
                }
                *quads = F::Codes::unpack(&words, sign);
            }
            let (words, f16s) = scales.split_at(4 * F::Scales::WORDS * n);
            for (word, column) in file_block.words.iter_mut().zip(words.chunks_exact(4 * n)) {
                *word = bytemuck::pod_read_unaligned(&column[4 * lane..][..4]);
            }
            for (half, column) in file_block.f16s.iter_mut().zip(f16s.chunks_exact(2 * n)) {
                *half = bytemuck::pod_read_unaligned(&column[2 * lane..][..2]);
            }
            *block = F::join(&file_block);
        }
    }
}

/// The bytes of each column of a row block of plain numbers.
fn column_chunks(row_block: &[u8], size: usize, row_block_rows: usize) -> impl Iterator<Item = &[u8]> {
    row_block.chunks_exact(size * row_block_rows)
}

/// Bytes of a row's codes.
const fn code_bytes<F: Format>(cols: usize) -> usize {
    cols / BLOCK * F::Codes::WORDS * 4
}

/// Bytes of a row's scales.
const fn scale_bytes<F: Format>(cols: usize) -> usize {
    cols / BLOCK / F::Scales::BLOCKS * (F::Scales::WORDS * 4 + F::Scales::F16S * 2)
}

/// Packing changes the order of bits, never their number.
const fn is_same_size<F: Format>() -> bool {
    formats::file_block_bytes::<F>() == size_of::<F>() && F::ELEMS == F::Scales::BLOCKS * BLOCK
}

macro_rules! check_sizes {
    (() $($name:ident $block:ident,)*) => {
        $(const _: () = assert!(is_same_size::<$block>());)*
    };
}
for_each_quantized!(check_sizes:);
