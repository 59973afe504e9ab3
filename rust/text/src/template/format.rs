//! `str.format`: Python's fields.

use minijinja::value::Value;
use minijinja::{Error, ErrorKind};

use super::budget::Budget;
use super::spec::Spec;
use super::{invalid, writing};

/// How deeply fields may be nested in the specs of others: `{:{width}}`, and once more.
const MAX_NESTING: usize = 2;

/// `text.format(*values, **names)`.
pub(super) fn str_format(budget: &Budget, text: &str, values: &[Value], names: &Value) -> Result<Value, Error> {
    let mut arguments = Arguments { budget, values, names, numbered: 0, has_places: false };
    arguments.expand(text, MAX_NESTING).map(Value::from)
}

/// The arguments that fields refer to.
struct Arguments<'a> {
    budget: &'a Budget,
    values: &'a [Value],
    names: &'a Value,
    /// Fields so far that took the next value.
    numbered: usize,
    /// A field has named the place of its value.
    has_places: bool,
}

/// `{name!conversion:spec}`.
struct Field<'a> {
    name: &'a str,
    conversion: Option<char>,
    spec: &'a str,
}

impl Arguments<'_> {
    fn expand(&mut self, text: &str, nesting: usize) -> Result<String, Error> {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            out.push_str(&rest[..at]);
            let (brace, behind) = rest[at..].split_at(1);
            rest = behind;
            if let Some(behind) = rest.strip_prefix(brace) {
                out.push_str(brace);
                rest = behind;
                continue;
            }
            if brace == "}" {
                return Err(invalid("a single brace in the format"));
            }
            let (field, behind) = Field::parse(rest)?;
            rest = behind;
            let value = self.value(field.name)?;
            let nesting = nesting.checked_sub(1).ok_or_else(|| invalid("fields within fields of a format"))?;
            let spec = self.expand(field.spec, nesting)?;
            let written = self.written(value, field.conversion, &spec)?;
            self.budget.charge(written.len())?;
            out.push_str(&written);
            self.budget.check_value(out.len())?;
        }
        out.push_str(rest);
        Ok(out)
    }

    fn written(&self, value: Value, conversion: Option<char>, spec: &str) -> Result<String, Error> {
        self.budget.charge_deep(&value)?;
        let value = match conversion {
            None => value,
            Some('s') => Value::from(writing::text(&value)),
            Some('r') => Value::from(writing::repr(&value)),
            Some('a') => Value::from(writing::ascii(&writing::repr(&value))),
            Some(conversion) => return Err(invalid(format!("unknown conversion `!{conversion}`"))),
        };
        if spec.is_empty() { Ok(writing::text(&value)) } else { Spec::parse(spec)?.format(&value) }
    }

    /// The value of a field such as `0`, `name.attribute` or `[key]` of the next value.
    fn value(&mut self, field: &str) -> Result<Value, Error> {
        let (name, mut path) = field.split_at(field.find(['.', '[']).unwrap_or(field.len()));
        let missing = || Error::new(ErrorKind::MissingArgument, format!("the format asks for `{name}`"));
        let place = if name.is_empty() { Some(self.numbered) } else { name.parse::<usize>().ok() };
        self.numbered += usize::from(name.is_empty());
        // A place with a path does not count, as in Python up to 3.13.
        self.has_places |= place.is_some() && !name.is_empty() && name == field;
        if self.numbered > 0 && self.has_places {
            return Err(invalid("fields with and without places in one format"));
        }
        let mut value = match place {
            Some(place) => self.values.get(place).cloned().ok_or_else(missing)?,
            None => self
                .names
                .get_item(&Value::from(name))
                .ok()
                .filter(|found| !found.is_undefined())
                .ok_or_else(missing)?,
        };
        while !path.is_empty() {
            let key;
            if let Some(behind) = path.strip_prefix('[') {
                (key, path) = behind.split_once(']').ok_or_else(|| invalid("a single bracket in the format"))?;
            } else if let Some(behind) = path.strip_prefix('.') {
                (key, path) = behind.split_at(behind.find(['.', '[']).unwrap_or(behind.len()));
            } else {
                return Err(invalid(format!("the format's field `{field}` cannot be read")));
            }
            if key.is_empty() {
                return Err(invalid(format!("the format's field `{field}` has an empty part")));
            }
            value = value.get_item(&key.parse::<usize>().map_or_else(|_| Value::from(key), Value::from))?;
        }
        Ok(value)
    }
}

impl<'a> Field<'a> {
    /// The field that `text` begins with, after its brace, and what follows it.
    fn parse(text: &'a str) -> Result<(Self, &'a str), Error> {
        let unfinished = || invalid("a field of the format does not end");
        let mut in_brackets = false;
        let ends = |c: char| {
            in_brackets = if in_brackets { c != ']' } else { c == '[' };
            !in_brackets && matches!(c, '}' | ':' | '!' | '{')
        };
        let (name, mut rest) = text.split_at(text.find(ends).ok_or_else(unfinished)?);
        let mut field = Field { name, conversion: None, spec: "" };
        if let Some(behind) = rest.strip_prefix('!') {
            field.conversion = behind.chars().next();
            rest = &behind[field.conversion.map_or(0, char::len_utf8)..];
        }
        if let Some(behind) = rest.strip_prefix('}') {
            return Ok((field, behind));
        }
        let spec = rest.strip_prefix(':').ok_or_else(unfinished)?;
        let mut open = 1;
        let ends = |c: char| {
            open += i32::from(c == '{') - i32::from(c == '}');
            open == 0
        };
        let end = spec.find(ends).ok_or_else(unfinished)?;
        field.spec = &spec[..end];
        Ok((field, &spec[end + 1..]))
    }
}
