//! The connections of a run, at most one per endpoint.

use crate::connect::{self, Connection};
use crate::endpoint::{Endpoint, EndpointKey};
use crate::error::SshError;
use crate::host::Host;
use crate::hostkey::Expectation;
use futures::future::BoxFuture;
use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

/// Commands that run at once on one connection; sshd's `MaxSessions` is 10.
pub const MAX_CHANNELS: usize = 8;
/// Key exchanges that run at once in a pool.
pub const MAX_HANDSHAKES: usize = 20;

/// A byte stream to a host.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for T {}

/// Reaches addresses that TCP does not: simulated hosts, machines behind a hypervisor's channel.
pub trait Dialer: Send + Sync {
    /// Dials, or `None`: not an address of mine.
    fn dial(&self, address: &str, port: u16) -> Option<BoxFuture<'static, io::Result<Box<dyn Stream>>>>;
}

/// Hands out hosts; clones share the connections.
#[derive(Clone, Default)]
pub struct Pool {
    inner: Arc<PoolInner>,
}

impl Pool {
    /// A pool with no connection, that dials by TCP.
    pub fn new() -> Self {
        Pool::default()
    }

    /// Asks `dialer` before dialling by TCP. Dialers are asked in the order they were added; what lies behind a bastion
    /// is dialled by the bastion.
    pub fn add_dialer(&self, dialer: Arc<dyn Dialer>) {
        lock(&self.inner.dialers).push(dialer);
    }

    /// Uses this agent in place of the one at `SSH_AUTH_SOCK`.
    pub fn set_agent_socket(&self, socket: impl Into<PathBuf>) {
        *lock(&self.inner.agent_socket) = Some(socket.into());
    }

    /// A host, connected: over the connection it already has if that lives and its key is one that `endpoint` accepts,
    /// over a new one otherwise.
    ///
    /// # Errors
    /// Everything that [`Cause`](crate::Cause) lists up to the login.
    pub async fn host(&self, endpoint: &Endpoint) -> Result<Host, SshError> {
        let connection = self.inner.verified_connection(endpoint).await?;
        Ok(Host::new(self.inner.clone(), endpoint.clone(), &connection.host_key))
    }

    /// The SSH server's greeting (`SSH-2.0-OpenSSH_…`), without logging in. This is how to wait for a booting machine:
    /// sshd penalises addresses whose logins fail.
    ///
    /// # Errors
    /// As [`Pool::host`], as far as dialling goes.
    pub async fn probe(&self, endpoint: &Endpoint) -> Result<String, SshError> {
        connect::probe(&self.inner, endpoint).await
    }

    /// Closes the connection of `endpoint`, if there is one: its machine is rebooted, rebuilt or gone.
    pub async fn forget(&self, endpoint: &Endpoint) {
        let slot = lock(&self.inner.slots).remove(&endpoint.key());
        if let Some(slot) = slot
            && let Some(connection) = slot.state.lock().await.connection.take()
        {
            connection.close().await;
        }
    }

    /// Closes all connections.
    pub async fn close_all(&self) {
        let slots = std::mem::take(&mut *lock(&self.inner.slots));
        for slot in slots.into_values() {
            if let Some(connection) = slot.state.lock().await.connection.take() {
                connection.close().await;
            }
        }
    }
}

/// What clones of a pool and their hosts share.
pub(crate) struct PoolInner {
    dialers: Mutex<Vec<Arc<dyn Dialer>>>,
    agent_socket: Mutex<Option<PathBuf>>,
    slots: Mutex<HashMap<EndpointKey, Arc<Slot>>>,
    handshakes: Semaphore,
}

impl Default for PoolInner {
    fn default() -> Self {
        PoolInner {
            dialers: Mutex::default(),
            agent_socket: Mutex::default(),
            slots: Mutex::default(),
            handshakes: Semaphore::new(MAX_HANDSHAKES),
        }
    }
}

/// The place of one endpoint's connection.
pub(crate) struct Slot {
    channels: Arc<Semaphore>,
    capacity: AtomicUsize,
    state: tokio::sync::Mutex<State>,
}

