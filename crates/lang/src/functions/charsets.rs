//! `textencodebase64` and `textdecodebase64`: texts in other encodings than UTF-8.
//!
//! `charsets.txt` has the names (those of the IANA that Terraform knows) and the characters of those that have one byte for each, as Terraform has them.
//! The others are the WHATWG's.

use std::collections::HashMap;
use std::sync::OnceLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use encoding_rs::Encoding;

use super::encoding::base64_bytes;
use super::{Function, Outcome, P, Refused, f, refuse_arg, string, text};

pub(super) static FUNCTIONS: &[Function] = &[
    f(
        "textdecodebase64",
        "the text that bytes, in Base64, stand for in an encoding",
        &[string("source"), string("encoding")],
        P::String,
        decode,
    ),
    f(
        "textencodebase64",
        "the bytes of a text in an encoding, in Base64",
        &[string("string"), string("encoding")],
        P::String,
        encode,
    ),
];

/// An encoding with the name that messages call it by.
struct Charset {
    name: &'static str,
    form: Form,
}

enum Form {
    Ascii,
    Utf8,
    Latin1,
    /// UTF-16: little-endian or not, and whether a byte order mark tells.
    Utf16 {
        little: bool,
        mark: bool,
    },
    /// One byte a character.
    Table {
        characters: Vec<char>,
        bytes: HashMap<char, u8>,
    },
    /// HZ: GB 2312 in seven bits.
    Hz,
    Web(&'static Encoding),
}

fn table() -> &'static HashMap<&'static str, Charset> {
    static TABLE: OnceLock<HashMap<&'static str, Charset>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let mut all = HashMap::new();
        for line in include_str!("charsets.txt").lines().filter(|l| !l.starts_with('#')) {
            let Some((name, rest)) = line.split_once(" | ") else { continue };
            let Some((aliases, what)) = rest.split_once(" | ") else { continue };
            for alias in aliases.split(' ') {
                if let Some(form) = form(what) {
                    all.insert(alias, Charset { name, form });
                }
            }
        }
        all
    })
}

fn form(what: &'static str) -> Option<Form> {
    Some(match what {
        "ascii" => Form::Ascii,
        "utf8" => Form::Utf8,
        "latin1" => Form::Latin1,
        "utf16" => Form::Utf16 { little: false, mark: true },
        "utf16be" => Form::Utf16 { little: false, mark: false },
        "utf16le" => Form::Utf16 { little: true, mark: false },
        "hz" => Form::Hz,
        _ if what.starts_with(['=', '+']) => {
            let listed = serde_json::from_str::<String>(&what[1..]).ok()?;
            let ascii = (0..128u8).map(char::from).filter(|_| what.starts_with('+'));
            let characters: Vec<char> = ascii.chain(listed.chars()).collect();
            // Of two bytes for one character, the first is taken.
            let bytes = (0..=255u8).rev().map(|b| (characters[usize::from(b)], b));
            Form::Table { bytes: bytes.filter(|(c, _)| *c != UNDEFINED).collect(), characters }
        }
        _ => Form::Web(Encoding::for_label_no_replacement(what.as_bytes())?),
    })
}

/// What stands for bytes without a meaning.
const UNDEFINED: char = '\u{fffd}';

fn charset(args: &[grappe_value::Value]) -> Result<&'static Charset, Refused> {
    let name = text(args, 1);
    let Some(charset) = table().get(name.trim().to_lowercase().as_str()) else {
        return refuse_arg(
            1,
            format!("\"{name}\" is not a supported IANA encoding name or alias in this Terraform version"),
        );
    };
    Ok(charset)
}

fn encode(args: &[grappe_value::Value]) -> Outcome {
    let charset = charset(args)?;
    let Some(bytes) = charset.form.encode(text(args, 0)) else {
        return refuse_arg(
            0,
            format!("the given string contains characters that cannot be represented in {}", charset.name),
        );
    };
    Ok(STANDARD.encode(bytes).into())
}

fn decode(args: &[grappe_value::Value]) -> Outcome {
    let charset = charset(args)?;
    let bytes = match base64_bytes(text(args, 0)) {
        Ok(bytes) => bytes,
        Err(at) => {
            return refuse_arg(0, format!("the given value is has an invalid base64 symbol at offset {at}"));
        }
    };
    match charset.form.decode(&bytes).filter(|text| !text.contains(UNDEFINED)) {
        Some(text) => Ok(text.into()),
        None => refuse_arg(
            0,
            format!("the given string contains symbols that are not defined for {}", charset.name),
        ),
    }
}

