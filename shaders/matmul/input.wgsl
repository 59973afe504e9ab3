// Sixteen consecutive columns of a row of x, times LANES, and their sum: the counterpart of a run of weights.
//
// Where K is a multiple of 32, x is bound as vectors. Otherwise (float weights with odd shapes) it is read value by
// value, and columns beyond K count as 0, as the padding of the weights does.
//
// With BROADCAST, all lanes of a workgroup need the same columns, and the workgroup is one subgroup of BROADCAST lanes,
// the only width that the device reports. Each lane then reads a part of the run and broadcasts it to the others.

struct InputRun {
    x0: vec4<f32>,
    x1: vec4<f32>,
    x2: vec4<f32>,
    x3: vec4<f32>,
    sum: f32,
}

#if BROADCAST == 4
#enable subgroups
@group(0) @binding(1) var<storage, read_write> x: array<vec4<f32>>;
#elif BROADCAST
#enable subgroups
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
#elif X_SCALAR
@group(0) @binding(1) var<storage, read_write> x: array<f32>;

fn x_or_zero(row: u32, column: u32) -> f32 {
    return select(0.0, x[row * K + min(column, K - 1u)], column < K);
}

fn x_vector(row: u32, column: u32) -> vec4<f32> {
    return vec4<f32>(x_or_zero(row, column), x_or_zero(row, column + 1u), x_or_zero(row, column + 2u),
        x_or_zero(row, column + 3u));
}
#else
@group(0) @binding(1) var<storage, read_write> x: array<vec4<f32>>;

fn x_vector(row: u32, column: u32) -> vec4<f32> {
    return x[(row * K + column) >> 2u];
}
#endif

// `lane` is the lane's place in its subgroup; only BROADCAST uses it.
fn input_run(row: u32, column: u32, lane: u32) -> InputRun {
#if BROADCAST == 8
    let at = row * K + column + lane;
    let a = x[at];
    let b = x[at + 8u];
    let x0 = vec4<f32>(subgroupBroadcast(a, 0u), subgroupBroadcast(a, 1u), subgroupBroadcast(a, 2u),
        subgroupBroadcast(a, 3u));
    let x1 = vec4<f32>(subgroupBroadcast(a, 4u), subgroupBroadcast(a, 5u), subgroupBroadcast(a, 6u),
        subgroupBroadcast(a, 7u));
    let x2 = vec4<f32>(subgroupBroadcast(b, 0u), subgroupBroadcast(b, 1u), subgroupBroadcast(b, 2u),
        subgroupBroadcast(b, 3u));
    let x3 = vec4<f32>(subgroupBroadcast(b, 4u), subgroupBroadcast(b, 5u), subgroupBroadcast(b, 6u),
        subgroupBroadcast(b, 7u));
#elif BROADCAST == 4
    // Such a subgroup is a quad, and some adapters support quad operations better.
    let part = x[((row * K + column) >> 2u) + lane];
    let x0 = quadBroadcast(part, 0u);
    let x1 = quadBroadcast(part, 1u);
    let x2 = quadBroadcast(part, 2u);
    let x3 = quadBroadcast(part, 3u);
#else
    let x0 = x_vector(row, column);
    let x1 = x_vector(row, column + 4u);
    let x2 = x_vector(row, column + 8u);
    let x3 = x_vector(row, column + 12u);
#endif
#if HAS_OFFSET
    let sums = (x0 + x1) + (x2 + x3);
    let sum = (sums.x + sums.y) + (sums.z + sums.w);
#else
    let sum = 0.0;
#endif
    return InputRun(LANES * x0, LANES * x1, LANES * x2, LANES * x3, sum);
}

fn run_dot(w: Run, v: InputRun) -> f32 {
    let s = fma(w.q3, v.x3, fma(w.q2, v.x2, fma(w.q1, v.x1, w.q0 * v.x0)));
    let dot = w.scale * ((s.x + s.y) + (s.z + s.w));
#if HAS_OFFSET
    return fma(w.offset, v.sum, dot);
#else
    return dot;
#endif
}
