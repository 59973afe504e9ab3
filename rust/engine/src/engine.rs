//! The engine: a model that is loaded and can be talked to.

use chord_gguf::Header;
use chord_text::{ChatTemplate, EncodeOptions, Message, Tokenizer, encode_chat};

use crate::clock::Clock;
use crate::info::{EngineInfo, ModelInfo};
use crate::load::load_runner;
use crate::runner::{OnRows, Runner};
use crate::text::{self, TextSide};
use crate::{CancelFlag, EngineError, LoadOptions, LoadProgress, LoadStage, Prompt, ReadAt, read_header, rng::philox};

/// A loaded model with its tokenizer, its chat template and its caches.
pub struct Engine {
    pub(crate) runner: Runner,
    pub(crate) tokenizer: Tokenizer,
    template: Option<ChatTemplate>,
    model: ModelInfo,
    why: Vec<String>,
    warnings: Vec<String>,
    notes: Vec<String>,
    /// Number of requests so far that had no seed.
    seeds_made: u32,
}

impl Engine {
    /// Reads the header, builds the tokenizer, chooses a backend and brings the weights to their place. Where layers
    /// are paged ([`LoadOptions::max_gpu_bytes`]), the reader is kept as long as the engine.
    ///
    /// # Errors
    /// Errors of the file, of the source and of the requested backend, and [`EngineError::Cancelled`].
    pub async fn load(
        mut reader: impl ReadAt + 'static,
        options: &LoadOptions,
        clock: Clock,
        progress: &mut dyn FnMut(LoadProgress),
        cancel: &CancelFlag,
    ) -> Result<Engine, EngineError> {
        let began = clock();
        let header = read_header(&mut reader, progress, cancel).await?;
        let header_ms = clock() - began;
        let mut engine = Engine::load_with_header(reader, header, options, clock, progress, cancel).await?;
        engine.set_header_ms(header_ms);
        Ok(engine)
    }

    /// [`load`](Self::load) for a header that has been read already.
    pub async fn load_with_header(
        reader: impl ReadAt + 'static,
        header: Header,
        options: &LoadOptions,
        clock: Clock,
        progress: &mut dyn FnMut(LoadProgress),
        cancel: &CancelFlag,
    ) -> Result<Engine, EngineError> {
        progress(LoadProgress { stage: LoadStage::Prepare, loaded: 0, total: 1 });
        let began = clock();
        let TextSide { tokenizer, template } = TextSide::read(&header)?;
        let notes = text::notes(&header, Some(&tokenizer));
        let model = ModelInfo::from_header(&header);
        let text_ms = clock() - began;
        let (mut runner, why) = load_runner(reader, header, options, clock, progress, cancel).await?;
        runner.load_times.text_ms = text_ms;
        let warnings = text::warnings(Some(&tokenizer), Some(runner.program().n_ctx), model.n_ctx_train);
        Ok(Engine { runner, tokenizer, template, model, why, warnings, notes, seeds_made: 0 })
    }

    /// Records, for [`info`](Self::info), how long it took to read the header given to [`Self::load_with_header`].
    pub fn set_header_ms(&mut self, header_ms: f64) {
        self.runner.load_times.header_ms = header_ms;
    }

    /// What is loaded and what runs it, with memory and counters as of now.
    pub fn info(&self) -> EngineInfo {
        EngineInfo {
            has_chat_template: self.template.is_some(),
            warnings: self.warnings.clone(),
            notes: self.notes.clone(),
            ..EngineInfo::new(&self.runner, &self.model, &self.why)
        }
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// Sequences and executor.
    pub fn runner(&self) -> &Runner {
        &self.runner
    }

    /// Sequences and executor.
    pub fn runner_mut(&mut self) -> &mut Runner {
        &mut self.runner
    }

    /// The prompt text of a conversation, at the time `now` (see
    /// [`GenerateRequest::now`](crate::GenerateRequest::now)).
    pub fn render(&self, messages: &[Message], now: Option<i64>) -> Result<String, EngineError> {
        Ok(self.template()?.clone().with_time(now).render(messages, true)?)
    }

    fn template(&self) -> Result<&ChatTemplate, EngineError> {
        self.template.as_ref().ok_or(EngineError::NoChatTemplate)
    }

    /// The tokens of a prompt. A chat template that reads the time gets `now`, the same for the whole prompt
    /// (see [`GenerateRequest::now`](crate::GenerateRequest::now)).
    pub fn encode_prompt(&self, prompt: &Prompt, now: Option<i64>) -> Result<Vec<u32>, EngineError> {
        let encode =
            |text: &str, parse_special| self.tokenizer.encode(text, EncodeOptions { add_special: true, parse_special });
        Ok(match prompt {
            Prompt::Messages(messages) if messages.is_empty() => return Err(EngineError::EmptyPrompt),
            Prompt::Messages(messages) => {
                encode_chat(&self.tokenizer, &self.template()?.clone().with_time(now), messages)?
            }
            Prompt::Text(text) => encode(text, false),
            Prompt::TextWithSpecial(text) => encode(text, true),
            Prompt::Tokens(tokens) => tokens.clone(),
        })
    }

    /// The logits of every position of `tokens`, in chunks: `on_rows(first_row, [rows, n_vocab])`. Uses sequence 0.
    pub async fn logits(
        &mut self,
        tokens: &[u32],
        cancel: &CancelFlag,
        on_rows: &mut OnRows<'_>,
        pause: &mut impl AsyncFnMut(),
    ) -> Result<(), EngineError> {
        self.runner.logits(tokens, cancel, on_rows, pause).await
    }

    /// A seed for a request without one, from the clock and a count. At most 2^53 - 1, so that JavaScript's numbers
    /// hold it.
    pub(crate) fn fresh_seed(&mut self) -> u64 {
        let time = self.runner.now().to_bits();
        self.seeds_made += 1;
        let words = philox([self.seeds_made, 0, 0, 0], [time as u32, (time >> 32) as u32]);
        (u64::from(words[0]) << 21) | u64::from(words[1] >> 11)
    }
}
