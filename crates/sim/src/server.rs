//! An SSH server for each running machine, on a loopback port of its own, started when someone first dials it.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use russh::keys::ssh_key::PublicKey;
use russh::keys::{Algorithm, HashAlg, PrivateKey};
use russh::server::{Auth, Handle, Handler, Msg, PublicKeyOffer, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId, MethodKind, MethodSet};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use crate::shell::Shell;
use crate::shell::io::{Fd, Input, Io};
use crate::world::mishap::{Asked, Met};
use crate::world::{Mishap, World};

/// Listening machines.
#[derive(Debug, Default)]
pub struct Listeners(Mutex<BTreeMap<String, Listening>>);

#[derive(Debug)]
struct Listening {
    address: SocketAddr,
    accept: tokio::task::JoinHandle<()>,
    /// Dropped or set to cut all connections.
    cut: tokio::sync::watch::Sender<bool>,
}

impl Listeners {
    /// Stops listening for a machine and cuts its connections.
    pub(crate) fn close(&self, machine: &str) {
        let gone = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(machine);
        if let Some(gone) = gone {
            gone.accept.abort();
            gone.cut.send_replace(true);
        }
    }
}

fn refused(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionRefused, format!("simulated machine: {why}"))
}

impl World {
    /// Loopback address of a machine's SSH server, which is started if it is not running yet.
    ///
    /// # Errors
    /// Connection refused when the machine is off or still boots.
    pub async fn ssh_address(self: &Arc<Self>, machine: &str) -> io::Result<SocketAddr> {
        let ready = self.with(|s| {
            let now = s.now();
            s.machines.get(machine).map(|m| (m.running, m.ready_at <= now))
        });
        match ready {
            None => return Err(refused("it is gone")),
            Some((false, _)) => return Err(refused("it is powered off")),
            Some((true, false)) => return Err(refused("it still boots")),
            Some((true, true)) => {}
        }
        if let Some(listening) = self.listeners.0.lock().unwrap_or_else(PoisonError::into_inner).get(machine)
            && !listening.accept.is_finished()
        {
            return Ok(listening.address);
        }
        let key = self.host_key(machine).ok_or_else(|| refused("its host key is lost"))?;
        let key = PrivateKey::from_openssh(&key).map_err(io::Error::other)?;
        let config = Arc::new(russh::server::Config {
            server_id: russh::SshId::Standard("SSH-2.0-OpenSSH_9.2p1_grappe_simulated".into()),
            methods: MethodSet::from(&[MethodKind::PublicKey][..]),
            auth_rejection_time: Duration::from_millis(10),
            auth_rejection_time_initial: Some(Duration::ZERO),
            inactivity_timeout: None,
            keys: vec![key],
            nodelay: true,
            ..russh::server::Config::default()
        });
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (cut, watch) = tokio::sync::watch::channel(false);
        let accept = tokio::spawn(accept(Arc::downgrade(self), machine.to_owned(), listener, config, watch));
        let mut table = self.listeners.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(first) = table.get(machine)
            && !first.accept.is_finished()
        {
            accept.abort(); // another task was faster
            return Ok(first.address);
        }
        table.insert(machine.to_owned(), Listening { address, accept, cut });
        Ok(address)
    }

    /// Opens a TCP connection to a machine's SSH server.
    ///
    /// # Errors
    /// As [`World::ssh_address`].
    pub async fn dial_ssh(self: &Arc<Self>, machine: &str) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(self.ssh_address(machine).await?).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// The machine whose own address this is.
    pub fn machine_by_address(&self, address: &str) -> Option<String> {
        let ip: std::net::Ipv4Addr = address.parse().ok()?;
        self.with(|s| {
            let own = s.ports.values().find(|p| p.ip == ip).and_then(|p| p.machine.clone());
            own.or_else(|| s.machine_at(ip).map(str::to_owned))
        })
    }

    /// Public host key of a machine, as a line for known_hosts without the address.
    pub fn host_public_key(&self, machine: &str) -> Option<String> {
        PrivateKey::from_openssh(self.host_key(machine)?).ok()?.public_key().to_openssh().ok()
    }
}

