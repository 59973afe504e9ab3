// out[i] from a[i] (and b[i]), with [rows, COLS] taken as one row. Each workgroup takes SPAN elements.
//
// N_ROWS: rows of the batch. KIND: add, glu, act, scale or soft_cap. ACT: the function of the non-linearity.

#include "include/batch.wgsl"
#include "include/grid.wgsl"
#include "include/activation.wgsl"

#define SPAN 1024u
#define ACT silu

override COLS: u32;
#if KIND == add
// Factor on b.
override FACTOR: f32;
#elif KIND == scale
override FACTOR: f32;
#elif KIND == soft_cap
override CAP: f32;
#endif

@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<storage, read_write> a: array<f32>;
#if KIND == add
@group(0) @binding(3) var<storage, read_write> b: array<f32>;
#elif KIND == glu
@group(0) @binding(3) var<storage, read_write> b: array<f32>;
#endif

fn value(i: u32) -> f32 {
#if KIND == add
    return a[i] + FACTOR * b[i];
#elif KIND == glu
    return ACT(a[i]) * b[i];
#elif KIND == act
    return ACT(a[i]);
#elif KIND == scale
    return FACTOR * a[i];
#elif KIND == soft_cap
    return CAP * tanh_exact(a[i] / CAP);
#endif
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let start = workgroup_index(workgroup, count) * SPAN;
    let end = min(start + SPAN, N_ROWS * COLS);
    for (var i = start + lane; i < end; i += 256u) {
        out[i] = value(i);
    }
}
