//! A run's hold on a state.

use std::collections::VecDeque;

use grappe_value::addr::InstanceAddr;

use crate::data::{self, State};
use crate::error::StateError;
use crate::journal::{self, Durable, Writer};
use crate::ledger::{Ledger, Record};
use crate::lock::Holder;
use crate::store::{Loaded, Lock, Store};

/// A run's hold on a state: the lock, what exists, and the journal.
///
/// Dropping it leaves snapshot and journal as they are, which lose nothing; [`Session::close`] folds them into a new snapshot.
#[derive(Debug)]
pub struct Session {
    // Dropped first: what is queued is written before the lock is given back.
    writer: Option<Writer>,
    lock: Lock,
    store: Store,
    ledger: Ledger,
    /// The serial of the snapshot that the journal goes on from.
    base: u64,
    /// The good lines and bytes of the journal that was there.
    journal: Option<(u64, u64)>,
    /// How many lines the journal has, with those that are queued.
    lines: u64,
    /// What the lines that were not yet durable say the end of, by their numbers.
    queued: VecDeque<(u64, String)>,
    /// How many bytes this run has put into the journal.
    size: usize,
    /// With how many it is folded in the middle of the run.
    bound: usize,
}

/// How long a journal may be that goes with a small snapshot.
const SHORT: usize = 16 << 20;

