//! What exists: snapshot, journal, lock, sealing, and the files they live in.
//!
//! ```text
//! Session ── append(Record) ─► Ledger (in memory)          read: snapshot ─► Ledger ◄─ journal
//!                         └──► Writer (thread) ─► journal                 (the same Ledger::apply)
//!         ── close() ────────► snapshot, backups
//! ```
//!
//! A run takes the [`Lock`], opens a [`Session`] on a [`Store`], and appends a [`Record`] for each thing that happens. Memory moves at
//! once, and the answer resolves when the record is on disk: before an effect, its intent is waited for; before an operation goes on, its
//! checkpoint is. A kill at any instant leaves a snapshot and a journal whose replay is what was true. Nothing is ever truncated in place.
//!
//! People who work on a state by hand ([`surgery`]) change a ledger in memory, and [`Session::rewrite`] puts it in place by one rename.
//!
//! Where the bytes lie is a [`Storage`]'s business: a [`Folder`], or what another crate brings.

pub mod data;
mod error;
pub mod files;
mod folder;
pub mod journal;
pub mod ledger;
pub mod lock;
pub mod seal;
mod session;
mod snapshot;
pub mod storage;
mod store;
pub mod surgery;

pub use data::{Action, Object, OutputValue, Pending, State, Timeouts};
pub use error::StateError;
pub use folder::Folder;
pub use journal::Durable;
pub use ledger::{Change, Ledger, Moved, Record, Subject};
pub use lock::{Holder, LockError};
pub use seal::{SealError, Sealer};
pub use session::Session;
pub use storage::{Storage, StoreError};
pub use store::{Lock, Snapshot, Store};
