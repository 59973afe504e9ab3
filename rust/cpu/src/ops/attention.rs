//! Attention with a running soft-max over tiles of keys; keys that no query of the block sees are never read.
//!
//! Keys are stored column by column (see [`crate::kv`]), so that a vector holds one column of neighbouring positions
//! and scores come out side by side; values are stored in rows. Both are widened as they are loaded, once for up to
//! [`ROWS`] queries; for more than [`FEW`] queries, a whole tile is widened beforehand.
//!
//! Closures never handle vectors: they are compiled without the processor features of the function around them, and
//! every instruction becomes a call.

use std::ops::Range;

use chord_program::{Mask, SlotId};

use super::math::exp;
use super::splits::{Split, UNSEEN};
use super::token_block::TokenBlock;
use crate::kv::{CELLS, Element, Head};
use crate::memory::View;
use crate::simd::Float;

/// Positions handled together: their weights stay in the nearest cache.
const KEY_TILE: usize = 128;
/// Queries handled together.
const ROWS: usize = 4;
/// Most queries for which narrow keys and values are widened each time they are loaded.
const FEW: usize = 2 * ROWS;

/// Parameters of attention.
pub(crate) struct Params<'a> {
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

/// All query heads of one KV head for the tokens of one block.
pub(crate) struct HeadGroup<'a, T> {
    pub(crate) params: &'a Params<'a>,
    pub(crate) kv_head: usize,
    pub(crate) block: &'a TokenBlock,
    /// Which of the positions seen to attend to; all of them without a split.
    pub(crate) split: Option<Split<'a>>,
    /// Position of each row of the batch.
    pub(crate) pos: &'a [u32],
    /// Keys and values of the head.
    pub(crate) head: Head<'a, T>,
    /// `[T, n_heads · k_dim]`.
    pub(crate) q: View<'a>,
    /// `[T, n_heads · v_dim]`.
    pub(crate) out: View<'a>,
}

/// Memory that attention keeps between calls.
#[derive(Default)]
pub(crate) struct Scratch {
    /// Weighted sums of values, `[queries, stride of values]`.
    sums: Vec<f32>,
    /// Scores and then weights of a tile, `[ROWS, KEY_TILE]`.
    weights: Vec<f32>,
    running: Vec<Running>,
    /// Keys and values of a tile, widened.
    wide: [Vec<f32>; 2],
}

/// Soft-max so far of one query: the largest score and the sum of exponentials relative to it.
#[derive(Clone, Copy)]
struct Running {
    max: f32,
    sum: f32,
}

/// Keys and values of some cells, the first of which begins a block of keys.
struct Tile<E> {
    k: *const E,
    v: *const E,
    /// Positions of the cells that are attended to.
    positions: Range<u32>,
    /// Cells before them.
    skipped: usize,
    /// Cells in all, padded to whole blocks of keys.
    padded: usize,
}

/// The cells of a tile that are seen, counted from its first one.
#[derive(Clone, Copy, Default)]
struct Seen {
    from: usize,
    to: usize,
}

