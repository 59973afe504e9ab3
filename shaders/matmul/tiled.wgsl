// out[t] = x[t] · wᵀ for many tokens: tiles of 64 rows of w by 64 tokens, K in steps of one unit (32 columns).
//
// 128 lanes. In each step, half of them dequantize a unit of one row of w each, and half fetch the same columns of one
// token of x each, both as eight vec4 into workgroup memory (16 KiB together). Then each lane adds up 8 rows by 4
// tokens in registers. Where a vector is stored depends on its row's lower bits, so that lanes with different rows read
// different memory banks.
//
// With GLU a tile is 32 rows of each of two matrices; the second lies GLU_ROWS rows further on in the same part.

#include "include/batch.wgsl"
#include "include/grid.wgsl"
#include "quant/QUANT.wgsl"

#include "matmul/weight.wgsl"
#include "matmul/input.wgsl"
#include "matmul/epilogue.wgsl"

const TILE: u32 = 64u;
#if GLU
const NEW_ROWS: u32 = 32u;
#else
const NEW_ROWS: u32 = TILE;
#endif
const VECTORS: u32 = 8u;
const ROW_LANES: u32 = 8u;    // lanes along the rows of a tile, each with every 8th row
const TOKEN_LANES: u32 = 16u; // lanes along its tokens, each with every 16th token

var<workgroup> w_tile: array<vec4<f32>, TILE * VECTORS>;
var<workgroup> x_tile: array<vec4<f32>, TILE * VECTORS>;

fn place(row: u32, vector: u32) -> u32 {
    return row * VECTORS + (vector ^ (row % VECTORS));
}

fn store_w(row: u32, vector: u32, run: Run) {
    let scale = run.scale * LANES;
    w_tile[place(row, vector)] = run.q0 * scale + run.offset;
    w_tile[place(row, vector + 1u)] = run.q1 * scale + run.offset;
    w_tile[place(row, vector + 2u)] = run.q2 * scale + run.offset;
    w_tile[place(row, vector + 3u)] = run.q3 * scale + run.offset;
}

fn store_x(row: u32, vector: u32, token: u32, column: u32) {
    x_tile[place(row, vector)] = x_vector(token, column);
    x_tile[place(row, vector + 1u)] = x_vector(token, column + 4u);
    x_tile[place(row, vector + 2u)] = x_vector(token, column + 8u);
    x_tile[place(row, vector + 3u)] = x_vector(token, column + 12u);
}

// The sums so far plus w[row][k..k+4] · x[token][k..k+4] for four rows.
fn add_dots(sum: vec4<f32>, w: mat4x4<f32>, v: vec4<f32>) -> vec4<f32> {
    return sum + vec4<f32>(dot(w[0], v), dot(w[1], v), dot(w[2], v), dot(w[3], v));
}

#if GLU
fn store_one(token: u32, row: u32, gate: f32, up: f32) {
    if row < ROWS {
        finish_pair(token, row, gate, up);
    }
}

fn store_sums(token: u32, n_tokens: u32, row: u32, a: vec4<f32>, b: vec4<f32>) {
    if token < n_tokens {
        store_one(token, row, a.x, b.x);
        store_one(token, row + ROW_LANES, a.y, b.y);
        store_one(token, row + 2u * ROW_LANES, a.z, b.z);
        store_one(token, row + 3u * ROW_LANES, a.w, b.w);
    }
}
#else
fn store_one(token: u32, row: u32, sum: f32) {
    if row < ROWS {
        finish(token, row, sum);
    }
}

fn store_sums(token: u32, n_tokens: u32, row: u32, a: vec4<f32>, b: vec4<f32>) {
    if token < n_tokens {
        store_one(token, row, a.x);
        store_one(token, row + ROW_LANES, a.y);
        store_one(token, row + 2u * ROW_LANES, a.z);
        store_one(token, row + 3u * ROW_LANES, a.w);
        store_one(token, row + 4u * ROW_LANES, b.x);
        store_one(token, row + 5u * ROW_LANES, b.y);
        store_one(token, row + 6u * ROW_LANES, b.z);
        store_one(token, row + 7u * ROW_LANES, b.w);
    }
}
#endif

