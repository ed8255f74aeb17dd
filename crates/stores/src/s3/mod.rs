//! S3 and what speaks like it, by conditional writes alone (`If-Match`, `If-None-Match: *`).
//!
//! ```text
//! KEY                           the head: token, lock, which snapshot and which journals count
//! KEY.snapshots/NAME            a snapshot; never changed
//! KEY.journal/TOKEN/00000001    a write to the journal; never changed
//! ```
//!
//! The head is replaced by `If-Match` only, so its changes have one order, and who holds the lock is in it. Object stores can't append, so each
//! write to the journal is the object of the next number, which must not be there yet. Who takes a lock over *seals* the old holder's journal before
//! reading it: it puts a seal where the next write of the old holder would go. If that one writes on, it finds the seal in its way, whenever it wakes; a seal
//! therefore stays, a few bytes for each lock that was taken over.
//!
//! Times are the server's: a lease is over when the head is older than the lease, as `Date` and `Last-Modified` of one answer say.

mod client;
mod credentials;
mod head;
mod sign;

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use grappe_state::storage::{BACKUPS, StoreError, Stored};

pub use client::{Client, Settings};
pub use credentials::{Credentials, Source};

use crate::server::{Asking, Kept, Old, Server, Taking, Trouble};
use client::Put;
use head::{Head, Lock, Shot};

/// What lies in the way of a journal that nobody may write on.
const SEAL: &[u8] = b"sealed\n";

/// How many writes of a journal are read at once.
const READS: usize = 16;

/// A state in a bucket.
#[derive(Debug)]
pub struct S3 {
    client: Client,
}

type Result<T> = std::result::Result<T, Trouble>;

/// The head as it is, or as it was read.
struct Read {
    head: Head,
    /// None where there is no head yet.
    etag: Option<String>,
    /// How long ago it was written, by the server's clock.
    age: Duration,
}

impl S3 {
    /// The state behind this client. Nothing is asked yet.
    #[must_use]
    pub fn new(client: Client) -> Self {
        S3 { client }
    }

    async fn head(&self) -> Result<Read> {
        let Some(object) = self.client.get("").await? else {
            return Ok(Read { head: Head::default(), etag: None, age: Duration::ZERO });
        };
        let head = Head::parse(&object.bytes).map_err(|why| {
            let place = self.place().display().to_string();
            let hint = Some("give the state a key of its own".to_owned());
            Trouble::Final(StoreError::Remote { doing: "read", place, why, hint })
        })?;
        Ok(Read { head, etag: Some(object.etag), age: object.age })
    }

    /// Replaces the head by what `change` makes of it, which is asked again where somebody else was faster. `None` leaves it.
    async fn change(&self, mut change: impl FnMut(&Read) -> Result<Option<Head>> + Send) -> Result<Read> {
        loop {
            let read = self.head().await?;
            let Some(next) = change(&read)? else { return Ok(read) };
            let when = match &read.etag {
                Some(etag) => Put::If(etag),
                None => Put::New,
            };
            if self.client.put("", next.bytes(), when).await? {
                return Ok(Read { head: next, etag: None, age: Duration::ZERO });
            }
        }
    }

    /// The same for who has this token.
    async fn change_mine(
        &self,
        token: u64,
        mut change: impl FnMut(&Head) -> Option<Head> + Send,
    ) -> Result<Read> {
        self.change(|read| match read.head.is_held_by(token) {
            true => Ok(change(&read.head)),
            false => Err(Trouble::Fenced(read.head.holder())),
        })
        .await
    }

    /// All writes of a journal, to its seal or to the first that is not there.
    async fn writes(&self, token: u64) -> Result<(Vec<Vec<u8>>, bool)> {
        let mut all = Vec::new();
        loop {
            let next = all.len() as u64 + 1;
            let batch: Vec<_> = stream::iter(next..next + READS as u64)
                .map(|number| async move { self.client.get(&write_key(token, number)).await })
                .buffered(READS)
                .try_collect()
                .await?;
            for object in batch {
                match object {
                    Some(object) if object.bytes == SEAL => return Ok((all, true)),
                    Some(object) => all.push(object.bytes),
                    None => return Ok((all, false)),
                }
            }
        }
    }

