//! What can go wrong with a state, and what to do about it.

use std::path::PathBuf;

use crate::files::FileError;
use crate::journal::JournalError;
use crate::ledger::Impossible;
use crate::lock::LockError;
use crate::seal::SealError;
use crate::storage::StoreError;

/// Why a state can't be read or written. What can't be read is never overwritten.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// A file can't be had.
    #[error(transparent)]
    File(#[from] FileError),
    /// The storage did not do what was asked of it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The lock can't be had.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A secret can't be sealed or opened.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The snapshot is not one.
    #[error("the state {} can't be read: {why}", path.display())]
    Snapshot {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
        /// The newest backup that can be read.
        backup: Option<PathBuf>,
    },
    /// A newer program wrote the snapshot.
    #[error("the state {} was written by a newer grappe ({by}, format {format}); this one knows formats up to {}", path.display(), crate::data::FORMAT)]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: u64,
        /// Who wrote it.
        by: String,
    },
    /// The journal can't be followed.
    #[error("the journal {} can't be followed: {source}", path.display())]
    Journal {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: JournalError,
    },
    /// The journal goes on from another snapshot than the one at hand.
    #[error("the journal {} goes on from serial {base} of state {lineage:?}, and the state at hand is {have}", path.display())]
    Mismatch {
        /// The journal.
        path: PathBuf,
        /// The lineage that it belongs to.
        lineage: String,
        /// The serial that it goes on from.
        base: u64,
        /// What is at hand.
        have: String,
    },
    /// What a run did could not be written.
    #[error("{source}")]
    Unrecorded {
        /// Why.
        source: StoreError,
        /// The addresses of what was done and is not recorded.
        addrs: Vec<String>,
    },
    /// A record that can't follow those before it.
    #[error("the run did what it can't do (a bug in grappe): {0}")]
    Impossible(#[from] Impossible),
    /// Something that has no JSON form.
    #[error("the state can't be written as JSON (a bug in grappe): {0}")]
    Json(#[from] serde_json::Error),
}

impl StateError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            StateError::File(e) => e.hint(),
            StateError::Store(e) => e.hint(),
            StateError::Unrecorded { source, addrs } => Some(unrecorded(source, addrs)),
            StateError::Seal(e) => e.hint(),
            StateError::Lock(LockError::Store(e)) => e.hint(),
            StateError::Lock(LockError::Held { .. }) => {
                Some("wait until it ends, or let this run wait for it: -lock-timeout=10m".into())
            }
            StateError::Snapshot { path, backup: Some(backup), .. } => Some(format!(
                "a good one from an earlier run is {0}; to go back to it: cp {0} {1} (and move a grappe.journal beside it away). Nothing was overwritten",
                backup.display(),
                path.display()
            )),
            StateError::Snapshot { .. } => {
                Some("there is no backup that can be read; nothing was overwritten".into())
            }
            StateError::Newer { .. } => {
                Some("use that grappe, or a newer one; nothing was overwritten".into())
            }
            StateError::Journal { path, source: JournalError::Damaged { before, .. } } => Some(format!(
                "to go on with what is before the damage: cp {0} {0}.damaged && head -n {before} {0}.damaged > {0}; then run plan, which reads what really exists. \
                 Objects that only later lines knew of must be looked for by hand, in {0}.damaged",
                path.display()
            )),
            StateError::Journal { .. } => Some("use the grappe that wrote it, or a newer one".into()),
            StateError::Mismatch { path, .. } => Some(format!(
                "where a backup was put back on purpose, move {} away; otherwise bring back the state that belongs to it",
                path.display()
            )),
            StateError::Impossible(_) | StateError::Json(_) => None,
        }
    }

    /// Whether somebody else holds the lock.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        matches!(self, StateError::Lock(LockError::Held { .. }))
    }
}

/// What is lost to the state, and what finds it again.
fn unrecorded(source: &StoreError, addrs: &[String]) -> String {
    const SHOWN: usize = 20;
    let mut text = format!("not recorded is what became of {}", addrs[..addrs.len().min(SHOWN)].join(", "));
    if addrs.len() > SHOWN {
        text += &format!(" and {} more", addrs.len() - SHOWN);
    }
    text += ". What was begun is recorded: the next run asks the providers what is left of it";
    match source.hint() {
        Some(hint) => format!("{text}. {hint}"),
        None => text,
    }
}
