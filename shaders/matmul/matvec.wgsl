// out[t] = x[t] · wᵀ for few tokens: every weight is read once per TOKEN_TILE tokens and multiplied at once.
//
// WG_SIZE lanes are cut into groups of ROW_LANES. A group shares four rows of w (eight with ROW_QUADS 2) and walks
// along K, unit by unit: lane l takes units l, l + ROW_LANES, … so that neighbours read neighbouring bytes. Each lane
// keeps one vec4 of sums per four rows and token; the group's sums are added up at the end. With ROW_LANES 1 each lane
// has rows of its own, all lanes read the same x, and there is nothing to add up and no barrier: that suits devices that
// compute a workgroup as a loop, and with TOKEN_TILE 4 it is their matmul too.
//
// With GLU the second four rows are the same rows of a second matrix that lies GLU_ROWS rows further on in the same
// part, and out = act(x · gateᵀ) · (x · upᵀ).

#include "include/batch.wgsl"
#include "include/grid.wgsl"
#include "quant/any.wgsl"
#include "matmul/input.wgsl"

#define WG_SIZE 64u
#define ROW_LANES 16u
#define ROW_QUADS 1
#define TOKEN_TILE 1

// Columns of w and x.
override K: u32;
// Rows of w in this dispatch, and the first of them in this part of the weight.
override ROWS: u32;
override ROW_FIRST: u32 = 0u;
// Columns of out, and the one that the first row writes.
override OUT_STRIDE: u32;
override OUT_FIRST: u32 = 0u;
// Units in a row of w; words in a row of `scales`.
override UNITS: u32;
override SCALE_WORDS: u32 = 0u;

@group(0) @binding(3) var<storage, read> quants: array<vec4<u32>>;
@group(0) @binding(4) var<storage, read> scales: array<u32>;

#if GLU
#include "include/activation.wgsl"
#define SECOND_QUAD 1
override GLU_ROWS: u32;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;
#else
#include "matmul/epilogue.wgsl"
#if ROW_QUADS == 2
#define SECOND_QUAD 1
#endif
#endif

const GROUPS = WG_SIZE / ROW_LANES;

#if ROW_LANES != 1u
#include "matmul/group_sum.wgsl"
#endif

struct Quad {
    u0: Unit,
    u1: Unit,
    u2: Unit,
    u3: Unit,
}

fn quad(rows: vec4<u32>, i: u32) -> Quad {
    return Quad(unit(rows.x, i), unit(rows.y, i), unit(rows.z, i), unit(rows.w, i));
}

fn quad_dot(w: Quad, lo: InputRun, hi: InputRun) -> vec4<f32> {
    return vec4<f32>(run_dot(w.u0.lo, lo), run_dot(w.u1.lo, lo), run_dot(w.u2.lo, lo), run_dot(w.u3.lo, lo))
        + vec4<f32>(run_dot(w.u0.hi, hi), run_dot(w.u1.hi, hi), run_dot(w.u2.hi, hi), run_dot(w.u3.hi, hi));
}

#if GLU
fn store(token: u32, row: u32, gate: f32, up: f32) {
    if row < ROWS {
        out[token * OUT_STRIDE + OUT_FIRST + row] = ACTIVATION(gate) * up;
    }
}

fn store_quad(token: u32, rows: vec4<u32>, gate: vec4<f32>, up: vec4<f32>) {
    store(token, rows.x, gate.x, up.x);
    store(token, rows.y, gate.y, up.y);
    store(token, rows.z, gate.z, up.z);
    store(token, rows.w, gate.w, up.w);
}
#else
fn store(token: u32, row: u32, product: f32) {
    if row < ROWS {
        finish(token, row, product);
    }
}

fn store_quad(token: u32, rows: vec4<u32>, products: vec4<f32>) {
    store(token, rows.x, products.x);
    store(token, rows.y, products.y);
    store(token, rows.z, products.z);
    store(token, rows.w, products.w);
}
#endif

