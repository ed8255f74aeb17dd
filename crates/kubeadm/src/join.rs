//! What a joining machine must know and prove: the CA's hash, a bootstrap token, a certificate key.
//!
//! Tokens and keys are minted at the join, on any healthy control plane, and die after it: a token kept since the
//! cluster was made has expired when the cluster grows, and is a secret for nothing until then.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use crate::secret::Secret;

/// Why something is not what a join needs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No certificate in the text.
    #[error("there is no certificate in this PEM text: it should start with `-----BEGIN CERTIFICATE-----`")]
    NoCertificate,
    /// The certificate is cut or damaged.
    #[error("the certificate is damaged: {0}")]
    BadCertificate(&'static str),
    /// Not a bootstrap token. The text is not shown: it may be one, mistyped.
    #[error(
        "this is not a bootstrap token: it has the form `abcdef.0123456789abcdef` (6 and 16 of a–z and 0–9)"
    )]
    BadToken,
    /// Not a certificate key. The text is not shown.
    #[error("this is not a certificate key: it is 32 bytes in hexadecimal (64 digits)")]
    BadCertificateKey,
    /// A command's output lacks what it is run for.
    #[error("the output of `{command}` holds no {what}; it ended with: {tail:?}")]
    Output {
        /// The command.
        command: &'static str,
        /// What was looked for.
        what: &'static str,
        /// Its last line, unless that may be secret.
        tail: String,
    },
}

/// A bootstrap token `id.secret`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootstrapToken {
    id: String,
    whole: Secret,
}

impl BootstrapToken {
    /// Reads a token.
    ///
    /// # Errors
    /// [`Error::BadToken`] unless it has the form Kubernetes asks for.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        let legal = |part: &str, len| {
            part.len() == len && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        };
        match text.split_once('.') {
            Some((id, secret)) if legal(id, 6) && legal(secret, 16) => {
                Ok(Self { id: id.into(), whole: Secret::new(text) })
            }
            _ => Err(Error::BadToken),
        }
    }

    /// The public half, which names the token: what `kubeadm token delete` takes.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The whole token, for the join file.
    pub fn secret(&self) -> &Secret {
        &self.whole
    }
}

/// Reads a certificate key.
///
/// # Errors
/// [`Error::BadCertificateKey`] unless it is 64 hexadecimal digits.
pub fn certificate_key(text: &str) -> Result<Secret, Error> {
    let text = text.trim();
    if text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        Ok(Secret::new(text))
    } else {
        Err(Error::BadCertificateKey)
    }
}

/// The token in the output of `kubeadm token create`: its one line that is a token. Warnings may stand around it.
///
/// # Errors
/// [`Error::Output`] if there is none.
pub fn token_from_output(stdout: &str) -> Result<BootstrapToken, Error> {
    stdout.lines().rev().find_map(|line| BootstrapToken::parse(line).ok()).ok_or_else(|| Error::Output {
        command: "kubeadm token create",
        what: "token",
        tail: last_line(stdout),
    })
}

/// The key in the output of `kubeadm init phase upload-certs --upload-certs`: its last line that is a key.
///
/// # Errors
/// [`Error::Output`] if there is none.
pub fn certificate_key_from_output(stdout: &str) -> Result<Secret, Error> {
    stdout.lines().rev().find_map(|line| certificate_key(line).ok()).ok_or_else(|| Error::Output {
        command: "kubeadm init phase upload-certs --upload-certs",
        what: "certificate key",
        tail: last_line(stdout),
    })
}

/// The ids in the output of `kubeadm token list`, whatever their use. The header and warnings are passed over.
pub fn token_ids_from_list(stdout: &str) -> Vec<String> {
    stdout
        .lines()
        .filter_map(|line| BootstrapToken::parse(line.split_whitespace().next()?).ok())
        .map(|token| token.id)
        .collect()
}

