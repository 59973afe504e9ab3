//! What can be wrong with a vocabulary or a chat template.

use chord_gguf::MetadataError;

/// A vocabulary, tokenizer setting or chat template that cannot be used: where, what was found and what was expected.
#[derive(Clone, Debug, PartialEq, thiserror::Error, serde::Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum TextError {
    /// A metadata key is missing or of another type.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    /// `tokenizer.ggml.model` names a kind of tokenizer that is not implemented.
    #[error("tokenizer model `{found}` is not supported (expected `llama` or `gpt2`)")]
    UnknownTokenizerModel {
        /// The name in the file.
        found: String,
    },
    /// `tokenizer.ggml.pre` names a way to split text that is not implemented.
    #[error("pre-tokenizer `{found}` is not supported (supported: the families gpt-2, smollm, llama-bpe and qwen2)")]
    UnknownPreTokenizer {
        /// The name in the file.
        found: String,
    },
    /// The vocabulary holds no token, or more than [`crate::limits::MAX_TOKENS`].
    #[error("vocabulary of {found} tokens (expected 1 to {limit})")]
    VocabularySize {
        /// Tokens in the file.
        found: u64,
        /// Most tokens accepted.
        limit: u64,
    },
    /// A token's text is longer than [`crate::limits::MAX_TOKEN_BYTES`].
    #[error("token {id} is {found} bytes long (at most {limit})")]
    TokenTooLong {
        /// The token.
        id: u32,
        /// Its length in bytes.
        found: usize,
        /// Most bytes accepted.
        limit: usize,
    },
    /// Two tokens have the same text, which therefore identifies neither.
    #[error("tokens {first} and {second} have the same text {text:?}")]
    DuplicateToken {
        /// The lower id.
        first: u32,
        /// The higher id.
        second: u32,
        /// Their text.
        text: String,
    },
    /// An array of one element for each token is shorter or longer than the vocabulary.
    #[error("metadata key `{key}` has {found} elements for {expected} tokens")]
    ArrayLength {
        /// The array's key.
        key: &'static str,
        /// Tokens in the vocabulary.
        expected: usize,
        /// Elements in the array.
        found: usize,
    },
    /// A token of type byte whose text is not `<0xNN>` with two hexadecimal digits.
    #[error("byte token {id} has the text {text:?} (expected `<0xNN>` with two hexadecimal digits)")]
    InvalidByteToken {
        /// The token.
        id: u32,
        /// Its text.
        text: String,
    },
    /// A merge rule that is not two pieces with one space between them.
    #[error("merge {index} is {text:?} (expected two pieces and one space between them)")]
    InvalidMerge {
        /// Place in the list of merges.
        index: usize,
        /// The rule.
        text: String,
    },
    /// A merge rule of pieces that are not tokens.
    #[error("merge {index} ({text:?}): {piece:?} is not in the vocabulary")]
    UnknownMergePiece {
        /// Place in the list of merges.
        index: usize,
        /// The rule.
        text: String,
        /// The left, right or joined piece that is missing.
        piece: String,
    },
    /// More merges than [`crate::limits::MAX_MERGES`].
    #[error("{found} merges (at most {limit})")]
    TooManyMerges {
        /// Merges in the file.
        found: usize,
        /// Most merges accepted.
        limit: usize,
    },
    /// `add_bos_token` or `add_eos_token` is set and the token is not.
    #[error("`{flag}` is true, but `{key}` is not set")]
    MissingSpecialToken {
        /// The flag's key.
        flag: &'static str,
        /// The key of the missing id.
        key: &'static str,
    },
    /// So many texts collide in the vocabulary's index that they must have been chosen for it.
    #[error("the vocabulary cannot be indexed: more than {limit} entries share a hash slot (at entry {entry})")]
    IndexCollisions {
        /// The entry that found no place.
        entry: u32,
        /// Most places tried.
        limit: usize,
    },
    /// A token id outside the vocabulary.
    #[error("token id {id} is outside the vocabulary of {n_vocab}")]
    TokenOutOfRange {
        /// The id.
        id: u32,
        /// Number of tokens.
        n_vocab: u32,
    },
    /// The file has no chat template.
    #[error("the model has no chat template (`tokenizer.chat_template`)")]
    NoChatTemplate,
    /// A template's source is longer than [`crate::limits::MAX_TEMPLATE_BYTES`].
    #[error("chat template of {found} bytes (at most {limit})")]
    TemplateTooLarge {
        /// Its length.
        found: usize,
        /// Most bytes accepted.
        limit: usize,
    },
    /// A template that does not parse, or that failed while it ran.
    #[error("chat template{}: {detail}", .line.map(|line| format!(", line {line}")).unwrap_or_default())]
    Template {
        /// Line in the template, from 1.
        line: Option<usize>,
        /// What went wrong.
        detail: String,
    },
    /// A template called `raise_exception`: it does not accept these messages.
    #[error("the chat template refused these messages: {message}")]
    TemplateRefused {
        /// The template's words.
        message: String,
    },
    /// A template ran longer than [`crate::limits::TEMPLATE_FUEL`] steps.
    #[error("the chat template did not finish within {limit} steps")]
    TemplateFuel {
        /// Most steps.
        limit: u64,
    },
    /// A template made more text than it may, in its output or on the way to it.
    #[error("the chat template produced more than {limit} bytes of text")]
    TemplateOutputTooLarge {
        /// Most bytes.
        limit: usize,
    },
    /// A message holds the text of a control token, and the template treats it in a way in which that text cannot be
    /// kept apart from the template's own control tokens.
    #[error(
        "message {message} contains the control token {token:?}, which this chat template cannot tell apart from its own"
    )]
    ControlTextInMessage {
        /// Place of the message, from 0.
        message: usize,
        /// The control token's text.
        token: String,
    },
}

impl TextError {
    /// Stable kebab-case code.
    pub fn code(&self) -> &'static str {
        match self {
            TextError::Metadata(error) => error.code(),
            TextError::UnknownTokenizerModel { .. } => "unknown-tokenizer-model",
            TextError::UnknownPreTokenizer { .. } => "unknown-pre-tokenizer",
            TextError::VocabularySize { .. } => "vocabulary-size",
            TextError::TokenTooLong { .. } => "token-too-long",
            TextError::DuplicateToken { .. } => "duplicate-token",
            TextError::ArrayLength { .. } => "vocabulary-array-length",
            TextError::InvalidByteToken { .. } => "invalid-byte-token",
            TextError::InvalidMerge { .. } => "invalid-merge",
            TextError::UnknownMergePiece { .. } => "unknown-merge-piece",
            TextError::TooManyMerges { .. } => "too-many-merges",
            TextError::MissingSpecialToken { .. } => "missing-special-token",
            TextError::IndexCollisions { .. } => "vocabulary-collisions",
            TextError::TokenOutOfRange { .. } => "token-out-of-range",
            TextError::NoChatTemplate => "no-chat-template",
            TextError::TemplateTooLarge { .. } => "template-too-large",
            TextError::Template { .. } => "template-error",
            TextError::TemplateRefused { .. } => "template-refused",
            TextError::TemplateFuel { .. } => "template-out-of-fuel",
            TextError::TemplateOutputTooLarge { .. } => "template-output-too-large",
            TextError::ControlTextInMessage { .. } => "control-text-in-message",
        }
    }
}
