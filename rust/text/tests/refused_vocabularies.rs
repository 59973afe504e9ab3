//! Vocabularies that are refused, each for its own reason, and odd ones that are not.

#[path = "support/synthetic.rs"]
mod synthetic;

use chord_gguf::{Array, Metadata, StringArray, Value};
use chord_text::limits::MAX_TOKEN_BYTES;
use chord_text::{EncodeOptions, TextError, TokenKind, Tokenizer, TokenizerNote};
use synthetic::{Builder, bpe, spm, strings, text};

fn refused(builder: &Builder) -> TextError {
    Tokenizer::from_metadata(&builder.metadata()).unwrap_err()
}

/// The metadata with one `tokenizer.ggml.*` value replaced or left out.
fn with(builder: &Builder, key: &str, value: Option<Value>) -> Metadata {
    let full = format!("tokenizer.ggml.{key}");
    let mut metadata = Metadata::default();
    for (other, other_value) in builder.metadata().iter().filter(|(other, _)| *other != full) {
        metadata.insert(other.to_owned(), other_value.clone()).unwrap();
    }
    if let Some(value) = value {
        metadata.insert(full, value).unwrap();
    }
    metadata
}

fn refused_with(builder: &Builder, key: &str, value: Option<Value>) -> TextError {
    Tokenizer::from_metadata(&with(builder, key, value)).unwrap_err()
}

#[test]
fn unknown_kinds_are_named() {
    let error = refused(&spm().set("ggml.model", text("wavelet")));
    assert_eq!(error, TextError::UnknownTokenizerModel { found: "wavelet".into() });
    let error = refused(&bpe("tekken"));
    assert_eq!(error, TextError::UnknownPreTokenizer { found: "tekken".into() });
    assert!(error.to_string().contains("`tekken`"));
}

#[test]
fn missing_and_mistyped_keys() {
    for (builder, key) in [(spm(), "model"), (spm(), "tokens"), (bpe("gpt-2"), "merges")] {
        assert_eq!(refused_with(&builder, key, None).code(), "metadata-missing", "{key}");
    }
    let numbers = || Some(Value::Array(Array::U64(vec![1; spm().tokens.len()])));
    for (builder, key) in [
        (spm(), "model"),
        (spm(), "tokens"),
        (spm(), "scores"),
        (spm(), "token_type"),
        (bpe("gpt-2"), "merges"),
        (bpe("gpt-2"), "pre"),
        (spm(), "add_bos_token"),
        (spm(), "bos_token_id"),
    ] {
        let error = refused_with(&builder, key, numbers());
        assert_eq!(error.code(), "metadata-wrong-type", "{key}");
        assert!(error.to_string().contains("array of u64"), "{error}");
    }
}

#[test]
fn arrays_beside_the_vocabulary_have_its_length() {
    let n = spm().tokens.len();
    for found in [0, n - 1, n + 1] {
        let error = refused_with(&spm(), "scores", Some(Value::Array(Array::F32(vec![0.0; found]))));
        assert_eq!(error, TextError::ArrayLength { key: "tokenizer.ggml.scores", expected: n, found });
        let error = refused_with(&spm(), "token_type", Some(Value::Array(Array::I32(vec![1; found]))));
        assert_eq!(error, TextError::ArrayLength { key: "tokenizer.ggml.token_type", expected: n, found });
    }
}

#[test]
fn empty_and_long_and_repeated_tokens() {
    let none = Some(strings::<&str>(&[]));
    assert!(matches!(refused_with(&spm(), "tokens", none), TextError::VocabularySize { found: 0, .. }));
    let mut builder = spm();
    let id = builder.token(&"x".repeat(MAX_TOKEN_BYTES), 1, 0.0);
    assert!(Tokenizer::from_metadata(&builder.metadata()).is_ok());
    builder.tokens[id as usize].push(b'x');
    let (found, limit) = (MAX_TOKEN_BYTES + 1, MAX_TOKEN_BYTES);
    assert_eq!(refused(&builder), TextError::TokenTooLong { id, found, limit });
    let mut builder = spm();
    let (first, second) = (builder.id("he"), builder.token("he", 1, 0.0));
    assert_eq!(refused(&builder), TextError::DuplicateToken { first, second, text: "he".into() });
}

/// llama.cpp accepts them too.
#[test]
fn types_that_are_not_defined_are_noted_and_write_no_text() {
    for found in [-1, 7, i32::MAX] {
        let mut builder = bpe("gpt-2");
        (builder.types[9], builder.types[11]) = (found, found);
        let tokenizer = Tokenizer::from_metadata(&builder.metadata()).unwrap();
        assert_eq!(tokenizer.kind(9), TokenKind::Undefined);
        assert!(tokenizer.token_bytes(9).is_empty());
        assert_eq!(tokenizer.notes(), [TokenizerNote::UndefinedTypes { first: 9, count: 2, found }]);
        assert!(tokenizer.notes()[0].to_string().contains(&found.to_string()));
    }
    assert!(Tokenizer::from_metadata(&bpe("gpt-2").metadata()).unwrap().notes().is_empty());
}