#[derive(Default)]
struct State {
    connection: Option<Arc<Connection>>,
    /// The last failure: those who waited for that attempt share it, or a hundred commands to a dead host would each
    /// wait for a timeout of their own, one after the other.
    failed: Option<(Instant, Endpoint, SshError)>,
}

impl Slot {
    /// Leave to open one channel.
    pub(crate) async fn channel_permit(&self) -> OwnedSemaphorePermit {
        self.channels.clone().acquire_owned().await.expect("the semaphore is never closed")
    }

    /// The host granted fewer sessions than we thought: keep to that. False when it grants none at all.
    pub(crate) fn shrink(&self, permit: OwnedSemaphorePermit) -> bool {
        let shrunk =
            self.capacity.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| (n > 1).then(|| n - 1));
        if shrunk.is_ok() {
            permit.forget();
        }
        shrunk.is_ok()
    }
}

impl PoolInner {
    pub(crate) fn slot(&self, endpoint: &Endpoint) -> Arc<Slot> {
        let mut slots = lock(&self.slots);
        let slot = slots.entry(endpoint.key()).or_insert_with(|| {
            Arc::new(Slot {
                channels: Arc::new(Semaphore::new(MAX_CHANNELS)),
                capacity: AtomicUsize::new(MAX_CHANNELS),
                state: tokio::sync::Mutex::default(),
            })
        });
        slot.clone()
    }

    pub(crate) fn dial(
        &self,
        address: &str,
        port: u16,
    ) -> Option<BoxFuture<'static, io::Result<Box<dyn Stream>>>> {
        lock(&self.dialers).iter().find_map(|dialer| dialer.dial(address, port))
    }

    pub(crate) fn agent_socket(&self) -> Option<PathBuf> {
        lock(&self.agent_socket).clone()
    }

    pub(crate) async fn handshake_permit(&self) -> SemaphorePermit<'_> {
        self.handshakes.acquire().await.expect("the semaphore is never closed")
    }

    /// The endpoint's connection, made if there is none.
    pub(crate) fn connection<'a>(
        self: &'a Arc<Self>,
        endpoint: &'a Endpoint,
    ) -> BoxFuture<'a, Result<Arc<Connection>, SshError>> {
        self.get(endpoint, None)
    }

    /// The endpoint's connection, whose host key is one that this endpoint accepts: it may have been made under other
    /// expectations, or before the machine was rebuilt.
    async fn verified_connection(self: &Arc<Self>, endpoint: &Endpoint) -> Result<Arc<Connection>, SshError> {
        let expectation = Expectation::load(endpoint)?;
        self.get(endpoint, Some(expectation)).await
    }

    // Boxed: a bastion's connection is got while connecting to what is behind it.
    fn get<'a>(
        self: &'a Arc<Self>,
        endpoint: &'a Endpoint,
        expectation: Option<Expectation>,
    ) -> BoxFuture<'a, Result<Arc<Connection>, SshError>> {
        Box::pin(async move {
            let asked = Instant::now();
            let slot = self.slot(endpoint);
            let mut state = slot.state.lock().await;
            let accepted = |connection: &Connection| {
                expectation.as_ref().is_none_or(|expected| expected.check(&connection.host_key).is_ok())
            };
            if let Some(connection) = &state.connection
                && !connection.is_closed()
                && accepted(connection)
            {
                return Ok(connection.clone());
            }
            if let Some((at, tried, error)) = &state.failed
                && *at >= asked
                && tried == endpoint
            {
                return Err(error.clone());
            }
            match connect::connect(self, endpoint).await {
                Ok(connection) => {
                    let connection = Arc::new(connection);
                    state.connection = Some(connection.clone());
                    state.failed = None;
                    Ok(connection)
                }
                Err(error) => {
                    state.failed = Some((Instant::now(), endpoint.clone(), error.clone()));
                    Err(error)
                }
            }
        })
    }

    /// Takes a connection that does not answer out of its slot. Commands that still run on it keep it.
    pub(crate) async fn discard(&self, endpoint: &Endpoint, dead: &Arc<Connection>) {
        let slot = self.slot(endpoint);
        let mut state = slot.state.lock().await;
        if state.connection.as_ref().is_some_and(|current| Arc::ptr_eq(current, dead)) {
            state.connection = None;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while these are held, and each holds a value that is whole at any time.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
