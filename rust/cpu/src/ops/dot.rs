//! Inner products in tiles, written so that compilers make vector code of them.

/// Elements summed side by side: one vector register of the baseline.
pub(crate) const LANES: usize = 4;

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
    let mut sums = [[[0.0f32; LANES]; C]; R];
    for i in 0..whole {
        for r in 0..R {
            let row = row_chunks[r][i];
            for c in 0..C {
                let col = col_chunks[c][i];
                for lane in 0..LANES {
                    sums[r][c][lane] += row[lane] * col[lane];
                }
            }
        }
    }
    let mut out = [[0.0; C]; R];
    for r in 0..R {
        for c in 0..C {
            let rest = (whole * LANES..len).map(|i| rows[r][i] * cols[c][i]).sum::<f32>();
            out[r][c] = sum(&sums[r][c]) + rest;
        }
    }
    out
}