@compute @workgroup_size(WG_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
#if SUBGROUPS
    @builtin(subgroup_invocation_id) subgroup_lane: u32,
    @builtin(subgroup_size) subgroup_lanes: u32,
#endif
) {
    let group = lane / ROW_LANES;
    let group_lane = lane % ROW_LANES;
    let n_tokens = TOKENS;
    // Tiles of tokens that read the same rows follow each other.
    let tiles = (n_tokens + TOKEN_TILE - 1u) / TOKEN_TILE;
    let index = workgroup_index(workgroup, workgroups);
    let first_token = (index % tiles) * TOKEN_TILE;
    let first_row = (index / tiles) * GROUPS * 4u * ROW_QUADS + group;
    // Rows and tokens past the end are computed again from the last one and not stored: no lane leaves early.
    let last_row = vec4<u32>(ROWS - 1u);
    let rows = vec4<u32>(first_row) + GROUPS * vec4<u32>(0u, 1u, 2u, 3u);
    let w_rows = min(rows, last_row) + ROW_FIRST;
#if GLU
    let second_w_rows = w_rows + GLU_ROWS;
#elif SECOND_QUAD
    let second_rows = rows + GROUPS * 4u;
    let second_w_rows = min(second_rows, last_row) + ROW_FIRST;
#endif

    let token0 = min(first_token, n_tokens - 1u);
    var sum0 = vec4<f32>(0.0);
#if SECOND_QUAD
    var second_sum0 = vec4<f32>(0.0);
#endif
#if TOKEN_TILE == 4u
    let token1 = min(first_token + 1u, n_tokens - 1u);
    let token2 = min(first_token + 2u, n_tokens - 1u);
    let token3 = min(first_token + 3u, n_tokens - 1u);
    var sum1 = vec4<f32>(0.0);
    var sum2 = vec4<f32>(0.0);
    var sum3 = vec4<f32>(0.0);
#if SECOND_QUAD
    var second_sum1 = vec4<f32>(0.0);
    var second_sum2 = vec4<f32>(0.0);
    var second_sum3 = vec4<f32>(0.0);
#endif
#endif

    for (var i = group_lane; i < UNITS; i += ROW_LANES) {
        let columns = unit_columns(i);
        let w = quad(w_rows, i);
#if SECOND_QUAD
        let second_w = quad(second_w_rows, i);
#endif
        let lo0 = input_run(token0, columns.x);
        let hi0 = input_run(token0, columns.y);
        sum0 += quad_dot(w, lo0, hi0);
#if SECOND_QUAD
        second_sum0 += quad_dot(second_w, lo0, hi0);
#endif
#if TOKEN_TILE == 4u
        let lo1 = input_run(token1, columns.x);
        let hi1 = input_run(token1, columns.y);
        sum1 += quad_dot(w, lo1, hi1);
        let lo2 = input_run(token2, columns.x);
        let hi2 = input_run(token2, columns.y);
        sum2 += quad_dot(w, lo2, hi2);
        let lo3 = input_run(token3, columns.x);
        let hi3 = input_run(token3, columns.y);
        sum3 += quad_dot(w, lo3, hi3);
#if SECOND_QUAD
        second_sum1 += quad_dot(second_w, lo1, hi1);
        second_sum2 += quad_dot(second_w, lo2, hi2);
        second_sum3 += quad_dot(second_w, lo3, hi3);
#endif
#endif
    }

#if ROW_LANES != 1u
    sum0 = GROUP_SUM(sum0);
#if SECOND_QUAD
    second_sum0 = GROUP_SUM(second_sum0);
#endif
#if TOKEN_TILE == 4u
    sum1 = GROUP_SUM(sum1);
    sum2 = GROUP_SUM(sum2);
    sum3 = GROUP_SUM(sum3);
#if SECOND_QUAD
    second_sum1 = GROUP_SUM(second_sum1);
    second_sum2 = GROUP_SUM(second_sum2);
    second_sum3 = GROUP_SUM(second_sum3);
#endif
#endif
    if group_lane != 0u {
        return;
    }
#endif
