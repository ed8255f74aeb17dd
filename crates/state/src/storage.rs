//! What a place to keep states in must do: five things to read, and what only the holder of its lock may do.
//!
//! A storage keeps bytes and knows nothing of what is in them: the snapshot, the journal that goes on from it, and earlier snapshots. One
//! [`Hold`] at a time may write. Where somebody else can take the lock away (a lease that is over, `force-unlock`), the storage itself must refuse
//! what the old holder still writes, by a token that counts the takings: a process that was frozen for an hour and goes on changes nothing.
//!
//! All calls block: the journal's are made on its own thread, the others by commands that have nothing else to do.

use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::files::FileError;
use crate::lock::{Holder, LockError};

/// The bytes of a state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// What exists; `None` where nothing was ever stored.
    pub snapshot: Option<Vec<u8>>,
    /// What happened since; `None` where no run goes on, and none was killed.
    pub journal: Option<Vec<u8>>,
}

/// A snapshot of an earlier run.
#[derive(Debug)]
pub struct Backup {
    /// Its serial.
    pub serial: u64,
    /// When it was written.
    pub written: SystemTime,
    /// Where it is, for people.
    pub place: PathBuf,
    /// What it holds.
    pub bytes: Result<Vec<u8>, StoreError>,
}

/// Who is at a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Who.
    pub holder: Holder,
    /// Whether it lives, as far as can be told.
    pub lives: bool,
    /// Whether the lock could be taken from it all the same.
    pub can_be_forced: bool,
}

/// A place that keeps one state.
pub trait Storage: Debug + Send + Sync {
    /// Where the snapshot is, for people. Holds no secret.
    fn place(&self) -> PathBuf;

    /// Where the journal is, for people.
    fn journal_place(&self) -> PathBuf;

    /// The folder, where it is one.
    fn dir(&self) -> Option<&Path> {
        None
    }

    /// Whether anything was ever stored.
    ///
    /// # Errors
    /// Where that can't be told.
    fn exists(&self) -> Result<bool, StoreError>;

    /// What is there, read so that a run that goes on or ends meanwhile is seen as it was at one instant.
    ///
    /// # Errors
    /// Where it can't be read.
    fn load(&self) -> Result<Stored, StoreError>;

    /// The last snapshots of earlier runs, newest first.
    ///
    /// # Errors
    /// Where they can't be listed.
    fn backups(&self) -> Result<Vec<Backup>, StoreError>;

    /// Who holds the lock, or held it last and did not give it back.
    ///
    /// # Errors
    /// Where that can't be told.
    fn holder(&self) -> Result<Option<Seen>, StoreError>;

    /// Takes the lock for `me`, or says who has it; does not wait. `by_force` takes it from one that lives, too, where that can be done.
    ///
    /// # Errors
    /// [`LockError::Held`] where another one has it.
    fn lock(&self, me: &Holder, by_force: bool) -> Result<Box<dyn Hold>, LockError>;
}

/// How many earlier snapshots a storage keeps.
pub const BACKUPS: usize = 10;

/// A lock that is held, and what it allows. Dropping it gives it back.
pub trait Hold: Debug + Send {
    /// The run whose lock was taken over.
    fn taken_over(&self) -> Option<&Holder>;

    /// Goes on with the journal behind its first `good` bytes, and puts away what is behind them.
    ///
    /// # Errors
    /// Where it can't be written.
    fn journal(&mut self, good: u64) -> Result<Box<dyn Append>, StoreError>;

    /// Puts a snapshot in the place of the one that is there, whole or not at all; that one, whose serial is `old`, is kept among the backups. The
    /// journal is in the new one, and goes.
    ///
    /// # Errors
    /// Where it can't be written. What was there still is, then.
    fn replace(&mut self, snapshot: &[u8], old: u64) -> Result<(), StoreError>;

    /// Puts away a journal in which nothing is.
    ///
    /// # Errors
    /// Where it can't be written.
    fn drop_journal(&mut self) -> Result<(), StoreError>;
}

/// The end of a journal.
pub trait Append: Send {
    /// Writes behind what is there. When it returns, the bytes outlast a crash, and all before them do.
    ///
    /// # Errors
    /// Where they can't be written. Nothing may be appended any more, then: what is there must have no hole.
    fn append(&mut self, bytes: &[u8]) -> Result<(), StoreError>;

    /// Writes behind what is there so that a kill of this process does not lose it, where that costs next to nothing; the next [`Append::append`] makes
    /// it durable. `false` where it would cost as much as that one: nothing was written then.
    ///
    /// # Errors
    /// As of [`Append::append`].
    fn hand_over(&mut self, bytes: &[u8]) -> Result<bool, StoreError> {
        let _ = bytes;
        Ok(false)
    }
}

/// A storage that did not do what was asked of it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk's.
    #[error(transparent)]
    File(#[from] FileError),
    /// Somebody else holds the lock by now: what this run writes is refused, and must be.
    #[error("this run no longer holds the state's lock{}: what it does is not recorded any more", by.as_ref().map(|by| format!(" ({by} took it over)")).unwrap_or_default())]
    Fenced {
        /// Who has it, or had it last.
        by: Option<Holder>,
    },
    /// The far side's.
    #[error("can't {doing} {place}: {why}")]
    Remote {
        /// What was tried: `write`, `lock`.
        doing: &'static str,
        /// Of what. No secret is in it.
        place: String,
        /// What the far side said.
        why: String,
        /// What to do about it.
        hint: Option<String>,
    },
}

impl StoreError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            StoreError::File(e) => e.hint(),
            StoreError::Fenced { .. } => Some(
                "it was frozen or cut off for longer than its lease, or somebody used force-unlock. Wait until the other run ends, then run again: what \
                 was begun is found and gone on with"
                    .into(),
            ),
            StoreError::Remote { hint, .. } => hint.clone(),
        }
    }
}
