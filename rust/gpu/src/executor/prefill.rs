//! A batch of a prompt on its way to the device.

use chord_program::{Batch, BatchShape, BufferId, Program};

use crate::resources::Allocation;

/// The words of a batch as they are stored on the device: see `include/batch.wgsl`.
pub(super) fn batch_words(program: &Program, batch: &Batch<'_>) -> Vec<u32> {
    let (max_batch, max_outputs) = (program.max_batch as usize, program.max_outputs as usize);
    let mut words = vec![0u32; 4 + 3 * max_batch + max_outputs];
    let header = [batch.ids.len(), batch.out_rows.len(), max_batch, max_outputs];
    words[..4].copy_from_slice(&header.map(|n| n as u32));
    let mut at = 4;
    for (values, room) in
        [(batch.ids, max_batch), (batch.pos, max_batch), (batch.seq, max_batch), (batch.out_rows, max_outputs)]
    {
        words[at..at + values.len()].copy_from_slice(values);
        at += room;
    }
    words
}

/// A checked batch.
#[derive(Debug)]
pub(super) struct Prefill {
    pub(super) words: Vec<u32>,
    pub(super) shape: BatchShape,
    /// What is read back, if anything.
    pub(super) result: Option<PrefillResult>,
}

#[derive(Debug)]
pub(super) struct PrefillResult {
    pub(super) staging: Allocation,
    pub(super) bytes: u64,
    pub(super) logits: BufferId,
    /// If ids are wanted: sequence and position of the decode step whose input is the last one.
    pub(super) next: Option<(u32, u32)>,
}
