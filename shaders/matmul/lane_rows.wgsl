// out[t] = x[t] · wᵀ for devices that compute a workgroup as a loop over its lanes and take longer to compile a kernel
// than to run it: one pipeline for all products with weights of one type, as small as it can be without being slower.
//
// Each lane has four rows of w of its own, and walks along K run by run, with up to TOKEN_TILE tokens at once.
// Constants, not defines, choose what follows the product:
//
//   plain        out = SCALE · product (+ bias)
//   residual     HAS_RESIDUAL: out = other + RESIDUAL_SCALE · (SCALE · product (+ bias))
//   stacked      rows from SECOND_FIRST on belong to a second matrix with an output of its own, `other`, those from
//                THIRD_FIRST on to a third with `third_out`
//   gated pair   GLU_ROWS: the last two rows of a lane are the first two, in a second matrix GLU_ROWS rows further on;
//                out = act(first) · second
//
// Bindings that a product does not need are bound to a placeholder.

#include "include/batch.wgsl"
#include "include/grid.wgsl"
#include "include/rows.wgsl"
#include "quant/QUANT.wgsl"

#define WG_SIZE 4u
#define TOKEN_TILE 8u

override SCALE: f32 = 1.0;
override HAS_RESIDUAL: u32 = 0u;
override RESIDUAL_SCALE: f32 = 1.0;
override SECOND_FIRST: u32 = 4294967295u;
override THIRD_FIRST: u32 = 4294967295u;
override GLU_ROWS: u32 = 0u;
// 0: silu, 1: gelu_tanh, 2: relu_squared.
override GLU_KIND: u32 = 0u;

@group(0) @binding(2) var<storage, read_write> out: array<f32>;
@group(0) @binding(5) var<storage, read_write> other: array<f32>;
@group(0) @binding(6) var<storage, read_write> third_out: array<f32>;
#if BIAS
@group(0) @binding(7) var<storage, read> bias: array<f32>;
#endif

#include "matmul/weight.wgsl"
#include "matmul/input.wgsl"

// The non-linearities of include/activation.wgsl, silu and gelu_tanh with one `exp` for both:
// (1 + tanh(y)) / 2 = 1 / (1 + exp(−2y)).
fn activated(x: f32) -> f32 {
    if GLU_KIND == 2u {
        let y = max(x, 0.0);
        return y * y;
    }
    // 2 · sqrt(2 / pi)
    let steep = select(x, 1.5957691216057308 * x * (1.0 + 0.044715 * x * x), GLU_KIND == 1u);
    return x / (1.0 + exp(min(-steep, 80.0)));
}

fn finish(token: u32, row: u32, product: f32, second: f32) {
    if row >= THIRD_FIRST {
        third_out[token * (ROWS - THIRD_FIRST) + row - THIRD_FIRST] = product;
        return;
    }
    if row >= SECOND_FIRST {
        other[token * (min(THIRD_FIRST, ROWS) - SECOND_FIRST) + row - SECOND_FIRST] = product;
        return;
    }
    let at = token * OUT_STRIDE + OUT_FIRST + row;
    var value = SCALE * product;
#if BIAS
    value += bias[OUT_FIRST + row];
#endif
    if HAS_RESIDUAL != 0u {
        value = other[at] + RESIDUAL_SCALE * value;
    }
    if GLU_ROWS != 0u {
        value = activated(value) * second;
    }
    out[at] = value;
}

@compute @workgroup_size(WG_SIZE)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let n_tokens = rows_of_batch();
    // Token tiles that read the same rows follow each other.
    let n_tiles = (n_tokens + TOKEN_TILE - 1u) / TOKEN_TILE;
    let index = workgroup_index(workgroup, workgroups);
    let token = (index % n_tiles) * TOKEN_TILE;
    let n_here = min(TOKEN_TILE, n_tokens - token);
    let is_pair = GLU_ROWS != 0u;
    let n_new = select(4u, 2u, is_pair);
    let rows = (index / n_tiles) * (n_new * WG_SIZE) + lane + (vec4<u32>(0u, 1u, 2u, 3u) % n_new) * WG_SIZE;
    // Rows past the end are computed from the last one and not stored, so that no lane leaves early.
    let w_rows = min(rows, vec4<u32>(ROWS - 1u)) + ROW_FIRST + vec4<u32>(0u, 0u, GLU_ROWS, GLU_ROWS);

    var sums = array<vec4<f32>, TOKEN_TILE>();
    for (var i = 0u; i < UNITS; i++) {
        let columns = unit_columns(i);
#if SHARED_WORDS
        let p0 = packed(w_rows.x, i);
        let p1 = packed(w_rows.y, i);
        let p2 = packed(w_rows.z, i);
        let p3 = packed(w_rows.w, i);
#endif
        for (var half = 0u; half < 2u; half++) {
#if SHARED_WORDS
            let w0 = packed_run(p0, half);
            let w1 = packed_run(p1, half);
            let w2 = packed_run(p2, half);
            let w3 = packed_run(p3, half);
#else
            let w0 = run(w_rows.x, i, half);
            let w1 = run(w_rows.y, i, half);
            let w2 = run(w_rows.z, i, half);
            let w3 = run(w_rows.w, i, half);
#endif
            let column = select(columns.x, columns.y, half == 1u);
            for (var t = 0u; t < n_here; t++) {
                let v = input_run(token + t, column, lane);
                sums[t] += vec4<f32>(run_dot(w0, v), run_dot(w1, v), run_dot(w2, v), run_dot(w3, v));
            }
        }
    }

    for (var t = 0u; t < n_here; t++) {
        let sum = sums[t];
        for (var j = 0u; j < n_new; j++) {
            if rows[j] < ROWS {
                finish(token + t, rows[j], sum[j], sum[(j + 2u) % 4u]);
            }
        }
    }
}
