// What the file of each block type defines, so that matmul/ and ops/embed.wgsl read all types alike:
//
//   unit(row, i)      the i-th unit of a row of this weight part: 32 weights in two runs of 16 consecutive columns
//   unit_columns(i)   the first columns of its two runs
//   LANES             factors on the four components of q0 … q3 (see below)
//   HAS_OFFSET        0 if offset is always 0
//
// and, for kernels that take a run at a time, what quant/shared_words.wgsl asks for, or
//
//   run(row, i, h)    run h of the unit: 0 or 1
//
//   weight = scale · LANES · q + offset
//
// so that a dot product needs one scale per run: scale · Σ q·(LANES·x) + offset · Σ x. Codes of fewer than eight bits
// stay at their byte's place in the word: they are masked, and not shifted, which would cost an instruction each.
// Component l of q then holds the code times 256^l, and LANES divides by that power of two, exactly.
//
// `codes` and `scales` are the two planes that rust/gpu/src/weights/planes.rs describes; the kernel that includes the
// file declares them.

struct Run {
    q0: vec4<f32>,
    q1: vec4<f32>,
    q2: vec4<f32>,
    q3: vec4<f32>,
    scale: f32,
    offset: f32,
}

struct Unit {
    lo: Run,
    hi: Run,
}

const BYTES_IN_PLACE = vec4<f32>(1.0, 0x1p-8, 0x1p-16, 0x1p-24);

// Four codes below 128, one in each byte, left in place.
fn bytes_in_place(word: u32) -> vec4<f32> {
    return vec4<f32>(vec4<i32>(vec4<u32>(word) & vec4<u32>(0xffu, 0xff00u, 0xff0000u, 0x7f000000u)));
}

// The lower four bits of each byte, left in place.
fn nibbles_in_place(word: u32) -> vec4<f32> {
    return vec4<f32>(vec4<i32>(vec4<u32>(word) & vec4<u32>(0xfu, 0xf00u, 0xf0000u, 0xf000000u)));
}

fn run_of_nibbles(words: vec4<u32>, scale: f32, offset: f32) -> Run {
    return Run(nibbles_in_place(words.x), nibbles_in_place(words.y), nibbles_in_place(words.z),
        nibbles_in_place(words.w), scale, offset);
}

fn run_of_bytes(words: vec4<u32>, scale: f32, offset: f32) -> Run {
    return Run(bytes_in_place(words.x), bytes_in_place(words.y), bytes_in_place(words.z), bytes_in_place(words.w),
        scale, offset);
}

// The f16 of block `index` from the word that it shares with its neighbour.
fn half_scale(pair: u32, index: u32) -> f32 {
    let both = unpack2x16float(pair);
    return select(both.x, both.y, (index & 1u) == 1u);
}
