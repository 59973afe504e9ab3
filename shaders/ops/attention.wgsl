// softmax(scale · q kᵀ + mask) · v over one KV slot, with the running soft-max of Milakov and Gimelshein (2018).
//
// A row is one query head of one token. The rows that share a KV head are numbered token by token, and a workgroup
// takes a tile of ROWS of them, so that keys and values are read once for all heads of a group and for neighbouring
// tokens. It walks over the visible keys, 64 at a time: a lane scores one key against all rows, then owns one quad of
// the value columns for some rows. Keys that no row of the tile can see are never read.
//
// With SPLITS > 1 the keys of a tile are divided among that many workgroups, and each leaves its part for
// attention_merge: (max, sum, 0, 0) and the unnormalized values.
//
// GROUP: query heads per KV head. WINDOW: 0, or the number of last positions seen. SOFT_CAP: scores are capped.

#define N_KV_HEADS 1u
#define GROUP 1u
#define ROWS 16u
#define SPLITS 1u
#define K_QUADS 16u
#define V_QUADS 16u
#define WINDOW 0u

#include "include/batch.wgsl"
#include "include/grid.wgsl"
#include "include/kv.wgsl"
#include "include/window.wgsl"
#include "include/activation.wgsl"

override SCALE: f32;
#if SOFT_CAP
override CAP: f32;
#endif

const KEYS: u32 = 64u;  // keys per step, and lanes
const PARTS: u32 = KEYS / ROWS;  // lanes that search for the maximum of one row
const ROW_LANES: u32 = KEYS / V_QUADS;  // lanes that own the same columns of different rows
const OWNED: u32 = (ROWS + ROW_LANES - 1u) / ROW_LANES;  // rows that a lane owns
const HIDDEN: f32 = -1.0e30;  // score of a key that is not seen
const NO_TOKEN: u32 = 0xffffffffu;

@group(0) @binding(1) var<storage, read_write> q: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> k_cache: array<KvQuad>;
@group(0) @binding(3) var<storage, read> v_cache: array<KvQuad>;
// [T, heads, V_QUADS], or with SPLITS > 1 [T, heads, SPLITS, 1 + V_QUADS]
@group(0) @binding(4) var<storage, read_write> out: array<vec4<f32>>;

var<workgroup> q_tile: array<vec4<f32>, ROWS * K_QUADS>;
var<workgroup> weights: array<f32, ROWS * KEYS>;  // scores, then exp(score − max)
var<workgroup> part_max: array<f32, KEYS>;
var<workgroup> row_max: array<f32, ROWS>;
var<workgroup> row_decay: array<f32, ROWS>;  // factor on what was summed before the maximum rose
var<workgroup> row_token: array<u32, ROWS>;  // NO_TOKEN past the last row
var<workgroup> row_pos: array<u32, ROWS>;

