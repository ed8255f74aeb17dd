//! Backslash escapes of echo, printf, tr and `$'…'`.

/// Replaces escapes; the flag tells that `\c` ended the text. `wide` also knows `\x`, `\e`, `\'` and octal without a leading zero.
pub fn unescape(text: &str, wide: bool) -> (String, bool) {
    let mut out: Vec<u8> = Vec::new();
    let mut rest = text.chars().peekable();
    let mut buffer = [0; 4];
    let mut stopped = false;
    while let Some(c) = rest.next() {
        if c != '\\' {
            out.extend_from_slice(c.encode_utf8(&mut buffer).as_bytes());
            continue;
        }
        let Some(c) = rest.next() else {
            out.push(b'\\');
            break;
        };
        let plain = match c {
            'a' => 7,
            'b' => 8,
            'f' => 12,
            'n' => b'\n',
            'r' => b'\r',
            't' => b'\t',
            'v' => 11,
            '\\' => b'\\',
            'e' | 'E' if wide => 27,
            '\'' | '"' | '?' if wide => c as u8,
            'c' => {
                stopped = true;
                break;
            }
            '0'..='7' if wide || c == '0' => {
                let mut value = if c == '0' && !wide { 0 } else { c as u32 - '0' as u32 };
                let more = if c == '0' { 3 } else { 2 };
                for _ in 0..more {
                    let Some(d) = rest.peek().and_then(|d| d.to_digit(8)) else { break };
                    value = value * 8 + d;
                    rest.next();
                }
                out.push((value & 0xff) as u8);
                continue;
            }
            'x' if wide => {
                let mut value = None;
                for _ in 0..2 {
                    let Some(d) = rest.peek().and_then(|d| d.to_digit(16)) else { break };
                    value = Some(value.unwrap_or(0) * 16 + d);
                    rest.next();
                }
                match value {
                    Some(value) => out.push((value & 0xff) as u8),
                    None => out.extend_from_slice(b"\\x"),
                }
                continue;
            }
            other => {
                out.push(b'\\');
                out.extend_from_slice(other.encode_utf8(&mut buffer).as_bytes());
                continue;
            }
        };
        out.push(plain);
    }
    (String::from_utf8_lossy(&out).into_owned(), stopped)
}
