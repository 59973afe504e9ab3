// Grids of more than 65,535 workgroups have two dimensions, with a few surplus workgroups at the end.

fn workgroup_index(workgroup: vec3<u32>, count: vec3<u32>) -> u32 {
    return workgroup.x + workgroup.y * count.x;
}
