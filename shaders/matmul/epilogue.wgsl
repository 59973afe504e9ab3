// What is done to a product x·wᵀ before it is stored: it is multiplied by SCALE, a bias is added, and where the op Add
// that follows is fused, it is added to a residual.
//
// With GLU there are two products for each element, and out = act(gate) · up.
// With STACKED (2 or 3) the rows of w are those of several matrices, one after the other, each with an output of its
// own.

@group(0) @binding(2) var<storage, read_write> out: array<f32>;

#if GLU
#include "include/activation.wgsl"

// How many rows the second matrix lies after the first.
override GLU_ROWS: u32;

fn finish_pair(token: u32, row: u32, gate: f32, up: f32) {
    out[token * OUT_STRIDE + OUT_FIRST + row] = ACTIVATION(gate) * up;
}
#elif STACKED
// First rows of the second and the third matrix.
override SECOND_FIRST: u32;
@group(0) @binding(5) var<storage, read_write> second_out: array<f32>;
#if STACKED == 3
override THIRD_FIRST: u32;
@group(0) @binding(6) var<storage, read_write> third_out: array<f32>;
#endif

fn finish(token: u32, row: u32, product: f32) {
    if row < SECOND_FIRST {
        out[token * SECOND_FIRST + row] = product;
        return;
    }
#if STACKED == 3
    if row >= THIRD_FIRST {
        third_out[token * (ROWS - THIRD_FIRST) + row - THIRD_FIRST] = product;
        return;
    }
    let second_end = THIRD_FIRST;
#else
    let second_end = ROWS;
#endif
    second_out[token * (second_end - SECOND_FIRST) + row - SECOND_FIRST] = product;
}
#else
override SCALE: f32 = 1.0;

#if BIAS
@group(0) @binding(BIND_BIAS) var<storage, read> bias: array<f32>;
#endif

#if RESIDUAL
override RESIDUAL_SCALE: f32 = 1.0;
@group(0) @binding(BIND_RESIDUAL) var<storage, read_write> residual: array<f32>;
#endif

fn finish(token: u32, row: u32, product: f32) {
    var value = SCALE * product;
#if BIAS
    value += bias[OUT_FIRST + row];
#endif
    let at = token * OUT_STRIDE + OUT_FIRST + row;
#if RESIDUAL
    value = residual[at] + RESIDUAL_SCALE * value;
#endif
    out[at] = value;
}
#endif
