//! The functions and filters that chat templates expect besides Jinja's own.

use std::fmt;
use std::sync::Arc;

use minijinja::value::{Kwargs, Rest, Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind};

use super::budget::Budget;
use super::invalid;
use super::json::to_json;
use super::methods::is_space;
use super::objects::{Range, has_attributes};
use super::strftime::DateTime;
use super::wrap::word_wrap;
use super::writing;

/// The cause of errors raised by the template itself, with its message.
#[derive(Debug)]
pub(super) struct Refused(pub(super) String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

/// Adds `raise_exception`, `tojson`, `strftime_now` where there is a time, and whatever differs in the engine.
pub(super) fn add(environment: &mut Environment<'_>, budget: &Arc<Budget>, now: Option<i64>) {
    environment.add_function("raise_exception", |message: String| -> Result<Value, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, message.clone()).with_source(Refused(message)))
    });
    if let Some(now) = now {
        let now = DateTime::from_local_seconds(now);
        environment.add_function("strftime_now", move |format: &str| now.format(format));
    }
    environment.add_filter("tojson", to_json);
    // Jinja defines the name in every template; it gives access to blocks only.
    environment.add_function("self", || Err::<Value, _>(invalid("`self` is not a function")));
    environment.add_function("joiner", minijinja_contrib::globals::joiner);
    environment.add_filter("truncate", truncate);
    environment.add_filter("wordcount", |text: &Value| {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        writing::text(text).split(|c| !is_word(c)).filter(|word| !word.is_empty()).count()
    });
    for name in ["default", "d"] {
        environment.add_filter(name, default);
    }
    for name in ["escape", "e"] {
        environment.add_filter(name, |value: &Value| {
            if value.is_safe() { value.clone() } else { Value::from_safe_string(escaped(&writing::text(value))) }
        });
    }
    environment.add_filter("forceescape", |value: &Value| Value::from_safe_string(escaped(&writing::text(value))));
    environment.add_filter("round", round);
    environment.add_filter("filesizeformat", minijinja_contrib::filters::filesizeformat);
    environment.add_filter("int", int);
    environment.add_filter("float", float);
    environment.add_test("callable", |value: &Value| {
        matches!(value.kind(), ValueKind::Plain | ValueKind::Undefined) && !value.is_number()
    });
    environment.add_filter("string", |value: &Value| writing::text(value));
    environment.add_filter("trim", |value: &Value, characters: Option<String>| {
        let trimmed = |c: char| characters.as_ref().map_or_else(|| is_space(c), |of| of.contains(c));
        writing::text(value).trim_matches(trimmed).to_owned()
    });
    // As in Python: texts, lists and maps can be iterated, an undefined value is empty, None and numbers cannot be.
    let iterable = |value: &Value| {
        !matches!(value.kind(), ValueKind::None | ValueKind::Number | ValueKind::Bool)
            && (value.as_str().is_some() || value.try_iter().is_ok())
    };
    environment.add_test("iterable", iterable);
    environment.add_test("mapping", |value: &Value| value.kind() == ValueKind::Map && !has_attributes(value));
    environment.add_filter("attr", |value: &Value, name: &Value| {
        if name.as_str().is_none() {
            return Err(invalid("an attribute must be named by a text"));
        }
        // Elements of maps and lists are not attributes.
        let is_object = value.kind() == ValueKind::Plain || has_attributes(value) || value.is_undefined();
        if is_object { value.get_item(name) } else { Ok(Value::UNDEFINED) }
    });
    environment.add_filter("dictsort", dictsort);
    let at = Arc::clone(budget);
    environment.add_filter("wordwrap", move |text: &Value, given: Rest<Value>, options: Kwargs| {
        word_wrap(&at, text, &given, &options)
    });
    let budget = Arc::clone(budget);
    environment.add_filter("urlencode", move |value: &Value| urlencode(&budget, value));
    // To Jinja, whatever has a length and can be indexed is a sequence, maps and texts included.
    environment.add_test("sequence", |value: &Value| {
        value.as_str().is_some()
            || value.downcast_object_ref::<Range>().is_some()
            || matches!(value.kind(), ValueKind::Seq | ValueKind::Map | ValueKind::Undefined)
    });
}

