//! What was decided for each instance, before it becomes changes and operations.

use std::time::Duration;

use grappe_provider::AnyResource;
use grappe_state::{Object, Pending, Timeouts};
use grappe_value::Value;
use grappe_value::addr::InstanceAddr;

use crate::decide::Verdict;
use crate::model::{ProviderKey, Reason, StepOp};
use crate::walk::NodeId;
use crate::world::Prior;

/// An instance of the configuration.
pub(crate) struct Decided<'a> {
    pub(crate) addr: InstanceAddr,
    pub(crate) node: NodeId,
    pub(crate) provider: ProviderKey,
    /// Whether only a `check` block wants it.
    pub(crate) lenient: bool,
    /// What its block says.
    pub(crate) timeouts: Timeouts,
    pub(crate) what: Decision<'a>,
}

/// What happens to it.
pub(crate) enum Decision<'a> {
    /// A managed object.
    Managed(Box<Managed<'a>>),
    /// An ephemeral resource: it is opened while applying where something needs it.
    Ephemeral,
    /// A data source that was read, with what it gave.
    Data(Value),
    /// A data source that is read while applying.
    Deferred {
        /// Its arguments.
        config: Value,
        /// What it will be, as far as it is known.
        planned: Value,
        reason: Reason,
    },
}

/// A managed object of the configuration.
pub(crate) struct Managed<'a> {
    pub(crate) kind: &'a dyn AnyResource,
    /// The object in the state and its address there.
    pub(crate) object: Option<(&'a InstanceAddr, &'a Object)>,
    pub(crate) prior: Prior,
    pub(crate) verdict: Verdict,
    pub(crate) reason: Option<Reason>,
    pub(crate) planned: Value,
    /// An interrupted creation to go on with.
    pub(crate) resume: Option<&'a Pending>,
    /// An interrupted creation to clean up first: it made something else.
    pub(crate) abandon: Option<&'a Pending>,
    /// What its block says.
    pub(crate) create_before_destroy: bool,
    /// The steps after its creation that are to be done.
    pub(crate) steps: Vec<StepOp>,
    /// How many its block has.
    pub(crate) all_steps: u32,
}

/// An object that goes.
pub(crate) struct Gone<'a> {
    pub(crate) addr: InstanceAddr,
    pub(crate) deposed: Option<&'a str>,
    pub(crate) provider: ProviderKey,
    pub(crate) timeouts: Timeouts,
    pub(crate) reason: Reason,
    pub(crate) how: Going<'a>,
}

/// How an object goes.
pub(crate) enum Going<'a> {
    /// It is deleted, after these steps.
    Delete(&'a Object, Value, Vec<StepOp>),
    /// The state forgets it: it is gone already, or the configuration says that it stays as it is.
    Forget(Value),
    /// What an interrupted creation left is found and deleted.
    Adopt(&'a Pending, Value),
}

impl Gone<'_> {
    /// Whether it is there and stays, and only the state forgets it.
    pub(crate) fn is_let_go(&self) -> bool {
        matches!(self.how, Going::Forget(_)) && self.reason != Reason::GoneOutside
    }
}

impl<'a> Decided<'a> {
    /// Whether something is done to it in the world when the plan is applied.
    pub(crate) fn acts(&self) -> bool {
        match &self.what {
            Decision::Managed(m) => {
                !matches!(m.verdict, Verdict::NoOp | Verdict::Record) || !m.steps.is_empty()
            }
            Decision::Data(_) | Decision::Ephemeral => false,
            Decision::Deferred { .. } => true,
        }
    }

    /// The managed object.
    pub(crate) fn managed(&self) -> Option<&Managed<'a>> {
        match &self.what {
            Decision::Managed(m) => Some(m),
            _ => None,
        }
    }
}

/// Estimates from what the state remembers.
pub(crate) struct Estimates {
    by_type: std::collections::BTreeMap<std::sync::Arc<str>, Duration>,
}

impl Estimates {
    /// What an operation takes of which nothing is remembered.
    const UNKNOWN: Duration = Duration::from_secs(1);

    /// The mean of each type's remembered durations.
    pub(crate) fn new<'o>(objects: impl Iterator<Item = (&'o InstanceAddr, &'o Object)>) -> Self {
        let mut sums = std::collections::BTreeMap::new();
        for (addr, object) in objects {
            if let Some(ms) = object.duration_ms {
                let sum: &mut (u64, u64) = sums.entry(addr.resource.ty.clone()).or_default();
                *sum = (sum.0.saturating_add(ms), sum.1 + 1);
            }
        }
        let mean = |(ty, (sum, n)): (_, (u64, u64))| (ty, Duration::from_millis(sum / n.max(1)));
        Estimates { by_type: sums.into_iter().map(mean).collect() }
    }

    /// Of an operation on an object: its own duration, else its type's.
    pub(crate) fn of(&self, addr: &InstanceAddr, object: Option<&Object>) -> Duration {
        match object.and_then(|o| o.duration_ms) {
            Some(ms) => Duration::from_millis(ms),
            None => self.by_type.get(&addr.resource.ty).copied().unwrap_or(Self::UNKNOWN),
        }
    }
}
