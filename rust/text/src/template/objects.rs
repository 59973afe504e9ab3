//! Python's objects that the engine lacks or shows in another way: ranges, views of dicts, `cycler` and `dict`.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use minijinja::value::{Enumerator, Kwargs, Object, ObjectExt, ObjectRepr, Rest, Tuple, Value, ValueKind, from_args};
use minijinja::{Environment, Error, ErrorKind, State};

use super::budget::Budget;
use super::{invalid, operators};

/// Elements of a range: what Jinja2's sandbox allows.
const MAX_RANGE: i128 = 100_000;

/// Adds the functions that make these objects.
pub(super) fn add(environment: &mut Environment<'_>, budget: &Arc<Budget>) {
    environment.add_function("range", |start: i64, stop: Option<i64>, step: Option<i64>| {
        let (start, stop) = stop.map_or((0, start), |stop| (start, stop));
        Range::value(start.into(), stop.into(), step.unwrap_or(1).into())
    });
    environment.add_function("cycler", |items: Rest<Value>| match items.is_empty() {
        true => Err(invalid("a cycler of nothing")),
        false => Ok(Value::from_object(Cycler { items: items.0, at: AtomicUsize::new(0) })),
    });
    environment.add_global("dict", Value::from_object(Dict(Arc::clone(budget))));
    let budget = Arc::clone(budget);
    environment.add_function("namespace", move |from: Option<Value>, names: Kwargs| {
        minijinja::functions::namespace(Some(dict(&budget, from, names)?.into()))
    });
}

/// Whether a value is what `namespace` makes.
pub(super) fn is_namespace(value: &Value) -> bool {
    is_of(value, "::Namespace")
}

/// Whether a value has attributes in Python, where the engine has a map.
pub(super) fn has_attributes(value: &Value) -> bool {
    is_namespace(value) || is_of(value, "::Loop") || is_of(value, "::Macro")
}

/// The engine's own types are not public, so they are told apart by name.
fn is_of(value: &Value, name: &str) -> bool {
    value.as_object().is_some_and(|object| object.type_name().ends_with(name))
}

/// `range(start, stop, step)`.
#[derive(Debug)]
pub(super) struct Range {
    start: i64,
    stop: i64,
    step: i64,
    length: usize,
}

impl Range {
    fn value(start: i128, stop: i128, step: i128) -> Result<Value, Error> {
        let length = match step {
            0 => return Err(invalid("a range with a step of zero")),
            1.. => (stop - start + step - 1) / step,
            _ => (start - stop - step - 1) / -step,
        };
        let bound = |number: i128| i64::try_from(number).ok();
        match (bound(start), bound(stop), bound(step)) {
            (Some(start), Some(stop), Some(step)) if length <= MAX_RANGE => {
                Ok(Value::from_object(Range { start, stop, step, length: length.max(0) as usize }))
            }
            _ => Err(invalid(format!("a range of more than {MAX_RANGE} elements"))),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// The range of the elements from place `start` to `stop`.
    pub(super) fn slice(&self, start: i128, stop: i128, step: i128) -> Result<Value, Error> {
        let place = |at: i128| i128::from(self.start) + at * i128::from(self.step);
        // Steps beyond all elements have the same effect.
        let step = step.clamp(-i128::from(i64::MAX), i64::MAX.into());
        Range::value(place(start), place(stop), step * i128::from(self.step))
    }

    fn at(&self, place: usize) -> Value {
        // No overflow: it is between start and stop.
        Value::from(self.start + place as i64 * self.step)
    }
}

impl Object for Range {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Iterable
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let range = Arc::clone(self);
        Enumerator::Iter(Box::new((0..self.length).map(move |place| range.at(place))))
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let place = i64::try_from(key.clone()).ok()?;
        let place = if place < 0 { place.checked_add(self.length as i64)? } else { place };
        usize::try_from(place).ok().filter(|&place| place < self.length).map(|place| self.at(place))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "range({}, {}", self.start, self.stop)?;
        if self.step != 1 {
            write!(f, ", {}", self.step)?;
        }
        f.write_str(")")
    }
}

