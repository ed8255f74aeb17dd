//! Files that are made again where their making was cut off, in roots that are not this computer's: with the mode that they are to have,
//! whatever the umask is, and not flushed one by one (a root's other files are not either).

use std::fs::{OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use grappe_provider::Fault;

use crate::store::{on, remove_all};

/// Puts a file at a path relative to `root`; folders that are not there get `dir_mode`.
pub(crate) fn put(root: &Path, name: &str, text: &str, mode: u32, dir_mode: u32) -> Result<(), Fault> {
    let path = root.join(name);
    if let Some(dir) = Path::new(name).parent() {
        folder(root, dir, dir_mode)?;
    }
    // A link in an image is replaced, not followed.
    remove_all(&path)?;
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&path);
    file.and_then(|mut f| f.write_all(text.as_bytes())).map_err(|e| on(&path, "write", e))?;
    chmod(&path, mode)
}

/// Makes a folder at a path relative to `root`, with those above it.
pub(crate) fn folder(root: &Path, name: &Path, mode: u32) -> Result<(), Fault> {
    let mut path = root.to_owned();
    for part in name.components() {
        path.push(part);
        if !path.is_dir() {
            std::fs::create_dir(&path).map_err(|e| on(&path, "create", e))?;
            chmod(&path, mode)?;
        }
    }
    Ok(())
}

pub(crate) fn chmod(path: &Path, mode: u32) -> Result<(), Fault> {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).map_err(|e| on(path, "chmod", e))
}
