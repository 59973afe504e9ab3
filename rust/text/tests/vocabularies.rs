//! Encoding and decoding with small vocabularies whose results can be worked out by hand.

#[path = "support/synthetic.rs"]
mod synthetic;

use chord_gguf::Value;
use chord_text::{Detokenizer, EncodeOptions, TokenKind, Tokenizer, TokenizerWarning};
use synthetic::{Builder, bpe, byte_chars, spm, text};

const PLAIN: EncodeOptions = EncodeOptions { add_special: false, parse_special: false };
const PARSED: EncodeOptions = EncodeOptions { add_special: false, parse_special: true };
const FRAMED: EncodeOptions = EncodeOptions { add_special: true, parse_special: false };

fn tokenizer(builder: &Builder) -> Tokenizer {
    Tokenizer::from_metadata(&builder.metadata()).unwrap()
}

/// The tokens' texts, joined by spaces.
fn pieces(tokenizer: &Tokenizer, text: &str, options: EncodeOptions) -> String {
    let ids = tokenizer.encode(text, options);
    ids.iter().map(|&id| tokenizer.token_text(id).unwrap()).collect::<Vec<_>>().join(" ")
}

#[test]
fn bpe_merges_by_rank_within_words() {
    let tokenizer = tokenizer(&bpe("gpt-2"));
    assert_eq!(pieces(&tokenizer, "hello world", PLAIN), "hello Ġworld");
    assert_eq!(pieces(&tokenizer, "worlds", PLAIN), "w or ld s");
    assert_eq!(pieces(&tokenizer, "1234", PLAIN), "123 4");
    // `aa` is joined from the left.
    assert_eq!(pieces(&tokenizer, "aaaaaaa", PLAIN), "aaaa aa a");
    assert_eq!(pieces(&tokenizer, "ä€", PLAIN), "Ã¤ âĤ ¬");
    assert_eq!(pieces(&tokenizer, "", PLAIN), "");
}

#[test]
fn pre_tokenizers_differ_in_numbers_and_spaces() {
    let of = |pre| tokenizer(&bpe(pre));
    assert_eq!(pieces(&of("smollm"), "123", PLAIN), "1 2 3");
    assert_eq!(pieces(&of("qwen2"), "123", PLAIN), "1 2 3");
    assert_eq!(pieces(&of("llama-bpe"), "1231", PLAIN), "123 1");
    assert_eq!(pieces(&of("gpt-2"), "\n\n!", PLAIN), "Ċ Ċ !");
    assert_eq!(pieces(&of("llama-bpe"), "\n\n!", PLAIN), "ĊĊ !");
}

#[test]
fn whole_words_are_taken_without_merges_where_the_model_does_so() {
    let mut builder = bpe("llama-bpe");
    let xyz = builder.token("Ġxyz", 1, 0.0);
    let control = builder.token("quit", 3, 0.0);
    assert_eq!(tokenizer(&builder).encode(" xyz", PLAIN), [xyz]);
    assert!(!tokenizer(&builder).encode("quit", PLAIN).contains(&control));
    let qwen = builder.set("ggml.pre", text("qwen2"));
    assert_eq!(pieces(&tokenizer(&qwen), " xyz", PLAIN), "Ġ x y z");
}

#[test]
fn a_byte_that_the_vocabulary_lacks_is_left_out() {
    let mut builder = bpe("smollm");
    let at = builder.id("z") as usize;
    builder.tokens[at] = b"zz".to_vec();
    assert_eq!(pieces(&tokenizer(&builder), "azb", PLAIN), "a b");
}

#[test]
fn spm_joins_by_score_and_falls_back_to_bytes() {
    let builder = spm();
    let tokenizer = tokenizer(&builder);
    assert_eq!(pieces(&tokenizer, "hello world", PLAIN), "▁hello ▁world");
    assert_eq!(pieces(&tokenizer, "a  o", PLAIN), "▁ a ▁▁ o");
    assert_eq!(pieces(&tokenizer, "aaaaaaa", PLAIN), "▁ aaaa aa a");
    assert_eq!(pieces(&tokenizer, "ä€", PLAIN), "▁ ä <0xE2> <0x82> <0xAC>");
    assert_eq!(pieces(&tokenizer, "", PLAIN), "");
    let bare = builder.set("ggml.add_space_prefix", Value::Bool(false));
    assert_eq!(pieces(&self::tokenizer(&bare), "hello", PLAIN), "hello");
}

