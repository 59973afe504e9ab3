//! What has been enqueued, and how far each sequence will have come when it has run.

use std::collections::VecDeque;

use chord_program::{Batch, ExecError, Program, Want};

/// A copy of a [`Batch`], kept until it runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct OwnedBatch {
    ids: Vec<u32>,
    pos: Vec<u32>,
    seq: Vec<u32>,
    out_rows: Vec<u32>,
}

impl OwnedBatch {
    pub(crate) fn borrow(&self) -> Batch<'_> {
        Batch { ids: &self.ids, pos: &self.pos, seq: &self.seq, out_rows: &self.out_rows }
    }

    fn fill(&mut self, batch: &Batch<'_>) {
        let lists = [&mut self.ids, &mut self.pos, &mut self.seq, &mut self.out_rows];
        for (list, values) in lists.into_iter().zip([batch.ids, batch.pos, batch.seq, batch.out_rows]) {
            list.clear();
            list.extend_from_slice(values);
        }
    }
}

/// Work that is run at once.
#[derive(Clone, Debug)]
pub(crate) enum Queued {
    /// All segments for a batch.
    Batch(OwnedBatch, Want),
    /// One greedy token of a sequence, at a position.
    Decode { seq: u32, pos: u32 },
}

impl Queued {
    fn gives_ids(&self) -> bool {
        match self {
            Queued::Batch(batch, want) => matches!(want, Want::Ids | Want::Done) && !batch.out_rows.is_empty(),
            Queued::Decode { .. } => true,
        }
    }
}

/// A sequence as it will be once all of the queue has run.
#[derive(Clone, Copy, Debug, Default)]
struct Sequence {
    n_past: u32,
    /// The most positions held since it last started from 0: what rings have overwritten follows from it.
    high: u32,
    /// Whether an id will have been chosen for position `n_past`.
    has_choice: bool,
}

/// What is still to be run, in order, and how far the sequences will then have come.
#[derive(Debug)]
pub(crate) struct Schedule {
    queue: VecDeque<Queued>,
    sequences: Vec<Sequence>,
    /// Copies of batches that have run: their memory is used again, so that decoding allocates nothing.
    spare: Vec<OwnedBatch>,
    /// Memory of [`Schedule::advance`].
    advanced: Vec<Sequence>,
    begun: Vec<bool>,
}

impl Schedule {
    pub(crate) fn new(program: &Program) -> Self {
        Schedule {
            queue: VecDeque::new(),
            sequences: vec![Sequence::default(); program.n_seq_max as usize],
            spare: Vec::new(),
            advanced: Vec::new(),
            begun: Vec::new(),
        }
    }

    pub(crate) fn pop(&mut self) -> Option<Queued> {
        self.queue.pop_front()
    }