impl Form {
    fn encode(&self, text: &str) -> Option<Vec<u8>> {
        let each = |byte: &dyn Fn(char) -> Option<u8>| text.chars().map(byte).collect::<Option<Vec<u8>>>();
        match self {
            Form::Utf8 => Some(text.as_bytes().to_vec()),
            Form::Ascii => text.is_ascii().then(|| text.as_bytes().to_vec()),
            Form::Latin1 => each(&|c| u8::try_from(u32::from(c)).ok()),
            Form::Table { bytes, .. } => each(&|c| bytes.get(&c).copied()),
            Form::Utf16 { little, mark } => {
                let start = mark.then_some(0xfeff);
                let units = start.into_iter().chain(text.encode_utf16());
                Some(units.flat_map(|u| if *little { u.to_le_bytes() } else { u.to_be_bytes() }).collect())
            }
            Form::Hz => hz_encode(text),
            Form::Web(encoding) => {
                let (bytes, _, lost) = encoding.encode(text);
                (!lost).then(|| bytes.into_owned())
            }
        }
    }

    fn decode(&self, bytes: &[u8]) -> Option<String> {
        match self {
            Form::Utf8 => String::from_utf8(bytes.to_vec()).ok(),
            Form::Ascii => bytes.is_ascii().then(|| bytes.iter().map(|b| char::from(*b)).collect()),
            Form::Latin1 => Some(bytes.iter().map(|b| char::from(*b)).collect()),
            Form::Table { characters, .. } => {
                Some(bytes.iter().map(|b| characters[usize::from(*b)]).collect())
            }
            Form::Utf16 { little, mark } => {
                let little = match bytes {
                    [0xff, 0xfe, ..] if *mark => true,
                    _ => *little,
                };
                let (pairs, rest) = bytes.as_chunks::<2>();
                let units = pairs
                    .iter()
                    .map(|p| if little { u16::from_le_bytes(*p) } else { u16::from_be_bytes(*p) });
                let skip = usize::from(*mark && units.clone().next() == Some(0xfeff));
                let text: Result<String, _> = char::decode_utf16(units.skip(skip)).collect();
                text.ok().filter(|_| rest.is_empty())
            }
            Form::Hz => hz_decode(bytes),
            Form::Web(encoding) => encoding
                .decode_without_bom_handling_and_without_replacement(bytes)
                .map(std::borrow::Cow::into_owned),
        }
    }
}

/// `~{` and `~}` stand around pairs of bytes of GB 2312 with their high bits off; `~~` is `~`.
fn hz_encode(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut wide = false;
    for c in text.chars() {
        if c.is_ascii() {
            if std::mem::take(&mut wide) {
                out.extend(b"~}");
            }
            out.extend(if c == '~' { "~~".as_bytes() } else { &[] });
            out.extend((c != '~').then_some(c as u8));
            continue;
        }
        let mut buffer = [0; 4];
        let (pair, _, lost) = encoding_rs::GBK.encode(c.encode_utf8(&mut buffer));
        let [high @ 0xa1..=0xf7, low @ 0xa1..=0xfe] = pair[..] else { return None };
        if lost {
            return None;
        }
        if !std::mem::replace(&mut wide, true) {
            out.extend(b"~{");
        }
        out.extend([high & 0x7f, low & 0x7f]);
    }
    if wide {
        out.extend(b"~}");
    }
    Some(out)
}

fn hz_decode(mut bytes: &[u8]) -> Option<String> {
    let mut out = String::new();
    let mut wide = false;
    loop {
        bytes = match bytes {
            [] => return Some(out),
            [b'~', b'{', rest @ ..] => {
                wide = true;
                rest
            }
            [b'~', b'}', rest @ ..] => {
                wide = false;
                rest
            }
            [b'~', b'~', rest @ ..] => {
                out.push('~');
                rest
            }
            [b'~', b'\n', rest @ ..] => rest,
            [high, low, rest @ ..] if wide && *high < 0x80 => {
                let pair = [high | 0x80, low | 0x80];
                out.push_str(&encoding_rs::GBK.decode_without_bom_handling_and_without_replacement(&pair)?);
                rest
            }
            [b, rest @ ..] if !wide && *b < 0x80 && *b != b'~' => {
                out.push(char::from(*b));
                rest
            }
            _ => return None,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_is_an_encoding() {
        let lines = include_str!("charsets.txt").lines().filter(|l| !l.starts_with('#') && !l.is_empty());
        let names: Vec<&str> =
            lines.flat_map(|l| l.split(" | ").nth(1).unwrap_or_default().split(' ')).collect();
        assert!(names.len() > 200, "{}", names.len());
        for name in names {
            let form = &table().get(name).unwrap_or_else(|| panic!("{name}")).form;
            if let Form::Table { characters, .. } = form {
                assert_eq!(characters.len(), 256, "{name}");
            }
            // The digits are in all of them, and come back.
            let bytes = form.encode("0189").unwrap_or_else(|| panic!("{name}"));
            assert_eq!(form.decode(&bytes).as_deref(), Some("0189"), "{name}");
        }
    }
}
