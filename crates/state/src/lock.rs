//! The lock: one run at a time on one state. Who holds one, and how a folder keeps it.
//!
//! `grappe.lock` is a file of its own (a snapshot is replaced by renaming, which would take its lock away). The kernel's lock on it says whether
//! the holder lives: it goes with the process, however that ends. What is written in it says who that is. A run that ends empties the file; a file
//! that has a holder and no kernel lock is what a killed run left, and is taken over with a word about it.

use std::fs::{File, TryLockError};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::files::{self, FileError};
use crate::storage::StoreError;

/// Who holds a lock.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Holder {
    /// Its process.
    pub pid: u32,
    /// Its machine.
    pub host: String,
    /// The boot of that machine, where it can be told: process numbers start again at each.
    pub boot_id: String,
    /// The namespace of its process number, where it can be told: containers of a machine count apart.
    pub namespace: String,
    /// Its user.
    pub user: String,
    /// What it does: `apply`.
    pub what: String,
    /// Since when, in UTC: `2026-01-31T12:00:00Z`.
    pub since: String,
}

impl Holder {
    /// This process, doing `what`.
    #[must_use]
    pub fn this(what: &str) -> Self {
        let line = |path| std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
        let variable = |name| std::env::var(name).ok().filter(|v| !v.is_empty());
        Holder {
            pid: std::process::id(),
            host: line("/proc/sys/kernel/hostname")
                .or_else(|| line("/etc/hostname"))
                .or_else(|| variable("HOSTNAME"))
                .unwrap_or_else(|| "unknown".into()),
            boot_id: line("/proc/sys/kernel/random/boot_id").unwrap_or_default(),
            namespace: std::fs::read_link("/proc/self/ns/pid")
                .map(|name| name.display().to_string())
                .unwrap_or_default(),
            user: variable("USER").or_else(|| variable("LOGNAME")).unwrap_or_else(|| "unknown".into()),
            what: what.to_owned(),
            since: utc(SystemTime::now()),
        }
    }
}

/// `apply by anna on build-1 (process 4711) since 2026-01-31T12:00:00Z`
impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Holder { pid, host, user, what, since, .. } = self;
        write!(f, "{what} by {user} on {host} (process {pid}) since {since}")
    }
}

/// Why a lock was not had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody holds it and lives.
    #[error("the state is locked: {}", holder.as_ref().map_or_else(|| "its holder has not yet said who it is".to_owned(), Holder::to_string))]
    Held {
        /// Who; `None` where it has not written its name yet.
        holder: Option<Holder>,
    },
    /// The storage can't be had.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<FileError> for LockError {
    fn from(error: FileError) -> Self {
        LockError::Store(error.into())
    }
}

/// A file's lock that is held. Dropping it gives it back.
#[derive(Debug)]
pub(crate) struct FileLock {
    file: File,
    /// The killed run that it was taken over from.
    pub(crate) taken_over: Option<Holder>,
}

impl FileLock {
    /// Takes the lock at `path`, or says who has it. Does not wait.
    pub(crate) fn try_acquire(path: &Path, me: &Holder) -> Result<FileLock, LockError> {
        let mut file = files::open_private(path, false)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LockError::Held { holder: written(&mut file) }),
            Err(TryLockError::Error(e)) => return Err(FileError::new(path, "lock")(e).into()),
        }
        let taken_over = written(&mut file);
        let mut text = serde_json::to_string(me).unwrap_or_default();
        text.push('\n');
        file.set_len(0)
            .and_then(|()| file.seek(SeekFrom::Start(0)))
            .and_then(|_| file.write_all(text.as_bytes()))
            .map_err(FileError::new(path, "write"))?;
        Ok(FileLock { file, taken_over })
    }

    /// Who is written in the file, and whether that one lives. Takes nothing over.
    pub(crate) fn look(path: &Path) -> Result<Option<(Holder, bool)>, FileError> {
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(FileError::new(path, "read")(e)),
        };
        // Shared: two who look do not take each other for a run.
        let lives = match file.try_lock_shared() {
            Ok(()) => false,
            Err(TryLockError::WouldBlock) => true,
            Err(TryLockError::Error(e)) => return Err(FileError::new(path, "lock")(e)),
        };
        Ok(match written(&mut file) {
            None if lives => Some((Holder::default(), true)),
            holder => holder.map(|holder| (holder, lives)),
        })
    }
}

fn written(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    file.seek(SeekFrom::Start(0)).and_then(|_| file.read_to_string(&mut text)).ok()?;
    serde_json::from_str(&text).ok()
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // An empty file says that its last holder ended well. The file stays: removing it would let two runs lock two files.
        let _ = self.file.set_len(0);
        let _ = self.file.unlock();
    }
}

/// A time as RFC 3339 writes it, to the second.
#[must_use]
pub fn utc(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Days to a date, from Howard Hinnant's `civil_from_days`: years that start in March, in eras of 400 years.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3_600, rest / 60 % 60, rest % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn one_holder_at_a_time_and_the_next_after_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("grappe.lock");
        let lock = FileLock::try_acquire(&path, &Holder::this("apply")).unwrap();
        assert!(lock.taken_over.is_none());
        match FileLock::try_acquire(&path, &Holder::this("plan")) {
            Err(LockError::Held { holder: Some(holder) }) => {
                assert_eq!((holder.pid, holder.what.as_str()), (std::process::id(), "apply"));
            }
            other => panic!("{other:?}"),
        }
        drop(lock);
        assert!(FileLock::try_acquire(&path, &Holder::this("plan")).unwrap().taken_over.is_none());
    }

    #[test]
    fn times_are_written_in_utc() {
        let at = |s| utc(UNIX_EPOCH + Duration::from_secs(s));
        assert_eq!(at(0), "1970-01-01T00:00:00Z");
        assert_eq!(at(951_782_399), "2000-02-28T23:59:59Z");
        assert_eq!(at(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(at(1_767_225_599), "2025-12-31T23:59:59Z");
    }
}
