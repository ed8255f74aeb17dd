//! One pooled, multiplexed SSH connection a host, verified, with deadlines.
//!
//! [`Pool`] holds at most one connection per [`Endpoint`] (address, port, user, bastion). [`Pool::host`] hands out a
//! cheap [`Host`] on it; everything on a host is [`Host::exec`], which runs a POSIX sh script in a channel of its own,
//! and the file operations ([`Host::read_file`], [`Host::write_file`], …) are small scripts over `exec`, so that they
//! work under sudo and need no SFTP subsystem.
//!
//! ```no_run
//! # async fn f() -> Result<(), Box<dyn std::error::Error>> {
//! use grappe_ssh::{Auth, Endpoint, Exec, HostKeyCheck, Pool};
//! let pool = Pool::new();
//! let host = pool.host(&Endpoint::new("192.0.2.7", "root", Auth::agent(), HostKeyCheck::FirstUse)).await?;
//! let kernel = host.exec(Exec::new("uname -r")).await?.check("read the kernel's version")?;
//! # Ok(()) }
//! ```
//!
//! # What is promised
//! - **Few connections.** 200 commands on a host are one TCP connection with at most [`MAX_CHANNELS`] channels at once
//!   (sshd's `MaxSessions` is 10; where a host allows fewer, the limit shrinks to what it grants). At most
//!   [`MAX_HANDSHAKES`] handshakes run at once in a pool (sshd's `MaxStartups` starts to refuse at 10).
//! - **Honest retries.** A connection that died is dialled again when a command certainly did not start; when it may
//!   have run, the caller gets a transient error that says so ([`SshError::may_have_run`]).
//! - **Verified hosts.** See [`HostKeyCheck`]. There is no way to switch the check off.
//! - **Deadlines.** Dial, handshake, login and commands all end: see [`Endpoint::connect_timeout`] and
//!   [`Exec::timeout`].
//! - **No secrets in sight.** Private keys are read when a connection is made and dropped after; they are in no `Debug`
//!   and no log. File content goes by stdin, never in a command line, where `ps` would show it.
//!
//! # On the wire
//! The command sent to sshd is `timeout -k 2 SECONDS sh -c 'SCRIPT'`, under sudo `sudo -n -- timeout -k 2 SECONDS sh -c
//! 'SCRIPT'`, with `'` in the script written as `'\''`: the login shell need not be a POSIX one. [`Exec::private`] sends
//! `… sh -c 'eval "$(cat)"'` and the script by stdin.

mod auth;
mod connect;
mod endpoint;
mod error;
mod exec;
mod files;
mod host;
mod hostkey;
mod known_hosts;
mod pool;
#[cfg(feature = "testing")]
pub mod testing;

pub use endpoint::{Auth, Endpoint, HostKeyCheck, Secret};
pub use error::{Cause, ErrorKind, KeyFileProblem, SshError};
pub use exec::{CommandError, Exec, ExitStatus, OnOutput, Output, StreamKind, quote};
pub use files::{FileStat, RemoteFile, WriteFile};
pub use host::Host;
pub use pool::{Dialer, MAX_CHANNELS, MAX_HANDSHAKES, Pool, Stream};
