//! `str.format`: Python's fields, with the engine's own way of writing what is in them.

use minijinja::formatting::{FormatStyle, format};
use minijinja::value::{Kwargs, Value};
use minijinja::{Error, ErrorKind};

use super::{invalid, writing};

/// `text.format(*values, **names)`. The engine knows fields by place, so each field gets a place of its own, with what
/// its name, attributes and conversion make of the values.
pub(super) fn str_format(text: &str, values: &[Value], names: &Kwargs) -> Result<String, Error> {
    let mut fields = Vec::new();
    let mut numbered = 0;
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        out.push_str(&rest[..at]);
        let brace = &rest[at..at + 1];
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix(brace) {
            out.push_str(brace);
            out.push_str(brace);
            rest = after;
            continue;
        }
        let Some((field, after)) = (brace == "{").then(|| rest.split_once('}')).flatten() else {
            return Err(invalid("a single brace in the format"));
        };
        rest = after;
        let (field, spec) = field.split_once(':').unwrap_or((field, ""));
        let (field, conversion) = field.split_once('!').unwrap_or((field, ""));
        let mut value = place(field, values, names, &mut numbered)?;
        let is_text = matches!(conversion, "s" | "r" | "a");
        if is_text {
            let text = if conversion == "s" { writing::text(&value) } else { writing::repr(&value) };
            value = Value::from(if conversion == "a" { writing::ascii(&text) } else { text });
        } else if !conversion.is_empty() {
            return Err(invalid(format!("unknown conversion `!{conversion}`")));
        } else if spec.is_empty() {
            value = Value::from(writing::text(&value));
        }
        out.push_str(&format!("{{{}:{spec}}}", fields.len()).replace(":}", "}"));
        fields.push(value);
    }
    out.push_str(rest);
    format(FormatStyle::StrFormat, &out, &fields)
}

/// The value of a field such as `0`, `name.attribute` or `[key]` of the next value.
fn place(field: &str, values: &[Value], names: &Kwargs, numbered: &mut usize) -> Result<Value, Error> {
    let end = field.find(['.', '[']).unwrap_or(field.len());
    let (name, mut path) = field.split_at(end);
    let missing = || Error::new(ErrorKind::MissingArgument, format!("the format asks for `{name}`"));
    let by_place = |at: usize| values.get(at).cloned().ok_or_else(missing);
    let mut value = if name.is_empty() {
        *numbered += 1;
        by_place(*numbered - 1)?
    } else if let Ok(at) = name.parse() {
        by_place(at)?
    } else {
        names.get::<Option<Value>>(name)?.ok_or_else(missing)?
    };
    while !path.is_empty() {
        let key = match path.strip_prefix('[').and_then(|path| path.split_once(']')) {
            Some((key, after)) => {
                path = after;
                key.parse::<usize>().map_or_else(|_| Value::from(key), Value::from)
            }
            None => {
                let attribute = path.trim_start_matches('.');
                let end = attribute.find(['.', '[']).unwrap_or(attribute.len());
                path = &attribute[end..];
                Value::from(&attribute[..end])
            }
        };
        let found = value.get_item(&key)?;
        if found.is_undefined() || path.starts_with(']') {
            return Err(invalid(format!("the format's field `{field}` has no value")));
        }
        value = found;
    }
    Ok(value)
}
