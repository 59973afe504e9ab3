//! Dates for templates, in English.

use minijinja::Error;

use super::invalid;

type Result<T> = std::result::Result<T, Error>;

/// Longest date.
const MAX_BYTES: usize = 64 << 10;

/// Widest padding of one part of a date.
const MAX_WIDTH: usize = 1000;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// Year, month (1 to 12) and day of the month, of a day counted from 1970-01-01.
///
/// (The Gregorian calendar repeats after 146,097 days; years are counted from March, so that the leap day comes last.)
fn civil(days: i64) -> (i64, usize, i64) {
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + i64::from(month <= 2), month as usize, day_of_month)
}

/// A local date and time, without a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DateTime {
    days: i64,
    seconds: i64,
}

/// How a number is padded.
#[derive(Clone, Copy)]
enum Pad {
    Zero,
    Space,
    None,
}

impl DateTime {
    /// From local time in seconds since 1970-01-01 00:00.
    pub(super) fn from_local_seconds(seconds: i64) -> DateTime {
        // Within 100,000 years of 1970 nothing overflows.
        let days = seconds.div_euclid(86_400).clamp(-36_524_250, 36_524_250);
        DateTime { days, seconds: seconds.rem_euclid(86_400) }
    }

    /// The time by a format of `strftime`, as Python on Linux writes it in the C locale. A time without a zone has
    /// neither a name (`%Z`) nor an offset (`%z`); text that is not a conversion stays unchanged.
    pub(super) fn format(&self, format: &str) -> Result<String> {
        let mut out = String::new();
        self.write(&mut out, format)?;
        Ok(out)
    }

    fn write(&self, out: &mut String, format: &str) -> Result<()> {
        let mut rest = format;
        while let Some(at) = rest.find('%') {
            out.push_str(&rest[..at]);
            let conversion = &rest[at..];
            rest = &conversion[1..];
            let (mut pad, mut upper, mut swap) = (None, false, false);
            while let Some(flag @ ('-' | '_' | '0' | '^' | '#')) = rest.chars().next() {
                match flag {
                    '-' => pad = Some(Pad::None),
                    '_' => pad = Some(Pad::Space),
                    '0' => pad = Some(Pad::Zero),
                    '^' => upper = true,
                    _ => swap = true,
                }
                rest = &rest[1..];
            }
            let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            let size = if digits == 0 { 0 } else { rest[..digits].parse().unwrap_or(usize::MAX) };
            if size > MAX_WIDTH {
                return Err(invalid(format!("a date cannot be padded to {size}")));
            }
            rest = &rest[digits..];
            // These ask for a locale's other forms; C has none.
            rest = rest.strip_prefix(['E', 'O']).unwrap_or(rest);
            let Some(kind) = rest.chars().next() else {
                out.push_str(conversion);
                return Ok(());
            };
            rest = &rest[kind.len_utf8()..];
            let Some((text, is_number)) = self.conversion(kind, pad)? else {
                out.push_str(&conversion[..conversion.len() - rest.len()]);
                continue;
            };
            let text = match (upper, swap, kind) {
                (_, true, 'p') => text.to_lowercase(),
                (true, ..) | (_, true, 'a' | 'A' | 'b' | 'B' | 'h') => text.to_uppercase(),
                _ => text,
            };
            let fill = match (pad, is_number) {
                (Some(Pad::None), _) => "",
                (Some(Pad::Zero), _) | (None, true) => "0",
                _ => " ",
            };
            out.push_str(&fill.repeat(size.saturating_sub(text.len())));
            out.push_str(&text);
            if out.len() > MAX_BYTES {
                return Err(invalid("a date of more than 64 KiB"));
            }
        }
        out.push_str(rest);
        Ok(())
    }

