//! Norms, rotation, activations and the like: one pass over their input.

use chord_program::{Activation, RopePairing};

/// `x / √(mean(x²) + eps) · weight` for each group.
pub(crate) fn rms_norm(x: &[f32], weight: Option<&[f32]>, group: usize, eps: f32, out: &mut [f32]) {
    for (x, out) in x.chunks_exact(group).zip(out.chunks_exact_mut(group)) {
        let mean_square = sum_f64(x, |x| x * x) / group as f64;
        let factor = (1.0 / (mean_square + f64::from(eps)).sqrt()) as f32;
        match weight {
            Some(weight) => {
                for ((out, x), w) in out.iter_mut().zip(x).zip(weight) {
                    *out = x * factor * w;
                }
            }
            None => out.iter_mut().zip(x).for_each(|(out, x)| *out = x * factor),
        }
    }
}

/// `(x − mean) / √(var + eps) · weight + bias` for each row.
pub(crate) fn layer_norm(x: &[f32], weight: &[f32], bias: Option<&[f32]>, eps: f32, out: &mut [f32]) {
    let cols = weight.len();
    for (x, out) in x.chunks_exact(cols).zip(out.chunks_exact_mut(cols)) {
        let mean = sum_f64(x, |x| x) / cols as f64;
        let variance = sum_f64(x, |x| (x - mean) * (x - mean)) / cols as f64;
        let factor = 1.0 / (variance + f64::from(eps)).sqrt();
        for ((out, &x), &w) in out.iter_mut().zip(x).zip(weight) {
            *out = ((f64::from(x) - mean) * factor) as f32 * w;
        }
        if let Some(bias) = bias {
            out.iter_mut().zip(bias).for_each(|(out, b)| *out += b);
        }
    }
}

fn sum_f64(x: &[f32], f: impl Fn(f64) -> f64) -> f64 {
    let (chunks, rest) = x.as_chunks::<4>();
    let mut sums = [0.0f64; 4];
    for chunk in chunks {
        for lane in 0..4 {
            sums[lane] += f(f64::from(chunk[lane]));
        }
    }
    sums.iter().sum::<f64>() + rest.iter().map(|&x| f(f64::from(x))).sum::<f64>()
}

/// Turns pairs of columns of each head. `table` is `[n_ctx, n_rot]` of cosines and sines in turn.
pub(crate) fn rope(
    x: &[f32],
    pos: &[u32],
    table: &[f32],
    n_rot: usize,
    head_dim: usize,
    pairing: RopePairing,
    out: &mut [f32],
) {
    out.copy_from_slice(x);
    let cols = x.len() / pos.len().max(1);
    for (row, &pos) in out.chunks_exact_mut(cols.max(1)).zip(pos) {
        let (turns, _) = table[pos as usize * n_rot..][..n_rot].as_chunks::<2>();
        for head in row.chunks_exact_mut(head_dim) {
            match pairing {
                RopePairing::Interleaved => {
                    let (pairs, _) = head[..n_rot].as_chunks_mut::<2>();
                    for ([a, b], [cos, sin]) in pairs.iter_mut().zip(turns) {
                        (*a, *b) = (*a * cos - *b * sin, *a * sin + *b * cos);
                    }
                }
                RopePairing::Halves => {
                    let (low, high) = head[..n_rot].split_at_mut(n_rot / 2);
                    for ((a, b), [cos, sin]) in low.iter_mut().zip(high).zip(turns) {
                        (*a, *b) = (*a * cos - *b * sin, *a * sin + *b * cos);
                    }
                }
            }
        }
    }
}

/// One value through an activation.
#[inline(always)]
fn activate(x: f32, act: Activation) -> f32 {
    match act {
        Activation::Silu => x / (1.0 + (-x).exp()),
        Activation::GeluTanh => {
            const SQRT_2_OVER_PI: f32 = 0.797_884_6;
            0.5 * x * (1.0 + (SQRT_2_OVER_PI * x * (1.0 + 0.044715 * x * x)).tanh())
        }
        Activation::ReluSquared => x.max(0.0) * x.max(0.0),
    }
}

/// `act(gate) · up`.
pub(crate) fn glu(gate: &[f32], up: &[f32], act: Activation, out: &mut [f32]) {
    for ((out, &gate), &up) in out.iter_mut().zip(gate).zip(up) {
        *out = activate(gate, act) * up;
    }
}

/// `act(x)`.
pub(crate) fn act(x: &[f32], act: Activation, out: &mut [f32]) {
    out.iter_mut().zip(x).for_each(|(out, &x)| *out = activate(x, act));
}

/// `a + scale · b`.
pub(crate) fn add(a: &[f32], b: &[f32], scale: f32, out: &mut [f32]) {
    for ((out, a), b) in out.iter_mut().zip(a).zip(b) {
        *out = a + scale * b;
    }
}

/// `cap · tanh(x / cap)`.
pub(crate) fn soft_cap(x: &[f32], cap: f32, out: &mut [f32]) {
    out.iter_mut().zip(x).for_each(|(out, x)| *out = cap * (x / cap).tanh());
}

/// `scale · x`.
pub(crate) fn scale(x: &[f32], scale: f32, out: &mut [f32]) {
    out.iter_mut().zip(x).for_each(|(out, x)| *out = scale * x);
}

/// `x[rows[r]]`.
pub(crate) fn gather_rows(x: &[f32], rows: &[u32], cols: usize, out: &mut [f32]) {
    for (out, &row) in out.chunks_exact_mut(cols).zip(rows) {
        out.copy_from_slice(&x[row as usize * cols..][..cols]);
    }
}

/// `scale · product + bias`, in place.
pub(crate) fn scale_and_bias(out: &mut [f32], scale: f32, bias: Option<&[f32]>) {
    if scale != 1.0 {
        out.iter_mut().for_each(|out| *out *= scale);
    }
    if let Some(bias) = bias {
        for row in out.chunks_exact_mut(bias.len()) {
            row.iter_mut().zip(bias).for_each(|(out, b)| *out += b);
        }
    }
}
