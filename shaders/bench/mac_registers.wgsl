// Multiplications and additions that wait for no memory: four vec4 of sums in registers. Measures a device, not a
// model.

override STEPS: u32 = 1024u;

@group(0) @binding(0) var<storage, read_write> cells: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let factor = cells[id.x % 64u] * 0.25 + 0.5;
    var a = factor;
    var b = factor + 1.0;
    var c = factor + 2.0;
    var d = factor + 3.0;
    for (var i = 0u; i < STEPS; i++) {
        a = fma(a, factor, factor);
        b = fma(b, factor, factor);
        c = fma(c, factor, factor);
        d = fma(d, factor, factor);
    }
    let sum = a + b + c + d;
    // Never true, but a compiler cannot know.
    if sum.x == 12345.0 {
        cells[id.x % 64u] = sum;
    }
}
