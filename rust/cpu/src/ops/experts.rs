//! Mixtures of experts: choosing them, multiplying by the chosen ones, and combining the products.

use std::ops::Range;

use chord_program::Gating;

use crate::matmul::Activations;
use crate::matmul::weights::{Matrix, Weights};
use crate::memory::View;

/// Memory that is kept between calls.
pub(crate) struct Scratch {
    /// A row of weights as the file stores it.
    pub(crate) bytes: Vec<u8>,
    /// Rows sorted by expert.
    pub(crate) order: Vec<u32>,
    /// Rows of one expert: those with all bits, and the coarse ones.
    activations: [Activations; 2],
}

impl Scratch {
    pub(crate) fn new(weights: &Weights) -> Self {
        let activations = [weights.activation_type().code_bytes(), 1].map(|code_bytes| weights.rows(code_bytes));
        Scratch { bytes: Vec::new(), order: Vec::new(), activations }
    }
}

/// Chooses as many experts from one row of logits as `ids` holds, best first and the lower id among equals, and
/// computes their weights.
pub(crate) fn route(
    logits: &[f32],
    gating: Gating,
    scale: f32,
    ids: &mut [u32],
    weights: &mut [f32],
    order: &mut Vec<u32>,
) {
    order.clear();
    order.extend(0..logits.len() as u32);
    order.sort_unstable_by(|&a, &b| logits[b as usize].total_cmp(&logits[a as usize]).then(a.cmp(&b)));
    ids.copy_from_slice(&order[..ids.len()]);
    let max = logits[ids[0] as usize];
    let chosen = ids.iter().map(|&e| logits[e as usize]);
    let renormalize = match gating {
        Gating::Softmax { renormalize } => {
            let sum: f32 = logits.iter().map(|x| (x - max).exp()).sum();
            weights.iter_mut().zip(chosen).for_each(|(w, x)| *w = (x - max).exp() / sum);
            renormalize
        }
        Gating::Sigmoid { renormalize } => {
            weights.iter_mut().zip(chosen).for_each(|(w, x)| *w = 1.0 / (1.0 + (-x).exp()));
            renormalize
        }
    };
    let total: f32 = if renormalize { weights.iter().sum() } else { 1.0 };
    weights.iter_mut().for_each(|w| *w = *w / total * scale);
}

/// Computes columns `cols` of `out`: each row is the row of `x` that belongs to it, times its expert. Rows of one
/// expert are multiplied together, except that those in `coarse` have 8 bits and are multiplied on their own.
///
/// `ids` is `[T, k]`, `out` is `[T·k, n]`, `x` has `T` or `T·k` rows, `expert` returns an expert's matrix, `coarse`
/// names rows of `out`.
///
/// # Safety
/// The rule of [`crate::memory`] for these columns.
pub(crate) unsafe fn multiply<'a>(
    x: &[f32],
    ids: &[u32],
    expert: impl Fn(usize) -> Matrix<'a>,
    cols: Range<usize>,
    out: View<'_>,
    coarse: Range<usize>,
    scratch: &mut Scratch,
) {
    let Scratch { order, activations, .. } = scratch;
    order.clear();
    order.extend(0..ids.len() as u32);
    let kind = |i: u32| (ids[i as usize], coarse.contains(&(i as usize)));
    order.sort_unstable_by_key(|&i| (kind(i), i));
    for rows in order.chunk_by(|&a, &b| kind(a) == kind(b)) {
        let activations = &mut activations[usize::from(kind(rows[0]).1)];
        let matrix = expert(ids[rows[0] as usize] as usize);
        let rows_per_input = ids.len() / (x.len() / matrix.cols());
        let is_rounded = matrix.takes_codes();
        let selected = rows.iter().map(|&row| row as usize);
        let filler = activations.prepare(selected, rows_per_input, matrix.cols(), is_rounded, !is_rounded);
        // SAFETY: `x` has a row for each that was selected, the activations are this worker's own, and the columns of
        // `out` are the caller's promise.
        unsafe {
            filler.fill(x.as_ptr(), 0..filler.n_panels());
            matrix.multiply(activations, cols.clone(), out.pointer(0, cols.start), out.cols);
        }
    }
}

/// `out = Σⱼ weights[j] · x(j)`.
pub(crate) fn combine<'a>(x: impl Fn(usize) -> &'a [f32], weights: &[f32], out: &mut [f32]) {
    out.fill(0.0);
    for (j, w) in weights.iter().enumerate() {
        out.iter_mut().zip(x(j)).for_each(|(out, x)| *out += w * x);
    }
}
