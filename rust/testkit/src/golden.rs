//! The reference's results for one model: tokens, choices, margins and logits.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::paths::{golden_path, model_path, own_goldens, read_f32_file};

/// What the reference computed for one model and one token list, with f32 activations and an f32 KV cache.
#[derive(Clone, Debug)]
pub struct Golden {
    /// The file it was read from.
    pub path: PathBuf,
    /// File name of the model; [`Golden::model_path`] finds it.
    pub model: String,
    /// SHA-256 of the model, in hexadecimal; only given for real models.
    pub sha256: Option<String>,
    /// Context length of the run.
    pub n_ctx: u32,
    /// Type of the reference's KV cache, `"f32"`.
    pub kv: String,
    /// Size of the vocabulary.
    pub n_vocab: usize,
    /// The tokens that were evaluated, in one sequence from position 0.
    pub tokens: Vec<u32>,
    /// File with the text that `tokens` came from, beside the golden; only given for real models.
    pub text_file: Option<String>,
    /// The most likely next token after each of `tokens`.
    pub argmax: Vec<u32>,
    /// How far its logit is above the second, for each of `tokens`.
    pub margin: Vec<f32>,
    /// The positions whose logits are stored, ascending.
    pub positions: Vec<usize>,
    /// The largest logits at some positions, as `(id, logit)`, descending. Empty for tiny models.
    pub top: BTreeMap<usize, Vec<(u32, f32)>>,
    /// Mean negative log-likelihood of the text; only given for real models.
    pub mean_nll: Option<f64>,
    /// NMSE of the reference's own run with 8-bit activations: what our int8 path must not exceed.
    pub llama_cpp_q8_activation_nmse: f64,
    /// At how many positions that run chose the same token; only given for real models.
    pub llama_cpp_q8_argmax_equal: Option<usize>,
    /// Greedy continuations.
    pub chats: Vec<Chat>,
    logits_file: PathBuf,
}

/// A prompt and its greedy continuation.
#[derive(Clone, Debug, Deserialize)]
pub struct Chat {
    /// The user's message, or the raw prompt where `rendered` is `None`.
    pub prompt: String,
    /// The message in the model's chat template; `None` for a raw prompt.
    pub rendered: Option<String>,
    /// The prompt's tokens.
    pub tokens: Vec<u32>,
    /// The tokens that were chosen, an end token included.
    pub greedy: Vec<u32>,
    /// How far each chosen token's logit lay above the second.
    pub margin: Vec<f32>,
    /// The text of `greedy`.
    pub text: String,
}

#[derive(Deserialize)]
struct RealFile {
    model: String,
    sha256: String,
    n_ctx: u32,
    kv: String,
    full_logits: FullLogits,
    text: Text,
    chats: Vec<Chat>,
}

#[derive(Deserialize)]
struct FullLogits {
    file: String,
    positions: Vec<usize>,
    vocab: usize,
    llama_cpp_q8_activation_nmse: f64,
    llama_cpp_q8_argmax_equal: usize,
}

#[derive(Deserialize)]
struct Text {
    file: String,
    tokens: Vec<u32>,
    argmax: Vec<u32>,
    margin: Vec<f32>,
    mean_nll: f64,
    top_last: Vec<(u32, f32)>,
    top_at: BTreeMap<usize, Vec<(u32, f32)>>,
}

#[derive(Deserialize)]
struct TinyFile {
    model: String,
    tokens: Vec<u32>,
    n_ctx: u32,
    kv: String,
    vocab: usize,
    logits: String,
    argmax: Vec<u32>,
    margin: Vec<f32>,
    llama_cpp_q8_activation_nmse: f64,
}

