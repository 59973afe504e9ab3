//! Where the tests find models and reference data, and how they read a file's metadata.

#![allow(dead_code, unreachable_pub, unused_imports, reason = "shared by test binaries that each use a part")]

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use chord_gguf::{HeaderReader, Metadata, Status};
use chord_text::Tokenizer;

pub use chord_testkit::{golden_path, model_path};

/// A file of the reference's tokenizer vectors, whose folder is `CHORD_VOCAB`.
///
/// # Panics
/// If it is not there. Tests that need it are ignored unless `npm test` finds `CHORD_VOCAB` set.
pub fn vocab(name: &str) -> PathBuf {
    let dir = std::env::var_os("CHORD_VOCAB").expect("set CHORD_VOCAB to the folder of llama.cpp's tokenizer vectors");
    let path = PathBuf::from(dir).join(name);
    assert!(path.is_file(), "there is no {}", path.display());
    path
}

/// The metadata of a GGUF file; reads pieces of 1 MiB until the header is complete.
pub fn metadata(path: &Path) -> Metadata {
    let mut file = File::open(path).unwrap();
    let mut reader = HeaderReader::new(file.metadata().unwrap().len());
    let mut window = vec![0; 1 << 20];
    loop {
        let n = file.read(&mut window).unwrap();
        assert_ne!(n, 0, "{} ends within its header", path.display());
        match reader.feed(&window[..n]).unwrap() {
            Status::NeedMore => {}
            Status::Done(header) => return header.metadata,
        }
    }
}

/// The tokenizer of a GGUF file.
pub fn tokenizer(path: &Path) -> Tokenizer {
    Tokenizer::from_metadata(&metadata(path)).unwrap()
}

/// A golden file's JSON.
pub fn json(path: &Path) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// A JSON array of token ids.
pub fn ids(value: &serde_json::Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

/// The tokenizers of the real models, with their names.
pub fn real_tokenizers() -> Vec<(&'static str, Tokenizer)> {
    let models = ["SmolLM2-135M-Instruct.Q4_1.gguf", "gemma-3-270m-q4_k_m.gguf"];
    models.map(|name| (name, tokenizer(&model_path(name)))).into()
}

/// The tokenizers of the reference's vectors, with their names.
pub fn reference_tokenizers() -> Vec<(&'static str, Tokenizer)> {
    let vocabularies = ["llama-spm.gguf", "gpt-2.gguf", "phi-3.gguf"];
    vocabularies.map(|name| (name, tokenizer(&vocab(name)))).into()
}

/// A small generator of pseudo-random numbers with a fixed seed (SplitMix64, Steele et al. 2014).
pub struct Random(pub u64);

impl Random {
    /// The next number below `n`.
    pub fn below(&mut self, n: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (((z ^ (z >> 31)) >> 32) as u32) % n
    }
}
