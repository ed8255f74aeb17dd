//! What a resource may ask of the run that it is part of.

use std::marker::PhantomData;
use std::sync::Arc;

use futures::future::BoxFuture;
use grappe_value::addr::InstanceAddr;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use tokio_util::sync::CancellationToken;

use crate::Fault;

/// Which stream of a remote command a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Its standard output.
    Stdout,
    /// Its standard error.
    Stderr,
}

/// The run's side of a [`Context`]: the engine implements it.
pub trait Run: Send + Sync {
    /// Says what is being done now: `waiting for SSH`.
    fn progress(&self, step: &str);
    /// Passes on a line that a remote command printed.
    fn output(&self, stream: Stream, line: &str);
    /// Journals what exists by now; returns once it is on disk.
    fn checkpoint(&self, state: Json) -> BoxFuture<'_, Result<(), Fault>>;
}

/// What one operation on one object may use.
pub struct Context<C> {
    pub(crate) client: Arc<C>,
    pub(crate) inner: crate::AnyContext,
    pub(crate) _client: PhantomData<C>,
}

impl<C> Context<C> {
    /// The provider's client.
    #[must_use]
    pub fn client(&self) -> &C {
        &self.client
    }

    /// The client, to be kept by a task of its own.
    #[must_use]
    pub fn client_arc(&self) -> Arc<C> {
        self.client.clone()
    }

    /// The object's address in the plan.
    #[must_use]
    pub fn addr(&self) -> &InstanceAddr {
        &self.inner.addr
    }

    /// The idempotency key of this object: a UUID, made before its creation was first tried and the same in every later try. To be planted in
    /// what is created.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.inner.key
    }

    /// Says what is being done now: `waiting for SSH`. No secret in it.
    pub fn progress(&self, step: impl AsRef<str>) {
        self.inner.run.progress(step.as_ref());
    }

    /// Passes on a line that a remote command printed.
    pub fn output(&self, stream: Stream, line: &str) {
        self.inner.run.output(stream, line);
    }

    /// The run, to pass progress and output from a callback.
    #[must_use]
    pub fn run(&self) -> Arc<dyn Run> {
        self.inner.run.clone()
    }

    /// Puts on disk what exists by now, before the next step: an id as soon as it is known.
    ///
    /// # Errors
    /// Where the journal can't be written; the operation must stop then.
    pub async fn checkpoint<S: Serialize>(&self, state: &S) -> Result<(), Fault> {
        let json = serde_json::to_value(state)
            .map_err(|e| Fault::permanent("the checkpoint can't be written as JSON").source(e))?;
        self.inner.run.checkpoint(json).await
    }

    /// What an interrupted run of the same creation checkpointed last.
    #[must_use]
    pub fn resumed<S: DeserializeOwned>(&self) -> Option<S> {
        self.inner.resumed.clone().and_then(|json| serde_json::from_value(json).ok())
    }

    /// Whether the object with this id goes in the same run, a machine or a cluster: what is on it need not be undone, it dies with it. False for
    /// a machine that is only left, as by a `host_machine`.
    #[must_use]
    pub fn goes(&self, id: &str) -> bool {
        self.inner.going.contains(id)
    }

    /// Whether it is a plan that asks: [`crate::Resource::adopt`] changes nothing then, not even to clear up behind a killed run. Another run may be at
    /// work meanwhile.
    #[must_use]
    pub fn only_looks(&self) -> bool {
        self.inner.only_looks
    }

    /// Resolves when the user asked to stop now: waits inside an operation end early then.
    pub async fn cancelled(&self) {
        self.inner.cancel.cancelled().await;
    }

    /// The token behind [`Context::cancelled`].
    #[must_use]
    pub fn cancel_token(&self) -> &CancellationToken {
        &self.inner.cancel
    }
}
