//! Making one connection: dial (directly, by a dialer, or through a bastion), key exchange with the host key checked,
//! login. Each step has its deadline.

use crate::auth;
use crate::endpoint::Endpoint;
use crate::error::{Cause, SshError};
use crate::hostkey::{self, Expectation};
use crate::pool::{PoolInner, Stream};
use futures::future::select_ok;
use russh::client::{self, DisconnectReason, Handle};
use russh::keys::{PublicKey, PublicKeyOrCertificate};
use russh::{ChannelOpenFailure, Disconnect, Preferred};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Logging in may wait for a person: an agent that asks, a token that wants to be touched.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(30);
/// A silent peer is asked for a sign of life this often, and given up after [`KEEPALIVE_MAX`] unanswered questions.
const KEEPALIVE: Duration = Duration::from_secs(15);
const KEEPALIVE_MAX: usize = 4;

/// A live, verified, logged-in connection.
pub(crate) struct Connection {
    pub(crate) handle: Handle<Client>,
    pub(crate) host_key: PublicKey,
    /// The bastion's connection lives as long as what runs through it.
    _through: Option<Arc<Connection>>,
}

impl Connection {
    pub(crate) fn is_closed(&self) -> bool {
        self.handle.is_closed()
    }

    /// Says goodbye, so that the host does not wait for us.
    pub(crate) async fn close(&self) {
        let _ = self.handle.disconnect(Disconnect::ByApplication, "done", "en").await;
    }
}

/// Dials, verifies and logs in.
pub(crate) async fn connect(pool: &Arc<PoolInner>, endpoint: &Endpoint) -> Result<Connection, SshError> {
    let expectation = Arc::new(Expectation::load(endpoint)?);
    let mut algorithms = expectation.algorithms();
    let mut first_error = None;
    loop {
        let (stream, through) = dial(pool, endpoint).await?;
        let _permit = pool.handshake_permit().await;
        let shared = Arc::new(Mutex::new(Shared::default()));
        let client = Client { expectation: expectation.clone(), shared: shared.clone() };
        let config = Arc::new(client::Config {
            keepalive_interval: Some(KEEPALIVE),
            keepalive_max: KEEPALIVE_MAX,
            nodelay: true,
            preferred: Preferred { key: algorithms.clone().into(), ..Preferred::default() },
            ..client::Config::default()
        });
        let handshake =
            timeout(endpoint.connect_timeout, client::connect_stream(config, stream, client)).await;
        let mut handle = match handshake {
            Err(_) => return Err(late(endpoint, "the key exchange", endpoint.connect_timeout)),
            Ok(Ok(handle)) => handle,
            Ok(Err(error)) => {
                let (error, shown) = handshake_error(endpoint, error, &shared);
                // A pinned fingerprint does not tell which of the host's keys it is of: ask for the others too.
                let fingerprint = matches!(*expectation, Expectation::Fingerprint(_));
                if let (true, Some(shown)) = (fingerprint, shown) {
                    algorithms = hostkey::without_family(&algorithms, &shown);
                    if !algorithms.is_empty() {
                        first_error.get_or_insert(error);
                        continue;
                    }
                }
                return Err(first_error.unwrap_or(error));
            }
        };
        let hung_up = || lock(&shared).goodbye.clone();
        let limit = LOGIN_TIMEOUT.max(endpoint.connect_timeout);
        let agent_socket = pool.agent_socket();
        match timeout(limit, auth::login(&mut handle, endpoint, agent_socket.as_deref(), hung_up)).await {
            Err(_) => return Err(late(endpoint, "logging in", limit)),
            Ok(result) => result?,
        }
        let host_key = lock(&shared).key.clone().expect("a handshake that succeeded showed a host key");
        tracing::debug!(host = %endpoint, key = %hostkey::fingerprint(&host_key), "connected");
        return Ok(Connection { handle, host_key, _through: through });
    }
}

/// The greeting of the SSH server (`SSH-2.0-…`), without logging in: hosts that boot are asked this, since sshd
/// penalises clients that come and fail to log in.
pub(crate) async fn probe(pool: &Arc<PoolInner>, endpoint: &Endpoint) -> Result<String, SshError> {
    let (mut stream, _through) = dial(pool, endpoint).await?;
    let mut read = Vec::new();
    let greeting = async {
        // The server may send other lines before its version (RFC 4253, section 4.2).
        loop {
            let mut byte = [0];
            match stream.read(&mut byte).await {
                Err(error) => return Err(SshError::dial(endpoint, error)),
                Ok(0) => return Err(SshError::new(endpoint, Cause::HungUp { message: None })),
                Ok(_) if byte[0] == b'\n' => {
                    let line = String::from_utf8_lossy(&read).trim_end().to_owned();
                    if line.starts_with("SSH-") {
                        return Ok(line);
                    }
                    read.clear();
                }
                Ok(_) if read.len() > 8192 => return Err(SshError::new(endpoint, Cause::Handshake)),
                Ok(_) => read.push(byte[0]),
            }
        }
    };
    let limit = endpoint.connect_timeout;
    timeout(limit, greeting).await.unwrap_or_else(|_| Err(late(endpoint, "the server's greeting", limit)))
}

type Dialled = (Box<dyn Stream>, Option<Arc<Connection>>);

