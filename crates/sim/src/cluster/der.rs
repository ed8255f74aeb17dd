//! Just enough of DER and X.509 to read back what [`pki`](super::pki) made: validity, public key, names (RFC 5280, section 4.1).

use base64::Engine as _;

/// One element: its tag, its content, and all of it with its head.
#[derive(Debug, Clone, Copy)]
pub struct Element<'a> {
    /// Tag byte.
    pub tag: u8,
    /// Content.
    pub body: &'a [u8],
    /// Head and content.
    pub whole: &'a [u8],
}

/// The elements in a row of DER; stops at what is damaged.
pub fn elements(mut bytes: &[u8]) -> Vec<Element<'_>> {
    let mut found = Vec::new();
    while let Some((element, rest)) = element(bytes) {
        found.push(element);
        bytes = rest;
    }
    found
}

fn element(bytes: &[u8]) -> Option<(Element<'_>, &[u8])> {
    let (tag, first) = (*bytes.first()?, *bytes.get(1)?);
    let (head, length) = match first {
        0..=0x7f => (2, usize::from(first)),
        0x81..=0x84 => {
            let n = usize::from(first & 0x7f);
            let length = bytes.get(2..2 + n)?.iter().fold(0usize, |sum, b| sum << 8 | usize::from(*b));
            (2 + n, length)
        }
        _ => return None,
    };
    let end = head.checked_add(length)?;
    let whole = bytes.get(..end)?;
    Some((Element { tag, body: &whole[head..], whole }, &bytes[end..]))
}

/// The first block of a PEM text, whatever its label.
pub fn from_pem(text: &str) -> Option<Vec<u8>> {
    let start = text.find("-----BEGIN ")?;
    let body = &text[start..];
    let body = &body[body.find('\n')?..body.find("-----END ")?];
    let clean: String = body.chars().filter(|c| !c.is_whitespace()).collect();
    base64::engine::general_purpose::STANDARD.decode(clean).ok()
}

/// A PEM block.
pub fn to_pem(label: &str, der: &[u8]) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let mut out = format!("-----BEGIN {label}-----\n");
    for line in text.as_bytes().chunks(64) {
        out.push_str(&String::from_utf8_lossy(line));
        out.push('\n');
    }
    out + &format!("-----END {label}-----\n")
}

/// What is read of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// SubjectPublicKeyInfo, in DER.
    pub public_key: Vec<u8>,
    /// Seconds since 1970.
    pub not_before: i64,
    /// Seconds since 1970.
    pub not_after: i64,
    /// Common name and organisation of the subject.
    pub subject: (String, String),
    /// Common name of the issuer.
    pub issuer: String,
    /// DNS names and addresses it is valid for.
    pub names: Vec<String>,
}

/// Reads a certificate.
pub fn certificate(pem: &str) -> Option<Certificate> {
    let der = from_pem(pem)?;
    let outer = elements(&der).first().copied()?;
    let tbs = elements(outer.body).first().copied()?;
    let fields: Vec<Element<'_>> = elements(tbs.body).into_iter().filter(|e| e.tag != 0xa0).collect();
    // serial, algorithm, issuer, validity, subject, public key, then extensions in [3]
    let [_, _, issuer, validity, subject, key, ..] = fields.as_slice() else { return None };
    let times: Vec<i64> = elements(validity.body).iter().filter_map(time).collect();
    let [not_before, not_after] = times.as_slice() else { return None };
    let name = |of: &Element<'_>, oid: &[u8]| {
        let sets = elements(of.body).into_iter().flat_map(|set| elements(set.body));
        let pairs = sets.map(|pair| elements(pair.body));
        pairs
            .filter(|p| p.len() == 2 && p[0].body == oid)
            .map(|p| String::from_utf8_lossy(p[1].body).into_owned())
            .next()
            .unwrap_or_default()
    };
    let (common, organisation) = ([0x55, 4, 3], [0x55, 4, 10]);
    Some(Certificate {
        public_key: key.whole.to_vec(),
        not_before: *not_before,
        not_after: *not_after,
        subject: (name(subject, &common), name(subject, &organisation)),
        issuer: name(issuer, &common),
        names: fields.iter().find(|e| e.tag == 0xa3).map(alternative_names).unwrap_or_default(),
    })
}

fn alternative_names(extensions: &Element<'_>) -> Vec<String> {
    let list = elements(extensions.body).into_iter().flat_map(|all| elements(all.body));
    let san = list
        .map(|e| elements(e.body))
        .find(|parts| parts.first().is_some_and(|p| p.body == [0x55, 0x1d, 0x11]));
    let Some(value) = san.and_then(|parts| parts.last().map(|p| p.body)) else { return Vec::new() };
    let names = elements(value).into_iter().flat_map(|all| elements(all.body));
    names
        .filter_map(|name| match (name.tag, name.body) {
            (0x82, text) => Some(String::from_utf8_lossy(text).into_owned()),
            (0x87, [a, b, c, d]) => Some(format!("{a}.{b}.{c}.{d}")),
            _ => None,
        })
        .collect()
}

/// UTCTime and GeneralizedTime.
fn time(element: &Element<'_>) -> Option<i64> {
    let text = std::str::from_utf8(element.body).ok()?.strip_suffix('Z')?;
    let (year, rest) = match element.tag {
        0x17 => {
            let year: i64 = text.get(..2)?.parse().ok()?;
            (if year < 50 { 2000 + year } else { 1900 + year }, text.get(2..)?)
        }
        0x18 => (text.get(..4)?.parse().ok()?, text.get(4..)?),
        _ => return None,
    };
    let part = |at: usize| rest.get(at..at + 2)?.parse::<i64>().ok();
    let (month, day, hour, minute, second) = (part(0)?, part(2)?, part(4)?, part(6)?, part(8)?);
    Some(crate::tools::days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second)
}
