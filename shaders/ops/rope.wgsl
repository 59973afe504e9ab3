// Rotates pairs of the first N_ROT columns of each head by the row's position; copies the other columns.
//
// INTERLEAVED: columns 2i and 2i + 1 are a pair, otherwise i and i + N_ROT / 2. `table` has a row of N_ROT / 2
// (cos, sin) for each position. One invocation rotates one pair or copies one column.

#include "include/batch.wgsl"
#include "include/grid.wgsl"

override N_HEADS: u32;
override HEAD_DIM: u32;
override N_ROT: u32;

@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;
@group(0) @binding(3) var<storage, read> table: array<vec2<f32>>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let n_pairs = N_ROT / 2u;
    let per_head = HEAD_DIM - n_pairs;
    let index = workgroup_index(workgroup, count) * 64u + lane;
    let head = index / per_head;  // counted over all tokens
    let item = index - head * per_head;
    let token = head / N_HEADS;
    if token >= batch.n_tokens {
        return;
    }
    let base = head * HEAD_DIM;
    if item >= n_pairs {
        let col = base + item + n_pairs;
        out[col] = x[col];
        return;
    }
#if INTERLEAVED
    let first = base + 2u * item;
    let second = first + 1u;
#else
    let first = base + item;
    let second = first + n_pairs;
#endif
    let turn = table[batch_pos(token) * n_pairs + item];
    let u = x[first];
    let v = x[second];
    out[first] = u * turn.x - v * turn.y;
    out[second] = u * turn.y + v * turn.x;
}
