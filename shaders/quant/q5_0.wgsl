// Q5_0: blocks of 32 weights d · (q − 16). A unit is a block.
//   codes   16 bytes a block, as in the file: byte j holds the lower four bits of q[j] in its lower half and those of
//           q[j + 16] in its upper half
//   scales  for each row, first a word of fifth bits for each block, then d of each block as f16, two to a word
#include "quant/unit.wgsl"
#include "quant/fifth_bits.wgsl"
#define HAS_OFFSET 1

const LANES = BYTES_IN_PLACE;

fn unit_columns(i: u32) -> vec2<u32> {
    return vec2<u32>(i * 32u, i * 32u + 16u);
}

fn packed(row: u32, i: u32) -> Packed {
    let words = codes[row * UNITS + i];
    let bits = scales[row * SCALE_WORDS + i];
    let d = half_scale(scales[row * SCALE_WORDS + UNITS + (i >> 1u)], i);
    return Packed(words, vec4<u32>(bits), vec2<f32>(d), vec2<f32>(-16.0 * d));
}
