//! The client of the kubeadm and kube providers: the run's hosts, and what was learnt about clusters on the way.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::{Mutex, PoisonError};

use grappe_provider::{Context, Fault};
use grappe_provider_host::{Connection, Hosts};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value as Json;

use crate::nodes::Lists;
use crate::places::Places;
use crate::remote::Remote;

/// Hosts, and the control plane of each cluster that answered last.
pub struct Client {
    hosts: Hosts,
    last_healthy: Mutex<HashMap<String, String>>,
    pub(crate) lists: Lists,
    pub(crate) places: Places,
}

impl Client {
    /// Over the hosts of a run.
    pub fn new(hosts: Hosts) -> Self {
        Self { hosts, last_healthy: Mutex::default(), lists: Lists::default(), places: Places::default() }
    }

    /// Connects to a host, as root, for one operation.
    ///
    /// # Errors
    /// Transient when it does not answer; permanent when it is not the expected one or does not let us in.
    pub async fn reach(&self, ctx: &Context<Self>, connection: &Connection) -> Result<Remote, Fault> {
        Ok(Remote::new(self.hosts.session(ctx, connection).await?, ctx.run()))
    }

    /// The hosts of the run.
    pub fn hosts(&self) -> &Hosts {
        &self.hosts
    }

    /// The identity of the control plane of a cluster that answered last.
    pub(crate) fn last_healthy(&self, cluster: &str) -> Option<String> {
        self.last_healthy.lock().unwrap_or_else(PoisonError::into_inner).get(cluster).cloned()
    }

    /// Remembers the control plane that answered.
    pub(crate) fn set_last_healthy(&self, cluster: &str, identity: String) {
        self.last_healthy.lock().unwrap_or_else(PoisonError::into_inner).insert(cluster.into(), identity);
    }
}

/// Whether two connections lead to the same machine.
pub fn same_machine(a: &Connection, b: &Connection) -> bool {
    a.identity() == b.identity() || (&a.address, a.port, &a.bastion) == (&b.address, b.port, &b.bastion)
}

/// A machine that is handed on: the connection, and the very words of it, with nothing filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct Machine {
    words: Json,
    connection: Connection,
}

impl Deref for Machine {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl<'de> Deserialize<'de> for Machine {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let words = Json::deserialize(deserializer)?;
        let connection = Connection::deserialize(&words).map_err(serde::de::Error::custom)?;
        Ok(Self { words, connection })
    }
}

impl Serialize for Machine {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.words.serialize(serializer)
    }
}
