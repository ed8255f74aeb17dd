//! Exact numbers, as Terraform's users see them: integers of any size, fractions in binary with 512 bits of mantissa,
//! printed as the shortest decimal that reads back as the same number (Go's `big.Float`, precision 512).

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use dashu_float::FBig;
use dashu_float::round::mode::HalfEven;
use dashu_int::ops::BitTest;
use dashu_int::{IBig, UBig};

/// Bits of mantissa that a fraction keeps.
const PRECISION: usize = 512;

type Big = FBig<HalfEven, 2>;

/// An exact number. Small integers are kept as such: they are nearly all the numbers of a plan.
#[derive(Clone)]
pub struct Number(Repr);

#[derive(Clone)]
enum Repr {
    Int(i64),
    Big(Box<Big>),
}

impl Number {
    fn from_big(value: Big) -> Self {
        if value.repr().is_infinite() {
            return Number(Repr::Big(Box::new(value)));
        }
        if let Ok(int) = IBig::try_from(value.clone())
            && let Ok(small) = i64::try_from(int)
        {
            return Number(Repr::Int(small));
        }
        Number(Repr::Big(Box::new(value)))
    }

    fn big(&self) -> Big {
        match &self.0 {
            Repr::Int(i) => Big::from(*i).with_precision(PRECISION).value(),
            Repr::Big(big) => (**big).clone(),
        }
    }

    /// From a double: `None` for NaN and the infinities.
    #[must_use]
    pub fn from_f64(value: f64) -> Option<Self> {
        if !value.is_finite() {
            return None;
        }
        Big::try_from(value).ok().map(|b| Self::from_big(b.with_precision(PRECISION).value()))
    }

    /// The nearest double.
    #[must_use]
    pub fn to_f64(&self) -> f64 {
        match &self.0 {
            #[expect(clippy::cast_precision_loss, reason = "the nearest double is what was asked for")]
            Repr::Int(i) => *i as f64,
            Repr::Big(big) => big.to_f64().value(),
        }
    }

    /// The value as an `i64`, where it is a whole number in that range.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        match &self.0 {
            Repr::Int(i) => Some(*i),
            Repr::Big(_) => None,
        }
    }

    /// The value as a `usize`, where it is a whole number in that range.
    #[must_use]
    pub fn as_usize(&self) -> Option<usize> {
        self.as_i64().and_then(|i| usize::try_from(i).ok())
    }

    /// Whether it has no fraction.
    #[must_use]
    pub fn is_integer(&self) -> bool {
        match &self.0 {
            Repr::Int(_) => true,
            Repr::Big(big) => IBig::try_from((**big).clone()).is_ok(),
        }
    }

    /// Sum.
    #[must_use]
    pub fn add(&self, other: &Self) -> Self {
        if let (Repr::Int(a), Repr::Int(b)) = (&self.0, &other.0)
            && let Some(sum) = a.checked_add(*b)
        {
            return Number(Repr::Int(sum));
        }
        Self::from_big(sum(&self.big(), &other.big()))
    }

    /// Difference.
    #[must_use]
    pub fn sub(&self, other: &Self) -> Self {
        self.add(&other.neg())
    }

    /// Product.
    #[must_use]
    pub fn mul(&self, other: &Self) -> Self {
        if let (Repr::Int(a), Repr::Int(b)) = (&self.0, &other.0)
            && let Some(product) = a.checked_mul(*b)
        {
            return Number(Repr::Int(product));
        }
        Self::from_big(product(&self.big(), &other.big()))
    }

    /// Quotient: `None` when dividing by zero.
    #[must_use]
    pub fn div(&self, other: &Self) -> Option<Self> {
        if other.is_zero() {
            return None;
        }
        if let (Repr::Int(a), Repr::Int(b)) = (&self.0, &other.0)
            && a.checked_rem(*b) == Some(0)
        {
            return Some(Number(Repr::Int(a / b)));
        }
        Some(Self::from_big(quotient(&self.big(), &other.big())))
    }

    /// Remainder with the sign of the dividend: `None` when dividing by zero.
    #[must_use]
    pub fn rem(&self, other: &Self) -> Option<Self> {
        if other.is_zero() {
            return None;
        }
        if let (Repr::Int(a), Repr::Int(b)) = (&self.0, &other.0) {
            return Some(Number(Repr::Int(a.checked_rem(*b).unwrap_or(0))));
        }
        let whole = quotient(&self.big(), &other.big()).trunc();
        Some(Self::from_big(sum(&self.big(), &-product(&whole, &other.big()))))
    }

    /// Negation.
    #[must_use]
    pub fn neg(&self) -> Self {
        match &self.0 {
            Repr::Int(i) if *i != i64::MIN => Number(Repr::Int(-i)),
            _ => Self::from_big(-self.big()),
        }
    }

    /// The next whole number not above it.
    #[must_use]
    pub fn floor(&self) -> Self {
        match &self.0 {
            Repr::Int(_) => self.clone(),
            Repr::Big(big) => Self::from_big(big.floor()),
        }
    }

    /// The next whole number not below it.
    #[must_use]
    pub fn ceil(&self) -> Self {
        match &self.0 {
            Repr::Int(_) => self.clone(),
            Repr::Big(big) => Self::from_big(big.ceil()),
        }
    }

    /// Whether it is 0.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        matches!(self.0, Repr::Int(0))
    }

    /// Whether it is below 0.
    #[must_use]
    pub fn is_negative(&self) -> bool {
        match &self.0 {
            Repr::Int(i) => *i < 0,
            Repr::Big(big) => **big < Big::ZERO,
        }
    }
}

