//! Tokens in, tokens out: sequences, chunked prefill and the decode loop on top of an executor.

use std::collections::VecDeque;
use std::future::poll_fn;

use chord_program::{Batch, ExecError, Executor, Program, Want};

use crate::clock::Clock;
use crate::fields::invalid;
use crate::paging::{PageCost, Pager};
use crate::{CancelFlag, EngineError, LoadTimes};

/// Takes logits as they come: the first row's position, and `[rows, n_vocab]`.
pub type OnRows<'a> = dyn FnMut(usize, &[f32]) -> Result<(), EngineError> + 'a;

/// What the cache of one sequence holds.
#[derive(Clone, Debug, Default)]
struct Sequence {
    /// The token at each position.
    tokens: Vec<u32>,
    /// Set while work runs. If it is still set later, the work failed or was dropped half-way.
    unsettled: bool,
}

/// Greedy steps enqueued beyond the last id that has arrived.
pub const LOOK_AHEAD: u32 = 4;

// After a stop, tokens decoded ahead are cut off: a ring must still hold what they would have overwritten.
const _: () = assert!(LOOK_AHEAD <= chord_model::RING_SLACK);
// The GPU has a place for the id of each of them, so that none waits for another to be fetched.
#[cfg(feature = "gpu")]
const _: () = assert!(LOOK_AHEAD as usize <= chord_gpu::MAX_AHEAD);

/// Lists that each step fills anew.
#[derive(Default)]
struct Scratch {
    pos: Vec<u32>,
    seq: Vec<u32>,
    arrived: Vec<u32>,
}

/// Prompt chunks that may be enqueued at once.
const CHUNKS_AHEAD: usize = 2;

/// An executor and what its caches hold.
pub struct Runner {
    executor: Box<dyn Executor>,
    sequences: Vec<Sequence>,
    /// Batches whose logits were requested and have not been polled.
    logits_under_way: usize,
    /// Brings layers that are not on the device.
    pager: Option<Pager>,
    clock: Clock,
    /// Lists of single steps, kept so that decoding allocates nothing.
    scratch: Scratch,
    /// What the load took.
    pub(crate) load_times: LoadTimes,
    /// The self-test that was passed.
    pub(crate) self_test: Option<String>,
}

impl Runner {
    /// Runs on an executor whose weights are loaded.
    pub fn new(executor: Box<dyn Executor>, clock: Clock) -> Self {
        Runner::with_pager(executor, None, clock)
    }

    /// Runs on an executor that pages, with a pager for it.
    pub(crate) fn with_pager(executor: Box<dyn Executor>, pager: Option<Pager>, clock: Clock) -> Self {
        let sequences = vec![Sequence::default(); executor.program().n_seq_max as usize];
        Runner {
            executor,
            sequences,
            logits_under_way: 0,
            pager,
            clock,
            scratch: Scratch::default(),
            load_times: LoadTimes::default(),
            self_test: None,
        }
    }

    /// The cost of paging since the load.
    pub(crate) fn page_cost(&self) -> PageCost {
        self.pager.as_ref().map(Pager::cost).unwrap_or_default()
    }

    /// Greedy steps that may be enqueued beyond the last id that has arrived, and prompt chunks that may be enqueued at
    /// once. With paged layers, each further token reads all of them once more, so nothing runs ahead.
    pub(crate) fn most_ahead(&self) -> (u32, usize) {
        if self.pager.is_some() { (1, 1) } else { (LOOK_AHEAD, CHUNKS_AHEAD) }
    }

    /// Brings the layers for which enqueued work waits. False if cancelled: the waiting work is dropped, and its
    /// sequences end where it began.
    pub(crate) async fn feed(&mut self, cancel: &CancelFlag) -> Result<bool, EngineError> {
        let (Some(pager), Some(executor)) = (&mut self.pager, self.executor.paged()) else { return Ok(true) };
        let is_fed = pager.feed(executor, self.clock, cancel).await?;
        if !is_fed {
            self.abandon();
        }
        Ok(is_fed)
    }

