//! The vocabulary: texts in one arena, their kinds, scores and an index from text to id.

use std::borrow::Cow;

use chord_gguf::{Array, Metadata};

use crate::index::{Index, hash_bytes};
use crate::limits::{MAX_TOKEN_BYTES, MAX_TOKENS};
use crate::{TextError, TokenizerNote};

pub(crate) const TOKENS: &str = "tokenizer.ggml.tokens";
pub(crate) const SCORES: &str = "tokenizer.ggml.scores";
pub(crate) const TOKEN_TYPE: &str = "tokenizer.ggml.token_type";

/// The kind of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TokenKind {
    /// A piece of text.
    Normal,
    /// Stands for text that the vocabulary cannot write.
    Unknown,
    /// Structure, such as the end of a turn. Never made from plain text and not shown.
    Control,
    /// A piece of text that is matched whole, before anything else is split.
    UserDefined,
    /// Reserved.
    Unused,
    /// One byte, `<0xNN>`.
    Byte,
    /// The file does not say.
    Undefined,
}

/// Attributes of a token, one bit each. A token can be both control and user-defined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attributes(u8);

impl Attributes {
    pub(crate) const NORMAL: u8 = 1;
    pub(crate) const UNKNOWN: u8 = 1 << 1;
    pub(crate) const CONTROL: u8 = 1 << 2;
    pub(crate) const USER_DEFINED: u8 = 1 << 3;
    pub(crate) const UNUSED: u8 = 1 << 4;
    pub(crate) const BYTE: u8 = 1 << 5;
    /// White space after the token belongs to it when it is found in text.
    pub(crate) const STRIP_RIGHT: u8 = 1 << 6;
    /// Shown in the output although it is a control token.
    pub(crate) const SHOWN: u8 = 1 << 7;

    /// `None` for a type that is not defined.
    fn from_type(token_type: i32) -> Option<Self> {
        Some(Attributes(match token_type {
            0 => 0,
            1 => Self::NORMAL,
            2 => Self::UNKNOWN,
            3 => Self::CONTROL,
            4 => Self::USER_DEFINED,
            5 => Self::UNUSED,
            6 => Self::BYTE,
            _ => return None,
        }))
    }

    /// Whether any of `bits` is set.
    pub(crate) const fn any(self, bits: u8) -> bool {
        self.0 & bits != 0
    }
}

/// Texts, kinds and scores of all tokens.
#[derive(Debug)]
pub(crate) struct Vocabulary {
    arena: Vec<u8>,
    /// `starts[id]..starts[id + 1]` is the text of `id` in the arena.
    starts: Vec<u32>,
    attributes: Vec<Attributes>,
    /// One per token, or empty.
    scores: Vec<f32>,
    index: Index,
    max_token_bytes: usize,
    notes: Vec<TokenizerNote>,
}

impl Vocabulary {
    /// Reads tokens, their types, and, if `with_scores`, their scores.
    pub(crate) fn from_metadata(metadata: &Metadata, with_scores: bool) -> Result<Self, TextError> {
        let tokens = metadata.strings(TOKENS)?;
        let n_vocab = tokens.len();
        if n_vocab == 0 || n_vocab > MAX_TOKENS {
            return Err(TextError::VocabularySize { found: n_vocab as u64, limit: MAX_TOKENS as u64 });
        }
        let mut notes = Vec::new();
        let attributes = read_attributes(metadata, n_vocab, &mut notes)?;
        let scores = if with_scores { read_scores(metadata, n_vocab, &mut notes)? } else { Vec::new() };

        let mut vocabulary = Vocabulary {
            arena: Vec::with_capacity(tokens.total_bytes()),
            starts: Vec::with_capacity(n_vocab + 1),
            attributes,
            scores,
            index: Index::with_room_for(n_vocab),
            max_token_bytes: 0,
            notes,
        };
        for (id, text) in tokens.iter().enumerate() {
            // An empty text would match everywhere; the reference gives such tokens this name too.
            let text = if text.is_empty() { Cow::Owned(format!("[EMPTY_{id}]").into_bytes()) } else { text.into() };
            vocabulary.push(id as u32, &text)?;
        }
        vocabulary.starts.push(vocabulary.arena.len() as u32);
        for id in 0..n_vocab as u32 {
            if vocabulary.attributes(id).any(Attributes::BYTE) && vocabulary.byte_of(id).is_none() {
                return Err(TextError::InvalidByteToken { id, text: vocabulary.lossy(id) });
            }
        }
        Ok(vocabulary)
    }

    fn push(&mut self, id: u32, text: &[u8]) -> Result<(), TextError> {
        if text.len() > MAX_TOKEN_BYTES {
            return Err(TextError::TokenTooLong { id, found: text.len(), limit: MAX_TOKEN_BYTES });
        }
        let Self { arena, starts, index, .. } = self;
        let text_of = |other: u32| {
            let other = other as usize;
            &arena[starts[other] as usize..starts.get(other + 1).map_or(arena.len(), |&end| end as usize)]
        };
        if let Some(first) = index.insert(hash_bytes(text), id, |other| text_of(other) == text)? {
            return Err(TextError::DuplicateToken {
                first,
                second: id,
                text: String::from_utf8_lossy(text).into_owned(),
            });
        }
        // Below 4 GiB: the texts come from an array that is.
        starts.push(arena.len() as u32);
        arena.extend_from_slice(text);
        self.max_token_bytes = self.max_token_bytes.max(text.len());
        Ok(())
    }

    /// Number of tokens.
    pub(crate) fn len(&self) -> usize {
        self.attributes.len()
    }

