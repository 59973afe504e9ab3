// Grids of more than 65,535 workgroups are laid out in two dimensions, with a few workgroups too many at the end.

fn workgroup_index(workgroup: vec3<u32>, count: vec3<u32>) -> u32 {
    return workgroup.x + workgroup.y * count.x;
}