/// A line of kubeadm's output with tokens and certificate keys taken out: `kubeadm init` prints both.
pub fn redact(text: &str) -> String {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '.';
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(word) {
        let (before, from) = rest.split_at(start);
        let (candidate, after) = from.split_at(from.find(|c| !word(c)).unwrap_or(from.len()));
        out.push_str(before);
        // A hash of the CA has the same form as a key, but it is no secret, and joins are debugged with it.
        let hash = out.ends_with("sha256:");
        let secret =
            BootstrapToken::parse(candidate).is_ok() || (certificate_key(candidate).is_ok() && !hash);
        out.push_str(if secret { "(secret)" } else { candidate });
        rest = after;
    }
    out + rest
}

/// `sha256:…` of the public key of the first certificate in a PEM text, as `caCertHashes` wants it.
///
/// It is the hash of the DER `SubjectPublicKeyInfo` (RFC 7469, section 2.4).
///
/// # Errors
/// A text without a certificate, or a damaged one.
pub fn ca_cert_hash(pem: &str) -> Result<String, Error> {
    let der = first_certificate(pem)?;
    let digest = Sha256::digest(subject_public_key_info(&der)?);
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("sha256:{hex}"))
}

pub(crate) fn first_certificate(pem: &str) -> Result<Vec<u8>, Error> {
    let (_, rest) = pem.split_once("-----BEGIN CERTIFICATE-----").ok_or(Error::NoCertificate)?;
    let (body, _) =
        rest.split_once("-----END CERTIFICATE-----").ok_or(Error::BadCertificate("its end is missing"))?;
    let body: String = body.split_whitespace().collect();
    STANDARD.decode(body).map_err(|_| Error::BadCertificate("it is not base64"))
}

/// Walks `Certificate → tbsCertificate → subjectPublicKeyInfo` (RFC 5280, section 4.1) and returns the element whole.
fn subject_public_key_info(der: &[u8]) -> Result<&[u8], Error> {
    const SEQUENCE: u8 = 0x30;
    const VERSION: u8 = 0xa0;
    const FIELDS_BEFORE_KEY: usize = 5; // serialNumber, signature, issuer, validity, subject

    let certificate = Element::read(der)?;
    let tbs = Element::read(certificate.content)?;
    if certificate.tag != SEQUENCE || tbs.tag != SEQUENCE {
        return Err(Error::BadCertificate("it is not an X.509 certificate"));
    }
    let mut rest = tbs.content;
    let first = Element::read(rest)?;
    if first.tag == VERSION {
        rest = first.after;
    }
    for _ in 0..FIELDS_BEFORE_KEY {
        rest = Element::read(rest)?.after;
    }
    let key = Element::read(rest)?;
    if key.tag != SEQUENCE {
        return Err(Error::BadCertificate("it holds no public key where one must be"));
    }
    Ok(key.whole)
}

/// One DER element: tag, length, content.
pub(crate) struct Element<'a> {
    pub(crate) tag: u8,
    pub(crate) content: &'a [u8],
    whole: &'a [u8],
    pub(crate) after: &'a [u8],
}

impl<'a> Element<'a> {
    pub(crate) fn read(input: &'a [u8]) -> Result<Self, Error> {
        const CUT: Error = Error::BadCertificate("it is cut short");
        let (&[tag, first], body) = input.split_first_chunk::<2>().ok_or(CUT)?;
        let (length, header) = match first {
            short @ 0..=0x7f => (usize::from(short), 2),
            // Long form: the low bits count the bytes of the length. Four are 4 GiB, more than any certificate.
            long @ 0x81..=0x84 => {
                let count = usize::from(long & 0x7f);
                let bytes = body.get(..count).ok_or(CUT)?;
                (bytes.iter().fold(0, |length, &byte| length << 8 | usize::from(byte)), 2 + count)
            }
            _ => return Err(Error::BadCertificate("a length in it is not DER")),
        };
        let end = header.checked_add(length).filter(|&end| end <= input.len()).ok_or(CUT)?;
        Ok(Self { tag, content: &input[header..end], whole: &input[..end], after: &input[end..] })
    }
}

