//! Parts of Jinja2's grammar that the engine's parser lacks: tuples without brackets, `{% print %}`, a unary plus and
//! some escapes. The source is rewritten, by its tokens, to what the engine reads.

use std::borrow::Cow;

use minijinja::machinery::{Token, tokenize};
use minijinja::syntax::SyntaxConfig;

/// Words after which an operand follows.
const OPERATORS: &[&str] = &["not", "and", "or", "in", "is", "if", "elif", "else", "print"];

/// A token with where it begins and ends.
struct Placed<'a> {
    token: Token<'a>,
    start: usize,
    end: usize,
}

/// Places of a source to replace, and their replacements.
type Edits = Vec<(std::ops::Range<usize>, String)>;

/// The source in the engine's grammar. A source that cannot be split into tokens stays as it is: the parser refuses it.
pub(super) fn rewritten<'a>(source: &'a str, syntax: &SyntaxConfig) -> Cow<'a, str> {
    let mut edits = Edits::new();
    let mut tag = Vec::new();
    for token in tokenize(source, false, syntax.clone()) {
        let Ok((token, span)) = token else { return Cow::Borrowed(source) };
        let is_end = matches!(token, Token::VariableEnd | Token::BlockEnd);
        let is_start = matches!(token, Token::VariableStart | Token::BlockStart | Token::TemplateData(_));
        if is_start {
            tag.clear();
        } else {
            tag.push(Placed { token, start: span.start_offset as usize, end: span.end_offset as usize });
        }
        if is_end {
            edit_operands(source, &tag, &mut edits);
            edit_statement(&tag, &mut edits);
        }
    }
    if edits.is_empty() {
        return Cow::Borrowed(source);
    }
    // A bracket is inserted before a token that is replaced itself.
    edits.sort_by_key(|(place, _)| (place.start, place.end));
    let mut out = String::with_capacity(source.len());
    let mut done = 0;
    for (place, text) in edits {
        out.push_str(source.get(done..place.start).unwrap_or_default());
        out.push_str(&text);
        done = place.end;
    }
    out.push_str(source.get(done..).unwrap_or_default());
    Cow::Owned(out)
}

/// Rewrites texts with escapes that the engine does not know, and each unary plus to two minuses.
fn edit_operands(source: &str, tag: &[Placed<'_>], edits: &mut Edits) {
    for (at, Placed { token, start, end }) in tag.iter().enumerate() {
        let text = source.get(*start..*end).unwrap_or_default();
        if matches!(token, Token::Str(_) | Token::String(_)) && text.contains('\\') {
            let escaped = escapes(text);
            if escaped != text {
                edits.push((*start..*end, escaped));
            }
        }
        let before = at.checked_sub(1).map(|before| &tag[before].token);
        let is_attribute = at >= 2 && matches!(tag[at - 2].token, Token::Dot);
        let is_binary = match before {
            Some(Token::Ident(word)) => is_attribute || !OPERATORS.contains(word),
            Some(Token::Str(_) | Token::String(_) | Token::Int(_) | Token::Int128(_) | Token::Float(_)) => true,
            Some(Token::ParenClose | Token::BracketClose | Token::BraceClose) => true,
            _ => false,
        };
        if matches!(token, Token::Plus) && !is_binary {
            edits.push((*start..*end, "- -".to_owned()));
        }
    }
}

/// A literal with `\a`, `\v`, `\/` and `\U0001f680` rewritten to escapes that the engine knows, with Python's meaning.
fn escapes(literal: &str) -> String {
    let mut out = String::with_capacity(literal.len());
    let mut rest = literal;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        out.push_str(before);
        let mut taken = 1 + escape[1..].chars().next().map_or(0, char::len_utf8);
        let code = escape.get(2..10).and_then(|code| u32::from_str_radix(code, 16).ok());
        match (escape[1..].chars().next(), code.and_then(char::from_u32)) {
            (Some('a'), _) => out.push_str("\\x07"),
            (Some('v'), _) => out.push_str("\\x0b"),
            (Some('/'), _) => out.push_str("\\\\/"),
            (Some('U'), Some(c)) => {
                taken = 10;
                let mut units = [0; 2];
                c.encode_utf16(&mut units).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
            }
            _ => out.push_str(&escape[..taken]),
        }
        rest = &escape[taken..];
    }
    out + rest
}

/// Puts brackets around the tuples that `for`, `if`, `elif` and outputs take, and writes `print` as outputs.
fn edit_statement(tag: &[Placed<'_>], edits: &mut Edits) {
    let Some((last, tokens)) = tag.split_last() else { return };
    let is_output = matches!(last.token, Token::VariableEnd);
    let mut depth = 0;
    // Commas and words that are not in brackets.
    let mut commas = Vec::new();
    let mut words = Vec::new();
    for (at, placed) in tokens.iter().enumerate() {
        match placed.token {
            Token::ParenOpen | Token::BracketOpen | Token::BraceOpen => depth += 1,
            Token::ParenClose | Token::BracketClose | Token::BraceClose => depth -= 1,
            Token::Comma if depth == 0 => commas.push(at),
            Token::Ident(word) if depth == 0 => words.push((at, word)),
            _ => {}
        }
    }
    let first_of = |names: &[&str], from: usize| {
        words.iter().find(|(at, word)| *at >= from && names.contains(word)).map(|(at, _)| *at)
    };
    let (from, to) = match words.first() {
        _ if is_output => (0, tokens.len()),
        Some((0, "print")) => {
            edits.push((tokens[0].start..tokens[0].end, "if true %}{{ ".to_owned()));
            edits.extend(commas.iter().map(|&at| (tokens[at].start..tokens[at].end, " }}{{ ".to_owned())));
            return edits.push((last.start..last.start, " }}{% endif ".to_owned()));
        }
        Some((0, "if" | "elif")) => (1, tokens.len()),
        Some((0, "for")) => {
            let Some(from) = first_of(&["in"], 0).map(|at| at + 1) else { return };
            (from, first_of(&["if", "recursive"], from).unwrap_or(tokens.len()))
        }
        _ => return,
    };
    let has_comma = commas.iter().any(|comma| (from..to).contains(comma));
    let Some(tuple) = tokens.get(from..to).filter(|_| has_comma) else { return };
    if let (Some(first), Some(last)) = (tuple.first(), tuple.last()) {
        edits.push((first.start..first.start, "(".to_owned()));
        edits.push((last.end..last.end, ")".to_owned()));
    }
}
