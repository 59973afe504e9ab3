//! Text to tokens and back, for random text and every vocabulary at hand.

mod support;
#[path = "support/synthetic.rs"]
mod synthetic;

use chord_text::{Detokenizer, EncodeOptions, Tokenizer};
use support::Random;

const STRINGS: usize = 10_000;

/// A character from one of the places where tokenizers go wrong.
fn character(random: &mut Random) -> char {
    let (first, last) = [
        (0x20, 0x7e),       // ASCII
        (0x20, 0x7e),       // again: most of real text
        (0x00, 0x1f),       // control characters
        (0x80, 0xff),       // Latin-1 with its control characters
        (0x300, 0x36f),     // combining marks
        (0x400, 0x4ff),     // Cyrillic
        (0x600, 0x6ff),     // Arabic, right to left
        (0xe00, 0xe7f),     // Thai
        (0x1780, 0x17ff),   // Khmer
        (0x2000, 0x206f),   // spaces, joiners, direction marks
        (0x2070, 0x218b),   // superscripts, letter-like signs, number forms
        (0x3000, 0x30ff),   // CJK punctuation, kana
        (0x4e00, 0x9fff),   // CJK ideographs
        (0xac00, 0xd7a3),   // Hangul
        (0xe000, 0xf8ff),   // private use
        (0xfe00, 0xffff),   // variation selectors, BOM, replacement sign, non-characters
        (0x1f300, 0x1faff), // emoji
        (0x20000, 0x2a6df), // CJK extension B
        (0xe0000, 0xe007f), // tags
        (0x10ff80, 0x10ffff),
    ][random.below(20) as usize];
    char::from_u32(first + random.below(last - first + 1)).unwrap_or('\u{fffd}')
}

fn string(random: &mut Random) -> String {
    let words = [" ", "  ", "\n", "\r\n", "\t", "'s", "'LL", "the", " and", "123", "<|im_end|>", "</s>", "<0x41>", "<"];
    let mut text = String::new();
    for _ in 0..random.below(12) {
        match random.below(3) {
            0 => text.push_str(words[random.below(words.len() as u32) as usize]),
            // A run of the same character.
            1 => {
                let (c, times) = (character(random), 1 + random.below(5));
                text.extend((0..times).map(|_| c));
            }
            _ => text.extend((0..1 + random.below(6)).map(|_| character(random))),
        }
    }
    text
}

fn check(name: &str, tokenizer: &Tokenizer) {
    // The bytes that a vocabulary of the byte-level kind lacks are left out when encoding, and are missing after.
    let spells = |byte: u8| {
        let spelling = synthetic::byte_chars()[byte as usize].to_string();
        (0..tokenizer.n_vocab()).any(|id| tokenizer.token_text(id).unwrap() == spelling)
    };
    let is_byte_level =
        tokenizer.encode(" ", EncodeOptions::default()).iter().any(|&id| tokenizer.token_text(id).unwrap() == "Ġ");
    let lacking: Vec<u8> = (0..=255).filter(|&byte| is_byte_level && !spells(byte)).collect();

    let mut random = Random(0x1234);
    for _ in 0..STRINGS {
        // SentencePiece vocabularies write a space as U+2581, and cannot distinguish the two.
        let text = string(&mut random).replace('\u{2581}', "_");
        let ids = tokenizer.encode(&text, EncodeOptions::default());
        assert!(ids.iter().all(|&id| id < tokenizer.n_vocab()));
        assert!(
            ids.iter().all(|&id| !matches!(
                tokenizer.kind(id),
                chord_text::TokenKind::Control | chord_text::TokenKind::Unknown
            )),
            "{name}: control token from {text:?}"
        );
        let expected: Vec<u8> = text.bytes().filter(|byte| !lacking.contains(byte)).collect();
        let expected = String::from_utf8_lossy(&expected);
        assert_eq!(tokenizer.decode(&ids), expected, "{name}: {ids:?}");

        // Streamed: what has been shown is always the beginning of what comes out in the end.
        let mut detokenizer = Detokenizer::new(tokenizer);
        let mut shown = String::new();
        for &id in &ids {
            shown.push_str(detokenizer.push(tokenizer, id));
            assert!(expected.starts_with(&shown), "{name}: {shown:?} of {expected:?}");
        }
    }
}

#[test]
fn small_vocabularies() {
    for pre in ["gpt-2", "smollm", "llama-bpe", "qwen2"] {
        check(pre, &Tokenizer::from_metadata(&synthetic::bpe(pre).metadata()).unwrap());
    }
    check("spm", &Tokenizer::from_metadata(&synthetic::spm().metadata()).unwrap());
}

#[test]
fn real_vocabularies() {
    for (name, tokenizer) in support::real_tokenizers() {
        check(name, &tokenizer);
    }
}

#[test]
#[ignore = "needs llama.cpp's tokenizer vectors: CHORD_VOCAB"]
fn reference_vocabularies() {
    for (name, tokenizer) in support::reference_tokenizers() {
        check(name, &tokenizer);
    }
}
