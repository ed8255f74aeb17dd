//! A run's hold on a state.

use std::collections::VecDeque;

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
}

impl Session {
    pub(crate) fn new(store: Store, lock: Lock, loaded: Loaded) -> Self {
        let Loaded { ledger, base, journal, folded: _ } = loaded;
        Session { writer: None, lock, store, ledger, base, journal, lines: 0, queued: VecDeque::new() }
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
        Ok(match &self.writer {
            Some(writer) => writer.append(bytes),
            None => Durable::failed(),
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
        self.lines += 1;
        let durable = self.writer.as_ref().map_or(0, Writer::durable);
        while self.queued.front().is_some_and(|(line, _)| *line <= durable) {
            self.queued.pop_front();
        }
        if let Record::Done { of, .. } | Record::Failed { of, .. } | Record::Checkpoint { of, .. } = &record {
            self.queued.push_back((self.lines, of.addr.to_string()));
        }
        self.ledger.apply(record)?;
        Ok(bytes)
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
        self.store.sealer().seal(&mut json)?;
        Ok(serde_json::to_vec(&json)?)
    }
}
