//! Sealing: what is sensitive is never on disk in clear.
//!
//! In memory, a sensitive part of a value in wire form is `{"$sensitive": VALUE}`. On disk (snapshot, journal, plan file) it is one of
//!
//! - `{"$sealed": "v1:KEYID:BASE64"}`: a random nonce and VALUE as JSON, encrypted with ChaCha20-Poly1305. The key's id (the first eight hexadecimal
//!   digits of its SHA-256) tells which key is missing without telling anything about it.
//! - `{"$sealed": "v2:KEYID:KDF:BASE64"}`: the same with a key that is made of a passphrase; KDF says how (`kdf`), so that whoever has the
//!   passphrase can open it anywhere.
//! - `{"$withheld": true}`: nothing at all, where there is no key and shall be none. What can be read back is read back by the next run; the planner
//!   refuses what can't, before anything is done.
//!
//! `source` says where the key comes from. What holds no secret never asks for one.

mod error;
mod kdf;
mod source;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};
use serde_json::{Map, Value as Json};
use zeroize::Zeroizing;

pub use error::SealError;
use kdf::Kdf;
use source::{Key, Keys, Source};

const NONCE_LEN: usize = 12;
/// What both sides must agree on beyond the key: a sealed leaf of grappe, and of this version.
const CONTEXT: &[u8] = b"grappe state v1";

/// Seals and opens. Keys are fetched when first needed, once.
pub struct Sealer {
    keys: Keys,
    /// Opens what `keys` does not: while a state changes its key.
    old: Option<Keys>,
    notices: Mutex<Vec<String>>,
}

/// Shows where the key comes from, never the key.
impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").field("source", &self.keys.source.to_string()).finish_non_exhaustive()
    }
}

impl Sealer {
    /// With the key that the environment tells of.
    #[must_use]
    pub fn from_env() -> Self {
        Self::new(Source::given("GRAPPE_STATE_").unwrap_or_else(Source::own))
    }

    /// Seals with the key that the environment tells of, and opens what was sealed with the old one: that of `GRAPPE_STATE_OLD_KEY` and its kin, or the
    /// one in our own file.
    #[must_use]
    pub fn rekeying() -> Self {
        let old = Source::given("GRAPPE_STATE_OLD_").unwrap_or_else(Source::own);
        Sealer { old: Some(Keys::new(old)), ..Self::from_env() }
    }

    /// With a key in base64.
    #[must_use]
    pub fn from_text(text: String) -> Self {
        Self::new(Source::Text(Zeroizing::new(text)))
    }

    /// With the key in a file, which is made where it is missing and something must be sealed.
    #[must_use]
    pub fn from_own_file(path: PathBuf) -> Self {
        Self::new(Source::Own(path))
    }

    /// With a key that is made of a passphrase.
    #[must_use]
    pub fn from_passphrase(text: String) -> Self {
        Self::new(Source::Passphrase(Zeroizing::new(text)))
    }

    /// Without a key: what is sensitive is withheld.
    #[must_use]
    pub fn without_key() -> Self {
        Self::new(Source::Nothing("there shall be none"))
    }

    fn new(source: Source) -> Self {
        Sealer { keys: Keys::new(source), old: None, notices: Mutex::default() }
    }

