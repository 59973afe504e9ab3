//! Conversations to tokens, with control tokens from the template alone.
//!
//! A rendered conversation is one text, in which a message that says `<|im_end|>` looks like the template's own mark.
//! To tell them apart, the conversation is rendered a second time with marks around the messages' text. If that
//! rendering without its marks is the plain one, byte for byte, the marks show which bytes are a message's, and in
//! these no control token is read. The text as a whole is still split as one, so that words and merges across the
//! border come out as they would without marks.
//!
//! Templates process messages differently, so three ways of marking are tried:
//! 1. around the whole of each content and name, within its outer white space, which templates trim;
//! 2. as in 1, but the assistant's messages as in 3 (templates cut thoughts out of replies);
//! 3. in place of each control token's text in a content or name.
//!
//! A conversation for which none works is refused. This needs a message with a control token's text in it: without
//! one, the third way changes nothing.

use std::ops::Range;

use crate::vocabulary::Vocabulary;
use crate::{ChatTemplate, Message, TextError, Tokenizer};

/// The tokens of a conversation, up to where the model's reply begins.
///
/// Control tokens come from the template only; the text of one within a message stays text. A BOS token is added if
/// the file asks for one and the template has not written it.
///
/// # Errors
/// If the template fails or refuses the messages, or ([`TextError::ControlTextInMessage`]) if a message holds a control
/// token's text and cannot be told apart from the template.
pub fn encode_chat(
    tokenizer: &Tokenizer,
    template: &ChatTemplate,
    messages: &[Message],
) -> Result<Vec<u32>, TextError> {
    let rendered = template.render(messages, true)?;
    let protected = protected_places(tokenizer, template, messages, &rendered)?;
    let mut ids = Vec::with_capacity(rendered.len() / 3 + 2);
    tokenizer.encode_into(&rendered, true, &protected, &mut ids);
    // A message that begins with the text of BOS does not count as the token.
    if let Some(bos) = tokenizer.bos().filter(|&bos| tokenizer.adds_bos() && ids.first() != Some(&bos)) {
        ids.insert(0, bos);
    }
    Ok(ids)
}

/// How a message's content is marked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Marks around it.
    Whole,
    /// Marks in place of each control text.
    ControlTexts,
}

fn protected_places(
    tokenizer: &Tokenizer,
    template: &ChatTemplate,
    messages: &[Message],
    rendered: &str,
) -> Result<Vec<Range<usize>>, TextError> {
    if let Some(refused) = messages.iter().enumerate().find_map(|(i, message)| {
        // Templates compare roles, so they cannot be marked; no role has use for a control token.
        control_error(tokenizer, i, &message.role)
    }) {
        return Err(refused);
    }
    let ways: [fn(&Message) -> Way; 3] = [
        |_| Way::Whole,
        |message| if message.role == "assistant" { Way::ControlTexts } else { Way::Whole },
        |_| Way::ControlTexts,
    ];
    for way in ways {
        let mut marks = Marks::new(template, messages, rendered);
        let marked: Vec<Message> = messages
            .iter()
            .map(|message| {
                let content = marks.mark(tokenizer, &message.content, way(message));
                let name = message.name.as_deref().map(|name| marks.mark(tokenizer, name, way(message)));
                Message { role: message.role.clone(), content, name }
            })
            .collect();
        // A template may refuse marked messages for reasons that the plain ones do not give it.
        let places = template.render(&marked, true).ok().and_then(|marked| marks.places(&marked, rendered));
        if let Some(places) = places {
            return Ok(places);
        }
    }
    let refused = messages.iter().enumerate().find_map(|(i, message)| {
        let name = message.name.as_deref().unwrap_or_default();
        control_error(tokenizer, i, &message.content).or_else(|| control_error(tokenizer, i, name))
    });
    // Without a control text, the last way has rendered the same messages again: the same text, no places.
    refused.map_or(Ok(Vec::new()), Err)
}

fn control_error(tokenizer: &Tokenizer, message: usize, text: &str) -> Option<TextError> {
    let place = control_texts(tokenizer, text).into_iter().next()?;
    Some(TextError::ControlTextInMessage { message, token: text[place].to_owned() })
}