#[test]
fn scores_that_are_not_numbers_are_noted_and_come_last() {
    let mut builder = spm();
    let he = builder.id("he");
    let plain = Tokenizer::from_metadata(&builder.metadata()).unwrap();
    let options = EncodeOptions::default();
    assert_eq!(plain.encode("he", options), builder.ids(&["▁", "he"]));
    assert!(plain.notes().is_empty());
    builder.scores[he as usize] = f32::NAN;
    let tokenizer = Tokenizer::from_metadata(&builder.metadata()).unwrap();
    assert_eq!(tokenizer.notes(), [TokenizerNote::ScoresNotANumber { first: he, count: 1 }]);
    assert_eq!(tokenizer.encode("he", options), builder.ids(&["▁h", "e"]));
    // With nothing else to join, it is joined all the same.
    assert_eq!(tokenizer.encode("xhe", options), plain.encode("xhe", options));
    builder.scores.fill(f32::NAN);
    let all = Tokenizer::from_metadata(&builder.metadata()).unwrap();
    assert_eq!(all.decode(&all.encode("hello world", options)), plain.decode(&plain.encode("hello world", options)));
}

#[test]
fn byte_tokens_have_exactly_two_digits() {
    for wrong in ["<0x0>", "<0x000>", "<0xG0>", "<0x+1>", "<0x >", "<0x>", "0x00", "<0X00>", "", "<0x00", "<0xé>"] {
        let mut builder = spm();
        builder.tokens[3] = wrong.into();
        assert!(matches!(refused(&builder), TextError::InvalidByteToken { id: 3, .. }), "{wrong:?}");
    }
}

#[test]
fn merges_are_two_tokens_that_make_a_token() {
    let index = bpe("gpt-2").merges.len();
    let with_merge = |merge: &str| {
        let mut builder = bpe("gpt-2");
        builder.merges.push(merge.to_owned());
        refused(&builder)
    };
    for wrong in ["", " ", "he", "he ", " he", "  "] {
        assert_eq!(with_merge(wrong), TextError::InvalidMerge { index, text: wrong.into() }, "{wrong:?}");
    }
    for (merge, missing) in [("zq e", "zq"), ("e zq", "zq"), ("z q", "zq"), ("he l l", "l l")] {
        let expected = TextError::UnknownMergePiece { index, text: merge.into(), piece: missing.into() };
        assert_eq!(with_merge(merge), expected);
    }
}

#[test]
fn a_flag_without_its_token() {
    let mut builder = bpe("gpt-2").set("ggml.add_bos_token", Value::Bool(true));
    builder.settings.retain(|(key, _)| *key != "ggml.bos_token_id");
    assert!(matches!(refused(&builder), TextError::MissingSpecialToken { flag: "tokenizer.ggml.add_bos_token", .. }));
    let builder = bpe("gpt-2").set("ggml.add_eos_token", Value::Bool(true)).set("ggml.eos_token_id", Value::U32(9999));
    assert!(matches!(refused(&builder), TextError::MissingSpecialToken { key: "tokenizer.ggml.eos_token_id", .. }));
}

#[test]
fn ids_outside_the_vocabulary_count_as_absent() {
    for outside in [Value::U32(u32::MAX), Value::I32(-1), Value::U64(1 << 40)] {
        let tokenizer = Tokenizer::from_metadata(&bpe("gpt-2").set("ggml.eos_token_id", outside).metadata()).unwrap();
        assert_eq!(tokenizer.eos(), None);
    }
}

#[test]
fn odd_but_valid() {
    // Neither types nor scores, whole-number scores, empty texts, bytes that are not UTF-8, one token only.
    let plain = EncodeOptions::default();
    for key in ["scores", "token_type"] {
        let tokenizer = Tokenizer::from_metadata(&with(&spm(), key, None)).unwrap();
        assert!(!tokenizer.encode("hello <s>", plain).is_empty());
    }
    let whole = Value::Array(Array::I32((0..spm().tokens.len() as i32).map(|id| -id).collect()));
    assert!(Tokenizer::from_metadata(&with(&spm(), "scores", Some(whole))).is_ok());
    let mut builder = spm();
    for _ in 0..2 {
        builder.token("", 4, 0.0);
    }
    let broken = builder.token("", 4, 0.0);
    builder.tokens[broken as usize] = vec![0xe2, 0x82];
    let tokenizer = Tokenizer::from_metadata(&builder.metadata()).unwrap();
    assert_eq!(tokenizer.token_text(broken).unwrap(), "\u{fffd}");
    // Matched within a character: nothing panics.
    assert!(tokenizer.encode("€", plain).contains(&broken));
    let mut one = Builder::default();
    one.token("x", 1, 0.0);
    let tokenizer = Tokenizer::from_metadata(&one.set("ggml.model", text("llama")).metadata());
    assert_eq!(tokenizer.unwrap_err().code(), "missing-special-token");
}

#[test]
fn texts_that_are_alike_take_bounded_time() {
    // All of one length and differing in few bits; the hash spreads them.
    let tokens: StringArray = (0..200_000u32).map(|n| n.to_le_bytes()).collect();
    let mut metadata = Metadata::default();
    metadata.insert("tokenizer.ggml.model".into(), text("llama")).unwrap();
    metadata.insert("tokenizer.ggml.tokens".into(), Value::Array(Array::String(tokens))).unwrap();
    let begin = std::time::Instant::now();
    assert!(Tokenizer::from_metadata(&metadata).is_ok());
    assert!(begin.elapsed().as_secs() < 5);
}
