//! What can go wrong between us and a host, sorted by whether trying again can help.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Whether trying again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The network or the host may come back: refused, timeout, reset, no route, connection lost.
    Transient,
    /// It fails again until somebody changes something: login refused, host key changed, key file unusable.
    Permanent,
}

/// An SSH failure: what was being done (with the host's name), why it failed, and what lies under it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{context}: {cause}")]
pub struct SshError {
    context: String,
    cause: Cause,
    #[source]
    source: Option<Arc<dyn Error + Send + Sync>>,
}

/// Why an SSH operation failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// The name has no address (yet).
    #[error("the name does not resolve to an address")]
    Resolve,
    /// Nothing listens on the port (yet).
    #[error("connection refused")]
    Refused,
    /// No answer in time.
    #[error("{what} took longer than {}", seconds(.after))]
    Timeout {
        /// What was waited for.
        what: String,
        /// The limit that was reached.
        after: Duration,
    },
    /// The network does not lead there.
    #[error("the host cannot be reached")]
    Unreachable,
    /// The connection ended.
    #[error("the connection was lost{}", if *.may_have_run { "; the command may have run" } else { "" })]
    Lost {
        /// Whether a command had been handed over before.
        may_have_run: bool,
    },
    /// The other side does not speak SSH, or no version or algorithm in common with us.
    #[error("the key exchange failed")]
    Handshake,
    /// The server speaks SSH but hung up before logging in: overloaded, or it penalises us.
    #[error("the server hung up{}", .message.as_ref().map(|m| format!(": {m}")).unwrap_or_default())]
    HungUp {
        /// What the server said.
        message: Option<String>,
    },
    /// None of the offered keys was accepted.
    #[error("login as {user} was refused ({offered})")]
    AuthRefused {
        /// The user that was tried.
        user: String,
        /// What was offered, by fingerprint.
        offered: String,
    },
    /// Nothing to log in with.
    #[error("there is no key to log in with: {0}")]
    NoIdentity(String),
    /// The private key file cannot be used.
    #[error("private key {}: {problem}", .path.display())]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: KeyFileProblem,
    },
    /// The agent does not answer.
    #[error("the SSH agent cannot be used: {0}")]
    Agent(String),
    /// The host shows another key than the expected one.
    #[error("HOST KEY CHANGED: it shows {found}, but {expected} is expected ({origin})")]
    HostKeyChanged {
        /// Fingerprint of the expected key.
        expected: String,
        /// Fingerprint of the key the host showed.
        found: String,
        /// Where the expectation comes from (file and line, or the pin).
        origin: String,
    },
    /// The host's key is in no known_hosts file.
    #[error("the host key {found} is not known ({searched})")]
    HostKeyUnknown {
        /// Fingerprint of the key the host showed.
        found: String,
        /// Where it was looked for.
        searched: String,
    },
    /// The host shows a key that is marked `@revoked`.
    #[error("the host key {found} is revoked ({origin})")]
    HostKeyRevoked {
        /// Fingerprint of the key the host showed.
        found: String,
        /// File and line of the mark.
        origin: String,
    },
    /// The pin or the known_hosts file cannot be read.
    #[error("{0}")]
    HostKeyConfig(String),
    /// The host does not give us a channel or does not start the command.
    #[error("the host refuses to run commands: {0}")]
    ChannelRefused(String),
    /// sudo wants a password or does not know the user.
    #[error("sudo refused: {0}")]
    SudoRefused(String),
    /// The request makes no sense (a path with a NUL, a script too long).
    #[error("{0}")]
    Invalid(String),
    /// A file operation failed on the host.
    #[error("{0}")]
    Remote(String),
}

/// What is wrong with a private key file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyFileProblem {
    /// Missing, or not readable by us.
    #[error("cannot be read ({0})")]
    Unreadable(String),
    /// Others may read it.
    #[error("is readable by others (mode {0:04o})")]
    TooOpen(u32),
    /// It needs a passphrase.
    #[error("is encrypted with a passphrase")]
    Encrypted,
    /// Not a private key, or of a kind we do not know.
    #[error("is not a private key that can be used ({0})")]
    Unusable(String),
}

impl SshError {
    pub(crate) fn new(context: impl fmt::Display, cause: Cause) -> Self {
        SshError { context: context.to_string(), cause, source: None }
    }

