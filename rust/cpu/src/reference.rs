//! The definition of every op: scalar, in the order of the formula, sums in f64. Slow on purpose.
//!
//! Matrices are row-major. Tests of executors compare with these functions.

use chord_program::{Activation, Gating, Mask, RopePairing, RopeTable};

fn activate(x: f64, act: Activation) -> f64 {
    match act {
        Activation::Silu => x / (1.0 + (-x).exp()),
        Activation::GeluTanh => {
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x);
            0.5 * x * (1.0 + inner.tanh())
        }
        Activation::ReluSquared => x.max(0.0).powi(2),
    }
}

fn map(x: &[f32], f: impl Fn(f64) -> f64) -> Vec<f32> {
    x.iter().map(|&x| f(f64::from(x)) as f32).collect()
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

/// `out[t] = scale · weight[ids[t]]`; `weight` is `[n_vocab, cols]`.
pub fn embed(ids: &[u32], weight: &[f32], cols: usize, scale: f32) -> Vec<f32> {
    ids.iter().flat_map(|&id| map(&weight[id as usize * cols..][..cols], |w| w * f64::from(scale))).collect()
}

/// Root mean square norm of each group of `group` elements; `weight` is `[group]`.
pub fn rms_norm(x: &[f32], weight: Option<&[f32]>, group: usize, eps: f32) -> Vec<f32> {
    let norm = |x: &[f32]| {
        let factor = 1.0 / (dot(x, x) / group as f64 + f64::from(eps)).sqrt();
        let weight = |i: usize| weight.map_or(1.0, |w| f64::from(w[i]));
        x.iter().enumerate().map(|(i, &x)| (f64::from(x) * factor * weight(i)) as f32).collect::<Vec<_>>()
    };
    x.chunks_exact(group).flat_map(norm).collect()
}

/// Norm to mean 0 and variance 1 of each row; `weight` and `bias` are `[cols]`.
pub fn layer_norm(x: &[f32], weight: &[f32], bias: Option<&[f32]>, eps: f32) -> Vec<f32> {
    let cols = weight.len();
    let norm = |x: &[f32]| {
        let mean = x.iter().map(|&x| f64::from(x)).sum::<f64>() / cols as f64;
        let variance = x.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / cols as f64;
        let factor = 1.0 / (variance + f64::from(eps)).sqrt();
        let bias = |i: usize| bias.map_or(0.0, |b| f64::from(b[i]));
        let one = |(i, &x): (usize, &f32)| ((f64::from(x) - mean) * factor * f64::from(weight[i]) + bias(i)) as f32;
        x.iter().enumerate().map(one).collect::<Vec<_>>()
    };
    x.chunks_exact(cols).flat_map(norm).collect()
}

/// `scale · x · weightᵀ + bias`; `x` is `[rows, cols]`, `weight` is `[n, cols]`, `bias` is `[n]`.
pub fn matmul(x: &[f32], weight: &[f32], cols: usize, bias: Option<&[f32]>, scale: f32) -> Vec<f32> {
    let row = |x: &[f32]| {
        let one =
            |(i, w): (usize, &[f32])| (f64::from(scale) * dot(x, w) + bias.map_or(0.0, |b| f64::from(b[i]))) as f32;
        weight.chunks_exact(cols).enumerate().map(one).collect::<Vec<_>>()
    };
    x.chunks_exact(cols).flat_map(row).collect()
}

/// Row `t·k + j` of the result is row `t` of `x` (or `t·k + j`, if it has that many) times `weight[ids[t, j]]ᵀ`.
/// `weight` is `[experts, n, cols]`, `ids` is `[T, k]`.
pub fn matmul_id(x: &[f32], ids: &[u32], k: usize, weight: &[f32], n: usize, cols: usize) -> Vec<f32> {
    let shared = x.len() / cols == ids.len() / k;
    let row = |(i, &id): (usize, &u32)| {
        let x = &x[if shared { i / k } else { i } * cols..][..cols];
        matmul(x, &weight[id as usize * n * cols..][..n * cols], cols, None, 1.0)
    };
    ids.iter().enumerate().flat_map(row).collect()
}

/// `a + scale · b`.
pub fn add(a: &[f32], b: &[f32], scale: f32) -> Vec<f32> {
    a.iter().zip(b).map(|(&a, &b)| (f64::from(a) + f64::from(scale) * f64::from(b)) as f32).collect()
}

/// Rotates the first `table.n_rot()` columns of each head by the position of its row; `x` is `[T, n_heads · head_dim]`.
pub fn rope(x: &[f32], pos: &[u32], table: &RopeTable, head_dim: usize, pairing: RopePairing) -> Vec<f32> {
    let cols = x.len() / pos.len();
    let half = table.inv_freq.len();
    let mut out = x.to_vec();
    for (row, &pos) in out.chunks_exact_mut(cols).zip(pos) {
        for head in row.chunks_exact_mut(head_dim) {
            for (i, freq) in table.inv_freq.iter().enumerate() {
                let (a, b) = match pairing {
                    RopePairing::Interleaved => (2 * i, 2 * i + 1),
                    RopePairing::Halves => (i, i + half),
                };
                let (sin, cos) = (f64::from(pos) * freq).sin_cos();
                let (x, y) = (f64::from(head[a]), f64::from(head[b]));
                head[a] = ((x * cos - y * sin) * table.magnitude) as f32;
                head[b] = ((x * sin + y * cos) * table.magnitude) as f32;
            }
        }
    }
    out
}

/// Keys and values of any number of positions and sequences, in any order.
#[derive(Clone, Copy, Debug)]
pub struct KeyValues<'a> {
    /// `[n_keys, n_kv_heads · k_dim]`.
    pub k: &'a [f32],
    /// `[n_keys, n_kv_heads · v_dim]`.
    pub v: &'a [f32],
    /// Position of each key.
    pub pos: &'a [u32],
    /// Sequence of each key.
    pub seq: &'a [u32],
}

