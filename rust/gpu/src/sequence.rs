//! What the host knows of each sequence: how many positions it holds, and whether a next id waits on the device.

use chord_program::{Batch, ExecError, Program};

#[derive(Clone, Copy, Debug, Default)]
struct Sequence {
    n_past: u32,
    has_next: bool,
}

/// The sequences of one executor.
#[derive(Clone, Debug)]
pub(crate) struct Sequences {
    sequences: Vec<Sequence>,
}

impl Sequences {
    pub(crate) fn new(n_seq_max: u32) -> Self {
        Sequences { sequences: vec![Sequence::default(); n_seq_max as usize] }
    }

    fn get(&mut self, seq: u32) -> Result<&mut Sequence, ExecError> {
        let n = self.sequences.len();
        self.sequences.get_mut(seq as usize).ok_or_else(|| ExecError::BadBatch(format!("sequence {seq} of {n}")))
    }

    /// Appends a batch. The first position of a sequence continues it, or cuts it and continues from there; the others
    /// rise by one. With `chosen`, each output row leaves its sequence a next id.
    pub(crate) fn append(&mut self, program: &Program, batch: &Batch<'_>, chosen: bool) -> Result<(), ExecError> {
        let mut after = self.sequences.clone();
        let mut started = vec![false; after.len()];
        for (&seq, &pos) in batch.seq.iter().zip(batch.pos) {
            let sequence = &mut after[seq as usize];
            if !std::mem::replace(&mut started[seq as usize], true) && pos < sequence.n_past {
                check_cut(program, seq, sequence.n_past, pos)?;
                sequence.n_past = pos;
            }
            if pos != sequence.n_past {
                let expected = sequence.n_past;
                let what = format!("position {pos} of sequence {seq}, which continues at {expected}");
                return Err(ExecError::BadBatch(what));
            }
            *sequence = Sequence { n_past: pos + 1, has_next: false };
        }
        if chosen {
            for &row in batch.out_rows {
                after[batch.seq[row as usize] as usize].has_next = true;
            }
        }
        self.sequences = after;
        Ok(())
    }

    /// Claims the position of the next greedy step.
    pub(crate) fn step(&mut self, program: &Program, seq: u32) -> Result<u32, ExecError> {
        let sequence = self.get(seq)?;
        if !sequence.has_next {
            return Err(ExecError::BadBatch(format!("sequence {seq} has no id to continue from")));
        }
        let pos = sequence.n_past;
        if pos >= program.n_ctx {
            return Err(ExecError::BadBatch(format!("position {pos}, the context holds {}", program.n_ctx)));
        }
        sequence.n_past = pos + 1;
        Ok(pos)
    }

    /// Cuts a sequence to `n_past` positions.
    pub(crate) fn truncate(&mut self, program: &Program, seq: u32, n_past: u32) -> Result<(), ExecError> {
        let sequence = self.get(seq)?;
        if n_past > sequence.n_past {
            let held = sequence.n_past;
            return Err(ExecError::BadBatch(format!(
                "sequence {seq} holds {held} positions, cannot be cut to {n_past}"
            )));
        }
        check_cut(program, seq, sequence.n_past, n_past)?;
        if n_past < sequence.n_past {
            *sequence = Sequence { n_past, has_next: false };
        }
        Ok(())
    }
}

fn check_cut(program: &Program, seq: u32, held: u32, wanted: u32) -> Result<(), ExecError> {
    let floor = program.truncate_floor(held);
    if wanted == 0 || wanted >= floor {
        return Ok(());
    }
    Err(ExecError::CannotTruncate { seq, wanted, floor })
}

#[cfg(test)]
mod tests {
    use super::*;
    use chord_program::{KvType, ProgramBuilder};

    fn program() -> Program {
        ProgramBuilder::new(10, 6, 2, 4, 4, KvType::F32).finish().expect("an empty program is valid")
    }

    fn batch<'a>(pos: &'a [u32], seq: &'a [u32], out_rows: &'a [u32]) -> Batch<'a> {
        Batch { ids: &[0; 4][..pos.len()], pos, seq, out_rows }
    }

    #[test]
    fn positions_continue_or_cut_but_leave_no_gap() {
        let (program, mut s) = (program(), Sequences::new(2));
        s.append(&program, &batch(&[0, 1, 0, 2], &[0, 0, 1, 0], &[3]), true).unwrap();
        assert!(s.append(&program, &batch(&[4], &[0], &[]), false).is_err(), "position 3 is missing");
        s.append(&program, &batch(&[1, 2], &[0, 0], &[]), false).unwrap();
        assert!(s.append(&program, &batch(&[3, 3], &[0, 0], &[]), false).is_err());
        s.append(&program, &batch(&[3], &[0], &[]), false).unwrap();
    }

    #[test]
    fn steps_need_an_id_and_room() {
        let (program, mut s) = (program(), Sequences::new(2));
        assert!(s.step(&program, 0).is_err());
        assert!(s.step(&program, 2).is_err());
        s.append(&program, &batch(&[0, 1, 2, 3], &[0; 4], &[3]), true).unwrap();
        assert_eq!(s.step(&program, 0).unwrap(), 4);
        assert_eq!(s.step(&program, 0).unwrap(), 5);
        assert!(s.step(&program, 0).is_err(), "the context is full");
        s.truncate(&program, 0, 2).unwrap();
        assert!(s.step(&program, 0).is_err(), "the chosen id went with its position");
        assert!(s.truncate(&program, 0, 3).is_err());
    }
}
