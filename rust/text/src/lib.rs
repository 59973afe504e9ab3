//! Tokenizers, streaming detokenizer and chat templates from GGUF metadata.
