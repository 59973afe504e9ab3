// IQ4_NL: blocks of 32 weights d · value[q] with sixteen unevenly spaced values. A unit is a block.
//   codes   16 bytes a block, as in the file: byte j holds q[j] in its lower and q[j + 16] in its upper half
//   scales  d of each block as f16, two to a word
#include "quant/unit.wgsl"
#include "quant/shared_words.wgsl"
#define HAS_OFFSET 0

const LANES = vec4<f32>(1.0);

fn unit_columns(i: u32) -> vec2<u32> {
    return vec2<u32>(i * 32u, i * 32u + 16u);
}

fn packed(row: u32, i: u32) -> Packed {
    let words = codes[row * UNITS + i];
    let d = half_scale(scales[row * SCALE_WORDS + (i >> 1u)], i);
    return Packed(words, vec4<u32>(), vec2<f32>(d), vec2<f32>());
}

// The values of the lower four bits of each byte. The sixteen values, as signed bytes, fill four words: bits 2 and 3 of
// a code choose the word, bits 0 and 1 the byte.
fn values(word: u32) -> vec4<f32> {
    let q = vec4<u32>(word) >> vec4<u32>(0u, 8u, 16u, 24u);
    let is_odd = (q & vec4<u32>(4u)) != vec4<u32>();
    let negative = select(vec4<u32>(0xbfad9881u), vec4<u32>(0xf6eaddcfu), is_odd);
    let positive = select(vec4<u32>(0x26190d01u), vec4<u32>(0x71594535u), is_odd);
    let four = select(negative, positive, (q & vec4<u32>(8u)) != vec4<u32>());
    return vec4<f32>((vec4<i32>(four) << (vec4<u32>(24u) - 8u * (q & vec4<u32>(3u)))) >> vec4<u32>(24u));
}

fn packed_run(p: Packed, h: u32) -> Run {
    let words = p.words >> vec4<u32>(4u * h);
    return Run(values(words.x), values(words.y), values(words.z), values(words.w), p.scale[h], 0.0);
}
