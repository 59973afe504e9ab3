//! One generation: chunked prefill, then tokens chosen on the device or from logits.

use std::collections::VecDeque;

use chord_program::Want;

use crate::runner::Runner;
use crate::token_run::{Flow, RunEnd, RunObserver, RunReport, TokenRequest};
use crate::{CancelFlag, EngineError, PromptProgress, Sampler};

impl Runner {
    /// Continues a prompt token by token. Tokens of the prompt that the sequence's cache holds are not computed again.
    /// `pause` is awaited after each chunk and token, so that the host can do other work and raise `cancel`.
    pub async fn generate(
        &mut self,
        request: TokenRequest<'_>,
        cancel: &CancelFlag,
        observer: &mut dyn RunObserver,
        pause: &mut impl AsyncFnMut(),
    ) -> Result<RunReport, EngineError> {
        let started_ms = self.now();
        let sampler = Sampler::new(request.sampling, request.seed)?.after(request.drawn);
        let reused = self.begin(request.sequence, request.prompt).await?;
        let stalled_ms = self.page_cost().stall_ms;
        let mut run = Run {
            runner: self,
            sequence: request.sequence,
            prompt: request.prompt,
            cancel,
            observer,
            arrived: VecDeque::new(),
            report: RunReport { reused, ..RunReport::ended(RunEnd::Length, started_ms) },
        };
        // The last token chosen needs no position.
        let room = run.runner.program().n_ctx - request.prompt.len() as u32 + 1;
        let limit = request.max_tokens.map_or(room, |max| max.min(room));
        if request.sampling.is_plain_greedy() {
            run.choose_on_device(limit, pause).await?;
        } else {
            run.choose_from_logits(sampler, limit, pause).await?;
        }
        let mut report = run.report;
        report.ended_ms = self.now();
        let stall_ms = self.page_cost().stall_ms - stalled_ms;
        report.prefill_stall_ms = report.first_token_ms.map_or(stall_ms, |_| report.prefill_stall_ms - stalled_ms);
        report.decode_stall_ms = stall_ms - report.prefill_stall_ms;
        Ok(report)
    }
}

/// A running generation.
struct Run<'a> {
    runner: &'a mut Runner,
    sequence: u32,
    prompt: &'a [u32],
    cancel: &'a CancelFlag,
    observer: &'a mut dyn RunObserver,
    /// Ids that have arrived from the executor and have not been taken yet.
    arrived: VecDeque<u32>,
    report: RunReport,
}