/// Jinja's `int(value, default=0, base=10)`: returns the default if the value is not a number.
fn int(value: &Value, default: Option<Value>, base: Option<u32>, options: Kwargs) -> Result<Value, Error> {
    let default = default.or(options.get("default")?).unwrap_or_else(|| Value::from(0));
    let base = base.or(options.get("base")?).unwrap_or(10);
    options.assert_all_used()?;
    let whole = match value.as_str() {
        Some(text) => {
            let digits = text.trim_matches(is_space).replace('_', "").to_lowercase();
            let bare = match base {
                2 => digits.trim_start_matches("0b"),
                8 => digits.trim_start_matches("0o"),
                16 => digits.trim_start_matches("0x"),
                _ => &digits,
            };
            let is_valid = (2..=36).contains(&base) && !bare.is_empty();
            let parsed = is_valid.then(|| i64::from_str_radix(bare, base).ok()).flatten();
            // A text with a fraction loses it.
            parsed.map(Value::from).or_else(|| digits.parse().ok().and_then(truncated))
        }
        None => match value.kind() {
            ValueKind::Bool => Some(Value::from(i64::from(value.is_true()))),
            ValueKind::Number if value.is_integer() => Some(value.clone()),
            ValueKind::Number => f64::try_from(value.clone()).ok().and_then(truncated),
            ValueKind::Undefined => return Err(Error::from(ErrorKind::UndefinedError)),
            _ => None,
        },
    };
    Ok(whole.unwrap_or(default))
}

/// Jinja's `round(value, precision=0, method='common')`: the other methods make a float of every number.
fn round(value: &Value, given: Rest<Value>, options: Kwargs) -> Result<Value, Error> {
    let precision = argument(&given, &options, 0, "precision")?.map_or(Ok(0), i32::try_from)?;
    let method = argument(&given, &options, 1, "method")?;
    options.assert_all_used()?;
    let scale = 10f64.powi(precision);
    let rounded = match method.as_ref().map_or(Some("common"), Value::as_str) {
        Some("common") => {
            let is_bool = value.kind() == ValueKind::Bool;
            let number = if is_bool { Value::from(i64::from(value.is_true())) } else { value.clone() };
            return minijinja::filters::round(number, Some(precision), None, options);
        }
        Some("ceil") => (f64::try_from(value.clone())? * scale).ceil() / scale,
        Some("floor") => (f64::try_from(value.clone())? * scale).floor() / scale,
        _ => return Err(invalid("numbers are rounded by `common`, `ceil` or `floor`")),
    };
    if rounded.is_finite() { Ok(Value::from(rounded)) } else { Err(invalid("a number too large to round")) }
}

/// `number` without its fraction; `None` where that does not fit an i64.
fn truncated(number: f64) -> Option<Value> {
    (number.abs() < 9e18).then(|| Value::from(number.trunc() as i64))
}

/// Jinja's `float(value, default=0.0)`.
fn float(value: &Value, default: Option<Value>, options: Kwargs) -> Result<Value, Error> {
    let default = default.or(options.get("default")?).unwrap_or_else(|| Value::from(0.0));
    options.assert_all_used()?;
    let number = match value.as_str() {
        Some(text) => text.trim_matches(is_space).replace('_', "").parse::<f64>().ok(),
        None if value.kind() == ValueKind::Bool => Some(if value.is_true() { 1.0 } else { 0.0 }),
        None => f64::try_from(value.clone()).ok(),
    };
    Ok(number.map_or(default, Value::from))
}

/// Jinja's `default(value, default_value='', boolean=False)`.
fn default(value: &Value, given: Rest<Value>, options: Kwargs) -> Result<Value, Error> {
    // `none` is a value here like any other.
    let otherwise = match given.first() {
        Some(otherwise) => otherwise.clone(),
        None if options.has("default_value") => options.get("default_value")?,
        None => Value::from(""),
    };
    let boolean = argument(&given, &options, 1, "boolean")?.is_some_and(|boolean| boolean.is_true());
    options.assert_all_used()?;
    Ok(if value.is_undefined() || (boolean && !value.is_true()) { otherwise } else { value.clone() })
}

