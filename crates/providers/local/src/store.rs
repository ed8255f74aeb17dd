//! What exists, on disk.
//!
//! ```text
//! DIRECTORY/lock                       held while names and addresses are given away
//! DIRECTORY/KIND/ID/record.json        what it is: written before anything is done to this computer
//! DIRECTORY/KIND/ID/…                  its parts
//! ```
//!
//! An object's id follows from its idempotency key, and the names of all that is made for it (namespaces, links, cgroups) from its id: who
//! has the key finds everything, even what was made an instant before a kill. A folder without a record is a creation that was cut off
//! at its first step.

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use grappe_provider::Fault;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::files::{read, write};
use crate::run::hex;

/// The version of the records' form.
const VERSION: u32 = 1;

/// Something that has a record.
pub(crate) trait Record: Serialize + DeserializeOwned {
    /// The folder that its kind has.
    const KIND: &'static str;
    /// Its id, which names its folder.
    fn id(&self) -> &str;
}

#[derive(Serialize, Deserialize)]
struct Versioned<R> {
    version: u32,
    #[serde(flatten)]
    record: R,
}

#[derive(Deserialize)]
struct OnlyVersion {
    version: u32,
}

/// The folder of all that exists.
#[derive(Clone)]
pub(crate) struct Store {
    root: PathBuf,
}

/// The id of what is made under a key: short enough for the names of links (15 bytes).
pub(crate) fn id(key: &str) -> String {
    let mut id = hex(&Sha256::digest(key.as_bytes()));
    id.truncate(10);
    id
}

impl Store {
    pub(crate) fn at(root: PathBuf) -> Self {
        Store { root }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of an object.
    pub(crate) fn dir<R: Record>(&self, id: &str) -> PathBuf {
        self.root.join(R::KIND).join(id)
    }

    /// Writes a record, durably.
    pub(crate) fn put<R: Record>(&self, record: &R) -> Result<(), Fault> {
        let bytes = serde_json::to_vec_pretty(&Versioned { version: VERSION, record })
            .map_err(|e| Fault::permanent("a record can't be written as JSON (a bug in grappe)").source(e))?;
        write(&self.dir::<R>(record.id()).join("record.json"), "new", &bytes, 0o600, 0o700)
    }

    /// An object's record; `None` where there is none.
    pub(crate) fn get<R: Record>(&self, id: &str) -> Result<Option<R>, Fault> {
        let path = self.dir::<R>(id).join("record.json");
        let Some(bytes) = read(&path)? else { return Ok(None) };
        let wrong = |e| Fault::permanent(format!("{} is not a record of grappe's: {e}", path.display()));
        let OnlyVersion { version } = serde_json::from_slice(&bytes).map_err(wrong)?;
        if version > VERSION {
            return Err(Fault::permanent(format!("{} was written by a newer grappe", path.display()))
                .hint("use that version, or another directory in the provider block"));
        }
        serde_json::from_slice::<Versioned<R>>(&bytes).map(|v| Some(v.record)).map_err(wrong)
    }

    /// All records of a kind, by id.
    pub(crate) fn all<R: Record>(&self) -> Result<Vec<R>, Fault> {
        let dir = self.root.join(R::KIND);
        let entries = match std::fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(on(&dir, "read", e)),
        };
        let mut ids = Vec::new();
        for entry in entries {
            ids.push(entry.map_err(|e| on(&dir, "read", e))?.file_name().to_string_lossy().into_owned());
        }
        ids.sort();
        let records = ids.iter().map(|id| self.get::<R>(id));
        records.filter_map(Result::transpose).collect()
    }

    /// Removes an object's folder, its record last; then the folders above it that nothing is in any more.
    pub(crate) fn remove<R: Record>(&self, id: &str) -> Result<(), Fault> {
        let dir = self.dir::<R>(id);
        empty(&dir, &["record.json"])?;
        remove_all(&dir)?;
        // Others may put something there just now: what is not empty stays.
        let _ = std::fs::remove_dir(self.root.join(R::KIND));
        Ok(())
    }

    /// Waits for the turn to give away names and addresses; it ends when the file is dropped.
    pub(crate) fn turn(&self) -> Result<File, Fault> {
        std::fs::create_dir_all(&self.root).map_err(|e| on(&self.root, "create", e))?;
        lock(&self.root.join("lock"))
    }
}

/// Holds a lock file. The kernel lets go of it when its holder dies.
pub(crate) fn lock(path: &Path) -> Result<File, Fault> {
    let file = lock_file(path)?;
    file.lock().map_err(|e| on(path, "lock", e))?;
    Ok(file)
}

/// Opens a lock file, and makes it first where there is none.
pub(crate) fn lock_file(path: &Path) -> Result<File, Fault> {
    let mut options = std::fs::OpenOptions::new();
    options.read(true).append(true).create(true).open(path).map_err(|e| on(path, "open", e))
}

/// Whether somebody holds a lock file. Asked for a shared lock: of two who ask at once, neither is the holder.
pub(crate) fn held(path: &Path) -> Result<bool, Fault> {
    if !path.exists() {
        return Ok(false);
    }
    match lock_file(path)?.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(e)) => Err(on(path, "lock", e)),
    }
}

/// An empty log for what a program writes, twice: for both of its streams.
pub(crate) fn log_file(path: &Path) -> Result<(File, File), Fault> {
    let mut options = std::fs::OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(path);
    file.and_then(|f| Ok((f.try_clone()?, f))).map_err(|e| on(path, "open", e))
}

/// Removes what is in a folder, but for these names. A folder that is not there is empty.
pub(crate) fn empty(dir: &Path, keep: &[&str]) -> Result<(), Fault> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(on(dir, "read", e)),
    };
    for entry in entries {
        let entry = entry.map_err(|e| on(dir, "read", e))?;
        if !keep.iter().any(|name| entry.file_name() == *name) {
            remove_all(&entry.path())?;
        }
    }
    Ok(())
}

/// Removes a file or a folder with all that is in it; what is gone is removed. Links are removed, not followed.
pub(crate) fn remove_all(path: &Path) -> Result<(), Fault> {
    let removed = match std::fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => std::fs::remove_dir_all(path),
        Ok(_) => std::fs::remove_file(path),
        Err(e) => Err(e),
    };
    match removed {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(on(path, "remove", e)),
        _ => Ok(()),
    }
}

/// A failed call on a path.
pub(crate) fn on(path: &Path, doing: &str, error: io::Error) -> Fault {
    Fault::permanent(format!("can't {doing} {}: {error}", path.display())).source(error)
}
