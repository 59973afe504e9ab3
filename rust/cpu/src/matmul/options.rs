//! How the executor computes, and on how many threads.

use std::ops::Range;

use chord_program::Batch;

use crate::simd::InstructionSet;

/// Form of the rows that quantized matrices are multiplied with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ActivationType {
    /// As [`Q8`](ActivationType::Q8) in the middle of prompts, as [`Q16`](ActivationType::Q16) elsewhere: for the first
    /// positions, for what comes right before a row whose logits are wanted, and for generated tokens.
    #[default]
    Mixed,
    /// Rounded to 8 bits, with a scale for each 32: integer products. Fastest with prompts.
    Q8,
    /// Rounded to 16 bits, a high and a low byte: nearly as good as unrounded, for twice the integer products.
    Q16,
    /// As they are: exact up to the order of sums.
    F32,
}

/// First positions of a sequence, which [`ActivationType::Mixed`] has in 16 bits: later ones attend to them most.
const FIRST: usize = 8;
/// Rows that it has in 16 bits before the first one whose logits are wanted, that one included.
const LAST: usize = 16;
/// With fewer rows of 8 bits than this, unpacking the weights once more for them costs more than it saves.
const FEWEST: usize = 16;

impl ActivationType {
    /// Most bytes that a code has.
    pub(crate) fn code_bytes(self) -> usize {
        match self {
            ActivationType::Mixed | ActivationType::Q16 => 2,
            ActivationType::Q8 | ActivationType::F32 => 1,
        }
    }

    /// The rows of a batch whose codes have one byte although others have two.
    pub(crate) fn coarse_rows(self, batch: &Batch<'_>) -> Range<usize> {
        let is_one_sequence = batch.seq.windows(2).all(|pair| pair[0] == pair[1]);
        if self != ActivationType::Mixed || !is_one_sequence || batch.pos.is_empty() {
            return 0..0;
        }
        let start = FIRST.saturating_sub(batch.pos[0] as usize);
        let wanted = batch.out_rows.iter().min();
        let end = wanted.map_or(batch.pos.len(), |&row| (row as usize + 1).saturating_sub(LAST));
        if end < start + FEWEST { 0..0 } else { start..end }
    }
}

/// Choices of a [`CpuExecutor`](crate::CpuExecutor).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuOptions {
    /// Threads, the calling one included; [`default_threads`](crate::pool::default_threads) if not given.
    pub threads: Option<usize>,
    /// Form of activations in products.
    pub activations: ActivationType,
    /// What to compute with; [`InstructionSet::best`] if not given.
    pub isa: Option<InstructionSet>,
}

impl CpuOptions {
    /// One thread, nothing rounded: what other executors are compared with.
    pub fn exact() -> Self {
        CpuOptions { threads: Some(1), activations: ActivationType::F32, isa: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a batch of `n` tokens from position `first` on has in 8 bits.
    fn coarse(activations: ActivationType, first: u32, n: u32, out_rows: &[u32]) -> Range<usize> {
        let pos: Vec<u32> = (first..first + n).collect();
        activations.coarse_rows(&Batch { ids: &pos, pos: &pos, seq: &vec![0; n as usize], out_rows })
    }

    #[test]
    fn the_middle_of_a_prompt_has_eight_bits() {
        let mixed = |first, n, out_rows: &[u32]| coarse(ActivationType::Mixed, first, n, out_rows);
        assert_eq!(mixed(0, 128, &[]), 8..128, "more of the prompt follows");
        assert_eq!(mixed(0, 128, &[127]), 8..112);
        assert_eq!(mixed(5, 128, &[127]), 3..112);
        assert_eq!(mixed(128, 128, &[127]), 0..112);
        assert_eq!(mixed(128, 128, &[100, 127]), 0..85, "up to the first row that is wanted");
        assert_eq!(mixed(0, 40, &[39]), 8..24);
        assert_eq!(mixed(0, 39, &[38]), 0..0, "too few to unpack weights for");
        assert_eq!(mixed(500, 1, &[0]), 0..0);
        assert_eq!(mixed(0, 64, &(0..64).collect::<Vec<_>>()), 0..0, "all rows are wanted");
        for activations in [ActivationType::Q8, ActivationType::Q16, ActivationType::F32] {
            assert_eq!(coarse(activations, 0, 128, &[127]), 0..0);
        }
        let pos: Vec<u32> = (0..64).chain(0..64).collect();
        let seq: Vec<u32> = pos.iter().enumerate().map(|(row, _)| (row / 64) as u32).collect();
        let two = Batch { ids: &pos, pos: &pos, seq: &seq, out_rows: &[63, 127] };
        assert_eq!(ActivationType::Mixed.coarse_rows(&two), 0..0, "none of several sequences");
    }
}
