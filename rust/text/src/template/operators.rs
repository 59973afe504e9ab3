//! Operations of the language whose values differ between the engine and Python. The rewritten program calls them in
//! place of the engine's own (see `guard`).

use minijinja::value::{Tuple, Value, ValueKind};
use minijinja::{Error, ErrorKind};

use super::budget::{Budget, MAX_DEPTH, shallow_bytes};
use super::invalid;
use super::objects::Range;
use super::percent::percent;

/// `left % right`: the remainder with the sign of the divisor, or text with its `%s` filled in.
pub(super) fn remainder(budget: &Budget, left: &Value, right: &Value) -> Result<Value, Error> {
    if let Some(text) = left.as_str() {
        return percent(budget, text, right);
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

/// `-value`, of truth values too.
pub(super) fn negative(value: &Value) -> Result<Value, Error> {
    let refused = || invalid(format!("no `-` before {}", value.kind()));
    match value.kind() {
        ValueKind::Bool => Ok(Value::from(-i64::from(value.is_true()))),
        ValueKind::Number if value.is_integer() => {
            i128::try_from(value.clone())?.checked_neg().map(Value::from).ok_or_else(refused)
        }
        ValueKind::Number => Ok(Value::from(-f64::try_from(value.clone())?)),
        _ => Err(refused()),
    }
}

fn is_bool(value: &Value) -> bool {
    value.kind() == ValueKind::Bool
}

/// `value[start:stop:step]`, with Python's bounds, which may be out of range or count from the end.
pub(super) fn slice(budget: &Budget, value: &Value, bounds: [&Value; 3]) -> Result<Value, Error> {
    let bound = |value: &Value| match value.kind() {
        ValueKind::None | ValueKind::Undefined => Some(None),
        ValueKind::Bool => Some(Some(i128::from(value.is_true()))),
        ValueKind::Number if value.is_integer() => Some(Some(i128::try_from(value.clone()).unwrap_or(i128::MAX))),
        _ => None,
    };
    // Jinja2 gives an undefined value for an impossible operation, as for a missing element.
    let [Some(start), Some(stop), Some(step)] = bounds.map(bound) else { return Ok(Value::UNDEFINED) };
    if matches!(value.kind(), ValueKind::Number | ValueKind::Bool) {
        return Ok(Value::UNDEFINED);
    }
    let step = step.unwrap_or(1);
    if step == 0 {
        return Err(invalid("slice step cannot be zero"));
    }
    let bounds = |length: usize| {
        let length = length as i128;
        // The first and last places that a bound can mean, by direction.
        let (lowest, highest) = if step > 0 { (0, length) } else { (-1, length - 1) };
        let place = |bound: Option<i128>, otherwise: i128| match bound {
            None => otherwise,
            Some(at) if at < 0 => at.saturating_add(length).clamp(lowest, highest),
            Some(at) => at.clamp(lowest, highest),
        };
        let (first, last) = if step > 0 { (lowest, highest) } else { (highest, lowest) };
        (place(start, first), place(stop, last))
    };
    if let Some(range) = value.downcast_object_ref::<Range>() {
        let (start, stop) = bounds(range.len());
        return range.slice(start, stop, step);
    }
    budget.charge(shallow_bytes(value).saturating_mul(4))?;
    let items: Vec<Value> = match value.as_str() {
        Some(text) => text.chars().map(Value::from).collect(),
        None if matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable) => value.try_iter()?.collect(),
        None => return Err(invalid(format!("{} cannot be sliced", value.kind()))),
    };
    let (start, stop) = bounds(items.len());
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

/// What a loop iterates over: of a text its characters, as a list, which knows its length.
pub(super) fn looped(budget: &Budget, value: &Value) -> Result<Value, Error> {
    let Some(text) = value.as_str() else {
        if matches!(value.kind(), ValueKind::None | ValueKind::Number | ValueKind::Bool) {
            return Err(invalid(format!("{} cannot be iterated", value.kind())));
        }
        budget.charge(shallow_bytes(value))?;
        return Ok(value.clone());
    };
    budget.charge(text.len().saturating_mul(64))?;
    Ok(text.chars().map(Value::from).collect())
}
