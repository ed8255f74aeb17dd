//! Where the key comes from: the first of these that is set, or a file of our own.
//!
//! | variable | what it holds |
//! |---|---|
//! | `GRAPPE_STATE_KEY` | the key, as base64 of 32 bytes; `none`: there shall be none |
//! | `GRAPPE_STATE_KEY_FILE` | a file that holds it |
//! | `GRAPPE_STATE_KEY_COMMAND` | a command, run by `sh`, that prints it |
//! | `GRAPPE_STATE_PASSPHRASE` | a passphrase, of which the key is made ([`super::kdf`]) |
//! | `GRAPPE_STATE_PASSPHRASE_FILE` | a file that holds that |

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::SealError;
use super::kdf::Kdf;
use crate::files;

/// Somebody may have to unlock what keeps the key.
const COMMAND_DEADLINE: Duration = Duration::from_secs(300);

/// Where the key comes from.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// It stands in a variable.
    Text(Zeroizing<String>),
    /// In a file that the user named: it is never made.
    File(PathBuf),
    /// A command prints it.
    Command(String),
    /// It is made of a passphrase that stands in a variable.
    Passphrase(Zeroizing<String>),
    /// Of one in a file.
    PassphraseFile(PathBuf),
    /// In our own file, made when first needed.
    Own(PathBuf),
    /// There is none, for this reason.
    Nothing(&'static str),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Text(_) => f.write_str("GRAPPE_STATE_KEY"),
            Source::Command(_) => f.write_str("GRAPPE_STATE_KEY_COMMAND"),
            Source::Passphrase(_) => f.write_str("GRAPPE_STATE_PASSPHRASE"),
            Source::File(path) | Source::PassphraseFile(path) | Source::Own(path) => path.display().fmt(f),
            Source::Nothing(why) => f.write_str(why),
        }
    }
}

impl Source {
    /// As the environment says, in variables of this prefix: `GRAPPE_STATE_`.
    pub(super) fn given(prefix: &str) -> Option<Self> {
        let set = |name| std::env::var_os(format!("{prefix}{name}")).filter(|v| !v.is_empty());
        let text = |name| set(name).map(|v| Zeroizing::new(v.to_string_lossy().into_owned()));
        if let Some(key) = text("KEY") {
            return Some(if key.trim() == "none" {
                Source::Nothing("GRAPPE_STATE_KEY is none")
            } else {
                Source::Text(key)
            });
        }
        set("KEY_FILE")
            .map(|path| Source::File(path.into()))
            .or_else(|| set("KEY_COMMAND").map(|c| Source::Command(c.to_string_lossy().into_owned())))
            .or_else(|| text("PASSPHRASE").map(Source::Passphrase))
            .or_else(|| set("PASSPHRASE_FILE").map(|path| Source::PassphraseFile(path.into())))
    }

    /// Our own file, in the user's configuration folder.
    pub(super) fn own() -> Self {
        let set = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let config = set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")));
        match config {
            Some(dir) => Source::Own(dir.join("grappe/state.key")),
            None => Source::Nothing("neither XDG_CONFIG_HOME nor HOME says where a new one could be kept"),
        }
    }

    pub(super) fn is_passphrase(&self) -> bool {
        matches!(self, Source::Passphrase(_) | Source::PassphraseFile(_))
    }

    fn passphrase(&self) -> Option<Result<Zeroizing<Vec<u8>>, SealError>> {
        let text = match self {
            Source::Passphrase(text) => Ok(Zeroizing::new(text.as_bytes().to_vec())),
            Source::PassphraseFile(path) => files::read(path).map(|text| {
                let text = Zeroizing::new(text.unwrap_or_default());
                // An editor ends the last line; what else is there belongs to it.
                let line = text.strip_suffix(b"\n").unwrap_or(&text);
                Zeroizing::new(line.strip_suffix(b"\r").unwrap_or(line).to_vec())
            }),
            _ => return None,
        };
        Some(match text {
            Ok(text) if text.trim_ascii().is_empty() => {
                Err(SealError::NoPassphrase { from: self.to_string() })
            }
            other => other.map_err(SealError::from),
        })
    }
}

/// A key, its id, and how it was made of a passphrase where it was.
pub(super) struct Key {
    pub(super) bytes: Zeroizing<[u8; 32]>,
    pub(super) id: String,
    pub(super) kdf: Option<Kdf>,
}

impl Key {
    fn new(bytes: Zeroizing<[u8; 32]>, kdf: Option<Kdf>) -> Arc<Self> {
        let id = Sha256::digest(&bytes[..])[..4].iter().map(|b| format!("{b:02x}")).collect();
        Arc::new(Key { bytes, id, kdf })
    }
}

/// The keys of one source, fetched when first needed, once: a key, or those that are made of the passphrase.
pub(super) struct Keys {
    pub(super) source: Source,
    known: Mutex<Vec<Arc<Key>>>,
}

impl Keys {
    pub(super) fn new(source: Source) -> Self {
        Keys { source, known: Mutex::default() }
    }

    /// The key to seal with; a new one at need, of which `notice` tells.
    pub(super) fn to_seal(&self, notice: &mut dyn FnMut(String)) -> Result<Arc<Key>, SealError> {
        self.find(
            |key| key.kdf.is_none_or(|kdf| kdf.is_current()),
            || match self.source.passphrase() {
                Some(passphrase) => {
                    let kdf = Kdf::new();
                    Ok(Key::new(kdf.derive(&passphrase?)?, Some(kdf)))
                }
                None => self.fetch(None, notice),
            },
        )
    }

