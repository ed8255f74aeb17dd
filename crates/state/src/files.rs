//! The one place that creates files.
//!
//! A file written here is either the old one or the new one, whatever happens: the bytes go to a file beside it, that file is fsynced, renamed
//! over the old one, and the folder is fsynced so that the name lasts too. Files are private (0600) unless asked otherwise.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Only its owner reads and writes it.
pub const PRIVATE: u32 = 0o600;

/// An operation on a file that the system refused.
#[derive(Debug, thiserror::Error)]
#[error("can't {doing} {}: {source}", path.display())]
pub struct FileError {
    /// The file or folder.
    pub path: PathBuf,
    /// What was tried: `write`, `fsync`.
    pub doing: &'static str,
    /// What the system said.
    pub source: io::Error,
}

impl FileError {
    pub(crate) fn new(path: &Path, doing: &'static str) -> impl FnOnce(io::Error) -> FileError {
        let path = path.to_owned();
        move |source| FileError { path, doing, source }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let folder = self.path.parent().unwrap_or(&self.path).display();
        match self.source.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Some(format!(
                "free some space on the disk of {folder}; what was there before is untouched, and nothing is lost by running again"
            )),
            ErrorKind::PermissionDenied => Some(format!(
                "the user that runs grappe must be able to read and write {folder} and what is in it (see who owns it: ls -la {folder})"
            )),
            ErrorKind::ReadOnlyFilesystem => {
                Some(format!("{folder} is on a file system that is mounted read-only"))
            }
            _ => None,
        }
    }
}

/// The steps of an atomic write, in order. Tests stop after each of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Created,
    Written,
    Synced,
    Renamed,
}

/// Writes a file so that a kill or a power failure at any instant leaves the old content or the new one. `mode` is the new file's.
///
/// A symbolic link is followed: the file that it points to is replaced.
///
/// # Errors
/// Where the system refuses a step. The old file is untouched then.
pub fn write_atomic(path: &Path, bytes: &[u8], mode: u32) -> Result<(), FileError> {
    write_staged(path, bytes, mode, &mut |_| Ok(()))
}

/// The same, with a word after each stage that may stop it.
pub(crate) fn write_staged(
    path: &Path,
    bytes: &[u8],
    mode: u32,
    after: &mut dyn FnMut(Stage) -> io::Result<()>,
) -> Result<(), FileError> {
    let path = &match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_symlink() => fs::canonicalize(path).map_err(FileError::new(path, "follow"))?,
        _ => path.to_owned(),
    };
    let beside = temporary(path, bytes, mode, after)?;
    let renamed = fs::rename(&beside, path);
    if renamed.is_err() {
        let _ = fs::remove_file(&beside);
    }
    renamed.map_err(FileError::new(path, "replace"))?;
    after(Stage::Renamed).map_err(FileError::new(path, "replace"))?;
    sync_dir(folder_of(path))
}

/// Writes a file that must not exist yet, whole or not at all. `false` where it exists: somebody else was first.
///
/// # Errors
/// Where the system refuses a step.
pub fn create_atomic(path: &Path, bytes: &[u8], mode: u32) -> Result<bool, FileError> {
    let beside = temporary(path, bytes, mode, &mut |_| Ok(()))?;
    // A hard link, unlike a rename, does not replace what is there.
    let linked = fs::hard_link(&beside, path);
    let _ = fs::remove_file(&beside);
    match linked {
        Ok(()) => sync_dir(folder_of(path)).map(|()| true),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(e) => Err(FileError::new(path, "create")(e)),
    }
}

/// Makes a folder and those above it; those that it makes are its user's alone (0700).
///
/// # Errors
/// Where the system refuses.
pub fn create_private_dir(dir: &Path) -> Result<(), FileError> {
    if dir.is_dir() {
        return Ok(());
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(FileError::new(dir, "create"))?;
    sync_dir(folder_of(dir))
}

/// Opens a private file for reading and writing, and makes it where it is missing. Its content is left alone.
pub(crate) fn open_private(path: &Path, append: bool) -> Result<File, FileError> {
    let mut options = OpenOptions::new();
    options.read(true).create(true).mode(PRIVATE);
    if append {
        options.append(true);
    } else {
        options.write(true).truncate(false);
    }
    options.open(path).map_err(FileError::new(path, "open"))
}

/// Reads a file; `None` where there is none.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>, FileError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(FileError::new(path, "read")(e)),
    }
}

