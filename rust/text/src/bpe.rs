//! Byte-level byte-pair encoding: the bytes of each word are joined pair by pair, earliest merge rule first.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use chord_gguf::{Metadata, StringArray};

use crate::TextError;
use crate::byte_level;
use crate::index::{Index, hash_pair};
use crate::limits::MAX_MERGES;
use crate::pretokenize::Split;
use crate::vocabulary::Vocabulary;

pub(crate) const MERGES: &str = "tokenizer.ggml.merges";

/// No neighbour.
const NONE: u32 = u32::MAX;

/// A merge rule; its place in the list is its rank.
#[derive(Clone, Copy, Debug)]
struct Merge {
    left: u32,
    right: u32,
    joined: u32,
}

/// Merge rules as triples of ids with an index from the pair to the rank: about 20 bytes a rule.
#[derive(Debug)]
struct Merges {
    rules: Vec<Merge>,
    index: Index,
}

impl Merges {
    fn new(vocabulary: &Vocabulary, texts: &StringArray) -> Result<Self, TextError> {
        if texts.len() > MAX_MERGES {
            return Err(TextError::TooManyMerges { found: texts.len(), limit: MAX_MERGES });
        }
        let mut merges = Merges { rules: Vec::with_capacity(texts.len()), index: Index::with_room_for(texts.len()) };
        let mut joined = Vec::new();
        for (rank, text) in texts.iter().enumerate() {
            let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            // The left piece is never empty, so a first byte that is a space belongs to it.
            let space = text.iter().skip(1).position(|&byte| byte == b' ').map(|at| at + 1);
            let Some((left, right)) = space.map(|at| (&text[..at], &text[at + 1..])).filter(|(_, r)| !r.is_empty())
            else {
                return Err(TextError::InvalidMerge { index: rank, text: lossy(text) });
            };
            joined.clear();
            joined.extend_from_slice(left);
            joined.extend_from_slice(right);
            let id_of = |piece: &[u8]| {
                vocabulary.id_of(piece).ok_or_else(|| TextError::UnknownMergePiece {
                    index: rank,
                    text: lossy(text),
                    piece: lossy(piece),
                })
            };
            let rule = Merge { left: id_of(left)?, right: id_of(right)?, joined: id_of(&joined)? };
            merges.rules.push(rule);
            // Plain text never becomes a control token, whatever the merges say. Of equal pairs the first counts.
            if vocabulary.may_come_from_text(rule.joined) {
                let rules = &merges.rules;
                merges.index.insert(hash_pair(rule.left, rule.right), rank as u32, |other| {
                    (rules[other as usize].left, rules[other as usize].right) == (rule.left, rule.right)
                })?;
            }
        }
        Ok(merges)
    }

    /// The rank of the rule that joins `left` and `right`.
    fn rank(&self, left: u32, right: u32) -> Option<u32> {
        self.index.find(hash_pair(left, right), |rank| {
            let rule = self.rules[rank as usize];
            (rule.left, rule.right) == (left, right)
        })
    }
}

/// A byte-level BPE encoder.
#[derive(Debug)]
pub(crate) struct Bpe {
    split: Split,
    /// Take a word that is a token as that token, without regard to the merges.
    whole_words: bool,
    byte_ids: Box<[Option<u32>; 256]>,
    merges: Merges,
}

/// A token that is being grown. `id` is `None` for a byte that the vocabulary lacks, and once it has been joined to
/// its left neighbour.
struct Symbol {
    id: Option<u32>,
    prev: u32,
    next: u32,
}

/// A possible merge: by rank, then from the left. The ids show whether it is outdated.
type Candidate = Reverse<(u32, u32, u32, u32, u32)>;

impl Bpe {
    /// Reads the merges.
    pub(crate) fn new(
        vocabulary: &Vocabulary,
        metadata: &Metadata,
        split: Split,
        whole_words: bool,
    ) -> Result<Self, TextError> {
        let mut byte_ids = Box::new([None; 256]);
        for byte in 0..=255u8 {
            let spelling = byte_level::char_of(byte);
            byte_ids[byte as usize] = vocabulary.text_id_of(spelling.encode_utf8(&mut [0; 4]).as_bytes());
        }
        let merges = Merges::new(vocabulary, metadata.strings(MERGES)?)?;
        Ok(Bpe { split, whole_words, byte_ids, merges })
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        size_of_val(&*self.byte_ids)
            + self.merges.rules.capacity() * size_of::<Merge>()
            + self.merges.index.heap_bytes()
    }

    /// Appends the tokens of `text`. Bytes that the vocabulary lacks are left out, as in the reference.
    pub(crate) fn encode(&self, vocabulary: &Vocabulary, text: &str, out: &mut Vec<u32>) {
        let mut spelling = String::new();
        let mut symbols = Vec::new();
        let mut queue = BinaryHeap::new();
        self.split.for_each_word(text, |word| {
            if self.whole_words && word.len() <= vocabulary.max_token_bytes() {
                spelling.clear();
                byte_level::spell(word.as_bytes(), &mut spelling);
                if let Some(id) = vocabulary.text_id_of(spelling.as_bytes()) {
                    out.push(id);
                    return;
                }
            }
            self.encode_word(word.as_bytes(), &mut symbols, &mut queue);
            out.extend(symbols.iter().filter_map(|symbol| symbol.id));
        });
    }

    fn encode_word(&self, word: &[u8], symbols: &mut Vec<Symbol>, queue: &mut BinaryHeap<Candidate>) {
        symbols.clear();
        symbols.extend(word.iter().enumerate().map(|(i, &byte)| Symbol {
            id: self.byte_ids[byte as usize],
            prev: (i as u32).wrapping_sub(1),
            next: i as u32 + 1,
        }));
        if let Some(last) = symbols.last_mut() {
            last.next = NONE;
        }
        let candidate = |symbols: &[Symbol], left: u32, right: u32| -> Option<Candidate> {
            let (l, r) = (symbols.get(left as usize)?.id?, symbols.get(right as usize)?.id?);
            Some(Reverse((self.merges.rank(l, r)?, left, right, l, r)))
        };
        queue.clear();
        queue.extend((1..symbols.len() as u32).filter_map(|right| candidate(symbols, right - 1, right)));

        while let Some(Reverse((rank, left, right, l, r))) = queue.pop() {
            if symbols[left as usize].id != Some(l) || symbols[right as usize].id != Some(r) {
                continue;
            }
            let next = symbols[right as usize].next;
            symbols[right as usize].id = None;
            symbols[left as usize].id = Some(self.merges.rules[rank as usize].joined);
            symbols[left as usize].next = next;
            if let Some(neighbour) = symbols.get_mut(next as usize) {
                neighbour.prev = left;
            }
            queue.extend(candidate(symbols, symbols[left as usize].prev, left));
            queue.extend(candidate(symbols, left, next));
        }
    }
}
