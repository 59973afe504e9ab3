// out[t] = x[t] · wᵀ for few tokens: every weight is read once per TOKEN_TILE tokens.
//
// WG_SIZE lanes are divided into groups of ROW_LANES. A group shares four rows of w (eight with GROUP_ROWS 8) and walks
// along K, unit by unit: lane l takes units l, l + ROW_LANES, … so that neighbours read neighbouring bytes. Each lane
// keeps one vec4 of sums per four rows and token; the group's sums are added up at the end. With ROW_LANES 1 each lane
// has rows of its own, all lanes read the same x, and there is nothing to add up and no barrier. That suits devices
// that compute a workgroup as a loop; with a TOKEN_TILE of 8 it can be their matmul too.
//
// The loops over a tile's tokens have a fixed number of steps, so that a compiler can unroll them and keep all sums in
// registers. With EXACT_TILES they end at the last token: for devices whose compilers do neither.
//
// With GLU the second four rows are the same rows of a second matrix that lies GLU_ROWS rows further on in the same
// part, and out = act(x · gateᵀ) · (x · upᵀ).

#include "include/batch.wgsl"
#include "include/grid.wgsl"
#include "quant/QUANT.wgsl"

#define WG_SIZE 64u
#define ROW_LANES 16u
#define GROUP_ROWS 4u
#define TOKEN_TILE 1u

#include "matmul/weight.wgsl"
#include "matmul/input.wgsl"
#include "matmul/epilogue.wgsl"

#if GLU
#define SECOND_QUAD 1
#elif GROUP_ROWS == 8u
#define SECOND_QUAD 1
#endif

#if ROW_LANES != 1u
#include "matmul/group_sum.wgsl"
#endif

const GROUPS = WG_SIZE / ROW_LANES;

// The numbers of a group's rows.
struct QuadRows {
    first: vec4<u32>,
#if SECOND_QUAD
    second: vec4<u32>,
#endif
}

struct QuadSums {
    first: vec4<f32>,
#if SECOND_QUAD
    second: vec4<f32>,
#endif
}

struct QuadUnits {
    u0: Unit,
    u1: Unit,
    u2: Unit,
    u3: Unit,
#if SECOND_QUAD
    u4: Unit,
    u5: Unit,
    u6: Unit,
    u7: Unit,
#endif
}

fn units_of(rows: QuadRows, i: u32) -> QuadUnits {
    return QuadUnits(
        unit(rows.first.x, i),
        unit(rows.first.y, i),
        unit(rows.first.z, i),
        unit(rows.first.w, i),
#if SECOND_QUAD
        unit(rows.second.x, i),
        unit(rows.second.y, i),
        unit(rows.second.z, i),
        unit(rows.second.w, i),
#endif
    );
}

// The sums so far plus the products of one unit with its columns of x[token].
fn add_products(sums: QuadSums, w: QuadUnits, token: u32, columns: vec2<u32>, subgroup_lane: u32) -> QuadSums {
    let lo = input_run(token, columns.x, subgroup_lane);
    let hi = input_run(token, columns.y, subgroup_lane);
    return QuadSums(
        sums.first + vec4<f32>(run_dot(w.u0.lo, lo) + run_dot(w.u0.hi, hi), run_dot(w.u1.lo, lo) + run_dot(w.u1.hi, hi),
            run_dot(w.u2.lo, lo) + run_dot(w.u2.hi, hi), run_dot(w.u3.lo, lo) + run_dot(w.u3.hi, hi)),
#if SECOND_QUAD
        sums.second + vec4<f32>(run_dot(w.u4.lo, lo) + run_dot(w.u4.hi, hi), run_dot(w.u5.lo, lo) + run_dot(w.u5.hi, hi),
            run_dot(w.u6.lo, lo) + run_dot(w.u6.hi, hi), run_dot(w.u7.lo, lo) + run_dot(w.u7.hi, hi)),
#endif
    );
}

#if ROW_LANES != 1u
fn sums_of_group(sums: QuadSums, lane: Lane) -> QuadSums {
    return QuadSums(
        group_sum(sums.first, lane),
#if SECOND_QUAD
        group_sum(sums.second, lane),
#endif
    );
}
#endif

#if GLU
fn store_pair(token: u32, row: u32, gate: f32, up: f32) {
    if row < ROWS {
        finish_pair(token, row, gate, up);
    }
}