    /// Makes sure that nothing is appended to a journal any more.
    async fn seal(&self, token: u64) -> Result<()> {
        loop {
            let (writes, sealed) = self.writes(token).await?;
            let end = write_key(token, writes.len() as u64 + 1);
            if sealed || self.client.put(&end, SEAL.to_vec(), Put::New).await? {
                return Ok(());
            }
        }
    }

    /// Removes what the head does not name any more, but for seals. What stays behind after a crash is in nobody's way.
    async fn sweep(&self, journals: &[u64], snapshots: &[String]) {
        for token in journals {
            let count = self.writes(*token).await.map_or(0, |(writes, _)| writes.len() as u64);
            // From the end: what is left after a crash in the middle is still found from its beginning.
            for number in (1..=count).rev() {
                let _ = self.client.delete(&write_key(*token, number)).await;
            }
        }
        for name in snapshots {
            let _ = self.client.delete(&snapshot_key(name)).await;
        }
    }
}

fn write_key(token: u64, number: u64) -> String {
    format!(".journal/{token}/{number:08}")
}

fn snapshot_key(name: &str) -> String {
    format!(".snapshots/{name}.json")
}

fn kept(read: &Read) -> Option<Kept> {
    let lock = read.head.lock.clone()?;
    // The server's times have no fractions of a second.
    let is_over = read.age >= Duration::from_millis(lock.lease_ms) + Duration::from_secs(1);
    Some(Kept { id: lock.id, holder: lock.holder, is_over })
}

#[async_trait]
impl Server for S3 {
    fn place(&self) -> PathBuf {
        self.client.place().into()
    }

    async fn load(&self) -> Result<Stored> {
        loop {
            let before = self.head().await?;
            let mut stored = Stored::default();
            let mut gone = false;
            if let Some(shot) = &before.head.snapshot {
                let object = self.client.get(&snapshot_key(&shot.name)).await?;
                gone = object.is_none();
                stored.snapshot = object.map(|object| object.bytes);
            }
            for token in &before.head.journals {
                let (writes, _) = self.writes(*token).await?;
                if !writes.is_empty() {
                    stored.journal.get_or_insert_default().extend(writes.concat());
                }
            }
            let after = self.head().await?;
            // Otherwise a run ended meanwhile, and what was read may not fit together.
            if after.head.snapshot == before.head.snapshot && after.head.journals == before.head.journals {
                if gone {
                    let place = self.place().display().to_string();
                    let why = "the snapshot that it names is not there".to_owned();
                    return Err(Trouble::Final(StoreError::Remote { doing: "read", place, why, hint: None }));
                }
                return Ok(stored);
            }
        }
    }

    async fn backups(&self) -> Result<Vec<Old>> {
        let head = self.head().await?.head;
        let read = |shot: Shot| async move {
            let object = self.client.get(&snapshot_key(&shot.name)).await?;
            let written = SystemTime::UNIX_EPOCH + Duration::from_secs(shot.written);
            Ok(object.map(|object| Old { serial: shot.serial, written, bytes: object.bytes }))
        };
        let all: Vec<Option<Old>> =
            stream::iter(head.backups).map(read).buffered(READS).try_collect().await?;
        Ok(all.into_iter().flatten().collect())
    }

    async fn lock(&self) -> Result<Option<Kept>> {
        Ok(kept(&self.head().await?))
    }

