// out[r] = x[out_rows[r]], rows of COLS. Each workgroup takes SPAN elements of out.

#include "include/batch.wgsl"
#include "include/grid.wgsl"

#define SPAN 1024u

override COLS: u32;

@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let start = workgroup_index(workgroup, count) * SPAN;
    let end = min(start + SPAN, batch.n_outputs * COLS);
    for (var i = start + lane; i < end; i += 256u) {
        let row = i / COLS;
        out[i] = x[batch_out_row(row) * COLS + (i - row * COLS)];
    }
}
