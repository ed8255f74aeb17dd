//! A state in a folder: `grappe.state.json` (the snapshot), `grappe.journal`, `grappe.lock` and `backups/`.
//!
//! What exists is the snapshot and, on top of it, the journal. A run appends to the journal only; when it ends, its [`Session`] writes a new
//! snapshot and removes the journal. The snapshot counts serials, and the journal names the serial that it goes on from: a crash between the two
//! leaves a journal that is older than the snapshot, which is then known to be in it already.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value as Json;

use crate::data::{self, Pending, State};
use crate::error::StateError;
use crate::files::{self, FileError};
use crate::journal::{self, Durable, Writer};
use crate::ledger::{Ledger, Record};
use crate::lock::{self, Lock};
use crate::seal::Sealer;

/// How many old snapshots are kept.
const BACKUPS: usize = 10;

/// A state in a folder.
#[derive(Clone, Debug)]
pub struct LocalStore {
    dir: PathBuf,
    sealer: Arc<Sealer>,
}

/// What was read, and what a writer must know of the files that it came from.
struct Loaded {
    ledger: Ledger,
    /// The serial of the snapshot.
    base: u64,
    /// The good lines and bytes of a journal that is to be gone on with.
    journal: Option<(u64, u64)>,
}

impl LocalStore {
    /// The state in `dir`, sealed with the key that the environment tells of. Nothing is read or made yet.
    #[must_use]
    pub fn open(dir: impl Into<PathBuf>) -> Self {
        Self::with_sealer(dir, Arc::new(Sealer::from_env()))
    }

    /// The state in `dir`, sealed by `sealer`.
    #[must_use]
    pub fn with_sealer(dir: impl Into<PathBuf>, sealer: Arc<Sealer>) -> Self {
        LocalStore { dir: dir.into(), sealer }
    }

    /// The folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What seals and opens secrets: plan files are sealed with it too.
    #[must_use]
    pub fn sealer(&self) -> &Arc<Sealer> {
        &self.sealer
    }

    /// The snapshot's file.
    #[must_use]
    pub fn snapshot_path(&self) -> PathBuf {
        self.dir.join("grappe.state.json")
    }

    /// The journal's file.
    #[must_use]
    pub fn journal_path(&self) -> PathBuf {
        self.dir.join("grappe.journal")
    }

    /// Takes the lock, or says who has it; does not wait. Makes the folder where it is missing.
    ///
    /// # Errors
    /// See [`StateError::is_locked`].
    pub fn lock(&self, what: &str) -> Result<Lock, StateError> {
        files::create_private_dir(&self.dir)?;
        Ok(Lock::try_acquire(&self.dir.join("grappe.lock"), what)?)
    }

    /// Reads what exists. Needs no lock: a run that ends meanwhile is seen from before or from after.
    ///
    /// # Errors
    /// Where the files can't be read or don't fit together.
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
    /// Where the files can't be read or don't fit together.
    pub fn session(&self, lock: Lock) -> Result<Session, StateError> {
        files::remove_leftovers(&self.snapshot_path());
        let Loaded { ledger, base, journal } = self.read()?;
        Ok(Session { writer: None, lock, store: self.clone(), ledger, base, journal })
    }

