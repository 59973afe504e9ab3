//! What is asked of a generation, and what comes back.

use chord_text::Message;
use serde::{Deserialize, Serialize};

use crate::fields::{NumberField, RawNumber, invalid};
use crate::{EngineError, Sampling, SamplingEach};

/// What to continue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Prompt {
    /// A conversation, rendered with the file's chat template. Text of a message never becomes a control token.
    Messages(Vec<Message>),
    /// Text as it is, after the beginning-of-sequence token where the file asks for one.
    Text(String),
    /// As [`Prompt::Text`], but names of control tokens in the text become these tokens.
    TextWithSpecial(String),
    /// Token ids as they are.
    Tokens(Vec<u32>),
}

impl Default for Prompt {
    fn default() -> Self {
        Prompt::Messages(Vec::new())
    }
}

/// Most strings that can end a generation: more are a mistake, and slow.
pub const MAX_STOP_STRINGS: usize = 16;

/// The default of `max_tokens` in OpenAI's `completions`.
pub const COMPLETION_MAX_TOKENS: u32 = 16;

/// [`GenerateRequest::max_tokens`].
pub const MAX_TOKENS: NumberField = NumberField {
    name: "max_tokens",
    alias: Some("max_completion_tokens"),
    whole: true,
    least: 1.0,
    most: u32::MAX as f64,
    default: None,
    doc: "Most tokens to generate. Without it up to the end of the context in a chat, 16 in a completion.",
};

/// [`GenerateRequest::seed`]. JavaScript's numbers are exact up to its bound.
pub const SEED: NumberField = NumberField {
    name: "seed",
    alias: None,
    whole: true,
    least: 0.0,
    most: ((1u64 << 53) - 1) as f64,
    default: None,
    doc: "The same seed, prompt, model and device give the same text.",
};

/// A generation to run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GenerateRequest {
    /// What to continue.
    pub prompt: Prompt,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Most tokens to generate. Default: up to the end of the context.
    pub max_tokens: Option<u32>,
    /// Generation ends before any of these strings, at most [`MAX_STOP_STRINGS`].
    pub stop: Vec<String>,
    /// The same seed draws the same tokens. Without one, a seed is made up; the result says which.
    pub seed: Option<u64>,
    /// Tokens of the answer that exist already, from a run that was interrupted, for example by a lost device. The
    /// generation continues after them as that run would have: with the draws, the limits and the text that follow.
    pub answered: Vec<u32>,
    /// The sequence whose cache is used.
    pub sequence: u32,
    /// The date and time for chat templates: the user's local time, summer time included, in seconds since 1970-01-01
    /// 00:00. Without it `strftime_now` is not defined in templates.
    pub now: Option<i64>,
}

impl GenerateRequest {
    /// Refuses what makes no sense, by name.
    ///
    /// # Errors
    /// [`EngineError::InvalidArgument`].
    pub fn check(&self) -> Result<(), EngineError> {
        let given = |number: Option<f64>| number.map_or(RawNumber::Missing, RawNumber::Number);
        self.sampling.check()?;
        MAX_TOKENS.check(given(self.max_tokens.map(f64::from)))?;
        SEED.check(given(self.seed.map(|seed| seed as f64)))?;
        if self.stop.len() > MAX_STOP_STRINGS {
            let n = self.stop.len();
            return Err(invalid("stop", format!("stop must have at most {MAX_STOP_STRINGS} strings, not {n}")));
        }
        if self.stop.iter().any(String::is_empty) {
            return Err(invalid("stop", "stop must be a non-empty string or an array of them".into()));
        }
        Ok(())
    }
}

/// A [`GenerateRequest`] as it comes from outside. What is left out has its default, and so has a number that is null.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(rename = "GenerateRequest"))]
#[serde(default, deny_unknown_fields)]
pub struct RawRequest {
    /// What to continue.
    pub prompt: Prompt,
    /// How tokens are chosen.
    pub sampling: SamplingEach<RawNumber>,
    /// Most tokens to generate.
    pub max_tokens: RawNumber,
    /// Strings that end the generation.
    pub stop: Vec<String>,
    /// Seed of the draws.
    pub seed: RawNumber,
    /// Tokens of the answer that exist already.
    pub answered: Vec<u32>,
    /// The sequence whose cache is used.
    pub sequence: u32,
    /// The user's local time for chat templates, in seconds since 1970-01-01 00:00.
    pub now: Option<i64>,
}

impl RawRequest {
    /// The request, if it makes sense.
    ///
    /// # Errors
    /// [`EngineError::InvalidArgument`].
    pub fn check(self) -> Result<GenerateRequest, EngineError> {
        let RawRequest { prompt, sampling, max_tokens, stop, seed, answered, sequence, now } = self;
        let max_tokens = MAX_TOKENS.check(max_tokens)?.map(|n| n as u32);
        let seed = SEED.check(seed)?.map(|n| n as u64);
        let sampling = sampling.check()?;
        let request = GenerateRequest { prompt, sampling, max_tokens, stop, seed, answered, sequence, now };
        request.check()?;
        Ok(request)
    }
}

/// Why a generation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// An end-of-generation token or a stop string.
    Stop,
    /// `max_tokens` were generated, or the context is full.
    Length,
    /// The caller raised the cancel flag.
    Cancelled,
}

/// Tokens in and out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt_tokens: u32,
    /// Tokens of the prompt that the cache held already.
    pub cached_tokens: u32,
    /// Tokens generated, including those answered before and an end-of-generation token.
    pub completion_tokens: u32,
}

/// Durations in milliseconds, rates in tokens per second (0 where nothing was done).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct Timings {
    /// From the call to the first token: tokenizing, prefill and the first choice.
    pub time_to_first_token_ms: f64,
    /// Prefill of the tokens that were not cached, the first choice included.
    pub prefill_ms: f64,
    /// Tokens prefilled per second.
    pub prefill_tokens_per_s: f64,
    /// From the first token to the last.
    pub decode_ms: f64,
    /// Tokens decoded per second, the first one not counted.
    pub decode_tokens_per_s: f64,
    /// The whole call.
    pub total_ms: f64,
    /// Of `prefill_ms`, the time in which the device waited for layers that are paged.
    pub prefill_stall_ms: f64,
    /// Likewise of `decode_ms`, for each token after the first.
    pub stall_ms_per_token: f64,
}

/// How a generation ended. Its text went out through the events.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct GenerateResult {
    /// Why it ended.
    pub finish_reason: FinishReason,
    /// Tokens in and out.
    pub usage: Usage,
    /// How long it took.
    pub timings: Timings,
    /// The seed that was used.
    pub seed: u64,
}

/// How far the prompt has been read.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct PromptProgress {
    /// Tokens of the prompt.
    pub total: u32,
    /// Of these, held by the cache already.
    pub cached: u32,
    /// Of these, done so far, cached ones included.
    pub processed: u32,
    /// Milliseconds since the prefill began.
    pub time_ms: f64,
}

/// What happens during a generation, in order.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(rename = "GenerateEvent"))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event<'a> {
    /// A chunk of the prompt is done.
    Prompt(PromptProgress),
    /// A token was chosen. Its text may follow later, with other tokens' text, or not at all.
    Token(u32),
    /// More text: whole characters, and nothing of a stop string.
    Text(&'a str),
}