    async fn take(&self, asking: &Asking<'_>) -> Result<Taking> {
        let mut outcome = None;
        let mut sealed = Vec::new();
        let read = self
            .change(|read| {
                let kept = kept(read);
                sealed.clear();
                let before = match kept {
                    // By a try whose answer did not come, or that was broken off while it sealed.
                    Some(kept) if kept.id == asking.id => {
                        sealed.clone_from(&read.head.unsealed);
                        outcome = Some(Taking::Taken { token: read.head.token, before: None });
                        return Ok(None);
                    }
                    Some(kept) if !(asking.may_take)(&kept) => {
                        outcome = Some(Taking::Held(kept.holder));
                        return Ok(None);
                    }
                    kept => kept.map(|kept| kept.holder),
                };
                let mut head = read.head.clone();
                if before.is_some() {
                    // What it had still to seal itself, and its own.
                    head.unsealed.push(head.token);
                }
                head.token += 1;
                let lease_ms = u64::try_from(asking.lease.as_millis()).unwrap_or(u64::MAX);
                head.lock = Some(Lock { id: asking.id.into(), holder: asking.me.clone(), lease_ms, beat: 0 });
                sealed.clone_from(&head.unsealed);
                outcome = Some(Taking::Taken { token: head.token, before });
                Ok(Some(head))
            })
            .await?;
        if !sealed.is_empty() {
            for token in &sealed {
                self.seal(*token).await?;
            }
            self.change_mine(read.head.token, |head| Some(Head { unsealed: Vec::new(), ..head.clone() }))
                .await?;
        }
        outcome.ok_or(Trouble::Fenced(None))
    }

    async fn renew(&self, token: u64) -> Result<()> {
        self.change_mine(token, |head| {
            let mut head = head.clone();
            if let Some(lock) = &mut head.lock {
                lock.beat += 1;
            }
            Some(head)
        })
        .await
        .map(drop)
    }

    async fn give_back(&self, token: u64) -> Result<()> {
        let own = |head: &Head| Some(Head { lock: None, ..head.clone() });
        match self.change_mine(token, own).await {
            // Given back already, or not ours to give.
            Err(Trouble::Fenced(_)) | Ok(_) => Ok(()),
            Err(other) => Err(other),
        }
    }

    async fn begin(&self, token: u64, anew: bool) -> Result<u64> {
        let mut dropped = Vec::new();
        self.change_mine(token, |head| {
            let mut head = head.clone();
            if anew {
                dropped = std::mem::take(&mut head.journals);
                dropped.retain(|t| *t != token);
            }
            if !head.journals.contains(&token) {
                head.journals.push(token);
            }
            Some(head)
        })
        .await?;
        self.sweep(&dropped, &[]).await;
        Ok(self.writes(token).await?.0.len() as u64 + 1)
    }

    async fn append(&self, token: u64, number: u64, bytes: &[u8]) -> Result<()> {
        let key = write_key(token, number);
        if self.client.put(&key, bytes.to_vec(), Put::New).await? {
            return Ok(());
        }
        // By a try whose answer did not come; or somebody's seal.
        match self.client.get(&key).await? {
            Some(object) if object.bytes == bytes => Ok(()),
            _ => Err(Trouble::Fenced(self.head().await?.head.holder())),
        }
    }

    async fn replace(&self, token: u64, name: &str, bytes: &[u8], old: u64) -> Result<()> {
        self.client.put(&snapshot_key(name), bytes.to_vec(), Put::Any).await?;
        let (mut journals, mut snapshots) = (Vec::new(), Vec::new());
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_secs());
        let changed = self
            .change_mine(token, |head| {
                let mut head = head.clone();
                if head.snapshot.as_ref().is_some_and(|shot| shot.name == name) {
                    return None;
                }
                if let Some(shot) = head.snapshot.take() {
                    snapshots =
                        head.backups.iter().filter(|b| b.serial == old).map(|b| b.name.clone()).collect();
                    head.backups.retain(|b| b.serial != old);
                    head.backups.insert(0, Shot { serial: old, ..shot });
                    snapshots.extend(head.backups.drain(BACKUPS.min(head.backups.len())..).map(|b| b.name));
                }
                head.snapshot = Some(Shot { name: name.into(), serial: old, written: now });
                journals = std::mem::take(&mut head.journals);
                Some(head)
            })
            .await;
        if matches!(changed, Err(Trouble::Fenced(_))) {
            let _ = self.client.delete(&snapshot_key(name)).await;
        }
        changed?;
        self.sweep(&journals, &snapshots).await;
        Ok(())
    }

    async fn drop_journal(&self, token: u64) -> Result<()> {
        let mut journals = Vec::new();
        self.change_mine(token, |head| {
            journals = head.journals.clone();
            Some(Head { journals: Vec::new(), ..head.clone() })
        })
        .await?;
        self.sweep(&journals, &[]).await;
        Ok(())
    }
}
