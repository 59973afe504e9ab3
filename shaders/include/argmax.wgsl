// Candidates of a greedy choice: (rank, id). The greater rank wins; of equal ranks, the lower id.

// A u32 in the order of the f32 values, so that no floats are compared. NaN ranks above all, so that it is noticed.
fn rank_of(logit: f32) -> u32 {
    let bits = bitcast<u32>(logit);
    if (bits & 0x7fffffffu) > 0x7f800000u {
        return 0xffffffffu;
    }
    return select(bits | 0x80000000u, ~bits, (bits & 0x80000000u) != 0u);
}

const NONE: vec2<u32> = vec2<u32>(0u, 0xffffffffu);

fn better(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    return select(b, a, a.x > b.x || (a.x == b.x && a.y < b.y));
}

#if LANES == 1u

fn workgroup_best(candidate: vec2<u32>, lane: u32) -> vec2<u32> {
    return candidate;
}
#else

var<workgroup> candidates: array<vec2<u32>, LANES>;

// The best candidate of the workgroup. Every invocation gets it, and all must make the call.
fn workgroup_best(candidate: vec2<u32>, lane: u32) -> vec2<u32> {
    candidates[lane] = candidate;
    workgroupBarrier();
    for (var width = LANES / 2u; width > 0u; width /= 2u) {
        if lane < width {
            candidates[lane] = better(candidates[lane], candidates[lane + width]);
        }
        workgroupBarrier();
    }
    let best = candidates[0];
    workgroupBarrier();
    return best;
}
#endif
