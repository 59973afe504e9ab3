// Merges the parts that attention.wgsl left for each head. One invocation merges one quad of one head.
//
// SPLITS: parts of a head. V_QUADS: quads of a value head.

#include "include/batch.wgsl"
#include "include/grid.wgsl"

#define SPLITS 2u
#define V_QUADS 16u

override N_HEADS: u32;

// [T, heads, SPLITS, 1 + V_QUADS]: (max, sum, 0, 0), then values
@group(0) @binding(1) var<storage, read_write> parts: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> out: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = workgroup_index(workgroup, count) * 64u + lane;
    let head = index / V_QUADS;
    let quad = index - head * V_QUADS;
    if head >= batch.n_tokens * N_HEADS {
        return;
    }
    let stride = 1u + V_QUADS;
    let first = head * SPLITS * stride;
    var highest = parts[first].x;
    for (var s = 1u; s < SPLITS; s += 1u) {
        highest = max(highest, parts[first + s * stride].x);
    }
    var sum = 0.0;
    var acc = vec4<f32>(0.0);
    for (var s = 0u; s < SPLITS; s += 1u) {
        let at = first + s * stride;
        let weight = exp(parts[at].x - highest);
        sum += weight * parts[at].y;
        acc += weight * parts[at + 1u + quad];
    }
    out[index] = acc / max(sum, 1.0e-30);
}