/// Removes a file for good; one that is not there is removed.
pub(crate) fn remove(path: &Path) -> Result<(), FileError> {
    match fs::remove_file(path) {
        Ok(()) => sync_dir(folder_of(path)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        Err(e) => Err(FileError::new(path, "remove")(e)),
    }
}

/// Puts the names in a folder on disk.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), FileError> {
    File::open(dir).and_then(|d| d.sync_all()).map_err(FileError::new(dir, "fsync"))
}

/// Removes the files that killed writes of `path` left beside it. Only for who holds the lock.
pub(crate) fn remove_leftovers(path: &Path) {
    let Some(name) = path.file_name().and_then(|n| n.to_str()) else { return };
    let Ok(entries) = fs::read_dir(folder_of(path)) else { return };
    for entry in entries.flatten() {
        let is_leftover = entry.file_name().to_str().is_some_and(|other| {
            other.strip_prefix('.').and_then(|o| o.strip_prefix(name)).is_some_and(|o| o.ends_with(".tmp"))
        });
        if is_leftover {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// A fsynced file beside `path` with these bytes; none where a step fails.
fn temporary(
    path: &Path,
    bytes: &[u8],
    mode: u32,
    after: &mut dyn FnMut(Stage) -> io::Result<()>,
) -> Result<PathBuf, FileError> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}-{}.tmp", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
    let beside = path.with_file_name(name);
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&beside)?;
        // The umask must not decide, nor what a killed process of the same number left.
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        after(Stage::Created)?;
        file.write_all(bytes)?;
        after(Stage::Written)?;
        file.sync_all()?;
        after(Stage::Synced)
    })();
    match written {
        Ok(()) => Ok(beside),
        Err(e) => {
            let _ = fs::remove_file(&beside);
            Err(FileError::new(path, "write")(e))
        }
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode_of(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn stopped_at_any_stage_a_write_leaves_the_old_or_the_new() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        for stop in [Stage::Created, Stage::Written, Stage::Synced, Stage::Renamed] {
            write_atomic(&path, b"old", PRIVATE).unwrap();
            let mut stopped = |stage| {
                if stage == stop { Err(io::Error::from(ErrorKind::StorageFull)) } else { Ok(()) }
            };
            let error = write_staged(&path, b"new", PRIVATE, &mut stopped).unwrap_err();
            assert!(error.hint().unwrap().contains("free some space"));
            let want: &[u8] = if stop == Stage::Renamed { b"new" } else { b"old" };
            assert_eq!(fs::read(&path).unwrap(), want, "{stop:?}");
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "{stop:?} left a file behind");
        }
    }

    #[test]
    fn modes_are_as_asked_and_links_are_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (real, link) = (dir.path().join("real"), dir.path().join("link"));
        write_atomic(&real, b"a", 0o644).unwrap();
        assert_eq!(mode_of(&real), 0o644);
        std::os::unix::fs::symlink(&real, &link).unwrap();
        write_atomic(&link, b"b", PRIVATE).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!((fs::read(&real).unwrap().as_slice(), mode_of(&real)), (&b"b"[..], PRIVATE));
        let made = dir.path().join("x/y");
        create_private_dir(&made).unwrap();
        assert_eq!(mode_of(&made), 0o700);
    }

    #[test]
    fn what_exists_is_not_created() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        assert!(create_atomic(&path, b"first", PRIVATE).unwrap());
        assert!(!create_atomic(&path, b"second", PRIVATE).unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn leftovers_of_killed_writes_go() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        write_atomic(&path, b"x", PRIVATE).unwrap();
        write_atomic(&dir.path().join(".f.12-0.tmp"), b"", PRIVATE).unwrap();
        remove_leftovers(&path);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