/// Jinja's `truncate(text, length=255, killwords=False, end='...', leeway=5)`.
fn truncate(text: &Value, given: Rest<Value>, options: Kwargs) -> Result<String, Error> {
    let number = |place, name, otherwise: usize| -> Result<usize, Error> {
        argument(&given, &options, place, name)?.map_or(Ok(otherwise), usize::try_from)
    };
    let (length, leeway) = (number(0, "length", 255)?, number(3, "leeway", 5)?);
    let kill = argument(&given, &options, 1, "killwords")?.is_some_and(|kill| kill.is_true());
    let end = argument(&given, &options, 2, "end")?.map_or_else(|| "...".to_owned(), |end| writing::text(&end));
    options.assert_all_used()?;
    let text = writing::text(text);
    let Some(room) = length.checked_sub(end.chars().count()) else {
        return Err(invalid(format!("truncate: the end is longer than {length}")));
    };
    if text.chars().count() <= length.saturating_add(leeway) {
        return Ok(text);
    }
    let cut: String = text.chars().take(room).collect();
    let kept = if kill { &*cut } else { cut.rsplit_once(' ').map_or(&*cut, |(kept, _)| kept) };
    Ok(format!("{kept}{end}"))
}

/// Jinja's `dictsort(value, case_sensitive=False, by='key', reverse=False)`.
fn dictsort(value: &Value, given: Rest<Value>, options: Kwargs) -> Result<Value, Error> {
    let mut named = Vec::new();
    for (place, name) in ["case_sensitive", "by", "reverse"].into_iter().enumerate() {
        named.extend(argument(&given, &options, place, name)?.map(|value| (name, value)));
    }
    options.assert_all_used()?;
    if named.iter().any(|(name, value)| *name == "by" && !matches!(value.as_str(), Some("key" | "value"))) {
        return Err(invalid("`dictsort` sorts by key or by value"));
    }
    minijinja::filters::dictsort(value, named.into_iter().collect())
}

/// Jinja's `urlencode`: of a text, or of pairs as the query of an address.
fn urlencode(budget: &Budget, value: &Value) -> Result<String, Error> {
    let mut out = String::new();
    if value.as_str().is_some() || !matches!(value.kind(), ValueKind::Seq | ValueKind::Map | ValueKind::Iterable) {
        quote(budget, &mut out, value, "/")?;
        return Ok(out);
    }
    for item in value.try_iter()? {
        let pair = match value.kind() {
            ValueKind::Map => vec![item.clone(), value.get_item(&item)?],
            _ => item.try_iter()?.collect(),
        };
        let [name, value] = <[Value; 2]>::try_from(pair).map_err(|_| invalid("`urlencode` takes pairs"))?;
        out.push_str(if out.is_empty() { "" } else { "&" });
        quote(budget, &mut out, &name, " ")?;
        out.push('=');
        quote(budget, &mut out, &value, " ")?;
    }
    Ok(out)
}

/// Writes a value as part of an address. `kept` is one more character to leave as it is; a space becomes `+`.
fn quote(budget: &Budget, out: &mut String, value: &Value, kept: &str) -> Result<(), Error> {
    let text = writing::text(value);
    budget.charge_value(text.len().checked_mul(3))?;
    for byte in text.bytes() {
        match char::from(byte) {
            c if c.is_ascii_alphanumeric() || "_.-~".contains(c) => out.push(c),
            c if kept.contains(c) => out.push(if c == ' ' { '+' } else { c }),
            _ => {
                let digit = |at: u8| char::from(b"0123456789ABCDEF"[usize::from(at)]);
                out.extend(['%', digit(byte >> 4), digit(byte & 15)]);
            }
        }
    }
    budget.check_value(out.len())
}

/// A text as HTML writes it, in the entities that Python's markupsafe has.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\'' => out.push_str("&#39;"),
            '"' => out.push_str("&#34;"),
            _ => out.push(c),
        }
    }
    out
}

/// An argument by place or by name, as Python takes it; `None` where it is left out, undefined or `none`.
pub(super) fn argument(given: &[Value], options: &Kwargs, place: usize, name: &str) -> Result<Option<Value>, Error> {
    let found = match given.get(place) {
        Some(value) => Some(value.clone()),
        None => options.get(name)?,
    };
    Ok(found.filter(|value| !value.is_none() && !value.is_undefined()))
}
