// Stores keys and values of the batch at their positions. One invocation stores one quad of a key or a value.

#define N_KV_HEADS 1u
#include "include/batch.wgsl"
#include "include/grid.wgsl"
#include "include/kv.wgsl"

override K_QUADS: u32;  // quads of one key head
override V_QUADS: u32;

@group(0) @binding(1) var<storage, read_write> k: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> v: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> k_cache: array<KvQuad>;
@group(0) @binding(4) var<storage, read_write> v_cache: array<KvQuad>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let per_head = K_QUADS + V_QUADS;
    let index = workgroup_index(workgroup, count) * 64u + lane;
    let head = index / per_head;  // counted over all tokens
    let item = index - head * per_head;
    let token = head / N_KV_HEADS;
    if token >= batch.n_tokens {
        return;
    }
    let row = kv_row(batch_seq(token), head - token * N_KV_HEADS, batch_pos(token));
    if item < K_QUADS {
        k_cache[row * K_QUADS + item] = kv_pack(k[head * K_QUADS + item]);
    } else {
        let quad = item - K_QUADS;
        v_cache[row * V_QUADS + quad] = kv_pack(v[head * V_QUADS + quad]);
    }
}
