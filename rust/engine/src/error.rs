//! What can go wrong, with stable codes.

use chord_gguf::GgufError;
use chord_model::ModelError;
use chord_program::ExecError;
use chord_text::TextError;

use crate::ReadError;

/// Any failure of a load or a generation. [`code`](Self::code) is stable and listed in `docs/errors.md`.
#[derive(Debug, thiserror::Error, serde::Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum EngineError {
    /// The file is not a valid GGUF.
    #[error("{0}")]
    Gguf(#[from] GgufError),
    /// The vocabulary or the chat template cannot be used.
    #[error("{0}")]
    Text(#[from] TextError),
    /// The model cannot be lowered to a program.
    #[error("{0}")]
    Model(#[from] ModelError),
    /// Running the program failed.
    #[error("{0}")]
    Exec(#[from] ExecError),
    /// The source of the bytes failed.
    #[error("reading the model: {0}")]
    Read(#[from] ReadError),
    /// The requested backend is not available.
    #[error("no {backend} backend: {reason}; use \"auto\" or \"cpu\" to run without it")]
    NoBackend {
        /// The requested backend.
        backend: &'static str,
        /// Why it cannot be had.
        reason: String,
    },
    /// The model needs more memory on the CPU than 32 bits can address.
    #[error(
        "the model needs {needed} bytes of memory on the CPU, 32-bit WebAssembly can use {limit}: use a browser \
         with Memory64, a smaller quantization or a shorter context"
    )]
    NeedsMemory64 {
        /// Bytes of weights, KV cache and scratch.
        needed: u64,
        /// Bytes that there is room for.
        limit: u64,
    },
    /// The prompt has more tokens than the context holds.
    #[error(
        "the prompt has {n_tokens} tokens, the context holds {n_ctx}: shorten it, or load the model with a longer context"
    )]
    PromptTooLong {
        /// Tokens of the prompt.
        n_tokens: u64,
        /// Positions of the context.
        n_ctx: u32,
    },
    /// There is nothing to continue.
    #[error("the prompt has no tokens: give at least one character or message")]
    EmptyPrompt,
    /// Messages were given to a model that says nothing about their format.
    #[error("the file has no chat template: give the prompt as text instead of messages")]
    NoChatTemplate,
    /// An option or a part of a request has a value that makes no sense.
    #[error("{message}")]
    InvalidArgument {
        /// Which one.
        field: &'static str,
        /// What was expected, and what was found.
        #[serde(skip)]
        message: String,
    },
    /// The model computed something that is not a finite number.
    #[error(
        "the logit of token {token} is {value}: the file is damaged or this device computes wrongly; try the CPU backend"
    )]
    BadLogits {
        /// The first token with such a logit.
        token: u32,
        /// Its logit.
        value: f32,
    },
    /// The caller stopped a load, or a computation of logits. A cancelled generation is not an error.
    #[error("cancelled")]
    Cancelled,
    /// The engine contradicts itself: a bug.
    #[error("internal: {0}; please report this")]
    Internal(String),
}

impl EngineError {
    /// A stable kebab-case code, listed in `docs/errors.md`.
    pub fn code(&self) -> &str {
        match self {
            EngineError::Gguf(error) => error.code(),
            EngineError::Text(error) => error.code(),
            EngineError::Model(error) => error.code(),
            EngineError::Exec(error) => exec_code(error),
            EngineError::Read(error) => &error.code,
            EngineError::NoBackend { .. } => "no-backend",
            EngineError::NeedsMemory64 { .. } => "needs-memory64",
            EngineError::PromptTooLong { .. } => "prompt-too-long",
            EngineError::EmptyPrompt => "empty-prompt",
            EngineError::NoChatTemplate => "no-chat-template",
            EngineError::InvalidArgument { .. } => "invalid-argument",
            EngineError::BadLogits { .. } => "bad-logits",
            EngineError::Cancelled => "cancelled",
            EngineError::Internal(_) => "internal",
        }
    }
}

fn exec_code(error: &ExecError) -> &'static str {
    match error {
        ExecError::BadBatch(_) => "bad-batch",
        ExecError::BadWeight { .. } => "bad-weight",
        ExecError::Unsupported { .. } => "unsupported",
        ExecError::OutOfMemory { .. } => "out-of-memory",
        ExecError::DeviceLost(_) => "device-lost",
        ExecError::NotANumber(_) => "bad-logits",
        ExecError::CannotTruncate { .. } => "cannot-truncate",
        ExecError::NoOutput(_) => "no-output",
        _ => "device",
    }
}
