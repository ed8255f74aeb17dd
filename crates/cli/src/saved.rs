//! A plan in a file: `plan -out=FILE`, `apply FILE`, `show FILE`.
//!
//! The file holds the plan, the folder it is of, and the checksums of all files that were read for it: applied is what was shown, or nothing. Its
//! sensitive values are sealed with the state's key.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use grappe_plan::Plan;
use grappe_state::Sealer;
use grappe_state::files::{PRIVATE, write_atomic};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::error::Explained;

/// Counts up when an older program could not read it.
const FORMAT: u32 = 1;

/// What the file holds.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Saved {
    format: u32,
    written_by: String,
    /// The plan folder, absolute.
    pub(crate) dir: PathBuf,
    /// The folder of the state, absolute; none where the configuration names a server that keeps it.
    #[serde(default)]
    pub(crate) state_dir: Option<PathBuf>,
    /// The SHA-256 of each file that was read, by its path from the plan folder.
    pub(crate) files: BTreeMap<PathBuf, String>,
    /// The plan.
    pub(crate) plan: Plan,
}

impl Saved {
    /// A plan that was just made.
    ///
    /// # Errors
    /// Where a folder has no absolute path.
    pub(crate) fn new(
        plan: Plan,
        dir: &Path,
        state_dir: Option<&Path>,
        files: BTreeMap<PathBuf, String>,
    ) -> anyhow::Result<Self> {
        Ok(Saved {
            format: FORMAT,
            written_by: concat!("grappe ", env!("CARGO_PKG_VERSION")).into(),
            dir: std::path::absolute(dir)?,
            state_dir: state_dir.map(std::path::absolute).transpose()?,
            files,
            plan,
        })
    }

    /// Writes it, sealed, for its user alone.
    ///
    /// # Errors
    /// Where it can't be sealed or written.
    pub(crate) fn write(&self, path: &Path, sealer: &Sealer) -> anyhow::Result<()> {
        let mut json = serde_json::to_value(self)?;
        sealer.seal_whole(&mut json).map_err(grappe_state::StateError::from)?;
        let bytes = serde_json::to_vec(&json)?;
        Ok(write_atomic(path, &bytes, PRIVATE).map_err(grappe_state::StateError::from)?)
    }

    /// Reads one.
    ///
    /// # Errors
    /// Where it is none, is of a newer program, or can't be opened.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let bytes = std::fs::read(path).with_context(|| format!("can't read {}", path.display()))?;
        let refuse = |why: String| {
            Explained::new(format!("{} is not a plan file: {why}", path.display()))
                .hint("name a plan folder, or a file that \"grappe plan -out=FILE\" wrote")
        };
        let mut json: Json = serde_json::from_slice(&bytes).map_err(|e| refuse(e.to_string()))?;
        match json["format"].as_u64() {
            Some(format) if format > u64::from(FORMAT) => {
                let by = json["written_by"].as_str().unwrap_or("a newer grappe").to_owned();
                return Err(Explained::new(format!("{} was written by {by}", path.display()))
                    .hint("use that program, or plan again with this one")
                    .into());
            }
            Some(_) => {}
            None => return Err(refuse("it has no format".into()).into()),
        }
        Sealer::from_env().open(&mut json).map_err(grappe_state::StateError::from)?;
        Ok(serde_json::from_value(json).map_err(|e| refuse(e.to_string()))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_plan_is_refused_with_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p");
        for (text, says) in [
            ("", "not a plan file"),
            ("{}", "no format"),
            (r#"{"format": 9, "written_by": "grappe 9.0"}"#, "grappe 9.0"),
            (r#"{"format": 1}"#, "missing field"),
        ] {
            write_atomic(&path, text.as_bytes(), PRIVATE).unwrap();
            let error = Saved::read(&path).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
        assert!(Saved::read(&dir.path().join("none")).is_err());
    }
}
