//! Checksums.

use sha2::Digest as _;

use super::{Cx, Status};

fn digest(name: &str, bytes: &[u8]) -> Option<String> {
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    Some(match name {
        "sha256sum" => hex(&sha2::Sha256::digest(bytes)),
        "sha512sum" => hex(&sha2::Sha512::digest(bytes)),
        "md5sum" => hex(&md5(bytes)),
        _ => return None,
    })
}

/// sha256sum, sha512sum and md5sum, with `-c`.
pub(super) fn run(cx: &mut Cx<'_>) -> Status {
    let opts = cx.opts("cbtw", &["check", "status", "quiet", "binary", "ignore-missing"])?;
    if digest(cx.name, b"").is_none() {
        return Err(cx.unsupported("this checksum"));
    }
    let names = if opts.rest.is_empty() { vec!["-".to_owned()] } else { opts.rest.clone() };
    let (mut status, mut bad) = (0, 0);
    for name in &names {
        let bytes = match cx.read(name) {
            Ok(bytes) => bytes,
            Err(e) => {
                status = cx.fail(1, format!("{name}: {e}"));
                continue;
            }
        };
        if !opts.has(&["c", "check"]) {
            let sum = digest(cx.name, &bytes).unwrap_or_default();
            cx.out(format!("{sum}  {name}\n"));
            continue;
        }
        for line in String::from_utf8_lossy(&bytes).lines() {
            let Some((sum, file)) = line.split_once(' ') else { continue };
            let file = file.trim_start_matches([' ', '*']);
            let found = cx.read(file).ok().and_then(|b| digest(cx.name, &b));
            let good = found.as_deref() == Some(&sum.to_lowercase());
            bad += usize::from(!good);
            let quiet = opts.has(&["status"]) || (good && opts.has(&["quiet"]));
            if !quiet {
                let word = match (good, found.is_some()) {
                    (true, _) => "OK",
                    (false, true) => "FAILED",
                    (false, false) => "FAILED open or read",
                };
                cx.out(format!("{file}: {word}\n"));
            }
        }
    }
    if bad > 0 {
        status = 1;
        if !opts.has(&["status"]) {
            cx.fail(1, format!("WARNING: {bad} computed checksum did NOT match"));
        }
    }
    Ok(status)
}

/// RFC 1321.
fn md5(bytes: &[u8]) -> [u8; 16] {
    const SHIFTS: [u32; 16] = [7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21];
    let table: Vec<u32> = (0..64).map(|n| (f64::from(n + 1).sin().abs() * 4_294_967_296.0) as u32).collect();
    let mut state: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
    let mut message = bytes.to_vec();
    message.push(0x80);
    while message.len() % 64 != 56 {
        message.push(0);
    }
    message.extend_from_slice(&(bytes.len() as u64).wrapping_mul(8).to_le_bytes());
    for block in message.chunks_exact(64) {
        let words: Vec<u32> =
            block.chunks_exact(4).map(|c| u32::from_le_bytes([c[0], c[1], c[2], c[3]])).collect();
        let [mut a, mut b, mut c, mut d] = state;
        for n in 0..64 {
            let (mix, word) = match n / 16 {
                0 => ((b & c) | (!b & d), n),
                1 => ((d & b) | (!d & c), (5 * n + 1) % 16),
                2 => (b ^ c ^ d, (3 * n + 5) % 16),
                _ => (c ^ (b | !d), (7 * n) % 16),
            };
            let turn = SHIFTS[n / 16 * 4 + n % 4];
            let next = a.wrapping_add(mix).wrapping_add(table[n]).wrapping_add(words[word]).rotate_left(turn);
            (a, d, c, b) = (d, c, b, b.wrapping_add(next));
        }
        for (sum, x) in state.iter_mut().zip([a, b, c, d]) {
            *sum = sum.wrapping_add(x);
        }
    }
    let mut out = [0; 16];
    for (n, word) in state.iter().enumerate() {
        out[n * 4..n * 4 + 4].copy_from_slice(&word.to_le_bytes());
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn md5_of_the_rfc() {
        let hex = |t: &str| super::digest("md5sum", t.as_bytes()).unwrap();
        assert_eq!(hex(""), "d41d8cd98f00b204e9800998ecf8427e");
        assert_eq!(hex("message digest"), "f96b697d7cb7938d525a2f31aaf161d0");
        assert_eq!(hex(&"1234567890".repeat(8)), "57edf4a22be3c955ac49da2e2107b67a");
    }
}
