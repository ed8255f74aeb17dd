//! The client of all providers that work on hosts.

use std::path::{Path, PathBuf};
use std::time::Duration;

use grappe_provider::{Context, Fault};
use grappe_ssh::{Endpoint, Exec, Pool};
use tokio::time::Instant;

use crate::{Connection, Session, fault};

/// How long a machine must be silent to be taken for dead by those who would only tidy up on it.
const SILENCE: Duration = Duration::from_secs(10);
/// Between two tries.
const PAUSE: Duration = Duration::from_secs(1);

/// Connections to hosts, for one run.
#[derive(Clone)]
pub struct Hosts {
    pool: Pool,
    plan_dir: PathBuf,
}

impl Hosts {
    /// Over a pool that other providers share; relative key paths start at `plan_dir`.
    #[must_use]
    pub fn new(pool: Pool, plan_dir: impl Into<PathBuf>) -> Self {
        Hosts { pool, plan_dir: plan_dir.into() }
    }

    /// The connections.
    #[must_use]
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Where relative paths in arguments start.
    #[must_use]
    pub fn plan_dir(&self) -> &Path {
        &self.plan_dir
    }

    /// Where SSH finds a host.
    #[must_use]
    pub fn endpoint(&self, connection: &Connection) -> Endpoint {
        connection.endpoint(&self.plan_dir)
    }

    /// Connects, or takes the connection there is, for one operation.
    ///
    /// # Errors
    /// Transient when the host does not answer; permanent when it is not the expected one or does not let us in.
    pub async fn session<C>(&self, ctx: &Context<C>, connection: &Connection) -> Result<Session, Fault> {
        let endpoint = self.endpoint(connection);
        let host = tokio::select! {
            host = self.pool.host(&endpoint) => host.map_err(fault)?,
            () = ctx.cancelled() => return Err(Session::stopped()),
        };
        Ok(Session::new(host.with_sudo(connection.uses_sudo()), ctx))
    }

    /// A session to take back what is on a host. `None` where nothing is there to be taken back: the machine goes in the same run, is
    /// another one by now, or is dead, which is what one is taken for that stays silent for a while.
    ///
    /// # Errors
    /// As [`Hosts::session`], permanent ones only.
    pub async fn session_to_leave<C>(
        &self,
        ctx: &Context<C>,
        connection: &Connection,
    ) -> Result<Option<Session>, Fault> {
        if connection.goes(ctx) {
            return Ok(None);
        }
        let deadline = Instant::now() + SILENCE;
        loop {
            let fault = match self.session(ctx, connection).await {
                // A connection that is kept says nothing of a machine that has died since.
                Ok(session) => match session.exec(Exec::new("true").timeout(SILENCE)).await {
                    Ok(_) => return Ok(Some(session)),
                    Err(fault) => fault,
                },
                Err(fault) => fault,
            };
            if is_another_machine(&fault) || (fault.is_transient() && Instant::now() > deadline) {
                ctx.progress(format!("taken for dead, what was on it is left there: {}", fault.summary));
                return Ok(None);
            }
            if !fault.is_transient() {
                return Err(fault);
            }
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                () = ctx.cancelled() => return Err(Session::stopped()),
            }
        }
    }
}

/// Whether another machine stands at the address by now: its host key is not the one that is known. Of what was on the machine
/// before nothing is there to be taken back.
#[must_use]
pub fn is_another_machine(fault: &Fault) -> bool {
    fault.summary.contains("HOST KEY CHANGED")
}