macro_rules! from_int {
    ($($t:ty),*) => {$(
        impl From<$t> for Number {
            fn from(value: $t) -> Self {
                match i64::try_from(value) {
                    Ok(small) => Number(Repr::Int(small)),
                    Err(_) => Number(Repr::Big(Box::new(Big::from(IBig::from(value)).with_precision(PRECISION).value()))),
                }
            }
        }
    )*};
}
from_int!(i32, u32, i64, u64, usize);

/// A text that is not a number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a number is required, not {0:?}")]
pub struct ParseNumberError(String);

/// Decimal notation with an optional fraction and exponent, as JSON and HCL have it.
impl FromStr for Number {
    type Err = ParseNumberError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || ParseNumberError(text.chars().take(40).collect());
        if let Ok(small) = text.parse::<i64>()
            && !text.starts_with('+')
        {
            return Ok(Number(Repr::Int(small)));
        }
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match digits.split_once(['e', 'E']) {
            Some((m, e)) => (m, e.parse::<i32>().map_err(|_| refuse())?),
            None => (digits, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) || mantissa.ends_with('.') {
            return Err(refuse());
        }
        // A bound on the exponent keeps `1e999999999` from eating the memory.
        let scale = i64::from(exponent) - i64::try_from(fraction.len()).map_err(|_| refuse())?;
        if scale.abs() > 100_000 {
            return Err(refuse());
        }
        let significand = UBig::from_str_radix(&format!("{whole}{fraction}"), 10).map_err(|_| refuse())?;
        let power = UBig::from(10u8).pow(usize::try_from(scale.unsigned_abs()).map_err(|_| refuse())?);
        let mut value = if scale >= 0 {
            // Whole numbers stay exact whatever their size.
            let int = significand * power;
            let precision = int.bit_len().max(PRECISION);
            Big::from(IBig::from(int)).with_precision(precision).value()
        } else {
            let whole = |n: UBig| Big::from_parts(IBig::from(n), 0);
            quotient(&whole(significand), &whole(power))
        };
        if negative {
            value = -value;
        }
        Ok(Self::from_big(value))
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::Int(i) => write!(f, "{i}"),
            Repr::Big(big) => match IBig::try_from((**big).clone()) {
                Ok(int) => write!(f, "{int}"),
                Err(_) => f.write_str(&shortest_decimal(big)),
            },
        }
    }
}

/// The exact sum, rounded once: what the library's own addition drops beyond the precision can decide the last bit.
fn sum(a: &Big, b: &Big) -> Big {
    const NEAR: isize = 8 * PRECISION as isize;
    let (low, high) =
        if a.repr().exponent() <= b.repr().exponent() { (a.repr(), b.repr()) } else { (b.repr(), a.repr()) };
    // So far apart that nothing of the lower one is seen.
    if low.is_infinite() || high.is_infinite() || high.exponent() - low.exponent() > NEAR {
        return a + b;
    }
    let (at, apart) = (low.exponent(), (high.exponent() - low.exponent()).unsigned_abs());
    let whole = low.significand() + (high.significand().clone() << apart);
    Big::from_parts(whole, at).with_precision(PRECISION).value()
}

/// The exact product, rounded once.
fn product(a: &Big, b: &Big) -> Big {
    let (a, b) = (a.repr(), b.repr());
    Big::from_parts(a.significand() * b.significand(), a.exponent() + b.exponent())
        .with_precision(PRECISION)
        .value()
}

