//! Inner products in tiles.

pub(crate) use super::lanes::LANES;
use super::lanes::Lanes;

/// Sum by halves.
#[inline(always)]
pub(crate) fn sum<const N: usize>(values: &[f32; N]) -> f32 {
    let mut values = *values;
    let mut n = N;
    while n > 1 {
        n /= 2;
        for i in 0..n {
            values[i] += values[i + n];
        }
    }
    values[0]
}

/// All products of `R` rows with `C` columns of one length: each value loaded is used several times.
#[inline(never)]
pub(crate) fn tile<const R: usize, const C: usize>(rows: [&[f32]; R], cols: [&[f32]; C]) -> [[f32; C]; R] {
    let len = cols[0].len();
    let whole = len / LANES;
    let row_chunks = rows.map(|row| &row.as_chunks::<LANES>().0[..whole]);
    let col_chunks = cols.map(|col| &col.as_chunks::<LANES>().0[..whole]);
    let mut sums = [[Lanes::new([0.0; LANES]); C]; R];
    for i in 0..whole {
        let row: [Lanes; R] = std::array::from_fn(|r| Lanes::new(row_chunks[r][i]));
        let col: [Lanes; C] = std::array::from_fn(|c| Lanes::new(col_chunks[c][i]));
        for r in 0..R {
            for c in 0..C {
                sums[r][c] = sums[r][c].add_product(row[r], col[c]);
            }
        }
    }
    let mut out = [[0.0; C]; R];
    for r in 0..R {
        for c in 0..C {
            let rest = (whole * LANES..len).map(|i| rows[r][i] * cols[c][i]).sum::<f32>();
            out[r][c] = sum(&sums[r][c].values()) + rest;
        }
    }
    out
}
