//! Python's methods of texts and lists that the engine's own package of them lacks or answers differently, and
//! Python's idea of white space.

use minijinja::value::{Kwargs, Rest, Tuple, Value, ValueKind, from_args};
use minijinja::{Error, ErrorKind};

use super::budget::Budget;
use super::format::str_format;
use super::invalid;
use super::objects::{Part, Range, View};
use super::writing::is_printable;

/// Widest padding or indentation.
pub(super) const MAX_WIDTH: usize = 1000;

/// What Python's `str.isspace` says of a character: Unicode's white space and the four separators of ASCII.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{1c}'..='\u{1f}')
}

/// What Python's `str.splitlines` takes for the end of a line.
pub(super) fn is_line_end(c: char) -> bool {
    matches!(c, '\n'..='\r' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// The method's value; `None` if this module leaves it to the engine's package.
pub(super) fn call(budget: &Budget, value: &Value, method: &str, arguments: &[Value]) -> Result<Option<Value>, Error> {
    match value.as_str() {
        Some(text) => text_method(budget, text, method, arguments),
        None => object_method(value, method, arguments),
    }
}

fn object_method(value: &Value, method: &str, arguments: &[Value]) -> Result<Option<Value>, Error> {
    let (is_list, is_map) = (value.kind() == ValueKind::Seq, value.kind() == ValueKind::Map);
    let part = match method {
        "index" if is_list || value.downcast_object_ref::<Range>().is_some() => {
            return index(value, arguments).map(Some);
        }
        "copy" if is_map || is_list && !value.is_tuple() => {
            let () = from_args(arguments)?;
            // No template can change it, so no copy is needed.
            return Ok(Some(value.clone()));
        }
        "keys" if is_map => Part::Keys,
        "values" if is_map => Part::Values,
        "items" if is_map => Part::Items,
        _ => return Ok(None),
    };
    let () = from_args(arguments)?;
    Ok(Some(View::value(value, part)))
}

fn text_method(budget: &Budget, text: &str, method: &str, arguments: &[Value]) -> Result<Option<Value>, Error> {
    Ok(Some(match method {
        "strip" | "lstrip" | "rstrip" => {
            let (characters,): (Option<String>,) = from_args(arguments)?;
            let stripped = |c: char| characters.as_ref().map_or_else(|| is_space(c), |of| of.contains(c));
            let text = if method == "rstrip" { text } else { text.trim_start_matches(stripped) };
            Value::from(if method == "lstrip" { text } else { text.trim_end_matches(stripped) })
        }
        "removeprefix" | "removesuffix" => {
            let (part,): (String,) = from_args(arguments)?;
            let rest = if method == "removeprefix" { text.strip_prefix(&*part) } else { text.strip_suffix(&*part) };
            Value::from(rest.unwrap_or(text))
        }
        "split" | "rsplit" => {
            let (separator, most, options): (Option<Value>, Option<i64>, Kwargs) = from_args(arguments)?;
            let separator = separator.or(options.get("sep")?).filter(|separator| !separator.is_none());
            let most = most.or(options.get("maxsplit")?).unwrap_or(-1);
            options.assert_all_used()?;
            let most = usize::try_from(most).unwrap_or(usize::MAX);
            let separator = separator.map(|separator| text_of(&separator, "a separator")).transpose()?;
            Value::from(split(text, separator.as_deref(), most, method == "rsplit")?)
        }
        "splitlines" => {
            let (keep, options): (Option<bool>, Kwargs) = from_args(arguments)?;
            let keep = keep.or(options.get("keepends")?).unwrap_or(false);
            options.assert_all_used()?;
            Value::from(lines(text, keep).into_iter().map(Value::from).collect::<Vec<_>>())
        }
        "partition" | "rpartition" => {
            let (separator,): (String,) = from_args(arguments)?;
            if separator.is_empty() {
                return Err(invalid("empty separator"));
            }
            let found =
                if method == "partition" { text.split_once(&*separator) } else { text.rsplit_once(&*separator) };
            let parts = match found {
                Some((before, after)) => [before, &separator, after],
                None if method == "partition" => [text, "", ""],
                None => ["", "", text],
            };
            Value::from(Tuple::from(parts.map(Value::from).to_vec()))
        }
        "isspace" => {
            let () = from_args(arguments)?;
            Value::from(!text.is_empty() && text.chars().all(is_space))
        }
        "isprintable" => {
            let () = from_args(arguments)?;
            Value::from(text.chars().all(is_printable))
        }
        "swapcase" => {
            let () = from_args(arguments)?;
            let mut out = String::with_capacity(text.len());
            for c in text.chars() {
                if c.is_uppercase() { out.extend(c.to_lowercase()) } else { out.extend(c.to_uppercase()) }
            }
            Value::from(out)
        }
        "find" | "rfind" | "index" | "rindex" | "count" => {
            let (part, from, to): (String, Option<i64>, Option<i64>) = from_args(arguments)?;
            let (before, within) = part_of(text, from, to);
            if method == "count" {
                return Ok(Some(Value::from(within.matches(&*part).count())));
            }
            let found = if method.starts_with('r') { within.rfind(&*part) } else { within.find(&*part) };
            match found {
                Some(at) => Value::from(before + within[..at].chars().count()),
                None if method.ends_with("index") => return Err(invalid("substring not found")),
                None => Value::from(-1),
            }
        }
        "startswith" | "endswith" => {
            let (parts, from, to): (Value, Option<i64>, Option<i64>) = from_args(arguments)?;
            let (_, within) = part_of(text, from, to);
            let fits =
                |part: &str| if method == "startswith" { within.starts_with(part) } else { within.ends_with(part) };
            Value::from(match parts.as_str() {
                Some(part) => fits(part),
                None => parts.try_iter()?.any(|part| part.as_str().is_some_and(fits)),
            })
        }
        "casefold" => {
            let () = from_args(arguments)?;
            // Full case folding differs from lower case in letters that become two.
            Value::from(text.to_lowercase().replace('ß', "ss"))
        }
        "title" => {
            let () = from_args(arguments)?;
            let mut out = String::with_capacity(text.len());
            let mut within = false;
            for c in text.chars() {
                if within {
                    out.extend(c.to_lowercase());
                } else {
                    push_title(&mut out, c);
                }
                within = c.is_alphabetic();
            }
            Value::from(out)
        }
        "center" | "ljust" | "rjust" | "zfill" => {
            let (width, fill): (i64, Option<String>) = from_args(arguments)?;
            padded(budget, text, method, usize::try_from(width).unwrap_or(0), fill.as_deref())?
        }
        "expandtabs" => {
            let (width, options): (Option<i64>, Kwargs) = from_args(arguments)?;
            let width = width.or(options.get("tabsize")?).unwrap_or(8);
            options.assert_all_used()?;
            expanded(budget, text, usize::try_from(width).unwrap_or(0))?
        }
        "format" => {
            let (Rest(values), options): (Rest<Value>, Kwargs) = from_args(arguments)?;
            str_format(budget, text, &values, &options.into())?
        }
        "format_map" => {
            let (names,): (Value,) = from_args(arguments)?;
            str_format(budget, text, &[], &names)?
        }
        _ => return Ok(None),
    }))
}

/// Writes the first letter of a word in title case.
fn push_title(out: &mut String, c: char) {
    match c {
        // Two letters in one character.
        'Ǆ'..='ǆ' => out.push('ǅ'),
        'Ǉ'..='ǉ' => out.push('ǈ'),
        'Ǌ'..='ǌ' => out.push('ǋ'),
        'Ǳ'..='ǳ' => out.push('ǲ'),
        // Of letters that become several, such as ß, the first is large.
        _ => {
            let mut is_begun = false;
            for upper in c.to_uppercase() {
                if is_begun {
                    out.extend(upper.to_lowercase())
                } else {
                    out.push(upper)
                }
                is_begun |= upper.is_uppercase();
            }
        }
    }
}

/// Where the part of a text between two places begins, and that part. Places are counted in characters, as in Python.
fn part_of(text: &str, from: Option<i64>, to: Option<i64>) -> (usize, &str) {
    if from.is_none() && to.is_none() {
        return (0, text);
    }
    let length = text.chars().count() as i64;
    let place = |at: i64| if at < 0 { at.saturating_add(length).max(0) } else { at.min(length) } as usize;
    let (from, to) = (place(from.unwrap_or(0)), place(to.unwrap_or(i64::MAX)));
    let byte = |at: usize| text.char_indices().nth(at).map_or(text.len(), |(byte, _)| byte);
    (from, if from <= to { &text[byte(from)..byte(to)] } else { "" })
}

/// A list's `index`: the place of the first element that is equal.
fn index(list: &Value, arguments: &[Value]) -> Result<Value, Error> {
    let (wanted, from): (Value, Option<usize>) = from_args(arguments)?;
    for (at, item) in list.try_iter()?.enumerate().skip(from.unwrap_or(0)) {
        if item == wanted {
            return Ok(Value::from(at));
        }
    }
    Err(invalid(format!("{wanted} is not in the list")))
}

fn text_of(value: &Value, what: &str) -> Result<String, Error> {
    match value.as_str() {
        Some(text) => Ok(text.to_owned()),
        None => Err(Error::new(ErrorKind::InvalidOperation, format!("{what} must be text, not {}", value.kind()))),
    }
}

fn split(text: &str, separator: Option<&str>, most: usize, from_the_end: bool) -> Result<Vec<Value>, Error> {
    // `splitn` counts parts, Python counts cuts.
    let parts = most.saturating_add(1);
    let mut found: Vec<&str> = match separator {
        Some("") => return Err(invalid("empty separator")),
        Some(separator) if from_the_end => text.rsplitn(parts, separator).collect(),
        Some(separator) => return Ok(text.splitn(parts, separator).map(Value::from).collect()),
        None => {
            let mut found = Vec::new();
            let mut rest = text;
            loop {
                rest = if from_the_end { rest.trim_end_matches(is_space) } else { rest.trim_start_matches(is_space) };
                if rest.is_empty() {
                    break;
                }
                let cut = if from_the_end { rest.rfind(is_space) } else { rest.find(is_space) };
                let Some(at) = cut.filter(|_| found.len() < most) else {
                    found.push(if cut.is_none() && from_the_end { rest.trim_start_matches(is_space) } else { rest });
                    break;
                };
                let width = rest[at..].chars().next().map_or(1, char::len_utf8);
                let (before, after) = (&rest[..at], &rest[at + width..]);
                found.push(if from_the_end { after } else { before });
                rest = if from_the_end { before } else { after };
            }
            found
        }
    };
    if from_the_end {
        found.reverse();
    }
    Ok(found.into_iter().map(Value::from).collect())
}

/// Python's `str.splitlines`.
pub(super) fn lines(text: &str, keep: bool) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let Some(at) = rest.find(is_line_end) else {
            found.push(rest);
            break;
        };
        let width =
            if rest[at..].starts_with("\r\n") { 2 } else { rest[at..].chars().next().map_or(1, char::len_utf8) };
        found.push(&rest[..if keep { at + width } else { at }]);
        rest = &rest[at + width..];
    }
    found
}

