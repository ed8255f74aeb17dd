//! States on servers, for teams: PostgreSQL and S3.
//!
//! ```text
//! Session, Ledger (grappe-state) ─► Storage ─► Leased: lease, retries, fencing ─┬─► Postgres
//!                                                                              └─► S3
//! ```
//!
//! A [`server::Server`] is asked for single steps that may be asked for again; [`leased::Leased`] makes a [`grappe_state::Storage`] of it. A lock is
//! a lease: its holder renews it in the background, and who finds one that is over takes it. Each taking counts a token up, and the server itself
//! refuses what is written with an older one. So a run that was frozen for longer than its lease does no harm when it goes on; it is told who has
//! the state now, and begins nothing more.

pub mod leased;
pub mod postgres;
pub mod s3;
pub mod server;
#[cfg(feature = "testing")]
pub mod testing;

pub use leased::Leased;
