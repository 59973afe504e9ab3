// Does next to nothing: measures what a dispatch costs.

@group(0) @binding(0) var<storage, read_write> cells: array<u32>;

@compute @workgroup_size(1)
fn main() {
    cells[0] += 1u;
}