/// The text with spaces in place of tabs, up to the next multiple of `width`.
fn expanded(budget: &Budget, text: &str, width: usize) -> Result<Value, Error> {
    if width > MAX_WIDTH {
        return Err(invalid(format!("cannot pad to {width}")));
    }
    let tabs = text.matches('\t').count();
    budget.charge_value(tabs.checked_mul(width).and_then(|added| added.checked_add(text.len())))?;
    let mut out = String::with_capacity(text.len());
    let mut column = 0usize;
    for c in text.chars() {
        if c == '\t' {
            // Without a width, tabs are left out.
            let missing = width - column.checked_rem(width).unwrap_or(width);
            out.extend(std::iter::repeat_n(' ', missing));
            column += missing;
        } else {
            out.push(c);
            column = if matches!(c, '\n' | '\r') { 0 } else { column + 1 };
        }
    }
    Ok(Value::from(out))
}

/// The text with `fill` to the sides that the method names.
pub(super) fn padded(
    budget: &Budget,
    text: &str,
    method: &str,
    width: usize,
    fill: Option<&str>,
) -> Result<Value, Error> {
    if width > MAX_WIDTH {
        return Err(invalid(format!("cannot pad to {width}")));
    }
    let fill = fill.unwrap_or(if method == "zfill" { "0" } else { " " });
    if fill.chars().count() != 1 {
        return Err(invalid("text is padded with one character"));
    }
    let length = text.chars().count();
    let missing = width.saturating_sub(length);
    budget.charge_value(text.len().checked_add(missing.saturating_mul(fill.len())))?;
    let left = match method {
        "ljust" => 0,
        // As Python does it: of an odd number the greater half goes to the left where the width is odd.
        "center" => missing / 2 + (missing & width & 1),
        _ => missing,
    };
    let (sign, rest) = match text.strip_prefix(['+', '-']) {
        Some(rest) if method == "zfill" => text.split_at(text.len() - rest.len()),
        _ => ("", text),
    };
    Ok(Value::from(format!("{sign}{}{rest}{}", fill.repeat(left), fill.repeat(missing - left))))
}
