//! Tokenizers, streaming detokenizer and chat templates from GGUF metadata.

mod bpe;
mod byte_level;
mod chat;
mod detokenizer;
mod eog;
mod error;
mod index;
pub mod limits;
mod pretokenize;
mod special;
mod spm;
mod template;
mod tokenizer;
mod vocabulary;

pub use chat::encode_chat;
pub use detokenizer::Detokenizer;
pub use error::TextError;
pub use pretokenize::pre_tokenizers;
pub use template::{ChatTemplate, Message, PanicGuard, panic_words, set_panic_guard};
pub use tokenizer::{EncodeOptions, Tokenizer, TokenizerNote, TokenizerWarning};
pub use vocabulary::TokenKind;