@compute @workgroup_size(128)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let n_tokens = TOKENS;
    // Token tiles that read the same rows follow each other.
    let n_tiles = (n_tokens + TILE - 1u) / TILE;
    let index = workgroup_index(workgroup, workgroups);
    let first_token = (index % n_tiles) * TILE;
    let first_row = (index / n_tiles) * NEW_ROWS;

    // Rows and tokens past the end are loaded from the last one and not stored.
    let tile_row = lane % TILE;
#if GLU
    let w_row = min(first_row + tile_row % NEW_ROWS, ROWS - 1u) + ROW_FIRST + (tile_row / NEW_ROWS) * GLU_ROWS;
#else
    let w_row = min(first_row + tile_row, ROWS - 1u) + ROW_FIRST;
#endif
    let token = min(first_token + tile_row, n_tokens - 1u);

    let row_lane = lane % ROW_LANES;
    let token_lane = lane / ROW_LANES;

    // Sums of tokens token_lane + 16t with rows row_lane + 8r: r in 0..4, then in 4..8.
    var a0 = vec4<f32>(0.0);
    var a1 = vec4<f32>(0.0);
    var a2 = vec4<f32>(0.0);
    var a3 = vec4<f32>(0.0);
    var b0 = vec4<f32>(0.0);
    var b1 = vec4<f32>(0.0);
    var b2 = vec4<f32>(0.0);
    var b3 = vec4<f32>(0.0);

    for (var i = 0u; i < UNITS; i++) {
        if lane < TILE {
            let u = unit(w_row, i);
            store_w(tile_row, 0u, u.lo);
            store_w(tile_row, 4u, u.hi);
        } else {
            let columns = unit_columns(i);
            store_x(tile_row, 0u, token, columns.x);
            store_x(tile_row, 4u, token, columns.y);
        }
        workgroupBarrier();
        for (var v = 0u; v < VECTORS; v++) {
            // Rows of a lane agree in their lower three bits, and so do its tokens.
            let w_at = row_lane * VECTORS + (v ^ row_lane);
            let x_at = token_lane * VECTORS + (v ^ (token_lane % VECTORS));
            const W_STEP = ROW_LANES * VECTORS;
            const X_STEP = TOKEN_LANES * VECTORS;
            let x0 = x_tile[x_at];
            let x1 = x_tile[x_at + X_STEP];
            let x2 = x_tile[x_at + 2u * X_STEP];
            let x3 = x_tile[x_at + 3u * X_STEP];
            let wa = mat4x4<f32>(w_tile[w_at], w_tile[w_at + W_STEP], w_tile[w_at + 2u * W_STEP],
                w_tile[w_at + 3u * W_STEP]);
            a0 = add_dots(a0, wa, x0);
            a1 = add_dots(a1, wa, x1);
            a2 = add_dots(a2, wa, x2);
            a3 = add_dots(a3, wa, x3);
            let wb = mat4x4<f32>(w_tile[w_at + 4u * W_STEP], w_tile[w_at + 5u * W_STEP], w_tile[w_at + 6u * W_STEP],
                w_tile[w_at + 7u * W_STEP]);
            b0 = add_dots(b0, wb, x0);
            b1 = add_dots(b1, wb, x1);
            b2 = add_dots(b2, wb, x2);
            b3 = add_dots(b3, wb, x3);
        }
        workgroupBarrier();
    }

    let row = first_row + row_lane;
    let t = first_token + token_lane;
    store_sums(t, n_tokens, row, a0, b0);
    store_sums(t + TOKEN_LANES, n_tokens, row, a1, b1);
    store_sums(t + 2u * TOKEN_LANES, n_tokens, row, a2, b2);
    store_sums(t + 3u * TOKEN_LANES, n_tokens, row, a3, b3);
}
