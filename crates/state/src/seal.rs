//! Sealing: what is sensitive is never on disk in clear.
//!
//! In memory, a sensitive part of a value in wire form is `{"$sensitive": VALUE}`. On disk (snapshot, journal, plan file) it is
//! `{"$sealed": "v1:KEYID:BASE64"}`: a random nonce and VALUE as JSON, encrypted with ChaCha20-Poly1305. The key's id (the first eight hexadecimal
//! digits of its SHA-256) tells which key is missing without telling anything about it.
//!
//! The key is `GRAPPE_STATE_KEY` (base64 of 32 bytes), or what is in the file that `GRAPPE_STATE_KEY_FILE` names, or a file in the user's
//! configuration folder that is made the first time that something must be sealed. What holds no secret never asks for a key.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};
use serde_json::{Map, Value as Json};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::files::{self, FileError};

const VERSION: &str = "v1";
const NONCE_LEN: usize = 12;
/// What both sides must agree on beyond the key: a sealed leaf of grappe, and of this version.
const CONTEXT: &[u8] = b"grappe state v1";

/// Why something can't be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// There is no key, and what must be opened was sealed with one.
    #[error("there is no key to open the sealed values (they were sealed with key {want})")]
    NoKey {
        /// The id of the key that is needed.
        want: String,
        /// Where a key was looked for.
        looked: String,
    },
    /// It was sealed with another key.
    #[error("the values are sealed with key {want}, and the key at hand ({from}) is {have}")]
    OtherKey {
        /// The id of the key that is needed.
        want: String,
        /// The id of the key at hand.
        have: String,
        /// Where that came from.
        from: String,
    },
    /// The key at hand is not 32 bytes in base64.
    #[error("{from} holds no key: it must be 32 bytes in base64")]
    BadKey {
        /// Where it came from.
        from: String,
    },
    /// What is sealed was changed or cut.
    #[error("a sealed value is damaged: it was changed after it was sealed, or cut")]
    Damaged,
    /// It was sealed by a newer program.
    #[error("a value is sealed in a way that this program does not know ({0}): a newer grappe wrote it")]
    Newer(String),
    /// There is no folder to keep a key in.
    #[error("there is no folder for a new key: neither XDG_CONFIG_HOME nor HOME is set")]
    NoFolder,
    /// The key file can't be read or made.
    #[error(transparent)]
    File(#[from] FileError),
}

impl SealError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            SealError::NoKey { want, looked } => Some(format!(
                "bring key {want} from where the state was last written: set GRAPPE_STATE_KEY or GRAPPE_STATE_KEY_FILE, or copy its key file ({looked} was looked at)"
            )),
            SealError::OtherKey { want, .. } => {
                Some(format!("set GRAPPE_STATE_KEY or GRAPPE_STATE_KEY_FILE to key {want}"))
            }
            SealError::BadKey { .. } => Some("a new key: head -c 32 /dev/urandom | base64".into()),
            SealError::Damaged => Some("restore the file from a backup".into()),
            SealError::Newer(_) => Some("use the grappe that wrote it, or a newer one".into()),
            SealError::NoFolder => Some("set GRAPPE_STATE_KEY".into()),
            SealError::File(e) => e.hint(),
        }
    }
}

/// Where the key comes from.
#[derive(Clone, PartialEq, Eq)]
enum Source {
    /// It stands in a variable.
    Text(Zeroizing<String>),
    /// In a file that the user named: it is never made.
    File(PathBuf),
    /// In our own file, made when first needed.
    Own(Option<PathBuf>),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Text(_) => f.write_str("GRAPPE_STATE_KEY"),
            Source::File(path) | Source::Own(Some(path)) => path.display().fmt(f),
            Source::Own(None) => f.write_str("no file"),
        }
    }
}

struct Key {
    bytes: Zeroizing<[u8; 32]>,
    id: String,
}

