//! Values as Python writes them.

use std::fmt::Write;

use minijinja::value::{Value, ValueKind};
use unicode_general_category::{GeneralCategory, get_general_category};

use super::objects::{View, is_namespace};

/// Python's `str` of a value.
pub(super) fn text(value: &Value) -> String {
    match value.as_str() {
        Some(text) => text.to_owned(),
        None if value.is_undefined() => String::new(),
        None => repr(value),
    }
}

/// Python's `repr` of a value.
pub(super) fn repr(value: &Value) -> String {
    let mut out = String::new();
    write_repr(&mut out, value);
    out
}

/// A text with non-ASCII characters escaped as Python's `ascii` does.
pub(super) fn ascii(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if c.is_ascii() { out.push(c) } else { write_escape(&mut out, c) }
    }
    out
}

/// What Python's `str.isprintable` says of a character.
pub(super) fn is_printable(c: char) -> bool {
    use GeneralCategory::*;
    let is_hidden = |c| {
        matches!(
            get_general_category(c),
            Control
                | Format
                | Surrogate
                | PrivateUse
                | Unassigned
                | LineSeparator
                | ParagraphSeparator
                | SpaceSeparator
        )
    };
    matches!(c, ' '..='~') || !is_hidden(c)
}

fn write_escape(out: &mut String, c: char) {
    let code = u32::from(c);
    // Writing to a string never fails.
    let _ = match code {
        0..0x100 => write!(out, "\\x{code:02x}"),
        0x100..0x10000 => write!(out, "\\u{code:04x}"),
        _ => write!(out, "\\U{code:08x}"),
    };
}

/// Python's `repr` of a value. Its depth was bounded when it was weighed.
fn write_repr(out: &mut String, value: &Value) {
    if let Some(view) = value.downcast_object_ref::<View>() {
        out.push_str(view.name());
        out.push('(');
        write_repr(out, &value.try_iter().into_iter().flatten().collect());
        return out.push(')');
    }
    match value.kind() {
        ValueKind::Undefined => out.push_str("Undefined"),
        ValueKind::None => out.push_str("None"),
        ValueKind::Bool => out.push_str(if value.is_true() { "True" } else { "False" }),
        ValueKind::Number if !value.is_integer() => {
            out.push_str(&float_text(f64::try_from(value.clone()).unwrap_or(f64::NAN)));
        }
        ValueKind::String => write_quoted(out, value.as_str().unwrap_or_default()),
        ValueKind::Seq => {
            let (open, close) = match value.is_tuple() {
                true if value.len() == Some(1) => ('(', ",)"),
                true => ('(', ")"),
                false => ('[', "]"),
            };
            out.push(open);
            for (at, item) in value.try_iter().into_iter().flatten().enumerate() {
                out.push_str(if at > 0 { ", " } else { "" });
                write_repr(out, &item);
            }
            out.push_str(close);
        }
        ValueKind::Map => {
            let (open, close) = if is_namespace(value) { ("<Namespace {", "}>") } else { ("{", "}") };
            out.push_str(open);
            for (at, key) in value.try_iter().into_iter().flatten().enumerate() {
                out.push_str(if at > 0 { ", " } else { "" });
                write_repr(out, &key);
                out.push_str(": ");
                write_repr(out, &value.get_item(&key).unwrap_or_default());
            }
            out.push_str(close);
        }
        // An object with its own text, such as a loop or a function, keeps it.
        _ => {
            let _ = write!(out, "{value}");
        }
    }
}

fn write_quoted(out: &mut String, text: &str) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\\' => out.push_str("\\\\"),
            _ if c == quote => out.extend(['\\', c]),
            _ if !is_printable(c) => write_escape(out, c),
            _ => out.push(c),
        }
    }
    out.push(quote);
}

/// Python's `repr` of a float: the shortest digits that give it back, with an exponent from 1e16 on and below 1e-4.
pub(super) fn float_text(number: f64) -> String {
    if number.is_nan() {
        return "nan".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let exponent_form = format!("{number:e}");
    let (digits, exponent) = exponent_form.split_once('e').unwrap_or((&exponent_form, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if number != 0.0 && !(-4..16).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", exponent.abs());
    }
    let plain = format!("{number}");
    if plain.contains('.') { plain } else { format!("{plain}.0") }
}

#[cfg(test)]
mod tests {
    use super::float_text;

    #[test]
    fn floats_as_python_writes_them() {
        for (number, expected) in [
            (1.0, "1.0"),
            (0.1 + 0.2, "0.30000000000000004"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.5e300, "1.5e+300"),
            (1e-4, "0.0001"),
            (1e-5, "1e-05"),
            (-0.0, "-0.0"),
            (f64::INFINITY, "inf"),
        ] {
            assert_eq!(float_text(number), expected);
        }
    }
}
