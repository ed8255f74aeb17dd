//! Key pairs as PEM texts.
//!
//! As Terraform's provider writes them (Go's `crypto/x509`): PKCS #1 for RSA, SEC 1 for ECDSA, PKCS #8 for Ed25519 (RFC 8410, the form without the public key, which
//! OpenSSL reads in every version), and PKCS #8 for all beside it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use p256::elliptic_curve::Generate;
use p256::pkcs8::{EncodePrivateKey, EncodePublicKey, LineEnding};
use rsa::pkcs1::EncodeRsaPrivateKey;
use ssh_key::private::{EcdsaKeypair, Ed25519Keypair, KeypairData, RsaKeypair};

/// What is generated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    /// With this many bits.
    Rsa(usize),
    /// On the curve P-256.
    P256,
    /// On the curve P-384.
    P384,
    /// On the curve P-521.
    P521,
    /// Ed25519.
    Ed25519,
}

/// A new key pair, and its texts.
pub(super) struct Texts {
    /// For the SSH forms.
    pub(super) pair: KeypairData,
    /// The private key as its own standard has it.
    pub(super) private: String,
    /// The private key in PKCS #8.
    pub(super) private_pkcs8: String,
    /// The public key (SubjectPublicKeyInfo).
    pub(super) public: String,
}

/// Anything that the crates below refuse: none of it depends on what a user wrote.
pub(super) type Error = Box<dyn std::error::Error + Send + Sync>;

macro_rules! ecdsa {
    ($curve:ident, $variant:ident) => {{
        let secret = $curve::SecretKey::generate_from_rng(&mut rand::rng());
        let public = secret.public_key();
        Texts {
            private: secret.to_sec1_pem(LineEnding::LF)?.to_string(),
            private_pkcs8: secret.to_pkcs8_pem(LineEnding::LF)?.to_string(),
            public: public.to_public_key_pem(LineEnding::LF)?,
            pair: EcdsaKeypair::$variant { public: public.into(), private: secret.into() }.into(),
        }
    }};
}

/// Makes a key pair. Takes long for RSA.
pub(super) fn generate(algorithm: Algorithm) -> Result<Texts, Error> {
    Ok(match algorithm {
        Algorithm::P256 => ecdsa!(p256, NistP256),
        Algorithm::P384 => ecdsa!(p384, NistP384),
        Algorithm::P521 => ecdsa!(p521, NistP521),
        Algorithm::Rsa(bits) => {
            let secret = rsa::RsaPrivateKey::new(&mut rand::rng(), bits)?;
            Texts {
                private: secret.to_pkcs1_pem(LineEnding::LF)?.to_string(),
                private_pkcs8: secret.to_pkcs8_pem(LineEnding::LF)?.to_string(),
                public: secret.to_public_key().to_public_key_pem(LineEnding::LF)?,
                pair: RsaKeypair::try_from(secret)?.into(),
            }
        }
        Algorithm::Ed25519 => {
            let pair = Ed25519Keypair::random(&mut rand::rng());
            // RFC 8410: a PrivateKeyInfo (version 0) and a SubjectPublicKeyInfo around 32 bytes each.
            let private = pem(
                "PRIVATE KEY",
                b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20",
                &pair.private.to_bytes(),
            );
            Texts {
                private_pkcs8: private.clone(),
                private,
                public: pem(
                    "PUBLIC KEY",
                    b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00",
                    &pair.public.0,
                ),
                pair: pair.into(),
            }
        }
    })
}

fn pem(label: &str, head: &[u8], key: &[u8; 32]) -> String {
    // At most 48 bytes: one line of 64 characters.
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode([head, key].concat()))
}
