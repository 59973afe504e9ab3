// Second half of the greedy choice: the best candidate of each output row's chunks, in one workgroup. It leaves the ids
// for the host and each sequence's next id in `next`, and turns the batch into the decode step that follows the last
// output row.
//
// An id of 0xffffffff tells the host that a logit was not a number.

#define LANES 256u
#define BATCH_ACCESS read_write
#include "include/batch.wgsl"
#include "include/argmax.wgsl"

override N_CHUNKS: u32;

@group(0) @binding(1) var<storage, read_write> best: array<vec2<u32>>;  // [R, N_CHUNKS]
@group(0) @binding(2) var<storage, read_write> ids: array<u32>;  // [R]
@group(0) @binding(3) var<storage, read_write> next: array<u32>;  // [sequences]

#if LANES != 1u
var<workgroup> n_outputs: u32;
#endif

@compute @workgroup_size(LANES)
fn main(@builtin(local_invocation_index) lane: u32) {
#if LANES == 1u
    let rows = batch.n_outputs;
#else
    if lane == 0u {
        n_outputs = batch.n_outputs;
    }
    let rows = workgroupUniformLoad(&n_outputs);
#endif
    for (var row = 0u; row < rows; row += 1u) {
        var candidate = NONE;
        for (var chunk = lane; chunk < N_CHUNKS; chunk += LANES) {
            candidate = better(candidate, best[row * N_CHUNKS + chunk]);
        }
        candidate = workgroup_best(candidate, lane);
        if lane == 0u {
            let broken = candidate.x == 0xffffffffu;
            ids[row] = select(candidate.y, 0xffffffffu, broken);
            let token = batch_out_row(row);
            let seq = batch_seq(token);
            next[seq] = candidate.y;
            if row + 1u == rows {
                let pos = batch_pos(token);
                batch.n_tokens = 1u;
                batch.n_outputs = 1u;
                batch.words[0] = candidate.y;
                batch.words[batch.max_batch] = pos + 1u;
                batch.words[2u * batch.max_batch] = seq;
                batch.words[3u * batch.max_batch] = 0u;
            }
        }
    }
}
