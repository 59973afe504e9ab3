//! `text % values`: Python's conversions.

use minijinja::Error;
use minijinja::value::{Value, ValueKind};

use super::budget::Budget;
use super::invalid;
use super::methods::MAX_WIDTH;
use super::objects::Range;
use super::spec::{Spec, digits, next_if, number, whole};
use super::writing;

/// The text with its conversions filled in.
pub(super) fn percent(budget: &Budget, text: &str, right: &Value) -> Result<Value, Error> {
    budget.charge(text.len())?;
    budget.charge_deep(right)?;
    let mut values = match right.is_tuple() {
        true => right.try_iter()?.collect(),
        false => vec![right.clone()],
    }
    .into_iter();
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('%') {
        out.push_str(before);
        rest = behind;
        if next_if(&mut rest, "%").is_some() {
            out.push('%');
            continue;
        }
        if let Some(behind) = rest.strip_prefix('(') {
            let (name, behind) = named(behind)?;
            rest = behind;
            let found =
                if right.kind() == ValueKind::Map { right.get_item(&Value::from(name))? } else { Value::UNDEFINED };
            if found.is_undefined() {
                return Err(invalid(format!("no `{name}` to format")));
            }
            // From here on it is the only value, as in Python.
            values = vec![found].into_iter();
        }
        let mut next = || values.next().ok_or_else(|| invalid("too few values to format"));
        let spec = conversion(&mut rest, &mut next)?;
        let value = next()?;
        budget.charge_deep(&value)?;
        let written = converted(spec, &value)?;
        budget.charge(written.len())?;
        out.push_str(&written);
        budget.check_value(out.len())?;
    }
    out.push_str(rest);
    // In Python, a value whose elements have keys or places may be left over.
    let may_be_left = !right.is_tuple()
        && matches!(right.kind(), ValueKind::Map | ValueKind::Seq | ValueKind::Undefined)
        || right.downcast_object_ref::<Range>().is_some();
    if values.next().is_some() && !may_be_left {
        return Err(invalid("more values than conversions in the text"));
    }
    Ok(Value::from(out))
}

/// A name up to the bracket that closes it, and what follows.
fn named(text: &str) -> Result<(&str, &str), Error> {
    let mut open = 1;
    let ends = |c: char| {
        open += i32::from(c == '(') - i32::from(c == ')');
        open == 0
    };
    let end = text.find(ends).ok_or_else(|| invalid("incomplete format"))?;
    Ok((&text[..end], &text[end + 1..]))
}

/// Parses a conversion at the beginning of a text; widths may be separate values.
fn conversion(rest: &mut &str, next: &mut impl FnMut() -> Result<Value, Error>) -> Result<Spec, Error> {
    let mut spec = Spec::default();
    let mut is_left = false;
    while let Some(flag) = next_if(rest, "#0- +") {
        match flag {
            '#' => spec.alternate = true,
            '0' => spec.fill = Some('0'),
            '-' => is_left = true,
            '+' => spec.sign = Some('+'),
            _ => spec.sign = spec.sign.or(Some(' ')),
        }
    }
    let mut amount = |rest: &mut &str| -> Result<Option<i64>, Error> {
        if next_if(rest, "*").is_none() {
            return Ok(number(rest)?.map(|number| number as i64));
        }
        let (negative, amount) = whole(&next()?).ok_or_else(|| invalid("a width must be a whole number"))?;
        if amount > MAX_WIDTH as u128 {
            return Err(invalid(format!("cannot pad to {amount}")));
        }
        Ok(Some(if negative { -(amount as i64) } else { amount as i64 }))
    };
    let width = amount(rest)?.unwrap_or(0);
    is_left |= width < 0;
    spec.width = width.unsigned_abs() as usize;
    if next_if(rest, ".").is_some() {
        spec.precision = Some(amount(rest)?.unwrap_or(0).max(0) as usize);
    }
    next_if(rest, "hlL");
    if is_left {
        spec.align = Some('<');
        spec.fill = None;
    }
    spec.kind = rest.chars().next();
    *rest = &rest[spec.kind.map_or(0, char::len_utf8)..];
    Ok(spec)
}

/// A value as a conversion writes it.
fn converted(mut spec: Spec, value: &Value) -> Result<String, Error> {
    let kind = spec.kind.ok_or_else(|| invalid("incomplete format"))?;
    let refused = || invalid(format!("`%{kind}` cannot write {}", value.kind()));
    let text = match kind {
        's' => writing::text(value),
        'r' => writing::repr(value),
        'a' => writing::ascii(&writing::repr(value)),
        'c' => match (value.as_str(), whole(value)) {
            (Some(text), _) if text.chars().count() == 1 => text.to_owned(),
            (_, Some((false, code))) => {
                let c = u32::try_from(code).ok().and_then(char::from_u32);
                c.ok_or_else(refused)?.to_string()
            }
            _ => return Err(refused()),
        },
        'd' | 'i' | 'u' | 'x' | 'X' | 'o' => {
            let is_decimal = matches!(kind, 'd' | 'i' | 'u');
            let (negative, amount) = match whole(value) {
                Some(number) => number,
                None if is_decimal && value.kind() == ValueKind::Number => truncated(value).ok_or_else(refused)?,
                None => return Err(refused()),
            };
            let (prefix, digits) = digits(amount, if is_decimal { 'd' } else { kind }).ok_or_else(refused)?;
            // A precision is the least number of digits.
            let zeros = "0".repeat(spec.precision.unwrap_or(0).saturating_sub(digits.len()));
            return Ok(spec.number(negative, if spec.alternate { prefix } else { "" }, &(zeros + &digits), ""));
        }
        'e' | 'E' | 'f' | 'F' | 'g' | 'G' => {
            if !matches!(value.kind(), ValueKind::Number | ValueKind::Bool) {
                return Err(refused());
            }
            let number = match whole(value) {
                Some((negative, amount)) => {
                    if negative {
                        -(amount as f64)
                    } else {
                        amount as f64
                    }
                }
                None => f64::try_from(value.clone())?,
            };
            return spec.float(number).ok_or_else(refused);
        }
        _ => return Err(invalid(format!("unknown conversion `%{kind}`"))),
    };
    // Only numbers are padded with zeros.
    spec.fill = None;
    if kind == 'c' {
        spec.precision = None;
    }
    Ok(spec.text(&text, '>'))
}

/// A float without its fraction.
fn truncated(value: &Value) -> Option<(bool, u128)> {
    let number = f64::try_from(value.clone()).ok().filter(|number| number.abs() < 1e38)?;
    Some((number <= -1.0, number.abs() as u128))
}