    pub(crate) fn with_source(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// Sorts an I/O error of dialling.
    pub(crate) fn dial(context: impl fmt::Display, error: io::Error) -> Self {
        use io::ErrorKind as K;
        let cause = match error.kind() {
            K::ConnectionRefused => Cause::Refused,
            K::ConnectionReset | K::ConnectionAborted | K::BrokenPipe | K::UnexpectedEof => {
                Cause::HungUp { message: None }
            }
            _ => Cause::Unreachable,
        };
        SshError::new(context, cause).with_source(error)
    }

    /// Why it failed.
    pub fn cause(&self) -> &Cause {
        &self.cause
    }

    /// Whether trying again can help.
    pub fn kind(&self) -> ErrorKind {
        match self.cause {
            Cause::Resolve
            | Cause::Refused
            | Cause::Timeout { .. }
            | Cause::Unreachable
            | Cause::Lost { .. }
            | Cause::HungUp { .. } => ErrorKind::Transient,
            _ => ErrorKind::Permanent,
        }
    }

    /// Whether trying again can help.
    pub fn is_transient(&self) -> bool {
        self.kind() == ErrorKind::Transient
    }

    /// Whether the command had been handed to the host when this happened, so that it may have had its effect.
    pub fn may_have_run(&self) -> bool {
        match &self.cause {
            Cause::Lost { may_have_run } => *may_have_run,
            Cause::Timeout { what, .. } => what == crate::exec::TIMEOUT_WHAT,
            _ => false,
        }
    }

    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match &self.cause {
            Cause::Resolve => "check the address, or wait until its DNS record is published".into(),
            Cause::Refused => "the host may still be starting; check the port and that sshd runs".into(),
            Cause::Timeout { what, .. } if what == crate::exec::TIMEOUT_WHAT => {
                "the host stops the command, but it may have done its work, or half of it".into()
            }
            Cause::Timeout { .. } | Cause::Unreachable => {
                "check the address, the route (is a bastion needed?) and the firewall or security group on TCP 22".into()
            }
            Cause::HungUp { .. } => {
                "sshd limits unauthenticated connections (MaxStartups, PerSourcePenalties): try again in a minute".into()
            }
            Cause::AuthRefused { user, .. } => {
                format!("check that {user} is the image's login user and that the key is in its authorized_keys")
            }
            Cause::NoIdentity(_) => {
                "set private_key_file, or agent = true with a key loaded (ssh-add -l lists them)".into()
            }
            Cause::KeyFile { path, problem } => match problem {
                KeyFileProblem::Unreadable(_) => "check the path and who may read the file".into(),
                KeyFileProblem::TooOpen(_) => format!("chmod 600 {}", path.display()),
                KeyFileProblem::Encrypted => {
                    format!("load it into the agent (ssh-add {}) and set agent = true", path.display())
                }
                KeyFileProblem::Unusable(_) => {
                    "give the private key, not the .pub file; ssh-keygen -y -f FILE must be able to read it".into()
                }
            },
            Cause::Agent(_) => "start ssh-agent and export SSH_AUTH_SOCK, or use private_key_file".into(),
            Cause::HostKeyChanged { .. } => {
                "either the machine was rebuilt (then remove the old key from where it is recorded) or somebody sits \
                 between you and it; compare with the key on the machine's console"
                    .into()
            }
            Cause::HostKeyUnknown { .. } => {
                "compare the fingerprint with the machine's console, then add it with ssh-keyscan, or pin it with host_key"
                    .into()
            }
            Cause::HostKeyRevoked { .. } => "this key must not be trusted any more: give the host a new one".into(),
            Cause::SudoRefused(_) => {
                "allow the user to use sudo with no password (NOPASSWD), or log in as root with sudo = false".into()
            }
            _ => return None,
        })
    }

    /// The whole story in one line: this error and everything under it.
    pub fn report(&self) -> String {
        let mut line = self.to_string();
        let mut under = self.source();
        while let Some(error) = under {
            let text = error.to_string();
            if !line.ends_with(&text) {
                line.push_str(": ");
                line.push_str(&text);
            }
            under = error.source();
        }
        line
    }
}

fn seconds(duration: &Duration) -> String {
    if duration.subsec_millis() == 0 {
        format!("{} s", duration.as_secs())
    } else {
        format!("{:.1} s", duration.as_secs_f64())
    }
}
