//! Files in a root that is not this computer's: with the mode that they are to have, whatever the umask is.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use grappe_provider::Fault;

use crate::files;
use crate::store::on;

/// Puts a file at a path relative to `root`; folders that are not there get `dir_mode`.
pub(crate) fn put(root: &Path, name: &str, text: &str, mode: u32, dir_mode: u32) -> Result<(), Fault> {
    let path = root.join(name);
    if let Some(dir) = Path::new(name).parent() {
        folder(root, dir, dir_mode)?;
    }
    files::write(&path, "new", text.as_bytes(), mode, dir_mode)?;
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