/// `map.keys()`, `map.values()` or `map.items()`.
#[derive(Debug)]
pub(super) struct View {
    map: Value,
    part: Part,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    Keys,
    Values,
    Items,
}

impl View {
    pub(super) fn value(map: &Value, part: Part) -> Value {
        Value::from_object(View { map: map.clone(), part })
    }

    /// What Python calls it.
    pub(super) fn name(&self) -> &'static str {
        match self.part {
            Part::Keys => "dict_keys",
            Part::Values => "dict_values",
            Part::Items => "dict_items",
        }
    }
}

impl Object for View {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Iterable
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        self.mapped_enumerator(|view| {
            let (map, part) = (&view.map, view.part);
            // This iterator knows its length, which loops need.
            let Ok(keys) = map.try_iter() else { return Box::new(std::iter::empty()) };
            Box::new(keys.map(move |key| match part {
                Part::Keys => key,
                Part::Values => map.get_item(&key).unwrap_or_default(),
                Part::Items => {
                    let value = map.get_item(&key).unwrap_or_default();
                    Value::from(Tuple::from([key, value]))
                }
            }))
        })
    }

    /// A view cannot be indexed; by default the engine would count its elements off.
    fn get_value(self: &Arc<Self>, _: &Value) -> Option<Value> {
        Some(Value::UNDEFINED)
    }
}

/// `cycler(…)`.
#[derive(Debug)]
struct Cycler {
    items: Vec<Value>,
    at: AtomicUsize,
}

impl Object for Cycler {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let at = self.at.load(Ordering::Relaxed);
        self.items.get(at).filter(|_| key.as_str() == Some("current")).cloned()
    }

    fn call_method(self: &Arc<Self>, _: &mut State<'_, '_>, method: &str, arguments: &[Value]) -> Result<Value, Error> {
        let () = from_args(arguments)?;
        let at = self.at.load(Ordering::Relaxed);
        let (answer, next) = match method {
            "next" => (self.items.get(at).cloned().unwrap_or_default(), (at + 1) % self.items.len()),
            "reset" => (Value::from(()), 0),
            _ => return Err(Error::from(ErrorKind::UnknownMethod)),
        };
        self.at.store(next, Ordering::Relaxed);
        Ok(answer)
    }
}

/// Python's type `dict`, with `dict.fromkeys`.
#[derive(Debug)]
struct Dict(Arc<Budget>);

impl Object for Dict {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call(self: &Arc<Self>, _: &mut State<'_, '_>, arguments: &[Value]) -> Result<Value, Error> {
        let (from, names): (Option<Value>, Kwargs) = from_args(arguments)?;
        dict(&self.0, from, names)
    }

    fn call_method(self: &Arc<Self>, _: &mut State<'_, '_>, method: &str, arguments: &[Value]) -> Result<Value, Error> {
        if method != "fromkeys" {
            return Err(Error::from(ErrorKind::UnknownMethod));
        }
        let (keys, value): (Value, Option<Value>) = from_args(arguments)?;
        let keys = operators::looped(&self.0, &keys)?;
        let value = value.unwrap_or_else(|| Value::from(()));
        operators::nest(&self.0, std::slice::from_ref(&value))?;
        Ok(Value::from_pairs(keys.try_iter()?.map(|key| (key, value.clone()))))
    }
}

/// `dict(from, **names)`, from a map or a list of pairs.
fn dict(budget: &Budget, from: Option<Value>, names: Kwargs) -> Result<Value, Error> {
    let names = Value::from(names);
    let mut pairs = Vec::new();
    for source in from.iter().chain([&names]) {
        budget.charge_deep(source)?;
        for item in source.try_iter()? {
            if source.kind() == ValueKind::Map {
                let value = source.get_item(&item)?;
                pairs.push((item, value));
                continue;
            }
            let pair: Vec<Value> = item.try_iter()?.collect();
            let [key, value] = <[Value; 2]>::try_from(pair).map_err(|_| invalid("`dict` takes pairs"))?;
            pairs.push((key, value));
        }
    }
    Ok(Value::from_pairs(pairs))
}
