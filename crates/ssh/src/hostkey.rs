//! Deciding whether a host key is the right one.
//!
//! The expectation is loaded before the connection is made, for two reasons: the algorithms we know keys of are asked
//! for first (a host with an ECDSA and an Ed25519 key must show the one that we can compare), and a broken pin fails
//! before a packet is sent.

use crate::error::{Cause, SshError};
use crate::known_hosts::{self, Known};
use crate::{Endpoint, HostKeyCheck};
use russh::keys::{Algorithm, EcdsaCurve, HashAlg, PublicKey};
use std::path::PathBuf;

/// What we expect a host to show.
#[derive(Debug, Clone)]
pub(crate) enum Expectation {
    Anything,
    Key(Box<PublicKey>),
    Fingerprint(String),
    Known {
        /// Lines for `host` or `[host]:port`.
        exact: Vec<Known>,
        /// Lines for the host without its port, which OpenSSH also accepts (but does not hold against the host).
        portless: Vec<Known>,
        searched: String,
    },
}

/// All algorithms we accept for host keys, best first. No DSA, no SHA-1.
const ALGORITHMS: [Algorithm; 6] = [
    Algorithm::Ed25519,
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP521 },
    Algorithm::Rsa { hash: Some(HashAlg::Sha512) },
    Algorithm::Rsa { hash: Some(HashAlg::Sha256) },
];

impl Expectation {
    /// Reads what `endpoint` expects: the pin, or the known_hosts files.
    pub(crate) fn load(endpoint: &Endpoint) -> Result<Self, SshError> {
        match &endpoint.host_key {
            HostKeyCheck::FirstUse => Ok(Expectation::Anything),
            HostKeyCheck::Pinned(pin) => pinned(endpoint, pin.trim()),
            HostKeyCheck::KnownHosts(file) => known(endpoint, file.as_ref()),
        }
    }

    /// The algorithms to ask the host for, those of expected keys first.
    pub(crate) fn algorithms(&self) -> Vec<Algorithm> {
        let expected: Vec<&PublicKey> = match self {
            Expectation::Anything | Expectation::Fingerprint(_) => vec![],
            Expectation::Key(key) => vec![key],
            Expectation::Known { exact, portless, .. } => {
                exact.iter().chain(portless).filter(|known| !known.revoked).map(|known| &known.key).collect()
            }
        };
        let mut algorithms = ALGORITHMS.to_vec();
        algorithms.sort_by_key(|algorithm| !expected.iter().any(|key| same_family(key, algorithm)));
        algorithms
    }

    /// Whether `shown` is the expected key; `Err` says why not.
    pub(crate) fn check(&self, shown: &PublicKey) -> Result<(), Cause> {
        let found = fingerprint(shown);
        match self {
            Expectation::Anything => Ok(()),
            Expectation::Key(key) if key.key_data() == shown.key_data() => Ok(()),
            Expectation::Fingerprint(pin) if *pin == shown.fingerprint(HashAlg::Sha256).to_string() => Ok(()),
            Expectation::Key(key) => Err(Cause::HostKeyChanged {
                expected: fingerprint(key),
                found,
                origin: "the pinned host_key".into(),
            }),
            Expectation::Fingerprint(pin) => Err(Cause::HostKeyChanged {
                expected: pin.clone(),
                found,
                origin: "the pinned host_key".into(),
            }),
            Expectation::Known { exact, portless, searched } => {
                let same = |known: &&Known| known.key.key_data() == shown.key_data();
                if let Some(mark) = exact.iter().chain(portless).filter(|known| known.revoked).find(same) {
                    return Err(Cause::HostKeyRevoked { found, origin: mark.origin.clone() });
                }
                if exact.iter().chain(portless).filter(|known| !known.revoked).any(|known| same(&known)) {
                    return Ok(());
                }
                let mut expected = exact.iter().filter(|known| !known.revoked).collect::<Vec<_>>();
                expected.sort_by_key(|known| known.key.algorithm() != shown.algorithm());
                match expected.first() {
                    Some(known) => Err(Cause::HostKeyChanged {
                        expected: fingerprint(&known.key),
                        found,
                        origin: known.origin.clone(),
                    }),
                    None => Err(Cause::HostKeyUnknown { found, searched: searched.clone() }),
                }
            }
        }
    }
}

/// Ask again without `algorithm`'s family: a fingerprint does not tell which of the host's keys it is of.
pub(crate) fn without_family(algorithms: &[Algorithm], shown: &PublicKey) -> Vec<Algorithm> {
    algorithms.iter().filter(|algorithm| !same_family(shown, algorithm)).cloned().collect()
}

fn pinned(endpoint: &Endpoint, pin: &str) -> Result<Expectation, SshError> {
    let bad = |why: String| {
        SshError::new(
            endpoint,
            Cause::HostKeyConfig(format!(
                "the pinned host_key {why}: give an OpenSSH public key line (ssh-ed25519 AAAA…) or SHA256:…"
            )),
        )
    };
    if pin.starts_with("SHA256:") {
        let fingerprint: russh::keys::ssh_key::Fingerprint =
            pin.parse().map_err(|_| bad(format!("{pin:?} is not a SHA-256 fingerprint")))?;
        return Ok(Expectation::Fingerprint(fingerprint.to_string()));
    }
    let key =
        PublicKey::from_openssh(pin).map_err(|error| bad(format!("{pin:?} cannot be read ({error})")))?;
    Ok(Expectation::Key(Box::new(key)))
}

fn known(endpoint: &Endpoint, file: Option<&PathBuf>) -> Result<Expectation, SshError> {
    let files = file.map(|file| vec![file.clone()]).unwrap_or_else(known_hosts::default_files);
    let (mut exact, mut portless) = (Vec::new(), Vec::new());
    for path in &files {
        let text = match std::fs::read(path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && file.is_none() => continue,
            Err(error) => {
                let what = format!("the known_hosts file {} cannot be read", path.display());
                return Err(SshError::new(endpoint, Cause::HostKeyConfig(what)).with_source(error));
            }
        };
        exact.extend(known_hosts::lookup(&text, path, &endpoint.known_as()));
        if endpoint.port != 22 {
            portless.extend(known_hosts::lookup(&text, path, &endpoint.address.to_lowercase()));
        }
    }
    let files = files.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
    let searched = format!("no line for {} in {files}", endpoint.known_as());
    Ok(Expectation::Known { exact, portless, searched })
}

fn same_family(key: &PublicKey, algorithm: &Algorithm) -> bool {
    match (key.algorithm(), algorithm) {
        (Algorithm::Rsa { .. }, Algorithm::Rsa { .. }) => true,
        (one, other) => one == *other,
    }
}

/// `ED25519 SHA256:…`, as ssh prints it.
pub(crate) fn fingerprint(key: &PublicKey) -> String {
    format!("{} {}", key.algorithm().as_str(), key.fingerprint(HashAlg::Sha256))
}

/// The OpenSSH line of a key, without a comment.
pub(crate) fn line(key: &PublicKey) -> String {
    PublicKey::from(key.key_data().clone()).to_openssh().unwrap_or_default()
}
