//! A proxy in front of the bed: counts the calls of one test, and makes some of them fail.
//!
//! Clients are given its address as Keystone's: `http://PROXY/5000/v3` stands for `http://BED:5000/v3`. In what services answer, the catalog among it,
//! their addresses become the proxy's, so that whoever came through it stays with it.
//!
//! Whether a call fails depends on the seed, the method, the path and how many such calls there were before, not on what runs beside it: the same
//! test meets the same faults. No call fails more than twice in a row.

mod fault;
mod http;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

pub use fault::{Chance, Fault};

use crate::{Bed, Tenant};
use fault::Dice;
use http::{Request, Response};

/// A service that does not answer a call at all within this is none that a test should wait for.
const ANSWER: Duration = Duration::from_secs(60);

/// One call that came through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The service's port: [`Proxy::KEYSTONE`] and so on.
    pub port: u16,
    /// `GET` and so on.
    pub method: String,
    /// The path and what follows it, as the service sees it.
    pub path: String,
    /// The status that was answered; `None` where the connection was cut instead.
    pub status: Option<u16>,
    /// What the proxy did to it.
    pub fault: Option<Fault>,
    /// When it came, after the proxy's start.
    pub began: Duration,
    /// How long the answer took.
    pub took: Duration,
}

/// The proxy. It ends when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    end: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    bed: IpAddr,
    address: SocketAddr,
    started: Instant,
    calls: Mutex<Vec<Call>>,
    tokens: Mutex<Vec<String>>,
    dice: Mutex<Dice>,
}

impl Proxy {
    /// Keystone's port.
    pub const KEYSTONE: u16 = 5000;
    /// Glance's port.
    pub const GLANCE: u16 = 9292;
    /// Nova's port.
    pub const NOVA: u16 = 8774;
    /// Neutron's port.
    pub const NEUTRON: u16 = 9696;
    /// Octavia's port.
    pub const OCTAVIA: u16 = 9876;
    /// Cinder's port.
    pub const CINDER: u16 = 8776;

    const SERVICES: [u16; 7] =
        [Self::KEYSTONE, Self::GLANCE, Self::NOVA, Self::NEUTRON, Self::OCTAVIA, Self::CINDER, 8778];

    /// A proxy before the bed, which makes these faults.
    ///
    /// # Errors
    ///
    /// Where it can't listen.
    pub fn start(bed: &Bed, seed: u64, chances: Vec<Chance>) -> Result<Proxy> {
        Self::before(bed.address(), seed, chances)
    }

    pub(crate) fn before(bed: IpAddr, seed: u64, chances: Vec<Chance>) -> Result<Proxy> {
        let listener = std::net::TcpListener::bind((bed, 0)).context("the proxy can't listen")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            bed,
            address,
            started: Instant::now(),
            calls: Mutex::default(),
            tokens: Mutex::default(),
            dice: Mutex::new(Dice::new(seed, chances)),
        });
        let (end, ended) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let served = Arc::clone(&shared);
        let run = move || {
            runtime.block_on(async {
                let Ok(listener) = TcpListener::from_std(listener) else { return };
                tokio::select! {
                    () = serve(&listener, &served) => {}
                    _ = ended => {}
                }
            });
        };
        let thread = std::thread::Builder::new().name("proxy".into()).spawn(run)?;
        Ok(Proxy { address, shared, end: Some(end), thread: Some(thread) })
    }

    /// The tenant, as it comes through this proxy.
    #[must_use]
    pub fn through(&self, tenant: &Tenant) -> Tenant {
        let auth_url = format!("http://{}/{}/v3", self.address, Self::KEYSTONE);
        Tenant { auth_url, ..tenant.clone() }
    }

    /// All calls until now, in the order in which they were answered.
    pub fn calls(&self) -> Vec<Call> {
        held(&self.shared.calls).clone()
    }

    /// All tokens that Keystone has given until now.
    pub fn tokens(&self) -> Vec<String> {
        held(&self.shared.tokens).clone()
    }

    /// The calls until now; they are forgotten.
    pub fn take(&self) -> Vec<Call> {
        std::mem::take(&mut *held(&self.shared.calls))
    }

    /// From now on these faults.
    pub fn set(&self, chances: Vec<Chance>) {
        held(&self.shared.dice).chances = chances;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(listener: &TcpListener, shared: &Arc<Shared>) {
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            let shared = Arc::clone(shared);
            tokio::spawn(async move {
                // What a client breaks off is no matter.
                let _ = shared.converse(stream).await;
            });
        }
    }
}