/// Parameters of attention besides its inputs.
#[derive(Clone, Copy, Debug)]
pub struct AttentionShape<'a> {
    /// Query heads.
    pub n_heads: usize,
    /// Key and value heads.
    pub n_kv_heads: usize,
    /// Factor on `q kᵀ`.
    pub scale: f32,
    /// Which keys are seen.
    pub mask: Mask,
    /// `cap · tanh(score / cap)`.
    pub soft_cap: Option<f32>,
    /// A logit for each head that takes part in the soft-max only.
    pub sinks: Option<&'a [f32]>,
}

/// `softmax(scale · q kᵀ + mask) · v`; `q` is `[T, n_heads · k_dim]`, its rows at `pos` of `seq`.
pub fn attention(q: &[f32], pos: &[u32], seq: &[u32], kv: KeyValues<'_>, shape: AttentionShape<'_>) -> Vec<f32> {
    let n_keys = kv.pos.len();
    let k_dim = kv.k.len() / n_keys / shape.n_kv_heads;
    let v_dim = kv.v.len() / n_keys / shape.n_kv_heads;
    let group = shape.n_heads / shape.n_kv_heads;
    let mut out = Vec::with_capacity(pos.len() * shape.n_heads * v_dim);
    for (t, (&pos, &seq)) in pos.iter().zip(seq).enumerate() {
        let seen = |&j: &usize| {
            kv.seq[j] == seq
                && match shape.mask {
                    Mask::Causal { window } => kv.pos[j] <= pos && window.is_none_or(|w| pos - kv.pos[j] < w),
                    Mask::Bidirectional => true,
                }
        };
        let keys: Vec<usize> = (0..n_keys).filter(seen).collect();
        for head in 0..shape.n_heads {
            let q = &q[(t * shape.n_heads + head) * k_dim..][..k_dim];
            let at = |j: usize, dim: usize| (j * shape.n_kv_heads + head / group) * dim;
            let score = |&j: &usize| {
                let score = f64::from(shape.scale) * dot(q, &kv.k[at(j, k_dim)..][..k_dim]);
                shape.soft_cap.map_or(score, |cap| f64::from(cap) * (score / f64::from(cap)).tanh())
            };
            let scores: Vec<f64> = keys.iter().map(score).collect();
            let sink = shape.sinks.map(|s| f64::from(s[head]));
            let max = scores.iter().copied().chain(sink).fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = scores.iter().copied().chain(sink).map(|s| (s - max).exp()).sum();
            out.extend((0..v_dim).map(|d| {
                let weighted =
                    keys.iter().zip(&scores).map(|(&j, s)| (s - max).exp() * f64::from(kv.v[at(j, v_dim) + d]));
                (weighted.sum::<f64>() / sum) as f32
            }));
        }
    }
    out
}

