//! Chance and keys. What is random comes from the scope; where it gives none, as while planning, the results are unknown.

use std::fmt::Write;

use base64::Engine;
use base64::alphabet::BCRYPT;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};
use blowfish::Blowfish;
use grappe_value::{Type, Value};
use rsa::pkcs1::DecodeRsaPrivateKey;
use rsa::pkcs8::DecodePrivateKey;
use rsa::{Pkcs1v15Encrypt, RsaPrivateKey};

use super::encoding::base64_bytes;
use super::{Function, Outcome, P, Refused, f, integer, number, refuse, refuse_arg, scoped, string, text};
use crate::Scope;

pub(super) static FUNCTIONS: &[Function] = &[
    scoped("bcrypt", "the Blowfish hash of a text, with a random salt", &[string("str")], P::String, bcrypt)
        .rest(number("cost")),
    f(
        "rsadecrypt",
        "the text that was encrypted with RSA (PKCS #1 v1.5) and is given in Base64",
        &[string("ciphertext"), string("privatekey")],
        P::String,
        rsadecrypt,
    ),
    scoped("uuid", "a new random UUID", &[], P::String, uuid),
];

fn uuid(_: &[Value], scope: &dyn Scope) -> Outcome {
    let Some(random) = scope.random() else { return Ok(Value::unknown_not_null(Type::String)) };
    let mut out = String::new();
    for (i, byte) in random.iter().enumerate() {
        let dash = if [4, 6, 8, 10].contains(&i) { "-" } else { "" };
        // Writing to a String can't fail.
        let _ = write!(out, "{dash}{byte:02x}");
    }
    Ok(out.into())
}

/// Longer ones would be cut off silently.
const MOST_BYTES: usize = 72;

/// The greatest cost that a plan is kept waiting for.
const MOST_COST: u32 = 20;

fn bcrypt(args: &[Value], scope: &dyn Scope) -> Outcome {
    if args.len() > 2 {
        return refuse("bcrypt() takes no more than two arguments");
    }
    let cost = match args.len() {
        2 => integer(args, 1)?,
        _ => 10,
    };
    let failed = |why: &str| refuse(format!("error occured generating password {why}"));
    if text(args, 0).len() > MOST_BYTES {
        return failed("bcrypt: password length exceeds 72 bytes");
    }
    // Too little becomes the usual, as in Go.
    let cost = if cost < 4 { 10 } else { cost };
    let Some(bits) = u32::try_from(cost).ok().filter(|cost| *cost <= 31) else {
        return failed(&format!("crypto/bcrypt: cost {cost} is outside allowed range (4,31)"));
    };
    // Each more is twice as long: that is a minute, and the most that there is, two days.
    if bits > MOST_COST {
        return failed(&format!("bcrypt: cost {bits} takes hours: {MOST_COST} at most"));
    }
    let Some(salt) = scope.random() else { return Ok(Value::unknown_not_null(Type::String)) };
    let encode = |bytes: &[u8]| GeneralPurpose::new(&BCRYPT, NO_PAD).encode(bytes);
    let hash = blowfish_hash(text(args, 0).as_bytes(), bits, &salt);
    // The last byte of the hash is left out, by tradition.
    Ok(format!("$2a${bits:02}${}{}", encode(&salt), encode(&hash[..23])).into())
}

/// Provos and Mazières, "A Future-Adaptable Password Scheme": a key schedule as costly as is asked for, then a known text encrypted 64 times.
fn blowfish_hash(password: &[u8], cost: u32, salt: &[u8; 16]) -> Vec<u8> {
    // With the zero that ends a string in C.
    let key = [password, &[0]].concat();
    let mut state: Blowfish = Blowfish::bc_init_state();
    state.salted_expand_key(salt, &key);
    for _ in 0..1u64 << cost {
        state.bc_expand_key(&key);
        state.bc_expand_key(salt);
    }
    let (blocks, _) = b"OrpheanBeholderScryDoubt".as_chunks::<8>();
    let halves = |block: &[u8; 8]| {
        let [a, b, c, d, e, f, g, h] = *block;
        [u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h])]
    };
    let encrypted = blocks.iter().map(|block| (0..64).fold(halves(block), |pair, _| state.bc_encrypt(pair)));
    encrypted.flatten().flat_map(u32::to_be_bytes).collect()
}

fn rsadecrypt(args: &[Value]) -> Outcome {
    let Ok(secret) = base64_bytes(text(args, 0)) else {
        return refuse_arg(
            0,
            format!("failed to decode input \"{}\": cipher text must be base64-encoded", text(args, 0)),
        );
    };
    let key = private_key(text(args, 1))?;
    match key.decrypt(Pkcs1v15Encrypt, &secret) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).as_ref().into()),
        Err(_) => refuse("failed to decrypt: crypto/rsa: decryption error"),
    }
}

/// A key in PEM: PKCS #1, PKCS #8 or OpenSSH's own form. Nothing of it is ever in a message.
fn private_key(pem: &str) -> Result<RsaPrivateKey, Refused> {
    let invalid = |why: &str| refuse_arg(1, format!("invalid private key: {why}"));
    // Text may stand around it.
    let Some((label, key)) = pem.find("-----BEGIN ").and_then(|begin| {
        let label = pem[begin + 11..].split("-----").next()?;
        let end = format!("-----END {label}-----");
        Some((label, &pem[begin..begin + pem[begin..].find(&end)? + end.len()]))
    }) else {
        return invalid("ssh: no key found");
    };
    if key.contains("Proc-Type: 4,ENCRYPTED") {
        return invalid("ssh: this private key is passphrase protected");
    }
    match label {
        "RSA PRIVATE KEY" => RsaPrivateKey::from_pkcs1_pem(key).or_else(|e| invalid(&e.to_string())),
        "PRIVATE KEY" => RsaPrivateKey::from_pkcs8_pem(key)
            .or_else(|e| invalid(&format!("it is no RSA key in PKCS #8: {e}"))),
        "OPENSSH PRIVATE KEY" => {
            let key = match ssh_key::PrivateKey::from_openssh(key.as_bytes()) {
                Ok(key) => key,
                Err(error) => return invalid(&error.to_string()),
            };
            if key.is_encrypted() {
                return invalid("ssh: this private key is passphrase protected");
            }
            let Some(pair) = key.key_data().rsa() else { return refuse_arg(1, "invalid private key type") };
            RsaPrivateKey::try_from(pair).or_else(|e| invalid(&e.to_string()))
        }
        "EC PRIVATE KEY" | "DSA PRIVATE KEY" => refuse_arg(1, "invalid private key type"),
        other => invalid(&format!("ssh: unsupported key type \"{other}\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of the vectors that come with Openwall's crypt_blowfish.
    #[test]
    fn the_hash_is_bcrypt() {
        let engine = GeneralPurpose::new(&BCRYPT, NO_PAD);
        for (password, salt, hash) in [
            ("U*U", "CCCCCCCCCCCCCCCCCCCCC.", "E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"),
            ("U*U*", "CCCCCCCCCCCCCCCCCCCCC.", "VGOzA784oUp/Z0DY336zx7pLYAy0lwK"),
            ("", "CCCCCCCCCCCCCCCCCCCCC.", "7uG0VCzI2bS7j6ymqJi9CdcdxiRTWNy"),
        ] {
            let salt: [u8; 16] = engine.decode(salt).unwrap().try_into().unwrap();
            let got = engine.encode(&blowfish_hash(password.as_bytes(), 5, &salt)[..23]);
            assert_eq!(got, hash, "{password:?}");
        }
    }
}
