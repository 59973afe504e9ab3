// What becomes of a product x·wᵀ before it is stored: times SCALE, plus a bias, and, where the op that follows could be
// taken in, added to a residual.

override SCALE: f32 = 1.0;

#if BIAS
@group(0) @binding(BIND_BIAS) var<storage, read> bias: array<f32>;
#endif

#if RESIDUAL
override RESIDUAL_SCALE: f32 = 1.0;
@group(0) @binding(BIND_RESIDUAL) var<storage, read_write> residual: array<f32>;
#endif

@group(0) @binding(2) var<storage, read_write> out: array<f32>;

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