impl Session {
    pub(crate) fn new(store: Store, lock: Lock, loaded: Loaded) -> Self {
        let Loaded { ledger, base, journal, folded: _ } = loaded;
        let (lines, queued) = (0, VecDeque::new());
        Session { writer: None, lock, store, ledger, base, journal, lines, queued, size: 0, bound: SHORT }
    }

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
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Why what is sensitive is not stored, where there is no key: see [`crate::Sealer::withholds`].
    #[must_use]
    pub fn withholds(&self) -> Option<&'static str> {
        self.store.sealer().withholds()
    }

    /// The killed run whose lock was taken over.
    #[must_use]
    pub fn taken_over(&self) -> Option<&Holder> {
        self.lock.taken_over()
    }

    /// Moves on by one record: in memory at once, on disk when the answer resolves. Costs what the record holds.
    ///
    /// # Errors
    /// Where the record can't follow those before it, or can't be sealed.
    pub fn append(&mut self, record: Record) -> Result<Durable, StateError> {
        let bytes = self.advance(record)?;
        Ok(self.writer.as_ref().map_or_else(Durable::failed, |writer| writer.append(bytes)))
    }

    /// Moves on by one record that nobody needs to wait for: it is on disk before any later one is, and soon.
    ///
    /// # Errors
    /// As of [`Session::append`].
    pub fn note(&mut self, record: Record) -> Result<(), StateError> {
        self.soon(record).map(drop)
    }

    /// The same for somebody who wants to know when that is.
    ///
    /// # Errors
    /// As of [`Session::append`].
    pub fn soon(&mut self, record: Record) -> Result<Durable, StateError> {
        let bytes = self.advance(record)?;
        Ok(self.writer.as_ref().map_or_else(Durable::failed, |writer| writer.soon(bytes)))
    }

    /// Folds the journal whenever it has this many bytes; by itself, that is 16 MB, or twice the snapshot where that is more.
    pub fn fold_at(&mut self, bytes: usize) {
        self.bound = bytes;
    }

    /// Folds a journal that has grown long into a snapshot, and goes on with a new one. What it costs is the state's size, so it waits for as much to be in the
    /// journal as would be written anew: all folds of a run together cost no more than its records do.
    fn compact(&mut self) -> Result<(), StateError> {
        // What can't be written is told to who waits for it.
        if self.size < self.bound || self.writer.as_ref().is_none_or(|writer| writer.flush().is_err()) {
            return Ok(());
        }
        let snapshot = self.store.snapshot_of(&self.ledger)?;
        self.bound = self.bound.max(2 * snapshot.len());
        match self.lock.0.replace(&snapshot, self.base) {
            Ok(()) => {
                (self.writer, self.journal, self.size) = (None, None, 0);
                self.base = self.ledger.state.serial;
                self.queued.clear();
            }
            // There may be no room for a snapshot: the journal is as good as before, and there may be room for that.
            Err(_) => self.bound *= 2,
        }
        Ok(())
    }

    fn advance(&mut self, record: Record) -> Result<Vec<u8>, StateError> {
        self.compact()?;
        if self.writer.is_none() {
            self.begin()?;
        }
        let bytes = self.encode(&record)?;
        let of = match &record {
            Record::Done { of, .. } | Record::Failed { of, .. } | Record::Checkpoint { of, .. } => {
                Some(of.addr.to_string())
            }
            _ => None,
        };
        self.ledger.apply(record)?;
        self.lines += 1;
        self.size += bytes.len();
        let durable = self.writer.as_ref().map_or(0, Writer::durable);
        while self.queued.front().is_some_and(|(line, _)| *line <= durable) {
            self.queued.pop_front();
        }
        self.queued.extend(of.map(|addr| (self.lines, addr)));
        Ok(bytes)
    }

    /// Notes that these objects were read at a time, and found as the state has them: in the next snapshot, where there is to be one. For this alone none
    /// is written.
    pub fn saw<'a>(&mut self, objects: impl IntoIterator<Item = (&'a InstanceAddr, u64)>) {
        if self.writer.is_some() {
            self.ledger.saw(objects);
        }
    }

    /// Writes a new snapshot where anything changed, removes the journal, and gives back the lock and what exists.
    ///
    /// # Errors
    /// Where the snapshot can't be written. The journal stays then, and what was durable is not lost; what was not, [`StateError::Unrecorded`] tells.
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
        self.lock.0.replace(&self.store.snapshot_of(&ledger)?, self.base)?;
        Ok(ledger)
    }

    /// Folds the journal into a new snapshot, and goes on: the lock is kept. As [`Session::close`] otherwise.
    ///
    /// # Errors
    /// As of [`Session::close`].
    pub fn fold(&mut self) -> Result<(), StateError> {
        let changed = self.writer.is_some() || self.journal.is_some();
        // All that was queued is durable when it ends, or can't be.
        let durable = self.writer.take().map_or(u64::MAX, Writer::end);
        if !changed {
            return Ok(());
        }
        // One that holds nothing: its run was killed before its first record was whole.
        let folded = if self.ledger.state.serial == self.base {
            self.lock.0.drop_journal()
        } else {
            self.lock.0.replace(&self.store.snapshot_of(&self.ledger)?, self.base)
        };
        folded.map_err(|source| {
            let mut addrs: Vec<String> = Vec::new();
            for (_, addr) in self.queued.drain(..).filter(|(line, _)| *line > durable) {
                if !addrs.contains(&addr) {
                    addrs.push(addr);
                }
            }
            match addrs.is_empty() {
                true => StateError::Store(source),
                false => StateError::Unrecorded { source, addrs },
            }
        })?;
        self.base = self.ledger.state.serial;
        self.size = 0;
        self.journal = None;
        Ok(())
    }

    fn begin(&mut self) -> Result<(), StateError> {
        // What is behind the good bytes is a torn end; without any, it is a journal that is in the snapshot already.
        let (lines, bytes) = self.journal.unwrap_or_default();
        self.writer = Some(Writer::start(self.lock.0.journal(bytes)?, lines)?);
        // With the record that begins it.
        self.lines = lines + 1;
        let lineage = match self.ledger.state.lineage.as_str() {
            "" => State::new().lineage,
            own => own.to_owned(),
        };
        let begin = Record::Begin {
            format: journal::FORMAT,
            lineage,
            base: self.base,
            serial: self.ledger.state.serial + 1,
            written_by: data::WRITER.into(),
        };
        let bytes = self.encode(&begin)?;
        self.ledger.apply(begin)?;
        if let Some(writer) = &self.writer {
            drop(writer.soon(bytes));
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
        self.store.sealer().seal(&mut json)?;
        Ok(serde_json::to_vec(&json)?)
    }
}