#[test]
fn spm_puts_a_space_after_special_tokens() {
    let tokenizer = tokenizer(&spm());
    assert_eq!(pieces(&tokenizer, "he<tool>he</s>he", PARSED), "▁ he <tool> ▁ he </s> ▁ he");
}

#[test]
fn control_tokens_are_read_only_on_request_and_user_defined_ones_always() {
    let bpe = tokenizer(&bpe("smollm"));
    assert_eq!(pieces(&bpe, "<|im_end|><tool>", PARSED), "<|im_end|> <tool>");
    assert_eq!(pieces(&bpe, "<|im_end|><tool>", PLAIN), "<| i m _ e n d |> <tool>");
    let spm = tokenizer(&spm());
    // `</` and `s>` are tokens, and what they make together is the text of the EOS token.
    assert_eq!(pieces(&spm, "</s>", PARSED), "</s>");
    assert_eq!(pieces(&spm, "</s>", PLAIN), "▁ </ s>");
    assert_eq!(pieces(&spm, "<unk>", PARSED), "<unk>");
    assert!(!spm.encode("<unk><0x41>", PLAIN).contains(&0));
}

#[test]
fn merges_that_end_in_a_control_token_are_not_used() {
    let mut builder = bpe("gpt-2");
    builder.token("<|im", 1, 0.0);
    builder.token("_end|>", 1, 0.0);
    for part in ["im", "_e", "_en", "_end"] {
        builder.token(part, 1, 0.0);
    }
    let merges = ["i m", "<| im", "_ e", "_e n", "_en d", "_end |>", "<|im _end|>"];
    builder.merges.extend(merges.map(str::to_owned));
    let tokenizer = tokenizer(&builder);
    let end = builder.id("<|im_end|>");
    assert!(!tokenizer.encode("a<|im_end|>b <|im_end|>", PLAIN).contains(&end));
}

#[test]
fn longer_special_tokens_come_first() {
    let mut builder = bpe("gpt-2");
    for special in ["<a>", "<a><b>", "<b><c><d>"] {
        builder.token(special, 4, 0.0);
    }
    let tokenizer = tokenizer(&builder);
    assert_eq!(pieces(&tokenizer, "<a><b>", PLAIN), "<a><b>");
    // By length, not from the left.
    assert_eq!(pieces(&tokenizer, "<a><b><c><d>", PLAIN), "<a> <b><c><d>");
}

#[test]
fn bos_and_eos_follow_the_file() {
    let framed = |builder: Builder| tokenizer(&builder).encode("he", FRAMED);
    let spm_ids = |texts: &[&str]| spm().ids(texts);
    assert_eq!(framed(spm()), spm_ids(&["<s>", "▁", "he"]));
    assert_eq!(framed(spm().set("ggml.add_bos_token", Value::Bool(false))), spm_ids(&["▁", "he"]));
    assert_eq!(framed(spm().set("ggml.add_eos_token", Value::Bool(true))), spm_ids(&["<s>", "▁", "he", "</s>"]));
    assert_eq!(framed(bpe("smollm")), bpe("smollm").ids(&["he"]));
    assert_eq!(framed(bpe("llama-bpe")), bpe("llama-bpe").ids(&["<|im_start|>", "he"]));
    let both = bpe("smollm").set("ggml.add_bos_token", Value::Bool(true)).set("ggml.add_eos_token", Value::Bool(true));
    assert_eq!(framed(both), bpe("smollm").ids(&["<|im_start|>", "he", "<|im_end|>"]));
}

#[test]
fn generation_ends_at_every_token_that_models_use_for_it() {
    let builder = bpe("smollm").set("ggml.eot_token_id", Value::U32(7));
    let tokenizer = tokenizer(&builder);
    assert_eq!(tokenizer.eog_ids(), [0, 2, 7]);
    assert!(tokenizer.is_eog(2) && !tokenizer.is_eog(1) && !tokenizer.is_eog(u32::MAX));
    assert_eq!(self::tokenizer(&spm()).eog_ids(), spm().ids(&["</s>", "<|eot_id|>"]));
}

#[test]
fn well_known_ends_are_control_tokens_whatever_the_file_says() {
    let mut builder = bpe("smollm");
    let end = builder.token("<end_of_turn>", 1, 0.0);
    let tokenizer = tokenizer(&builder);
    assert_eq!(tokenizer.kind(end), TokenKind::Control);
    assert!(tokenizer.is_eog(end) && tokenizer.token_bytes(end).is_empty());
    assert!(!tokenizer.encode("<end_of_turn>", PLAIN).contains(&end));
}

