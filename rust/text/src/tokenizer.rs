//! The tokenizer: text to ids, and what each id contributes to text.

use std::borrow::Cow;
use std::ops::Range;

use std::fmt;

use chord_gguf::Metadata;
use serde::Deserialize;

use crate::TextError;
use crate::bpe::Bpe;
use crate::byte_level;
use crate::eog::{correct_and_find_ends, correct_phi3, special_id};
use crate::pretokenize::{PreTokenizer, Split};
use crate::special::{Fragment, SpecialTokens};
use crate::spm::{SPACE, Spm};
use crate::vocabulary::{Attributes, TokenKind, Vocabulary};

const MODEL: &str = "tokenizer.ggml.model";
const PRE: &str = "tokenizer.ggml.pre";
const BOS: &str = "tokenizer.ggml.bos_token_id";
const EOS: &str = "tokenizer.ggml.eos_token_id";
const UNKNOWN: &str = "tokenizer.ggml.unknown_token_id";
const ADD_BOS: &str = "tokenizer.ggml.add_bos_token";
const ADD_EOS: &str = "tokenizer.ggml.add_eos_token";
const ADD_SPACE_PREFIX: &str = "tokenizer.ggml.add_space_prefix";

/// How [`Tokenizer::encode`] treats special tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
#[serde(deny_unknown_fields)]
pub struct EncodeOptions {
    /// Add the tokens that the file wants at the beginning (BOS) and the end (EOS).
    pub add_special: bool,
    /// Read the texts of control tokens as these tokens. Never set this for text that a user wrote.
    /// User-defined tokens are matched in any case.
    pub parse_special: bool,
}

/// Something that a file lacks and a default replaces; answers may be worse than the model could give them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenizerWarning {
    /// `tokenizer.ggml.pre` is absent or `default`: text is split as llama.cpp splits it then, which is seldom how it
    /// was split in training.
    DefaultPreTokenizer,
}

impl fmt::Display for TokenizerWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TokenizerWarning::DefaultPreTokenizer => f.write_str(
                "the file does not say how text is split into words (`tokenizer.ggml.pre` is missing or `default`), so \
                 answers may be worse than the model could give; use a file made by a newer converter",
            ),
        }
    }
}

/// Something odd in a file that changes nothing for nearly all texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenizerNote {
    /// Tokens of types that are not defined. They are read as tokens without a type, which write no text.
    UndefinedTypes {
        /// The first of them.
        first: u32,
        /// How many there are.
        count: u32,
        /// The type of the first.
        found: i32,
    },
    /// Tokens whose score is not a number. They are joined after all others.
    ScoresNotANumber {
        /// The first of them.
        first: u32,
        /// How many there are.
        count: u32,
    },
}

impl fmt::Display for TokenizerNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TokenizerNote::UndefinedTypes { first, count, found } => {
                write!(f, "{count} tokens of types that are not defined: the first is {first}, of type {found}")
            }
            TokenizerNote::ScoresNotANumber { first, count } => {
                write!(f, "{count} tokens whose score is not a number: the first is {first}")
            }
        }
    }
}

#[derive(Debug)]
enum Model {
    Spm(Spm),
    Bpe(Box<Bpe>),
}

/// A model's tokenizer, built from the metadata of its file.
#[derive(Debug)]
pub struct Tokenizer {
    vocabulary: Vocabulary,
    model: Model,
    specials: SpecialTokens,
    bos: Option<u32>,
    eos: Option<u32>,
    unknown: Option<u32>,
    /// Ascending.
    ends: Vec<u32>,
    add_bos: bool,
    add_eos: bool,
    add_space_prefix: bool,
    warnings: Vec<TokenizerWarning>,
}

