//! When certificates begin and cease to be valid (RFC 5280, section 4.1.2.5).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::join::{Element, Error, first_certificate};

/// A certificate's time, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// Its first second.
    pub begins: u64,
    /// Its last.
    pub ends: u64,
}

impl Validity {
    /// Of the first certificate in a PEM text.
    ///
    /// # Errors
    /// A text without a certificate, or a damaged one.
    pub fn of(pem: &str) -> Result<Self, Error> {
        const FIELDS_BEFORE: usize = 3; // serialNumber, signature, issuer
        const VERSION: u8 = 0xa0;

        let der = first_certificate(pem)?;
        let tbs = Element::read(Element::read(&der)?.content)?;
        let mut rest = tbs.content;
        let first = Element::read(rest)?;
        if first.tag == VERSION {
            rest = first.after;
        }
        for _ in 0..FIELDS_BEFORE {
            rest = Element::read(rest)?.after;
        }
        let begins = Element::read(Element::read(rest)?.content)?;
        let ends = Element::read(begins.after)?;
        Ok(Self { begins: seconds(&begins)?, ends: seconds(&ends)? })
    }

    /// Of one in a kubeconfig: its PEM text in base64.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub fn of_base64(text: &str) -> Result<Self, Error> {
        let wrong = Error::BadCertificate("it is not base64");
        let pem =
            STANDARD.decode(text.trim()).ok().and_then(|pem| String::from_utf8(pem).ok()).ok_or(wrong)?;
        Self::of(&pem)
    }

    /// Whether it is time for a new one: less than `before` is left, or a third of its life where that is shorter (or else
    /// short-lived certificates would be renewed at every look).
    pub fn is_due(&self, now: u64, before: u64) -> bool {
        let third = self.ends.saturating_sub(self.begins) / 3;
        self.ends.saturating_sub(now) < before.min(third)
    }
}

/// `YYMMDDHHMMSSZ` (UTCTime, 1950 to 2049) or `YYYYMMDDHHMMSSZ` (GeneralizedTime).
fn seconds(time: &Element<'_>) -> Result<u64, Error> {
    const WRONG: Error = Error::BadCertificate("a time in it cannot be read");
    let text = std::str::from_utf8(time.content).ok().and_then(|text| text.strip_suffix('Z')).ok_or(WRONG)?;
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(WRONG);
    }
    let (year, rest) = match (time.tag, text.len()) {
        (0x17, 12) => {
            let short: i64 = text[..2].parse().map_err(|_| WRONG)?;
            (if short < 50 { 2000 + short } else { 1900 + short }, &text[2..])
        }
        (0x18, 14) => (text[..4].parse().map_err(|_| WRONG)?, &text[4..]),
        _ => return Err(WRONG),
    };
    let mut two =
        rest.as_bytes().chunks(2).map(|pair| i64::from(pair[0] - b'0') * 10 + i64::from(pair[1] - b'0'));
    let mut next = || two.next().unwrap_or_default();
    let (month, day, hour, minute, second) = (next(), next(), next(), next(), next());
    let total = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    // Nothing was valid before 1970.
    Ok(u64::try_from(total).unwrap_or_default())
}

/// Days since 1970, by the proleptic Gregorian calendar, in which years begin in March.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// `2027-11-22T06:44:41Z` (RFC 3339).
pub fn rfc3339(seconds: u64) -> String {
    let (day, rest) = (seconds / 86_400, seconds % 86_400);
    let day = i64::try_from(day).unwrap_or(i64::MAX / 2) + 719_468;
    let (era, of_era) = (day.div_euclid(146_097), day.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let march = (5 * of_year + 2) / 153;
    let (month, date) = ((march + 2) % 12 + 1, of_year - (153 * march + 2) / 5 + 1);
    let year = year + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{date:02}T{:02}:{:02}:{:02}Z", rest / 3600, rest % 3600 / 60, rest % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `openssl req -x509 -newkey ed25519 -nodes -subj /CN=x -days 20000`: notBefore is a UTCTime, notAfter a GeneralizedTime.
    const PEM: &str = include_str!("certificate_test.pem");

    #[test]
    fn both_kinds_of_time_are_read() {
        let validity = Validity::of(PEM).expect("a certificate");
        assert_eq!(rfc3339(validity.ends), "2081-08-25T07:23:31Z");
        assert_eq!(validity.ends - validity.begins, 20_000 * 86_400);
        assert_eq!(Validity::of_base64(&STANDARD.encode(PEM)), Ok(validity));
        assert!(Validity::of("none").is_err());
    }

    #[test]
    fn times_are_shown_as_dates() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_732_257_881, "2024-11-22T06:44:41Z"),
            (4_102_444_799, "2099-12-31T23:59:59Z"),
        ] {
            assert_eq!(rfc3339(seconds), text);
        }
        assert_eq!(days(2000, 2, 29) * 86_400, 951_782_400);
        assert_eq!(days(1970, 1, 1), 0);
    }

    #[test]
    fn short_lives_are_renewed_in_their_last_third() {
        let year = Validity { begins: 0, ends: 365 * 86_400 };
        let month = 30 * 86_400;
        assert!(!year.is_due(334 * 86_400, month));
        assert!(year.is_due(336 * 86_400, month));
        let day = Validity { begins: 0, ends: 86_400 };
        assert!(!day.is_due(10 * 3600, month), "not at once");
        assert!(day.is_due(20 * 3600, month));
    }
}
