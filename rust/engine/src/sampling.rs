//! How the next token is chosen, in numbers.

use serde::Serialize;

use crate::fields::number_fields;

number_fields! {
    /// How the next token is chosen. The defaults are llama.cpp's, which suit small models better than OpenAI's
    /// temperature of 1 over the whole vocabulary.
    #[derive(Clone, Copy, Debug, PartialEq, Serialize)]
    pub struct Sampling, each SamplingEach {
        /// Divides the logits before the draw; 0 takes the most likely token.
        temperature: f64 = 0.8, 0.0..=100.0;
        /// Keeps the most likely tokens that together reach this probability: 1 keeps all, 0 only the most likely one.
        top_p: f64 = 0.95, 0.0..=1.0;
        /// Keeps this many of the most likely tokens; 0 keeps all.
        top_k: u32 = 40, 0..=u32::MAX;
        /// Drops tokens less likely than this share of the most likely one; 0 drops none.
        min_p: f64 = 0.05, 0.0..=1.0;
        /// Divides positive and multiplies negative logits of tokens seen lately; 1 changes nothing.
        repeat_penalty: f64 = 1.0, 0.01..=100.0, alias "repetition_penalty";
        /// How many of the latest tokens (prompt included) the penalty looks at; 0 for none.
        repeat_last_n: u32 = 64, 0..=u32::MAX;
    }
}

impl Sampling {
    /// The most likely token every time.
    pub const GREEDY: Sampling =
        Sampling { temperature: 0.0, top_k: 0, top_p: 1.0, min_p: 0.0, repeat_penalty: 1.0, repeat_last_n: 64 };

    /// True if logits of tokens seen lately are changed.
    pub(crate) fn has_penalty(&self) -> bool {
        self.repeat_penalty != 1.0 && self.repeat_last_n > 0
    }

    /// True if the device can choose alone: the highest logit wins.
    pub fn is_plain_greedy(&self) -> bool {
        (self.temperature == 0.0 || self.top_p == 0.0) && !self.has_penalty()
    }
}