impl Tokenizer {
    /// Reads and checks the `tokenizer.ggml.*` keys.
    ///
    /// # Errors
    /// If the kind of tokenizer is not supported, or if the vocabulary's arrays contradict each other.
    pub fn from_metadata(metadata: &Metadata) -> Result<Self, TextError> {
        let is_spm = match metadata.str(MODEL)? {
            "llama" => true,
            "gpt2" => false,
            other => return Err(TextError::UnknownTokenizerModel { found: other.to_owned() }),
        };
        let mut warnings = Vec::new();
        let pre = if is_spm { None } else { Some(pre_tokenizer(metadata, &mut warnings)?) };
        let mut vocabulary = Vocabulary::from_metadata(metadata, is_spm)?;
        let n_vocab = vocabulary.len();

        // SentencePiece files without these keys mean Llama's own ids.
        let default = |id: u32| Some(id).filter(|&id| is_spm && (id as usize) < n_vocab);
        let bos = special_id(metadata, n_vocab, BOS)?.or(default(1));
        let eos = special_id(metadata, n_vocab, EOS)?.or(default(2));
        let unknown = special_id(metadata, n_vocab, UNKNOWN)?.or(default(0));
        let ends = correct_and_find_ends(&mut vocabulary, metadata, eos)?;
        correct_phi3(&mut vocabulary, metadata);

        let add_bos = metadata.opt_bool(ADD_BOS)?.unwrap_or(pre.is_none_or(|pre| pre.add_bos));
        let add_eos = metadata.opt_bool(ADD_EOS)?.unwrap_or(false);
        if add_bos && bos.is_none() {
            return Err(TextError::MissingSpecialToken { flag: ADD_BOS, key: BOS });
        }
        if add_eos && eos.is_none() {
            return Err(TextError::MissingSpecialToken { flag: ADD_EOS, key: EOS });
        }
        let model = match pre {
            None => Model::Spm(Spm::new(&vocabulary, unknown)),
            Some(pre) => Model::Bpe(Box::new(Bpe::new(&vocabulary, metadata, pre.split, pre.whole_words)?)),
        };
        Ok(Tokenizer {
            specials: SpecialTokens::new(&vocabulary),
            // Byte-level vocabularies have no use for the prefix, though their files may have the key.
            add_space_prefix: is_spm && metadata.opt_bool(ADD_SPACE_PREFIX)?.unwrap_or(true),
            vocabulary,
            model,
            bos,
            eos,
            unknown,
            ends,
            add_bos,
            add_eos,
            warnings,
        })
    }

    /// The tokens of `text`.
    pub fn encode(&self, text: &str, options: EncodeOptions) -> Vec<u32> {
        let mut ids = Vec::with_capacity(text.len() / 3 + 2);
        if options.add_special && self.add_bos {
            ids.extend(self.bos);
        }
        self.encode_into(text, options.parse_special, &[], &mut ids);
        if options.add_special && self.add_eos {
            ids.extend(self.eos);
        }
        ids
    }

    /// Appends the tokens of `text`. `protected` lists places, in ascending order, in which no control token is read
    /// even with `parse_special`.
    pub(crate) fn encode_into(&self, text: &str, parse_special: bool, protected: &[Range<usize>], ids: &mut Vec<u32>) {
        let mut after_special = true;
        for fragment in self.specials.split(&self.vocabulary, text, parse_special, protected) {
            match fragment {
                Fragment::Token(id) => {
                    ids.push(id);
                    after_special = true;
                }
                Fragment::Text(place) => {
                    // Special tokens are complete texts, but a file may contain one that ends within a character,
                    // and the rest of that character cannot be part of a `str`.
                    let piece = String::from_utf8_lossy(&text.as_bytes()[place]);
                    self.encode_plain(&piece, after_special, ids);
                    after_special = false;
                }
            }
        }
    }

    fn encode_plain(&self, text: &str, after_special: bool, ids: &mut Vec<u32>) {
        match &self.model {
            Model::Bpe(bpe) => bpe.encode(&self.vocabulary, text, ids),
            Model::Spm(spm) => {
                let prefix = if self.add_space_prefix && after_special { SPACE } else { "" };
                let mut spaced = String::with_capacity(prefix.len() + text.len() * 2);
                spaced.push_str(prefix);
                for (i, part) in text.split(' ').enumerate() {
                    if i > 0 {
                        spaced.push_str(SPACE);
                    }
                    spaced.push_str(part);
                }
                spm.encode(&self.vocabulary, &spaced, ids);
            }
        }
    }

    /// Number of tokens.
    pub fn n_vocab(&self) -> u32 {
        self.vocabulary.len() as u32
    }

    /// The token that begins a text, if the model has one.
    pub fn bos(&self) -> Option<u32> {
        self.bos
    }

    /// The token that ends a text, if the model has one.
    pub fn eos(&self) -> Option<u32> {
        self.eos
    }

    /// The token for text that the vocabulary cannot represent, if the model has one.
    pub fn unknown(&self) -> Option<u32> {
        self.unknown
    }

    /// Whether [`EncodeOptions::add_special`] puts the BOS token first.
    pub fn adds_bos(&self) -> bool {
        self.add_bos
    }