    /// The key with this id.
    pub(super) fn to_open(&self, want: &str, kdf: Option<Kdf>) -> Result<Arc<Key>, SealError> {
        let from = || self.source.to_string();
        let key = match (self.source.passphrase(), kdf) {
            (Some(passphrase), Some(kdf)) => {
                self.find(|key| key.kdf == Some(kdf), || Ok(Key::new(kdf.derive(&passphrase?)?, Some(kdf))))?
            }
            (Some(_), None) => return Err(SealError::NeedsKey { want: want.to_owned(), from: from() }),
            (None, Some(_)) if !matches!(self.source, Source::Nothing(_)) => {
                return Err(SealError::NeedsPassphrase { want: want.to_owned(), from: from() });
            }
            (None, _) => self.find(|_| true, || self.fetch(Some(want), &mut |_| {}))?,
        };
        match &key.kdf {
            _ if key.id == want => Ok(key),
            Some(_) => Err(SealError::OtherPassphrase { from: from() }),
            None => Err(SealError::OtherKey { want: want.to_owned(), have: key.id.clone(), from: from() }),
        }
    }

    /// One that is known already, or else made: who else needs it waits meanwhile.
    fn find(
        &self,
        is: impl Fn(&Key) -> bool,
        make: impl FnOnce() -> Result<Arc<Key>, SealError>,
    ) -> Result<Arc<Key>, SealError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = known.iter().find(|key| is(key)) {
            return Ok(key.clone());
        }
        let key = make()?;
        known.push(key.clone());
        Ok(key)
    }

    fn fetch(&self, want: Option<&str>, notice: &mut dyn FnMut(String)) -> Result<Arc<Key>, SealError> {
        let looked = || self.source.to_string();
        let no_key = |want: &str| SealError::NoKey { want: want.to_owned(), looked: looked() };
        let path = match &self.source {
            Source::Text(text) => return self.parse(text.as_bytes()),
            Source::Command(command) => return self.parse(&output_of(command)?),
            Source::File(path) | Source::Own(path) => path,
            Source::Passphrase(_) | Source::PassphraseFile(_) | Source::Nothing(_) => {
                return Err(want.map_or_else(|| SealError::Nothing(looked()), no_key));
            }
        };
        match (files::read(path)?.map(Zeroizing::new), &self.source, want) {
            (Some(text), ..) => self.parse(&text),
            (None, Source::Own(_), None) => self.make(path, notice),
            (None, _, Some(want)) => Err(no_key(want)),
            (None, _, None) => Err(SealError::BadKey { from: looked() }),
        }
    }

    fn make(&self, path: &Path, notice: &mut dyn FnMut(String)) -> Result<Arc<Key>, SealError> {
        if let Some(folder) = path.parent() {
            files::create_private_dir(folder)?;
        }
        let bytes = Zeroizing::new(rand::random::<[u8; 32]>());
        let text = Zeroizing::new(format!("{}\n", BASE64.encode(&bytes[..])));
        if files::create_atomic(path, text.as_bytes(), files::PRIVATE)? {
            notice(format!(
                "The state's secrets are sealed with a new key, in {}. Keep a copy of it: without it they can't be read. \
                 On other machines set GRAPPE_STATE_KEY_FILE, GRAPPE_STATE_KEY_COMMAND or GRAPPE_STATE_KEY.",
                path.display()
            ));
        }
        // What is in the file counts: another process may have been first.
        let text = files::read(path)?.map(Zeroizing::new).unwrap_or_default();
        self.parse(&text)
    }

    fn parse(&self, text: &[u8]) -> Result<Arc<Key>, SealError> {
        let bad = || SealError::BadKey { from: self.source.to_string() };
        let decoded = Zeroizing::new(BASE64.decode(text.trim_ascii()).map_err(|_| bad())?);
        let bytes = Zeroizing::new(<[u8; 32]>::try_from(&decoded[..]).map_err(|_| bad())?);
        Ok(Key::new(bytes, None))
    }
}

/// What a command of the user's prints, run by `sh`.
fn output_of(command: &str) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let failed = |how: String, stderr: String| SealError::Command { how, stderr };
    let cannot = |e: std::io::Error| failed(format!("can't be run by sh: {e}"), String::new());
    let mut child = Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(cannot)?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let out = std::thread::spawn(move || read_all(stdout));
    let err = std::thread::spawn(move || read_all(stderr));
    let begin = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().map_err(cannot)? {
            break status;
        }
        if begin.elapsed() > COMMAND_DEADLINE {
            let _ = child.kill().and_then(|()| child.wait());
            return Err(failed(format!("took longer than {} s", COMMAND_DEADLINE.as_secs()), String::new()));
        }
        std::thread::park_timeout(Duration::from_millis(5));
    };
    let joined = |reader: std::thread::JoinHandle<Zeroizing<Vec<u8>>>| reader.join().unwrap_or_default();
    let (out, err) = (joined(out), joined(err));
    if status.success() {
        return Ok(out);
    }
    Err(failed(format!("failed ({status})"), String::from_utf8_lossy(&err).into_owned()))
}

fn read_all(from: Option<impl std::io::Read>) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::new());
    if let Some(mut from) = from {
        // What was read until it broke is what there is.
        let _ = from.read_to_end(&mut bytes);
    }
    bytes
}
