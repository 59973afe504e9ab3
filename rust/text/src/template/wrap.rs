//! The filter `wordwrap`: Python's `textwrap`, line by line.

use minijinja::Error;
use minijinja::value::{Kwargs, Value};

use super::budget::Budget;
use super::functions::argument;
use super::methods::lines;
use super::{invalid, writing};

/// The highest cost of one byte of text as a separate piece.
const PIECE_BYTES: usize = 32;

/// Jinja's `wordwrap(value, width=79, break_long_words=True, wrapstring='\n', break_on_hyphens=True)`.
pub(super) fn word_wrap(budget: &Budget, text: &Value, given: &[Value], options: &Kwargs) -> Result<Value, Error> {
    let argument = |place, name| argument(given, options, place, name);
    let width = argument(0, "width")?.map_or(Ok(79), i64::try_from)?;
    let breaks_words = argument(1, "break_long_words")?.is_none_or(|breaks| breaks.is_true());
    let between = argument(2, "wrapstring")?.map_or_else(|| "\n".to_owned(), |between| writing::text(&between));
    let at_hyphens = argument(3, "break_on_hyphens")?.is_none_or(|breaks| breaks.is_true());
    options.assert_all_used()?;
    let width = usize::try_from(width).ok().filter(|&width| width > 0);
    let width = width.ok_or_else(|| invalid("the width of wrapped text must be above 0"))?;
    let text = text.as_str().ok_or_else(|| invalid(format!("{} cannot be wrapped", text.kind())))?;
    budget.charge(text.len().saturating_mul(PIECE_BYTES))?;
    let mut rows = Vec::new();
    for line in lines(text, false) {
        wrap(line, width, breaks_words, at_hyphens, &mut rows);
    }
    let added = rows.len().checked_mul(between.len());
    budget.charge_value(added.and_then(|added| added.checked_add(text.len())))?;
    Ok(Value::from(rows.join(&between)))
}

/// A piece of a line that stays together, and its characters.
type Piece<'a> = (&'a str, usize);

/// Adds the rows of a line, at least one.
fn wrap(line: &str, width: usize, breaks_words: bool, at_hyphens: bool, rows: &mut Vec<String>) {
    let is_blank = |(text, _): &Piece<'_>| text.chars().all(is_space);
    // Reversed, so that the next piece can be popped.
    let mut pieces = pieces(line, at_hyphens);
    pieces.reverse();
    let first = rows.len();
    while let Some(next) = pieces.last() {
        if rows.len() > first && is_blank(next) {
            pieces.pop();
        }
        let (mut row, mut used): (Vec<Piece<'_>>, usize) = (Vec::new(), 0);
        while let Some(piece) = pieces.pop_if(|piece| used + piece.1 <= width) {
            used += piece.1;
            row.push(piece);
        }
        if let Some(&(text, length)) = pieces.last().filter(|piece| piece.1 > width) {
            let mut room = width - used;
            if !breaks_words {
                if row.is_empty() {
                    row.extend(pieces.pop());
                }
            } else {
                let end = |place: usize| text.char_indices().nth(place).map_or(text.len(), |(end, _)| end);
                let head = &text[..end(room)];
                if let Some(hyphen) = head.rfind('-').filter(|&at| at_hyphens && !head[..at].chars().all(|c| c == '-'))
                {
                    room = head[..hyphen].chars().count() + 1;
                }
                let (taken, left) = text.split_at(end(room));
                row.push((taken, room));
                pieces.pop();
                pieces.push((left, length - room));
            }
        }
        row.pop_if(|piece| is_blank(piece));
        if !row.is_empty() {
            rows.push(row.iter().map(|piece| piece.0).collect());
        }
    }
    if rows.len() == first {
        rows.push(String::new());
    }
}

fn is_space(c: char) -> bool {
    matches!(c, '\t'..='\r' | ' ')
}

/// Words and the space between them; with `at_hyphens`, words are also cut at hyphens.
fn pieces(line: &str, at_hyphens: bool) -> Vec<Piece<'_>> {
    let chars: Vec<char> = line.chars().collect();
    let at = |place: usize| chars.get(place).copied().unwrap_or(' ');
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let is_letter = |c: char| is_word(c) && !c.is_numeric();
    let before = |place: usize, back: usize| place.checked_sub(back).map_or(' ', at);
    let in_word = |c: char| is_word(c) || "!\"'&.,?".contains(c);
    let is_cut = |place: usize| {
        let (last, next) = (before(place, 1), at(place));
        if is_space(last) != is_space(next) {
            return true;
        }
        if !at_hyphens {
            return false;
        }
        if next == '-' && in_word(last) {
            // A dash of several hyphens is a separate piece.
            let dash = chars[place..].iter().take_while(|&&c| c == '-').count();
            return dash > 1 && is_word(at(place + dash));
        }
        // The dash is only counted where it ends.
        if last != '-' || !is_word(next) {
            return false;
        }
        let dash = chars[..place].iter().rev().take_while(|&&c| c == '-').count();
        if dash > 1 {
            return in_word(before(place, dash + 1));
        }
        let is_behind_letters = is_letter(before(place, 2)) && is_letter(before(place, 3));
        let is_behind_part = in_word(before(place, 2)) && before(place, 3) == '-' && is_letter(before(place, 4));
        let is_before_letters = is_letter(at(place + 1)) || (at(place + 1) == '-' && is_letter(at(place + 2)));
        (is_behind_letters || is_behind_part) && is_letter(next) && is_before_letters
    };
    let mut pieces = Vec::new();
    let (mut begin, mut length) = (0, 0);
    for (place, (byte, _)) in line.char_indices().enumerate() {
        if place > 0 && is_cut(place) {
            pieces.push((&line[begin..byte], length));
            (begin, length) = (byte, 0);
        }
        length += 1;
    }
    if length > 0 {
        pieces.push((&line[begin..], length));
    }
    pieces
}