#[test]
fn gpt_oss_marks_are_shown_and_do_not_end() {
    let mut builder = bpe("gpt-2");
    let [end, _return, _call, channel] =
        ["<|end|>", "<|return|>", "<|call|>", "<|channel|>"].map(|mark| builder.token(mark, 3, 0.0));
    let tokenizer = tokenizer(&builder);
    assert!(!tokenizer.is_eog(end) && tokenizer.is_eog(_return) && tokenizer.is_eog(_call));
    assert_eq!(&*tokenizer.token_bytes(channel), b"<|channel|>");
    assert!(!tokenizer.encode("<|channel|>", PLAIN).contains(&channel));
}

#[test]
fn gemma_has_the_end_of_llama_for_html() {
    let mut builder = spm();
    builder.token("<eos>", 3, 0.0);
    let at = builder.id("</s>") as usize;
    builder.types[at] = 1;
    let builder = builder.set("ggml.eos_token_id", Value::U32(1));
    assert!(!tokenizer(&builder).is_eog(2));
}

#[test]
fn phi_3_takes_white_space_with_its_special_tokens() {
    let mut builder = spm();
    builder.token("<|user|>", 3, 0.0);
    let mut metadata = builder.metadata();
    metadata.insert("general.name".to_owned(), text("Phi-3-mini")).unwrap();
    let tokenizer = Tokenizer::from_metadata(&metadata).unwrap();
    assert_eq!(pieces(&tokenizer, "<|user|>\n \the<s>\n", PARSED), "<|user|> ▁ he <s> ▁ <0x0A>");
}

#[test]
fn tokens_show_what_they_stand_for() {
    let builder = spm();
    let spm = tokenizer(&builder);
    let shown = |piece: &str| spm.token_bytes(builder.id(piece)).into_owned();
    assert_eq!(shown("▁world"), b" world");
    assert_eq!(shown("<0xE2>"), [0xe2]);
    assert_eq!(shown("</s>"), b"");
    assert_eq!(shown("<tool>"), b"<tool>");
    assert_eq!(&*spm.render_token(2, true), b"</s>");
    assert_eq!(spm.kind(builder.id("<0xE2>")), TokenKind::Byte);
    assert_eq!((spm.token_text(9999), spm.token_bytes(9999).len()), (None, 0));
    let bpe = tokenizer(&bpe("smollm"));
    assert_eq!(bpe.decode(&bpe.encode("hello world ä\n", PLAIN)), "hello world ä\n");
}

#[test]
fn without_a_pre_tokenizer_text_is_split_by_the_default_patterns_and_there_is_a_warning() {
    let mut builder = bpe("smollm");
    builder.settings.retain(|(key, _)| *key != "ggml.pre");
    for builder in
        [&builder, &builder.clone().set("ggml.pre", text("default")), &builder.clone().set("ggml.pre", text(""))]
    {
        let tokenizer = tokenizer(builder);
        assert_eq!(tokenizer.warnings(), [TokenizerWarning::DefaultPreTokenizer]);
        assert!(tokenizer.warnings()[0].to_string().contains("tokenizer.ggml.pre"));
        assert_eq!(pieces(&tokenizer, "123", PLAIN), "123");
        // GPT-2's own pattern makes one word of all digits, from which the merges make 2 and 123.
        assert_eq!(pieces(&tokenizer, "2123", PLAIN), "2 12 3");
        assert!(!tokenizer.adds_bos());
    }
    assert!(self::tokenizer(&bpe("smollm")).warnings().is_empty());
}

/// Tokens of single bytes, in both kinds of vocabulary.
fn byte_tokens() -> Vec<(Tokenizer, Vec<u32>)> {
    let bpe = bpe("gpt-2");
    let bpe_ids = byte_chars().iter().map(|byte| bpe.id(&byte.to_string())).collect();
    let spm = spm().set("ggml.add_space_prefix", Value::Bool(false));
    let spm_ids = (0..=255u8).map(|byte| spm.id(&format!("<0x{byte:02X}>"))).collect();
    vec![(tokenizer(&bpe), bpe_ids), (tokenizer(&spm), spm_ids)]
}

#[test]
fn a_stream_split_at_every_byte_shows_only_whole_characters() {
    let text = "aé€🚀\u{10ffff}क्षि👩‍👩‍👧\u{feff}z";
    for (tokenizer, byte_ids) in byte_tokens() {
        let mut detokenizer = Detokenizer::continuing();
        let (mut shown, mut fed) = (String::new(), 0);
        for &byte in text.as_bytes() {
            shown.push_str(detokenizer.push(&tokenizer, byte_ids[byte as usize]));
            fed += 1;
            // All whole characters so far, and nothing else.
            let whole = (0..=fed).rev().find(|&at| text.is_char_boundary(at)).unwrap();
            assert_eq!(shown, text[..whole]);
        }
        assert_eq!(detokenizer.finish(), "");
    }
}

