// out[t] = scale · w[ids[t]], dequantized. One lane expands one unit (32 columns). A table in several parts takes one
// dispatch per part: a lane whose id lies in another part does nothing.
//
// LITTLE_CODE: runs and columns are loops, for devices that take long to compile.

#include "include/batch.wgsl"
#include "include/grid.wgsl"
#include "quant/QUANT.wgsl"

#define WG_SIZE 64u

override K: u32;
override ROWS: u32;
// First row of w that the dispatch covers: its id, and its place in this part.
override ID_FIRST: u32 = 0u;
override ROW_FIRST: u32 = 0u;
override UNITS: u32;
override SCALE_WORDS: u32 = 0u;
override SCALE: f32 = 1.0;

@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<storage, read> codes: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> scales: array<u32>;

fn store(token: u32, column: u32, values: vec4<f32>) {
    let at = token * K + column;
#if RAGGED
    for (var l = 0u; l < 4u; l++) {
        if column + l < K {
            out[at + l] = values[l];
        }
    }
#else
    out[at] = values.x;
    out[at + 1u] = values.y;
    out[at + 2u] = values.z;
    out[at + 3u] = values.w;
#endif
}

fn store_run(token: u32, column: u32, run: Run) {
    let scale = SCALE * run.scale * LANES;
    let offset = SCALE * run.offset;
    store(token, column, run.q0 * scale + offset);
    store(token, column + 4u, run.q1 * scale + offset);
    store(token, column + 8u, run.q2 * scale + offset);
    store(token, column + 12u, run.q3 * scale + offset);
}

@compute @workgroup_size(WG_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = workgroup_index(workgroup, workgroups) * WG_SIZE + lane;
    let token = index / UNITS;
    if token >= batch.n_tokens {
        return;
    }
    let id = batch_id(token);
    if id < ID_FIRST || id - ID_FIRST >= ROWS {
        return;
    }
    let i = index % UNITS;
    let row = id - ID_FIRST + ROW_FIRST;
    let columns = unit_columns(i);
#if LITTLE_CODE
#if SHARED_WORDS
    let p = packed(row, i);
#endif
    for (var h = 0u; h < 2u; h++) {
#if SHARED_WORDS
        let w = packed_run(p, h);
#else
        let w = run(row, i, h);
#endif
        let quads = array<vec4<f32>, 4>(w.q0, w.q1, w.q2, w.q3);
        for (var c = 0u; c < 16u; c++) {
            let column = select(columns.x, columns.y, h == 1u) + c;
            if column < K {
                let l = c % 4u;
                out[token * K + column] = SCALE * (quads[c / 4u][l] * (w.scale * LANES[l]) + w.offset);
            }
        }
    }
#else
    let u = unit(row, i);
    store_run(token, columns.x, u.lo);
    store_run(token, columns.y, u.hi);
#endif
}
