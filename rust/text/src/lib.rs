//! Tokenizers, streaming detokenizer and chat templates from GGUF metadata.

mod bpe;
mod byte_level;
mod detokenizer;
mod eog;
mod error;
mod index;
pub mod limits;
mod pretokenize;
mod special;
mod spm;
mod tokenizer;
mod vocabulary;

pub use detokenizer::Detokenizer;
pub use error::TextError;
pub use tokenizer::{EncodeOptions, Tokenizer, TokenizerWarning};
pub use vocabulary::TokenKind;
