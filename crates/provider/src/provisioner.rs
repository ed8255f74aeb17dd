//! What is done on (or for) an object once it exists, or before it goes: the steps of `provisioner` blocks.
//!
//! A provisioner belongs to no provider: it knows the object by the values that the plan gives it alone. The engine runs each step by itself and records
//! that it is done; a step that fails is the one that the next run begins with.

use std::sync::Arc;

use futures::future::BoxFuture;
use grappe_value::addr::InstanceAddr;
use grappe_value::{Schema, Value};
use tokio_util::sync::CancellationToken;

use crate::{Fault, Problem, Run, Setup};

/// What one step may use.
#[derive(Clone)]
pub struct StepContext {
    /// Where the run takes place.
    pub setup: Arc<Setup>,
    /// The run's side: progress and output.
    pub run: Arc<dyn Run>,
    /// The object's address.
    pub addr: InstanceAddr,
    /// Set when the user asked to stop now.
    pub cancel: CancellationToken,
}

/// A kind of step: `local-exec`, `remote-exec`, `file`.
pub trait AnyProvisioner: Send + Sync {
    /// Its name in `provisioner "NAME"`.
    fn name(&self) -> &'static str;

    /// The arguments of its block.
    fn schema(&self) -> &Schema;

    /// The arguments of `connection` blocks; `None` where it reaches no host.
    fn connection(&self) -> Option<&Schema>;

    /// What is wrong with the arguments (or with those of the connection) beyond their schema. Pure; values may be unknown.
    fn validate(&self, config: &Value, connection: Option<&Value>) -> Vec<Problem>;

    /// Does it. Both values are wholly known. It is not tried again: whether it may be, only its author knows.
    fn run<'a>(
        &'a self,
        ctx: StepContext,
        config: &'a Value,
        connection: Option<&'a Value>,
    ) -> BoxFuture<'a, Result<(), Fault>>;
}
