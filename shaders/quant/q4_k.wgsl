// Q4_K: blocks of 256 weights in eight groups of 32, each d·scale · q − dmin·minimum.
//   codes   144 bytes a block, as in the file: the header, then four chunks of 32 bytes; chunk c holds group 2c in the
//           lower and group 2c + 1 in the upper halves of its bytes
// A unit is 16 bytes of a chunk: 16 weights of each of its two groups.
#include "quant/unit.wgsl"
#include "quant/k_scales.wgsl"
#include "quant/nibbles.wgsl"
#define HAS_OFFSET 1

const LANES = BYTES_IN_PLACE;

fn unit_columns(i: u32) -> vec2<u32> {
    let first = (i >> 1u) * 64u + (i & 1u) * 16u;
    return vec2<u32>(first, first + 32u);
}

fn packed(row: u32, i: u32) -> Packed {
    let block = (row * (UNITS / 8u) + (i >> 3u)) * 9u;
    let g = group_pair(codes[block], (i & 7u) >> 1u);
    let words = codes[block + 1u + (i & 7u)];
    return Packed(words, vec4<u32>(), g.scale, g.offset);
}
