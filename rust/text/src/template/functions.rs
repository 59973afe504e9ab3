//! The functions and filters that chat templates expect beside Jinja's own.

use std::fmt;
use std::io;

use minijinja::value::{Kwargs, Value};
use minijinja::{Environment, Error, ErrorKind};
use serde::Serialize;
use serde_json::ser::{Formatter, PrettyFormatter, Serializer};

use super::strftime::strftime;

/// The cause of errors raised by the template itself, with its message.
#[derive(Debug)]
pub(super) struct Refused(pub(super) String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

/// Widest indentation of JSON.
const MAX_INDENT: usize = 16;

/// Adds `raise_exception`, `tojson` and, with a time, `strftime_now`.
pub(super) fn add(environment: &mut Environment<'_>, now: Option<i64>) {
    environment.add_function("raise_exception", |message: String| -> Result<Value, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, message.clone()).with_source(Refused(message)))
    });
    if let Some(now) = now {
        environment.add_function("strftime_now", move |format: &str| strftime(now, format));
    }
    environment.add_filter("tojson", to_json);
}

/// JSON as Python's `json.dumps(value, ensure_ascii=False, indent=indent)` writes it. Unlike in Jinja for web pages,
/// nothing is escaped for HTML.
fn to_json(value: &Value, options: Kwargs) -> Result<Value, Error> {
    let indent = options.get::<Option<usize>>("indent")?;
    for ignored in ["ensure_ascii", "separators", "sort_keys"] {
        options.get::<Option<Value>>(ignored)?;
    }
    options.assert_all_used()?;
    let json = match indent {
        None => write_json(value, PythonSpacing),
        Some(width @ 0..=MAX_INDENT) => write_json(value, PrettyFormatter::with_indent(&b"                "[..width])),
        Some(width) => {
            return Err(Error::new(ErrorKind::InvalidOperation, format!("cannot indent JSON by {width} spaces")));
        }
    };
    json.map(Value::from).map_err(|error| Error::new(ErrorKind::InvalidOperation, error.to_string()))
}

fn write_json(value: &Value, formatter: impl Formatter) -> Result<String, serde_json::Error> {
    let mut bytes = Vec::new();
    value.serialize(&mut Serializer::with_formatter(&mut bytes, formatter))?;
    // serde_json writes UTF-8.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// One line, with a space after each comma and colon.
struct PythonSpacing;

impl Formatter for PythonSpacing {
    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
}
