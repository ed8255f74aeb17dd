//! Hashes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use grappe_value::Value;
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};
use uuid::Uuid;

use super::{Function, P, f, refuse_arg, string, text};

const STR: &[super::Param] = &[string("str")];

pub(super) static FUNCTIONS: &[Function] = &[
    f("base64sha256", "the SHA-256 of a text, in Base64", STR, P::String, |a| {
        Ok(base64::<Sha256>(text(a, 0).as_bytes()))
    }),
    f("base64sha512", "the SHA-512 of a text, in Base64", STR, P::String, |a| {
        Ok(base64::<Sha512>(text(a, 0).as_bytes()))
    }),
    f("md5", "the MD5 of a text, in hexadecimal", STR, P::String, |a| Ok(hex::<Md5>(text(a, 0).as_bytes()))),
    f("sha1", "the SHA-1 of a text, in hexadecimal", STR, P::String, |a| {
        Ok(hex::<Sha1>(text(a, 0).as_bytes()))
    }),
    f("sha256", "the SHA-256 of a text, in hexadecimal", STR, P::String, |a| {
        Ok(hex::<Sha256>(text(a, 0).as_bytes()))
    }),
    f("sha512", "the SHA-512 of a text, in hexadecimal", STR, P::String, |a| {
        Ok(hex::<Sha512>(text(a, 0).as_bytes()))
    }),
    f(
        "uuidv5",
        "the UUID of a name in a namespace (dns, url, oid, x500 or a UUID)",
        &[string("namespace"), string("name")],
        P::String,
        |a| {
            let namespace = match text(a, 0) {
                "dns" => Uuid::NAMESPACE_DNS,
                "url" => Uuid::NAMESPACE_URL,
                "oid" => Uuid::NAMESPACE_OID,
                "x500" => Uuid::NAMESPACE_X500,
                other => match Uuid::parse_str(other) {
                    Ok(uuid) => uuid,
                    Err(_) => {
                        return refuse_arg(0, format!("uuidv5() doesn't support namespace {other}"));
                    }
                },
            };
            Ok(Uuid::new_v5(&namespace, text(a, 1).as_bytes()).to_string().into())
        },
    ),
];

/// In hexadecimal, small letters.
pub(super) fn hex<D: Digest>(data: &[u8]) -> Value {
    use std::fmt::Write;
    let mut out = String::new();
    for byte in D::digest(data) {
        // Writing to a String can't fail.
        let _ = write!(out, "{byte:02x}");
    }
    out.into()
}

/// In Base64 with padding.
pub(super) fn base64<D: Digest>(data: &[u8]) -> Value {
    STANDARD.encode(D::digest(data)).into()
}
