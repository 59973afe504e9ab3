//! Attention with a running soft-max over tiles of keys; keys that no query of the tile sees are never touched.

use std::ops::Range;

use chord_program::{Mask, SlotId};

use super::dot::tile;
use crate::kv::KvCache;

/// Keys fetched together: their columns stay in the cache while all queries pass over them.
const KEY_TILE: u32 = 256;

/// What attention does beyond its inputs.
pub(crate) struct Shape<'a> {
    pub(crate) slot: SlotId,
    pub(crate) n_heads: usize,
    pub(crate) n_kv_heads: usize,
    pub(crate) k_dim: usize,
    pub(crate) v_dim: usize,
    pub(crate) scale: f32,
    pub(crate) mask: Mask,
    pub(crate) soft_cap: Option<f32>,
    pub(crate) sinks: Option<&'a [f32]>,
}

/// Memory that attention keeps between calls.
#[derive(Default)]
pub(crate) struct Scratch {
    k: Vec<f32>,
    v: Vec<f32>,
    scores: Vec<f32>,
    running: Vec<Running>,
}

/// Soft-max so far of one query: the largest score and the sum of exponentials relative to it.
#[derive(Clone, Copy)]
struct Running {
    max: f32,
    sum: f32,
}

/// A query token: its row in the batch and the positions it sees.
struct Query {
    row: usize,
    seen: Range<u32>,
}

/// `softmax(scale · q kᵀ + mask) · v` into `out` `[T, n_heads · v_dim]`.
pub(crate) fn attention(
    shape: &Shape<'_>,
    cache: &KvCache,
    q: &[f32],
    pos: &[u32],
    seq: &[u32],
    out: &mut [f32],
    scratch: &mut Scratch,
) {
    let mut sequences = seq.to_vec();
    sequences.sort_unstable();
    sequences.dedup();
    for sequence in sequences {
        let queries = queries(shape.mask, pos, seq, sequence);
        for kv_head in 0..shape.n_kv_heads {
            one_head(shape, cache, q, sequence, kv_head, &queries, out, scratch);
        }
    }
}

fn queries(mask: Mask, pos: &[u32], seq: &[u32], sequence: u32) -> Vec<Query> {
    let rows = || (0..pos.len()).filter(|&row| seq[row] == sequence);
    let (first, last) = rows().fold((u32::MAX, 0), |(first, last), row| (first.min(pos[row]), last.max(pos[row])));
    let seen = |pos: u32| match mask {
        Mask::Causal { window } => window.map_or(0, |w| (pos + 1).saturating_sub(w))..pos + 1,
        Mask::Bidirectional => first..last + 1,
    };
    rows().map(|row| Query { row, seen: seen(pos[row]) }).collect()
}

/// All query heads that share one KV head, for the queries of one sequence.
#[allow(clippy::too_many_arguments)]
fn one_head(
    shape: &Shape<'_>,
    cache: &KvCache,
    q: &[f32],
    sequence: u32,
    kv_head: usize,
    queries: &[Query],
    out: &mut [f32],
    scratch: &mut Scratch,
) {
    let Scratch { k, v, scores, running } = scratch;
    let group = shape.n_heads / shape.n_kv_heads;
    let heads = kv_head * group..(kv_head + 1) * group;
    let start = |head: usize| match shape.sinks {
        Some(sinks) => Running { max: sinks[head], sum: 1.0 },
        None => Running { max: f32::NEG_INFINITY, sum: 0.0 },
    };
    running.clear();
    for query in queries {
        for head in heads.clone() {
            running.push(start(head));
            out[(query.row * shape.n_heads + head) * shape.v_dim..][..shape.v_dim].fill(0.0);
        }
    }
    let first = queries.iter().map(|q| q.seen.start).min().unwrap_or(0);
    let last = queries.iter().map(|q| q.seen.end).max().unwrap_or(0);
    let mut tile_start = first;
    while tile_start < last {
        let keys = tile_start..(tile_start + KEY_TILE).min(last);
        cache.read(shape.slot, sequence, kv_head, keys.clone(), [k, v]);
        for (query, running) in queries.iter().zip(running.chunks_exact_mut(group)) {
            let seen = query.seen.start.max(keys.start)..query.seen.end.min(keys.end);
            if seen.is_empty() {
                continue;
            }
            let (from, to) = ((seen.start - keys.start) as usize, (seen.end - keys.start) as usize);
            let k = &k[from * shape.k_dim..to * shape.k_dim];
            let v = &v[from * shape.v_dim..to * shape.v_dim];
            for (head, running) in heads.clone().zip(running) {
                let q = &q[(query.row * shape.n_heads + head) * shape.k_dim..][..shape.k_dim];
                let out = &mut out[(query.row * shape.n_heads + head) * shape.v_dim..][..shape.v_dim];
                score(q, k, shape, scores);
                accumulate(scores, v, running, out);
            }
        }
        tile_start = keys.end;
    }
    for (query, running) in queries.iter().zip(running.chunks_exact(group)) {
        for (head, running) in heads.clone().zip(running) {
            let out = &mut out[(query.row * shape.n_heads + head) * shape.v_dim..][..shape.v_dim];
            out.iter_mut().for_each(|out| *out /= running.sum);
        }
    }
}

/// Scores of one query against the keys `[n, k_dim]`.
fn score(q: &[f32], k: &[f32], shape: &Shape<'_>, scores: &mut Vec<f32>) {
    let dim = shape.k_dim;
    scores.clear();
    let mut fours = k.chunks_exact(4 * dim);
    for four in &mut fours {
        let [products] = tile([q], std::array::from_fn::<_, 4, _>(|i| &four[i * dim..][..dim]));
        scores.extend(products);
    }
    for key in fours.remainder().chunks_exact(dim) {
        let [[product]] = tile([q], [key]);
        scores.push(product);
    }
    scores.iter_mut().for_each(|s| *s *= shape.scale);
    if let Some(cap) = shape.soft_cap {
        scores.iter_mut().for_each(|s| *s = cap * (*s / cap).tanh());
    }
}

/// Takes the values `[n, v_dim]` into the running soft-max.
fn accumulate(scores: &mut [f32], v: &[f32], running: &mut Running, out: &mut [f32]) {
    let dim = out.len();
    let max = scores.iter().copied().fold(running.max, f32::max);
    if max > running.max {
        let shrink = (running.max - max).exp();
        out.iter_mut().for_each(|out| *out *= shrink);
        *running = Running { max, sum: running.sum * shrink };
    }
    scores.iter_mut().for_each(|s| *s = (*s - max).exp());
    running.sum += scores.iter().sum::<f32>();
    let (fours, rest) = scores.as_chunks::<4>();
    let (v_fours, v_rest) = v.split_at(4 * dim * fours.len());
    for ([a, b, c, d], v) in fours.iter().zip(v_fours.chunks_exact(4 * dim)) {
        let (v0, v) = v.split_at(dim);
        let (v1, v) = v.split_at(dim);
        let (v2, v3) = v.split_at(dim);
        for ((((out, v0), v1), v2), v3) in out.iter_mut().zip(v0).zip(v1).zip(v2).zip(v3) {
            *out += a * v0 + b * v1 + c * v2 + d * v3;
        }
    }
    for (weight, v) in rest.iter().zip(v_rest.chunks_exact(dim)) {
        out.iter_mut().zip(v).for_each(|(out, v)| *out += weight * v);
    }
}
