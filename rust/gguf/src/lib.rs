//! GGUF reader and ggml block formats.