async fn accept(
    world: std::sync::Weak<World>,
    machine: String,
    listener: TcpListener,
    config: Arc<russh::server::Config>,
    watch: tokio::sync::watch::Receiver<bool>,
) {
    loop {
        let Ok((socket, _)) = listener.accept().await else { continue };
        let Some(world) = world.upgrade() else { return };
        // Failing to switch Nagle off only costs time.
        let _ = socket.set_nodelay(true);
        let peer = socket.peer_addr().ok();
        let hang_up = Arc::new(Notify::new());
        let client = Client {
            world,
            machine: machine.clone(),
            peer,
            user: String::new(),
            channels: BTreeMap::new(),
            hang_up: hang_up.clone(),
        };
        let Ok((socket, twin)) = split_off(socket) else { continue };
        let (config, mut watch) = (config.clone(), watch.clone());
        tokio::spawn(async move {
            let serve = async {
                if let Ok(session) = russh::server::run_stream(config, socket, client).await {
                    // How a client leaves is its own affair.
                    let _ = session.await;
                }
            };
            tokio::select! {
                () = serve => {}
                () = hang_up.notified() => {
                    let _ = twin.shutdown(std::net::Shutdown::Both);
                }
                // An error means that the machine's entry is gone: cut as well.
                _ = watch.wait_for(|cut| *cut) => {
                    let _ = twin.shutdown(std::net::Shutdown::Both);
                }
            }
        });
    }
}

/// A second handle on a socket, with which its connection can be cut whoever holds the first.
fn split_off(socket: TcpStream) -> io::Result<(TcpStream, std::net::TcpStream)> {
    let socket = socket.into_std()?;
    let twin = socket.try_clone()?;
    Ok((TcpStream::from_std(socket)?, twin))
}

/// One connection.
struct Client {
    world: Arc<World>,
    machine: String,
    peer: Option<SocketAddr>,
    user: String,
    channels: BTreeMap<ChannelId, Running>,
    /// Cuts this connection.
    hang_up: Arc<Notify>,
}

struct Running {
    stdin: Option<std::sync::mpsc::Sender<Vec<u8>>>,
    pending: Option<std::sync::mpsc::Receiver<Vec<u8>>>,
    env: Vec<(String, String)>,
    cancelled: Arc<AtomicBool>,
    /// Its command has ended: it counts no more, even if the client has not closed it yet.
    ended: Arc<AtomicBool>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }
}

impl Client {
    fn authorized(&self, user: &str, key: &PublicKey) -> bool {
        let path = match user {
            "root" => "/root/.ssh/authorized_keys".to_owned(),
            user => format!("/home/{user}/.ssh/authorized_keys"),
        };
        let text =
            self.world.with(|s| s.host(&self.machine).map(|h| h.files.text(&path)).unwrap_or_default());
        text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')).any(|line| {
            // Options may stand before the key.
            let start = ["ssh-", "ecdsa-", "sk-"].iter().filter_map(|p| line.find(p)).min().unwrap_or(0);
            PublicKey::from_openssh(&line[start..]).is_ok_and(|k| k.key_data() == key.key_data())
        })
    }

    /// What sshd writes into the journal.
    fn log_in(&self, key: &PublicKey) {
        let (address, port) = self.peer.map_or(("UNKNOWN".to_owned(), 0), |p| (p.ip().to_string(), p.port()));
        let kind = match key.algorithm() {
            Algorithm::Ed25519 | Algorithm::SkEd25519 => "ED25519",
            Algorithm::Ecdsa { .. } | Algorithm::SkEcdsaSha2NistP256 => "ECDSA",
            _ => "RSA",
        };
        let line = format!(
            "sshd[4242]: Accepted publickey for {} from {address} port {port} ssh2: {kind} {}",
            self.user,
            key.fingerprint(HashAlg::Sha256)
        );
        self.world.with(|s| {
            if let Some(host) = s.host_mut(&self.machine) {
                host.journal("ssh", [line]);
            }
        });
    }

    fn start(
        &mut self,
        channel: ChannelId,
        command: Option<String>,
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        let Some(running) = self.channels.get_mut(&channel) else { return session.channel_failure(channel) };
        let Some(stdin) = running.pending.take() else { return session.channel_failure(channel) };
        session.channel_success(channel)?;
        let met = self.world.mishap(Asked::Command);
        if met.is_some_and(|met| met.mishap == Mishap::Drop) {
            self.hang_up.notify_one();
            return Ok(());
        }
        let job = Job {
            world: self.world.clone(),
            machine: self.machine.clone(),
            user: self.user.clone(),
            command,
            env: std::mem::take(&mut running.env),
            cancelled: running.cancelled.clone(),
        };
        let (send, receive) = tokio::sync::mpsc::unbounded_channel();
        let lost = met.filter(|met| met.mishap == Mishap::Lost).map(|_| self.hang_up.clone());
        tokio::spawn(pump(session.handle(), channel, receive, running.ended.clone(), lost));
        let slow = met.filter(|met| met.mishap == Mishap::Slow).map_or(0, Met::delay_ms);
        let latency = self.world.with(|s| s.knobs.latency_ms) + slow;
        tokio::spawn(async move {
            if latency > 0 {
                tokio::time::sleep(Duration::from_millis(latency)).await;
            }
            let failed = send.clone();
            let spawned = std::thread::Builder::new()
                .name("sim-exec".to_owned())
                .stack_size(crate::world::STACK)
                .spawn(move || job.run(stdin, &send));
            if let Err(e) = spawned {
                // The receiver ends with the connection only.
                let _ = failed.send(Out::Stderr(format!("simulated host: {e}\n").into_bytes()));
                let _ = failed.send(Out::Exit(255));
            }
        });
        Ok(())
    }
}