async fn dial(pool: &Arc<PoolInner>, endpoint: &Endpoint) -> Result<Dialled, SshError> {
    if let Some(bastion) = &endpoint.bastion {
        return through(pool, bastion, endpoint).await;
    }
    let limit = endpoint.connect_timeout;
    let dial = async {
        if let Some(dialled) = pool.dial(&endpoint.address, endpoint.port) {
            return dialled.await.map_err(|error| SshError::dial(endpoint, error));
        }
        let addresses = tokio::net::lookup_host((endpoint.address.as_str(), endpoint.port))
            .await
            .map_err(|error| SshError::new(endpoint, Cause::Resolve).with_source(error))?
            .collect::<Vec<_>>();
        if addresses.is_empty() {
            return Err(SshError::new(endpoint, Cause::Resolve));
        }
        // A dead IPv6 route must not eat the time of a living IPv4 one: start them shortly after one another.
        let attempts = addresses.into_iter().enumerate().map(|(index, address)| {
            Box::pin(async move {
                tokio::time::sleep(Duration::from_millis(250) * index as u32).await;
                TcpStream::connect(address).await
            })
        });
        let (stream, _) = select_ok(attempts).await.map_err(|error| SshError::dial(endpoint, error))?;
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
        Ok(Box::new(stream) as Box<dyn Stream>)
    };
    match timeout(limit, dial).await {
        Ok(stream) => Ok((stream?, None)),
        Err(_) => Err(late(endpoint, "the TCP connection", limit)),
    }
}

/// Opens a TCP connection on the bastion and speaks SSH through it, end to end: the bastion sees ciphertext.
async fn through(
    pool: &Arc<PoolInner>,
    bastion: &Endpoint,
    endpoint: &Endpoint,
) -> Result<Dialled, SshError> {
    let limit = endpoint.connect_timeout;
    let mut redialled = false;
    loop {
        let connection = pool.connection(bastion).await?;
        let port = u32::from(endpoint.port);
        let open = connection.handle.channel_open_direct_tcpip(&endpoint.address, port, "127.0.0.1", 0);
        match timeout(limit, open).await {
            Ok(Ok(channel)) => return Ok((Box::new(channel.into_stream()), Some(connection))),
            Ok(Err(russh::Error::ChannelOpenFailure(failure))) => {
                let cause = match failure {
                    ChannelOpenFailure::ConnectFailed => Cause::Unreachable,
                    other => Cause::ChannelRefused(format!(
                        "the bastion does not forward connections ({other:?}; AllowTcpForwarding in its sshd_config)"
                    )),
                };
                return Err(SshError::new(endpoint, cause));
            }
            Ok(Err(_)) if !redialled => {
                redialled = true;
                pool.discard(bastion, &connection).await;
            }
            Ok(Err(error)) => {
                return Err(SshError::new(endpoint, Cause::Lost { may_have_run: false }).with_source(error));
            }
            Err(_) => return Err(late(endpoint, "the TCP connection", limit)),
        }
    }
}

fn late(endpoint: &Endpoint, what: &str, after: Duration) -> SshError {
    SshError::new(endpoint, Cause::Timeout { what: what.into(), after })
}

/// The error, and the host key that was shown if that is what it is about.
fn handshake_error(
    endpoint: &Endpoint,
    error: russh::Error,
    shared: &Mutex<Shared>,
) -> (SshError, Option<PublicKey>) {
    let mut shared = lock(shared);
    if let Some(cause) = shared.rejected.take() {
        return (SshError::new(endpoint, cause), shared.key.take());
    }
    let cause = match &error {
        russh::Error::IO(_) | russh::Error::HUP | russh::Error::Disconnect | russh::Error::RecvError => {
            Cause::HungUp { message: shared.goodbye.take() }
        }
        _ => Cause::Handshake,
    };
    (SshError::new(endpoint, cause).with_source(error), None)
}

/// What the connection's task tells the one who waits for it.
#[derive(Default)]
struct Shared {
    key: Option<PublicKey>,
    rejected: Option<Cause>,
    goodbye: Option<String>,
}

fn lock(shared: &Mutex<Shared>) -> std::sync::MutexGuard<'_, Shared> {
    // Nothing panics while it is held; and if it did, the fields would still be whole.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Our end of a connection.
pub(crate) struct Client {
    expectation: Arc<Expectation>,
    shared: Arc<Mutex<Shared>>,
}

impl client::Handler for Client {
    type Error = russh::Error;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        let PublicKeyOrCertificate::PublicKey { key, .. } = shown else {
            // We offer no certificate algorithm, so this server does not follow the protocol.
            return Ok(false);
        };
        let mut shared = lock(&self.shared);
        // At a re-exchange the host must show the key that it showed at first.
        let same = shared.key.as_ref().is_none_or(|first| first.key_data() == key.key_data());
        let verdict = self.expectation.check(key);
        shared.key.get_or_insert_with(|| key.clone());
        Ok(match verdict {
            Ok(()) => same,
            Err(cause) => {
                shared.rejected = Some(cause);
                false
            }
        })
    }

    async fn disconnected(&mut self, reason: DisconnectReason<russh::Error>) -> Result<(), russh::Error> {
        match reason {
            DisconnectReason::ReceivedDisconnect(info) => {
                lock(&self.shared).goodbye = Some(info.message);
                Ok(())
            }
            DisconnectReason::Error(error) => Err(error),
        }
    }
}
