// The batch being run: binding 0 of every kernel that includes this file.
//
// `words` holds ids[max_batch], pos[max_batch], seq[max_batch], out_rows[max_outputs], one after the other. A kernel
// that also writes the batch defines BATCH_ACCESS as `read_write`.

#define BATCH_ACCESS read

struct Batch {
    n_tokens: u32,     // T of this batch
    n_outputs: u32,    // R of this batch
    max_batch: u32,    // room for T
    max_outputs: u32,  // room for R
    words: array<u32>,
}

@group(0) @binding(0) var<storage, BATCH_ACCESS> batch: Batch;

fn batch_id(t: u32) -> u32 {
    return batch.words[t];
}

fn batch_pos(t: u32) -> u32 {
    return batch.words[batch.max_batch + t];
}

fn batch_seq(t: u32) -> u32 {
    return batch.words[2u * batch.max_batch + t];
}

fn batch_out_row(r: u32) -> u32 {
    return batch.words[3u * batch.max_batch + r];
}
