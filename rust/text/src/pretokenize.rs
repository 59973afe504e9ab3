//! Splitting text into words before byte-pair encoding.
//!
//! Each split is defined by a regular expression of the model's authors. They are written out by hand here: a few
//! patterns over Unicode classes do not justify a regular-expression engine in the wasm.

use unicode_general_category::{GeneralCategory, get_general_category};

/// A way to split text. In the patterns, the alternatives are tried from left to right at each place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Split {
    /// `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
    Gpt2,
    /// Every `\p{N}` is a separate word; the text between them as [`Split::Gpt2`].
    Digits,
    /// `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
    Llama3,
    /// As [`Split::Llama3`], with `\p{N}` in place of `\p{N}{1,3}`.
    Qwen2,
    /// What llama.cpp does where a file does not say how. Four patterns one after the other, each on the pieces that
    /// the one before has left: `[\p{P}\$\+<=>\^~\|]+`, that of [`Split::Gpt2`], `\p{N}+`, `[0-9][0-9][0-9]`.
    Default,
}

/// What `tokenizer.ggml.pre` implies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PreTokenizer {
    /// How text is split.
    pub(crate) split: Split,
    /// A word that is a token stays whole, whatever the merges say.
    pub(crate) whole_words: bool,
    /// Begin with the BOS token unless the file says otherwise.
    pub(crate) add_bos: bool,
}

/// Names in `tokenizer.ggml.pre`, those of one meaning together, and what they mean.
const NAMED: [(&[&str], PreTokenizer); 5] = [
    (
        &[
            "gpt-2",
            "phi-2",
            "jina-es",
            "jina-de",
            "jina-v2-es",
            "jina-v2-de",
            "gigachat",
            "a.x-4.0",
            "mellum",
            "modern-bert",
            "mpt",
            "olmo",
            "jais",
            "trillion",
            "granite-docling",
            "exaone4",
        ],
        PreTokenizer::plain(Split::Gpt2),
    ),
    (
        &["smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b", "mellum2"],
        PreTokenizer::plain(Split::Digits),
    ),
    (
        &["llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2", "jina-v5-nano"],
        PreTokenizer { split: Split::Llama3, whole_words: true, add_bos: true },
    ),
    (&["dbrx", "smaug-bpe", "glm4", "chatglm-bpe"], PreTokenizer::plain(Split::Llama3)),
    (
        &["qwen2", "deepseek-r1-qwen", "kormo", "f2llmv2", "megrez", "stablelm2", "hunyuan", "solar-open", "grok-2"],
        PreTokenizer::plain(Split::Qwen2),
    ),
];

/// Every name in `tokenizer.ggml.pre` that is known, those of one split together.
pub fn pre_tokenizers() -> impl Iterator<Item = &'static [&'static str]> {
    NAMED.iter().map(|(names, _)| *names)
}

impl PreTokenizer {
    /// The meaning of a name in `tokenizer.ggml.pre`.
    pub(crate) fn named(name: &str) -> Option<Self> {
        NAMED.iter().find(|(names, _)| names.contains(&name)).map(|(_, meaning)| *meaning)
    }