/// Seals and opens. The key is fetched when first needed, once.
pub struct Sealer {
    source: Source,
    key: OnceLock<Key>,
    notices: Mutex<Vec<String>>,
}

/// Shows where the key comes from, never the key.
impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").field("source", &self.source.to_string()).finish_non_exhaustive()
    }
}

impl Sealer {
    /// With the key that the environment tells of.
    #[must_use]
    pub fn from_env() -> Self {
        let set = |name| std::env::var_os(name).filter(|v| !v.is_empty());
        let config = set("XDG_CONFIG_HOME")
            .map(PathBuf::from)
            .or_else(|| set("HOME").map(|home| PathBuf::from(home).join(".config")));
        if let Some(text) = set("GRAPPE_STATE_KEY") {
            return Self::from_text(text.to_string_lossy().into_owned());
        }
        match set("GRAPPE_STATE_KEY_FILE") {
            Some(path) => Self::new(Source::File(path.into())),
            None => Self::new(Source::Own(config.map(|dir| dir.join("grappe/state.key")))),
        }
    }

    /// With a key in base64.
    #[must_use]
    pub fn from_text(text: String) -> Self {
        Self::new(Source::Text(Zeroizing::new(text)))
    }

    /// With the key in a file, which is made where it is missing and something must be sealed.
    #[must_use]
    pub fn from_own_file(path: PathBuf) -> Self {
        Self::new(Source::Own(Some(path)))
    }

    fn new(source: Source) -> Self {
        Sealer { source, key: OnceLock::new(), notices: Mutex::default() }
    }

