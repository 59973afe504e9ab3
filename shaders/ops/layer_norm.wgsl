// out = (x − mean) / sqrt(var + eps) · weight + bias, over all columns. One workgroup per row.
//
// N_ROWS: rows of the batch. BIAS: there is a bias. WG_SIZE: lanes per row.

#include "include/batch.wgsl"
#include "include/grid.wgsl"
#include "include/reduce.wgsl"

override COLS: u32;
override EPS: f32;

@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;
@group(0) @binding(3) var<storage, read> weight: array<f32>;
#if BIAS
@group(0) @binding(4) var<storage, read> bias: array<f32>;
#endif

@compute @workgroup_size(WG_SIZE)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(num_workgroups) count: vec3<u32>, at: Lanes) {
    let row = workgroup_index(workgroup, count);
    if row >= N_ROWS {
        return;
    }
    let base = row * COLS;
    var sum = 0.0;
    for (var i = at.lane; i < COLS; i += WG_SIZE) {
        sum += x[base + i];
    }
    let mean = workgroup_sum(sum, at) / f32(COLS);
    // A second pass over x: the difference of two large sums would lose the digits that matter.
    var square = 0.0;
    for (var i = at.lane; i < COLS; i += WG_SIZE) {
        let value = x[base + i] - mean;
        square += value * value;
    }
    let factor = 1.0 / sqrt(workgroup_sum(square, at) / f32(COLS) + EPS);
    for (var i = at.lane; i < COLS; i += WG_SIZE) {
        let value = (x[base + i] - mean) * factor * weight[i];
#if BIAS
        out[base + i] = value + bias[i];
#else
        out[base + i] = value;
#endif
    }
}
