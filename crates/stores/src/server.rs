//! What a server must do to keep a state. Every step may be asked for again, after an answer that did not come: it then does nothing, and says so.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use grappe_state::Holder;
use grappe_state::storage::{StoreError, Stored};

/// Why a step was not done.
#[derive(Debug)]
pub enum Trouble {
    /// It may be, when it is tried again: the connection broke, the server is busy.
    Passing(StoreError),
    /// It will not be.
    Final(StoreError),
    /// The token is an old one.
    Fenced(Option<Holder>),
}

/// A lock as the server keeps it.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Names this taking among all others.
    pub id: String,
    /// Who took it.
    pub holder: Holder,
    /// Whether its lease is over, by the server's clock.
    pub is_over: bool,
}

/// What came of asking for a lock.
#[derive(Debug)]
pub enum Taking {
    /// It was taken; with the token for all writes, and who had it before.
    Taken {
        /// The token: greater than all before it.
        token: u64,
        /// Who had it and did not give it back.
        before: Option<Holder>,
    },
    /// Somebody has it.
    Held(Holder),
}

/// Who asks for a lock.
pub struct Asking<'a> {
    /// Names this asking.
    pub id: &'a str,
    /// Who.
    pub me: &'a Holder,
    /// For how long without a word.
    pub lease: Duration,
    /// Whether the lock of this one may be taken.
    pub may_take: &'a (dyn Fn(&Kept) -> bool + Sync),
}

/// A snapshot of an earlier run.
#[derive(Debug)]
pub struct Old {
    /// Its serial.
    pub serial: u64,
    /// When it was written.
    pub written: SystemTime,
    /// What it holds.
    pub bytes: Vec<u8>,
}

/// A server that keeps a state.
#[async_trait]
pub trait Server: std::fmt::Debug + Send + Sync + 'static {
    /// Where the state is, for people, without anything secret.
    fn place(&self) -> PathBuf;

    /// What is there.
    async fn load(&self) -> Result<Stored, Trouble>;

    /// The last snapshots of earlier runs, newest first.
    async fn backups(&self) -> Result<Vec<Old>, Trouble>;

    /// The lock, where somebody has it.
    async fn lock(&self) -> Result<Option<Kept>, Trouble>;

    /// Takes the lock. When it returns, nothing that an earlier holder writes comes into what is read from now on.
    async fn take(&self, asking: &Asking<'_>) -> Result<Taking, Trouble>;

    /// Says that its holder lives.
    async fn renew(&self, token: u64) -> Result<(), Trouble>;

    /// Gives it back.
    async fn give_back(&self, token: u64) -> Result<(), Trouble>;

    /// Makes ready for appending behind what is there, or in its place. Gives the number of the first write.
    async fn begin(&self, token: u64, anew: bool) -> Result<u64, Trouble>;

    /// Appends to the journal the write of this number.
    async fn append(&self, token: u64, number: u64, bytes: &[u8]) -> Result<(), Trouble>;

    /// Puts the snapshot of this name in place, keeps the one before it under the serial `old`, and takes the journal away, all at once.
    async fn replace(&self, token: u64, name: &str, bytes: &[u8], old: u64) -> Result<(), Trouble>;

    /// Takes the journal away.
    async fn drop_journal(&self, token: u64) -> Result<(), Trouble>;
}
