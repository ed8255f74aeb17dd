//! The certificates of a cluster: real X.509, made when kubeadm would make them, with P-256 keys (RSA would cost a second each).

use base64::Engine as _;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};
use sha2::Digest as _;

use super::der;
use crate::tools::{Cx, Status, civil, format_date};

/// A certificate and its key, in PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Pair {
    /// Certificate.
    pub cert: String,
    /// Private key.
    pub key: String,
}

impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<a certificate and its key>")
    }
}

/// What a certificate is for.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Subject's common name.
    pub common_name: &'a str,
    /// Subject's organisation: the group of a client.
    pub organisation: Option<&'a str>,
    /// DNS names and addresses of a server.
    pub names: &'a [String],
    /// Simulated seconds since 1970.
    pub now: i64,
}

fn base(request: &Request<'_>, years: i32) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(request.names.to_vec())?;
    let mut name = DistinguishedName::new();
    if let Some(organisation) = request.organisation {
        name.push(DnType::OrganizationName, organisation);
    }
    name.push(DnType::CommonName, request.common_name);
    params.distinguished_name = name;
    let (year, month, day, ..) = civil(request.now);
    let (year, month) = (i32::try_from(year).unwrap_or(2026), u8::try_from(month).unwrap_or(1));
    // The 29th of February has no anniversary each year.
    let day = u8::try_from(day).unwrap_or(1).min(28);
    params.not_before = date_time_ymd(year, month, day);
    params.not_after = date_time_ymd(year + years, month, day);
    Ok(params)
}

/// A new certificate authority, valid for ten years.
///
/// # Errors
/// When no key can be made.
pub fn authority(common_name: &str, now: i64) -> Result<Pair, rcgen::Error> {
    let key = KeyPair::generate()?;
    let cert = authority_params(common_name, now)?.self_signed(&key)?;
    Ok(Pair { cert: cert.pem(), key: key.serialize_pem() })
}

fn authority_params(common_name: &str, now: i64) -> Result<CertificateParams, rcgen::Error> {
    let mut params = base(&Request { common_name, organisation: None, names: &[], now }, 10)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::KeyEncipherment,
        KeyUsagePurpose::KeyCertSign,
    ];
    Ok(params)
}

/// A certificate for a year, signed by an authority that [`authority`] made under the name in its certificate.
///
/// # Errors
/// When the authority's key cannot be read.
pub fn issue(ca: &Pair, request: &Request<'_>) -> Result<Pair, rcgen::Error> {
    let name = der::certificate(&ca.cert).map(|c| c.subject.0).unwrap_or_default();
    let issuer = Issuer::new(authority_params(&name, request.now)?, KeyPair::from_pem(&ca.key)?);
    let mut params = base(request, 1)?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    params.extended_key_usages = vec![if request.names.is_empty() {
        ExtendedKeyUsagePurpose::ClientAuth
    } else {
        ExtendedKeyUsagePurpose::ServerAuth
    }];
    let key = KeyPair::generate()?;
    let cert = params.signed_by(&key, &issuer)?;
    Ok(Pair { cert: cert.pem(), key: key.serialize_pem() })
}

/// A key pair for service accounts: private and public key, in PEM.
///
/// # Errors
/// When no key can be made.
pub fn key_pair() -> Result<(String, String), rcgen::Error> {
    let key = KeyPair::generate()?;
    Ok((key.serialize_pem(), key.public_key_pem()))
}

