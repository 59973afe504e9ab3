// Q6_K: blocks of 256 weights in sixteen groups of 16, each d·scale · (q − 32), scale a signed byte.
//   codes   192 bytes a block, as in the file: 128 of lower four bits, then 64 of upper bit pairs. Each half of the
//           block (128 weights) has 64 and 32 of them: byte j of the 64 holds the lower bits of q[j] in its lower half
//           and those of q[j + 64] in its upper half; byte l of the 32 holds the upper pairs of q[l], q[l + 32],
//           q[l + 64] and q[l + 96], from its lowest pair on
//   scales  for each row, first the sixteen scales of each block, then d of each block as f16, two to a word. The
//           upload sorts the scales so that the two of unit u are bytes 2u and 2u + 1
// A unit is 16 bytes of lower bits: a group of 16 weights, and the group 64 columns further on.
#include "quant/unit.wgsl"
#include "quant/shared_words.wgsl"
#define HAS_OFFSET 1

const LANES = BYTES_IN_PLACE;

fn unit_columns(i: u32) -> vec2<u32> {
    let first = (i >> 2u) * 128u + (i & 3u) * 16u;
    return vec2<u32>(first, first + 64u);
}

fn run_of_six_bits(words: vec4<u32>, bits: vec4<u32>, scale: f32, offset: f32) -> Run {
    let upper = (bits & vec4<u32>(0x03030303u)) << vec4<u32>(4u);
    return run_of_bytes((words & vec4<u32>(0x0f0f0f0fu)) | upper, scale, offset);
}

fn packed(row: u32, i: u32) -> Packed {
    let block = i >> 3u;
    let at = (row * (UNITS / 8u) + block) * 12u;
    let words = codes[at + (i & 7u)];
    // Bytes 32 to 63 of each half's lower bits are columns 32 further on: their upper bits are one pair higher.
    let bits = codes[at + 8u + ((i & 4u) >> 1u) + (i & 1u)] >> vec4<u32>(i & 2u);
    let first = row * SCALE_WORDS;
    let two = i32(scales[first + block * 4u + ((i & 7u) >> 1u)] >> ((i & 1u) * 16u));
    let d = half_scale(scales[first + (UNITS / 8u) * 4u + (block >> 1u)], block);
    let scale = d * vec2<f32>(vec2<i32>((two << 24u) >> 24u, (two << 16u) >> 24u));
    return Packed(words, bits, scale, -32.0 * scale);
}

fn packed_run(p: Packed, h: u32) -> Run {
    return run_of_six_bits(p.words >> vec4<u32>(4u * h), p.bits >> vec4<u32>(4u * h), p.scale[h], p.offset[h]);
}