/// The exact quotient, rounded once.
fn quotient(a: &Big, b: &Big) -> Big {
    let (top, bottom) = (a.repr().significand(), b.repr().significand());
    let length = |n: &IBig| n.bit_len();
    // More bits than are kept; the last of them says whether anything is left over.
    let shift = (PRECISION + 2 + length(bottom)).saturating_sub(length(top));
    let top = top.clone() << shift;
    let whole = &top / bottom;
    let rest = &top - &whole * bottom;
    let sign = if (top < IBig::ZERO) == (*bottom < IBig::ZERO) { IBig::ONE } else { -IBig::ONE };
    let sticky = if rest == IBig::ZERO { IBig::ZERO } else { sign };
    let exponent =
        a.repr().exponent() - b.repr().exponent() - isize::try_from(shift).unwrap_or(isize::MAX) - 1;
    Big::from_parts((whole << 1) + sticky, exponent).with_precision(PRECISION).value()
}

/// The shortest decimal that reads back as the same binary fraction.
fn shortest_decimal(value: &Big) -> String {
    // 512 bits are 154.1 decimal digits: 156 always read back. The property is monotonic, so a binary search finds the least.
    let render = |digits: usize| {
        let decimal = value.clone().with_base_and_precision::<10>(digits).value();
        plain_notation(&decimal)
    };
    let reads_back = |text: &str| text.parse::<Number>().is_ok_and(|n| n.big() == *value);
    let (mut low, mut high) = (1, 156);
    while low < high {
        let middle = usize::midpoint(low, high);
        if reads_back(&render(middle)) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    render(low)
}

/// Digits without an exponent.
fn plain_notation<R: dashu_float::round::Round>(decimal: &FBig<R, 10>) -> String {
    let (significand, exponent) = (decimal.repr().significand().clone(), decimal.repr().exponent());
    let negative = significand < IBig::ZERO;
    let mut digits = significand.to_string().trim_start_matches('-').to_owned();
    let text = if exponent >= 0 {
        digits.extend(std::iter::repeat_n('0', exponent.unsigned_abs()));
        digits
    } else {
        let places = exponent.unsigned_abs();
        if digits.len() <= places {
            digits = format!("{}{digits}", "0".repeat(places - digits.len() + 1));
        }
        let split = digits.len() - places;
        let fraction = digits[split..].trim_end_matches('0');
        if fraction.is_empty() {
            digits[..split].to_owned()
        } else {
            format!("{}.{fraction}", &digits[..split])
        }
    };
    if negative { format!("-{text}") } else { text }
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Repr::Int(a), Repr::Int(b)) => a == b,
            (Repr::Big(a), Repr::Big(b)) => a == b,
            // Canonical: a whole number in range is never kept as a Big.
            _ => false,
        }
    }
}

impl Eq for Number {}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        match (&self.0, &other.0) {
            (Repr::Int(a), Repr::Int(b)) => a.cmp(b),
            _ => self.big().cmp(&other.big()),
        }
    }
}

impl Hash for Number {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match &self.0 {
            Repr::Int(i) => i.hash(state),
            Repr::Big(big) => {
                big.repr().significand().hash(state);
                big.repr().exponent().hash(state);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn n(text: &str) -> Number {
        text.parse().unwrap()
    }

    #[test]
    fn decimals_print_as_they_were_written() {
        for text in ["0", "-7", "0.1", "1.5", "-0.001", "123456789012345678901234567890", "3.14159"] {
            assert_eq!(n(text).to_string(), text);
        }
        assert_eq!(n("1e3").to_string(), "1000");
        assert_eq!(n("1e-3").to_string(), "0.001");
        assert_eq!(n("2.50").to_string(), "2.5");
    }

    #[test]
    fn arithmetic_is_exact_where_doubles_are_not() {
        assert_eq!(n("0.1").add(&n("0.2")).to_string(), "0.3");
        assert_eq!(n("9223372036854775807").add(&n("1")).to_string(), "9223372036854775808");
        assert_eq!(n("9223372036854775808").sub(&n("1")), n("9223372036854775807"));
        assert_eq!(n("7").rem(&n("-3")), Some(n("1")));
        assert_eq!(n("-7").rem(&n("3")), Some(n("-1")));
        assert_eq!(n("1").div(&n("0")), None);
        assert!(n("1").div(&n("3")).unwrap().to_string().starts_with("0.33333333333333333333333333333"));
        assert_eq!(n("10").div(&n("4")).unwrap().to_string(), "2.5");
    }

    #[test]
    fn garbage_is_refused() {
        for text in ["", "-", "1.", ".5", "1e", "0x10", "1_000", "NaN", "+1", "1e999999999"] {
            assert!(text.parse::<Number>().is_err(), "{text}");
        }
    }
}
