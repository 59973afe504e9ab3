//! Python's format specs, `[[fill]align][sign][z][#][0][width][grouping][.precision][type]`: how a field of
//! `str.format` or a conversion of `%` writes a value.

use minijinja::Error;
use minijinja::value::{Value, ValueKind};

use super::methods::MAX_WIDTH;
use super::{invalid, writing};

/// How one value is written.
#[derive(Default)]
pub(super) struct Spec {
    /// Fills the width; a space where there is none.
    pub(super) fill: Option<char>,
    /// `<`, `>`, `^`, or `=` for padding between sign and digits.
    pub(super) align: Option<char>,
    /// The sign of numbers that are not negative: `+`, a space, or nothing.
    pub(super) sign: Option<char>,
    /// Writes a negative zero without its sign.
    positive_zero: bool,
    /// Writes `0x` and the like, and the point and zeros of a float.
    pub(super) alternate: bool,
    pub(super) width: usize,
    /// Separates groups of digits.
    grouping: Option<char>,
    pub(super) precision: Option<usize>,
    /// The letter at the end.
    pub(super) kind: Option<char>,
}

/// A value that is a whole number in Python, as truth values are: whether it is negative, and its absolute value.
pub(super) fn whole(value: &Value) -> Option<(bool, u128)> {
    match value.kind() {
        ValueKind::Bool => Some((false, u128::from(value.is_true()))),
        ValueKind::Number if value.is_integer() => match i128::try_from(value.clone()) {
            Ok(number) => Some((number < 0, number.unsigned_abs())),
            Err(_) => u128::try_from(value.clone()).ok().map(|number| (false, number)),
        },
        _ => None,
    }
}

/// The digits of an amount and the alternate form's prefix; `None` if the form is not one of whole numbers.
pub(super) fn digits(amount: u128, kind: char) -> Option<(&'static str, String)> {
    Some(match kind {
        'b' => ("0b", format!("{amount:b}")),
        'o' => ("0o", format!("{amount:o}")),
        'x' => ("0x", format!("{amount:x}")),
        'X' => ("0X", format!("{amount:X}")),
        'd' | 'n' => ("", amount.to_string()),
        _ => return None,
    })
}

/// Takes a whole number off the beginning of a format.
///
/// # Errors
/// If it is more than [`MAX_WIDTH`].
pub(super) fn number(rest: &mut &str) -> Result<Option<usize>, Error> {
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (number, after) = rest.split_at(end);
    *rest = after;
    match number.parse() {
        _ if number.is_empty() => Ok(None),
        Ok(number) if number <= MAX_WIDTH => Ok(Some(number)),
        _ => Err(invalid(format!("cannot pad to {number}"))),
    }
}

/// Takes one of the characters of `fits` off the beginning of a format.
pub(super) fn next_if(rest: &mut &str, fits: &str) -> Option<char> {
    let next = rest.chars().next().filter(|&c| fits.contains(c))?;
    *rest = &rest[next.len_utf8()..];
    Some(next)
}