    /// Drops the work that waits for layers.
    fn abandon(&mut self) {
        if let Some(executor) = self.executor.paged() {
            self.logits_under_way -= executor.abandon().min(self.logits_under_way);
        }
    }

    /// The program being run.
    pub fn program(&self) -> &Program {
        self.executor.program()
    }

    /// The executor, read-only.
    pub fn executor(&self) -> &dyn Executor {
        self.executor.as_ref()
    }

    /// The executor, for direct use. The contents of the caches are forgotten.
    pub fn executor_mut(&mut self) -> &mut dyn Executor {
        self.sequences.iter_mut().for_each(|sequence| sequence.unsettled = true);
        self.executor.as_mut()
    }

    /// Tokens that the cache of a sequence holds.
    pub fn cached(&self, sequence: u32) -> &[u32] {
        self.sequences.get(sequence as usize).map_or(&[], |s| &s.tokens)
    }

    pub(crate) fn now(&self) -> f64 {
        (self.clock)()
    }

    /// Forgets what a sequence holds.
    pub fn clear(&mut self, sequence: u32) -> Result<(), EngineError> {
        self.sequence(sequence)?.tokens.clear();
        self.executor.truncate(sequence, 0)?;
        self.sequence(sequence)?.unsettled = false;
        Ok(())
    }

    fn sequence(&mut self, sequence: u32) -> Result<&mut Sequence, EngineError> {
        let n = self.sequences.len();
        let bad = || invalid("sequence", format!("sequence {sequence}, the model was loaded for {n}"));
        self.sequences.get_mut(sequence as usize).ok_or_else(bad)
    }

    /// Enqueues greedy steps.
    pub(crate) fn enqueue_decode(&mut self, sequence: u32, steps: u32) -> Result<(), EngineError> {
        Ok(self.executor.enqueue_decode(sequence, steps)?)
    }

    /// Records what the cache of a sequence holds, now that nothing runs.
    pub(crate) fn note_cached(&mut self, sequence: u32, tokens: Vec<u32>) {
        self.sequences[sequence as usize] = Sequence { tokens, unsettled: false };
    }

    fn check_prompt(&self, prompt: &[u32]) -> Result<(), EngineError> {
        let program = self.program();
        if prompt.is_empty() {
            return Err(EngineError::EmptyPrompt);
        }
        if prompt.len() > program.n_ctx as usize {
            return Err(EngineError::PromptTooLong { n_tokens: prompt.len() as u64, n_ctx: program.n_ctx });
        }
        match prompt.iter().find(|&&id| id >= program.n_vocab) {
            Some(id) => Err(invalid("prompt", format!("token id {id}, the vocabulary has {}", program.n_vocab))),
            None => Ok(()),
        }
    }

    /// Gets a sequence ready to continue a prompt; returns how many of its tokens the cache holds.
    pub(crate) async fn begin(&mut self, sequence: u32, prompt: &[u32]) -> Result<u32, EngineError> {
        self.check_prompt(prompt)?;
        self.recover().await?;
        let reused = self.keep_common_prefix(sequence, prompt)?;
        self.sequence(sequence)?.unsettled = true;
        Ok(reused)
    }

    /// The logits of every position of `tokens`, computed afresh in sequence 0, in chunks:
    /// `on_rows(first_row, [rows, n_vocab])`.
    pub async fn logits(
        &mut self,
        tokens: &[u32],
        cancel: &CancelFlag,
        on_rows: &mut OnRows<'_>,
        pause: &mut impl AsyncFnMut(),
    ) -> Result<(), EngineError> {
        self.check_prompt(tokens)?;
        self.recover().await?;
        self.clear(0)?;
        self.sequence(0)?.unsettled = true;
        let program = self.program();
        let chunk = program.max_batch.min(program.max_outputs).max(1) as usize;
        let mut rows = Vec::new();
        for first in (0..tokens.len()).step_by(chunk) {
            if cancel.is_cancelled() {
                return Err(EngineError::Cancelled);
            }
            let ids = &tokens[first..tokens.len().min(first + chunk)];
            let out_rows: Vec<u32> = (0..ids.len() as u32).collect();
            self.enqueue(0, first, ids, &out_rows, Want::Logits)?;
            if !self.feed(cancel).await? {
                return Err(EngineError::Cancelled);
            }
            self.next_logits(&mut rows).await?;
            on_rows(first, &rows)?;
            pause().await;
        }
        self.note_cached(0, tokens.to_vec());
        Ok(())
    }