    /// What the user should be told (a key was made), once.
    pub fn take_notices(&self) -> Vec<String> {
        std::mem::take(&mut self.notices.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Seals every sensitive part. Returns whether there was any.
    ///
    /// # Errors
    /// Where there is one and no key.
    pub fn seal(&self, json: &mut Json) -> Result<bool, SealError> {
        walk(json, &mut |map| {
            let Some(clear) = single(map, "$sensitive") else { return Ok(false) };
            let key = self.key(None)?;
            let clear = Zeroizing::new(serde_json::to_vec(clear).map_err(|_| SealError::Damaged)?);
            let nonce: [u8; NONCE_LEN] = rand::random();
            let sealed = cipher(key)
                .encrypt(&Nonce::from(nonce), Payload { msg: &clear, aad: CONTEXT })
                .map_err(|_| SealError::Damaged)?;
            let text = BASE64.encode([&nonce[..], &sealed].concat());
            *map = Map::from_iter([(
                "$sealed".to_owned(),
                Json::String(format!("{VERSION}:{}:{text}", key.id)),
            )]);
            Ok(true)
        })
    }

    /// Opens every sealed part.
    ///
    /// # Errors
    /// Where it was sealed with another key, or was changed since.
    pub fn open(&self, json: &mut Json) -> Result<bool, SealError> {
        walk(json, &mut |map| {
            let Some(Json::String(text)) = single(map, "$sealed") else { return Ok(false) };
            let mut parts = text.splitn(3, ':');
            let (Some(version), Some(id), Some(data)) = (parts.next(), parts.next(), parts.next()) else {
                return Err(SealError::Damaged);
            };
            if version != VERSION {
                return Err(SealError::Newer(version.to_owned()));
            }
            let key = self.key(Some(id))?;
            let data = BASE64.decode(data).map_err(|_| SealError::Damaged)?;
            let (nonce, sealed) = data.split_first_chunk::<NONCE_LEN>().ok_or(SealError::Damaged)?;
            let clear = cipher(key)
                .decrypt(&Nonce::from(*nonce), Payload { msg: sealed, aad: CONTEXT })
                .map(Zeroizing::new)
                .map_err(|_| SealError::Damaged)?;
            let clear = serde_json::from_slice(&clear).map_err(|_| SealError::Damaged)?;
            *map = Map::from_iter([("$sensitive".to_owned(), clear)]);
            Ok(true)
        })
    }

    /// The key: that with the id `want` to open something, any (a new one at need) to seal.
    fn key(&self, want: Option<&str>) -> Result<&Key, SealError> {
        let key = match self.key.get() {
            Some(key) => key,
            None => {
                let key = self.fetch(want)?;
                self.key.get_or_init(|| key)
            }
        };
        match want {
            Some(want) if want != key.id => Err(SealError::OtherKey {
                want: want.to_owned(),
                have: key.id.clone(),
                from: self.source.to_string(),
            }),
            _ => Ok(key),
        }
    }

    fn fetch(&self, want: Option<&str>) -> Result<Key, SealError> {
        let no_key = |want: &str| SealError::NoKey { want: want.to_owned(), looked: self.source.to_string() };
        let path = match &self.source {
            Source::Text(text) => return self.parse(text.as_bytes()),
            Source::File(path) => path,
            Source::Own(Some(path)) => path,
            Source::Own(None) => return Err(want.map_or(SealError::NoFolder, no_key)),
        };
        match (files::read(path)?.map(Zeroizing::new), &self.source, want) {
            (Some(text), ..) => self.parse(&text),
            (None, Source::Own(_), None) => self.make(path),
            (None, _, Some(want)) => Err(no_key(want)),
            (None, _, None) => Err(SealError::BadKey { from: self.source.to_string() }),
        }
    }

    fn make(&self, path: &Path) -> Result<Key, SealError> {
        if let Some(folder) = path.parent() {
            files::create_private_dir(folder)?;
        }
        let bytes = Zeroizing::new(rand::random::<[u8; 32]>());
        let text = Zeroizing::new(format!("{}\n", BASE64.encode(&bytes[..])));
        if files::create_atomic(path, text.as_bytes(), files::PRIVATE)? {
            let notice = format!(
                "The state's secrets are sealed with a new key, in {}. Keep a copy of it: without it they can't be read. \
                 On other machines set GRAPPE_STATE_KEY_FILE or GRAPPE_STATE_KEY.",
                path.display()
            );
            self.notices.lock().unwrap_or_else(PoisonError::into_inner).push(notice);
        }
        // What is in the file counts: another process may have been first.
        let text = files::read(path)?.map(Zeroizing::new).unwrap_or_default();
        self.parse(&text)
    }

    fn parse(&self, text: &[u8]) -> Result<Key, SealError> {
        let bad = || SealError::BadKey { from: self.source.to_string() };
        let decoded = Zeroizing::new(BASE64.decode(text.trim_ascii()).map_err(|_| bad())?);
        let bytes = Zeroizing::new(<[u8; 32]>::try_from(&decoded[..]).map_err(|_| bad())?);
        let id = Sha256::digest(&bytes[..])[..4].iter().map(|b| format!("{b:02x}")).collect();
        Ok(Key { bytes, id })
    }
}

fn cipher(key: &Key) -> ChaCha20Poly1305 {
    ChaCha20Poly1305::new((&*key.bytes).into())
}

/// The value of a map's only entry, where it has that name.
fn single<'a>(map: &'a Map<String, Json>, name: &str) -> Option<&'a Json> {
    if map.len() == 1 { map.get(name) } else { None }
}

/// Changes a map, or leaves it alone (`false`).
type Visitor<'a> = dyn FnMut(&mut Map<String, Json>) -> Result<bool, SealError> + 'a;