#[test]
fn broken_bytes_become_one_sign_each_and_hold_nothing_back() {
    for (tokenizer, byte_ids) in byte_tokens() {
        let stream = |bytes: &[u8]| {
            let mut detokenizer = Detokenizer::continuing();
            let mut parts: Vec<String> =
                bytes.iter().map(|&byte| detokenizer.push(&tokenizer, byte_ids[byte as usize]).to_owned()).collect();
            parts.push(detokenizer.finish().to_owned());
            parts
        };
        assert_eq!(stream(b"\xf0\x9f\x98"), ["", "", "", "\u{fffd}"]);
        assert_eq!(stream(b"\xf0\x9fa"), ["", "", "\u{fffd}a", ""]);
        assert_eq!(stream(b"\x80\xff\xc3\xa9"), ["\u{fffd}", "\u{fffd}", "", "é", ""]);
        assert_eq!(stream(b"\xed\xa0\x80"), ["", "\u{fffd}\u{fffd}", "\u{fffd}", ""]);
    }
}

#[test]
fn only_the_space_that_encoding_added_is_taken_away() {
    let spm = tokenizer(&spm());
    for text in ["hello", " hello", "  hello  world ", "", " "] {
        assert_eq!(spm.decode(&spm.encode(text, FRAMED)), text);
    }
    // With its prefix, one token: `▁hello`.
    let hello = spm.encode("hello", PLAIN);
    let mut continuing = Detokenizer::continuing();
    let shown: String = hello.iter().map(|&id| continuing.push(&spm, id).to_owned()).collect();
    assert_eq!(shown, " hello");
}

/// The same by the definition: joins the best pair of neighbours, of equal ones the leftmost, until no pair can be
/// joined. Quadratic.
fn join_by_definition(parts: Vec<String>, rank: impl Fn(&str, &str) -> Option<f32>) -> Vec<String> {
    let mut parts = parts;
    loop {
        let best = (1..parts.len())
            .filter_map(|i| Some((rank(&parts[i - 1], &parts[i])?, i)))
            .min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let Some((_, i)) = best else { return parts };
        let right = parts.remove(i);
        parts[i - 1].push_str(&right);
    }
}

#[test]
fn encoders_agree_with_the_definition() {
    let (bpe, spm) = (bpe("gpt-2"), spm().set("ggml.add_space_prefix", Value::Bool(false)));
    let (bpe_tokenizer, spm_tokenizer) = (tokenizer(&bpe), tokenizer(&spm));
    let mut state = 1u32;
    for _ in 0..3000 {
        let word: String = (0..1 + state % 24)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                // One word by the pre-tokenizer.
                ['h', 'e', 'l', 'o', 'w', 'r', 'd', 'a'][(state >> 24) as usize % 8]
            })
            .collect();
        let characters = || word.chars().map(String::from).collect();
        let rank = |left: &str, right: &str| {
            bpe.merges.iter().position(|merge| *merge == format!("{left} {right}")).map(|rank| rank as f32)
        };
        let expected: Vec<u32> = join_by_definition(characters(), rank).iter().map(|piece| bpe.id(piece)).collect();
        assert_eq!(bpe_tokenizer.encode(&word, PLAIN), expected, "{word}");
        let score = |left: &str, right: &str| {
            let joined = format!("{left}{right}").into_bytes();
            spm.tokens.iter().position(|token| *token == joined).map(|id| -spm.scores[id])
        };
        let expected: Vec<u32> = join_by_definition(characters(), score).iter().map(|piece| spm.id(piece)).collect();
        assert_eq!(spm_tokenizer.encode(&word, PLAIN), expected, "{word}");
    }
}

#[test]
fn long_texts_take_little_more_than_linear_time() {
    let begin = std::time::Instant::now();
    for builder in [bpe("gpt-2"), bpe("llama-bpe"), spm()] {
        let tokenizer = tokenizer(&builder);
        for piece in ["a", "hello world ", "\n", "</s>", "<tool>", "<", "ä€"] {
            let text = piece.repeat(300_000 / piece.len());
            assert!(tokenizer.encode(&text, PLAIN).len() >= 10_000 / piece.len());
        }
    }
    assert!(begin.elapsed().as_secs() < 20, "took {:?}", begin.elapsed());
}