    /// The text of one conversion, and whether it is a number.
    fn conversion(&self, kind: char, pad: Option<Pad>) -> Result<Option<(String, bool)>> {
        let (year, month, day) = civil(self.days);
        let weekday = (self.days + 4).rem_euclid(7);
        let day_of_year = self.days - days_before_year(year);
        let (hour, minute, second) = (self.seconds / 3600, self.seconds / 60 % 60, self.seconds % 60);
        let (month_name, day_name) = (MONTHS[month - 1], DAYS[weekday as usize]);
        let number = |number: i64, size: usize, usual: Pad| {
            Some((
                match pad.unwrap_or(usual) {
                    Pad::Zero => format!("{number:0size$}"),
                    Pad::Space => format!("{number:size$}"),
                    Pad::None => number.to_string(),
                },
                true,
            ))
        };
        let word = |text: &str| Some((text.to_owned(), false));
        let hour_of_12 = (hour + 11) % 12 + 1;
        let composed = |format: &str| self.format(format).map(|text| Some((text, false)));
        Ok(match kind {
            'Y' => number(year, 1, Pad::Zero),
            'C' => number(year.div_euclid(100), 2, Pad::Zero),
            'y' => number(year.rem_euclid(100), 2, Pad::Zero),
            'm' => number(month as i64, 2, Pad::Zero),
            'd' => number(day, 2, Pad::Zero),
            'e' => number(day, 2, Pad::Space),
            'j' => number(day_of_year + 1, 3, Pad::Zero),
            'H' => number(hour, 2, Pad::Zero),
            'I' => number(hour_of_12, 2, Pad::Zero),
            'k' => number(hour, 2, Pad::Space),
            'l' => number(hour_of_12, 2, Pad::Space),
            'M' => number(minute, 2, Pad::Zero),
            'S' => number(second, 2, Pad::Zero),
            'f' => word("000000"),
            'w' => number(weekday, 1, Pad::Zero),
            'u' => number((weekday + 6) % 7 + 1, 1, Pad::Zero),
            'U' => number((day_of_year + 7 - weekday) / 7, 2, Pad::Zero),
            'W' => number((day_of_year + 7 - (weekday + 6) % 7) / 7, 2, Pad::Zero),
            'G' => number(self.iso_week().0, 1, Pad::Zero),
            'g' => number(self.iso_week().0.rem_euclid(100), 2, Pad::Zero),
            'V' => number(self.iso_week().1, 2, Pad::Zero),
            's' => number(self.days * 86_400 + self.seconds, 1, Pad::Zero),
            'B' => word(month_name),
            'b' | 'h' => word(&month_name[..3]),
            'A' => word(day_name),
            'a' => word(&day_name[..3]),
            'p' => word(if hour < 12 { "AM" } else { "PM" }),
            'P' => word(if hour < 12 { "am" } else { "pm" }),
            'F' => composed("%Y-%m-%d")?,
            'T' | 'X' => composed("%H:%M:%S")?,
            'R' => composed("%H:%M")?,
            'r' => composed("%I:%M:%S %p")?,
            'D' | 'x' => composed("%m/%d/%y")?,
            'c' => composed("%a %b %e %H:%M:%S %Y")?,
            'v' => composed("%e-%b-%Y")?,
            'Z' | 'z' => word(""),
            'n' => word("\n"),
            't' => word("\t"),
            '%' => word("%"),
            _ => None,
        })
    }

    /// Year and week of ISO 8601: the week with the year's first Thursday is the first.
    fn iso_week(&self) -> (i64, i64) {
        let from_monday = (self.days + 3).rem_euclid(7);
        let thursday = self.days - from_monday + 3;
        let year = civil(thursday).0;
        (year, (thursday - days_before_year(year)) / 7 + 1)
    }
}

/// Days from 1970-01-01 to the first of January of a year.
fn days_before_year(year: i64) -> i64 {
    let past = year - 1;
    past * 365 + past.div_euclid(4) - past.div_euclid(100) + past.div_euclid(400) - 719_162
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strftime(seconds: i64, format: &str) -> String {
        DateTime::from_local_seconds(seconds).format(format).unwrap()
    }

    #[test]
    fn dates_as_python_writes_them() {
        // datetime.fromtimestamp(t, timezone.utc).replace(tzinfo=None).strftime(format), Linux, C locale
        for (time, format, expected) in [
            (0, "%Y-%m-%d %H:%M:%S %a %j", "1970-01-01 00:00:00 Thu 001"),
            (1_721_994_245, "%d %b %Y", "26 Jul 2024"),
            (1_721_994_245, "%A, %B %-d, %Y %I:%M %p", "Friday, July 26, 2024 11:44 AM"),
            (951_782_400, "%F %j", "2000-02-29 060"),
            (4_107_542_399, "%F %T", "2100-02-28 23:59:59"),
            (4_107_542_400, "%F %a", "2100-03-01 Mon"),
            (-1, "%F %T %y", "1969-12-31 23:59:59 69"),
        ] {
            assert_eq!(strftime(time, format), expected, "{format}");
        }
    }

    #[test]
    fn text_that_is_not_a_conversion_stays() {
        assert_eq!(strftime(0, "%Q 100%"), "%Q 100%");
        assert!(!strftime(i64::MAX, "%F %V %U %W %j").is_empty());
        assert!(!strftime(i64::MIN, "%F %V %U %W %j").is_empty());
        assert!(DateTime::from_local_seconds(0).format("%1000000000d").is_err());
    }
}
