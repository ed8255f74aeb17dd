//! What a run says while it goes on. The lines of `-json` are these events, one a line.
//!
//! ```json
//! {"at":1204,"type":"operation_done","id":7,"addr":"kubeadm_worker.w[1]","action":"create","elapsed":950,"left":0}
//! ```
//!
//! `at` is milliseconds since the run began, as is every duration. No event holds a secret: what remote commands print is masked first
//! (see [`crate::mask`]).

use std::sync::Arc;

use grappe_plan::{OpAction, Operation};
use grappe_provider::Stream;
use serde::Serialize;

use crate::Failure;
use crate::summary::Summary;

/// Where events go. Called from any thread, in the order in which things happened as seen from there; must not block for long.
pub type Sink = Arc<dyn Fn(Event) + Send + Sync>;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Event {
    /// Milliseconds since the run began.
    pub at: u64,
    /// What.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum EventKind {
    /// Somebody else holds the state's lock: it is waited for.
    LockWaiting {
        /// Who, where it is known.
        holder: Option<grappe_state::Holder>,
    },
    /// Something that the user should be told.
    Notice {
        /// In a sentence or two.
        text: String,
    },
    /// A run begins.
    RunStarted {
        /// Which part: planning or applying.
        phase: Phase,
        /// How many operations there are (0 while planning).
        operations: usize,
        /// How long it will probably take, in milliseconds: the critical path (0 while planning).
        expected: u64,
    },
    /// A provider is ready for use.
    ProviderConfigured {
        /// Which configuration: `openstack.west`.
        provider: String,
        /// What every output must say while it is used.
        notice: Option<String>,
    },
    /// Reading begins: once for each round of the planner.
    RefreshStarted {
        /// How many objects are read.
        objects: usize,
        /// How many data sources are read.
        data: usize,
    },
    /// An object or a data source was read.
    Refreshed {
        /// Which.
        addr: String,
        /// Whether it is there. False: somebody else deleted it.
        found: bool,
        /// How long that took.
        elapsed: u64,
    },
    /// The planner came to an end.
    Planned {
        /// How long the planner itself took.
        elapsed: u64,
        /// How many times it asked for something to be read.
        rounds: usize,
    },
    /// An operation begins, or is tried again.
    OperationStarted {
        /// Which.
        #[serde(flatten)]
        op: OpName,
        /// From 1.
        attempt: u32,
    },
    /// What an operation does now.
    Progress {
        /// Which.
        #[serde(flatten)]
        op: OpName,
        /// `waiting for SSH`
        step: String,
    },
    /// A line that a remote command printed.
    Output {
        /// Which.
        #[serde(flatten)]
        op: OpName,
        /// `stdout` or `stderr`
        stream: &'static str,
        /// The line, secrets masked.
        line: String,
    },
    /// An operation failed in a way that may pass: it is tried again.
    OperationRetry {
        /// Which.
        #[serde(flatten)]
        op: OpName,
        /// The try that failed, from 1.
        attempt: u32,
        /// In how long it is tried again.
        after: u64,
        /// What was wrong.
        error: Failure,
    },
    /// A provider answers that it is asked too much: it is asked less from now on, until it bears more.
    Throttled {
        /// Which configuration: `openstack.west`.
        provider: String,
        /// How many calls go on at once from now on.
        most: usize,
        /// For how long none begins.
        after: u64,
    },
    /// An operation succeeded.
    OperationDone {
        /// Which.
        #[serde(flatten)]
        op: OpName,
        /// How long it took, tries and waits between them included.
        elapsed: u64,
        /// How long the rest of the run will probably take.
        left: u64,
    },
    /// An operation failed for good.
    OperationFailed {
        /// Which.
        #[serde(flatten)]
        op: OpName,
        /// How long it took.
        elapsed: u64,
        /// How long the rest of the run will probably take.
        left: u64,
        /// What was wrong.
        error: Failure,
    },
    /// An operation is not tried, because one that it needs failed.
    Skipped {
        /// Which.
        #[serde(flatten)]
        op: OpName,
        /// The address of the one that failed.
        because: String,
    },
    /// The user asked to stop.
    Interrupted {
        /// Now, rather than after what is running.
        hard: bool,
        /// How many operations are running.
        running: usize,
    },
    /// A run ended.
    RunFinished {
        /// How.
        summary: Box<Summary>,
    },
}

