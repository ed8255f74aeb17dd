//! Time: RFC 3339 timestamps, and what `formatdate` makes of them. No clock: `timestamp()` asks the scope.

use grappe_value::{Type, Value};

use super::{Function, Outcome, P, Refused, f, refuse, refuse_arg, scoped, string, text};

pub(super) static FUNCTIONS: &[Function] = &[
    f(
        "formatdate",
        "a timestamp in a form of letters (YYYY-MM-DD, hh:mm:ss, …)",
        &[string("format"), string("time")],
        P::String,
        formatdate,
    ),
    scoped("plantimestamp", "when the plan was made", &[], P::String, |_, scope| {
        Ok(instant(scope.plan_timestamp()))
    }),
    f(
        "timeadd",
        "a timestamp later by a duration (1h30m)",
        &[string("timestamp"), string("duration")],
        P::String,
        timeadd,
    ),
    f(
        "timecmp",
        "-1, 0 or 1 as the first is earlier, the same, or later",
        &[string("timestamp_a"), string("timestamp_b")],
        P::Number,
        |args| {
            let (a, b) = (Time::parse(text(args, 0), 0)?, Time::parse(text(args, 1), 1)?);
            Ok(Value::from(match a.nanos.cmp(&b.nanos) {
                std::cmp::Ordering::Less => -1i64,
                std::cmp::Ordering::Equal => 0,
                std::cmp::Ordering::Greater => 1,
            }))
        },
    ),
    scoped("timestamp", "the time now, in UTC", &[], P::String, |_, scope| Ok(instant(scope.timestamp()))),
];

fn instant(time: Option<std::sync::Arc<str>>) -> Value {
    time.map_or_else(|| Value::unknown_not_null(Type::String), Value::from)
}

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
const DAYS: [&str; 7] = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];

/// An instant with the offset that it was written with.
struct Time {
    /// Since 1970 in UTC.
    nanos: i128,
    /// Seconds east of UTC.
    offset: i64,
}

/// A local date and time.
struct Civil {
    year: i64,
    month: i64,
    day: i64,
    weekday: usize,
    hour: i64,
    minute: i64,
    second: i64,
}

const SECOND: i128 = 1_000_000_000;

impl Time {
    fn parse(text: &str, arg: usize) -> Result<Time, Refused> {
        Self::read(text).or_else(|why| refuse_arg(arg, format!("not a valid RFC3339 timestamp: {why}")))
    }

    /// `2006-01-02T15:04:05.999Z`, or an offset for `Z`.
    pub(super) fn read(text: &str) -> Result<Time, &'static str> {
        let number = |range: std::ops::Range<usize>, why| {
            text.get(range)
                .filter(|t| t.bytes().all(|b| b.is_ascii_digit()))
                .and_then(|t| t.parse::<i64>().ok())
                .ok_or(why)
        };
        let mark = |at: usize, c: char, why| {
            if text[at.min(text.len())..].starts_with(c) { Ok(()) } else { Err(why) }
        };
        if !text.is_ascii() {
            return Err("it has characters that timestamps don't have");
        }
        let year = number(0..4, "a four-digit year is required")?;
        mark(4, '-', "a \"-\" is required after the year")?;
        let month = number(5..7, "a two-digit month is required")?;
        mark(7, '-', "a \"-\" is required after the month")?;
        let day = number(8..10, "a two-digit day is required")?;
        mark(10, 'T', "missing required time introducer 'T'")?;
        let hour = number(11..13, "hour must be between 0 and 23 inclusive")?;
        mark(13, ':', "a \":\" is required after the hour")?;
        let minute = number(14..16, "minute must be between 0 and 59 inclusive")?;
        mark(16, ':', "a \":\" is required after the minute")?;
        let second = number(17..19, "second must be between 0 and 59 inclusive")?;
        let mut rest = &text[19..];
        let mut nanos = 0i128;
        if let Some(fraction) = rest.strip_prefix('.') {
            let end = fraction.find(|c: char| !c.is_ascii_digit()).unwrap_or(fraction.len());
            let digits: String = fraction[..end].chars().chain("000000000".chars()).take(9).collect();
            nanos = digits.parse().map_err(|_| "a fraction of digits is required")?;
            rest = &fraction[end..];
        }
        let offset = match rest.as_bytes() {
            b"Z" => 0,
            [sign @ (b'+' | b'-'), a, b, b':', c, d] if [a, b, c, d].iter().all(|x| x.is_ascii_digit()) => {
                let two = |x: &u8, y: &u8| i64::from(x - b'0') * 10 + i64::from(y - b'0');
                let seconds = two(a, b) * 3600 + two(c, d) * 60;
                if *sign == b'-' { -seconds } else { seconds }
            }
            _ => return Err("a time zone is required: Z, or an offset like +01:00"),
        };
        let longest = days_from_civil(if month == 12 { year + 1 } else { year }, month % 12 + 1, 1)
            - days_from_civil(year, month.clamp(1, 12), 1);
        if !(1..=12).contains(&month) {
            return Err("month must be between 1 and 12 inclusive");
        }
        if !(1..=longest).contains(&day) {
            return Err("the month does not have that day");
        }
        if hour > 23 {
            return Err("hour must be between 0 and 23 inclusive");
        }
        if minute > 59 {
            return Err("minute must be between 0 and 59 inclusive");
        }
        if second > 59 {
            return Err("second must be between 0 and 59 inclusive");
        }
        let seconds =
            days_from_civil(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset;
        Ok(Time { nanos: i128::from(seconds) * SECOND + nanos, offset })
    }

