//! The client of all providers that work on hosts.

use std::path::{Path, PathBuf};

use grappe_provider::{Context, Fault};
use grappe_ssh::{Endpoint, Pool};

use crate::{Connection, Session, fault};

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
}
