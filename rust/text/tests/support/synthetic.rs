//! Small vocabularies made here, so that the tests need no model.

#![allow(dead_code, unreachable_pub, reason = "shared by test binaries that each use a part")]

use chord_gguf::{Array, Metadata, StringArray, Value};

pub const NORMAL: i32 = 1;
pub const UNKNOWN: i32 = 2;
pub const CONTROL: i32 = 3;
pub const USER_DEFINED: i32 = 4;
pub const UNUSED: i32 = 5;
pub const BYTE: i32 = 6;

/// A vocabulary that is being written.
#[derive(Clone, Default)]
pub struct Builder {
    pub tokens: Vec<Vec<u8>>,
    pub types: Vec<i32>,
    pub scores: Vec<f32>,
    pub merges: Vec<String>,
    pub settings: Vec<(&'static str, Value)>,
}

impl Builder {
    /// Adds a token and returns its id.
    pub fn token(&mut self, text: &str, token_type: i32, score: f32) -> u32 {
        self.tokens.push(text.as_bytes().to_vec());
        self.types.push(token_type);
        self.scores.push(score);
        self.tokens.len() as u32 - 1
    }

    /// Sets a `tokenizer.*` key, in place of an earlier value.
    pub fn set(mut self, key: &'static str, value: Value) -> Self {
        self.settings.retain(|(other, _)| *other != key);
        self.settings.push((key, value));
        self
    }

    /// The id of a token.
    pub fn id(&self, text: &str) -> u32 {
        self.tokens.iter().position(|token| token == text.as_bytes()).unwrap_or_else(|| panic!("no {text:?}")) as u32
    }

    /// The ids of tokens.
    pub fn ids(&self, texts: &[&str]) -> Vec<u32> {
        texts.iter().map(|text| self.id(text)).collect()
    }

    /// The metadata of a file with this vocabulary; `scores` if there are no merges.
    pub fn metadata(&self) -> Metadata {
        let mut metadata = Metadata::default();
        let mut insert = |key: &str, value| metadata.insert(format!("tokenizer.{key}"), value).unwrap();
        insert("ggml.tokens", strings(&self.tokens));
        insert("ggml.token_type", Value::Array(Array::I32(self.types.clone())));
        if self.merges.is_empty() {
            insert("ggml.scores", Value::Array(Array::F32(self.scores.clone())));
        } else {
            insert("ggml.merges", strings(&self.merges));
        }
        for (key, value) in &self.settings {
            insert(key, value.clone());
        }
        metadata
    }
}

/// An array of strings.
pub fn strings<S: AsRef<[u8]>>(texts: &[S]) -> Value {
    Value::Array(Array::String(texts.iter().collect::<StringArray>()))
}

pub fn text(value: &str) -> Value {
    Value::String(value.to_owned())
}

/// The character that spells each byte in byte-level vocabularies, by the rule of GPT-2's published code: printable
/// Latin-1 for itself, the rest from U+0100 on.
pub fn byte_chars() -> Vec<char> {
    let mut next = 0x100;
    (0..=255u32)
        .map(|byte| {
            if (0x21..=0x7e).contains(&byte) || (0xa1..=0xac).contains(&byte) || byte >= 0xae {
                char::from_u32(byte).unwrap()
            } else {
                next += 1;
                char::from_u32(next - 1).unwrap()
            }
        })
        .collect()
}

/// A byte-level BPE vocabulary in the style of SmolLM: specials, bytes, then what the merges make.
pub fn bpe(pre: &str) -> Builder {
    let mut builder = Builder::default();
    for special in ["<|endoftext|>", "<|im_start|>", "<|im_end|>"] {
        builder.token(special, CONTROL, 0.0);
    }
    builder.token("<tool>", USER_DEFINED, 0.0);
    for byte in byte_chars() {
        builder.token(&byte.to_string(), NORMAL, 0.0);
    }
    for merge in [
        "h e",
        "l l",
        "Ġ w",
        "o r",
        "he ll",
        "Ġw or",
        "l d",
        "hell o",
        "Ġwor ld",
        "Ġ Ġ",
        "ĠĠ ĠĠ",
        "1 2",
        "12 3",
        "e r",
        "u s",
        "us er",
        "Ċ Ċ",
        "a a",
        "aa aa",
        "| >",
        "< |",
        "Ã ¤",
        "â Ĥ",
    ] {
        builder.merges.push(merge.to_owned());
        builder.token(&merge.replace(' ', ""), NORMAL, 0.0);
    }
    builder
        .set("ggml.model", text("gpt2"))
        .set("ggml.pre", text(pre))
        .set("ggml.bos_token_id", Value::U32(1))
        .set("ggml.eos_token_id", Value::U32(2))
}

/// A SentencePiece vocabulary in the style of Llama 2.
pub fn spm() -> Builder {
    let mut builder = Builder::default();
    builder.token("<unk>", UNKNOWN, 0.0);
    builder.token("<s>", CONTROL, 0.0);
    builder.token("</s>", CONTROL, 0.0);
    for byte in 0..=255u8 {
        builder.token(&format!("<0x{byte:02X}>"), BYTE, 0.0);
    }
    builder.token("<|eot_id|>", CONTROL, 0.0);
    builder.token("<tool>", USER_DEFINED, 0.0);
    for (rank, piece) in [
        "he", "▁w", "or", "ll", "hell", "hello", "▁wor", "ld", "▁world", "▁hello", "▁h", "</", "s>", "</s", "▁▁", "er",
        "ä", "▁", "e", "h", "l", "o", "w", "r", "d", "<", "/", "s", ">", "|", "i", "t", "_", "a", "aa", "aaaa",
    ]
    .iter()
    .enumerate()
    {
        builder.token(piece, NORMAL, -(rank as f32));
    }
    builder
        .set("ggml.model", text("llama"))
        .set("ggml.bos_token_id", Value::U32(1))
        .set("ggml.eos_token_id", Value::U32(2))
        .set("ggml.unknown_token_id", Value::U32(0))
}