impl Spec {
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let mut spec = Spec::default();
        let mut rest = text;
        let first = text.chars().next().map_or(0, char::len_utf8);
        let mut behind = &text[first..];
        if let Some(align) = next_if(&mut behind, "<>^=") {
            spec.fill = text.chars().next();
            spec.align = Some(align);
            rest = behind;
        } else {
            spec.align = next_if(&mut rest, "<>^=");
        }
        spec.sign = next_if(&mut rest, "+- ");
        spec.positive_zero = next_if(&mut rest, "z").is_some();
        spec.alternate = next_if(&mut rest, "#").is_some();
        if spec.fill.is_none() {
            spec.fill = next_if(&mut rest, "0");
        }
        spec.width = number(&mut rest)?.unwrap_or(0);
        spec.grouping = next_if(&mut rest, ",_");
        if next_if(&mut rest, ".").is_some() {
            spec.precision = Some(number(&mut rest)?.ok_or_else(|| invalid("a format without its precision"))?);
        }
        let mut kinds = rest.chars();
        spec.kind = kinds.next();
        match kinds.next() {
            Some(_) => Err(invalid(format!("`{text}` is not a format"))),
            None => Ok(spec),
        }
    }

    /// `format(value, spec)`.
    pub(super) fn format(&self, value: &Value) -> Result<String, Error> {
        if let Some(text) = value.as_str() {
            let is_plain = self.sign.or(self.grouping).is_none() && !self.positive_zero && !self.alternate;
            if !is_plain || self.align == Some('=') || !matches!(self.kind, None | Some('s')) {
                return Err(self.refused(value));
            }
            return Ok(self.text(text, '<'));
        }
        let written = match (whole(value), value.kind()) {
            (Some((negative, amount)), _) => self.whole(negative, amount),
            (None, ValueKind::Number) => self.float(f64::try_from(value.clone())?),
            _ => None,
        };
        written.ok_or_else(|| self.refused(value))
    }

    fn refused(&self, value: &Value) -> Error {
        let kind = self.kind.map(String::from).unwrap_or_default();
        invalid(format!("the format, of type `{kind}`, does not fit {}", value.kind()))
    }

    /// A text cut to the precision and padded, by `align` where the spec has no alignment.
    pub(super) fn text(&self, text: &str, align: char) -> String {
        let cut = self.precision.and_then(|precision| text.char_indices().nth(precision));
        self.padded("", cut.map_or(text, |(end, _)| &text[..end]), self.align.unwrap_or(align))
    }

    fn whole(&self, negative: bool, amount: u128) -> Option<String> {
        let kind = self.kind.unwrap_or('d');
        if matches!(kind, 'e' | 'E' | 'f' | 'F' | 'g' | 'G' | '%') {
            return self.float(if negative { -(amount as f64) } else { amount as f64 });
        }
        let is_grouped = match kind {
            'd' => true,
            'b' | 'o' | 'x' | 'X' => self.grouping != Some(','),
            _ => self.grouping.is_none(),
        };
        if self.precision.is_some() || self.positive_zero || !is_grouped {
            return None;
        }
        if kind == 'c' {
            let c = u32::try_from(amount).ok().and_then(char::from_u32)?;
            let is_plain = !negative && self.sign.is_none() && !self.alternate;
            return is_plain.then(|| self.number(false, "", c.encode_utf8(&mut [0; 4]), ""));
        }
        let (prefix, digits) = digits(amount, kind)?;
        Some(self.number(negative, if self.alternate { prefix } else { "" }, &digits, ""))
    }

    /// A float; `None` if the type is not one of floats.
    pub(super) fn float(&self, number: f64) -> Option<String> {
        let number = if self.kind == Some('%') { number * 100.0 } else { number };
        let mut negative = number.is_sign_negative() && !number.is_nan();
        let amount = number.abs();
        let precision = self.precision.unwrap_or(6);
        let mut text = match self.kind {
            None | Some('e' | 'E' | 'f' | 'F' | 'g' | 'G' | '%') if !number.is_finite() => writing::float_text(amount),
            None if self.precision.is_none() => writing::float_text(amount),
            Some('e' | 'E') => with_exponent(&format!("{amount:.precision$e}"), str::to_owned),
            Some('f' | 'F' | '%') => format!("{amount:.precision$}"),
            None | Some('g' | 'G') => self.general(amount, precision.max(1)),
            Some('n') if self.grouping.is_none() => self.general(amount, precision.max(1)),
            _ => return None,
        };
        if self.alternate && number.is_finite() && !text.contains('.') {
            text.insert(text.find('e').unwrap_or(text.len()), '.');
        }
        if self.positive_zero && number.is_finite() {
            negative &= text.split('e').next().is_some_and(|digits| digits.contains(|c| matches!(c, '1'..='9')));
        }
        if matches!(self.kind, Some('E' | 'F' | 'G')) {
            text.make_ascii_uppercase();
        }
        if self.kind == Some('%') {
            text.push('%');
        }
        let (digits, rest) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
        Some(self.number(negative, "", digits, rest))
    }

    /// `precision` significant digits, with an exponent where the number is far from 1.
    fn general(&self, amount: f64, precision: usize) -> String {
        // Without a type, one digit stays after the point.
        let dotted = self.kind.is_none();
        let trimmed = |text: &str| match text.contains('.') && !self.alternate {
            true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
            false => text.to_owned(),
        };
        let scientific = format!("{amount:.*e}", precision - 1);
        let exponent: i32 = scientific.split_once('e').and_then(|(_, exponent)| exponent.parse().ok()).unwrap_or(0);
        // At most 1000.
        let highest = precision as i32 - i32::from(dotted);
        if !(-4..highest).contains(&exponent) {
            return with_exponent(&scientific, trimmed);
        }
        let text = trimmed(&format!("{amount:.*}", (precision as i32 - 1 - exponent) as usize));
        if dotted && !text.contains('.') { text + ".0" } else { text }
    }

    /// A number of these digits before `rest`, with sign, groups and padding.
    pub(super) fn number(&self, negative: bool, prefix: &str, digits: &str, rest: &str) -> String {
        let sign = match self.sign {
            _ if negative => "-",
            Some('+') => "+",
            Some(' ') => " ",
            _ => "",
        };
        // A fill of zeros without an alignment goes between sign and digits.
        let align = match self.align {
            None if self.fill == Some('0') => '=',
            align => align.unwrap_or('>'),
        };
        let before = format!("{sign}{prefix}");
        let least = match self.fill {
            Some('0') if align == '=' => self.width.saturating_sub(before.len() + rest.len()),
            _ => 0,
        };
        let body = self.grouped(digits, least) + rest;
        if align == '=' { self.padded(&before, &body, '=') } else { self.padded("", &(before + &body), align) }
    }

    /// Digits with the groups' separator, and with zeros in groups before them up to the width `least`.
    fn grouped(&self, digits: &str, least: usize) -> String {
        let Some(separator) = self.grouping.filter(|_| !digits.is_empty()) else { return digits.to_owned() };
        let size = if matches!(self.kind, Some('b' | 'o' | 'x' | 'X')) { 4 } else { 3 };
        let mut reversed = Vec::new();
        let mut left = digits.chars().rev();
        for place in 0.. {
            let digit = left.next();
            if digit.is_none() && reversed.len() >= least {
                break;
            }
            // A separator is not the first, even if the digit before it passes the width.
            reversed.extend((place > 0 && place % size == 0).then_some(separator));
            reversed.push(digit.unwrap_or('0'));
        }
        reversed.into_iter().rev().collect()
    }

    /// `before` and `body` filled up to the width, with the fill between them where the alignment is `=`.
    fn padded(&self, before: &str, body: &str, align: char) -> String {
        let missing = self.width.saturating_sub(before.len() + body.chars().count());
        let left = match align {
            '<' => 0,
            '^' => missing / 2,
            _ => missing,
        };
        let fill = |times: usize| self.fill.unwrap_or(' ').to_string().repeat(times);
        format!("{before}{}{body}{}", fill(left), fill(missing - left))
    }
}

/// Rust's `1.5e7` with Python's exponent: a sign and at least two digits.
fn with_exponent(text: &str, mantissa: impl Fn(&str) -> String) -> String {
    let (digits, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    format!("{}e{exponent:+03}", mantissa(digits))
}
