//! `format` and `formatlist`: Go's verbs over Terraform's values.
//!
//! A specification is `%`, flags (`0`, `#`, `-`, `+`, space), a width, `.` and a precision, `[n]` (which argument, from 1), and a verb.

use grappe_value::{Kind, Number, Type, Value, convert};

use super::encoding;
use super::strings::{as_text, length};
use super::{Function, Outcome, P, Refused, any, f, refuse, refuse_arg, string, text};

pub(super) static FUNCTIONS: &[Function] = &[
    f(
        "format",
        "a text with values in the places of its verbs (%s, %d, %v, …)",
        &[string("format")],
        P::String,
        |args| format(text(args, 0), &args[1..]).map(Value::from),
    )
    .rest(any("args").null())
    .whole(),
    f(
        "formatlist",
        "a list of texts, one for each element of the lists among the arguments",
        &[string("format")],
        P::Strings,
        formatlist,
    )
    .rest(any("args").null().unknown()),
];

#[derive(Default)]
struct Spec<'a> {
    zero: bool,
    alternate: bool,
    left: bool,
    plus: bool,
    space: bool,
    width: usize,
    precision: Option<usize>,
    verb: char,
    /// The whole specification, for messages.
    raw: &'a str,
    /// Where it starts, in bytes.
    at: usize,
}

/// Longer than any text that is meant.
const MAX_WIDTH: usize = 10_000;

fn format(template: &str, args: &[Value]) -> Result<String, Refused> {
    let mut out = String::new();
    let mut next = 0;
    let mut used = 0;
    let mut rest = template;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let start = template.len() - rest.len() + at;
        let (spec, chosen, after) = parse(template, start)?;
        rest = after;
        if spec.verb == '%' {
            out.push('%');
            continue;
        }
        if let Some(index) = chosen {
            next = index.saturating_sub(1);
        }
        let Some(value) = args.get(next) else {
            return refuse(format!(
                "not enough arguments for \"{}\" at {}: need index {} but have {} total",
                spec.raw,
                spec.at,
                next + 1,
                args.len()
            ));
        };
        next += 1;
        used = used.max(next);
        out.push_str(&spec.apply(value)?);
    }
    out.push_str(rest);
    if used < args.len() {
        let message = match used {
            0 => "too many arguments; no verbs in format string".to_owned(),
            _ => format!("too many arguments; only {used} used by format string"),
        };
        return refuse_arg(used + 1, message);
    }
    Ok(out)
}

/// The specification that starts at a byte, the argument it names, and what follows it.
fn parse(template: &str, start: usize) -> Result<(Spec<'_>, Option<usize>, &str), Refused> {
    let mut spec = Spec { at: start, ..Spec::default() };
    let body = &template[start + 1..];
    let mut rest = body.trim_start_matches(|c| {
        match c {
            '0' => spec.zero = true,
            '#' => spec.alternate = true,
            '-' => spec.left = true,
            '+' => spec.plus = true,
            ' ' => spec.space = true,
            _ => return false,
        }
        true
    });
    let mut digits = || {
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, after) = rest.split_at(end);
        rest = after;
        number.parse::<usize>().ok().map(|n| n.min(MAX_WIDTH))
    };
    spec.width = digits().unwrap_or(0);
    let mut chosen = None;
    if let Some(after) = rest.strip_prefix('.') {
        let end = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
        spec.precision = Some(after[..end].parse().unwrap_or(0).min(MAX_WIDTH));
        rest = &after[end..];
    }
    if let Some(after) = rest.strip_prefix('[')
        && let Some((index, after)) = after.split_once(']')
    {
        match index.parse::<usize>() {
            Ok(index) if index > 0 => chosen = Some(index),
            _ => return refuse(format!("invalid format string starting at offset {}", start + 1)),
        }
        rest = after;
    }
    let Some(verb) = rest.chars().next() else {
        return refuse(format!("invalid format string starting at offset {}", start + 1));
    };
    let after = &rest[verb.len_utf8()..];
    spec.verb = verb;
    spec.raw = &template[start..template.len() - after.len()];
    Ok((spec, chosen, after))
}

