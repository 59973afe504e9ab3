//! Operations of the language whose values differ between the engine and Python. The rewritten program calls them in
//! place of the engine's own (see `guard`).

use minijinja::formatting::{FormatStyle, format};
use minijinja::value::{Tuple, Value, ValueKind};
use minijinja::{Error, ErrorKind};

use super::budget::{Budget, MAX_DEPTH, shallow_bytes};
use super::methods::MAX_WIDTH;
use super::{guard, invalid, writing};

/// Stands for a width or precision that is yet to come.
const STAR: char = '\0';

/// `left % right`: the remainder with the sign of the divisor, or text with its `%s` filled in.
pub(super) fn remainder(budget: &Budget, left: &Value, right: &Value) -> Result<Value, Error> {
    if let Some(text) = left.as_str() {
        budget.charge_deep(left)?;
        budget.charge_deep(right)?;
        guard::check_format(text)?;
        let (text, kinds) = conversions(text)?;
        let mut values: Vec<Value> = match right.is_tuple() {
            true => right.try_iter()?.collect(),
            false => vec![right.clone()],
        };
        if kinds.iter().any(|conversion| conversion.name.is_some()) {
            let named = |conversion: &Conversion| {
                let name =
                    conversion.name.as_deref().ok_or_else(|| invalid("named and unnamed conversions in one text"))?;
                let value = right.get_item(&Value::from(name))?;
                if value.is_undefined() { Err(invalid(format!("no `{name}` to format"))) } else { Ok(value) }
            };
            values = kinds.iter().map(named).collect::<Result<_, _>>()?;
        }
        let may_be_left = !right.is_tuple() && matches!(right.kind(), ValueKind::Map | ValueKind::Seq);
        if kinds.len() != values.len() && !(kinds.is_empty() && may_be_left) {
            return Err(invalid(format!("the text has {} conversions for {} values", kinds.len(), values.len())));
        }
        let mut text = text;
        let mut written = Vec::with_capacity(values.len());
        for (Conversion { kind, .. }, value) in kinds.iter().zip(&values) {
            if *kind == '*' {
                // A width or precision comes from the values.
                let width = i64::try_from(value.clone())?;
                if width.unsigned_abs() > MAX_WIDTH as u64 {
                    return Err(invalid(format!("cannot pad to {width}")));
                }
                text = text.replacen(STAR, &width.to_string(), 1);
            } else {
                written.push(converted(*kind, value));
            }
        }
        let (text, values) = (text.as_str(), written);
        return format(FormatStyle::Printf, text, &values).map(Value::from);
    }
    let whole = |value: &Value| i128::try_from(value.clone()).ok().filter(|_| value.is_integer() || is_bool(value));
    if let (Some(left), Some(right)) = (whole(left), whole(right)) {
        let rest = left.checked_rem(right).ok_or_else(|| invalid("modulo by zero"))?;
        return Ok(Value::from(if rest != 0 && (rest < 0) != (right < 0) { rest + right } else { rest }));
    }
    let number = |value: &Value| match value.kind() {
        ValueKind::Number | ValueKind::Bool => f64::try_from(value.clone()).ok(),
        _ => None,
    };
    let (Some(left_number), Some(right_number)) = (number(left), number(right)) else {
        let detail = format!("no `%` between {} and {}", left.kind(), right.kind());
        return Err(Error::new(ErrorKind::InvalidOperation, detail));
    };
    if right_number == 0.0 {
        return Err(invalid("modulo by zero"));
    }
    let rest = left_number % right_number;
    Ok(Value::from(if rest != 0.0 && (rest < 0.0) != (right_number < 0.0) { rest + right_number } else { rest }))
}

fn is_bool(value: &Value) -> bool {
    value.kind() == ValueKind::Bool
}

/// One `%…` of a text.
struct Conversion {
    /// What `%(name)` says.
    name: Option<String>,
    /// The letter at its end; `*` for a width or precision that is a value of its own.
    kind: char,
}

/// A text with the conversions that the engine knows in place of those that it does not, without names.
fn conversions(text: &str) -> Result<(String, Vec<Conversion>), Error> {
    let mut kinds = Vec::new();
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        let (before, conversion) = rest.split_at(at);
        out.push_str(before);
        let named = match conversion[1..].strip_prefix('(') {
            Some(name) => name.find(')').map_or(0, |end| end + 2),
            None => 0,
        };
        let is_part = |c: char| matches!(c, '#' | '-' | ' ' | '+' | '.' | '*' | 'h' | 'l' | 'L') || c.is_ascii_digit();
        let end = conversion[1 + named..].find(|c| !is_part(c)).map(|end| end + 1 + named);
        let Some((end, kind)) = end.and_then(|end| Some((end, conversion[end..].chars().next()?))) else {
            return Err(invalid("incomplete format"));
        };
        out.push('%');
        for c in conversion[1 + named..end].chars().filter(|c| !matches!(c, 'h' | 'l' | 'L')) {
            out.push(if c == '*' { STAR } else { c });
            kinds.extend((c == '*').then_some(Conversion { name: None, kind: '*' }));
        }
        out.push(match kind {
            'r' | 'a' => 's',
            'u' | 'i' => 'd',
            kind => kind,
        });
        if kind != '%' {
            kinds.push(Conversion { name: (named > 0).then(|| conversion[2..named].to_owned()), kind });
        }
        rest = &conversion[end + kind.len_utf8()..];
    }
    out.push_str(rest);
    Ok((out, kinds))
}