    /// Why what is sensitive is not stored at all, where there is no key.
    #[must_use]
    pub fn withholds(&self) -> Option<&'static str> {
        match self.keys.source {
            Source::Nothing(why) => Some(why),
            _ => None,
        }
    }

    /// Where the key comes from, for people.
    #[must_use]
    pub fn describe(&self) -> String {
        match &self.keys.source {
            Source::Nothing(_) => "no key: they are not stored".to_owned(),
            source if source.is_passphrase() => format!("the passphrase in {source}"),
            source => format!("the key in {source}"),
        }
    }

    /// What the user should be told (a key was made), once.
    pub fn take_notices(&self) -> Vec<String> {
        std::mem::take(&mut self.notices.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Seals every sensitive part, or withholds it where there is no key. Returns whether there was any.
    ///
    /// # Errors
    /// Where the key can't be had.
    pub fn seal(&self, json: &mut Json) -> Result<bool, SealError> {
        walk(json, &mut |map| {
            let Some(clear) = single(map, "$sensitive") else { return Ok(false) };
            *map = Map::from_iter([match self.withholds() {
                Some(_) => ("$withheld".to_owned(), Json::Bool(true)),
                None => ("$sealed".to_owned(), Json::String(self.sealed(clear)?)),
            }]);
            Ok(true)
        })
    }

    /// The same for what makes no sense without its secrets: a plan file.
    ///
    /// # Errors
    /// Where there is one and no key.
    pub fn seal_whole(&self, json: &mut Json) -> Result<bool, SealError> {
        match self.withholds() {
            None => self.seal(json),
            Some(why) => walk(json, &mut |map| match single(map, "$sensitive") {
                Some(_) => Err(SealError::Nothing(why.to_owned())),
                None => Ok(false),
            }),
        }
    }

    fn sealed(&self, clear: &Json) -> Result<String, SealError> {
        let mut notice = |text| self.notices.lock().unwrap_or_else(PoisonError::into_inner).push(text);
        let key = self.keys.to_seal(&mut notice)?;
        let clear = Zeroizing::new(serde_json::to_vec(clear).map_err(|_| SealError::Damaged)?);
        let nonce: [u8; NONCE_LEN] = rand::random();
        let sealed = cipher(&key)
            .encrypt(&Nonce::from(nonce), Payload { msg: &clear, aad: CONTEXT })
            .map_err(|_| SealError::Damaged)?;
        let (id, text) = (&key.id, BASE64.encode([&nonce[..], &sealed].concat()));
        Ok(match key.kdf {
            None => format!("v1:{id}:{text}"),
            Some(kdf) => format!("v2:{id}:{kdf}:{text}"),
        })
    }

    /// Opens every sealed part.
    ///
    /// # Errors
    /// Where it was sealed with another key, or was changed since.
    pub fn open(&self, json: &mut Json) -> Result<bool, SealError> {
        walk(json, &mut |map| {
            let Some(Json::String(text)) = single(map, "$sealed") else { return Ok(false) };
            let clear = self.opened(text)?;
            *map = Map::from_iter([("$sensitive".to_owned(), clear)]);
            Ok(true)
        })
    }

    fn opened(&self, text: &str) -> Result<Json, SealError> {
        let (version, rest) = text.split_once(':').ok_or(SealError::Damaged)?;
        let (id, rest) = rest.split_once(':').ok_or(SealError::Damaged)?;
        let (kdf, data) = match version {
            "v1" => (None, rest),
            "v2" => {
                let (kdf, data) = rest.split_once(':').ok_or(SealError::Damaged)?;
                (Some(kdf.parse::<Kdf>()?), data)
            }
            newer => return Err(SealError::Newer(newer.to_owned())),
        };
        let key = match (self.keys.to_open(id, kdf), &self.old) {
            (Err(e), Some(old)) if e.is_key() => old.to_open(id, kdf)?,
            (key, _) => key?,
        };
        let data = BASE64.decode(data).map_err(|_| SealError::Damaged)?;
        let (nonce, sealed) = data.split_first_chunk::<NONCE_LEN>().ok_or(SealError::Damaged)?;
        let clear = cipher(&key)
            .decrypt(&Nonce::from(*nonce), Payload { msg: sealed, aad: CONTEXT })
            .map(Zeroizing::new)
            .map_err(|_| SealError::Damaged)?;
        serde_json::from_slice(&clear).map_err(|_| SealError::Damaged)
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
            text.contains(&sealer(1).keys.to_seal(&mut |_| {}).unwrap().id)
                && text.contains("GRAPPE_STATE_KEY"),
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

    #[test]
    fn a_passphrase_opens_on_another_machine_what_it_sealed() {
        let pass = |text: &str| Sealer::from_passphrase(text.into());
        let clear = json!([{"$sensitive": "hunter2"}, {"$sensitive": 2}]);
        let mut json = clear.clone();
        pass("correct horse").seal(&mut json).unwrap();
        let text = json.to_string();
        assert!(
            text.contains("v2:") && text.contains("argon2id,m=19456,t=2,p=1,") && !text.contains("hunter2")
        );

        let other = pass("correct horse");
        let mut opened = json.clone();
        other.open(&mut opened).unwrap();
        assert_eq!(opened, clear);
        // What it seals then has the salt that is there: one passphrase, one key.
        let kdf = |json: &Json| json[0]["$sealed"].as_str().unwrap().split(':').nth(2).unwrap().to_owned();
        other.seal(&mut opened).unwrap();
        assert_eq!(kdf(&opened), kdf(&json));
        let mut anew = clear.clone();
        pass("correct horse").seal(&mut anew).unwrap();
        assert_ne!(kdf(&anew), kdf(&json), "a salt of its own");

        for (wrong, says) in [
            (pass("wrong horse"), "another passphrase"),
            (sealer(1), "sealed with a passphrase"),
            (Sealer::without_key(), "there is no key to open"),
        ] {
            let error = wrong.open(&mut json.clone()).unwrap_err();
            assert!(error.to_string().contains(says) && error.hint().is_some(), "{error}");
        }
        let mut keyed = clear.clone();
        sealer(1).seal(&mut keyed).unwrap();
        let error = pass("correct horse").open(&mut keyed).unwrap_err().to_string();
        assert!(error.contains("sealed with key") && error.contains("is a passphrase"), "{error}");
        assert!(pass(" ").seal(&mut clear.clone()).unwrap_err().to_string().contains("holds no passphrase"));
    }

    #[test]
    fn a_command_gives_the_key_or_says_why_not() {
        let command = |text: &str| Sealer::new(Source::Command(text.into()));
        let mut json = json!({"$sensitive": "x"});
        command(&format!("echo {}", BASE64.encode([7; 32]))).seal(&mut json).unwrap();
        sealer(7).open(&mut json).unwrap();
        assert_eq!(json, json!({"$sensitive": "x"}));

        let error =
            command("echo the vault is closed >&2; echo c2VjcmV0; exit 3").seal(&mut json).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("the vault is closed") && text.contains("3") && !text.contains("c2VjcmV0"),
            "{text}"
        );
        let error = command("echo c2VjcmV0").seal(&mut json).unwrap_err().to_string();
        assert!(
            error.contains("GRAPPE_STATE_KEY_COMMAND holds no key") && !error.contains("c2VjcmV0"),
            "{error}"
        );
        assert!(!format!("{:?}", command("echo c2VjcmV0")).contains("c2VjcmV0"));
        // Asked once, however much there is to seal.
        let dir = tempfile::tempdir().unwrap();
        let asked = dir.path().join("asked");
        let counted = format!("echo x >> {}; echo {}", asked.display(), BASE64.encode([7; 32]));
        let counted = command(&counted);
        for _ in 0..3 {
            counted.seal(&mut json!([{"$sensitive": 1}, {"$sensitive": 2}])).unwrap();
        }
        assert_eq!(std::fs::read_to_string(asked).unwrap(), "x\n");
    }

    #[test]
    fn without_a_key_secrets_are_withheld_or_refused() {
        let none = Sealer::without_key();
        let mut json = json!({"id": 1, "password": {"$sensitive": "hunter2"}});
        assert!(none.withholds().is_some() && sealer(1).withholds().is_none());
        let error = none.seal_whole(&mut json.clone()).unwrap_err();
        assert!(error.to_string().contains("no key") && error.hint().unwrap().contains("GRAPPE_STATE_KEY"));
        assert!(!none.seal_whole(&mut json!({"id": 1})).unwrap());
        assert!(none.seal(&mut json).unwrap());
        assert_eq!(json, json!({"id": 1, "password": {"$withheld": true}}));
        // It is no leaf to open or to seal.
        assert!(!sealer(1).open(&mut json).unwrap() && !sealer(1).seal(&mut json).unwrap());
    }

    #[test]
    fn a_key_is_changed_by_opening_with_the_old_and_sealing_with_the_new() {
        let mut json = json!([{"$sensitive": "x"}]);
        sealer(1).seal(&mut json).unwrap();
        let both = || Sealer { old: Some(Keys::new(sealer(1).keys.source)), ..sealer(2) };
        both().open(&mut json).unwrap();
        both().seal(&mut json).unwrap();
        // Those that are changed already are opened too.
        both().open(&mut json.clone()).unwrap();
        sealer(2).open(&mut json).unwrap();
        assert_eq!(json, json!([{"$sensitive": "x"}]));
        sealer(3).seal(&mut json).unwrap();
        assert!(matches!(both().open(&mut json), Err(SealError::OtherKey { .. })));
    }

    proptest::proptest! {
        /// Whatever a value looks like, nothing sensitive is in what is written, and all of it comes back with the key.
        #[test]
        fn no_sensitive_text_is_written(json in tree(), how in 0usize..3) {
            let sealer = [Sealer::from_text(BASE64.encode([1; 32])), Sealer::from_passphrase("p".into()), Sealer::without_key()]
                .into_iter().nth(how).unwrap();
            let mut written = json.clone();
            sealer.seal(&mut written).unwrap();
            let text = written.to_string();
            proptest::prop_assert!(!text.contains("hunter2"), "{}", text);
            proptest::prop_assert!(!text.contains("$sensitive"), "{}", text);
            if sealer.withholds().is_none() {
                sealer.open(&mut written).unwrap();
                proptest::prop_assert_eq!(written, json);
            }
        }
    }

    /// Wire forms with secrets anywhere, and keys that a user chose.
    fn tree() -> impl proptest::strategy::Strategy<Value = Json> {
        use proptest::prelude::*;
        let secret = prop_oneof![
            Just(json!({"$sensitive": "hunter2"})),
            Just(json!({"$sensitive": {"deep": ["hunter2", {"$sensitive": "hunter2"}]}})),
        ];
        let leaf = prop_oneof![Just(Json::Null), Just(json!("plain")), Just(json!({"$number": "1"})), secret];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
                proptest::collection::btree_map("[a-c]", inner.clone(), 0..4).prop_map(|m| json!(m)),
                proptest::collection::btree_map("[$a-c]{1,2}", inner, 1..4)
                    .prop_map(|m| json!({"$object": m})),
            ]
        })
    }
}
