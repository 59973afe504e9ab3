// Q8_0: blocks of 32 weights d · q, q signed. A unit is a block.
//   codes   32 bytes a block, as in the file
//   scales  d of each block as f16, two to a word
#include "quant/unit.wgsl"
#define HAS_OFFSET 0

const LANES = vec4<f32>(1.0);

fn unit_columns(i: u32) -> vec2<u32> {
    return vec2<u32>(i * 32u, i * 32u + 16u);
}

fn signed_bytes(word: u32) -> vec4<f32> {
    return vec4<f32>((vec4<i32>(i32(word)) << vec4<u32>(24u, 16u, 8u, 0u)) >> vec4<u32>(24u));
}

fn run_of_signed_bytes(words: vec4<u32>, scale: f32) -> Run {
    return Run(signed_bytes(words.x), signed_bytes(words.y), signed_bytes(words.z), signed_bytes(words.w), scale, 0.0);
}

fn unit(row: u32, i: u32) -> Unit {
    let at = (row * UNITS + i) * 2u;
    let d = half_scale(scales[row * SCALE_WORDS + (i >> 1u)], i);
    return Unit(run_of_signed_bytes(codes[at], d), run_of_signed_bytes(codes[at + 1u], d));
}

fn run(row: u32, i: u32, h: u32) -> Run {
    let d = half_scale(scales[row * SCALE_WORDS + (i >> 1u)], i);
    return run_of_signed_bytes(codes[(row * UNITS + i) * 2u + h], d);
}
