//! A generation in terms of tokens: its request, its observer and its report.

use crate::{EngineError, PromptProgress, Sampling};

/// Whether to continue after a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Choose another token.
    Continue,
    /// The token was the last one wanted.
    Stop,
}

/// Receives the steps of a run as they happen.
pub trait RunObserver {
    /// A chunk of the prompt is done.
    fn prompt(&mut self, progress: PromptProgress);
    /// A token was chosen.
    fn token(&mut self, id: u32) -> Result<Flow, EngineError>;
}

/// A generation in terms of tokens.
#[derive(Clone, Copy, Debug)]
pub struct TokenRequest<'a> {
    /// The sequence to use.
    pub sequence: u32,
    /// Tokens to continue, from position 0.
    pub prompt: &'a [u32],
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Seed of the draws.
    pub seed: u64,
    /// Draws made before this run: the first one here has this number.
    pub drawn: u32,
    /// Most tokens to generate.
    pub max_tokens: Option<u32>,
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunEnd {
    /// The observer returned [`Flow::Stop`].
    Stopped,
    /// `max_tokens` were generated, or the context is full.
    Length,
    /// The cancel flag was raised.
    Cancelled,
}

/// The result of a run. Times are of the runner's clock.
#[derive(Clone, Debug, PartialEq)]
pub struct RunReport {
    /// Why it ended.
    pub end: RunEnd,
    /// Tokens of the prompt that the cache held.
    pub reused: u32,
    /// Tokens chosen.
    pub tokens: Vec<u32>,
    /// When it began.
    pub started_ms: f64,
    /// When the first token was chosen, if one was.
    pub first_token_ms: Option<f64>,
    /// When it ended.
    pub ended_ms: f64,
    /// Milliseconds in which a device that pages waited for layers, up to the first token.
    pub prefill_stall_ms: f64,
    /// The same, after the first token.
    pub decode_stall_ms: f64,
}

impl RunReport {
    /// A run that had nothing to do.
    pub(crate) fn ended(end: RunEnd, at_ms: f64) -> Self {
        RunReport {
            end,
            reused: 0,
            tokens: Vec::new(),
            started_ms: at_ms,
            first_token_ms: None,
            ended_ms: at_ms,
            prefill_stall_ms: 0.0,
            decode_stall_ms: 0.0,
        }
    }
}
