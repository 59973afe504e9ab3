//! The numbers of a request: name, range, default and meaning of each. All of it is written once,
//! where the number is declared. The SDK's types, ranges and documentation are generated from it
//! (`rust/wasm/tests/generated`), and the command's arguments are checked by it.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::EngineError;

/// A number that a request may have. Both bounds belong to its range.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NumberField {
    /// Its name, here and in the SDK.
    pub name: &'static str,
    /// Another name that the SDK accepts.
    pub alias: Option<&'static str>,
    /// Whether it must be a whole number.
    pub whole: bool,
    /// The smallest number accepted.
    pub least: f64,
    /// The largest number accepted.
    pub most: f64,
    /// Its value if it is left out; `None` if it then has no effect.
    pub default: Option<f64>,
    /// What it does.
    pub doc: &'static str,
}

impl NumberField {
    /// The number given, if one was.
    ///
    /// # Errors
    /// [`EngineError::InvalidArgument`] for anything but a number in the range. The SDK refuses the same values with
    /// the same words; `tests/request-fields.json` is checked on both sides.
    pub fn check(&self, given: RawNumber) -> Result<Option<f64>, EngineError> {
        let found = match given {
            RawNumber::Missing => return Ok(None),
            RawNumber::Number(value) if self.contains(value) => return Ok(Some(value)),
            RawNumber::Number(value) => shown(value),
            RawNumber::Other(kind) => kind.to_owned(),
        };
        Err(invalid(self.name, format!("{} must be {self}, not {found}", self.name)))
    }

    fn contains(&self, value: f64) -> bool {
        (self.least..=self.most).contains(&value) && !(self.whole && value.fract() != 0.0)
    }
}

/// The range: "a number from 0 to 1".
impl fmt::Display for NumberField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.whole { "a whole number" } else { "a number" };
        write!(f, "{kind} from {} to {}", shown(self.least), shown(self.most))
    }
}

/// What was given where a number belongs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(type = "number | null"))]
pub enum RawNumber {
    /// Nothing, or null.
    #[default]
    Missing,
    /// A number: perhaps not a whole one, perhaps NaN.
    Number(f64),
    /// Something else: "a string".
    Other(&'static str),
}

impl<'de> Deserialize<'de> for RawNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawNumberVisitor)
    }
}

struct RawNumberVisitor;

