//! Numbers.

use grappe_value::{Kind, Number, Type, Value};

use super::{Function, Outcome, P, any, f, integer, number, refuse, refuse_arg};

pub(super) static FUNCTIONS: &[Function] = &[
    f("abs", "the number without its sign", &[number("num")], P::Number, |args| {
        let n = num(args, 0);
        Ok(if n.is_negative() { n.neg() } else { n }.into())
    }),
    f("ceil", "the next whole number not below", &[number("num")], P::Number, |args| {
        Ok(num(args, 0).ceil().into())
    }),
    f("floor", "the next whole number not above", &[number("num")], P::Number, |args| {
        Ok(num(args, 0).floor().into())
    }),
    f("log", "the logarithm to a base", &[number("num"), number("base")], P::Number, |args| {
        from_double(num(args, 0).to_f64().ln() / num(args, 1).to_f64().ln())
    }),
    f("max", "the greatest of numbers", &[], P::Number, |args| best(args, |a, b| a > b))
        .rest(number("numbers")),
    f("min", "the least of numbers", &[], P::Number, |args| best(args, |a, b| a < b)).rest(number("numbers")),
    f(
        "parseint",
        "the whole number that a text writes in a base",
        &[any("number"), number("base")],
        P::Number,
        parseint,
    )
    .checked(|args| super::one_of(args, 0, "a text", |ty| matches!(ty, Type::Any | Type::String))),
    f("pow", "a number raised to a power", &[number("num"), number("power")], P::Number, |args| {
        from_double(pow(num(args, 0).to_f64(), num(args, 1).to_f64()))
    }),
    f("signum", "-1, 0 or 1 by the sign", &[number("num")], P::Number, |args| {
        Ok(Value::from(integer(args, 0)?.signum()))
    }),
];

pub(super) fn num(args: &[Value], i: usize) -> Number {
    args.get(i).and_then(Value::as_number).cloned().unwrap_or_else(|| 0i64.into())
}

fn from_double(value: f64) -> Outcome {
    // By its shortest decimal, as a double prints.
    match value.to_string().parse::<Number>() {
        Ok(number) if value.is_finite() => Ok(number.into()),
        _ => refuse("the result is not a finite number"),
    }
}

/// By squares where the power is whole, each step rounded: to the last digit what Go gives.
fn pow(number: f64, power: f64) -> f64 {
    if power.fract() != 0.0 || power.abs() > 1e6 || number == 0.0 || !number.is_finite() {
        return number.powf(power);
    }
    // The number and the result as a fraction in [½, 1) and a power of two, so that nothing in between overflows.
    let split = |x: f64| {
        let exponent = x.abs().log2().floor() as i64 + 1;
        let half = scaled(x, -exponent);
        if half.abs() >= 1.0 { (half / 2.0, exponent + 1) } else { (half, exponent) }
    };
    let (mut factor, mut factor_exponent) = split(number);
    let (mut result, mut exponent) = (1.0, 0i64);
    let mut left = power.abs() as u64;
    while left > 0 {
        if left & 1 == 1 {
            result *= factor;
            exponent += factor_exponent;
        }
        factor *= factor;
        factor_exponent *= 2;
        if factor.abs() < 0.5 {
            factor += factor;
            factor_exponent -= 1;
        }
        left >>= 1;
    }
    if power < 0.0 { scaled(1.0 / result, -exponent) } else { scaled(result, exponent) }
}

/// Times a power of two.
fn scaled(x: f64, exponent: i64) -> f64 {
    let step = |e: i64| 2f64.powi(i32::try_from(e.clamp(-1000, 1000)).unwrap_or(0));
    x * step(exponent / 2) * step(exponent - exponent / 2)
}

fn best(args: &[Value], better: fn(&Number, &Number) -> bool) -> Outcome {
    let mut numbers = args.iter().filter_map(Value::as_number);
    let Some(first) = numbers.next() else { return refuse("must pass at least one number") };
    let found = numbers.fold(first, |best, n| if better(n, best) { n } else { best });
    Ok(found.clone().into())
}

fn parseint(args: &[Value]) -> Outcome {
    let text = match args[0].kind() {
        Kind::String(s) => s.to_string(),
        _ => {
            return refuse_arg(
                0,
                format!("first argument must be a string, not {}", args[0].ty().friendly()),
            );
        }
    };
    let base = integer(args, 1)?;
    let Some(base) = u8::try_from(base).ok().filter(|b| (2..=62).contains(b)) else {
        return refuse_arg(1, "base must be a whole number between 2 and 62 inclusive");
    };
    let bad = || refuse_arg(0, format!("cannot parse \"{text}\" as a base {base} integer"));
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(&text)),
    };
    if digits.is_empty() {
        return bad();
    }
    let radix = Number::from(i64::from(base));
    let mut result = Number::from(0i64);
    for c in digits.bytes() {
        // Up to 36 the case does not matter; beyond, small letters come first.
        let digit = match c {
            b'0'..=b'9' => c - b'0',
            b'a'..=b'z' => c - b'a' + 10,
            b'A'..=b'Z' if base <= 36 => c - b'A' + 10,
            b'A'..=b'Z' => c - b'A' + 36,
            _ => return bad(),
        };
        if digit >= base {
            return bad();
        }
        result = result.mul(&radix).add(&i64::from(digit).into());
    }
    Ok(if negative { result.neg() } else { result }.into())
}
