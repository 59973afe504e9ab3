// F32: plain floats. A unit is eight vectors; rows are padded with zeros to whole units.
#include "quant/unit.wgsl"
#define HAS_OFFSET 0

const LANES = vec4<f32>(1.0);

fn unit_columns(i: u32) -> vec2<u32> {
    return vec2<u32>(i * 32u, i * 32u + 16u);
}

fn f32_run(at: u32) -> Run {
    return Run(bitcast<vec4<f32>>(codes[at]), bitcast<vec4<f32>>(codes[at + 1u]), bitcast<vec4<f32>>(codes[at + 2u]),
        bitcast<vec4<f32>>(codes[at + 3u]), 1.0, 0.0);
}

fn unit(row: u32, i: u32) -> Unit {
    let at = (row * UNITS + i) * 8u;
    return Unit(f32_run(at), f32_run(at + 4u));
}

fn run(row: u32, i: u32, h: u32) -> Run {
    return f32_run((row * UNITS + i) * 8u + 4u * h);
}
