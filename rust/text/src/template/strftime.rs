//! Dates for templates, in UTC and English.

use minijinja::{Error, ErrorKind};

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

/// The time `unix_seconds` by a format of C's `strftime`. Conversions that chat templates have no use for are errors.
pub(super) fn strftime(unix_seconds: i64, format: &str) -> Result<String, Error> {
    let (days, seconds) = (unix_seconds.div_euclid(86_400), unix_seconds.rem_euclid(86_400));
    // Within 100,000 years of 1970 nothing overflows.
    let days = days.clamp(-36_524_250, 36_524_250);
    let (year, month, day) = civil(days);
    let weekday = (days + 4).rem_euclid(7) as usize;
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let (month_name, day_name) = (MONTHS[month - 1], DAYS[weekday]);

    let mut out = String::new();
    let mut characters = format.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            out.push(character);
            continue;
        }
        let mut conversion = characters.next();
        let padded = conversion != Some('-');
        if !padded {
            conversion = characters.next();
        }
        let two = |number: i64| if padded { format!("{number:02}") } else { number.to_string() };
        out.push_str(&match conversion {
            Some('Y') => year.to_string(),
            Some('y') => two(year.rem_euclid(100)),
            Some('m') => two(month as i64),
            Some('d') => two(day),
            Some('e') => format!("{day:2}"),
            Some('B') => month_name.to_owned(),
            Some('b' | 'h') => month_name[..3].to_owned(),
            Some('A') => day_name.to_owned(),
            Some('a') => day_name[..3].to_owned(),
            Some('H') => two(hour),
            Some('I') => two((hour + 11) % 12 + 1),
            Some('p') => if hour < 12 { "AM" } else { "PM" }.to_owned(),
            Some('M') => two(minute),
            Some('S') => two(second),
            Some('F') => format!("{year}-{month:02}-{day:02}"),
            Some('T') => format!("{hour:02}:{minute:02}:{second:02}"),
            Some('j') => {
                let new_year = days - (1..).take_while(|&back| civil(days - back).0 == year).count() as i64;
                format!("{:03}", days - new_year + 1)
            }
            Some('Z') => "UTC".to_owned(),
            Some('z') => "+0000".to_owned(),
            Some('%') => "%".to_owned(),
            other => {
                let other = other.map(String::from).unwrap_or_default();
                let detail = format!("strftime_now has no conversion `%{other}`");
                return Err(Error::new(ErrorKind::InvalidOperation, detail));
            }
        });
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_as_python_writes_them() {
        // datetime.fromtimestamp(t, timezone.utc).strftime(format)
        for (time, format, expected) in [
            (0, "%Y-%m-%d %H:%M:%S %a %j", "1970-01-01 00:00:00 Thu 001"),
            (1_721_994_245, "%d %b %Y", "26 Jul 2024"),
            (1_721_994_245, "%A, %B %-d, %Y %I:%M %p", "Friday, July 26, 2024 11:44 AM"),
            (951_782_400, "%F %j", "2000-02-29 060"),
            (4_107_542_399, "%F %T", "2100-02-28 23:59:59"),
            (4_107_542_400, "%F %a", "2100-03-01 Mon"),
            (-1, "%F %T %y", "1969-12-31 23:59:59 69"),
        ] {
            assert_eq!(strftime(time, format).unwrap(), expected);
        }
    }

    #[test]
    fn unknown_conversions_are_errors() {
        assert!(strftime(0, "%Q").is_err());
        assert!(strftime(0, "100%").is_err());
        assert!(strftime(i64::MAX, "%F").is_ok());
        assert!(strftime(i64::MIN, "%F").is_ok());
    }
}
