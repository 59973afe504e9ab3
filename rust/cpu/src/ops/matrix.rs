//! Weight matrices as stored, and products with them.

use chord_gguf::GgmlType;
use chord_gguf::quant::{
    Block, BlockQ2_K, BlockQ3_K, BlockQ4_0, BlockQ4_1, BlockQ4_K, BlockQ5_0, BlockQ5_1, BlockQ5_K, BlockQ6_K,
    BlockQ8_0, blocks,
};

use super::dot::{LANES, dot, sum, tile};

/// Up to this many rows of `x`, decoding a weight while multiplying beats decoding it to memory first.
const FUSED_ROWS: usize = 2;
/// Weight rows decoded together: each tile of `x` that is fetched serves all of them.
const ROW_TILE: usize = 16;
/// The longest block.
const MAX_BLOCK: usize = 256;

#[derive(Clone, Copy)]
pub(crate) enum Storage<'a> {
    F32(&'a [f32]),
    Blocks(GgmlType, &'a [u8]),
}

/// `[n_rows, cols]`.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    pub(crate) storage: Storage<'a>,
    pub(crate) n_rows: usize,
    pub(crate) cols: usize,
}

impl Matrix<'_> {
    /// Row `row` as f32.
    pub(crate) fn decode(&self, row: usize, out: &mut [f32]) {
        match self.storage {
            Storage::F32(values) => out.copy_from_slice(&values[row * self.cols..][..self.cols]),
            Storage::Blocks(ty, bytes) => {
                let row_bytes = bytes.len() / self.n_rows;
                chord_gguf::dequantize(ty, &bytes[row * row_bytes..][..row_bytes], out)
                    .expect("whole rows of the type");
            }
        }
    }

    /// `out = x · selfᵀ`; `x` is `[T, cols]`, `out` is `[T, n_rows]`.
    pub(crate) fn multiply(&self, x: &[f32], out: &mut [f32], scratch: &mut Vec<f32>) {
        if x.len() <= FUSED_ROWS * self.cols {
            for (x, out) in x.chunks_exact(self.cols).zip(out.chunks_exact_mut(self.n_rows)) {
                self.multiply_vector(x, out);
            }
        } else {
            self.multiply_tiled(x, out, scratch);
        }
    }

    fn multiply_vector(&self, x: &[f32], out: &mut [f32]) {
        use GgmlType as G;
        match self.storage {
            Storage::F32(values) => {
                for (row, out) in values.chunks_exact(self.cols).zip(out) {
                    *out = dot(row, x);
                }
            }
            Storage::Blocks(ty, bytes) => match ty {
                G::F16 => self.rows_of_numbers(bytes, x, out, |b| half::f16::from_le_bytes(b).to_f32()),
                G::BF16 => {
                    self.rows_of_numbers(bytes, x, out, |b| f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16))
                }
                G::Q4_0 => self.rows_of_blocks::<BlockQ4_0>(bytes, x, out),
                G::Q4_1 => self.rows_of_blocks::<BlockQ4_1>(bytes, x, out),
                G::Q5_0 => self.rows_of_blocks::<BlockQ5_0>(bytes, x, out),
                G::Q5_1 => self.rows_of_blocks::<BlockQ5_1>(bytes, x, out),
                G::Q8_0 => self.rows_of_blocks::<BlockQ8_0>(bytes, x, out),
                G::Q2_K => self.rows_of_blocks::<BlockQ2_K>(bytes, x, out),
                G::Q3_K => self.rows_of_blocks::<BlockQ3_K>(bytes, x, out),
                G::Q4_K => self.rows_of_blocks::<BlockQ4_K>(bytes, x, out),
                G::Q5_K => self.rows_of_blocks::<BlockQ5_K>(bytes, x, out),
                G::Q6_K => self.rows_of_blocks::<BlockQ6_K>(bytes, x, out),
                _ => unreachable!("checked when the executor was made"),
            },
        }
    }

    fn rows_of_numbers(&self, bytes: &[u8], x: &[f32], out: &mut [f32], decode: impl Fn([u8; 2]) -> f32) {
        for (row, out) in bytes.chunks_exact(2 * self.cols).zip(out) {
            let mut sums = [0.0f32; 2 * LANES];
            let (numbers, _) = row.as_chunks::<2>();
            let (number_chunks, number_rest) = numbers.as_chunks::<{ 2 * LANES }>();
            let (x_chunks, x_rest) = x.as_chunks::<{ 2 * LANES }>();
            for (numbers, x) in number_chunks.iter().zip(x_chunks) {
                for lane in 0..2 * LANES {
                    sums[lane] += decode(numbers[lane]) * x[lane];
                }
            }
            *out = sum(&sums) + number_rest.iter().zip(x_rest).map(|(&n, x)| decode(n) * x).sum::<f32>();
        }
    }

    fn rows_of_blocks<B: Block>(&self, bytes: &[u8], x: &[f32], out: &mut [f32]) {
        let stored = blocks::<B>(bytes).expect("whole blocks");
        let mut decoded = [0.0f32; MAX_BLOCK];
        let decoded = &mut decoded[..B::ELEMS];
        for (row, out) in stored.chunks_exact(self.cols / B::ELEMS).zip(out) {
            let mut sums = [0.0f32; 4 * LANES];
            for (block, x) in row.iter().zip(x.chunks_exact(B::ELEMS)) {
                block.dequantize(decoded);
                for (w, x) in decoded.as_chunks::<{ 4 * LANES }>().0.iter().zip(x.as_chunks::<{ 4 * LANES }>().0) {
                    for lane in 0..4 * LANES {
                        sums[lane] += w[lane] * x[lane];
                    }
                }
            }
            *out = sum(&sums);
        }
    }

    fn multiply_tiled(&self, x: &[f32], out: &mut [f32], scratch: &mut Vec<f32>) {
        let (cols, n_rows) = (self.cols, self.n_rows);
        scratch.resize(ROW_TILE * cols, 0.0);
        for first in (0..n_rows).step_by(ROW_TILE) {
            let n = ROW_TILE.min(n_rows - first);
            for (i, row) in scratch.chunks_exact_mut(cols).take(n).enumerate() {
                self.decode(first + i, row);
            }
            // Rows past the end are computed from what the scratch holds and dropped.
            let row = |i: usize| &scratch[i * cols..][..cols];
            let mut columns = x.chunks_exact(4 * cols);
            let mut t = 0;
            for four in &mut columns {
                let x: [&[f32]; 4] = std::array::from_fn(|c| &four[c * cols..][..cols]);
                for i in (0..n).step_by(2) {
                    let products = tile([row(i), row(i + 1)], x);
                    for (r, products) in products.iter().enumerate().take(n - i) {
                        for (c, &product) in products.iter().enumerate() {
                            out[(t + c) * n_rows + first + i + r] = product;
                        }
                    }
                }
                t += 4;
            }
            for x in columns.remainder().chunks_exact(cols) {
                for i in 0..n {
                    out[t * n_rows + first + i] = dot(row(i), x);
                }
                t += 1;
            }
        }
    }
}
