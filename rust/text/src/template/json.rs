//! The filter `tojson`, as `transformers` defines it: Python's `json.dumps`, with nothing escaped for HTML.

use std::fmt::Write;

use minijinja::value::{Kwargs, Rest, Value, ValueKind};
use minijinja::{Error, ErrorKind};

use super::functions::argument;
use super::objects::has_attributes;
use super::{invalid, writing};

/// Widest indentation.
const MAX_INDENT: usize = 16;

/// Deepest nesting.
const MAX_DEPTH: usize = 64;

/// `tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False)`.
pub(super) fn to_json(value: &Value, given: Rest<Value>, options: Kwargs) -> Result<Value, Error> {
    if given.len() > 4 {
        return Err(Error::from(ErrorKind::TooManyArguments));
    }
    let argument = |place, name| argument(&given, &options, place, name);
    let ascii = argument(0, "ensure_ascii")?.is_some_and(|ascii| ascii.is_true());
    let indent = argument(1, "indent")?.map(|indent| margin(&indent)).transpose()?;
    let separators = argument(2, "separators")?;
    let sorted = argument(3, "sort_keys")?.is_some_and(|sorted| sorted.is_true());
    options.assert_all_used()?;
    let (comma, colon) = match separators {
        None => (if indent.is_some() { "," } else { ", " }.to_owned(), ": ".to_owned()),
        Some(pair) => {
            let texts: Vec<String> = pair.try_iter()?.filter_map(|text| text.as_str().map(str::to_owned)).collect();
            let [comma, colon] = texts.try_into().map_err(|_| invalid("separators must be two texts"))?;
            (comma, colon)
        }
    };
    let mut writer = Writer { out: String::new(), comma, colon, indent, ascii, sorted };
    writer.value(value, 0)?;
    Ok(Value::from(writer.out))
}

fn margin(indent: &Value) -> Result<String, Error> {
    let margin = match indent.as_str() {
        Some(text) => text.to_owned(),
        None => {
            let width = i64::try_from(indent.clone()).map_err(|_| invalid("indent must be a number or text"))?;
            " ".repeat(usize::try_from(width).unwrap_or(0).min(MAX_INDENT + 1))
        }
    };
    if margin.len() > MAX_INDENT {
        return Err(invalid(format!("cannot indent JSON by more than {MAX_INDENT}")));
    }
    Ok(margin)
}

struct Writer {
    out: String,
    comma: String,
    colon: String,
    /// The indentation of one level; with it, each element has a line of its own.
    indent: Option<String>,
    ascii: bool,
    sorted: bool,
}

impl Writer {
    fn value(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        if depth > MAX_DEPTH {
            return Err(invalid("JSON nested too deeply"));
        }
        match value.kind() {
            ValueKind::None => self.out.push_str("null"),
            ValueKind::Bool => self.out.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => self.out.push_str(&number(value)),
            ValueKind::String => self.text(value.as_str().unwrap_or_default()),
            ValueKind::Seq => {
                let items = value.try_iter()?.map(|item| (None, item)).collect();
                self.elements('[', items, ']', depth)?;
            }
            ValueKind::Map if !has_attributes(value) => {
                let mut items = Vec::new();
                for key in value.try_iter()? {
                    items.push((Some(key.clone()), value.get_item(&key)?));
                }
                if self.sorted {
                    items.sort_by(|(left, _), (right, _)| left.cmp(right));
                }
                self.elements('{', items, '}', depth)?;
            }
            kind => return Err(invalid(format!("{kind} cannot be written as JSON"))),
        }
        Ok(())
    }

    fn elements(
        &mut self,
        open: char,
        items: Vec<(Option<Value>, Value)>,
        close: char,
        depth: usize,
    ) -> Result<(), Error> {
        self.out.push(open);
        let is_empty = items.is_empty();
        for (at, (key, value)) in items.iter().enumerate() {
            if at > 0 {
                self.out.push_str(&self.comma);
            }
            self.line(depth + 1);
            if let Some(key) = key {
                match key.kind() {
                    ValueKind::String => self.text(key.as_str().unwrap_or_default()),
                    ValueKind::None | ValueKind::Bool | ValueKind::Number => {
                        self.out.push('"');
                        self.value(key, depth)?;
                        self.out.push('"');
                    }
                    kind => return Err(invalid(format!("{kind} cannot be a key of JSON"))),
                }
                self.out.push_str(&self.colon);
            }
            self.value(value, depth + 1)?;
        }
        if !is_empty {
            self.line(depth);
        }
        self.out.push(close);
        Ok(())
    }

    fn line(&mut self, depth: usize) {
        if let Some(indent) = &self.indent {
            self.out.push('\n');
            (0..depth).for_each(|_| self.out.push_str(indent));
        }
    }

    fn text(&mut self, text: &str) {
        self.out.push('"');
        for c in text.chars() {
            match c {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                '\n' => self.out.push_str("\\n"),
                '\r' => self.out.push_str("\\r"),
                '\t' => self.out.push_str("\\t"),
                '\u{8}' => self.out.push_str("\\b"),
                '\u{c}' => self.out.push_str("\\f"),
                '\0'..=' ' if c != ' ' => self.escaped(c),
                _ if self.ascii && !matches!(c, ' '..='~') => self.escaped(c),
                _ => self.out.push(c),
            }
        }
        self.out.push('"');
    }

    fn escaped(&mut self, c: char) {
        for unit in c.encode_utf16(&mut [0; 2]) {
            // Writing to a string never fails.
            let _ = write!(self.out, "\\u{unit:04x}");
        }
    }
}

/// A number as `json.dumps` writes it.
fn number(value: &Value) -> String {
    if value.is_integer() {
        return value.to_string();
    }
    match f64::try_from(value.clone()) {
        Ok(number) if number.is_nan() => "NaN".to_owned(),
        Ok(number) if number.is_infinite() => if number > 0.0 { "Infinity" } else { "-Infinity" }.to_owned(),
        Ok(number) => writing::float_text(number),
        Err(_) => value.to_string(),
    }
}