/// The two parts of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Reads what exists and works out what to do.
    Plan,
    /// Does it.
    Apply,
}

/// An operation, as events name it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OpName {
    /// Its position in the plan.
    pub id: u32,
    /// Its object.
    pub addr: String,
    /// Whether it is about an object that a newer one takes the place of.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub deposed: bool,
    /// What it does.
    pub action: Verb,
}

impl OpName {
    pub(crate) fn of(op: &Operation) -> Self {
        OpName {
            id: op.id.0,
            addr: op.addr.to_string(),
            deposed: op.object != grappe_plan::ObjectRef::Current,
            action: Verb::of(&op.action),
        }
    }
}

/// What an operation does, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// Creates an object.
    Create,
    /// Changes one in place.
    Update,
    /// Deletes one.
    Delete,
    /// Does a step of a `provisioner` block.
    Provision,
    /// Opens an ephemeral resource.
    Open,
    /// Reads a data source.
    Read,
    /// Writes to the state what was found.
    Record,
    /// Takes an object out of the state.
    Forget,
    /// Does nothing.
    Join,
}

impl Verb {
    pub(crate) fn of(action: &OpAction) -> Self {
        match action {
            OpAction::Create { .. } => Verb::Create,
            OpAction::Update => Verb::Update,
            OpAction::Delete { .. } => Verb::Delete,
            OpAction::Provision(_) => Verb::Provision,
            OpAction::Open => Verb::Open,
            OpAction::Read => Verb::Read,
            OpAction::Record => Verb::Record,
            OpAction::Forget => Verb::Forget,
            OpAction::Join => Verb::Join,
        }
    }

    /// Whether people are told of it.
    #[must_use]
    pub fn is_shown(self) -> bool {
        !matches!(self, Verb::Record | Verb::Open | Verb::Join)
    }
}

pub(crate) fn stream_name(stream: Stream) -> &'static str {
    match stream {
        Stream::Stdout => "stdout",
        Stream::Stderr => "stderr",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::{Failed, Step};
    use serde_json::json;

    #[test]
    fn events_are_flat_lines() {
        let op = OpName { id: 7, addr: "t.a[1]".into(), deposed: false, action: Verb::Create };
        let line = |kind| serde_json::to_value(Event { at: 12, kind }).unwrap();
        assert_eq!(
            line(EventKind::OperationDone { op: op.clone(), elapsed: 950, left: 0 }),
            json!({"at": 12, "type": "operation_done", "id": 7, "addr": "t.a[1]", "action": "create", "elapsed": 950, "left": 0})
        );
        let error = Failure { hint: Some("do".into()), ..Failure::new("bad") };
        let retry =
            EventKind::OperationRetry { op: op.clone(), attempt: 1, after: 1000, error: error.clone() };
        assert_eq!(line(retry)["error"], json!({"summary": "bad", "hint": "do"}));
        let summary = Summary {
            critical_path: vec![Step { op: op.clone(), elapsed: 3 }],
            errors: vec![Failed { op: Some(op), error: error.clone() }, Failed { op: None, error }],
            phases: vec![("apply", 5)],
            ..Summary::default()
        };
        let finished = line(EventKind::RunFinished { summary: Box::new(summary) });
        assert_eq!(finished["summary"]["errors"][0]["addr"], "t.a[1]");
        assert_eq!(finished["summary"]["critical_path"][0]["elapsed"], 3);
        assert_eq!(finished["summary"]["phases"], json!([["apply", 5]]));
    }
}