impl Spec<'_> {
    fn bad<T>(&self, why: &str) -> Result<T, Refused> {
        refuse(format!("unsupported value for \"{}\" at {}: {why}", self.raw, self.at))
    }

    fn apply(&self, value: &Value) -> Result<String, Refused> {
        if value.is_null() && self.verb != 'v' {
            return self.bad("null value cannot be formatted");
        }
        Ok(match self.verb {
            'v' if self.alternate => self.pad(as_json(value)?),
            'v' => match value.kind() {
                Kind::String(s) => self.text(s),
                Kind::Number(n) => self.number(n.is_negative(), &Self::general(Decimal::new(n), 21, 'e')),
                Kind::Bool(b) => self.pad(b.to_string()),
                _ => self.pad(as_json(value)?),
            },
            't' => match convert(value, &Type::Bool).ok().and_then(|v| v.as_bool()) {
                Some(b) => b.to_string(),
                None => return self.bad("bool required"),
            },
            's' => match as_text(value) {
                Some(s) => self.text(&s),
                None => return self.bad("string required"),
            },
            'q' => match as_text(value) {
                Some(s) => self.pad(serde_json::Value::from(s).to_string()),
                None => return self.bad("string required"),
            },
            'b' | 'd' | 'o' | 'x' | 'X' => self.integer(&self.number_of(value)?)?,
            'e' | 'E' | 'f' | 'F' | 'g' | 'G' => {
                let n = self.number_of(value)?;
                self.number(n.is_negative(), &self.float(&n))
            }
            verb => {
                return refuse(format!(
                    "unsupported format verb '{verb}' in \"{}\" at offset {}",
                    self.raw, self.at
                ));
            }
        })
    }

    fn number_of(&self, value: &Value) -> Result<Number, Refused> {
        match convert(value, &Type::Number) {
            Ok(value) => value.as_number().cloned().map_or_else(|| self.bad("a number is required"), Ok),
            Err(_) => self.bad("a number is required"),
        }
    }

    fn integer(&self, n: &Number) -> Result<String, Refused> {
        if !n.is_integer() {
            return self.bad("an integer is required");
        }
        let digits = n.to_string();
        let digits = digits.trim_start_matches('-');
        let radix = match self.verb {
            'b' => 2,
            'o' => 8,
            'x' | 'X' => 16,
            _ => return Ok(self.number(n.is_negative(), digits)),
        };
        let prefix = match (self.alternate, self.verb) {
            (true, 'b') => "0b",
            (true, 'o') => "0",
            (true, 'x') => "0x",
            (true, 'X') => "0X",
            _ => "",
        };
        let digits = in_radix(digits, radix);
        let digits = if self.verb == 'X' { digits.to_uppercase() } else { digits };
        Ok(self.number(n.is_negative(), &format!("{prefix}{digits}")))
    }

    /// Digits with a sign, filled up with zeros or spaces.
    fn number(&self, negative: bool, digits: &str) -> String {
        let sign = match (negative, self.plus, self.space) {
            (true, ..) => "-",
            (_, true, _) => "+",
            (_, _, true) => " ",
            _ => "",
        };
        let missing = self.width.saturating_sub(sign.len() + digits.len());
        if self.zero && !self.left {
            format!("{sign}{}{digits}", "0".repeat(missing))
        } else {
            self.pad(format!("{sign}{digits}"))
        }
    }

    fn text(&self, text: &str) -> String {
        use unicode_segmentation::UnicodeSegmentation;
        match self.precision {
            Some(most) => self.pad(text.graphemes(true).take(most).collect()),
            None => self.pad(text.to_owned()),
        }
    }

    fn pad(&self, text: String) -> String {
        let missing = self.width.saturating_sub(length(&text));
        if missing == 0 {
            text
        } else if self.left {
            text + &" ".repeat(missing)
        } else {
            (if self.zero { "0" } else { " " }).repeat(missing) + &text
        }
    }

    /// Without a sign.
    fn float(&self, n: &Number) -> String {
        let decimal = Decimal::new(n);
        match self.verb {
            'f' | 'F' => decimal.fixed(self.precision.unwrap_or(6)),
            'e' => decimal.exponent(self.precision.unwrap_or(6), 'e'),
            'E' => decimal.exponent(self.precision.unwrap_or(6), 'E'),
            verb => {
                let e = if verb == 'g' { 'e' } else { 'E' };
                // The shortest digits by default; then six is what a plain number may have before the point.
                match self.precision {
                    None => Self::general(decimal, 6, e),
                    Some(precision) => {
                        let keep = i32::try_from(precision.max(1)).unwrap_or(i32::MAX);
                        Self::general(decimal.round(keep), keep, e)
                    }
                }
            }
        }
    }

    /// Plain digits, or an exponent where there would be `limit` of them before the point, or many zeros after it.
    fn general(decimal: Decimal, limit: i32, e: char) -> String {
        let exponent = decimal.point - 1;
        if exponent < -4 || exponent >= limit {
            return decimal.exponent(decimal.digits.len().saturating_sub(1), e);
        }
        let places = i32::try_from(decimal.digits.len()).unwrap_or(i32::MAX) - decimal.point;
        decimal.fixed(usize::try_from(places).unwrap_or(0))
    }
}

fn as_json(value: &Value) -> Result<String, Refused> {
    encoding::json_text(value)
}

/// Decimal digits to another radix, by long division: numbers may be of any size.
fn in_radix(decimal: &str, radix: u32) -> String {
    let mut digits: Vec<u32> = decimal.chars().filter_map(|c| c.to_digit(10)).collect();
    let mut out = Vec::new();
    while digits.iter().any(|d| *d != 0) {
        let mut remainder = 0;
        for digit in &mut digits {
            let value = remainder * 10 + *digit;
            *digit = value / radix;
            remainder = value % radix;
        }
        out.extend(char::from_digit(remainder, radix));
    }
    if out.is_empty() {
        out.push('0');
    }
    out.iter().rev().collect()
}

