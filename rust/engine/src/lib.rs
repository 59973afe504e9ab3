//! Sequences, prefill, decode, sampling, text in and out.
