//! Files: `local_file`, `local_sensitive_file` and the data sources of the same names.
//!
//! Relative paths start at the plan's folder. A file is written beside and renamed, with its mode from its first byte on; a reader never
//! sees half of it, and a kill leaves the old one or the new one.

mod content;
pub(crate) mod data;
pub(crate) mod file;

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use grappe_provider::Fault;

/// What a path holds: `None` where there is no file.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>, Fault> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(e) => Err(fault("read", path, e)),
    }
}

/// Writes a file beside and renames it. The umask applies to both modes, as for any file.
///
/// The file beside has the object's key in its name: the try that follows a kill finds what was left of it, and no other.
pub(crate) fn write(path: &Path, key: &str, bytes: &[u8], mode: u32, dir_mode: u32) -> Result<(), Fault> {
    let dir = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(dir_mode).create(dir).map_err(|e| fault("create", dir, e))?;
    let beside = beside(path, key);
    let put = || {
        remove(&beside)?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&beside, path)?;
        std::fs::File::open(dir)?.sync_all()
    };
    put().map_err(|e| {
        let _ = std::fs::remove_file(&beside);
        fault("write", path, e)
    })
}

fn beside(path: &Path, key: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{key}.tmp"))
}

/// Deletes a file; one that is not there is deleted.
fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(e) if !matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Err(e),
        _ => Ok(()),
    }
}

/// Deletes a file, and what a killed write of it left.
fn delete(path: &Path, key: &str) -> Result<(), Fault> {
    forget(path, key)?;
    remove(path).map_err(|e| fault("delete", path, e))
}

/// Deletes what a killed write left.
fn forget(path: &Path, key: &str) -> Result<(), Fault> {
    remove(&beside(path, key)).map_err(|e| fault("delete", path, e))
}

fn fault(doing: &str, path: &Path, error: io::Error) -> Fault {
    let hint = match error.kind() {
        io::ErrorKind::PermissionDenied => Some("run as a user who may, or choose another filename"),
        io::ErrorKind::IsADirectory => Some("filename names a folder: add the file's name"),
        io::ErrorKind::StorageFull => Some("make room on the disk"),
        _ => None,
    };
    let fault = Fault::permanent(format!("can't {doing} {}: {error}", path.display())).source(error);
    match hint {
        Some(hint) => fault.hint(hint),
        None => fault,
    }
}

/// A mode as Terraform writes it: `"0644"`.
fn mode(text: &str) -> Option<u32> {
    let digits = (3..=4).contains(&text.len()) && text.bytes().all(|b| (b'0'..=b'7').contains(&b));
    digits.then(|| u32::from_str_radix(text, 8).ok()).flatten()
}

/// A private file, for tests of other modules.
#[cfg(test)]
pub(crate) fn write_for_tests(path: &Path, bytes: &[u8]) {
    write(path, "test", bytes, 0o600, 0o700).unwrap();
}