impl Shared {
    /// A connection's requests, one after the other.
    async fn converse(&self, stream: TcpStream) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        let mut stream = tokio::io::BufStream::new(stream);
        while let Some(request) = http::request(&mut stream).await? {
            let Some((port, path)) = self.place(&request.target) else {
                Response::plain(404, "the proxy has no such service").write(&mut stream, &request).await?;
                continue;
            };
            let began = self.started.elapsed();
            let fault = held(&self.dice).roll(&request.method, port, &path);
            let response = self.answer(&request, port, &path, fault).await;
            let status = response.as_ref().map(|response| response.status);
            let (method, fault) = (request.method.clone(), fault);
            let took = self.started.elapsed().saturating_sub(began);
            held(&self.calls).push(Call { port, method, path, status, fault, began, took });
            match response {
                Some(response) => response.write(&mut stream, &request).await?,
                None if fault == Some(Fault::Mute) => {
                    // Until the client has gone.
                    stream.read_to_end(&mut Vec::new()).await?;
                    return Ok(());
                }
                None => {
                    stream.get_ref().set_zero_linger()?;
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// The service's port and path that `/PORT/PATH` stands for.
    fn place(&self, target: &str) -> Option<(u16, String)> {
        let rest = target.strip_prefix('/')?;
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let port: u16 = rest[..end].parse().ok().filter(|port| Self::known(*port))?;
        let path = &rest[end..];
        Some((port, if path.starts_with('/') { path.to_owned() } else { format!("/{path}") }))
    }

    fn known(port: u16) -> bool {
        Proxy::SERVICES.contains(&port)
    }

    /// What is answered; `None` cuts the connection.
    async fn answer(
        &self,
        request: &Request,
        port: u16,
        path: &str,
        fault: Option<Fault>,
    ) -> Option<Response> {
        match fault {
            Some(Fault::TooMany { retry_after }) => {
                return Some(Response::busy(429, "too many requests", retry_after));
            }
            Some(Fault::Unavailable { retry_after }) => {
                return Some(Response::busy(503, "service unavailable", retry_after));
            }
            Some(Fault::Internal) => return Some(Response::plain(500, "unexpected API error")),
            Some(Fault::Reset) => return None,
            Some(Fault::Slow { millis }) => tokio::time::sleep(Duration::from_millis(millis)).await,
            Some(Fault::Lost | Fault::Mute) | None => {}
        }
        let upstream = http::forward(request, SocketAddr::new(self.bed, port), path);
        let answered = match tokio::time::timeout(ANSWER, upstream).await {
            Ok(Ok(response)) => self.disguise(response),
            Ok(Err(error)) => Response::plain(502, &format!("the service on port {port}: {error}")),
            Err(_) => Response::plain(504, &format!("the service on port {port} does not answer")),
        };
        (!matches!(fault, Some(Fault::Lost | Fault::Mute))).then_some(answered)
    }

    /// The services' addresses become the proxy's. What Keystone gives is noted.
    fn disguise(&self, mut response: Response) -> Response {
        held(&self.tokens).extend(response.header("x-subject-token").map(str::to_owned));
        let ours: HashMap<String, String> = Proxy::SERVICES
            .iter()
            .map(|port| (format!("http://{}:{port}", self.bed), format!("http://{}/{port}", self.address)))
            .collect();
        let changed =
            |text: &str| ours.iter().fold(text.to_owned(), |text, (old, new)| text.replace(old, new));
        for (name, value) in &mut response.headers {
            if name.eq_ignore_ascii_case("location") {
                *value = changed(value);
            }
        }
        if response.header("content-type").is_some_and(|kind| kind.contains("json"))
            && let Ok(text) = std::str::from_utf8(&response.body)
        {
            response.body = changed(text).into_bytes();
        }
        response
    }
}
