// Fifth bits of Q5_0 and Q5_1. The upload moves the bit of element 4j + l of a block to bit 8l + j of its word, so that
// one shift and one mask bring the bits of four elements to their bytes.
#include "quant/shared_words.wgsl"

fn fifth_bits(bits: u32) -> vec4<u32> {
    return ((vec4<u32>(bits) >> vec4<u32>(0u, 1u, 2u, 3u)) & vec4<u32>(0x01010101u)) << vec4<u32>(4u);
}

fn run_of_five_bits(words: vec4<u32>, bits: u32, scale: f32, offset: f32) -> Run {
    return run_of_bytes((words & vec4<u32>(0x0f0f0f0fu)) | fifth_bits(bits), scale, offset);
}

fn packed_run(p: Packed, h: u32) -> Run {
    return run_of_five_bits(p.words >> vec4<u32>(4u * h), p.bits.x >> (4u * h), p.scale[h], p.offset[h]);
}
