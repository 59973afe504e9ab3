// First half of the greedy choice: the best of every CHUNK logits of each output row. One workgroup per chunk.

#define LANES 256u
#include "include/batch.wgsl"
#include "include/grid.wgsl"
#include "include/argmax.wgsl"

#define CHUNK 4096u

override N_VOCAB: u32;

@group(0) @binding(1) var<storage, read_write> logits: array<f32>;
@group(0) @binding(2) var<storage, read_write> best: array<vec2<u32>>;  // [R, chunks]

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let unit = workgroup_index(workgroup, count);
    let chunks = (N_VOCAB + CHUNK - 1u) / CHUNK;
    let row = unit / chunks;
    if row >= batch.n_outputs {
        return;
    }
    let start = (unit - row * chunks) * CHUNK;
    let end = min(start + CHUNK, N_VOCAB);
    var candidate = NONE;
    for (var id = start + lane; id < end; id += LANES) {
        candidate = better(candidate, vec2<u32>(rank_of(logits[row * N_VOCAB + id]), id));
    }
    candidate = workgroup_best(candidate, lane);
    if lane == 0u {
        best[unit] = candidate;
    }
}