enum Out {
    Stdout(Vec<u8>),
    Stderr(Vec<u8>),
    Exit(i32),
}

/// Carries a job's output to the client. `lost` cuts the connection in the place of saying how it ended.
async fn pump(
    handle: Handle,
    channel: ChannelId,
    mut receive: tokio::sync::mpsc::UnboundedReceiver<Out>,
    ended: Arc<AtomicBool>,
    lost: Option<Arc<Notify>>,
) {
    while let Some(out) = receive.recv().await {
        // A client that is gone reads nothing more; the job then ends by its cancel flag.
        let sent = match out {
            Out::Stdout(bytes) => handle.data(channel, bytes).await.is_ok(),
            Out::Stderr(bytes) => handle.extended_data(channel, 1, bytes).await.is_ok(),
            Out::Exit(status) => {
                ended.store(true, Ordering::Relaxed);
                if let Some(hang_up) = lost {
                    return hang_up.notify_one();
                }
                let status = u32::try_from(status & 0xff).unwrap_or(255);
                let _ = handle.exit_status_request(channel, status).await;
                let _ = handle.eof(channel).await;
                let _ = handle.close(channel).await;
                return;
            }
        };
        if !sent {
            return;
        }
    }
}

/// One command on its own thread.
struct Job {
    world: Arc<World>,
    machine: String,
    user: String,
    command: Option<String>,
    env: Vec<(String, String)>,
    cancelled: Arc<AtomicBool>,
}

impl Job {
    fn run(self, stdin: std::sync::mpsc::Receiver<Vec<u8>>, send: &tokio::sync::mpsc::UnboundedSender<Out>) {
        let to = |wrap: fn(Vec<u8>) -> Out| {
            let send = send.clone();
            // Nobody reads after the client has gone.
            Fd::Client(std::rc::Rc::new(move |bytes: &[u8]| drop(send.send(wrap(bytes.to_vec())))))
        };
        let input = Fd::Input(std::rc::Rc::new(std::cell::RefCell::new(Input::stream(stdin))));
        let io = Io::new(input, to(Out::Stdout), to(Out::Stderr));
        let mut shell = Shell::login(&self.world, &self.machine, &self.user, self.cancelled);
        for (name, value) in self.env {
            let var = crate::shell::Var { value: Some(value), exported: true, readonly: false };
            shell.vars.insert(name, var);
        }
        let status = match self.command {
            Some(command) => shell.run_script(&command, &io),
            None => shell.run_interactive(&io),
        };
        let status = match self.world.flush() {
            Ok(()) => status,
            Err(e) => {
                drop(send.send(Out::Stderr(format!("simulated host: {e}\n").into_bytes())));
                255
            }
        };
        drop(send.send(Out::Exit(status)));
    }
}