    fn civil(&self) -> Civil {
        let seconds = i64::try_from(self.nanos.div_euclid(SECOND)).unwrap_or(0) + self.offset;
        let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        let (year, month, day) = civil_from_days(days);
        Civil {
            year,
            month,
            day,
            weekday: usize::try_from(days.rem_euclid(7)).unwrap_or(0),
            hour: rest / 3600,
            minute: rest % 3600 / 60,
            second: rest % 60,
        }
    }

    /// RFC 3339, without a fraction.
    fn show(&self) -> String {
        let c = self.civil();
        format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}{}",
            c.year,
            c.month,
            c.day,
            c.hour,
            c.minute,
            c.second,
            self.zone(":", "Z")
        )
    }

    fn zone(&self, separator: &str, utc: &str) -> String {
        if self.offset == 0 && !utc.is_empty() {
            return utc.to_owned();
        }
        let sign = if self.offset < 0 { '-' } else { '+' };
        let minutes = self.offset.abs() / 60;
        format!("{sign}{:02}{separator}{:02}", minutes / 60, minutes % 60)
    }
}

/// A YAML or RFC 3339 timestamp as RFC 3339: `None` where it is none.
pub(super) fn normalize(text: &str) -> Option<String> {
    Time::read(text).ok().map(|t| t.show())
}

/// Days since 1970-01-01, by the proleptic Gregorian calendar (Howard Hinnant's algorithm).
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let of_era = y.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

fn formatdate(args: &[Value]) -> Outcome {
    let time = Time::parse(text(args, 1), 1)?;
    let c = time.civil();
    let twelve = if c.hour % 12 == 0 { 12 } else { c.hour % 12 };
    let half = if c.hour < 12 { "am" } else { "pm" };
    let month = MONTHS[usize::try_from(c.month - 1).unwrap_or(0).min(11)];
    let day = DAYS[c.weekday.min(6)];
    let mut out = String::new();
    let mut rest = text(args, 0);
    while let Some(first) = rest.chars().next() {
        if first == '\'' {
            // Quoted; two quotes are one.
            let mut inside = rest[1..].chars();
            loop {
                match inside.next() {
                    Some('\'') if inside.as_str().starts_with('\'') => {
                        inside.next();
                        out.push('\'');
                    }
                    Some('\'') => break,
                    Some(c) => out.push(c),
                    None => return refuse_arg(0, "unterminated literal '"),
                }
            }
            rest = inside.as_str();
            continue;
        }
        let end = rest.find(|c| c != first).unwrap_or(rest.len());
        let (verb, after) = rest.split_at(end);
        rest = after;
        if !first.is_ascii_alphabetic() {
            out.push_str(verb);
            continue;
        }
        out.push_str(&match verb {
            "YYYY" => format!("{:04}", c.year),
            "YY" => format!("{:02}", c.year % 100),
            "MMMM" => month.to_owned(),
            "MMM" => month[..3].to_owned(),
            "MM" => format!("{:02}", c.month),
            "M" => c.month.to_string(),
            "DD" => format!("{:02}", c.day),
            "D" => c.day.to_string(),
            "EEEE" => day.to_owned(),
            "EEE" => day[..3].to_owned(),
            "hh" => format!("{:02}", c.hour),
            "h" => c.hour.to_string(),
            "HH" => format!("{twelve:02}"),
            "H" => twelve.to_string(),
            "AA" => half.to_uppercase(),
            "aa" => half.to_owned(),
            "mm" => format!("{:02}", c.minute),
            "m" => c.minute.to_string(),
            "ss" => format!("{:02}", c.second),
            "s" => c.second.to_string(),
            "ZZZZZ" => time.zone(":", ""),
            "ZZZZ" => time.zone("", ""),
            "ZZZ" => time.zone("", "UTC"),
            "Z" => time.zone(":", "Z"),
            other => return refuse_arg(0, format!("invalid date format verb \"{other}\"")),
        });
    }
    Ok(out.into())
}

fn timeadd(args: &[Value]) -> Outcome {
    let time = Time::parse(text(args, 0), 0)?;
    let nanos = match duration(text(args, 1)) {
        Ok(nanos) => nanos,
        Err(why) => return refuse(why),
    };
    Ok(Time { nanos: time.nanos + nanos, ..time }.show().into())
}

/// A duration of Go: `-1h30m1.5s`, in nanoseconds.
fn duration(text: &str) -> Result<i128, String> {
    let invalid = || format!("time: invalid duration \"{text}\"");
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total = 0i128;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (value, after) = rest.split_at(end);
        let end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let scale: i128 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => SECOND,
            "m" => 60 * SECOND,
            "h" => 3600 * SECOND,
            "" => return Err(format!("time: missing unit in duration \"{text}\"")),
            other => return Err(format!("time: unknown unit \"{other}\" in duration \"{text}\"")),
        };
        let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
        if whole.len() + fraction.len() == 0
            || whole.len() > 18
            || fraction.len() > 18
            || fraction.contains('.')
        {
            return Err(invalid());
        }
        let number =
            |digits: &str| if digits.is_empty() { Ok(0i128) } else { digits.parse().map_err(|_| invalid()) };
        let exponent = u32::try_from(fraction.len()).unwrap_or(0);
        total += number(whole)? * scale + number(fraction)? * scale / 10i128.pow(exponent);
        rest = after;
    }
    Ok(if negative { -total } else { total })
}
