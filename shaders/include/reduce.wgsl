// Sums over a workgroup of WG_SIZE invocations (a power of two). Every invocation gets the result, and all of the
// workgroup must make the call.
//
// With a WG_SIZE of 1 there is nothing to add up. That is for devices that compute a workgroup as a loop over its
// lanes: there barriers cost more than they save, above all in compile time.
//
// With SUBGROUPS the lanes of a subgroup, however many, are summed first.

#include "include/lanes.wgsl"
#define WG_SIZE 64u

#if WG_SIZE == 1u

fn workgroup_sum(value: f32, at: Lanes) -> f32 {
    return value;
}
#else

var<workgroup> reduce_cells: array<f32, WG_SIZE>;

#if SUBGROUPS
#enable subgroups

fn workgroup_sum(value: f32, at: Lanes) -> f32 {
    let part = subgroupAdd(value);
    // Each subgroup leaves its sum in the cell of its first lane; which lanes form a subgroup does not matter.
    reduce_cells[at.lane] = select(0.0, part, at.subgroup_lane == 0u);
    workgroupBarrier();
    var total = 0.0;
    for (var i = at.subgroup_lane; i < WG_SIZE; i += at.subgroup_lanes) {
        total += reduce_cells[i];
    }
    let sum = subgroupAdd(total);
    workgroupBarrier();
    return sum;
}
#else

fn workgroup_sum(value: f32, at: Lanes) -> f32 {
    reduce_cells[at.lane] = value;
    workgroupBarrier();
    for (var width = WG_SIZE / 2u; width > 0u; width /= 2u) {
        if at.lane < width {
            reduce_cells[at.lane] += reduce_cells[at.lane + width];
        }
        workgroupBarrier();
    }
    let sum = reduce_cells[0];
    workgroupBarrier();
    return sum;
}
#endif
#endif