    fn read(&self) -> Result<Loaded, StateError> {
        let mut ledger = self.read_snapshot(&self.snapshot_path())?.unwrap_or_default();
        let base = ledger.state.serial;
        let path = self.journal_path();
        let Some(bytes) = files::read(&path)? else { return Ok(Loaded { ledger, base, journal: None }) };
        let refuse = |source| StateError::Journal { path: path.clone(), source };
        let replay = journal::read(&bytes).map_err(refuse)?;
        let lines = replay.records.len();
        for (i, mut record) in replay.records.into_iter().enumerate() {
            self.sealer.open(&mut record)?;
            let record = journal::parse(record, i + 1).map_err(refuse)?;
            if let (0, Record::Begin { lineage, base: theirs, .. }) = (i, &record) {
                let same = ledger.state.lineage.is_empty() || ledger.state.lineage == *lineage;
                if same && *theirs < base {
                    return Ok(Loaded { ledger, base, journal: None });
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
        Ok(Loaded { ledger, base, journal: Some((lines as u64, replay.good_bytes)) })
    }

    fn read_snapshot(&self, path: &Path) -> Result<Option<Ledger>, StateError> {
        files::read(path)?.map(|bytes| self.parse(&bytes, path)).transpose()
    }

    /// A state in the form of a snapshot, as [`LocalStore::text`] gives it. `path` is where it comes from, for messages.
    ///
    /// # Errors
    /// Where it is none, or can't be opened.
    pub fn parse(&self, bytes: &[u8], path: &Path) -> Result<Ledger, StateError> {
        let own = path == self.snapshot_path();
        let refuse = |why: String| StateError::Snapshot {
            path: path.to_owned(),
            why,
            backup: own.then(|| self.newest_good_backup(path)).flatten(),
        };
        if bytes.is_empty() {
            return Err(refuse("it is empty".into()));
        }
        let mut json: Json = serde_json::from_slice(bytes)
            .map_err(|e| refuse(if e.is_eof() { format!("it was cut ({e})") } else { e.to_string() }))?;
        match json["format"].as_u64() {
            Some(format) if format > u64::from(data::FORMAT) => {
                let by = json["written_by"].as_str().unwrap_or("unknown").to_owned();
                return Err(StateError::Newer { path: path.to_owned(), format, by });
            }
            Some(_) => {}
            None => return Err(refuse("it is not a state of grappe".into())),
        }
        self.sealer.open(&mut json)?;
        let pending = json.as_object_mut().and_then(|map| map.remove("pending"));
        let pending: Vec<Pending> = match pending {
            Some(list) => serde_json::from_value(list).map_err(|e| refuse(e.to_string()))?,
            None => Vec::new(),
        };
        let state = serde_json::from_value(json).map_err(|e| refuse(e.to_string()))?;
        Ok(Ledger::new(state, pending))
    }

    /// What exists and what was begun, as a snapshot of it would be on disk, sealed: `None` where nothing was ever stored.
    ///
    /// # Errors
    /// Where it can't be read.
    pub fn text(&self) -> Result<Option<String>, StateError> {
        let json = match (files::read(&self.snapshot_path())?, self.journal_path().exists()) {
            (None, false) => return Ok(None),
            // As it is: no key is needed to copy what is sealed.
            (Some(bytes), false) => match serde_json::from_slice::<Json>(&bytes) {
                Ok(json) if json["format"] == data::FORMAT => json,
                // Says what is wrong with it.
                _ => self.form(&self.load()?)?,
            },
            _ => self.form(&self.load()?)?,
        };
        Ok(Some(format!("{json:#}\n")))
    }

    /// A ledger as a snapshot on disk.
    fn form(&self, ledger: &Ledger) -> Result<Json, StateError> {
        let mut json = serde_json::to_value(&ledger.state)?;
        if let Json::Object(map) = &mut json {
            map.insert("written_by".into(), concat!("grappe ", env!("CARGO_PKG_VERSION")).into());
            let pending: Vec<&Pending> = ledger.pending().collect();
            if !pending.is_empty() {
                map.insert("pending".into(), serde_json::to_value(pending)?);
            }
        }
        self.sealer.seal(&mut json)?;
        Ok(json)
    }

    fn write_snapshot(&self, ledger: &Ledger, base: u64) -> Result<(), StateError> {
        let mut bytes = serde_json::to_vec(&self.form(ledger)?)?;
        bytes.push(b'\n');
        self.back_up(base)?;
        Ok(files::write_atomic(&self.snapshot_path(), &bytes, files::PRIVATE)?)
    }

    fn backup_dir(&self) -> PathBuf {
        self.dir.join("backups")
    }

    /// The snapshots that are kept of earlier runs, newest first.
    #[must_use]
    pub fn snapshots(&self) -> Vec<Snapshot> {
        let read = |path: PathBuf| {
            let name = path.file_stem()?.to_str()?;
            let serial = name.rsplit('.').next()?.parse().ok()?;
            let written = std::fs::metadata(&path).and_then(|m| m.modified()).map(lock::utc);
            let ledger = files::read(&path)
                .map_err(StateError::from)
                .and_then(|bytes| self.parse(&bytes.unwrap_or_default(), &path));
            Some(Snapshot { serial, written: written.unwrap_or_default(), path, ledger })
        };
        self.backups().into_iter().filter_map(read).collect()
    }

    /// The backups, newest first: their names count serials with leading zeros.
    fn backups(&self) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(self.backup_dir()) else { return Vec::new() };
        let mut paths: Vec<PathBuf> = entries
            .flatten()
            .map(|e| e.path())
            .filter(|p| {
                let name = p.file_name().and_then(|n| n.to_str()).unwrap_or_default();
                name.starts_with("grappe.state.") && name.ends_with(".json")
            })
            .collect();
        paths.sort_by(|a, b| b.cmp(a));
        paths
    }

    /// Keeps the snapshot that is there, under its serial. A second name of the same file: it costs nothing.
    fn back_up(&self, serial: u64) -> Result<(), StateError> {
        let snapshot = self.snapshot_path();
        if !snapshot.exists() {
            return Ok(());
        }
        files::create_private_dir(&self.backup_dir())?;
        let backup = self.backup_dir().join(format!("grappe.state.{serial:010}.json"));
        let linked = match std::fs::remove_file(&backup).and_then(|()| std::fs::hard_link(&snapshot, &backup))
        {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => std::fs::hard_link(&snapshot, &backup),
            other => other,
        };
        match linked {
            Ok(()) => files::sync_dir(&self.backup_dir())?,
            // A file system without hard links.
            Err(_) => {
                if let Some(bytes) = files::read(&snapshot)? {
                    files::write_atomic(&backup, &bytes, files::PRIVATE)?;
                }
            }
        }
        for old in self.backups().into_iter().skip(BACKUPS) {
            files::remove(&old)?;
        }
        Ok(())
    }

    fn newest_good_backup(&self, but: &Path) -> Option<PathBuf> {
        let good = |path: &PathBuf| {
            let bytes = files::read(path).ok().flatten()?;
            serde_json::from_slice::<State>(&bytes).ok()
        };
        self.backups().into_iter().filter(|p| p != but).find(|p| good(p).is_some())
    }
}

/// A snapshot that is kept of an earlier run.
#[derive(Debug)]
pub struct Snapshot {
    /// Its serial.
    pub serial: u64,
    /// When it was written, in UTC: `2026-01-31T12:00:00Z`.
    pub written: String,
    /// Its file.
    pub path: PathBuf,
    /// What it holds.
    pub ledger: Result<Ledger, StateError>,
}

/// A run's hold on a state: the lock, what exists, and the journal.
///
/// Dropping it leaves snapshot and journal as they are, which lose nothing; [`Session::close`] folds them into a new snapshot.
#[derive(Debug)]
pub struct Session {
    // Dropped first: what is queued is written before the lock is given back.
    writer: Option<Writer>,
    lock: Lock,
    store: LocalStore,
    ledger: Ledger,
    /// The serial of the snapshot that the journal goes on from.
    base: u64,
    /// The good lines and bytes of the journal that was there.
    journal: Option<(u64, u64)>,
}

impl Session {
    /// What exists and what was begun.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// What exists.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.ledger.state
    }

    /// The store that it works on.
    #[must_use]
    pub fn store(&self) -> &LocalStore {
        &self.store
    }

    /// The killed run whose lock was taken over.
    #[must_use]
    pub fn taken_over(&self) -> Option<&crate::lock::Holder> {
        self.lock.taken_over.as_ref()
    }

    /// Moves on by one record: in memory at once, on disk when the answer resolves. Costs what the record holds.
    ///
    /// # Errors
    /// Where the record can't follow those before it, or can't be sealed.
    pub fn append(&mut self, record: Record) -> Result<Durable, StateError> {
        let bytes = self.advance(record)?;
        Ok(match &self.writer {
            Some(writer) => writer.append(bytes),
            None => Durable::failed(&self.store.journal_path()),
        })
    }

    /// Moves on by one record that nobody needs to wait for: it is on disk before any later one is, and soon.
    ///
    /// # Errors
    /// As of [`Session::append`].
    pub fn note(&mut self, record: Record) -> Result<(), StateError> {
        let bytes = self.advance(record)?;
        if let Some(writer) = &self.writer {
            writer.note(bytes);
        }
        Ok(())
    }

    fn advance(&mut self, record: Record) -> Result<Vec<u8>, StateError> {
        if self.writer.is_none() {
            self.begin()?;
        }
        let bytes = self.encode(&record)?;
        self.ledger.apply(record)?;
        Ok(bytes)
    }

    /// Writes a new snapshot where anything changed, removes the journal, and gives back the lock and what exists.
    ///
    /// # Errors
    /// Where the snapshot can't be written. The journal stays then, and nothing is lost.
    pub fn close(mut self) -> Result<Ledger, StateError> {
        self.fold()?;
        Ok(self.ledger)
    }

    /// Puts another ledger in the place of this one, as a later serial, by one rename: a kill leaves the one or the other, and what was there is kept
    /// among the backups. What was begun is what the new one says was begun.
    ///
    /// # Errors
    /// Where it can't be written. Nothing is changed then.
    pub fn rewrite(mut self, mut ledger: Ledger) -> Result<Ledger, StateError> {
        // A journal belongs to the snapshot that it goes on from.
        self.fold()?;
        let state = &mut ledger.state;
        state.serial = state.serial.max(self.base + 1);
        if state.lineage.is_empty() {
            state.lineage = match self.ledger.state.lineage.as_str() {
                "" => State::new().lineage,
                own => own.to_owned(),
            };
        }
        self.store.write_snapshot(&ledger, self.base)?;
        Ok(ledger)
    }

    /// Folds the journal into a new snapshot.
    fn fold(&mut self) -> Result<(), StateError> {
        let changed = self.writer.is_some() || self.journal.is_some();
        // All that was queued is on disk when it ends.
        drop(self.writer.take());
        if changed {
            // One that holds nothing: its run was killed before its first record was whole.
            if self.ledger.state.serial != self.base {
                self.store.write_snapshot(&self.ledger, self.base)?;
                self.base = self.ledger.state.serial;
            }
            files::remove(&self.store.journal_path())?;
            self.journal = None;
        }
        Ok(())
    }

    fn begin(&mut self) -> Result<(), StateError> {
        let path = self.store.journal_path();
        let (lines, bytes) = self.journal.unwrap_or_default();
        let file = files::open_private(&path, true)?;
        // What is behind the good lines is a torn end; without any, it is a journal that is in the snapshot already.
        file.set_len(bytes).and_then(|()| file.sync_all()).map_err(FileError::new(&path, "cut"))?;
        files::sync_dir(&self.store.dir)?;
        self.writer = Some(Writer::start(file, &path, lines)?);
        let lineage = match self.ledger.state.lineage.as_str() {
            "" => State::new().lineage,
            own => own.to_owned(),
        };
        let begin = Record::Begin {
            format: journal::FORMAT,
            lineage,
            base: self.base,
            serial: self.ledger.state.serial + 1,
        };
        let bytes = self.encode(&begin)?;
        self.ledger.apply(begin)?;
        if let Some(writer) = &self.writer {
            writer.note(bytes);
        }
        Ok(())
    }

    fn encode(&self, record: &Record) -> Result<Vec<u8>, StateError> {
        let bytes = zeroize::Zeroizing::new(serde_json::to_vec(record)?);
        // Most records hold no secret: they are not taken apart to look for one.
        if !bytes.windows(12).any(|w| w == b"\"$sensitive\"") {
            return Ok(bytes.to_vec());
        }
        let mut json = serde_json::from_slice(&bytes)?;
        self.store.sealer.seal(&mut json)?;
        Ok(serde_json::to_vec(&json)?)
    }
}
