//! The head of a state in a bucket.

use grappe_state::Holder;
use serde::{Deserialize, Serialize};

/// The version of its form.
const FORMAT: u32 = 1;

/// What counts, and who holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    /// See [`FORMAT`].
    pub(super) grappe_state_head: u32,
    /// Counts the takings of the lock.
    pub(super) token: u64,
    /// Who has it.
    #[serde(default)]
    pub(super) lock: Option<Lock>,
    /// What exists.
    #[serde(default)]
    pub(super) snapshot: Option<Shot>,
    /// The tokens of the journals that go on from it, in order.
    #[serde(default)]
    pub(super) journals: Vec<u64>,
    /// The tokens of those whose holders may still write: whoever has the lock seals them before reading.
    #[serde(default)]
    pub(super) unsealed: Vec<u64>,
    /// Earlier snapshots, newest first.
    #[serde(default)]
    pub(super) backups: Vec<Shot>,
}

/// A lock that is held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Lock {
    pub(super) id: String,
    pub(super) holder: Holder,
    pub(super) lease_ms: u64,
    /// Counts renewals: no two heads are alike.
    pub(super) beat: u64,
}

/// A snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Shot {
    pub(super) name: String,
    /// Its serial, once it is an earlier one.
    pub(super) serial: u64,
    /// In seconds since 1970.
    pub(super) written: u64,
}

impl Default for Head {
    fn default() -> Self {
        Head {
            grappe_state_head: FORMAT,
            token: 0,
            lock: None,
            snapshot: None,
            journals: Vec::new(),
            unsealed: Vec::new(),
            backups: Vec::new(),
        }
    }
}

impl Head {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let json: serde_json::Value =
            serde_json::from_slice(bytes).map_err(|_| "it is not a state of grappe".to_owned())?;
        if json["terraform_version"].is_string() {
            return Err(
                "it is a state of Terraform (\"grappe state import-terraform\" takes over what it holds)"
                    .into(),
            );
        }
        match json["grappe_state_head"].as_u64() {
            Some(format) if format > u64::from(FORMAT) => {
                Err(format!("it was written by a newer grappe (format {format}; this one knows {FORMAT})"))
            }
            Some(_) => serde_json::from_value(json).map_err(|e| format!("it is damaged: {e}")),
            None => Err("it is not a state of grappe".into()),
        }
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    pub(super) fn is_held_by(&self, token: u64) -> bool {
        self.token == token && self.lock.is_some()
    }

    pub(super) fn holder(&self) -> Option<Holder> {
        self.lock.as_ref().map(|lock| lock.holder.clone())
    }
}