    const fn plain(split: Split) -> Self {
        PreTokenizer { split, whole_words: false, add_bos: false }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// `\p{L}`
    Letter,
    /// `\p{N}`
    Number,
    /// `\s`
    Space,
    /// Everything else, unassigned code points included.
    Other,
}

fn class_of(character: char) -> Class {
    use GeneralCategory as C;
    match character {
        'a'..='z' | 'A'..='Z' => Class::Letter,
        '0'..='9' => Class::Number,
        // The White_Space property, which for ASCII is these six.
        '\t'..='\r' | ' ' => Class::Space,
        '\0'..='\x7f' => Class::Other,
        _ if character.is_whitespace() => Class::Space,
        _ => match get_general_category(character) {
            C::UppercaseLetter | C::LowercaseLetter | C::TitlecaseLetter | C::ModifierLetter | C::OtherLetter => {
                Class::Letter
            }
            C::DecimalNumber | C::LetterNumber | C::OtherNumber => Class::Number,
            _ => Class::Other,
        },
    }
}

impl Split {
    /// Calls `word` with each piece of `text`, in order; together they are `text`.
    pub(crate) fn for_each_word<'a>(self, text: &'a str, mut word: impl FnMut(&'a str)) {
        match self {
            Split::Gpt2 => split_by(text, gpt2_end, word),
            Split::Digits => {
                let mut rest = text;
                while !rest.is_empty() {
                    let number = rest.char_indices().find(|&(_, c)| class_of(c) == Class::Number);
                    let (start, end) = number.map_or((rest.len(), rest.len()), |(at, c)| (at, at + c.len_utf8()));
                    // The text before a number ends there: white space at its end counts as white space at the end.
                    split_by(&rest[..start], gpt2_end, &mut word);
                    if start < end {
                        word(&rest[start..end]);
                    }
                    rest = &rest[end..];
                }
            }
            Split::Llama3 => split_by(text, |rest| llama3_end(rest, 3), word),
            Split::Qwen2 => split_by(text, |rest| llama3_end(rest, 1), word),
            Split::Default => split_by(
                text,
                |rest| end_of_same(rest, is_mark),
                |piece| {
                    split_by(piece, gpt2_end, |piece| {
                        let is_number = |c| class_of(c) == Class::Number;
                        split_by(
                            piece,
                            |rest| end_of_same(rest, is_number),
                            |piece| split_by(piece, three_digits_end, &mut word),
                        );
                    });
                },
            ),
        }
    }
}

/// Cuts `text` into words: `end_of_first` finds the end of the first word of the rest.
fn split_by<'a>(mut text: &'a str, end_of_first: impl Fn(&str) -> usize, mut word: impl FnMut(&'a str)) {
    while !text.is_empty() {
        let (first, rest) = text.split_at(end_of_first(text));
        word(first);
        text = rest;
    }
}

/// Where the run of characters for which `belongs` holds ends, from `start` on.
fn run_end(text: &str, start: usize, belongs: impl Fn(char) -> bool) -> usize {
    text[start..].find(|c| !belongs(c)).map_or(text.len(), |length| start + length)
}

fn run_of(text: &str, start: usize, class: Class) -> usize {
    run_end(text, start, |c| class_of(c) == class)
}

/// End of the first run of characters that are all in the set, or all outside it. `text` is not empty.
fn end_of_same(text: &str, is_in_set: impl Fn(char) -> bool) -> usize {
    let first = text.chars().next().is_some_and(&is_in_set);
    run_end(text, 0, |c| is_in_set(c) == first)
}

/// Where the first three digits of `text` end if it begins with three, else where three digits begin, or its end.
fn three_digits_end(text: &str) -> usize {
    match text.as_bytes().windows(3).position(|three| three.iter().all(u8::is_ascii_digit)) {
        Some(0) => 3,
        Some(start) => start,
        None => text.len(),
    }
}

/// `[\p{P}\$\+<=>\^~\|]`
fn is_mark(character: char) -> bool {
    use GeneralCategory as C;
    match character {
        '`' => false,
        _ if character.is_ascii() => character.is_ascii_punctuation(),
        _ => matches!(
            get_general_category(character),
            C::ConnectorPunctuation
                | C::DashPunctuation
                | C::OpenPunctuation
                | C::ClosePunctuation
                | C::InitialPunctuation
                | C::FinalPunctuation
                | C::OtherPunctuation
        ),
    }
}

fn is_newline(character: char) -> bool {
    matches!(character, '\r' | '\n')
}

/// Length of `'s`, `'t`, `'re`, `'ve`, `'m`, `'ll` or `'d` at the start of `text`.
fn contraction(text: &str, any_case: bool) -> Option<usize> {
    let rest = text.strip_prefix('\'')?.as_bytes();
    let letter = |i: usize| rest.get(i).map(|&c| if any_case { c.to_ascii_lowercase() } else { c });
    match (letter(0)?, letter(1)) {
        (b's' | b't' | b'm' | b'd', _) => Some(2),
        (b'r' | b'v', Some(b'e')) | (b'l', Some(b'l')) => Some(3),
        _ => None,
    }
}

/// Where the first word ends when `text` begins with white space: `\s+(?!\S)|\s+`. The last white space before
/// something else is left for the next word, unless it is the only one.
fn space_end(text: &str) -> usize {
    let end = run_of(text, 0, Class::Space);
    match text[..end].char_indices().next_back() {
        Some((last, _)) if end < text.len() && last > 0 => last,
        _ => end,
    }
}

/// The class of the character at `at`; `None` at the end of `text`.
fn class_at(text: &str, at: usize) -> Option<Class> {
    text[at..].chars().next().map(class_of)
}

/// The place after one leading space, if there is one.
fn after_space(text: &str) -> usize {
    usize::from(text.starts_with(' '))
}

/// End of the first word by [`Split::Gpt2`]. `text` is not empty.
fn gpt2_end(text: &str) -> usize {
    if let Some(end) = contraction(text, false) {
        return end;
    }
    let body = after_space(text);
    match class_at(text, body) {
        Some(class) if class != Class::Space => run_of(text, body, class),
        _ => space_end(text),
    }
}

/// End of the first word by [`Split::Llama3`], with numbers of up to `max_digits`. `text` is not empty.
fn llama3_end(text: &str, max_digits: usize) -> usize {
    if let Some(end) = contraction(text, true) {
        return end;
    }
    let mut characters = text.chars();
    let Some(first) = characters.next() else { return 0 };
    let second_at = first.len_utf8();
    match class_of(first) {
        Class::Letter => return run_of(text, 0, Class::Letter),
        Class::Number => {
            return text
                .char_indices()
                .take(max_digits)
                .take_while(|&(_, c)| class_of(c) == Class::Number)
                .map(|(at, c)| at + c.len_utf8())
                .last()
                .unwrap_or(second_at);
        }
        Class::Space | Class::Other => {
            if !is_newline(first) && class_at(text, second_at) == Some(Class::Letter) {
                return run_of(text, second_at, Class::Letter);
            }
        }
    }
    let body = after_space(text);
    if class_at(text, body) == Some(Class::Other) {
        let end = run_of(text, body, Class::Other);
        return run_end(text, end, is_newline);
    }
    let spaces = &text[..run_of(text, 0, Class::Space)];
    match spaces.rfind(is_newline) {
        Some(last) => last + 1,
        None => space_end(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(split: Split, text: &str) -> Vec<&str> {
        let mut words = Vec::new();
        split.for_each_word(text, |word| words.push(word));
        assert_eq!(words.concat(), text);
        words
    }

    include!("pretokenize_expected.rs");

    const ALL: [Split; 5] = [Split::Gpt2, Split::Digits, Split::Llama3, Split::Qwen2, Split::Default];

    #[test]
    fn splits_like_the_patterns() {
        for (split, cases) in [
            (Split::Gpt2, GPT2),
            (Split::Digits, DIGITS),
            (Split::Llama3, LLAMA3),
            (Split::Qwen2, QWEN2),
            (Split::Default, DEFAULT),
        ] {
            for expected in cases {
                let text = expected.concat();
                assert_eq!(words(split, &text), *expected, "{split:?} of {text:?}");
            }
        }
    }

    #[test]
    fn nothing_gives_no_word() {
        for split in ALL {
            assert!(words(split, "").is_empty());
        }
    }

    #[test]
    fn long_runs_take_linear_time() {
        for split in ALL {
            for text in [" ", "\n", "a", "1", "!", "' ", "界"].map(|piece| piece.repeat(400_000)) {
                words(split, &text);
            }
        }
    }

    #[test]
    fn names_of_other_splits_are_refused() {
        assert_eq!(PreTokenizer::named("deepseek-coder"), None);
        assert_eq!(PreTokenizer::named(""), None);
        let llama = PreTokenizer::named("llama-bpe");
        assert_eq!(llama, Some(PreTokenizer { split: Split::Llama3, whole_words: true, add_bos: true }));
    }
}
