//! Model architectures: GGUF metadata to a Program.
