//! Text in, text out: prompts, end-of-generation tokens, stop strings, figures.

use chord_text::{Detokenizer, Tokenizer};

use crate::stop::StopMatcher;
use crate::token_run::{Flow, RunEnd, RunObserver, RunReport, TokenRequest};
use crate::{
    CancelFlag, Engine, EngineError, Event, FinishReason, GenerateRequest, GenerateResult, PromptProgress, Timings,
    Usage,
};

impl Engine {
    /// Runs one generation. `on_event` receives progress, tokens and text as they come; `pause` is awaited after each
    /// prompt chunk and token, so that the host can do other work and raise `cancel`.
    ///
    /// # Errors
    /// A cancelled generation is not an error: its result has [`FinishReason::Cancelled`]. After an error the engine
    /// can be used again, unless its code is `device-lost`.
    pub async fn generate(
        &mut self,
        request: &GenerateRequest,
        cancel: &CancelFlag,
        on_event: &mut dyn FnMut(Event<'_>),
        pause: &mut impl AsyncFnMut(),
    ) -> Result<GenerateResult, EngineError> {
        let called_ms = self.runner.now();
        request.check()?;
        let mut prompt = self.encode_prompt(&request.prompt, request.now)?;
        let prompt_tokens = prompt.len() as u32;
        let answered = request.answered.len() as u32;
        prompt.extend(&request.answered);
        let seed = request.seed.unwrap_or_else(|| self.fresh_seed());
        let mut stream = TextStream::new(&self.tokenizer, &request.stop, on_event);
        let left = request.max_tokens.map(|max| max.saturating_sub(answered));
        let is_full = answered > 0 && (left == Some(0) || prompt.len() > self.runner.program().n_ctx as usize);
        let report = match stream.replay(&request.answered) {
            Flow::Stop => RunReport::ended(RunEnd::Stopped, called_ms),
            Flow::Continue if is_full => RunReport::ended(RunEnd::Length, called_ms),
            Flow::Continue => {
                let tokens = TokenRequest {
                    sequence: request.sequence,
                    prompt: &prompt,
                    sampling: request.sampling,
                    seed,
                    drawn: answered,
                    max_tokens: left,
                };
                self.runner.generate(tokens, cancel, &mut stream, pause).await?
            }
        };
        let finish_reason = stream.finish(report.end);
        Ok(GenerateResult {
            finish_reason,
            usage: Usage {
                prompt_tokens,
                cached_tokens: report.reused.min(prompt_tokens),
                completion_tokens: answered + report.tokens.len() as u32,
            },
            timings: timings(&report, prompt.len(), called_ms),
            seed,
        })
    }
}

/// Turns tokens into events.
struct TextStream<'a> {
    tokenizer: &'a Tokenizer,
    detokenizer: Detokenizer,
    stops: StopMatcher,
    /// Reused for each piece of text.
    text: String,
    found_stop: bool,
    on_event: &'a mut dyn FnMut(Event<'_>),
}

impl<'a> TextStream<'a> {
    fn new(tokenizer: &'a Tokenizer, stop: &[String], on_event: &'a mut dyn FnMut(Event<'_>)) -> Self {
        TextStream {
            tokenizer,
            detokenizer: Detokenizer::continuing(),
            stops: StopMatcher::new(stop),
            text: String::new(),
            found_stop: false,
            on_event,
        }
    }

    /// Takes tokens whose text has been shown before. Returns [`Flow::Stop`] if one of them ends the answer.
    fn replay(&mut self, answered: &[u32]) -> Flow {
        for &id in answered {
            if self.take(id) == Flow::Stop {
                self.text.clear();
                return Flow::Stop;
            }
            self.text.clear();
        }
        Flow::Continue
    }

    /// Adds a token's text to what is to be shown.
    fn take(&mut self, id: u32) -> Flow {
        if self.tokenizer.is_eog(id) {
            return Flow::Stop;
        }
        self.found_stop = self.stops.push(self.detokenizer.push(self.tokenizer, id), &mut self.text);
        if self.found_stop { Flow::Stop } else { Flow::Continue }
    }

    fn show(&mut self) {
        if !self.text.is_empty() {
            (self.on_event)(Event::Text(&self.text));
            self.text.clear();
        }
    }

    /// Shows what was held back, unless a stop string ended the text.
    fn finish(mut self, end: RunEnd) -> FinishReason {
        if !self.found_stop {
            self.found_stop = self.stops.push(self.detokenizer.finish(), &mut self.text);
            if !self.found_stop {
                self.stops.finish(&mut self.text);
            }
            self.show();
        }
        match end {
            _ if self.found_stop => FinishReason::Stop,
            RunEnd::Stopped => FinishReason::Stop,
            RunEnd::Length => FinishReason::Length,
            RunEnd::Cancelled => FinishReason::Cancelled,
        }
    }
}

impl RunObserver for TextStream<'_> {
    fn prompt(&mut self, progress: PromptProgress) {
        (self.on_event)(Event::Prompt(progress));
    }

    fn token(&mut self, id: u32) -> Result<Flow, EngineError> {
        (self.on_event)(Event::Token(id));
        let flow = self.take(id);
        self.show();
        Ok(flow)
    }
}

fn timings(report: &RunReport, prompt_tokens: usize, called_ms: f64) -> Timings {
    let rate = |n: usize, ms: f64| if n > 0 && ms > 0.0 { n as f64 * 1000.0 / ms } else { 0.0 };
    let first = report.first_token_ms.unwrap_or(report.ended_ms);
    let prefill_ms = first - report.started_ms;
    let decode_ms = report.ended_ms - first;
    let computed = prompt_tokens - report.reused as usize;
    Timings {
        time_to_first_token_ms: first - called_ms,
        prefill_ms,
        prefill_tokens_per_s: rate(computed, prefill_ms),
        decode_ms,
        decode_tokens_per_s: rate(report.tokens.len().saturating_sub(1), decode_ms),
        total_ms: report.ended_ms - called_ms,
        prefill_stall_ms: report.prefill_stall_ms,
        stall_ms_per_token: match report.tokens.len().saturating_sub(1) {
            0 => 0.0,
            n => report.decode_stall_ms / n as f64,
        },
    }
}
