//! Why something can't be sealed or opened, and what to do about it.

use crate::files::FileError;

/// Why something can't be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// There is no key, and what must be opened was sealed with one.
    #[error("there is no key to open the sealed values (they were sealed with key {want})")]
    NoKey {
        /// The id of the key that is needed.
        want: String,
        /// Where a key was looked for.
        looked: String,
    },
    /// It was sealed with another key.
    #[error("the values are sealed with key {want}, and the key at hand ({from}) is {have}")]
    OtherKey {
        /// The id of the key that is needed.
        want: String,
        /// The id of the key at hand.
        have: String,
        /// Where that came from.
        from: String,
    },
    /// It was sealed with a passphrase, and there is a key.
    #[error("the values are sealed with a passphrase (key {want}), and what is at hand ({from}) is a key")]
    NeedsPassphrase {
        /// The id of the key that is made of the passphrase.
        want: String,
        /// Where the key at hand came from.
        from: String,
    },
    /// It was sealed with a key, and there is a passphrase.
    #[error("the values are sealed with key {want}, and what is at hand ({from}) is a passphrase")]
    NeedsKey {
        /// The id of the key that is needed.
        want: String,
        /// Where the passphrase at hand came from.
        from: String,
    },
    /// It was sealed with another passphrase.
    #[error("the values are sealed with another passphrase than the one at hand ({from})")]
    OtherPassphrase {
        /// Where the passphrase at hand came from.
        from: String,
    },
    /// The key at hand is not 32 bytes in base64.
    #[error("{from} holds no key: it must be 32 bytes in base64")]
    BadKey {
        /// Where it came from.
        from: String,
    },
    /// The passphrase at hand is none.
    #[error("{from} holds no passphrase: it is empty or missing")]
    NoPassphrase {
        /// Where it was looked for.
        from: String,
    },
    /// The command that gives the key failed.
    #[error("the command for the key (GRAPPE_STATE_KEY_COMMAND) {how}{}", said(.stderr))]
    Command {
        /// How it ended.
        how: String,
        /// What it said.
        stderr: String,
    },
    /// What is sealed was changed or cut.
    #[error("a sealed value is damaged: it was changed after it was sealed, or cut")]
    Damaged,
    /// It was sealed by a newer program.
    #[error("a value is sealed in a way that this program does not know ({0}): a newer grappe wrote it")]
    Newer(String),
    /// Something must be kept, and there is nothing to seal it with.
    #[error("it holds sensitive values, and there is no key to seal them with ({0})")]
    Nothing(String),
    /// The key file can't be read or made.
    #[error(transparent)]
    File(#[from] FileError),
}

fn said(stderr: &str) -> String {
    let text = stderr.trim();
    if text.is_empty() { String::new() } else { format!(": {text}") }
}

/// How a key is given.
const SET: &str = "set GRAPPE_STATE_KEY, GRAPPE_STATE_KEY_FILE or GRAPPE_STATE_KEY_COMMAND, or a passphrase as GRAPPE_STATE_PASSPHRASE";

impl SealError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            SealError::NoKey { want, looked } => Some(format!(
                "bring key {want} from where the state was last written: set GRAPPE_STATE_KEY, GRAPPE_STATE_KEY_FILE or GRAPPE_STATE_KEY_COMMAND, \
                 or copy its key file ({looked} was looked at)"
            )),
            SealError::OtherKey { want, .. } | SealError::NeedsKey { want, .. } => Some(format!(
                "set GRAPPE_STATE_KEY, GRAPPE_STATE_KEY_FILE or GRAPPE_STATE_KEY_COMMAND to key {want}; \"grappe state rekey\" changes the key of a state"
            )),
            SealError::NeedsPassphrase { .. } | SealError::OtherPassphrase { .. } => Some(
                "set GRAPPE_STATE_PASSPHRASE or GRAPPE_STATE_PASSPHRASE_FILE as it was when the state was last written; \"grappe state rekey\" \
                 changes the key of a state"
                    .into(),
            ),
            SealError::BadKey { .. } => Some("a new key: head -c 32 /dev/urandom | base64".into()),
            SealError::NoPassphrase { .. } => Some("write one of several words, and keep it".into()),
            SealError::Command { .. } => {
                Some("it is run by sh, and what it prints must be the key: 32 bytes in base64".into())
            }
            SealError::Damaged => Some("restore the file from a backup".into()),
            SealError::Newer(_) => Some("use the grappe that wrote it, or a newer one".into()),
            SealError::Nothing(_) => Some(SET.into()),
            SealError::File(e) => e.hint(),
        }
    }

    /// Whether another key might open it.
    pub(super) fn is_key(&self) -> bool {
        matches!(
            self,
            SealError::NoKey { .. }
                | SealError::OtherKey { .. }
                | SealError::NeedsKey { .. }
                | SealError::NeedsPassphrase { .. }
                | SealError::OtherPassphrase { .. }
        )
    }
}
