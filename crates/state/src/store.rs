//! A state and the storage that keeps it: bytes turned into what exists and what was begun, and back.
//!
//! What exists is the snapshot and, on top of it, the journal. A run appends to the journal only; when it ends, its [`Session`] writes a new
//! snapshot and removes the journal. The snapshot counts serials, and the journal names the serial that it goes on from: a crash between the two
//! leaves a journal that is older than the snapshot, which is then known to be in it already.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value as Json;

use crate::data;
use crate::error::StateError;
use crate::folder::Folder;
use crate::journal;
use crate::ledger::{Ledger, Record};
use crate::lock::{self, Holder};
use crate::seal::Sealer;
use crate::session::Session;
use crate::snapshot::{self, NoSnapshot};
use crate::storage::{Hold, Seen, Storage, Stored};

/// A state in a storage.
#[derive(Clone, Debug)]
pub struct Store {
    storage: Arc<dyn Storage>,
    sealer: Arc<Sealer>,
}

/// A lock that is held: what a [`Session`] is opened with. Dropping it gives it back.
#[derive(Debug)]
pub struct Lock(pub(crate) Box<dyn Hold>);

impl Lock {
    /// The killed run that it was taken over from.
    #[must_use]
    pub fn taken_over(&self) -> Option<&Holder> {
        self.0.taken_over()
    }
}

/// What was read, and what a writer must know of where it came from.
pub(crate) struct Loaded {
    pub(crate) ledger: Ledger,
    /// The serial of the snapshot.
    pub(crate) base: u64,
    /// The good lines and bytes of a journal that is to be gone on with.
    pub(crate) journal: Option<(u64, u64)>,
    /// Whether there is a journal that is in the snapshot already.
    pub(crate) folded: bool,
}

impl Store {
    /// The state in a folder, sealed with the key that the environment tells of. Nothing is read or made yet.
    #[must_use]
    pub fn open(dir: impl Into<PathBuf>) -> Self {
        Self::with_sealer(dir, Arc::new(Sealer::from_env()))
    }

    /// The state in a folder, sealed by `sealer`.
    #[must_use]
    pub fn with_sealer(dir: impl Into<PathBuf>, sealer: Arc<Sealer>) -> Self {
        Self::over(Arc::new(Folder::new(dir)), sealer)
    }

    /// The state in a storage of any kind.
    #[must_use]
    pub fn over(storage: Arc<dyn Storage>, sealer: Arc<Sealer>) -> Self {
        Store { storage, sealer }
    }

    /// The same state, sealed by another.
    #[must_use]
    pub fn sealed_by(&self, sealer: Arc<Sealer>) -> Self {
        Self::over(self.storage.clone(), sealer)
    }

    /// The folder that it is in, where it is in one.
    #[must_use]
    pub fn dir(&self) -> Option<&Path> {
        self.storage.dir()
    }

    /// Where it is, for people.
    #[must_use]
    pub fn place(&self) -> PathBuf {
        self.storage.dir().map_or_else(|| self.storage.place(), Path::to_owned)
    }

    /// What seals and opens secrets: plan files are sealed with it too.
    #[must_use]
    pub fn sealer(&self) -> &Arc<Sealer> {
        &self.sealer
    }

    /// Whether anything was ever stored.
    ///
    /// # Errors
    /// Where that can't be told.
    pub fn exists(&self) -> Result<bool, StateError> {
        Ok(self.storage.exists()?)
    }

    /// Takes the lock, or says who has it; does not wait.
    ///
    /// # Errors
    /// See [`StateError::is_locked`].
    pub fn lock(&self, what: &str) -> Result<Lock, StateError> {
        Ok(Lock(self.storage.lock(&Holder::this(what), false)?))
    }

    /// Takes the lock from whoever has it, where that can be done.
    ///
    /// # Errors
    /// As [`Store::lock`].
    pub fn lock_by_force(&self, what: &str) -> Result<Lock, StateError> {
        Ok(Lock(self.storage.lock(&Holder::this(what), true)?))
    }

    /// Who is at it, or was when it was killed. Takes nothing over.
    ///
    /// # Errors
    /// Where that can't be told.
    pub fn holder(&self) -> Result<Option<Seen>, StateError> {
        Ok(self.storage.holder()?)
    }

    /// Reads what exists. Needs no lock: a run that ends meanwhile is seen from before or from after.
    ///
    /// # Errors
    /// Where what is stored can't be read or does not fit together.
    pub fn load(&self) -> Result<Ledger, StateError> {
        for _ in 0..3 {
            match self.read() {
                // Between our two reads, a run folded its journal into a new snapshot and another began a new journal.
                Err(StateError::Mismatch { .. }) => {}
                other => return other.map(|loaded| loaded.ledger),
            }
        }
        self.read().map(|loaded| loaded.ledger)
    }

    /// Reads what exists, to change it. Takes the lock along.
    ///
    /// # Errors
    /// As of [`Store::load`].
    pub fn session(&self, mut lock: Lock) -> Result<Session, StateError> {
        let loaded = self.read()?;
        if loaded.folded {
            // Its run was killed as it was about to remove it.
            lock.0.drop_journal()?;
        }
        Ok(Session::new(self.clone(), lock, loaded))
    }