impl Handler for Client {
    type Error = russh::Error;

    async fn auth_publickey_offered(
        &mut self,
        user: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, Self::Error> {
        Ok(if self.authorized(user, offer.public_key) { Auth::Accept } else { Auth::reject() })
    }

    async fn auth_publickey(&mut self, user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, Self::Error> {
        if !self.authorized(user, key.public_key) {
            return Ok(Auth::reject());
        }
        self.user = user.to_owned();
        self.log_in(key.public_key);
        Ok(Auth::Accept)
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: russh::server::ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        if self.channels.values().filter(|c| !c.ended.load(Ordering::Relaxed)).count() >= 10 {
            reply.reject(russh::ChannelOpenFailure::ConnectFailed).await; // sshd's MaxSessions
            return Ok(());
        }
        reply.accept().await;
        let (stdin, pending) = std::sync::mpsc::channel();
        let running = Running {
            stdin: Some(stdin),
            pending: Some(pending),
            env: Vec::new(),
            cancelled: Arc::new(AtomicBool::new(false)),
            ended: Arc::new(AtomicBool::new(false)),
        };
        self.channels.insert(channel.id(), running);
        Ok(())
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        host: &str,
        port: u32,
        _originator: &str,
        _originator_port: u32,
        reply: russh::server::ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        // A bastion: only other machines' sshd can be reached through it.
        let target = if port == 22 {
            let machine = self.machine.clone();
            let ip = self.world.with(|s| s.resolve_name(&machine, host));
            ip.and_then(|ip| self.world.machine_by_address(&ip.to_string()))
        } else {
            None
        };
        let stream = match target {
            Some(target) => self.world.dial_ssh(&target).await,
            None => Err(refused("nothing listens there")),
        };
        match stream {
            Ok(mut stream) => {
                reply.accept().await;
                tokio::spawn(async move {
                    let mut channel = channel.into_stream();
                    // Either side's end is the end.
                    let _ = tokio::io::copy_bidirectional(&mut channel, &mut stream).await;
                });
            }
            Err(_) => reply.reject(russh::ChannelOpenFailure::ConnectFailed).await,
        }
        Ok(())
    }

    async fn env_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        value: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        // sshd's default: AcceptEnv LANG LC_*
        if !(name == "LANG" || name.starts_with("LC_")) {
            return session.channel_failure(channel);
        }
        if let Some(running) = self.channels.get_mut(&channel) {
            running.env.push((name.to_owned(), value.to_owned()));
        }
        session.channel_success(channel)
    }

    async fn pty_request(
        &mut self,
        channel: ChannelId,
        _term: &str,
        _columns: u32,
        _rows: u32,
        _width: u32,
        _height: u32,
        _modes: &[(russh::Pty, u32)],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_success(channel)
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        data: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let command = String::from_utf8_lossy(data).into_owned();
        self.start(channel, Some(command), session)
    }

    async fn shell_request(&mut self, channel: ChannelId, session: &mut Session) -> Result<(), Self::Error> {
        self.start(channel, None, session)
    }

    async fn subsystem_request(
        &mut self,
        channel: ChannelId,
        _name: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_failure(channel)
    }

    async fn data(
        &mut self,
        channel: ChannelId,
        data: &[u8],
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        if let Some(stdin) = self.channels.get(&channel).and_then(|c| c.stdin.as_ref()) {
            // A job that has ended reads nothing more.
            let _ = stdin.send(data.to_vec());
        }
        Ok(())
    }

    async fn channel_eof(&mut self, channel: ChannelId, _session: &mut Session) -> Result<(), Self::Error> {
        if let Some(running) = self.channels.get_mut(&channel) {
            running.stdin = None;
        }
        Ok(())
    }

    async fn channel_close(&mut self, channel: ChannelId, _session: &mut Session) -> Result<(), Self::Error> {
        self.channels.remove(&channel);
        Ok(())
    }
}