fn store_sums(token: u32, rows: QuadRows, sums: QuadSums) {
    store_pair(token, rows.first.x, sums.first.x, sums.second.x);
    store_pair(token, rows.first.y, sums.first.y, sums.second.y);
    store_pair(token, rows.first.z, sums.first.z, sums.second.z);
    store_pair(token, rows.first.w, sums.first.w, sums.second.w);
}
#else
fn store_quad(token: u32, rows: vec4<u32>, products: vec4<f32>) {
    if rows.x < ROWS {
        finish(token, rows.x, products.x);
    }
    if rows.y < ROWS {
        finish(token, rows.y, products.y);
    }
    if rows.z < ROWS {
        finish(token, rows.z, products.z);
    }
    if rows.w < ROWS {
        finish(token, rows.w, products.w);
    }
}

fn store_sums(token: u32, rows: QuadRows, sums: QuadSums) {
    store_quad(token, rows.first, sums.first);
#if SECOND_QUAD
    store_quad(token, rows.second, sums.second);
#endif
}
#endif

@compute @workgroup_size(WG_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane_index: u32,
#if SUBGROUPS
    @builtin(subgroup_invocation_id) subgroup_lane: u32,
    @builtin(subgroup_size) subgroup_lanes: u32,
#endif
) {
#if !SUBGROUPS
    let subgroup_lane = 0u;
#endif
#if ROW_LANES == 1u
    // The loop below is then uniform control flow, as broadcasts require.
    let group_lane = 0u;
#else
    let group_lane = lane_index % ROW_LANES;
#endif
    let n_tokens = TOKENS;
    // Token tiles that read the same rows follow each other.
    let n_tiles = (n_tokens + TOKEN_TILE - 1u) / TOKEN_TILE;
    let index = workgroup_index(workgroup, workgroups);
    let token = (index % n_tiles) * TOKEN_TILE;
    let quad_rows = vec4<u32>(0u, 1u, 2u, 3u) * GROUPS;
    let first_row = (index / n_tiles) * (GROUPS * GROUP_ROWS) + lane_index / ROW_LANES;

    // Rows and tokens past the end are computed from the last one and not stored, so that no lane leaves early.
    let last_row = vec4<u32>(ROWS - 1u);
    let last_token = n_tokens - 1u;
#if GLU
    let rows = QuadRows(first_row + quad_rows, first_row + quad_rows);
    let first_w = min(rows.first, last_row) + ROW_FIRST;
    let w_rows = QuadRows(first_w, first_w + GLU_ROWS);
#elif SECOND_QUAD
    let rows = QuadRows(first_row + quad_rows, first_row + 4u * GROUPS + quad_rows);
    let w_rows = QuadRows(min(rows.first, last_row) + ROW_FIRST, min(rows.second, last_row) + ROW_FIRST);
#else
    let rows = QuadRows(first_row + quad_rows);
    let w_rows = QuadRows(min(rows.first, last_row) + ROW_FIRST);
#endif

#if TOKEN_TILE == 1u
    var sums = QuadSums();
#else
    var sums = array<QuadSums, TOKEN_TILE>();
#if EXACT_TILES
    let n_here = min(TOKEN_TILE, n_tokens - token);
#else
    const n_here = TOKEN_TILE;
#endif
#endif
    for (var i = group_lane; i < UNITS; i += ROW_LANES) {
        let columns = unit_columns(i);
        let w = units_of(w_rows, i);
#if TOKEN_TILE == 1u
        sums = add_products(sums, w, token, columns, subgroup_lane);
#else
        for (var t = 0u; t < n_here; t++) {
            sums[t] = add_products(sums[t], w, min(token + t, last_token), columns, subgroup_lane);
        }
#endif
    }

#if ROW_LANES != 1u
#if SUBGROUPS
    let lane = Lane(lane_index, subgroup_lane, subgroup_lanes);
#else
    let lane = Lane(lane_index);
#endif
#if TOKEN_TILE == 1u
    sums = sums_of_group(sums, lane);
#else
    for (var t = 0u; t < n_here; t++) {
        sums[t] = sums_of_group(sums[t], lane);
    }
#endif
#endif
    if group_lane == 0u {
#if TOKEN_TILE == 1u
        store_sums(token, rows, sums);
#else
        for (var t = 0u; t < n_here; t++) {
            if token + t < n_tokens {
                store_sums(token + t, rows, sums[t]);
            }
        }
#endif
    }
}