fn last_line(text: &str) -> String {
    text.lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .unwrap_or_default()
        .trim()
        .chars()
        .take(200)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_have_one_form() {
        let token = BootstrapToken::parse(" abcdef.0123456789abcdef\n").expect("a token");
        assert_eq!(token.id(), "abcdef");
        assert_eq!(token.secret().expose(), "abcdef.0123456789abcdef");
        assert!(!format!("{token:?}").contains("0123456789"), "the secret half shows");
        for bad in [
            "",
            "abcdef",
            "abcdef.",
            "ABCDEF.0123456789abcdef",
            "abcdef.0123456789abcde",
            "abcdefg.0123456789abcdef",
        ] {
            assert_eq!(BootstrapToken::parse(bad), Err(Error::BadToken), "{bad}");
        }
    }

    #[test]
    fn the_outputs_of_kubeadm_are_read() {
        // The warnings are those of kubeadm 1.20 behind a proxy; they go to stderr, but a wrapper may merge the two.
        let created = "W0811 12:00:01.1 1 configset.go:348] WARNING: kubeadm cannot validate component configs\n\
                       w1x2y3.0123456789abcdef\n";
        assert_eq!(token_from_output(created).expect("a token").id(), "w1x2y3");

        let key = "0a".repeat(32);
        let uploaded = format!(
            "[upload-certs] Storing the certificates in Secret \"kubeadm-certs\" in the \"kube-system\" Namespace\n\
             [upload-certs] Using certificate key:\n{key}\n"
        );
        assert_eq!(certificate_key_from_output(&uploaded).expect("a key").expose(), key);

        let listed = "TOKEN                     TTL         EXPIRES                USAGES                   DESCRIPTION\n\
                      abcdef.0123456789abcdef   23h         2026-01-02T10:00:00Z   authentication,signing   <none>\n\
                      zyxwvu.0123456789abcdef   1h          2026-01-02T11:00:00Z   <none>                   Proxy\n";
        assert_eq!(token_ids_from_list(listed), ["abcdef", "zyxwvu"]);
        assert_eq!(token_ids_from_list(""), [""; 0]);
    }

    #[test]
    fn an_output_without_its_point_says_so() {
        let error = token_from_output("timed out waiting for the condition\n").expect_err("no token");
        assert_eq!(
            error.to_string(),
            "the output of `kubeadm token create` holds no token; it ended with: \"timed out waiting for the condition\""
        );
        assert!(certificate_key_from_output("").is_err());
    }

    #[test]
    fn tokens_and_keys_are_taken_out_of_what_is_shown() {
        let key = "0a".repeat(32);
        let line = format!(
            "  kubeadm join 10.0.0.1:6443 --token abcdef.0123456789abcdef --discovery-token-ca-cert-hash sha256:{key} \\\n\
             \t--control-plane --certificate-key {key}"
        );
        assert_eq!(
            redact(&line),
            format!(
                "  kubeadm join 10.0.0.1:6443 --token (secret) --discovery-token-ca-cert-hash sha256:{key} \\\n\
                 \t--control-plane --certificate-key (secret)"
            )
        );
        assert_eq!(
            redact("[init] Using Kubernetes version: v1.34.2"),
            "[init] Using Kubernetes version: v1.34.2"
        );
        assert_eq!(redact("\"abcdef.0123456789abcdef\""), "\"(secret)\"");
    }

    #[test]
    fn damaged_certificates_are_errors() {
        assert_eq!(ca_cert_hash("nothing"), Err(Error::NoCertificate));
        let pem = |body: &str| format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n");
        assert!(matches!(ca_cert_hash(&pem("%%%")), Err(Error::BadCertificate(_))));
        assert!(matches!(ca_cert_hash("-----BEGIN CERTIFICATE-----\nAAAA"), Err(Error::BadCertificate(_))));
        // Every prefix of an endless SEQUENCE, and lengths that overflow.
        for der in [
            &[][..],
            &[0x30],
            &[0x30, 0x80],
            &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff],
            &[0x30, 0x02, 0x30, 0x00],
        ] {
            let error = ca_cert_hash(&pem(&STANDARD.encode(der)));
            assert!(matches!(error, Err(Error::BadCertificate(_))), "{der:02x?}: {error:?}");
        }
    }
}
