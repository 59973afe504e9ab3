//! Weight matrices as stored, and products with them.

use chord_gguf::GgmlType;

use super::decode::decode_row;
use super::dot::tile;

/// Weight rows decoded together for many rows of `x`: each tile of `x` that is fetched serves all of them.
const ROW_TILE: usize = 16;
/// The same for few rows of `x`, where the decoded rows had better stay in the nearest cache.
const ROW_TILE_FEW: usize = 4;

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
                decode_row(ty, &bytes[row * row_bytes..][..row_bytes], out);
            }
        }
    }

    /// `out = x · selfᵀ`; `x` is `[T, cols]`, `out` is `[T, n_rows]`.
    ///
    /// Rows are decoded to `scratch` first: both loops then run on plain f32, and all of `x` shares the decoding.
    pub(crate) fn multiply(&self, x: &[f32], out: &mut [f32], scratch: &mut Vec<f32>) {
        if out.is_empty() {
            return;
        }
        let (cols, n_rows) = (self.cols, self.n_rows);
        let row_tile = if x.len() < 4 * cols { ROW_TILE_FEW } else { ROW_TILE };
        if scratch.len() < row_tile * cols {
            scratch.resize(row_tile * cols, 0.0);
        }
        for first in (0..n_rows).step_by(row_tile) {
            let n = row_tile.min(n_rows - first);
            let rows: &[f32] = match self.storage {
                Storage::F32(values) if n == row_tile => &values[first * cols..],
                _ => {
                    for (i, row) in scratch.chunks_exact_mut(cols).take(n).enumerate() {
                        self.decode(first + i, row);
                    }
                    scratch
                }
            };
            multiply_rows(&rows[..row_tile * cols], n, cols, x, &mut out[first..], n_rows);
        }
    }
}

/// Products of the first `n` of `rows` with every row of `x`, into rows of `out` that begin `stride` apart.
/// Rows are taken two or four at a time; what lies behind the last one may be multiplied too, and is dropped.
fn multiply_rows(rows: &[f32], n: usize, cols: usize, x: &[f32], out: &mut [f32], stride: usize) {
    let row = |i: usize| &rows[i * cols..][..cols];
    let mut fours = x.chunks_exact(4 * cols);
    let mut start = 0;
    for four in &mut fours {
        let x: [&[f32]; 4] = std::array::from_fn(|c| &four[c * cols..][..cols]);
        for i in (0..n).step_by(2) {
            let products = tile([row(i), row(i + 1)], x);
            for (r, products) in products.iter().enumerate().take(n - i) {
                for (c, &product) in products.iter().enumerate() {
                    out[start + c * stride + i + r] = product;
                }
            }
        }
        start += 4 * stride;
    }
    for x in fours.remainder().chunks_exact(cols) {
        for (i, out) in out[start..][..n].chunks_mut(4).enumerate() {
            let products = tile(std::array::from_fn::<_, 4, _>(|r| row(4 * i + r)), [x]);
            out.iter_mut().zip(products).for_each(|(out, [product])| *out = product);
        }
        start += stride;
    }
}
