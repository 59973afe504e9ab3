//! Tokens back to text, as they come.

use crate::Tokenizer;

/// Turns a stream of tokens into a stream of text that is valid UTF-8 at every step.
///
/// Bytes that may still become a character are held back until they do; bytes that cannot are shown as U+FFFD.
#[derive(Clone, Debug)]
pub struct Detokenizer {
    pending: Vec<u8>,
    ready: String,
    /// Drop a space at the very beginning: the tokenizer put one there.
    strip_space: bool,
    render_special: bool,
}

impl Detokenizer {
    /// For the tokens of a whole text: a space that the tokenizer adds in front of the text is removed.
    pub fn new(tokenizer: &Tokenizer) -> Self {
        Detokenizer {
            pending: Vec::new(),
            ready: String::new(),
            strip_space: tokenizer.adds_space_prefix(),
            render_special: false,
        }
    }

    /// For tokens that continue a text, such as a model's reply: nothing is removed.
    pub fn continuing() -> Self {
        Detokenizer { pending: Vec::new(), ready: String::new(), strip_space: false, render_special: false }
    }

    /// Shows control tokens as the vocabulary spells them.
    pub fn render_special(mut self, yes: bool) -> Self {
        self.render_special = yes;
        self
    }

    /// The text that `id` completes; often empty in the middle of a character. Ids outside the vocabulary add
    /// nothing.
    pub fn push(&mut self, tokenizer: &Tokenizer, id: u32) -> &str {
        let bytes = tokenizer.render_token(id, self.render_special);
        let mut bytes = bytes.as_ref();
        if self.strip_space && !bytes.is_empty() {
            self.strip_space = false;
            bytes = bytes.strip_prefix(b" ").unwrap_or(bytes);
        }
        self.pending.extend_from_slice(bytes);
        self.ready.clear();
        let complete = complete_bytes(&self.pending);
        push_lossy(&self.pending[..complete], &mut self.ready);
        self.pending.drain(..complete);
        &self.ready
    }

    /// Ends the text: an unfinished character becomes U+FFFD. A new stream can begin afterwards.
    pub fn finish(&mut self) -> &str {
        self.ready.clear();
        push_lossy(&self.pending, &mut self.ready);
        self.pending.clear();
        &self.ready
    }
}

fn push_lossy(bytes: &[u8], out: &mut String) {
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            out.push(char::REPLACEMENT_CHARACTER);
        }
    }
}

/// How many of `bytes` can be shown: all but the beginning of a character at the end.
fn complete_bytes(bytes: &[u8]) -> usize {
    let mut end = 0;
    for chunk in bytes.utf8_chunks() {
        end += chunk.valid().len();
        let invalid = chunk.invalid();
        let at_the_end = end + invalid.len() == bytes.len();
        // A sequence that the end of the input cut short, as opposed to one that is wrong.
        if at_the_end && std::str::from_utf8(invalid).is_err_and(|error| error.error_len().is_none()) {
            return end;
        }
        end += invalid.len();
    }
    end
}

impl Tokenizer {
    /// The text of `ids` as a whole text (see [`Detokenizer::new`]); control tokens add nothing.
    pub fn decode(&self, ids: &[u32]) -> String {
        let mut detokenizer = Detokenizer::new(self);
        let mut text = String::new();
        for &id in ids {
            text.push_str(detokenizer.push(self, id));
        }
        text.push_str(detokenizer.finish());
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unfinished_characters_are_held_back() {
        assert_eq!(complete_bytes("aé".as_bytes()), 3);
        assert_eq!(complete_bytes(b"a\xc3"), 1);
        assert_eq!(complete_bytes(b"a\xf0\x9f\x98"), 1);
        // No character begins with C0, nor with ED A0 (a surrogate), nor with F5.
        assert_eq!(complete_bytes(b"a\xc0"), 2);
        assert_eq!(complete_bytes(b"a\xed\xa0"), 3);
        assert_eq!(complete_bytes(b"\xf5"), 1);
        assert_eq!(complete_bytes(b"\x80\xe2\x82"), 1);
    }
}
