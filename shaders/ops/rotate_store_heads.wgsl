// What ops/rotate_store.wgsl does, for devices that compute a workgroup as a loop over its lanes: no lane waits for
// another, and there is little code to compile. Each lane takes one head of one token, column by column: first come the
// query heads, then the key heads, then the value heads, which are stored as they are.

#define N_KV_HEADS 1u
#define HEAD_DIM 64u
#define WG_SIZE 4u
#include "include/batch.wgsl"
#include "include/grid.wgsl"
#include "include/kv.wgsl"
#include "include/rotate_store.wgsl"

@compute @workgroup_size(WG_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let unit = workgroup_index(workgroup, count) * WG_SIZE + lane;
    let n_units = N_HEADS + 2u * N_KV_HEADS;
    let token = unit / n_units;
    if token >= batch.n_tokens {
        return;
    }
    let head = unit - token * n_units;
    let is_query = head < N_HEADS;
    let is_value = head >= N_HEADS + N_KV_HEADS;
    let kv_head = (head - N_HEADS) % N_KV_HEADS;
    // The head's number among those of its kind, counted over all tokens.
    let place = token * select(N_KV_HEADS, N_HEADS, is_query) + select(kv_head, head, is_query);
    let dim = select(HEAD_DIM, V_DIM, is_value);
    let base = place * dim + select(select(K_AT, V_AT, is_value), Q_AT, is_query);
    let n_rot = select(N_ROT, 0u, is_value);
    let n_pairs = N_ROT / 2u;
    let pos = batch_pos(token);
    let row = kv_row(batch_seq(token), kv_head, pos) * (dim / 4u);

#if NORM
    var square = 0.0;
    for (var i = 0u; i < dim; i += 1u) {
        square += arena[base + i] * arena[base + i];
    }
    let factor = 1.0 / sqrt(square / f32(HEAD_DIM) + select(K_EPS, Q_EPS, is_query));
#endif
    var quad = vec4<f32>();
    for (var i = 0u; i < dim; i += 1u) {
#if INTERLEAVED
        let is_second = (i & 1u) == 1u;
        let partner = i ^ 1u;
        let pair = i / 2u;
#else
        let is_second = i >= n_pairs;
        let partner = select(i + n_pairs, i - n_pairs, is_second);
        let pair = min(i, partner);
#endif
        let turns = i < n_rot;
        let other = select(i, partner, turns);
        var own = vec2<f32>(arena[base + i], arena[base + other]);
#if NORM
        if !is_value {
            own *= factor;
            own *= select(vec2<f32>(k_weight[i], k_weight[other]), vec2<f32>(q_weight[i], q_weight[other]), is_query);
        }
#endif
        var value = own.x;
        if turns {
            let turn = table[pos * n_pairs + pair];
            value = own.x * turn.x + own.y * select(-turn.y, turn.y, is_second);
        }
        if is_query {
            arena[OUT_AT + place * HEAD_DIM + i] = value;
            continue;
        }
        quad = vec4<f32>(quad.yzw, value);
        if (i & 3u) == 3u {
            let packed = kv_pack(quad);
            if is_value {
                v_cache[row + i / 4u] = packed;
            } else {
                k_cache[row + i / 4u] = packed;
            }
        }
    }
}