/// `softmax(scale · q kᵀ + mask) · v`.
///
/// # Safety
/// The processor has `I`; the rule of [`crate::memory`] for the heads' parts of `q`, the cache and `out`.
#[inline(always)]
pub(crate) unsafe fn attend<I: Float, E: Element>(heads: &HeadGroup<'_, E>, scratch: &mut Scratch) {
    let HeadGroup { params, block, head, .. } = heads;
    let group = params.n_heads / params.n_kv_heads;
    let n_queries = block.rows.len() * group;
    let stride = head.v_stride;
    let Scratch { sums, weights, running, .. } = scratch;
    sums.clear();
    sums.resize(n_queries * stride, 0.0);
    weights.resize(ROWS * KEY_TILE, 0.0);
    running.clear();
    let (mut first, mut last) = (u32::MAX, 0);
    for row in block.rows.clone() {
        let seen = block.seen(params.mask, heads.pos[row]);
        (first, last) = (first.min(seen.start), last.max(seen.end));
        // Sinks count once: in the first split.
        let sinks = params.sinks.filter(|_| heads.split.as_ref().is_none_or(|split| split.index == 0));
        running.extend((0..group).map(|h| match sinks {
            Some(sinks) => Running { max: sinks[heads.kv_head * group + h], sum: 1.0 },
            None => Running { max: UNSEEN, sum: 0.0 },
        }));
    }
    if let Some(split) = &heads.split {
        (first, last) = (first.max(split.positions.start), last.min(split.positions.end));
    }
    let mut next = first;
    while next < last {
        // Cells from a multiple of CELLS on, up to the end of the ring.
        let cell = next as usize % head.capacity;
        let start = cell / CELLS * CELLS;
        let skipped = cell - start;
        let n = (last - next) as usize;
        let n = n.min(head.capacity - cell).min(KEY_TILE - skipped);
        let positions = next..next + n as u32;
        let padded = (skipped + n).next_multiple_of(CELLS);
        next = positions.end;
        // SAFETY: the caller's promise.
        unsafe {
            let (k, v) = (head.k.add(start * params.k_dim), head.v.add(start * stride));
            if size_of::<E>() < size_of::<f32>() && n_queries > FEW {
                let Scratch { wide: [keys, values], .. } = scratch;
                widen::<I, E>(k, padded * params.k_dim, keys, head.is_finite);
                widen::<I, E>(v, padded * stride, values, head.is_finite);
                let (k, v) = (keys.as_ptr(), values.as_ptr());
                attend_tile::<I, E, f32>(heads, &Tile { k, v, positions, skipped, padded }, scratch);
            } else if I::FINITE_F16_IS_FASTER && size_of::<E>() < size_of::<f32>() && head.is_finite {
                let (k, v) = (k.cast::<E::Finite>(), v.cast());
                attend_tile::<I, E, E::Finite>(heads, &Tile { k, v, positions, skipped, padded }, scratch);
            } else {
                attend_tile::<I, E, E>(heads, &Tile { k, v, positions, skipped, padded }, scratch);
            }
        }
    }
    let Scratch { sums, running, .. } = scratch;
    for (query, running) in running.iter().enumerate() {
        let (row, h) = (block.rows.start + query / group, heads.kv_head * group + query % group);
        if let Some(split) = &heads.split {
            // SAFETY: the caller's promise.
            unsafe { split.store(row, h, &sums[query * stride..][..params.v_dim], running.max, running.sum) };
            continue;
        }
        // SAFETY: the caller's promise.
        let out = unsafe { heads.out.part_mut(row, h * params.v_dim..(h + 1) * params.v_dim) };
        let inverse = 1.0 / running.sum;
        out.iter_mut().zip(&sums[query * stride..]).for_each(|(out, sum)| *out = sum * inverse);
    }
}

/// Widens `n` elements, which fill whole vectors.
#[inline(always)]
unsafe fn widen<I: Float, E: Element>(from: *const E, n: usize, to: &mut Vec<f32>, is_finite: bool) {
    if to.len() < n {
        to.resize(n, 0.0);
    }
    let to = to.as_mut_ptr();
    // SAFETY: the caller's promise, and there is room.
    unsafe {
        let widener = I::widener();
        if I::FINITE_F16_IS_FASTER && is_finite {
            let from = from.cast::<E::Finite>();
            for at in (0..n).step_by(I::LANES) {
                I::store_f32(to.add(at), E::Finite::load::<I>(from.add(at), widener));
            }
        } else {
            for at in (0..n).step_by(I::LANES) {
                I::store_f32(to.add(at), E::load::<I>(from.add(at), widener));
            }
        }
    }
}

