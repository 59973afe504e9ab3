//! Where the tests find models and reference data, and how they read a file's metadata.

#![allow(dead_code, unreachable_pub, reason = "shared by test binaries that each use a part")]

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use chord_gguf::{HeaderReader, Metadata, Status};
use chord_text::Tokenizer;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn folder(variable: &str, otherwise: &str) -> PathBuf {
    std::env::var_os(variable).map_or_else(|| repository().join(otherwise), PathBuf::from)
}

/// The file if it is there; else says on stderr what is not tested without it.
fn found(path: PathBuf, variable: &str) -> Option<PathBuf> {
    if path.is_file() {
        return Some(path);
    }
    eprintln!("NOT TESTED: no file {} (set {variable} to its folder)", path.display());
    None
}

/// A file of the models folder.
pub fn model(name: &str) -> Option<PathBuf> {
    found(folder("CHORD_MODELS", "models").join(name), "CHORD_MODELS")
}

/// A file of the reference's results.
pub fn golden(name: &str) -> Option<PathBuf> {
    found(folder("CHORD_GOLDEN", "../shared/golden").join(name), "CHORD_GOLDEN")
}

/// A file of the reference's tokenizer vectors.
pub fn vocab(name: &str) -> Option<PathBuf> {
    found(folder("CHORD_VOCAB", "../shared/vocab").join(name), "CHORD_VOCAB")
}

/// The metadata of a GGUF file; reads no further than its header.
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

/// Every vocabulary at hand that this crate supports, with its name.
pub fn all_tokenizers() -> Vec<(&'static str, Tokenizer)> {
    let vocabularies = ["llama-spm.gguf", "gpt-2.gguf", "phi-3.gguf"];
    let models = ["SmolLM2-135M-Instruct.Q4_1.gguf", "gemma-3-270m-q4_k_m.gguf"];
    let vocabularies = vocabularies.into_iter().map(|name| (name, vocab(name)));
    let models = models.into_iter().map(|name| (name, model(name)));
    vocabularies.chain(models).filter_map(|(name, path)| Some((name, tokenizer(&path?)))).collect()
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
