// Rotates queries and keys by their positions (with NORM, normalizes them first) and stores keys and values in the KV
// cache: what rms_norm, rope and kv_write do one after the other. One workgroup takes one head of one token: first the
// query heads, then the KV heads, each with its values.

#define N_KV_HEADS 1u
#define HEAD_DIM 64u
#define WG_SIZE 64u
#include "include/batch.wgsl"
#include "include/grid.wgsl"
#include "include/reduce.wgsl"
#include "include/kv.wgsl"
#include "include/rotate_store.wgsl"

const K_QUADS: u32 = HEAD_DIM / 4u;

var<workgroup> head_in: array<f32, HEAD_DIM>;

// Column `col` of the head after its rotation; `pos` is its token's position.
fn turned(col: u32, pos: u32) -> f32 {
    let n_pairs = N_ROT / 2u;
    if col >= N_ROT {
        return head_in[col];
    }
#if INTERLEAVED
    let pair = col / 2u;
    let is_second = (col & 1u) == 1u;
    let u = head_in[2u * pair];
    let v = head_in[2u * pair + 1u];
#else
    let is_second = col >= n_pairs;
    let pair = select(col, col - n_pairs, is_second);
    let u = head_in[pair];
    let v = head_in[pair + n_pairs];
#endif
    let turn = table[pos * n_pairs + pair];
    return select(u * turn.x - v * turn.y, u * turn.y + v * turn.x, is_second);
}

@compute @workgroup_size(WG_SIZE)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(num_workgroups) count: vec3<u32>, at: Lanes) {
    let unit = workgroup_index(workgroup, count);
    let token = unit / (N_HEADS + N_KV_HEADS);
    if token >= batch.n_tokens {
        return;
    }
    let head = unit - token * (N_HEADS + N_KV_HEADS);
    let is_key = head >= N_HEADS;
    let kv_head = head - N_HEADS;  // valid where is_key
    let base = select(Q_AT + (token * N_HEADS + head) * HEAD_DIM, K_AT + (token * N_KV_HEADS + kv_head) * HEAD_DIM, is_key);

#if NORM
    var square = 0.0;
    for (var i = at.lane; i < HEAD_DIM; i += WG_SIZE) {
        square += arena[base + i] * arena[base + i];
    }
    let factor = 1.0 / sqrt(workgroup_sum(square, at) / f32(HEAD_DIM) + select(Q_EPS, K_EPS, is_key));
    for (var i = at.lane; i < HEAD_DIM; i += WG_SIZE) {
        head_in[i] = arena[base + i] * factor * select(q_weight[i], k_weight[i], is_key);
    }
#else
    for (var i = at.lane; i < HEAD_DIM; i += WG_SIZE) {
        head_in[i] = arena[base + i];
    }
#endif
#if WG_SIZE != 1u
    workgroupBarrier();
#endif

    let pos = batch_pos(token);
    if !is_key {
        let out = OUT_AT + (token * N_HEADS + head) * HEAD_DIM;
        for (var i = at.lane; i < HEAD_DIM; i += WG_SIZE) {
            arena[out + i] = turned(i, pos);
        }
        return;
    }
    let row = kv_row(batch_seq(token), kv_head, pos);
    for (var quad = at.lane; quad < K_QUADS; quad += WG_SIZE) {
        let i = 4u * quad;
        let values = vec4<f32>(turned(i, pos), turned(i + 1u, pos), turned(i + 2u, pos), turned(i + 3u, pos));
        k_cache[row * K_QUADS + quad] = kv_pack(values);
    }
    let values = V_AT + (token * N_KV_HEADS + kv_head) * V_DIM;
    for (var quad = at.lane; quad < V_DIM / 4u; quad += WG_SIZE) {
        let i = values + 4u * quad;
        v_cache[row * (V_DIM / 4u) + quad] = kv_pack(vec4<f32>(arena[i], arena[i + 1u], arena[i + 2u], arena[i + 3u]));
    }
}
