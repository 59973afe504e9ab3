//! The vocabulary of synthetic models: SPM, every byte and a few letters.

use chord_gguf::ValueType;

use crate::FileBuilder;

/// Tokens.
pub(super) const SIZE: u32 = 320;
/// Metadata entries that [`write`] adds.
pub(super) const N_METADATA: u64 = 7;

const NORMAL: u32 = 1;
const UNKNOWN: u32 = 2;
const CONTROL: u32 = 3;
const BYTE: u32 = 6;

/// Text and type of a token.
fn token(id: u32) -> (String, u32) {
    match id {
        0 => ("<unk>".to_owned(), UNKNOWN),
        1 => ("<s>".to_owned(), CONTROL),
        2 => ("</s>".to_owned(), CONTROL),
        3..=258 => (format!("<0x{:02X}>", id - 3), BYTE),
        259..=284 => (char::from(b'a' + (id - 259) as u8).to_string(), NORMAL),
        285..=310 => (format!("\u{2581}{}", char::from(b'a' + (id - 285) as u8)), NORMAL),
        _ => (format!("\u{2581}{}", id - 310), NORMAL),
    }
}

/// Writes the tokenizer's metadata.
pub(super) fn write(file: &mut FileBuilder) {
    file.string("tokenizer.ggml.model", "llama");
    file.array("tokenizer.ggml.tokens", ValueType::String, u64::from(SIZE));
    (0..SIZE).for_each(|id| {
        file.text(token(id).0);
    });
    file.array("tokenizer.ggml.scores", ValueType::F32, u64::from(SIZE));
    (0..SIZE).for_each(|id| {
        file.raw(&(-(id as f32)).to_le_bytes());
    });
    file.array("tokenizer.ggml.token_type", ValueType::I32, u64::from(SIZE));
    (0..SIZE).for_each(|id| {
        file.u32(token(id).1);
    });
    for (key, id) in [("bos", 1), ("eos", 2), ("unknown", 0)] {
        file.number(&format!("tokenizer.ggml.{key}_token_id"), id);
    }
}
