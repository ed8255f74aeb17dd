//! Keys that are made of a passphrase: Argon2id, with a salt and with parameters that stand in each sealed value. So a value can be opened on any
//! machine by whoever has the passphrase, and the parameters can grow without any file becoming unreadable.
//!
//! They are what OWASP recommends for Argon2id: 19 MiB of memory, two passes, one lane.

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use zeroize::Zeroizing;

use super::SealError;

const SALT_LEN: usize = 16;
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// What a file may ask for: more than this is nothing that any grappe wrote.
const MOST: (u32, u32, u32) = (1024 * 1024, 64, 64);

/// How a key is made of a passphrase: as text, `argon2id,m=19456,t=2,p=1,SALT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kdf {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    salt: [u8; SALT_LEN],
}

impl Kdf {
    /// With a new salt.
    pub(super) fn new() -> Self {
        Kdf { memory_kib: MEMORY_KIB, passes: PASSES, lanes: LANES, salt: rand::random() }
    }

    /// Whether it costs an attacker what a new one would.
    pub(super) fn is_current(&self) -> bool {
        self.memory_kib >= MEMORY_KIB && self.passes >= PASSES
    }

    pub(super) fn derive(&self, passphrase: &[u8]) -> Result<Zeroizing<[u8; 32]>, SealError> {
        let params = Params::new(self.memory_kib, self.passes, self.lanes, Some(32));
        let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.map_err(|_| SealError::Damaged)?);
        let mut key = Zeroizing::new([0; 32]);
        argon.hash_password_into(passphrase, &self.salt, &mut key[..]).map_err(|_| SealError::Damaged)?;
        Ok(key)
    }
}

impl std::fmt::Display for Kdf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Kdf { memory_kib, passes, lanes, salt } = self;
        write!(f, "argon2id,m={memory_kib},t={passes},p={lanes},{}", BASE64.encode(salt))
    }
}

impl std::str::FromStr for Kdf {
    type Err = SealError;

    fn from_str(text: &str) -> Result<Self, SealError> {
        let parts: Vec<&str> = text.split(',').collect();
        let [name, memory, passes, lanes, salt] = parts[..] else { return Err(SealError::Damaged) };
        if name != "argon2id" {
            return Err(SealError::Newer(name.to_owned()));
        }
        let number = |text: &str, name: &str, most: u32| {
            let n = text.strip_prefix(name).and_then(|n| n.parse().ok());
            n.filter(|n| *n <= most).ok_or(SealError::Damaged)
        };
        let salt = BASE64.decode(salt).ok().and_then(|salt| salt.try_into().ok());
        Ok(Kdf {
            memory_kib: number(memory, "m=", MOST.0)?,
            passes: number(passes, "t=", MOST.1)?,
            lanes: number(lanes, "p=", MOST.2)?,
            salt: salt.ok_or(SealError::Damaged)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_back_and_refuses_what_it_does_not_know() {
        let kdf = Kdf::new();
        let text = kdf.to_string();
        assert!(text.starts_with("argon2id,m=19456,t=2,p=1,") && kdf.is_current(), "{text}");
        assert_eq!(text.parse::<Kdf>().unwrap(), kdf);
        assert!(
            matches!(text.replace("argon2id", "argon3").parse::<Kdf>(), Err(SealError::Newer(n)) if n == "argon3")
        );
        for bad in ["", "argon2id,m=1", &text.replace("m=19456", "m=4294967295"), &text[..text.len() - 2]] {
            assert!(matches!(bad.parse::<Kdf>(), Err(SealError::Damaged)), "{bad}");
        }
        assert!(!text.replace("t=2", "t=1").parse::<Kdf>().unwrap().is_current());
    }

    #[test]
    fn the_key_is_argon2ids() {
        // What the reference implementation says: argon2 somesaltsomesalt -id -t 2 -k 19456 -p 1 -l 32
        let kdf = Kdf { salt: *b"somesaltsomesalt", ..Kdf::new() };
        let key = kdf.derive(b"password").unwrap();
        assert_ne!(*key, *kdf.derive(b"Password").unwrap());
        assert_ne!(*key, *Kdf { passes: 3, ..kdf }.derive(b"password").unwrap());
        let hex: String = key.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, "2b5dc4054886ec957ef59c73b661c54dd6fb274590b278f657c6d96aac8fa6d1");
    }
}
