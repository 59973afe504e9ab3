//! Tokens that are matched whole in text: control, unknown and user-defined ones.

use std::ops::Range;

use crate::vocabulary::{Attributes, Vocabulary};

/// A piece of the text to be encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fragment {
    /// Text at this place.
    Text(Range<usize>),
    /// A token that was matched whole.
    Token(u32),
}

/// A set of first bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct ByteSet([u64; 4]);

impl ByteSet {
    fn insert(&mut self, byte: u8) {
        self.0[usize::from(byte >> 6)] |= 1 << (byte & 63);
    }

    fn contains(&self, byte: u8) -> bool {
        self.0[usize::from(byte >> 6)] & (1 << (byte & 63)) != 0
    }

    fn is_empty(&self) -> bool {
        self.0 == [0; 4]
    }
}

/// The tokens of one length in bytes.
#[derive(Debug)]
struct Group {
    len: usize,
    /// First bytes of all of them.
    first: ByteSet,
    /// First bytes of tokens that are matched even where control tokens are not.
    first_in_text: ByteSet,
}

/// Finds special tokens in text. Longer ones come before shorter ones, then those further to the left; a token that
/// has been matched is not looked into again.
#[derive(Debug)]
pub(crate) struct SpecialTokens {
    /// Longest first.
    groups: Vec<Group>,
}

const SPECIAL: u8 = Attributes::CONTROL | Attributes::UNKNOWN | Attributes::USER_DEFINED;
const ONLY_PARSED: u8 = Attributes::CONTROL | Attributes::UNKNOWN;

impl SpecialTokens {
    /// Collects the special tokens of a vocabulary whose attributes are final.
    pub(crate) fn new(vocabulary: &Vocabulary) -> Self {
        let mut groups = Vec::<Group>::new();
        for id in 0..vocabulary.len() as u32 {
            let attributes = vocabulary.attributes(id);
            if !attributes.any(SPECIAL) {
                continue;
            }
            let text = vocabulary.text(id);
            let place = match groups.binary_search_by(|group| text.len().cmp(&group.len)) {
                Ok(place) => place,
                Err(place) => {
                    let group = Group { len: text.len(), first: ByteSet::default(), first_in_text: ByteSet::default() };
                    groups.insert(place, group);
                    place
                }
            };
            // No text is empty: see `Vocabulary::from_metadata`.
            groups[place].first.insert(text[0]);
            if !attributes.any(ONLY_PARSED) {
                groups[place].first_in_text.insert(text[0]);
            }
        }
        SpecialTokens { groups }
    }

    /// Splits `text` into special tokens and the text between them.
    ///
    /// With `parse_special` control and unknown tokens are matched too, except where they would take in a byte of
    /// `protected`: places in ascending order that are text whatever they look like.
    pub(crate) fn split(
        &self,
        vocabulary: &Vocabulary,
        text: &str,
        parse_special: bool,
        protected: &[Range<usize>],
    ) -> Vec<Fragment> {
        if text.is_empty() {
            return Vec::new();
        }
        let bytes = text.as_bytes();
        let is_protected = |place: &Range<usize>| {
            let after = protected.partition_point(|range| range.end <= place.start);
            protected.get(after).is_some_and(|range| range.start < place.end)
        };
        let matched = |place: Range<usize>| {
            let id = vocabulary.id_of(&bytes[place.clone()])?;
            let attributes = vocabulary.attributes(id);
            let allowed = if attributes.any(ONLY_PARSED) {
                parse_special && !is_protected(&place)
            } else {
                attributes.any(Attributes::USER_DEFINED)
            };
            allowed.then_some((id, attributes))
        };

        let mut fragments = vec![Fragment::Text(0..bytes.len())];
        for group in &self.groups {
            let first = if parse_special { &group.first } else { &group.first_in_text };
            if first.is_empty() || group.len > bytes.len() {
                continue;
            }
            let mut split = Vec::new();
            let mut found_any = false;
            for fragment in &fragments {
                let Fragment::Text(place) = fragment else {
                    split.push(fragment.clone());
                    continue;
                };
                let (mut from, mut at) = (place.start, place.start);
                while at + group.len <= place.end {
                    let found = if first.contains(bytes[at]) { matched(at..at + group.len) } else { None };
                    let Some((id, attributes)) = found else {
                        at += 1;
                        continue;
                    };
                    found_any = true;
                    if from < at {
                        split.push(Fragment::Text(from..at));
                    }
                    split.push(Fragment::Token(id));
                    at += group.len;
                    if attributes.any(Attributes::STRIP_RIGHT) {
                        at += bytes[at..place.end].iter().take_while(|&&byte| is_c_space(byte)).count();
                    }
                    from = at;
                }
                if from < place.end {
                    split.push(Fragment::Text(from..place.end));
                }
            }
            if found_any {
                fragments = split;
            }
        }
        fragments
    }

    /// Places of the texts of control and unknown tokens in `text`, in ascending order; overlapping ones are joined.
    pub(crate) fn control_texts(&self, vocabulary: &Vocabulary, text: &str) -> Vec<Range<usize>> {
        let bytes = text.as_bytes();
        let mut places = Vec::<Range<usize>>::new();
        for at in 0..bytes.len() {
            // The longest one that begins here takes in the others.
            let longest = self.groups.iter().find(|group| {
                at + group.len <= bytes.len()
                    && group.first.contains(bytes[at])
                    && vocabulary
                        .id_of(&bytes[at..at + group.len])
                        .is_some_and(|id| vocabulary.attributes(id).any(ONLY_PARSED))
            });
            if let Some(group) = longest {
                let end = at + group.len;
                match places.last_mut() {
                    Some(last) if at < last.end => last.end = last.end.max(end),
                    _ => places.push(at..end),
                }
            }
        }
        places
    }
}

/// White space of the C locale.
fn is_c_space(byte: u8) -> bool {
    matches!(byte, b'\t'..=b'\r' | b' ')
}
