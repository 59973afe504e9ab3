// Reads a buffer once, 16 bytes a lane at a time, neighbours side by side. Measures a device, not a model.

// Vectors that a workgroup reads, a multiple of 1024.
override SPAN: u32 = 4096u;

@group(0) @binding(0) var<storage, read> source: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read_write> out: array<vec4<u32>>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let first = workgroup.x * SPAN + lane;
    var a = vec4<u32>(0u);
    var b = vec4<u32>(0u);
    var c = vec4<u32>(0u);
    var d = vec4<u32>(0u);
    for (var i = 0u; i < SPAN; i += 1024u) {
        a ^= source[first + i];
        b ^= source[first + i + 256u];
        c ^= source[first + i + 512u];
        d ^= source[first + i + 768u];
    }
    let all = (a ^ b) ^ (c ^ d);
    // Hardly ever true, but a compiler cannot know.
    if (all.x & all.y & all.z & all.w) == 0xffffffffu {
        out[lane] = all;
    }
}
