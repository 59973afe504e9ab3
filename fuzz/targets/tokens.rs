//! Text to tokens and back, with hand-made vocabularies and with vocabularies of the input's own.

#![no_main]

use std::sync::LazyLock;

use arbitrary::Arbitrary;
use chord_fuzz::vocabularies::{Builder, bpe, spm, text};
use chord_gguf::Value;
use chord_text::{
    ChatTemplate, Detokenizer, EncodeOptions, Message, TokenKind, Tokenizer, encode_chat, pre_tokenizers,
};
use libfuzzer_sys::fuzz_target;

#[derive(Debug, Arbitrary)]
struct Input {
    vocabulary: Choice,
    text: String,
    ids: Vec<u16>,
}

#[derive(Debug, Arbitrary)]
enum Choice {
    /// One of [`KNOWN`].
    Known(u8),
    Own(Own),
}

#[derive(Debug, Arbitrary)]
struct Own {
    pre: Option<u8>,
    tokens: Vec<(Vec<u8>, u8, f32)>,
    merges: Vec<String>,
    space_prefix: Option<bool>,
}

/// Tokenizers whose vocabularies have every byte: what they encode comes back as it was.
static KNOWN: LazyLock<Vec<Tokenizer>> = LazyLock::new(|| {
    let mut builders = vec![spm(), spm().set("ggml.add_space_prefix", Value::Bool(false))];
    builders.extend(pre_tokenizers().map(|names| bpe(names[0])));
    let made =
        builders.iter().map(|builder| Tokenizer::from_metadata(&builder.metadata()).expect("a valid vocabulary"));
    made.collect()
});

static CHATML: LazyLock<ChatTemplate> = LazyLock::new(|| {
    let source = include_str!("../../rust/text/tests/suite/templates/chatml_plain.jinja");
    ChatTemplate::new(source, "", "").expect("a valid template")
});

fuzz_target!(|input: Input| {
    match &input.vocabulary {
        Choice::Known(at) => {
            let tokenizer = &KNOWN[usize::from(*at) % KNOWN.len()];
            round_trip(tokenizer, &input.text);
            conversation(tokenizer, &input.text);
            any_use(tokenizer, &input);
        }
        Choice::Own(own) => match Tokenizer::from_metadata(&own.builder().metadata()) {
            Ok(tokenizer) => any_use(&tokenizer, &input),
            Err(error) => assert!(!error.code().is_empty() && !error.to_string().is_empty()),
        },
    }
});

impl Own {
    fn builder(&self) -> Builder {
        let mut builder = Builder::default();
        for (token, token_type, score) in &self.tokens {
            builder.tokens.push(token.clone());
            builder.types.push(i32::from(*token_type % 8));
            builder.scores.push(*score);
        }
        if let Some(prefix) = self.space_prefix {
            builder = builder.set("ggml.add_space_prefix", Value::Bool(prefix));
        }
        let Some(pre) = self.pre else { return builder.set("ggml.model", text("llama")) };
        let names: Vec<_> = pre_tokenizers().map(|names| names[0]).collect();
        builder.merges.clone_from(&self.merges);
        builder.set("ggml.model", text("gpt2")).set("ggml.pre", text(names[usize::from(pre) % names.len()]))
    }
}

/// The promise: text comes back byte for byte if it has neither U+2581, which SentencePiece cannot tell from a space,
/// nor a user-defined token, after which SentencePiece puts a space, as llama.cpp does.
fn round_trip(tokenizer: &Tokenizer, text: &str) {
    let text = text.replace('\u{2581}', "_").replace("<tool>", "<_>");
    let ids = tokenizer.encode(&text, EncodeOptions::default());
    for &id in &ids {
        assert!(!matches!(tokenizer.kind(id), TokenKind::Control | TokenKind::Unknown), "{id} from {text:?}");
    }
    assert_eq!(tokenizer.decode(&ids), text, "{ids:?}");
}

/// Control tokens are the template's, whatever a message says.
fn conversation(tokenizer: &Tokenizer, text: &str) {
    let count = |content: &str| {
        let messages = [Message::new("user", content), Message::new("assistant", "ok"), Message::new("user", content)];
        let ids = encode_chat(tokenizer, &CHATML, &messages).ok()?;
        Some(ids.iter().filter(|&&id| tokenizer.kind(id) == TokenKind::Control).count())
    };
    if let Some(found) = count(text) {
        assert_eq!(Some(found), count("x"), "{text:?}");
    }
}

/// What holds for every vocabulary: ids lie in it, and text that is streamed is the whole text.
fn any_use(tokenizer: &Tokenizer, input: &Input) {
    for (add_special, parse_special) in [(false, false), (true, true)] {
        let ids = tokenizer.encode(&input.text, EncodeOptions { add_special, parse_special });
        assert!(ids.iter().all(|&id| id < tokenizer.n_vocab()));
        streams(tokenizer, &ids);
    }
    let ids: Vec<u32> = input.ids.iter().map(|&id| u32::from(id) % (tokenizer.n_vocab() + 2)).collect();
    streams(tokenizer, &ids);
}

fn streams(tokenizer: &Tokenizer, ids: &[u32]) {
    for render_special in [false, true] {
        let bytes: Vec<u8> =
            ids.iter().flat_map(|&id| tokenizer.render_token(id, render_special).into_owned()).collect();
        let whole = String::from_utf8_lossy(&bytes);
        let mut detokenizer = Detokenizer::continuing().render_special(render_special);
        let mut shown = String::new();
        for &id in ids {
            shown.push_str(detokenizer.push(tokenizer, id));
            assert!(whole.starts_with(&shown), "{shown:?} of {whole:?}");
        }
        shown.push_str(detokenizer.finish());
        assert_eq!(shown, whole);
    }
    // Decoded as a whole text, it is the same but for one space that the tokenizer may have put before it.
    let bytes: Vec<u8> = ids.iter().flat_map(|&id| tokenizer.token_bytes(id).into_owned()).collect();
    let (whole, decoded) = (String::from_utf8_lossy(&bytes), tokenizer.decode(ids));
    assert!(decoded == whole || Some(decoded.as_str()) == whole.strip_prefix(' '), "{decoded:?} of {whole:?}");
}