    /// The token with this text.
    pub(crate) fn id_of(&self, text: &[u8]) -> Option<u32> {
        if text.len() > self.max_token_bytes {
            return None;
        }
        self.index.find(hash_bytes(text), |id| self.text(id) == text)
    }

    /// The token with this text, if text may become it: control, unknown and byte tokens are never made from text.
    pub(crate) fn text_id_of(&self, text: &[u8]) -> Option<u32> {
        self.id_of(text).filter(|&id| self.may_come_from_text(id))
    }

    /// Whether splitting and merging plain text may end in `id`.
    pub(crate) fn may_come_from_text(&self, id: u32) -> bool {
        !self.attributes(id).any(Attributes::CONTROL | Attributes::UNKNOWN | Attributes::BYTE)
    }

    /// The text of `id`, which must be in the vocabulary.
    pub(crate) fn text(&self, id: u32) -> &[u8] {
        let id = id as usize;
        &self.arena[self.starts[id] as usize..self.starts[id + 1] as usize]
    }

    /// The text of `id`, with invalid UTF-8 replaced.
    pub(crate) fn lossy(&self, id: u32) -> String {
        String::from_utf8_lossy(self.text(id)).into_owned()
    }

    /// The attributes of `id`.
    pub(crate) fn attributes(&self, id: u32) -> Attributes {
        self.attributes[id as usize]
    }

    /// Sets one of the bits of [`Attributes`].
    pub(crate) fn set(&mut self, id: u32, bits: u8) {
        self.attributes[id as usize].0 |= bits;
    }

    /// The score of `id`; 0 in vocabularies without scores.
    pub(crate) fn score(&self, id: u32) -> f32 {
        self.scores.get(id as usize).copied().unwrap_or(0.0)
    }

    /// The kind of `id`. If several bits are set, the strictest counts.
    pub(crate) fn kind(&self, id: u32) -> TokenKind {
        let attributes = self.attributes(id);
        let kinds = [
            (Attributes::CONTROL, TokenKind::Control),
            (Attributes::UNKNOWN, TokenKind::Unknown),
            (Attributes::USER_DEFINED, TokenKind::UserDefined),
            (Attributes::BYTE, TokenKind::Byte),
            (Attributes::UNUSED, TokenKind::Unused),
            (Attributes::NORMAL, TokenKind::Normal),
        ];
        kinds.into_iter().find(|&(bit, _)| attributes.any(bit)).map_or(TokenKind::Undefined, |(_, kind)| kind)
    }

    /// The byte of a byte token: its text is `<0xNN>` with exactly two hexadecimal digits.
    pub(crate) fn byte_of(&self, id: u32) -> Option<u8> {
        let digits: &[u8; 2] = self.text(id).strip_prefix(b"<0x")?.strip_suffix(b">")?.try_into().ok()?;
        let digit = |c: u8| (c as char).to_digit(16);
        Some((digit(digits[0])? * 16 + digit(digits[1])?) as u8)
    }

    /// Oddities of the file.
    pub(crate) fn notes(&self) -> &[TokenizerNote] {
        &self.notes
    }

    /// Length of the longest token's text in bytes.
    pub(crate) fn max_token_bytes(&self) -> usize {
        self.max_token_bytes
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.arena.capacity()
            + self.starts.capacity() * size_of::<u32>()
            + self.attributes.capacity()
            + self.scores.capacity() * size_of::<f32>()
            + self.index.heap_bytes()
    }
}

fn check_length(key: &'static str, expected: usize, found: usize) -> Result<(), TextError> {
    if found == expected { Ok(()) } else { Err(TextError::ArrayLength { key, expected, found }) }
}

fn read_attributes(
    metadata: &Metadata,
    n_vocab: usize,
    notes: &mut Vec<TokenizerNote>,
) -> Result<Vec<Attributes>, TextError> {
    let Some(types) = metadata.opt_i32s(TOKEN_TYPE)? else {
        return Ok(vec![Attributes(Attributes::NORMAL); n_vocab]);
    };
    check_length(TOKEN_TYPE, n_vocab, types.len())?;
    let mut undefined = (0..).zip(types).filter(|&(_, &found)| Attributes::from_type(found).is_none());
    if let Some((first, &found)) = undefined.next() {
        notes.push(TokenizerNote::UndefinedTypes { first, count: 1 + undefined.count() as u32, found });
    }
    Ok(types.iter().map(|&found| Attributes::from_type(found).unwrap_or(Attributes(0))).collect())
}

fn read_scores(metadata: &Metadata, n_vocab: usize, notes: &mut Vec<TokenizerNote>) -> Result<Vec<f32>, TextError> {
    let mut scores: Vec<f32> = match metadata.opt_array(SCORES)? {
        None => return Ok(Vec::new()),
        // Some converters write whole numbers.
        Some(Array::I32(scores)) => scores.iter().map(|&score| score as f32).collect(),
        Some(_) => metadata.f32s(SCORES)?.to_vec(),
    };
    check_length(SCORES, n_vocab, scores.len())?;
    let mut nan = (0..).zip(&scores).filter(|(_, score)| score.is_nan()).map(|(id, _)| id);
    if let Some(first) = nan.next() {
        notes.push(TokenizerNote::ScoresNotANumber { first, count: 1 + nan.count() as u32 });
        // NaN is neither above nor below another score, so the order of joining would be arbitrary.
        scores.iter_mut().filter(|score| score.is_nan()).for_each(|score| *score = f32::NEG_INFINITY);
    }
    Ok(scores)
}
