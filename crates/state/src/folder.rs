//! A state in a folder: `grappe.state.json` (the snapshot), `grappe.journal`, `grappe.lock` and `backups/`.
//!
//! Its lock is the kernel's ([`crate::lock`]), which nobody can take from a process that lives: no token is needed to tell an old holder's writes.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::files::{self, FileError};
use crate::lock::{FileLock, Holder, LockError};
use crate::storage::{Append, BACKUPS, Backup, Hold, Seen, Storage, StoreError, Stored};

/// A folder with one state in it.
#[derive(Clone, Debug)]
pub struct Folder {
    dir: PathBuf,
}

impl Folder {
    /// The state in `dir`. Nothing is read or made yet.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Folder { dir: dir.into() }
    }

    /// The snapshot's file.
    #[must_use]
    pub fn snapshot_path(&self) -> PathBuf {
        self.dir.join("grappe.state.json")
    }

    /// The journal's file.
    #[must_use]
    pub fn journal_path(&self) -> PathBuf {
        self.dir.join("grappe.journal")
    }

    fn lock_path(&self) -> PathBuf {
        self.dir.join("grappe.lock")
    }

    fn backup_dir(&self) -> PathBuf {
        self.dir.join("backups")
    }

    /// The backups, newest first: their names count serials with leading zeros.
    fn backup_paths(&self) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(self.backup_dir()) else { return Vec::new() };
        let mut paths: Vec<PathBuf> = entries
            .flatten()
            .map(|e| e.path())
            .filter(|p| {
                let name = p.file_name().and_then(|n| n.to_str()).unwrap_or_default();
                name.starts_with("grappe.state.") && name.ends_with(".json")
            })
            .collect();
        paths.sort_by(|a, b| b.cmp(a));
        paths
    }

    /// Keeps the snapshot that is there, under its serial. A second name of the same file: it costs nothing.
    fn back_up(&self, serial: u64) -> Result<(), FileError> {
        let snapshot = self.snapshot_path();
        if !snapshot.exists() {
            return Ok(());
        }
        files::create_private_dir(&self.backup_dir())?;
        let backup = self.backup_dir().join(format!("grappe.state.{serial:010}.json"));
        let linked = match std::fs::remove_file(&backup).and_then(|()| std::fs::hard_link(&snapshot, &backup))
        {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => std::fs::hard_link(&snapshot, &backup),
            other => other,
        };
        match linked {
            Ok(()) => files::sync_dir(&self.backup_dir())?,
            // A file system without hard links.
            Err(_) => {
                if let Some(bytes) = files::read(&snapshot)? {
                    files::write_atomic(&backup, &bytes, files::PRIVATE)?;
                }
            }
        }
        for old in self.backup_paths().into_iter().skip(BACKUPS) {
            files::remove(&old)?;
        }
        Ok(())
    }
}

impl Storage for Folder {
    fn place(&self) -> PathBuf {
        self.snapshot_path()
    }

    fn journal_place(&self) -> PathBuf {
        self.journal_path()
    }

    fn dir(&self) -> Option<&Path> {
        Some(&self.dir)
    }

    fn exists(&self) -> Result<bool, StoreError> {
        Ok(self.snapshot_path().exists() || self.journal_path().exists())
    }

    fn load(&self) -> Result<Stored, StoreError> {
        Ok(Stored {
            snapshot: files::read(&self.snapshot_path())?,
            journal: files::read(&self.journal_path())?,
        })
    }

    fn backups(&self) -> Result<Vec<Backup>, StoreError> {
        let read = |place: PathBuf| {
            let serial = place.file_stem()?.to_str()?.rsplit('.').next()?.parse().ok()?;
            let written = std::fs::metadata(&place).and_then(|m| m.modified());
            let bytes = files::read(&place).map(Option::unwrap_or_default).map_err(StoreError::from);
            Some(Backup { serial, written: written.unwrap_or(SystemTime::UNIX_EPOCH), place, bytes })
        };
        Ok(self.backup_paths().into_iter().filter_map(read).collect())
    }

    fn holder(&self) -> Result<Option<Seen>, StoreError> {
        let seen = |(holder, lives)| Seen { holder, lives, can_be_forced: !lives };
        Ok(FileLock::look(&self.lock_path())?.map(seen))
    }

    fn lock(&self, me: &Holder, _by_force: bool) -> Result<Box<dyn Hold>, LockError> {
        files::create_private_dir(&self.dir).map_err(StoreError::from)?;
        let lock = FileLock::try_acquire(&self.lock_path(), me)?;
        files::remove_leftovers(&self.snapshot_path());
        Ok(Box::new(Held { lock, folder: self.clone() }))
    }
}

/// The lock of a folder.
#[derive(Debug)]
struct Held {
    lock: FileLock,
    folder: Folder,
}

impl Hold for Held {
    fn taken_over(&self) -> Option<&Holder> {
        self.lock.taken_over.as_ref()
    }

    fn journal(&mut self, good: u64) -> Result<Box<dyn Append>, StoreError> {
        let path = self.folder.journal_path();
        let file = files::open_private(&path, true)?;
        file.set_len(good).and_then(|()| file.sync_all()).map_err(FileError::new(&path, "cut"))?;
        files::sync_dir(&self.folder.dir)?;
        Ok(Box::new(Journal { file, path }))
    }

    fn replace(&mut self, snapshot: &[u8], old: u64) -> Result<(), StoreError> {
        self.folder.back_up(old)?;
        files::write_atomic(&self.folder.snapshot_path(), snapshot, files::PRIVATE)?;
        // A crash before this leaves a journal that is older than the snapshot, which is then known to be in it already: so is one that can't be removed.
        let _ = self.drop_journal();
        Ok(())
    }

    fn drop_journal(&mut self) -> Result<(), StoreError> {
        Ok(files::remove(&self.folder.journal_path())?)
    }
}

/// A journal's file, opened for appending.
pub(crate) struct Journal {
    pub(crate) file: File,
    pub(crate) path: PathBuf,
}

impl Append for Journal {
    fn append(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.hand_over(bytes)?;
        Ok(self.file.sync_data().map_err(FileError::new(&self.path, "fsync"))?)
    }

    fn hand_over(&mut self, bytes: &[u8]) -> Result<bool, StoreError> {
        self.file.write_all(bytes).map_err(FileError::new(&self.path, "write"))?;
        Ok(true)
    }
}
