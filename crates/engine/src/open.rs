//! Ephemeral resources that are open: each is renewed when its provider asked for that, and closed when the phase is over that it was opened for, however
//! that ended.

use std::sync::Arc;
use std::time::Duration;

use grappe_provider::{AnyContext, AnyEphemeral, Fault, Opened, Registry};
use grappe_value::Value;
use serde_json::Value as Json;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::Failure;
use crate::mask::Mask;
use crate::report::Reporter;

/// How long a provider may take to renew or close something.
const DEADLINE: Duration = Duration::from_secs(60);

/// What is open.
pub(crate) struct Open {
    registry: Arc<Registry>,
    ctx: AnyContext,
    ticket: Json,
    mask: Arc<Mask>,
    reporter: Reporter,
    keeper: Option<JoinHandle<()>>,
}

impl Open {
    /// Keeps what was opened, and gives its value. `ctx` is the one it was opened with.
    pub(crate) fn keep(
        registry: Arc<Registry>,
        ctx: AnyContext,
        opened: Opened<Value>,
        reporter: Reporter,
    ) -> (Self, Value) {
        let Opened { state, ticket, renew_after } = opened;
        let mask = Arc::new(Mask::of([&state]));
        // Who stops what opened it does not stop what keeps it.
        let ctx = AnyContext { cancel: CancellationToken::new(), ..ctx };
        let mut open = Open { registry, ctx, ticket, mask, reporter, keeper: None };
        if let Some(after) = renew_after {
            open.keeper = Some(tokio::spawn(renewals(open.parts(), after)));
        }
        (open, state)
    }

    fn parts(&self) -> Open {
        Open {
            registry: self.registry.clone(),
            ctx: self.ctx.clone(),
            ticket: self.ticket.clone(),
            mask: self.mask.clone(),
            reporter: self.reporter.clone(),
            keeper: None,
        }
    }

    fn resource(&self) -> Option<&dyn AnyEphemeral> {
        self.registry.ephemeral(&self.ctx.addr.resource.ty)
    }

    /// Says what could not be done: nothing else hangs on it.
    fn warn(&self, what: &str, fault: &Fault) {
        let failure = Failure::of_fault(fault, &self.mask);
        self.reporter.notice(format!("{} could not be {what}: {}", self.ctx.addr, failure.summary));
    }

    async fn close(mut self) {
        if let Some(keeper) = self.keeper.take() {
            keeper.abort();
            // It holds nothing that it must give back.
            let _ = keeper.await;
        }
        let Some(resource) = self.resource() else { return };
        match tokio::time::timeout(DEADLINE, resource.close(self.ctx.clone(), &self.ticket)).await {
            Ok(Ok(())) => {}
            Ok(Err(fault)) => self.warn("closed", &fault),
            Err(_) => self.warn("closed", &Fault::transient("its provider did not answer")),
        }
    }
}

/// Closes all, at once.
pub(crate) async fn close(all: Vec<Open>) {
    futures::future::join_all(all.into_iter().map(Open::close)).await;
}

async fn renewals(open: Open, mut after: Duration) {
    loop {
        tokio::time::sleep(after).await;
        let Some(resource) = open.resource() else { return };
        match tokio::time::timeout(DEADLINE, resource.renew(open.ctx.clone(), &open.ticket)).await {
            Ok(Ok(Some(next))) => after = next,
            Ok(Ok(None)) => return,
            Ok(Err(fault)) => return open.warn("renewed", &fault),
            Err(_) => return open.warn("renewed", &Fault::transient("its provider did not answer")),
        }
    }
}
