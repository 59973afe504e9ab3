//! Stop strings in streamed text.

/// Watches streamed text for any of several strings. Text that could be the beginning of one is held back until it is
/// known not to be, so that no part of a stop string is ever shown.
#[derive(Clone, Debug)]
pub struct StopMatcher {
    stops: Vec<String>,
    /// Text not shown yet.
    held: String,
}

impl StopMatcher {
    /// Watches for `stops`; empty strings are ignored.
    pub fn new(stops: &[String]) -> Self {
        StopMatcher { stops: stops.iter().filter(|s| !s.is_empty()).cloned().collect(), held: String::new() }
    }

    /// Takes the next piece of text, appends to `out` the text that can be shown, and returns true if a stop string is
    /// complete: then `out` has all text before it, and the text ends there.
    pub fn push(&mut self, text: &str, out: &mut String) -> bool {
        self.held.push_str(text);
        let found = self.stops.iter().filter_map(|stop| self.held.find(stop.as_str())).min();
        let shown = found.unwrap_or_else(|| self.held.len() - self.longest_beginning());
        out.extend(self.held.drain(..shown));
        if found.is_some() {
            self.held.clear();
        }
        found.is_some()
    }

    /// The text ended without a stop string: what was held back may be shown.
    pub fn finish(&mut self, out: &mut String) {
        out.push_str(&self.held);
        self.held.clear();
    }

    /// Bytes of the longest suffix of the held text that is a prefix of a stop string.
    fn longest_beginning(&self) -> usize {
        let longest = |stop: &String| {
            let most = self.held.len().min(stop.len() - 1);
            let ends_with = |len: usize| stop.is_char_boundary(len) && self.held.ends_with(&stop[..len]);
            (1..=most).rev().find(|&len| ends_with(len)).unwrap_or(0)
        };
        self.stops.iter().map(longest).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `pieces` until a stop string is complete. Returns the text shown, and whether one was found.
    fn feed(stops: &[&str], pieces: &[&str]) -> (String, bool) {
        let stops: Vec<String> = stops.iter().map(|s| s.to_string()).collect();
        let mut matcher = StopMatcher::new(&stops);
        let mut shown = String::new();
        for piece in pieces {
            if matcher.push(piece, &mut shown) {
                return (shown, true);
            }
        }
        matcher.finish(&mut shown);
        (shown, false)
    }

    #[test]
    fn a_stop_string_is_found_wherever_the_text_is_cut() {
        let text = "one — two<|end|>three";
        for first in 0..=text.len() {
            for second in first..=text.len() {
                if text.is_char_boundary(first) && text.is_char_boundary(second) {
                    let pieces = [&text[..first], &text[first..second], &text[second..]];
                    assert_eq!(feed(&["<|end|>"], &pieces), ("one — two".into(), true), "{pieces:?}");
                }
            }
        }
    }

    #[test]
    fn no_part_of_a_stop_string_is_shown_early() {
        let stops = vec!["é<|end|>".to_owned()];
        let mut matcher = StopMatcher::new(&stops);
        let mut shown = String::new();
        for c in "caf".chars().chain("é<|end|".chars()) {
            assert!(!matcher.push(&c.to_string(), &mut shown));
            assert!("caf".starts_with(&shown), "{shown:?}");
        }
        assert_eq!(shown, "caf");
    }

    #[test]
    fn a_false_beginning_is_shown_once_it_is_known_to_be_one() {
        assert_eq!(feed(&["aab"], &["a", "a", "a", "c"]), ("aaac".into(), false));
        assert_eq!(feed(&["aab"], &["a", "a", "a", "b"]), ("a".into(), true));
    }

    #[test]
    fn held_text_is_shown_when_the_text_ends() {
        assert_eq!(feed(&["###"], &["done ##"]), ("done ##".into(), false));
    }

    #[test]
    fn the_first_of_several_stop_strings_wins() {
        assert_eq!(feed(&["two", "one"], &["zero one two"]), ("zero ".into(), true));
        assert_eq!(feed(&["", "x"], &["abc"]), ("abc".into(), false));
    }
}