impl Golden {
    /// Reads a golden of either form.
    ///
    /// # Panics
    /// If the file cannot be read, is of neither form, or contradicts itself.
    pub fn load(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        // Goldens of real models have their logits under `full_logits`, those of tiny models at the top.
        let parsed = serde_json::from_str(&text).and_then(|json: serde_json::Value| match json.get("full_logits") {
            Some(_) => Ok(Golden::from_real(path, serde_json::from_value(json)?)),
            None => Ok(Golden::from_tiny(path, serde_json::from_value(json)?)),
        });
        let golden = parsed.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let n = golden.tokens.len();
        assert_eq!((golden.argmax.len(), golden.margin.len()), (n, n), "{}", path.display());
        assert!(golden.positions.iter().all(|&position| position < n), "{}", path.display());
        for chat in &golden.chats {
            assert_eq!(chat.greedy.len(), chat.margin.len(), "{}: {:?}", path.display(), chat.prompt);
        }
        golden
    }

    /// The golden of this name, e.g. `"tiny/llama.Q4_0"`.
    ///
    /// # Panics
    /// If it is not there.
    pub fn named(name: &str) -> Self {
        Golden::load(&golden_path(&format!("{name}.json")))
    }

    /// The model that it is about.
    ///
    /// # Panics
    /// If it is not there.
    pub fn model_path(&self) -> PathBuf {
        model_path(&self.model)
    }

    /// The stored logits: a row of `n_vocab` for each of [`Golden::positions`].
    ///
    /// # Panics
    /// If the file cannot be read or has another length.
    pub fn logits(&self) -> Vec<f32> {
        let logits = read_f32_file(&self.logits_file).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(logits.len(), self.positions.len() * self.n_vocab, "{}", self.logits_file.display());
        logits
    }

    /// Where the reference's activations for this golden are: beside it, or in the larger set.
    ///
    /// # Panics
    /// If the golden belongs to the repository and its activations are neither there nor in the larger set.
    pub fn trace_path(&self) -> PathBuf {
        let beside = self.path.with_extension("trace.gguf");
        match beside.strip_prefix(own_goldens()) {
            Ok(name) => golden_path(&name.to_string_lossy()),
            Err(_) => beside,
        }
    }

    /// The text that [`Golden::tokens`] came from, if there is one.
    ///
    /// # Panics
    /// If its file cannot be read.
    pub fn text(&self) -> Option<String> {
        let path = self.path.with_file_name(self.text_file.as_ref()?);
        Some(std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    }

    fn from_real(path: &Path, file: RealFile) -> Self {
        let mut top = file.text.top_at;
        if let Some(last) = file.text.tokens.len().checked_sub(1) {
            top.insert(last, file.text.top_last);
        }
        Golden {
            path: path.to_owned(),
            model: file.model,
            sha256: Some(file.sha256),
            n_ctx: file.n_ctx,
            kv: file.kv,
            n_vocab: file.full_logits.vocab,
            tokens: file.text.tokens,
            text_file: Some(file.text.file),
            argmax: file.text.argmax,
            margin: file.text.margin,
            positions: file.full_logits.positions,
            top,
            mean_nll: Some(file.text.mean_nll),
            llama_cpp_q8_activation_nmse: file.full_logits.llama_cpp_q8_activation_nmse,
            llama_cpp_q8_argmax_equal: Some(file.full_logits.llama_cpp_q8_argmax_equal),
            chats: file.chats,
            logits_file: path.with_file_name(file.full_logits.file),
        }
    }

    fn from_tiny(path: &Path, file: TinyFile) -> Self {
        Golden {
            path: path.to_owned(),
            model: file.model,
            sha256: None,
            n_ctx: file.n_ctx,
            kv: file.kv,
            n_vocab: file.vocab,
            positions: (0..file.tokens.len()).collect(),
            tokens: file.tokens,
            text_file: None,
            argmax: file.argmax,
            margin: file.margin,
            top: BTreeMap::new(),
            mean_nll: None,
            llama_cpp_q8_activation_nmse: file.llama_cpp_q8_activation_nmse,
            llama_cpp_q8_argmax_equal: None,
            chats: Vec::new(),
            logits_file: path.with_file_name(file.logits),
        }
    }
}