    /// Cleans up after work that failed or was dropped half-way: its results are thrown away, its sequences emptied.
    async fn recover(&mut self) -> Result<(), EngineError> {
        self.abandon();
        let mut thrown_away = Vec::new();
        while self.logits_under_way > 0 {
            self.next_logits(&mut thrown_away).await?;
        }
        for id in 0..self.sequences.len() {
            if self.sequences[id].unsettled {
                self.clear(id as u32)?;
            }
        }
        Ok(())
    }

    /// Cuts the sequence to what it shares with the prompt, short of the prompt's last token, which must be computed
    /// for its logits. Starts from scratch if a ring has lost what a shorter sequence would need. Returns the positions
    /// kept.
    fn keep_common_prefix(&mut self, id: u32, prompt: &[u32]) -> Result<u32, EngineError> {
        let sequence = self.sequence(id)?;
        let shared = sequence.tokens.iter().zip(prompt).take_while(|(a, b)| a == b).count();
        let keep = shared.min(prompt.len() - 1);
        if keep < sequence.tokens.len() {
            self.cut(id, keep)?;
        }
        Ok(self.sequence(id)?.tokens.len() as u32)
    }

    /// Cuts a sequence to its first `keep` positions, or to none where that is not possible.
    pub(crate) fn cut(&mut self, id: u32, mut keep: usize) -> Result<(), EngineError> {
        match self.executor.truncate(id, keep as u32) {
            Err(ExecError::CannotTruncate { .. }) => {
                keep = 0;
                self.executor.truncate(id, 0)?;
            }
            done => done?,
        }
        let sequence = self.sequence(id)?;
        sequence.tokens.truncate(keep);
        sequence.unsettled = false;
        Ok(())
    }

    /// Enqueues `ids` at the positions from `first` on.
    pub(crate) fn enqueue(
        &mut self,
        id: u32,
        first: usize,
        ids: &[u32],
        out_rows: &[u32],
        want: Want,
    ) -> Result<(), EngineError> {
        let Scratch { pos, seq, .. } = &mut self.scratch;
        pos.clear();
        pos.extend((first as u32..).take(ids.len()));
        seq.clear();
        seq.resize(ids.len(), id);
        self.executor.enqueue_prefill(&Batch { ids, pos, seq, out_rows }, want)?;
        self.logits_under_way += usize::from(want == Want::Logits);
        Ok(())
    }

    /// Waits for at least one id.
    pub(crate) async fn next_ids(&mut self, ids: &mut VecDeque<u32>) -> Result<(), EngineError> {
        let arrived = &mut self.scratch.arrived;
        arrived.clear();
        poll_fn(|cx| self.executor.poll_ids(cx, arrived)).await?;
        if arrived.is_empty() {
            return Err(EngineError::Internal("the executor lost ids that were asked for".into()));
        }
        let n_vocab = self.executor.program().n_vocab;
        // An argmax over NaNs finds no token and gives an id that is out of range.
        if let Some(&token) = arrived.iter().find(|&&id| id >= n_vocab) {
            return Err(EngineError::BadLogits { token, value: f32::NAN });
        }
        ids.extend(arrived.iter());
        Ok(())
    }

    /// Waits for the logits of the oldest batch that requested them.
    pub(crate) async fn next_logits(&mut self, logits: &mut Vec<f32>) -> Result<(), EngineError> {
        let arrived = poll_fn(|cx| self.executor.poll_logits(cx, logits)).await;
        // A failed batch has no logits left to wait for.
        self.logits_under_way = self.logits_under_way.saturating_sub(1);
        Ok(arrived?)
    }
}
