//! Mixtures of experts: choosing, multiplying by the chosen, and mixing.

use chord_program::Gating;

use super::matrix::Matrix;

/// Chooses `k` experts of each row of `experts` logits: ids best first, the lower among equals, and their weights.
pub(crate) fn route(logits: &[f32], experts: usize, k: usize, gating: Gating, scale: f32) -> (Vec<u32>, Vec<f32>) {
    let (mut ids, mut weights) = (Vec::new(), Vec::new());
    let mut order: Vec<u32> = Vec::with_capacity(experts);
    for row in logits.chunks_exact(experts) {
        order.clear();
        order.extend(0..experts as u32);
        order.sort_by(|&a, &b| row[b as usize].total_cmp(&row[a as usize]));
        order.truncate(k);
        let max = row[order[0] as usize];
        let chosen = order.iter().map(|&e| row[e as usize]);
        let first = weights.len();
        let renormalize = match gating {
            Gating::Softmax { renormalize } => {
                let sum: f32 = row.iter().map(|x| (x - max).exp()).sum();
                weights.extend(chosen.map(|x| (x - max).exp() / sum));
                renormalize
            }
            Gating::Sigmoid { renormalize } => {
                weights.extend(chosen.map(|x| 1.0 / (1.0 + (-x).exp())));
                renormalize
            }
        };
        let weights = &mut weights[first..];
        let total: f32 = if renormalize { weights.iter().sum() } else { 1.0 };
        weights.iter_mut().for_each(|w| *w = *w / total * scale);
        ids.extend_from_slice(&order);
    }
    (ids, weights)
}

/// Each row of `out` is its row of `x` times its expert; rows of one expert are multiplied together.
///
/// `ids` is `[T, k]`, `out` is `[T·k, n]`, `x` is `[T, cols]` or `[T·k, cols]`, `expert` gives the matrix `[n, cols]`.
pub(crate) fn multiply<'a>(
    x: &[f32],
    ids: &[u32],
    k: usize,
    expert: impl Fn(usize) -> Matrix<'a>,
    out: &mut [f32],
    scratch: &mut Vec<f32>,
) {
    let Some(&some) = ids.first() else { return };
    let Matrix { n_rows: n, cols, .. } = expert(some as usize);
    let shared = x.len() / cols == ids.len() / k;
    let mut order: Vec<usize> = (0..ids.len()).collect();
    order.sort_by_key(|&i| ids[i]);
    let (mut gathered, mut products) = (Vec::new(), Vec::new());
    for rows in order.chunk_by(|&a, &b| ids[a] == ids[b]) {
        gathered.clear();
        for &row in rows {
            let from = if shared { row / k } else { row };
            gathered.extend_from_slice(&x[from * cols..][..cols]);
        }
        products.resize(rows.len() * n, 0.0);
        expert(ids[rows[0]] as usize).multiply(&gathered, &mut products, scratch);
        for (&row, products) in rows.iter().zip(products.chunks_exact(n)) {
            out[row * n..][..n].copy_from_slice(products);
        }
    }
}

/// `out[t] = Σⱼ weights[t, j] · x[t·k + j]`.
pub(crate) fn combine(x: &[f32], weights: &[f32], k: usize, cols: usize, out: &mut [f32]) {
    for ((x, weights), out) in x.chunks_exact(k * cols).zip(weights.chunks_exact(k)).zip(out.chunks_exact_mut(cols)) {
        out.fill(0.0);
        for (x, w) in x.chunks_exact(cols).zip(weights) {
            out.iter_mut().zip(x).for_each(|(out, x)| *out += w * x);
        }
    }
}