/// `sha256:…` of a CA's public key, as joins pin it.
pub fn ca_hash(cert: &str) -> Option<String> {
    let key = der::certificate(cert)?.public_key;
    Some(format!("sha256:{}", hex(&sha2::Sha256::digest(key))))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// base64 without line breaks, as kubeconfigs hold PEM.
pub fn base64(text: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(text)
}

/// `openssl x509 -noout …`, `openssl x509 -pubkey`, `openssl pkey|rsa|ec -pubin -outform der`, `openssl dgst -sha256`, `openssl rand`.
pub(crate) fn openssl(cx: &mut Cx<'_>) -> Status {
    let words: Vec<String> = cx.args.to_vec();
    let has = |flag: &str| words.iter().any(|w| w == flag);
    let value = |flag: &str| words.iter().position(|w| w == flag).and_then(|n| words.get(n + 1)).cloned();
    let input = |cx: &mut Cx<'_>| -> Result<Vec<u8>, i32> {
        match value("-in") {
            Some(file) => cx.read(&file).map_err(|e| {
                cx.fail(1, format!("Could not open file or uri for loading certificate from {file}: {e}"))
            }),
            None => Ok(cx.stdin()),
        }
    };
    match words.first().map(String::as_str) {
        Some("version") => {
            cx.out("OpenSSL 3.0.16 (simulated)\n");
            Ok(0)
        }
        Some("rand") => {
            let n: usize = words.last().and_then(|n| n.parse().ok()).unwrap_or(0);
            if !has("-hex") || n > 4096 {
                return Err(cx.unsupported("rand but -hex"));
            }
            cx.out(format!("{}\n", crate::world::model::hex(n * 2)));
            Ok(0)
        }
        Some("x509") => {
            let text = String::from_utf8_lossy(&input(cx)?).into_owned();
            let Some(cert) = der::certificate(&text) else {
                return Err(cx.fail(1, "Could not read certificate: unable to load certificate"));
            };
            let date = |t: i64| format_date("%b %e %T %Y GMT", t);
            if has("-pubkey") {
                cx.out(der::to_pem("PUBLIC KEY", &cert.public_key));
            }
            for (flag, line) in [
                ("-subject", format!("subject={}CN = {}\n", organisation(&cert.subject.1), cert.subject.0)),
                ("-issuer", format!("issuer=CN = {}\n", cert.issuer)),
                ("-startdate", format!("notBefore={}\n", date(cert.not_before))),
                ("-enddate", format!("notAfter={}\n", date(cert.not_after))),
                (
                    "-dates",
                    format!("notBefore={}\nnotAfter={}\n", date(cert.not_before), date(cert.not_after)),
                ),
            ] {
                if has(flag) {
                    cx.out(line);
                }
            }
            if has("-text") || value("-ext").as_deref() == Some("subjectAltName") {
                let names = cert.names.iter().map(|n| {
                    let kind = if n.parse::<std::net::IpAddr>().is_ok() { "IP Address" } else { "DNS" };
                    format!("{kind}:{n}")
                });
                let names = names.collect::<Vec<_>>().join(", ");
                cx.out(format!("X509v3 Subject Alternative Name:\n    {names}\n"));
            }
            if has("-fingerprint") {
                let der = der::from_pem(&text).unwrap_or_default();
                let sum = sha2::Sha256::digest(der);
                let pairs: Vec<String> = sum.iter().map(|b| format!("{b:02X}")).collect();
                cx.out(format!("sha256 Fingerprint={}\n", pairs.join(":")));
            }
            if let Some(seconds) = value("-checkend") {
                let now = cx.sh.state(|s| s.now()) / 1000;
                let expires = cert.not_after <= now + seconds.parse::<i64>().unwrap_or(0);
                cx.out(if expires { "Certificate will expire\n" } else { "Certificate will not expire\n" });
                return Ok(i32::from(expires));
            }
            if !has("-noout") && !has("-pubkey") {
                cx.out(text);
            }
            Ok(0)
        }
        Some("pkey" | "rsa" | "ec") if has("-pubin") => {
            let text = String::from_utf8_lossy(&input(cx)?).into_owned();
            let Some(der) = der::from_pem(&text) else { return Err(cx.fail(1, "Could not read public key")) };
            if value("-outform").is_some_and(|f| f.eq_ignore_ascii_case("der")) {
                cx.out(der);
            } else {
                cx.out(der::to_pem("PUBLIC KEY", &der));
            }
            Ok(0)
        }
        Some("dgst") if has("-sha256") => {
            let bytes = match words.last().filter(|w| !w.starts_with('-')) {
                Some(file) if words.len() > 1 => {
                    cx.read(file).map_err(|e| cx.fail(1, format!("{file}: {e}")))?
                }
                _ => cx.stdin(),
            };
            cx.out(format!("SHA2-256(stdin)= {}\n", hex(&sha2::Sha256::digest(bytes))));
            Ok(0)
        }
        _ => Err(cx.unsupported("this openssl command")),
    }
}

fn organisation(name: &str) -> String {
    if name.is_empty() { String::new() } else { format!("O = {name}, ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_issued_is_read_back() {
        let now = 1_772_150_400; // 2026-02-27
        let ca = authority("kubernetes", now).unwrap();
        let names = ["10.0.0.1".to_owned(), "api.lab".to_owned()];
        let server =
            issue(&ca, &Request { common_name: "kube-apiserver", organisation: None, names: &names, now })
                .unwrap();
        let read = der::certificate(&server.cert).unwrap();
        assert_eq!(read.names, names);
        assert_eq!((read.subject.0.as_str(), read.issuer.as_str()), ("kube-apiserver", "kubernetes"));
        assert_eq!(read.not_after, now + 365 * 86_400);
        let client = issue(
            &ca,
            &Request {
                common_name: "kubernetes-admin",
                organisation: Some("system:masters"),
                names: &[],
                now,
            },
        )
        .unwrap();
        assert_eq!(der::certificate(&client.cert).unwrap().subject.1, "system:masters");
        assert!(ca_hash(&ca.cert).unwrap().starts_with("sha256:"));
        assert_ne!(ca_hash(&ca.cert), ca_hash(&authority("kubernetes", now).unwrap().cert));
        assert!(
            der::certificate("-----BEGIN X-----\nAAAA\n-----END X-----\n").is_none()
                && der::certificate("").is_none()
        );
    }
}
