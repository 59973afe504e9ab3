// Sums over groups of ROW_LANES neighbouring lanes of a workgroup of WG_SIZE (both powers of two). The first lane of
// each group gets the group's sum. Every lane of the workgroup must make the call, in uniform control flow.
//
// With SUBGROUPS a group is the whole workgroup. The lanes of a subgroup are summed first, however many they are and
// whether or not they are neighbours.

var<workgroup> sum_cells: array<vec4<f32>, WG_SIZE>;

#if SUBGROUPS
#enable subgroups

struct Lane {
    index: u32,
    subgroup_lane: u32,
    subgroup_lanes: u32,
}

fn group_sum(value: vec4<f32>, lane: Lane) -> vec4<f32> {
    let part = subgroupAdd(value);
    sum_cells[lane.index] = select(vec4<f32>(0.0), part, lane.subgroup_lane == 0u);
    workgroupBarrier();
    var total = vec4<f32>(0.0);
    for (var i = lane.subgroup_lane; i < WG_SIZE; i += lane.subgroup_lanes) {
        total += sum_cells[i];
    }
    total = subgroupAdd(total);
    workgroupBarrier();
    return total;
}
#else

struct Lane {
    index: u32,
}

fn group_sum(value: vec4<f32>, lane: Lane) -> vec4<f32> {
    sum_cells[lane.index] = value;
    workgroupBarrier();
#if SHORT_SUM
    // Few lanes: one barrier costs more than a few additions.
    var total = vec4<f32>(0.0);
    if lane.index % ROW_LANES == 0u {
        for (var i = 0u; i < ROW_LANES; i++) {
            total += sum_cells[lane.index + i];
        }
    }
#else
    for (var width = ROW_LANES / 2u; width > 0u; width /= 2u) {
        if lane.index % ROW_LANES < width {
            sum_cells[lane.index] += sum_cells[lane.index + width];
        }
        workgroupBarrier();
    }
    let total = sum_cells[lane.index];
#endif
    workgroupBarrier();
    return total;
}
#endif