@compute @workgroup_size(KEYS)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let unit = workgroup_index(workgroup, count);
    let n_rows = batch.n_tokens * GROUP;
    let split = unit % SPLITS;
    let kv_head = unit / SPLITS % N_KV_HEADS;
    let first_row = unit / (SPLITS * N_KV_HEADS) * ROWS;
    if first_row >= n_rows {
        return;
    }

    for (var i = lane; i < ROWS * K_QUADS; i += KEYS) {
        let row = first_row + i / K_QUADS;
        var value = vec4<f32>(0.0);
        if row < n_rows {
            let head = (row / GROUP * N_KV_HEADS + kv_head) * GROUP + row % GROUP;
            value = q[head * K_QUADS + i % K_QUADS] * SCALE;
        }
        q_tile[i] = value;
    }
    if lane < ROWS {
        let row = first_row + lane;
        let token = row / GROUP;
        row_token[lane] = select(NO_TOKEN, token, row < n_rows);
        row_pos[lane] = batch_pos(min(token, batch.n_tokens - 1u));
        row_max[lane] = HIDDEN;
    }
    workgroupBarrier();

    let quad = lane % V_QUADS;
    let first_owned = lane / V_QUADS;
    var acc: array<vec4<f32>, OWNED>;
    var sums: array<f32, OWNED>;

    let last_token = (min(first_row + ROWS, n_rows) - 1u) / GROUP;
    var token = first_row / GROUP;
    // Runs of tokens of one sequence: usually just one.
    while token <= last_token {
        let run_start = token;
        let seq = batch_seq(token);
        var low = 0xffffffffu;
        var high = 0u;
        while token <= last_token && batch_seq(token) == seq {
            let pos = batch_pos(token);
            low = min(low, first_visible(pos));
            high = max(high, pos);
            token += 1u;
        }
        let run_end = token;

        // This workgroup's share of the keys low ..= high, in whole steps.
        let steps = (high - low + KEYS) / KEYS;
        let share = (steps + SPLITS - 1u) / SPLITS * KEYS;
        let begin = low + split * share;
        let end = min(begin + share, high + 1u);

        for (var base = begin; base < end; base += KEYS) {
            // Scores of this lane's key.
            let key = base + lane;
            var scores: array<f32, ROWS>;
            for (var r = 0u; r < ROWS; r += 1u) {
                scores[r] = 0.0;
            }
            if key < end {
                let at = kv_row(seq, kv_head, key) * K_QUADS;
                for (var i = 0u; i < K_QUADS; i += 1u) {
                    let k = kv_unpack(k_cache[at + i]);
                    for (var r = 0u; r < ROWS; r += 1u) {
                        scores[r] += dot(q_tile[r * K_QUADS + i], k);
                    }
                }
            }
            for (var r = 0u; r < ROWS; r += 1u) {
                let pos = row_pos[r];
                let in_run = row_token[r] >= run_start && row_token[r] < run_end;
                let visible = in_run && key < end && key <= pos && key >= first_visible(pos);
#if SOFT_CAP
                let score = CAP * tanh_exact(scores[r] / CAP);
#else
                let score = scores[r];
#endif
                scores[r] = select(HIDDEN, score, visible);
                weights[r * KEYS + lane] = scores[r];
            }
            workgroupBarrier();

            // Each row's new maximum.
            {
                let row = lane % ROWS;
                var highest = HIDDEN;
                for (var j = lane / ROWS; j < KEYS; j += PARTS) {
                    highest = max(highest, weights[row * KEYS + j]);
                }
                part_max[lane] = highest;
            }
            workgroupBarrier();
            if lane < ROWS {
                var highest = row_max[lane];
                for (var part = 0u; part < PARTS; part += 1u) {
                    highest = max(highest, part_max[part * ROWS + lane]);
                }
                row_decay[lane] = exp(row_max[lane] - highest);
                row_max[lane] = highest;
            }
            workgroupBarrier();

            // Weights of this lane's key.
            for (var r = 0u; r < ROWS; r += 1u) {
                let weight = exp(min(scores[r] - row_max[r], 0.0));
                weights[r * KEYS + lane] = select(0.0, weight, scores[r] > 0.5 * HIDDEN);
            }
            workgroupBarrier();

            // Sum of the weighted values, for this lane's rows and columns.
            for (var n = 0u; n < OWNED; n += 1u) {
                let decay = row_decay[min(first_owned + n * ROW_LANES, ROWS - 1u)];
                acc[n] *= decay;
                sums[n] *= decay;
            }
            let n_keys = min(KEYS, end - base);
            for (var j = 0u; j < n_keys; j += 1u) {
                let v = kv_unpack(v_cache[kv_row(seq, kv_head, base + j) * V_QUADS + quad]);
                for (var n = 0u; n < OWNED; n += 1u) {
                    let weight = weights[min(first_owned + n * ROW_LANES, ROWS - 1u) * KEYS + j];
                    acc[n] += weight * v;
                    sums[n] += weight;
                }
            }
            workgroupBarrier();
        }
    }

    if first_owned >= ROW_LANES {
        return;
    }
    for (var n = 0u; n < OWNED; n += 1u) {
        let r = first_owned + n * ROW_LANES;
        let row = first_row + r;
        if r >= ROWS || row >= n_rows {
            continue;
        }
        let head = (row / GROUP * N_KV_HEADS + kv_head) * GROUP + row % GROUP;
#if SPLITS == 1u
        out[head * V_QUADS + quad] = acc[n] / max(sums[n], 1.0e-30);
#else
        let at = (head * SPLITS + split) * (1u + V_QUADS);
        out[at + 1u + quad] = acc[n];
        if quad == 0u {
            out[at] = vec4<f32>(row_max[r], sums[n], 0.0, 0.0);
        }
#endif
    }
}
