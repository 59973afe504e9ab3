// A plain f32 product of a matrix and a vector: one multiplication and addition for every float read from a storage
// buffer, each lane on a row of its own (ROW_PER_LANE) or all lanes of a workgroup on one. Measures a device, not a
// model.

override K: u32 = 4096u;

@group(0) @binding(0) var<storage, read> w: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> x: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let vectors = K / 4u;
    var sum = vec4<f32>(0.0);
#if ROW_PER_LANE
    let row = workgroup.x * 64u + lane;
    for (var i = 0u; i < vectors; i++) {
        sum = fma(w[row * vectors + i], x[i], sum);
    }
#else
    let row = workgroup.x;
    for (var i = lane; i < vectors; i += 64u) {
        sum = fma(w[row * vectors + i], x[i], sum);
    }
#endif
    out[workgroup.x * 64u + lane] = sum.x + sum.y + sum.z + sum.w;
}