/// A value as a conversion of Python takes it.
fn converted(kind: char, value: &Value) -> Value {
    match kind {
        's' => Value::from(writing::text(value)),
        'r' => Value::from(writing::repr(value)),
        'a' => Value::from(writing::ascii(&writing::repr(value))),
        'd' | 'i' | 'u' if value.kind() == ValueKind::Number && !value.is_integer() => {
            // Beyond 2^63 no template counts.
            f64::try_from(value.clone()).map_or_else(|_| value.clone(), |number| Value::from(number.trunc() as i64))
        }
        'd' | 'i' | 'u' | 'x' | 'X' | 'o' if is_bool(value) => Value::from(i64::from(value.is_true())),
        _ => value.clone(),
    }
}

/// `value[start:stop:step]`, with Python's bounds, which may lie anywhere and count from the end.
pub(super) fn slice(budget: &Budget, value: &Value, bounds: [&Value; 3]) -> Result<Value, Error> {
    let bound = |value: &Value| match value.kind() {
        ValueKind::None | ValueKind::Undefined => Some(None),
        ValueKind::Bool => Some(Some(i128::from(value.is_true()))),
        ValueKind::Number if value.is_integer() => Some(Some(i128::try_from(value.clone()).unwrap_or(i128::MAX))),
        _ => None,
    };
    // What cannot be done is an undefined value to Jinja2, as where an element is missing.
    let [Some(start), Some(stop), Some(step)] = bounds.map(bound) else { return Ok(Value::UNDEFINED) };
    if matches!(value.kind(), ValueKind::Number | ValueKind::Bool) {
        return Ok(Value::UNDEFINED);
    }
    budget.charge(shallow_bytes(value).saturating_mul(4))?;
    let items: Vec<Value> = match value.as_str() {
        Some(text) => text.chars().map(Value::from).collect(),
        None if matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable) => value.try_iter()?.collect(),
        None => return Err(invalid(format!("{} cannot be sliced", value.kind()))),
    };
    let length = items.len() as i128;
    let step = step.unwrap_or(1);
    if step == 0 {
        return Err(invalid("slice step cannot be zero"));
    }
    // The first and last places that a bound can mean, by direction.
    let (lowest, highest) = if step > 0 { (0, length) } else { (-1, length - 1) };
    let place = |bound: Option<i128>, otherwise: i128| match bound {
        None => otherwise,
        Some(at) if at < 0 => at.saturating_add(length).clamp(lowest, highest),
        Some(at) => at.clamp(lowest, highest),
    };
    let (first, last) = if step > 0 { (lowest, highest) } else { (highest, lowest) };
    let (start, stop) = (place(start, first), place(stop, last));
    let mut taken = Vec::new();
    let mut at = start;
    while if step > 0 { at < stop } else { at > stop } {
        taken.extend(usize::try_from(at).ok().and_then(|at| items.get(at)).cloned());
        at = at.saturating_add(step);
    }
    Ok(match value.as_str() {
        Some(_) => Value::from(taken.iter().filter_map(Value::as_str).collect::<String>()),
        None if value.is_tuple() => Value::from(Tuple::from(taken)),
        None => Value::from(taken),
    })
}

/// Refuses what would be nested so deeply that reading or dropping it could use up the stack.
pub(super) fn nest(budget: &Budget, parts: &[Value]) -> Result<(), Error> {
    fn fits(budget: &Budget, value: &Value, depth: usize) -> Result<bool, Error> {
        if !matches!(value.kind(), ValueKind::Seq | ValueKind::Map | ValueKind::Iterable) {
            return Ok(true);
        }
        budget.charge(shallow_bytes(value))?;
        let Some(depth) = depth.checked_sub(1) else { return Ok(false) };
        for item in value.try_iter()? {
            let item = if value.kind() == ValueKind::Map { value.get_item(&item)? } else { item };
            if !fits(budget, &item, depth)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
    for part in parts {
        if !fits(budget, part, MAX_DEPTH)? {
            return Err(invalid(format!("lists within lists beyond {MAX_DEPTH} levels")));
        }
    }
    Ok(())
}

/// What a loop goes through: of a text its characters, as a list that knows its length.
pub(super) fn looped(budget: &Budget, value: &Value) -> Result<Value, Error> {
    let Some(text) = value.as_str() else {
        if matches!(value.kind(), ValueKind::None | ValueKind::Number | ValueKind::Bool) {
            return Err(invalid(format!("{} cannot be gone through in a loop", value.kind())));
        }
        budget.charge(shallow_bytes(value))?;
        return Ok(value.clone());
    };
    budget.charge(text.len().saturating_mul(64))?;
    Ok(text.chars().map(Value::from).collect())
}
