// Types of four bits: the first run of a unit is in the lower halves of its bytes, the second in the upper ones.
#include "quant/shared_words.wgsl"

fn packed_run(p: Packed, h: u32) -> Run {
    return run_of_nibbles(p.words >> vec4<u32>(4u * h), p.scale[h], p.offset[h]);
}
