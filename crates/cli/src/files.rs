//! The plan folder as the language reads it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use grappe_lang::Files;
use sha2::{Digest, Sha256};

/// Files below a plan folder, and what was read of them: a saved plan holds for these contents only.
#[derive(Clone, Debug)]
pub(crate) struct PlanFiles {
    root: PathBuf,
    seen: Arc<Mutex<BTreeMap<PathBuf, String>>>,
}

impl PlanFiles {
    /// Relative paths start at `root`.
    #[must_use]
    pub(crate) fn new(root: &Path) -> Self {
        PlanFiles { root: root.to_owned(), seen: Arc::default() }
    }

    /// The SHA-256 of what was read, by path as it was asked for. A file that was not there has an empty one; of a folder that was looked into it is
    /// that of the names of its `*.tf` files, under that name.
    #[must_use]
    pub(crate) fn seen(&self) -> BTreeMap<PathBuf, String> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The first file whose content is no longer what it was, or the `*.tf` of a folder where there are others now.
    #[must_use]
    pub(crate) fn changed_since(&self, seen: &BTreeMap<PathBuf, String>) -> Option<PathBuf> {
        let now = |path: &Path| match (path.file_name(), path.parent()) {
            (Some(name), Some(dir)) if name == CONFIGURATION => {
                self.names(dir).map(|names| configuration(&names)).unwrap_or_default()
            }
            _ => std::fs::read(self.root.join(path)).map(|b| digest(&b)).unwrap_or_default(),
        };
        seen.iter().find(|(path, then)| now(path) != **then).map(|(path, _)| path.clone())
    }

    fn names(&self, dir: &Path) -> io::Result<Vec<String>> {
        let entries = std::fs::read_dir(self.root.join(dir))?;
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }

    fn saw(&self, path: PathBuf, sum: String) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).insert(path, sum);
    }
}

/// What stands for all configuration files of a folder.
const CONFIGURATION: &str = "*.tf";

/// The checksum of the names of the configuration files among these.
fn configuration(names: &[String]) -> String {
    let mut names: Vec<&str> =
        names.iter().map(String::as_str).filter(|n| n.ends_with(".tf") || n.ends_with(".tf.json")).collect();
    names.sort_unstable();
    digest(names.join("\n").as_bytes())
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

impl Files for PlanFiles {
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let names = self.names(dir)?;
        self.saw(dir.join(CONFIGURATION), configuration(&names));
        Ok(names)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let read = std::fs::read(self.root.join(path));
        let sum = read.as_ref().map(|b| digest(b)).unwrap_or_default();
        self.saw(path.to_owned(), sum);
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_is_known_again() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| {
            grappe_state::files::write_atomic(&dir.path().join(name), text.as_bytes(), 0o644).unwrap();
        };
        put("main.tf", "a");
        put("other", "b");
        let files = PlanFiles::new(dir.path());
        assert_eq!(files.read(Path::new("main.tf")).unwrap(), b"a");
        assert!(files.read(Path::new("missing")).is_err());
        assert_eq!(files.list(Path::new(".")).unwrap().len(), 2);
        let seen = files.seen();
        put("other", "changed, but never read");
        assert_eq!(files.changed_since(&seen), None);
        put("more.tf", "");
        assert_eq!(files.changed_since(&seen), Some("./*.tf".into()));
        std::fs::remove_file(dir.path().join("more.tf")).unwrap();
        put("missing", "");
        assert_eq!(files.changed_since(&seen), Some("missing".into()));
        std::fs::remove_file(dir.path().join("missing")).unwrap();
        put("main.tf", "c");
        assert_eq!(files.changed_since(&seen), Some("main.tf".into()));
    }
}
