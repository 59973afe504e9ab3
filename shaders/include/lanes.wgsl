// An invocation's place in its workgroup and subgroup. A kernel's `main` takes it as its last parameter.

struct Lanes {
    @builtin(local_invocation_index) lane: u32,
#if SUBGROUPS
    @builtin(subgroup_invocation_id) subgroup_lane: u32,
    @builtin(subgroup_size) subgroup_lanes: u32,
#endif
}