/// Adds a tile to the sums of all queries of a heads; it may have been widened from the heads's elements.
#[inline(always)]
unsafe fn attend_tile<I: Float, J: Element, E: Element>(
    heads: &HeadGroup<'_, J>,
    tile: &Tile<E>,
    scratch: &mut Scratch,
) {
    let Scratch { sums, weights, running, .. } = scratch;
    let HeadGroup { params, block, .. } = heads;
    let group = params.n_heads / params.n_kv_heads;
    let (stride, positions) = (heads.head.v_stride, &tile.positions);
    let mut start = 0;
    while start < running.len() {
        let n_rows = ROWS.min(running.len() - start);
        let mut seen = [Seen::default(); ROWS];
        let mut union = Seen { from: usize::MAX, to: 0 };
        for (r, seen) in seen[..n_rows].iter_mut().enumerate() {
            let all = block.seen(params.mask, heads.pos[block.rows.start + (start + r) / group]);
            let (from, to) = (all.start.max(positions.start), all.end.min(positions.end));
            if from < to {
                let cell = |position: u32| tile.skipped + (position - positions.start) as usize;
                *seen = Seen { from: cell(from), to: cell(to) };
                union = Seen { from: union.from.min(seen.from), to: union.to.max(seen.to) };
            }
        }
        if union.to > 0 {
            // SAFETY: the caller's promise.
            unsafe {
                match n_rows {
                    1 => scores::<I, E, 1>(queries(heads, start), params, tile, weights),
                    2 => scores::<I, E, 2>(queries(heads, start), params, tile, weights),
                    3 => scores::<I, E, 3>(queries(heads, start), params, tile, weights),
                    _ => scores::<I, E, ROWS>(queries(heads, start), params, tile, weights),
                }
                for r in 0..n_rows {
                    let weights = &mut weights[r * KEY_TILE..][..tile.padded];
                    let sums = &mut sums[(start + r) * stride..][..stride];
                    soft_max::<I>(weights, seen[r], params, &mut running[start + r], sums);
                }
                let sums = &mut sums[start * stride..(start + n_rows) * stride];
                match n_rows {
                    1 => add_values::<I, E, 1>(tile.v, stride, union, weights, sums),
                    2 => add_values::<I, E, 2>(tile.v, stride, union, weights, sums),
                    3 => add_values::<I, E, 3>(tile.v, stride, union, weights, sums),
                    _ => add_values::<I, E, ROWS>(tile.v, stride, union, weights, sums),
                }
            }
        }
        start += n_rows;
    }
}

/// `R` queries from `start` on.
#[inline(always)]
unsafe fn queries<E, const R: usize>(heads: &HeadGroup<'_, E>, start: usize) -> [*const f32; R] {
    let group = heads.params.n_heads / heads.params.n_kv_heads;
    let dim = heads.params.k_dim;
    std::array::from_fn(|r| {
        let (row, h) = (heads.block.rows.start + (start + r) / group, heads.kv_head * group + (start + r) % group);
        // SAFETY: the caller's promise.
        unsafe { heads.q.part(row, h * dim..(h + 1) * dim).as_ptr() }
    })
}

/// Scores of `R` queries against a tile: two vectors of positions at a time.
#[inline(always)]
unsafe fn scores<I: Float, E: Element, const R: usize>(
    q: [*const f32; R],
    params: &Params<'_>,
    tile: &Tile<E>,
    scores: &mut [f32],
) {
    let (dim, padded) = (params.k_dim, tile.padded);
    // SAFETY: the caller's promise.
    unsafe {
        let widener = I::widener();
        let k = |at: usize| tile.k.add(at / CELLS * CELLS * dim + at % CELLS);
        let mut at = 0;
        while at < padded {
            let two = at + 2 * I::LANES <= padded;
            let (first, second) = (k(at), k(if two { at + I::LANES } else { at }));
            let mut sums = [[I::splat_f32(0.0); 2]; R];
            if two {
                for d in 0..dim {
                    let keys =
                        [E::load::<I>(first.add(d * CELLS), widener), E::load::<I>(second.add(d * CELLS), widener)];
                    for r in 0..R {
                        let q = I::splat_f32(*q[r].add(d));
                        sums[r] = [I::mul_add(q, keys[0], sums[r][0]), I::mul_add(q, keys[1], sums[r][1])];
                    }
                }
            } else {
                for d in 0..dim {
                    let key = E::load::<I>(first.add(d * CELLS), widener);
                    for r in 0..R {
                        sums[r][0] = I::mul_add(I::splat_f32(*q[r].add(d)), key, sums[r][0]);
                    }
                }
            }
            let scale = I::splat_f32(params.scale);
            for r in 0..R {
                let place = scores[r * KEY_TILE + at..].as_mut_ptr();
                I::store_f32(place, I::mul(sums[r][0], scale));
                if two {
                    I::store_f32(place.add(I::LANES), I::mul(sums[r][1], scale));
                }
            }
            at += if two { 2 * I::LANES } else { I::LANES };
        }
    }
}

