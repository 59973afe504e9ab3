// F16: half-precision floats, two to a word. A unit is four vectors of eight weights; rows are padded with zeros to
// whole units.
#include "quant/unit.wgsl"
#define HAS_OFFSET 0

const LANES = vec4<f32>(1.0);

fn unit_columns(i: u32) -> vec2<u32> {
    return vec2<u32>(i * 32u, i * 32u + 16u);
}

fn two(word: u32) -> vec2<f32> {
    return unpack2x16float(word);
}

fn f16_run(a: vec4<u32>, b: vec4<u32>) -> Run {
    return Run(vec4<f32>(two(a.x), two(a.y)), vec4<f32>(two(a.z), two(a.w)), vec4<f32>(two(b.x), two(b.y)),
        vec4<f32>(two(b.z), two(b.w)), 1.0, 0.0);
}

fn unit(row: u32, i: u32) -> Unit {
    let at = (row * UNITS + i) * 4u;
    return Unit(f16_run(codes[at], codes[at + 1u]), f16_run(codes[at + 2u], codes[at + 3u]));
}

fn run(row: u32, i: u32, h: u32) -> Run {
    let at = (row * UNITS + i) * 4u + 2u * h;
    return f16_run(codes[at], codes[at + 1u]);
}