/// Texts of control tokens in `text`, widened to whole characters.
fn control_texts(tokenizer: &Tokenizer, text: &str) -> Vec<Range<usize>> {
    let vocabulary: &Vocabulary = tokenizer.vocabulary();
    let mut places = tokenizer.specials().control_texts(vocabulary, text);
    for place in &mut places {
        place.start = (0..=place.start).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        place.end = (place.end..text.len()).find(|&at| text.is_char_boundary(at)).unwrap_or(text.len());
    }
    places
}

/// The marks of one rendering.
///
/// A mark is a run of digits, which upper and lower case, trimming, quoting and JSON leave as it is, and which occurs
/// neither in the messages nor in the template nor in the plain rendering.
struct Marks {
    /// [`KEY_DIGITS`] digits that occur nowhere else.
    key: String,
    /// What each place-holder stands for, in the order in which they were given out.
    replaced: Vec<String>,
}

const KEY_DIGITS: usize = 20;
const NUMBER_DIGITS: usize = 8;

/// Length of a mark: the key, a kind, a number.
const MARK_BYTES: usize = KEY_DIGITS + 1 + NUMBER_DIGITS;

impl Marks {
    fn new(template: &ChatTemplate, messages: &[Message], rendered: &str) -> Self {
        let is_free = |key: &str| {
            // A key that can overlap itself could be found in digits that a message puts before a mark.
            (1..KEY_DIGITS).all(|shift| key[shift..] != key[..KEY_DIGITS - shift])
                && !rendered.contains(key)
                && !template.source().contains(key)
                && messages.iter().all(|message| {
                    let name = message.name.as_deref().unwrap_or_default();
                    ![&*message.content, &*message.role, name].iter().any(|text| text.contains(key))
                })
        };
        // The first is nearly always free. If none is, the key is empty, and `places` refuses every text with marks.
        let mut candidates = (0..1000u64).map(|n| {
            let spread = n.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x5851_f42d_4c95_7f2d);
            format!("{spread:0width$}", width = KEY_DIGITS)
        });
        let key = candidates.find(|key| is_free(key)).unwrap_or_default();
        Marks { key, replaced: Vec::new() }
    }

    fn write(&self, kind: char, number: usize) -> String {
        format!("{}{kind}{number:0width$}", self.key, width = NUMBER_DIGITS)
    }

    fn mark(&mut self, tokenizer: &Tokenizer, content: &str, way: Way) -> String {
        match way {
            Way::Whole => {
                let core = content.trim();
                if core.is_empty() {
                    return content.to_owned();
                }
                // `trim` gives a part of `content`.
                let start = content.len() - content.trim_start().len();
                let (before, after) = (&content[..start], &content[start + core.len()..]);
                format!("{before}{}{core}{}{after}", self.write('1', 0), self.write('2', 0))
            }
            Way::ControlTexts => {
                let mut out = String::with_capacity(content.len());
                let mut from = 0;
                for place in control_texts(tokenizer, content) {
                    out.push_str(&content[from..place.start]);
                    out.push_str(&self.write('3', self.replaced.len()));
                    self.replaced.push(content[place.clone()].to_owned());
                    from = place.end;
                }
                out.push_str(&content[from..]);
                out
            }
        }
    }

    /// The places in `rendered` that the marks in `marked` show; `None` if `marked` without marks is another text, or
    /// if the marks are not in pairs.
    fn places(&self, marked: &str, rendered: &str) -> Option<Vec<Range<usize>>> {
        let mut places = Vec::new();
        let mut open = None;
        let mut at = 0;
        let mut rest = marked;
        let take = |text: &str, at: &mut usize| {
            let same = rendered.get(*at..)?.starts_with(text);
            *at += text.len();
            same.then_some(())
        };
        while let Some(found) = rest.find(&self.key).filter(|_| !self.key.is_empty()) {
            take(&rest[..found], &mut at)?;
            let mark = rest.get(found..found + MARK_BYTES)?;
            rest = &rest[found + MARK_BYTES..];
            let (kind, number) = mark[KEY_DIGITS..].split_at(1);
            match (kind, open) {
                ("1", None) => open = Some(at),
                ("2", Some(start)) => {
                    places.push(start..at);
                    open = None;
                }
                ("3", None) => {
                    let start = at;
                    take(self.replaced.get(number.parse::<usize>().ok()?)?, &mut at)?;
                    places.push(start..at);
                }
                _ => return None,
            }
        }
        take(rest, &mut at)?;
        (open.is_none() && at == rendered.len()).then_some(places)
    }
}