/// Shows each map to `change`, from the outside in; goes on inside those that it leaves alone. A map under `$object` is a user's, whose keys
/// mean nothing here (see [`grappe_value::wire`]): it is not shown, its values are.
fn walk(json: &mut Json, change: &mut Visitor<'_>) -> Result<bool, SealError> {
    let mut any = false;
    match json {
        Json::Array(items) => {
            for item in items {
                any |= walk(item, change)?;
            }
        }
        Json::Object(map) => {
            let users = matches!(single(map, "$object"), Some(Json::Object(_)));
            if users {
                if let Some(Json::Object(inner)) = map.get_mut("$object") {
                    for item in inner.values_mut() {
                        any |= walk(item, change)?;
                    }
                }
            } else if change(map)? {
                return Ok(true);
            } else {
                for item in map.values_mut() {
                    any |= walk(item, change)?;
                }
            }
        }
        _ => {}
    }
    Ok(any)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn sealer(byte: u8) -> Sealer {
        Sealer::from_text(BASE64.encode([byte; 32]))
    }

    #[test]
    fn what_is_sealed_opens_again_and_is_not_in_clear() {
        let clear = json!({
            "user": "root",
            "password": {"$sensitive": "hunter2"},
            "nested": [{"$sensitive": {"a": [1, "hunter2"]}}, {"$object": {"$sealed": "v9:mine", "$x": {"$sensitive": "hunter2"}}}],
        });
        let mut json = clear.clone();
        assert!(sealer(1).seal(&mut json).unwrap());
        let text = json.to_string();
        assert!(
            !text.contains("hunter2") && !text.contains("$sensitive") && text.contains("v9:mine"),
            "{text}"
        );
        assert!(sealer(1).open(&mut json).unwrap());
        assert_eq!(json, clear);
    }

    #[test]
    fn another_key_a_changed_text_and_a_newer_form_are_refused() {
        let mut json = json!({"$sensitive": "x"});
        sealer(1).seal(&mut json).unwrap();
        let error = sealer(2).open(&mut json.clone()).unwrap_err();
        let text = format!("{error} {}", error.hint().unwrap());
        assert!(
            text.contains(&sealer(1).key(None).unwrap().id) && text.contains("GRAPPE_STATE_KEY"),
            "{text}"
        );

        let sealed = json["$sealed"].as_str().unwrap().to_owned();
        let mut changed = sealed.clone().into_bytes();
        let last = changed.len() - 4;
        changed[last] = if changed[last] == b'A' { b'B' } else { b'A' };
        json["$sealed"] = String::from_utf8(changed).unwrap().into();
        assert!(matches!(sealer(1).open(&mut json.clone()), Err(SealError::Damaged)));
        json["$sealed"] = sealed.replace("v1:", "v7:").into();
        assert!(matches!(sealer(1).open(&mut json), Err(SealError::Newer(v)) if v == "v7"));
    }

    #[test]
    fn our_key_is_made_once_when_first_needed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config/grappe/state.key");
        let own = Sealer::from_own_file(path.clone());
        assert!(!own.seal(&mut json!({"a": [1, {"b": null}]})).unwrap());
        assert!(!path.exists(), "what has no secret needs no key");

        let mut json = json!({"$sensitive": 1});
        let cannot = own.open(&mut json!({"$sealed": "v1:00112233:AAAA"})).unwrap_err();
        assert!(cannot.to_string().contains("00112233"), "{cannot}");
        assert!(!path.exists(), "a new key opens nothing");

        own.seal(&mut json).unwrap();
        assert!(own.take_notices()[0].contains("state.key") && own.take_notices().is_empty());
        let again = Sealer::from_own_file(path);
        again.open(&mut json).unwrap();
        assert!(again.take_notices().is_empty());
        assert_eq!(json, json!({"$sensitive": 1}));
    }

    #[test]
    fn a_bad_key_is_named_and_debug_shows_none() {
        let bad = Sealer::from_text("c2hvcnQ=".into());
        let error = bad.seal(&mut json!({"$sensitive": 1})).unwrap_err().to_string();
        assert!(error.contains("GRAPPE_STATE_KEY") && error.contains("32 bytes"), "{error}");
        assert!(!format!("{bad:?}").contains("c2hvcnQ"));
        let missing = Sealer::new(Source::File("/nonexistent/key".into()));
        assert!(
            missing.seal(&mut json!({"$sensitive": 1})).is_err(),
            "a file that the user named is not made"
        );
    }
}