    /// Takes back a batch that has run.
    pub(crate) fn recycle(&mut self, batch: OwnedBatch) {
        self.spare.push(batch);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Forgets everything, after an error.
    pub(crate) fn clear(&mut self) {
        self.queue.clear();
        self.sequences.iter_mut().for_each(|s| *s = Sequence::default());
    }

    pub(crate) fn ids_outstanding(&self) -> bool {
        self.queue.iter().any(Queued::gives_ids)
    }

    pub(crate) fn logits_outstanding(&self) -> bool {
        self.queue.iter().any(|queued| matches!(queued, Queued::Batch(_, Want::Logits)))
    }

    /// Checks a batch and advances its sequences, first cutting those that continue from before their end.
    pub(crate) fn advance(&mut self, program: &Program, batch: &Batch<'_>, chooses: bool) -> Result<(), ExecError> {
        batch.check(program)?;
        let (sequences, begun) = (&mut self.advanced, &mut self.begun);
        sequences.clone_from(&self.sequences);
        begun.clear();
        begun.resize(sequences.len(), false);
        for (&pos, &seq) in batch.pos.iter().zip(batch.seq) {
            let sequence = &mut sequences[seq as usize];
            if !begun[seq as usize] && pos < sequence.n_past {
                cut(program, sequence, seq, pos)?;
            }
            begun[seq as usize] = true;
            if pos != sequence.n_past {
                let what = format!("position {pos} of sequence {seq}, expected {}", sequence.n_past);
                return Err(ExecError::BadBatch(what));
            }
            *sequence = Sequence { n_past: pos + 1, high: sequence.high.max(pos + 1), has_choice: false };
        }
        if chooses {
            batch.out_rows.iter().for_each(|&row| sequences[batch.seq[row as usize] as usize].has_choice = true);
        }
        std::mem::swap(&mut self.sequences, &mut self.advanced);
        Ok(())
    }

    pub(crate) fn push_batch(&mut self, program: &Program, batch: &Batch<'_>, want: Want) -> Result<(), ExecError> {
        self.advance(program, batch, want == Want::Ids)?;
        let mut owned = self.spare.pop().unwrap_or_default();
        owned.fill(batch);
        self.queue.push_back(Queued::Batch(owned, want));
        Ok(())
    }

    pub(crate) fn push_decode(&mut self, program: &Program, seq: u32, n: u32) -> Result<(), ExecError> {
        let sequence = self.sequence(seq)?;
        if !sequence.has_choice {
            return Err(ExecError::BadBatch(format!("no id has been chosen for sequence {seq}")));
        }
        let start = sequence.n_past;
        if n > program.n_ctx - start {
            return Err(ExecError::BadBatch(format!(
                "{n} tokens from {start} on, the context holds {}",
                program.n_ctx
            )));
        }
        let sequence = &mut self.sequences[seq as usize];
        sequence.n_past += n;
        sequence.high = sequence.high.max(sequence.n_past);
        self.queue.extend((start..start + n).map(|pos| Queued::Decode { seq, pos }));
        Ok(())
    }

    /// Drops the tokens at the end of the queue that a cut of `seq` to `n_past` would undo completely.
    pub(crate) fn drop_undone(&mut self, seq: u32, n_past: u32) {
        while let Some(Queued::Decode { seq: of, pos }) = self.queue.back() {
            if *of != seq || *pos < n_past {
                break;
            }
            self.queue.pop_back();
        }
    }

    /// Cuts a sequence; all that was queued for it has run.
    pub(crate) fn truncate(&mut self, program: &Program, seq: u32, n_past: u32) -> Result<(), ExecError> {
        self.check_cut(program, seq, n_past)?;
        cut(program, &mut self.sequences[seq as usize], seq, n_past)
    }

    /// Checks that the sequence can be cut to `n_past`.
    pub(crate) fn check_cut(&self, program: &Program, seq: u32, n_past: u32) -> Result<(), ExecError> {
        let mut sequence = self.sequence(seq)?;
        if n_past > sequence.n_past {
            let what = format!("cut of sequence {seq} to {n_past} positions, it has {}", sequence.n_past);
            return Err(ExecError::BadBatch(what));
        }
        cut(program, &mut sequence, seq, n_past)
    }

    /// Checks that the positions of a batch have been reached: its first segment has run.
    pub(crate) fn check_reached(&self, program: &Program, batch: &Batch<'_>) -> Result<(), ExecError> {
        batch.check(program)?;
        for (&pos, &seq) in batch.pos.iter().zip(batch.seq) {
            if pos >= self.sequences[seq as usize].n_past {
                let what = format!("position {pos} of sequence {seq} before the first segment has run");
                return Err(ExecError::BadBatch(what));
            }
        }
        Ok(())
    }

    fn sequence(&self, seq: u32) -> Result<Sequence, ExecError> {
        let n = self.sequences.len();
        let found = self.sequences.get(seq as usize).copied();
        found.ok_or_else(|| ExecError::BadBatch(format!("sequence {seq} of {n}")))
    }
}

fn cut(program: &Program, sequence: &mut Sequence, seq: u32, n_past: u32) -> Result<(), ExecError> {
    if n_past == sequence.n_past {
        return Ok(());
    }
    if n_past == 0 {
        *sequence = Sequence::default();
        return Ok(());
    }
    let floor = program.truncate_floor(sequence.high);
    if n_past < floor {
        return Err(ExecError::CannotTruncate { seq, wanted: n_past, floor });
    }
    *sequence = Sequence { n_past, has_choice: false, ..*sequence };
    Ok(())
}
