// softmax(scale · q kᵀ + mask) · v over one KV slot for devices that compute a workgroup as a loop over its lanes: no
// lane waits for another, and there is little code to compile. Hardware runs ops/attention.wgsl.
//
// A row is one query head of one token. ROW_LANES lanes share it, each with four quads of the value columns, and each
// walks over all visible keys with the running soft-max of Milakov and Gimelshein (2018).
//
// GROUP: query heads per KV head. WINDOW: 0, or the number of last positions seen. SOFT_CAP: scores are capped.

#define N_KV_HEADS 1u
#define GROUP 1u
#define K_QUADS 16u
#define V_QUADS 16u
#define WINDOW 0u
#define WG_SIZE 4u

#include "include/batch.wgsl"
#include "include/grid.wgsl"
#include "include/kv.wgsl"
#include "include/window.wgsl"
#include "include/activation.wgsl"

override SCALE: f32;
#if SOFT_CAP
override CAP: f32;
#endif

const N_HEADS: u32 = N_KV_HEADS * GROUP;
const ROW_LANES: u32 = (V_QUADS + 3u) / 4u;

@group(0) @binding(1) var<storage, read_write> q: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> k_cache: array<KvQuad>;
@group(0) @binding(3) var<storage, read> v_cache: array<KvQuad>;
@group(0) @binding(4) var<storage, read_write> out: array<vec4<f32>>;  // [T, heads, V_QUADS]

@compute @workgroup_size(WG_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let unit = workgroup_index(workgroup, count) * WG_SIZE + lane;
    let row = unit / ROW_LANES;
    if row >= batch.n_tokens * N_HEADS {
        return;
    }
    let token = row / N_HEADS;
    let kv_head = (row - token * N_HEADS) / GROUP;
    let seq = batch_seq(token);
    let pos = batch_pos(token);
    // This lane's quads. Those past the last one are computed from the last one and not stored.
    let quads = vec4<u32>(0u, 1u, 2u, 3u) + (unit - row * ROW_LANES) * 4u;
    let read = min(quads, vec4<u32>(V_QUADS - 1u));

    var highest = -1.0e30;
    var sum = 0.0;
    var acc = mat4x4<f32>();
    for (var key = first_visible(pos); key <= pos; key += 1u) {
        let at = kv_row(seq, kv_head, key);
        var score = 0.0;
        for (var i = 0u; i < K_QUADS; i += 1u) {
            score += dot(q[row * K_QUADS + i], kv_unpack(k_cache[at * K_QUADS + i]));
        }
#if SOFT_CAP
        score = CAP * tanh_exact(score * SCALE / CAP);
#else
        score *= SCALE;
#endif
        let raised = max(highest, score);
        let decay = exp(highest - raised);
        let weight = exp(score - raised);
        highest = raised;
        sum = sum * decay + weight;
        let v_at = at * V_QUADS;
        acc = acc * decay + mat4x4<f32>(kv_unpack(v_cache[v_at + read.x]), kv_unpack(v_cache[v_at + read.y]),
            kv_unpack(v_cache[v_at + read.z]), kv_unpack(v_cache[v_at + read.w])) * weight;
    }

    var result = acc * (1.0 / max(sum, 1.0e-30));
    for (var i = 0u; i < 4u; i += 1u) {
        if quads[i] < V_QUADS {
            out[row * V_QUADS + quads[i]] = result[i];
        }
    }
}
