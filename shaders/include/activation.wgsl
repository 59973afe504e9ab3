// Non-linearities. Their `exp` never overflows: a device need not support infinities.

// `exp` leaves f32's range beyond about ±88.
const EXP_LIMIT: f32 = 80.0;
// From here on tanh is ±1 in f32.
const TANH_LIMIT: f32 = 15.0;

// WGSL's own tanh may be off by 1e-5, and overflows on large input.
fn tanh_exact(x: f32) -> f32 {
    let square = x * x;
    let near_zero = x * (1.0 - square * (1.0 / 3.0 - square * (2.0 / 15.0)));
    let e = exp(2.0 * clamp(x, -TANH_LIMIT, TANH_LIMIT));
    return select(1.0 - 2.0 / (e + 1.0), near_zero, abs(x) < 0.05);
}

fn silu(x: f32) -> f32 {
    return x / (1.0 + exp(min(-x, EXP_LIMIT)));
}

fn gelu_tanh(x: f32) -> f32 {
    // sqrt(2 / pi)
    let inner = 0.7978845608028654 * x * (1.0 + 0.044715 * x * x);
    return 0.5 * x * (1.0 + tanh_exact(inner));
}

fn relu_squared(x: f32) -> f32 {
    let y = max(x, 0.0);
    return y * y;
}
