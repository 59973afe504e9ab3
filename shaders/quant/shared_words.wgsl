// For types that store both runs of a unit in the same words. Such a type defines
//
//   packed(row, i)    the unit as it is stored
//   packed_run(p, h)  its run h: 0 or 1
#define SHARED_WORDS 1

// A unit as it is stored. `scale` and `offset` are those of its two runs, `bits` the upper bits of its codes.
struct Packed {
    words: vec4<u32>,
    bits: vec4<u32>,
    scale: vec2<f32>,
    offset: vec2<f32>,
}

fn unit(row: u32, i: u32) -> Unit {
    let p = packed(row, i);
    return Unit(packed_run(p, 0u), packed_run(p, 1u));
}