impl Run<'_> {
    /// Plain greedy choice: the device continues from its own choices, and ids arrive a few steps later.
    async fn choose_on_device(&mut self, limit: u32, pause: &mut impl AsyncFnMut()) -> Result<(), EngineError> {
        if !self.prefill(Want::Ids, pause).await? {
            return Ok(());
        }
        // The prefill's own choice counts as enqueued.
        let (mut enqueued, mut received) = (1, 0);
        let (look_ahead, _) = self.runner.most_ahead();
        while received < limit {
            let more = look_ahead.saturating_sub(enqueued - received).min(limit - enqueued);
            if more > 0 {
                self.runner.enqueue_decode(self.sequence, more)?;
                if !self.runner.feed(self.cancel).await? {
                    self.report.end = RunEnd::Cancelled;
                    break;
                }
                enqueued += more;
            }
            let id = self.next_id().await?;
            received += 1;
            if self.take_token(id)? == Flow::Stop {
                self.report.end = RunEnd::Stopped;
                break;
            }
            pause().await;
            if received < limit && self.cancel.is_cancelled() {
                self.report.end = RunEnd::Cancelled;
                break;
            }
        }
        self.settle(enqueued - 1)
    }

    /// Any other choice: each step waits for the logits of the step before.
    async fn choose_from_logits(
        &mut self,
        mut sampler: Sampler,
        limit: u32,
        pause: &mut impl AsyncFnMut(),
    ) -> Result<(), EngineError> {
        if !self.prefill(Want::Logits, pause).await? {
            return Ok(());
        }
        let mut logits = Vec::new();
        let mut history = self.prompt.to_vec();
        let mut steps = 0;
        loop {
            self.runner.next_logits(&mut logits).await?;
            if limit == 0 {
                break;
            }
            let id = sampler.sample(&logits, &history)?;
            history.push(id);
            if self.take_token(id)? == Flow::Stop {
                self.report.end = RunEnd::Stopped;
                break;
            }
            pause().await;
            if self.report.tokens.len() as u32 == limit {
                break;
            }
            if self.cancel.is_cancelled() {
                self.report.end = RunEnd::Cancelled;
                break;
            }
            self.runner.enqueue(self.sequence, history.len() - 1, &[id], &[0], Want::Logits)?;
            if !self.runner.feed(self.cancel).await? {
                self.report.end = RunEnd::Cancelled;
                break;
            }
            steps += 1;
        }
        self.settle(steps)
    }

    /// Enqueues the tokens that the cache lacks, chunk by chunk. The result of the last position can then be polled.
    /// Returns false if cancelled.
    ///
    /// Each chunk but the last reports when it is done, which paces the device, keeps the progress accurate and lets a
    /// cancellation take effect. It costs one output row per chunk where the device has no cheaper signal.
    /// The first chunk takes the remainder, so that the last one is whole: the rows just before the first token belong
    /// together (see [`ActivationType::Mixed`](chord_cpu::ActivationType::Mixed)).
    async fn prefill(&mut self, last: Want, pause: &mut impl AsyncFnMut()) -> Result<bool, EngineError> {
        let chunk = self.runner.program().max_batch as usize;
        let (_, most_ahead) = self.runner.most_ahead();
        let (mut first, mut done) = (self.report.reused as usize, self.report.reused as usize);
        let mut under_way = VecDeque::new();
        while first < self.prompt.len() {
            if self.cancel.is_cancelled() {
                self.abandon_prefill(done)?;
                return Ok(false);
            }
            let end = first + (self.prompt.len() - first - 1) % chunk + 1;
            let ids = &self.prompt[first..end];
            let is_last = end == self.prompt.len();
            let want = if is_last { last } else { Want::Done };
            self.runner.enqueue(self.sequence, first, ids, &[ids.len() as u32 - 1], want)?;
            if !self.runner.feed(self.cancel).await? {
                self.abandon_prefill(done)?;
                return Ok(false);
            }
            first = end;
            if !is_last {
                under_way.push_back(end);
            }
            while under_way.len() >= most_ahead || (is_last && !under_way.is_empty()) {
                self.next_id().await?;
                done = under_way.pop_front().unwrap_or(done);
                self.report_progress(done);
                pause().await;
            }
        }
        Ok(true)
    }

    /// Keeps the chunks that are known to be done and cuts off the others.
    fn abandon_prefill(&mut self, done: usize) -> Result<(), EngineError> {
        self.report.end = RunEnd::Cancelled;
        self.runner.note_cached(self.sequence, self.prompt[..done].to_vec());
        self.runner.cut(self.sequence, done)
    }

    async fn next_id(&mut self) -> Result<u32, EngineError> {
        if self.arrived.is_empty() {
            self.runner.next_ids(&mut self.arrived).await?;
        }
        self.arrived.pop_front().ok_or_else(|| EngineError::Internal("no id arrived".into()))
    }

    fn report_progress(&mut self, processed: usize) {
        self.observer.prompt(PromptProgress {
            total: self.prompt.len() as u32,
            cached: self.report.reused,
            processed: processed as u32,
            time_ms: self.runner.now() - self.report.started_ms,
        });
    }

    fn take_token(&mut self, id: u32) -> Result<Flow, EngineError> {
        if self.report.tokens.is_empty() {
            self.report.first_token_ms = Some(self.runner.now());
            self.report.prefill_stall_ms = self.runner.page_cost().stall_ms;
            self.report_progress(self.prompt.len());
        }
        self.report.tokens.push(id);
        self.observer.token(id)
    }

    /// Updates the record of the cache after `steps` decode steps, each of which put the token chosen before it into
    /// the cache. Steps whose token was never taken are cut off, which also drops their ids.
    fn settle(&mut self, steps: u32) -> Result<(), EngineError> {
        let taken = &self.report.tokens[..self.report.tokens.len().min(steps as usize)];
        let cached: Vec<u32> = self.prompt.iter().chain(taken).copied().collect();
        let keep = cached.len();
        self.runner.note_cached(self.sequence, cached);
        if self.report.tokens.len() <= steps as usize { self.runner.cut(self.sequence, keep) } else { Ok(()) }
    }
}
