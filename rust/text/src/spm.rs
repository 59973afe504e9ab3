//! SentencePiece-style encoding: characters are joined, best score first, into tokens; text without a token is
//! written as bytes.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use crate::vocabulary::Vocabulary;

/// How SentencePiece vocabularies write a space (U+2581, lower one eighth block).
pub(crate) const SPACE: &str = "\u{2581}";

/// No neighbour.
const NONE: usize = usize::MAX;

/// The tokens that stand for single bytes.
#[derive(Debug)]
pub(crate) struct Spm {
    byte_ids: Box<[Option<u32>; 256]>,
}

/// A run of bytes that is being grown; empty once it has been joined to its left neighbour.
struct Symbol {
    start: usize,
    len: usize,
    prev: usize,
    next: usize,
}

/// Two neighbours that together are a token.
struct Pair {
    score: f32,
    left: usize,
    right: usize,
    /// Length of both together when the pair was found: if it has changed since, the pair is outdated.
    len: usize,
}

impl Ord for Pair {
    /// The best score first; of equals the leftmost.
    fn cmp(&self, other: &Self) -> Ordering {
        self.score.partial_cmp(&other.score).unwrap_or(Ordering::Equal).then(other.left.cmp(&self.left))
    }
}

impl PartialOrd for Pair {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Pair {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Pair {}

impl Spm {
    /// Looks up the token of each byte: `<0xNN>`, else the byte as a text, else the unknown token.
    pub(crate) fn new(vocabulary: &Vocabulary, unknown: Option<u32>) -> Self {
        let id_of = |byte: u8| {
            vocabulary
                .id_of(format!("<0x{byte:02X}>").as_bytes())
                .or_else(|| vocabulary.text_id_of(&[byte]))
                .or(unknown)
        };
        let mut byte_ids = Box::new([None; 256]);
        for byte in 0..=255 {
            byte_ids[byte as usize] = id_of(byte);
        }
        Spm { byte_ids }
    }

    /// Appends the tokens of `text`, in which spaces are already written as [`SPACE`].
    pub(crate) fn encode(&self, vocabulary: &Vocabulary, text: &str, out: &mut Vec<u32>) {
        let mut symbols: Vec<Symbol> = text
            .char_indices()
            .enumerate()
            .map(|(i, (start, character))| Symbol {
                start,
                len: character.len_utf8(),
                prev: i.wrapping_sub(1),
                next: i + 1,
            })
            .collect();
        if let Some(last) = symbols.last_mut() {
            last.next = NONE;
        }

        let bytes = text.as_bytes();
        let pair_at = |symbols: &[Symbol], left: usize, right: usize| {
            if left == NONE || right == NONE {
                return None;
            }
            let (start, len) = (symbols[left].start, symbols[left].len + symbols[right].len);
            let id = vocabulary.text_id_of(&bytes[start..start + len])?;
            Some(Pair { score: vocabulary.score(id), left, right, len })
        };
        let mut queue: BinaryHeap<Pair> =
            (1..symbols.len()).filter_map(|right| pair_at(&symbols, right - 1, right)).collect();

        while let Some(Pair { left, right, len, .. }) = queue.pop() {
            if symbols[left].len == 0 || symbols[right].len == 0 || symbols[left].len + symbols[right].len != len {
                continue;
            }
            let next = symbols[right].next;
            symbols[right].len = 0;
            symbols[left].len = len;
            symbols[left].next = next;
            if next != NONE {
                symbols[next].prev = left;
            }
            queue.extend(pair_at(&symbols, symbols[left].prev, left));
            queue.extend(pair_at(&symbols, left, next));
        }

        for symbol in symbols.iter().filter(|symbol| symbol.len > 0) {
            let piece = &bytes[symbol.start..symbol.start + symbol.len];
            match vocabulary.text_id_of(piece) {
                Some(id) => out.push(id),
                None => out.extend(piece.iter().filter_map(|&byte| self.byte_ids[byte as usize])),
            }
        }
    }
}
