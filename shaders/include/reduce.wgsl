// Sums over a workgroup of WG_SIZE invocations (a power of two). Every invocation gets the result. A call is uniform
// control flow: all invocations of the workgroup must make it.
//
// With SUBGROUPS the lanes of a subgroup are summed first; their number is not assumed, and may be 1 to 128.

#define WG_SIZE 64u

var<workgroup> reduce_cells: array<f32, WG_SIZE>;

#if SUBGROUPS
#enable subgroups

fn workgroup_sum(value: f32, lane: u32, subgroup_lane: u32, subgroup_lanes: u32) -> f32 {
    let part = subgroupAdd(value);
    reduce_cells[lane] = 0.0;
    workgroupBarrier();
    // Subgroups need not be consecutive lanes; each leaves its sum at the place of its first lane.
    if subgroup_lane == 0u {
        reduce_cells[lane] = part;
    }
    workgroupBarrier();
    var total = 0.0;
    for (var i = subgroup_lane; i < WG_SIZE; i += subgroup_lanes) {
        total += reduce_cells[i];
    }
    let sum = subgroupAdd(total);
    workgroupBarrier();
    return sum;
}
#else

fn workgroup_sum(value: f32, lane: u32) -> f32 {
    reduce_cells[lane] = value;
    workgroupBarrier();
    for (var width = WG_SIZE / 2u; width > 0u; width /= 2u) {
        if lane < width {
            reduce_cells[lane] += reduce_cells[lane + width];
        }
        workgroupBarrier();
    }
    let sum = reduce_cells[0];
    workgroupBarrier();
    return sum;
}
#endif
