//! Which instruction set is the fastest, where the processor and the engine decide and neither tells.
//!
//! A build for relaxed SIMD has two ways to multiply bytes. The sum of four products is one instruction where the
//! engine uses the processor's own, and some five where it does not; the other way is the same everywhere.

use chord_gguf::GgmlType;
use chord_program::ExecError;

use super::activations::Activations;
use super::matrix::{PackedMatrix, Precision};
use crate::simd::InstructionSet;

/// Rows and columns of a matrix that stays in the nearest caches.
const ROWS: usize = 64;
const COLS: usize = 512;
/// Tokens of a prompt, in 8 bits.
const TOKENS: usize = 8;
/// How long each kind of product is timed at a time, in milliseconds, and how often.
const SLICE_MS: f64 = 0.25;
const SLICES: usize = 4;

/// The fastest instruction set, and how it compares.
#[derive(Clone, Debug, PartialEq)]
pub struct Fastest {
    /// The set.
    pub isa: InstructionSet,
    /// Each set that was measured, with its speed relative to the first one's: for one token, and for a prompt.
    pub speeds: Vec<(InstructionSet, [f64; 2])>,
}

/// Measures instruction sets, such as [those of which any may be the fastest](InstructionSet::rivals), on this thread;
/// `clock` gives milliseconds. For each set and kind of product it takes a millisecond, longer where the clock is
/// coarse.
///
/// # Errors
/// If there is no memory.
///
/// # Panics
/// If there is no set, or this machine does not have one of them.
pub fn fastest(sets: &[InstructionSet], clock: impl Fn() -> f64) -> Result<Fastest, ExecError> {
    let mut cases = Vec::new();
    for &isa in sets {
        cases.push([Case::new(isa, 1, 2)?, Case::new(isa, TOKENS, 1)?]);
    }
    // Engines compile a function when it is first called.
    cases.iter_mut().flatten().for_each(Case::run);
    let mut times = vec![[f64::INFINITY; 2]; cases.len()];
    for _ in 0..SLICES {
        for (case, times) in cases.iter_mut().zip(&mut times) {
            for (case, time) in case.iter_mut().zip(times) {
                *time = time.min(case.time(&clock));
            }
        }
    }
    let first = times[0];
    let speeds: Vec<_> =
        sets.iter().zip(times).map(|(isa, [one, many])| (*isa, [first[0] / one, first[1] / many])).collect();
    let both = |(_, [one, many]): &(InstructionSet, [f64; 2])| one * many;
    let best = speeds.iter().max_by(|a, b| both(a).total_cmp(&both(b))).expect("a set to measure");
    Ok(Fastest { isa: best.0, speeds })
}

/// A product to time.
struct Case {
    matrix: PackedMatrix,
    acts: Activations,
    out: Vec<f32>,
}

impl Case {
    fn new(isa: InstructionSet, n_tokens: usize, code_bytes: usize) -> Result<Self, ExecError> {
        let matrix = PackedMatrix::new(GgmlType::Q4_K, ROWS, COLS, isa, "a matrix to choose kernels by")?;
        let mut acts = Activations::with_bytes(isa, code_bytes);
        acts.quantize(&vec![1.0; n_tokens * COLS], n_tokens, COLS);
        Ok(Case { matrix, acts, out: vec![0.0; n_tokens * ROWS] })
    }

    fn run(&mut self) {
        let row_blocks = self.matrix.row_blocks(0..ROWS);
        // SAFETY: `out` is `[n_tokens, ROWS]`.
        unsafe {
            self.matrix.multiply(&self.acts, Precision::Rounded, 0..ROWS, row_blocks, self.out.as_mut_ptr(), ROWS);
        }
    }

    /// Milliseconds of a run, from one tick of the clock to another.
    fn time(&mut self, clock: &impl Fn() -> f64) -> f64 {
        let asked = clock();
        let mut began = clock();
        while began == asked {
            began = clock();
        }
        let mut runs = 0.0;
        loop {
            self.run();
            runs += 1.0;
            let now = clock();
            if now - began >= SLICE_MS {
                return (now - began) / runs;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn vectors_are_faster_than_plain_code() {
        let available = InstructionSet::available();
        let began = Instant::now();
        let clock = || began.elapsed().as_secs_f64() * 1000.0;
        let both = [available[0], InstructionSet::best()];
        let Fastest { isa, speeds } = fastest(&both, clock).expect("memory");
        assert_eq!(isa, InstructionSet::best(), "{speeds:?}");
        assert_eq!(speeds[0], (available[0], [1.0, 1.0]));
    }
}