/// The digits of a number without its sign: `0.d1d2d3… × 10^point`.
struct Decimal {
    digits: Vec<u8>,
    point: i32,
}

impl Decimal {
    fn new(n: &Number) -> Self {
        let text = n.to_string();
        let text = text.trim_start_matches('-');
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let all: Vec<u8> = whole.bytes().chain(fraction.bytes()).map(|b| b - b'0').collect();
        let zeros = all.iter().take_while(|d| **d == 0).count();
        let mut digits = all[zeros..].to_vec();
        while digits.last() == Some(&0) {
            digits.pop();
        }
        let signed = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
        let point = if digits.is_empty() { 1 } else { signed(whole.len()) - signed(zeros) };
        Decimal { digits, point }
    }

    /// To so many digits; ties to even.
    fn round(&self, keep: i32) -> Decimal {
        let Ok(keep) = usize::try_from(keep) else {
            return Decimal { digits: Vec::new(), point: self.point };
        };
        if keep >= self.digits.len() {
            return Decimal { digits: self.digits.clone(), point: self.point };
        }
        let mut digits = self.digits[..keep].to_vec();
        let rest = &self.digits[keep..];
        let tie = rest[0] == 5 && rest.len() == 1;
        let odd = digits.last().is_some_and(|d| d % 2 == 1);
        let mut point = self.point;
        if rest[0] > 5 || rest[0] == 5 && (!tie || odd) {
            let mut carry = true;
            for digit in digits.iter_mut().rev() {
                if *digit < 9 {
                    *digit += 1;
                    carry = false;
                    break;
                }
                *digit = 0;
            }
            if carry {
                digits.insert(0, 1);
                point += 1;
            }
        }
        while digits.last() == Some(&0) {
            digits.pop();
        }
        Decimal { digits, point }
    }

    fn digit(&self, at: i32) -> char {
        let found = usize::try_from(at).ok().and_then(|i| self.digits.get(i));
        char::from(b'0' + found.copied().unwrap_or(0))
    }

    fn fixed(&self, places: usize) -> String {
        let places = i32::try_from(places).unwrap_or(i32::MAX);
        let rounded = self.round(self.point.saturating_add(places));
        let mut out: String = (0..rounded.point).map(|i| rounded.digit(i)).collect();
        if out.is_empty() {
            out.push('0');
        }
        if places > 0 {
            out.push('.');
            out.extend((0..places).map(|i| rounded.digit(rounded.point + i)));
        }
        out
    }

    fn exponent(&self, places: usize, e: char) -> String {
        let rounded = self.round(i32::try_from(places).unwrap_or(i32::MAX).saturating_add(1));
        let mut out = String::from(rounded.digit(0));
        if places > 0 {
            out.push('.');
            out.extend((1..=places).map(|i| rounded.digit(i32::try_from(i).unwrap_or(i32::MAX))));
        }
        let exponent = rounded.point - 1;
        out.push(e);
        out.push(if exponent < 0 { '-' } else { '+' });
        out.push_str(&format!("{:02}", exponent.abs()));
        out
    }
}

fn formatlist(args: &[Value]) -> Outcome {
    // How long a list is that is not known can't be said.
    let open = |value: &Value| {
        !matches!(value.ty(), Type::Bool | Type::Number | Type::String | Type::Map(_) | Type::Object(_))
    };
    if args.iter().any(|value| value.is_unknown() && open(value)) {
        return Ok(Value::unknown_not_null(Type::list(Type::String)));
    }
    let rows = |value: &Value| match value.kind() {
        Kind::List(_, items) | Kind::Set(_, items) | Kind::Tuple(items) => Some(items.len()),
        _ => None,
    };
    let mut count: Option<(usize, usize)> = None;
    for (i, value) in args.iter().enumerate().skip(1) {
        let Some(have) = rows(value) else { continue };
        match count {
            None => count = Some((i, have)),
            Some((first, want)) if want != have => {
                return refuse_arg(
                    i,
                    format!(
                        "argument {i} has length {have}, which is inconsistent with argument {first} of length {want}"
                    ),
                );
            }
            Some(_) => {}
        }
    }
    let count = count.map_or(1, |(_, count)| count);
    let mut out = Vec::with_capacity(count);
    for row in 0..count {
        let row_args: Vec<Value> = args[1..]
            .iter()
            .map(|value| match rows(value) {
                Some(_) => value.as_items().and_then(|items| items.get(row)).cloned().unwrap_or(Value::NULL),
                None => value.clone(),
            })
            .collect();
        if !row_args.iter().all(Value::is_wholly_known) {
            out.push(Value::unknown_not_null(Type::String));
            continue;
        }
        match format(text(args, 0), &row_args) {
            Ok(text) => out.push(Value::from(text)),
            Err(error) if error.arg.is_some() => return Err(error),
            Err(error) => return refuse(format!("error on format iteration {row}: {}", error.message)),
        }
    }
    Ok(Value::list(Type::String, out))
}
