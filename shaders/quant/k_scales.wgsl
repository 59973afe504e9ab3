// The header of Q4_K and Q5_K blocks: d and dmin as f16 in `x`, then eight 6-bit scales and eight 6-bit minima packed
// in twelve bytes. Groups 0 to 3 have theirs in the lower six bits of bytes 0 to 3 (scales) and 4 to 7 (minima). Groups
// 4 to 7 have the lower four bits in bytes 8 to 11 (scales in the lower halves, minima in the upper ones) and the upper
// two bits in the top of bytes 0 to 3 and 4 to 7.

struct GroupPair {
    scale: vec2<f32>,
    offset: vec2<f32>,
}

// Scales and offsets of groups 2·pair and 2·pair + 1.
fn group_pair(header: vec4<u32>, pair: u32) -> GroupPair {
    let shift = (pair & 1u) * 16u;
    let s = header.y >> shift;
    let m = header.z >> shift;
    let low = header.w >> shift;
    let upper = pair >= 2u;
    let scale = select(s & 0x3f3fu, (low & 0x0f0fu) | ((s >> 2u) & 0x3030u), upper);
    let minimum = select(m & 0x3f3fu, ((low >> 4u) & 0x0f0fu) | ((m >> 2u) & 0x3030u), upper);
    let d = unpack2x16float(header.x);
    return GroupPair(
        d.x * vec2<f32>(vec2<i32>(vec2<u32>(scale & 0xffu, (scale >> 8u) & 0xffu))),
        -d.y * vec2<f32>(vec2<i32>(vec2<u32>(minimum & 0xffu, (minimum >> 8u) & 0xffu))),
    );
}