/// `act(gate) · up`.
pub fn glu(gate: &[f32], up: &[f32], act: Activation) -> Vec<f32> {
    gate.iter().zip(up).map(|(&g, &u)| (activate(f64::from(g), act) * f64::from(u)) as f32).collect()
}

/// `act(x)`.
pub fn act(x: &[f32], act: Activation) -> Vec<f32> {
    map(x, |x| activate(x, act))
}

/// The `k` best of each row of `experts` logits, best first and the lower id among equals, and their weights.
pub fn route(logits: &[f32], experts: usize, k: usize, gating: Gating, scale: f32) -> (Vec<u32>, Vec<f32>) {
    let (mut ids, mut weights) = (Vec::new(), Vec::new());
    for row in logits.chunks_exact(experts) {
        let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let exp: Vec<f64> = row.iter().map(|&x| f64::from(x - max).exp()).collect();
        let sum: f64 = exp.iter().sum();
        let (gates, renormalize): (Vec<f64>, bool) = match gating {
            Gating::Softmax { renormalize } => (exp.iter().map(|e| e / sum).collect(), renormalize),
            Gating::Sigmoid { renormalize } => {
                (row.iter().map(|&x| 1.0 / (1.0 + (-f64::from(x)).exp())).collect(), renormalize)
            }
        };
        let mut order: Vec<usize> = (0..experts).collect();
        order.sort_by(|&a, &b| row[b].total_cmp(&row[a]));
        order.truncate(k);
        let total: f64 = if renormalize { order.iter().map(|&e| gates[e]).sum() } else { 1.0 };
        ids.extend(order.iter().map(|&e| e as u32));
        weights.extend(order.iter().map(|&e| (gates[e] / total * f64::from(scale)) as f32));
    }
    (ids, weights)
}

/// `out[t] = Σⱼ weights[t, j] · x[t·k + j]`; `x` is `[T·k, cols]`.
pub fn combine_experts(x: &[f32], weights: &[f32], k: usize, cols: usize) -> Vec<f32> {
    let mut out = Vec::with_capacity(x.len() / k);
    for (x, weights) in x.chunks_exact(k * cols).zip(weights.chunks_exact(k)) {
        out.extend((0..cols).map(|c| {
            weights.iter().enumerate().map(|(j, &w)| f64::from(w) * f64::from(x[j * cols + c])).sum::<f64>() as f32
        }));
    }
    out
}

/// `out[r] = x[rows[r]]`.
pub fn gather_rows(x: &[f32], rows: &[u32], cols: usize) -> Vec<f32> {
    rows.iter().flat_map(|&r| &x[r as usize * cols..][..cols]).copied().collect()
}

/// `cap · tanh(x / cap)`.
pub fn soft_cap(x: &[f32], cap: f32) -> Vec<f32> {
    map(x, |x| f64::from(cap) * (x / f64::from(cap)).tanh())
}

/// `scale · x`.
pub fn scale(x: &[f32], scale: f32) -> Vec<f32> {
    map(x, |x| x * f64::from(scale))
}

/// Index of the highest value, the lowest among equals; `None` if a value is NaN or there is none.
pub fn argmax(x: &[f32]) -> Option<u32> {
    if x.iter().any(|x| x.is_nan()) {
        return None;
    }
    (0..x.len()).reduce(|best, i| if x[i] > x[best] { i } else { best }).map(|i| i as u32)
}