impl<'de> Visitor<'de> for RawNumberVisitor {
    type Value = RawNumber;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_f64<E>(self, value: f64) -> Result<RawNumber, E> {
        Ok(RawNumber::Number(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<RawNumber, E> {
        Ok(RawNumber::Number(value as f64))
    }

    fn visit_u64<E>(self, value: u64) -> Result<RawNumber, E> {
        Ok(RawNumber::Number(value as f64))
    }

    fn visit_unit<E>(self) -> Result<RawNumber, E> {
        Ok(RawNumber::Missing)
    }

    fn visit_str<E>(self, _: &str) -> Result<RawNumber, E> {
        Ok(RawNumber::Other("a string"))
    }

    fn visit_bool<E>(self, _: bool) -> Result<RawNumber, E> {
        Ok(RawNumber::Other("a boolean"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<RawNumber, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(RawNumber::Other("an object"))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<RawNumber, A::Error> {
        while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(RawNumber::Other("an object"))
    }
}

/// A type that holds the value of a [`NumberField`].
pub(crate) trait FieldValue: Copy {
    /// Whether it holds whole numbers only.
    const WHOLE: bool;
    /// A checked number in this type.
    fn from_number(number: f64) -> Self;
    /// The value as a number, to be checked.
    fn to_number(self) -> f64;
}

macro_rules! field_values {
    ($($type:ident whole $whole:literal),*) => {$(
        impl FieldValue for $type {
            const WHOLE: bool = $whole;
            fn from_number(number: f64) -> Self {
                number as $type
            }
            fn to_number(self) -> f64 {
                self as f64
            }
        }
    )*};
}

field_values!(f64 whole false, u32 whole true, u64 whole true);

/// Declares a struct of numbers of a request, each with a default: `name: type = default, range;` declares one number.
/// It also declares `$each<T>`, a struct with the same field names and a `T` for each of them: its [`NumberField`], or
/// the [`RawNumber`] that was given.
macro_rules! number_fields {
    (
        $(#[$attribute:meta])*
        pub struct $name:ident, each $each:ident {$(
            #[doc = $first:literal] $(#[doc = $more:literal])*
            $field:ident: $type:ident = $default:expr, $range:expr $(, alias $alias:literal)?;
        )*}
    ) => {
        $(#[$attribute])*
        pub struct $name {$(
            #[doc = $first] $(#[doc = $more])*
            pub $field: $type,
        )*}

        #[doc = concat!(" Each field of [`", stringify!($name), "`]: what was given for it, or what it is.")]
        #[derive(Clone, Copy, Debug, Default, PartialEq, serde::Deserialize)]
        #[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
        #[cfg_attr(feature = "typescript", ts(concrete(T = $crate::RawNumber), rename = stringify!($name)))]
        #[serde(default, deny_unknown_fields)]
        pub struct $each<T> {$(
            #[doc = $first] $(#[doc = $more])*
            pub $field: T,
        )*}

        impl<T> $each<T> {
            /// In the order of the declaration.
            pub fn into_list(self) -> Vec<T> {
                vec![$(self.$field),*]
            }
        }

        impl $name {
            /// Its fields.
            pub const FIELDS: $each<$crate::fields::NumberField> = $each {$(
                $field: $crate::fields::NumberField {
                    name: stringify!($field),
                    alias: $crate::fields::alias(&[$($alias)?]),
                    whole: <$type as $crate::fields::FieldValue>::WHOLE,
                    least: *$range.start() as f64,
                    most: *$range.end() as f64,
                    default: Some($default as f64),
                    doc: concat!($first $(, $more)*).trim_ascii(),
                },
            )*};

            /// Refuses numbers outside their range, by name.
            ///
            /// # Errors
            /// [`EngineError::InvalidArgument`](crate::EngineError::InvalidArgument).
            pub fn check(&self) -> Result<(), $crate::EngineError> {
                $(Self::FIELDS.$field.check($crate::RawNumber::Number($crate::fields::FieldValue::to_number(self.$field)))?;)*
                Ok(())
            }
        }

        impl Default for $name {
            fn default() -> Self {
                $name { $($field: $default,)* }
            }
        }

        impl $each<$crate::RawNumber> {
            /// What was given, checked, with defaults for the rest.
            ///
            /// # Errors
            /// Those of `NumberField::check`.
            pub fn check(self) -> Result<$name, $crate::EngineError> {
                Ok($name {$(
                    $field: $name::FIELDS.$field.check(self.$field)?.map_or($default, $crate::fields::FieldValue::from_number),
                )*})
            }
        }
    };
}

pub(crate) use number_fields;

/// The alias of a field, which has one or none.
pub(crate) const fn alias(names: &[&'static str]) -> Option<&'static str> {
    match names {
        [name] => Some(name),
        _ => None,
    }
}

/// A number as JavaScript writes it.
fn shown(value: f64) -> String {
    if !value.is_finite() {
        return format!("{value}").replace("inf", "Infinity");
    }
    let scientific = format!("{value:e}");
    match scientific.split_once('e').map(|(digits, exponent)| (digits, exponent.parse::<i32>())) {
        Some((digits, Ok(exponent))) if !(-6..=20).contains(&exponent) => format!("{digits}e{exponent:+}"),
        // Without the sign of a zero.
        _ => format!("{}", value + 0.0),
    }
}

pub(crate) fn invalid(field: &'static str, message: String) -> EngineError {
    EngineError::InvalidArgument { field, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_shown_as_javascript_shows_them() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "0"),
            (-1.5, "-1.5"),
            (0.1 + 0.2, "0.30000000000000004"),
            (1e-6, "0.000001"),
            (-1.25e-7, "-1.25e-7"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(shown(value), text);
        }
    }
}