    fn read(&self) -> Result<Loaded, StateError> {
        let Stored { snapshot, journal } = self.storage.load()?;
        let snapshot = snapshot.map(|bytes| self.parse(&bytes, &self.storage.place()));
        let mut ledger = snapshot.transpose()?.unwrap_or_default();
        let base = ledger.state.serial;
        let path = self.storage.journal_place();
        let Some(bytes) = journal else { return Ok(Loaded { ledger, base, journal: None, folded: false }) };
        let refuse = |source| StateError::Journal { path: path.clone(), source };
        let replay = journal::read(&bytes).map_err(refuse)?;
        let lines = replay.records.len();
        for (i, mut record) in replay.records.into_iter().enumerate() {
            self.sealer.open(&mut record)?;
            let record = journal::parse(record, i + 1).map_err(refuse)?;
            if let (0, Record::Begin { lineage, base: theirs, .. }) = (i, &record) {
                let same = ledger.state.lineage.is_empty() || ledger.state.lineage == *lineage;
                if same && *theirs < base {
                    return Ok(Loaded { ledger, base, journal: None, folded: true });
                }
                if !same || *theirs != base {
                    return Err(StateError::Mismatch {
                        path: path.clone(),
                        lineage: lineage.clone(),
                        base: *theirs,
                        have: match ledger.state.lineage.as_str() {
                            "" => "empty".to_owned(),
                            own => format!("serial {base} of state {own:?}"),
                        },
                    });
                }
            }
            ledger
                .apply(record)
                .map_err(|why| refuse(journal::JournalError::Impossible { line: i + 1, why }))?;
        }
        Ok(Loaded { ledger, base, journal: Some((lines as u64, replay.good_bytes)), folded: false })
    }

    /// A state in the form of a snapshot, as [`Store::text`] gives it. `path` is where it comes from, for messages.
    ///
    /// # Errors
    /// Where it is none, or can't be opened.
    pub fn parse(&self, bytes: &[u8], path: &Path) -> Result<Ledger, StateError> {
        let own = path == self.storage.place();
        let refuse = |why: String| StateError::Snapshot {
            path: path.to_owned(),
            why,
            backup: own.then(|| self.newest_good_backup()).flatten(),
        };
        if bytes.is_empty() {
            return Err(refuse("it is empty".into()));
        }
        snapshot::read(bytes, &self.sealer).map_err(|error| match error {
            NoSnapshot::Damaged(why) => refuse(why),
            NoSnapshot::Newer { format, by } => StateError::Newer { path: path.to_owned(), format, by },
            NoSnapshot::Seal(error) => error.into(),
        })
    }

    /// What exists and what was begun, as a snapshot of it would be on disk, sealed: `None` where nothing was ever stored.
    ///
    /// # Errors
    /// Where it can't be read.
    pub fn text(&self) -> Result<Option<String>, StateError> {
        let Stored { snapshot, journal } = self.storage.load()?;
        let anew =
            || -> Result<Json, StateError> { Ok(serde_json::from_slice(&self.snapshot_of(&self.load()?)?)?) };
        let json = match (snapshot, journal.is_some()) {
            (None, false) => return Ok(None),
            // As it is: no key is needed to copy what is sealed.
            (Some(bytes), false) => match serde_json::from_slice::<Json>(&bytes) {
                Ok(json)
                    if json["format"].as_u64().is_some_and(|format| format <= u64::from(data::FORMAT)) =>
                {
                    json
                }
                // Says what is wrong with it.
                _ => anew()?,
            },
            _ => anew()?,
        };
        Ok(Some(format!("{json:#}\n")))
    }

    /// The bytes of a ledger's snapshot.
    pub(crate) fn snapshot_of(&self, ledger: &Ledger) -> Result<Vec<u8>, StateError> {
        snapshot::write(ledger, &self.sealer)
    }

    /// The snapshots that are kept of earlier runs, newest first.
    ///
    /// # Errors
    /// Where they can't be listed.
    pub fn snapshots(&self) -> Result<Vec<Snapshot>, StateError> {
        let read = |backup: crate::storage::Backup| {
            let bytes = backup.bytes.map_err(StateError::from);
            let ledger = bytes.and_then(|bytes| self.parse(&bytes, &backup.place));
            Snapshot { serial: backup.serial, written: lock::utc(backup.written), ledger }
        };
        Ok(self.storage.backups()?.into_iter().map(read).collect())
    }

    fn newest_good_backup(&self) -> Option<PathBuf> {
        let backups = self.storage.backups().ok()?;
        backups
            .into_iter()
            .find(|b| b.bytes.as_ref().is_ok_and(|bytes| snapshot::is_good(bytes)))
            .map(|b| b.place)
    }
}

/// A snapshot that is kept of an earlier run.
#[derive(Debug)]
pub struct Snapshot {
    /// Its serial.
    pub serial: u64,
    /// When it was written, in UTC: `2026-01-31T12:00:00Z`.
    pub written: String,
    /// What it holds.
    pub ledger: Result<Ledger, StateError>,
}