/// Turns scores into weights and adds them to the running soft-max. Cells that are not seen weigh nothing.
#[inline(always)]
unsafe fn soft_max<I: Float>(
    scores: &mut [f32],
    seen: Seen,
    params: &Params<'_>,
    running: &mut Running,
    sums: &mut [f32],
) {
    if seen.from == seen.to {
        scores.fill(0.0);
        return;
    }
    if let Some(cap) = params.soft_cap {
        scores.iter_mut().for_each(|s| *s = cap * (*s / cap).tanh());
    }
    scores[..seen.from].fill(UNSEEN);
    scores[seen.to..].fill(UNSEEN);
    // SAFETY: the caller's promise; scores are whole vectors.
    unsafe {
        let mut largest = I::splat_f32(running.max);
        for at in (0..scores.len()).step_by(I::LANES) {
            largest = I::max(largest, I::load_f32(scores[at..].as_ptr()));
        }
        let max = lanes::<I>(largest).into_iter().take(I::LANES).fold(UNSEEN, f32::max);
        if max > running.max {
            let shrink = (running.max - max).exp();
            sums.iter_mut().for_each(|sum| *sum *= shrink);
            *running = Running { max, sum: running.sum * shrink };
        }
        let mut total = I::splat_f32(0.0);
        let shift = I::splat_f32(running.max);
        for at in (0..scores.len()).step_by(I::LANES) {
            let place = scores[at..].as_mut_ptr();
            let weight = exp::<I>(I::sub(I::load_f32(place), shift));
            I::store_f32(place, weight);
        }
        scores[..seen.from].fill(0.0);
        scores[seen.to..].fill(0.0);
        for at in (0..scores.len()).step_by(I::LANES) {
            total = I::add(total, I::load_f32(scores[at..].as_ptr()));
        }
        running.sum += lanes::<I>(total).into_iter().take(I::LANES).sum::<f32>();
    }
}

/// The lanes of a vector, and zeros.
#[inline(always)]
unsafe fn lanes<I: Float>(v: I::F) -> [f32; 16] {
    let mut lanes = [0.0; 16];
    // SAFETY: the caller's promise; no vector has more lanes.
    unsafe { I::store_f32(lanes.as_mut_ptr(), v) };
    lanes
}

/// Adds the weighted values of the cells in `union` to the sums of `R` queries: two vectors of columns at a time.
#[inline(always)]
unsafe fn add_values<I: Float, E: Element, const R: usize>(
    v: *const E,
    stride: usize,
    union: Seen,
    weights: &[f32],
    sums: &mut [f32],
) {
    // SAFETY: the caller's promise; a stride is whole vectors.
    unsafe {
        let widener = I::widener();
        let (weights, base) = (weights.as_ptr(), sums.as_mut_ptr());
        let mut at = 0;
        while at < stride {
            let two = at + 2 * I::LANES <= stride;
            let second = if two { I::LANES } else { 0 };
            let place = |r: usize| base.add(r * stride + at);
            let mut parts = [[I::splat_f32(0.0); 2]; R];
            for (r, part) in parts.iter_mut().enumerate() {
                *part = [I::load_f32(place(r)), I::load_f32(place(r).add(second))];
            }
            for cell in union.from..union.to {
                let v = v.add(cell * stride + at);
                let values = [E::load::<I>(v, widener), E::load::<I>(v.add(second), widener)];
                for (r, part) in parts.iter_mut().enumerate() {
                    let weight = I::splat_f32(*weights.add(r * KEY_TILE + cell));
                    *part = [I::mul_add(weight, values[0], part[0]), I::mul_add(weight, values[1], part[1])];
                }
            }
            for (r, part) in parts.into_iter().enumerate() {
                I::store_f32(place(r).add(second), part[1]);
                I::store_f32(place(r), part[0]);
            }
            at += second + I::LANES;
        }
    }
}
