// Q5_K: blocks of 256 weights in eight groups of 32, each d·scale · q − dmin·minimum.
//   codes   176 bytes a block, as in the file: the header, 32 bytes of fifth bits (bit g of byte l is element l of
//           group g), then four chunks of 32 bytes; chunk c holds the lower bits of group 2c in the lower and of group
//           2c + 1 in the upper halves of its bytes
// A unit is 16 bytes of a chunk: 16 weights of each of its two groups.
#include "quant/unit.wgsl"
#include "quant/k_scales.wgsl"
#include "quant/shared_words.wgsl"
#define HAS_OFFSET 1

const LANES = BYTES_IN_PLACE;

fn unit_columns(i: u32) -> vec2<u32> {
    let first = (i >> 1u) * 64u + (i & 1u) * 16u;
    return vec2<u32>(first, first + 32u);
}

fn run_of_group(words: vec4<u32>, bits: vec4<u32>, scale: f32, offset: f32) -> Run {
    let fifth = (bits & vec4<u32>(0x01010101u)) << vec4<u32>(4u);
    return run_of_bytes((words & vec4<u32>(0x0f0f0f0fu)) | fifth, scale, offset);
}

fn packed(row: u32, i: u32) -> Packed {
    let block = (row * (UNITS / 8u) + (i >> 3u)) * 11u;
    let pair = (i & 7u) >> 1u;
    let g = group_pair(codes[block], pair);
    let bits = codes[block + 1u + (i & 1u)] >> vec4<u32>(2u * pair);
    let words = codes[block + 3u + (i & 7u)];
    return Packed(words, bits, g.scale, g.offset);
}

fn packed_run(p: Packed, h: u32) -> Run {
    return run_of_group(p.words >> vec4<u32>(4u * h), p.bits >> vec4<u32>(h), p.scale[h], p.offset[h]);
}