    /// Whether [`EncodeOptions::add_special`] puts the EOS token last.
    pub fn adds_eos(&self) -> bool {
        self.add_eos
    }

    /// Whether generation ends with `id`: end of text, of turn or of message.
    pub fn is_eog(&self, id: u32) -> bool {
        self.ends.binary_search(&id).is_ok()
    }

    /// All tokens that end a generation, ascending.
    pub fn eog_ids(&self) -> &[u32] {
        &self.ends
    }

    /// Whether the text of a first token may begin with a space that is not part of the text.
    pub(crate) fn adds_space_prefix(&self) -> bool {
        self.add_space_prefix
    }

    /// The piece as the vocabulary spells it (`▁the`, `Ġthe`, `<|im_end|>`); `None` outside the vocabulary.
    pub fn token_text(&self, id: u32) -> Option<Cow<'_, str>> {
        (id < self.n_vocab()).then(|| String::from_utf8_lossy(self.vocabulary.text(id)))
    }

    /// The kind of `id`; [`TokenKind::Undefined`] outside the vocabulary.
    pub fn kind(&self, id: u32) -> TokenKind {
        if id < self.n_vocab() { self.vocabulary.kind(id) } else { TokenKind::Undefined }
    }

    /// What `id` contributes to a text: possibly half a character, and nothing for control tokens.
    pub fn token_bytes(&self, id: u32) -> Cow<'_, [u8]> {
        self.render_token(id, false)
    }

    /// As [`Tokenizer::token_bytes`], with control tokens as the vocabulary spells them if `render_special`.
    pub fn render_token(&self, id: u32, render_special: bool) -> Cow<'_, [u8]> {
        if id >= self.n_vocab() {
            return Cow::Borrowed(&[]);
        }
        let text = self.vocabulary.text(id);
        let attributes = self.vocabulary.attributes(id);
        if attributes.any(Attributes::CONTROL | Attributes::UNKNOWN) {
            let shown = render_special || attributes.any(Attributes::SHOWN);
            return Cow::Borrowed(if shown { text } else { &[] });
        }
        if attributes.any(Attributes::USER_DEFINED) {
            return Cow::Borrowed(text);
        }
        if attributes.any(Attributes::BYTE) {
            return Cow::Owned(self.vocabulary.byte_of(id).into_iter().collect());
        }
        if !attributes.any(Attributes::NORMAL) {
            return Cow::Borrowed(&[]);
        }
        match self.model {
            Model::Bpe(_) => match std::str::from_utf8(text) {
                Ok(text) => Cow::Owned(byte_level::unspell(text)),
                Err(_) => Cow::Borrowed(text),
            },
            Model::Spm(_) => unescape_spaces(text),
        }
    }

    /// Repairs made while reading the file.
    pub fn warnings(&self) -> &[TokenizerWarning] {
        &self.warnings
    }

    /// Oddities of the file that change nothing for nearly all texts.
    pub fn notes(&self) -> &[TokenizerNote] {
        self.vocabulary.notes()
    }

    /// Bytes that the tokenizer keeps on the heap.
    pub fn heap_bytes(&self) -> usize {
        let model = match &self.model {
            Model::Spm(_) => size_of::<[Option<u32>; 256]>(),
            Model::Bpe(bpe) => bpe.heap_bytes(),
        };
        self.vocabulary.heap_bytes() + model
    }

    pub(crate) fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    pub(crate) fn specials(&self) -> &SpecialTokens {
        &self.specials
    }
}

fn pre_tokenizer(metadata: &Metadata, warnings: &mut Vec<TokenizerWarning>) -> Result<PreTokenizer, TextError> {
    match metadata.opt_str(PRE)? {
        None | Some("" | "default") => {
            warnings.push(TokenizerWarning::DefaultPreTokenizer);
            Ok(PreTokenizer { split: Split::Default, whole_words: false, add_bos: false })
        }
        Some(name) => {
            PreTokenizer::named(name).ok_or_else(|| TextError::UnknownPreTokenizer { found: name.to_owned() })
        }
    }
}

/// `text` with [`SPACE`] replaced by spaces.
fn unescape_spaces(text: &[u8]) -> Cow<'_, [u8]> {
    let mark = SPACE.as_bytes();
    if !text.windows(mark.len()).any(|window| window == mark) {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        match rest.strip_prefix(mark) {
            Some(after_mark) => {
                out.push(b' ');
                rest = after_mark;
            }
            None => {
                out.push(first);
                rest = after;
            }
        }
    }
    Cow::Owned(out)
}
