// out = x / sqrt(mean(x²) + eps) · weight, over groups of GROUP columns. One workgroup per group.
//
// N_ROWS: rows of the batch, by include/rows.wgsl if not given. WEIGHT: there is a weight. WG_SIZE: lanes per group.

#include "include/batch.wgsl"
#include "include/grid.wgsl"
#include "include/reduce.wgsl"
#if !N_ROWS
#include "include/rows.wgsl"
#define N_ROWS rows_of_batch()
#endif

override GROUP: u32;
override GROUPS_PER_ROW: u32;
override EPS: f32;

@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;
#if WEIGHT
@group(0) @binding(3) var<storage, read> weight: array<f32>;
#endif

@compute @workgroup_size(WG_SIZE)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(num_workgroups) count: vec3<u32>, at: Lanes) {
    let group = workgroup_index(workgroup, count);
    if group >= N_ROWS * GROUPS_PER_ROW {
        return;
    }
    let base = group * GROUP;
    var square = 0.0;
    for (var i = at.lane; i < GROUP; i += WG_SIZE) {
        let value = x[base + i];
        square += value * value;
    }
    let factor = 1.0 / sqrt(workgroup_sum(square, at) / f32(GROUP) + EPS);
    for (var i = at.lane; i < GROUP; i += WG_SIZE) {
#if WEIGHT
        out[base + i] = x[base + i] * factor * weight[i];
#else
        out[base + i] = x[base + i] * factor;
#endif
    }
}
