//! What building a tokenizer costs. Alone in its binary: it counts every allocation of the process.

mod support;
#[path = "support/synthetic.rs"]
mod synthetic;

use std::time::{Duration, Instant};

use chord_gguf::{Array, Metadata, StringArray, Value};
use chord_testkit::allocations::{Counting, live, peak, reset_peak};
use chord_text::Tokenizer;

#[global_allocator]
static COUNTING: Counting = Counting;

/// Builds a tokenizer; returns the bytes that it keeps, and the most that were held meanwhile.
fn measure(name: &str, metadata: &Metadata) -> (usize, usize) {
    let before = reset_peak();
    let begin = Instant::now();
    let tokenizer = Tokenizer::from_metadata(metadata).unwrap();
    let took = begin.elapsed();
    let (kept, most) = (live() - before, peak() - before);
    eprintln!(
        "{name}: {} tokens, keeps {kept} bytes (says {}), at most {most}, built in {took:?}",
        tokenizer.n_vocab(),
        tokenizer.heap_bytes()
    );
    assert!(took < Duration::from_millis(500), "{name}: built in {took:?}");
    // The difference is the index of special tokens and a few small lists.
    assert!(kept.abs_diff(tokenizer.heap_bytes()) < 64 << 10, "{name}: keeps {kept}");
    (kept, most)
}

/// One test, so that nothing else allocates meanwhile.
#[test]
fn vocabularies_are_small_and_quick_to_build() {
    // As large as Gemma's, nine bytes a token on average.
    let n = 262_144;
    let tokens: StringArray = (0..n).map(|id| format!("▁t{id}")).collect();
    let mut metadata = Metadata::default();
    let mut insert = |key: &str, value| metadata.insert(format!("tokenizer.ggml.{key}"), value).unwrap();
    insert("model", synthetic::text("llama"));
    insert("tokens", Value::Array(Array::String(tokens)));
    insert("scores", Value::Array(Array::F32((0..n).map(|id| -(id as f32)).collect())));
    insert("token_type", Value::Array(Array::I32(vec![1; n])));
    let (kept, most) = measure("synthetic", &metadata);
    assert!(kept < 10 << 20 && most < 12 << 20);

    for name in ["gemma-3-270m-q4_k_m.gguf", "SmolLM2-135M-Instruct.Q4_1.gguf"] {
        let path = support::model_path(name);
        let before = live();
        let metadata = support::metadata(&path);
        eprintln!("{name}: metadata of {} bytes", live() - before);
        let (kept, most) = measure(name, &metadata);
        assert!(kept < 8 << 20 && most < 10 << 20, "{name}");
    }
}
