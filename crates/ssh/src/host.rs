//! Running commands on a connected host.

use crate::connect::Connection;
use crate::endpoint::Endpoint;
use crate::error::{Cause, SshError};
use crate::exec::{Exec, ExitStatus, Lines, Output, StreamKind, TIMEOUT_WHAT};
use crate::hostkey;
use crate::pool::PoolInner;
use russh::client::Msg;
use russh::keys::PublicKey;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Sig};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

/// How long a command that was told to stop has to do so before it is killed.
const TERM_GRACE: Duration = Duration::from_secs(2);
/// How long output may stay silent after the command has exited. Without it, a daemon that the command left behind with
/// its output open would keep us waiting as long as it lives.
const EXIT_GRACE: Duration = Duration::from_secs(5);
/// More output than this of one command is a mistake.
const MAX_OUTPUT: usize = 64 << 20;

/// A connected host. Clones are cheap and share the connection.
#[derive(Clone)]
pub struct Host {
    pool: Arc<PoolInner>,
    endpoint: Arc<Endpoint>,
    host_key: Arc<str>,
    sudo: bool,
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Host({}{})", self.endpoint, if self.sudo { ", sudo" } else { "" })
    }
}

impl Host {
    pub(crate) fn new(pool: Arc<PoolInner>, endpoint: Endpoint, host_key: &PublicKey) -> Self {
        Host { pool, endpoint: Arc::new(endpoint), host_key: hostkey::line(host_key).into(), sudo: false }
    }

    /// The same host, where all commands and file operations run as root by sudo.
    pub fn with_sudo(&self, sudo: bool) -> Self {
        Host { sudo, ..self.clone() }
    }

    /// The OpenSSH public key line (`ssh-ed25519 AAAA…`) that the host proved to own, without a comment.
    pub fn host_key(&self) -> &str {
        &self.host_key
    }

    /// Where this host is.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Runs a script to its end.
    ///
    /// # Errors
    /// Only when the script could not be run to its end: a script that exits with another code than 0 is an
    /// [`Output`]. Where a connection died before the command was handed over, it was dialled again.
    pub async fn exec(&self, exec: Exec) -> Result<Output, SshError> {
        let sudo = exec.sudo || self.sudo;
        let (command, stdin) =
            exec.wire(sudo).map_err(|why| SshError::new(&*self.endpoint, Cause::Invalid(why)))?;
        let (mut read, mut running) = self.start(command).await?;
        let limit = exec.timeout;
        let output = match timeout(limit, self.drive(&mut read, &running, stdin, &exec)).await {
            Ok(output) => output?,
            Err(_) => {
                let cause = Cause::Timeout { what: TIMEOUT_WHAT.into(), after: limit };
                return Err(SshError::new(&*self.endpoint, cause));
            }
        };
        running.ended = true;
        match sudo_complaint(&output).filter(|_| sudo) {
            Some(complaint) => Err(SshError::new(&*self.endpoint, Cause::SudoRefused(complaint))),
            None => Ok(output),
        }
    }

    /// Opens a channel and hands the command over. As long as that fails because the connection is dead, the command
    /// has certainly not started, so a fresh connection is tried, once.
    async fn start(&self, command: String) -> Result<(ChannelReadHalf, Running), SshError> {
        let limit = self.endpoint.connect_timeout;
        let (mut redialled, mut crowded) = (false, 0);
        loop {
            let slot = self.pool.slot(&self.endpoint);
            let permit = slot.channel_permit().await;
            let connection = self.pool.connection(&self.endpoint).await?;
            let source = match timeout(limit, connection.handle.channel_open_session()).await {
                Ok(Ok(channel)) => {
                    let (read, write) = channel.split();
                    match write.exec(true, command.as_str()).await {
                        Ok(()) => {
                            let write = Arc::new(write);
                            return Ok((
                                read,
                                Running { write, connection, permit: Some(permit), ended: false },
                            ));
                        }
                        Err(error) => Some(error),
                    }
                }
                Ok(Err(russh::Error::ChannelOpenFailure(failure))) => {
                    // sshd counts a session a little longer than we do: give it a moment.
                    crowded += 1;
                    if crowded <= 3 {
                        tokio::time::sleep(Duration::from_millis(20) * crowded).await;
                        continue;
                    }
                    // MaxSessions is below what we thought. Others' commands will end and give us their place.
                    crowded = 0;
                    if slot.shrink(permit) {
                        continue;
                    }
                    let cause =
                        Cause::ChannelRefused(format!("{failure:?}; see MaxSessions in its sshd_config"));
                    return Err(SshError::new(&*self.endpoint, cause));
                }
                Ok(Err(error)) => Some(error),
                Err(_) => None,
            };
            self.pool.discard(&self.endpoint, &connection).await;
            if redialled {
                let error = SshError::new(&*self.endpoint, Cause::Lost { may_have_run: false });
                return Err(match source {
                    Some(source) => error.with_source(source),
                    None => error,
                });
            }
            redialled = true;
        }
    }

    /// Feeds the input and collects the output until the channel is drained.
    async fn drive(
        &self,
        read: &mut ChannelReadHalf,
        running: &Running,
        stdin: Vec<u8>,
        exec: &Exec,
    ) -> Result<Output, SshError> {
        let fail = |cause| SshError::new(&*self.endpoint, cause);
        let (mut stdout, mut stderr, mut status) = (Vec::new(), Vec::new(), None);
        let mut out_lines = Lines::new(StreamKind::Stdout, exec.on_output.clone());
        let mut err_lines = Lines::new(StreamKind::Stderr, exec.on_output.clone());
        let feed = async {
            // A command may exit without reading its input: no error of ours.
            if running.write.data_bytes(stdin).await.is_ok() {
                let _ = running.write.eof().await;
            }
        };
        tokio::pin!(feed);
        let mut fed = false;
        loop {
            let grace = if status.is_some() { EXIT_GRACE } else { Duration::MAX };
            let message = tokio::select! {
                message = timeout(grace, read.wait()) => message.unwrap_or(None),
                () = &mut feed, if !fed => {
                    fed = true;
                    continue;
                }
            };
            match message {
                None => break,
                Some(ChannelMsg::Data { data }) => {
                    out_lines.push(&data);
                    stdout.extend_from_slice(&data);
                }
                Some(ChannelMsg::ExtendedData { data, ext: 1 }) => {
                    err_lines.push(&data);
                    stderr.extend_from_slice(&data);
                }
                Some(ChannelMsg::ExitStatus { exit_status }) => status = Some(ExitStatus::Code(exit_status)),
                Some(ChannelMsg::ExitSignal { signal_name, .. }) => {
                    status = Some(ExitStatus::Signal(signal(&signal_name)));
                }
                Some(ChannelMsg::Failure) => {
                    return Err(fail(Cause::ChannelRefused("it does not start commands".into())));
                }
                Some(_) => {}
            }
            if stdout.len() + stderr.len() > MAX_OUTPUT {
                return Err(fail(Cause::Remote("the command printed more than 64 MiB".into())));
            }
        }
        out_lines.finish();
        err_lines.finish();
        match status {
            Some(status) => Ok(Output { status, stdout, stderr }),
            None => Err(fail(Cause::Lost { may_have_run: true })),
        }
    }
}

/// A command that was handed to the host. When it is dropped before its end (a timeout, a cancelled run) the command is
/// told to stop; its place is given back once the host had time to do so.
struct Running {
    write: Arc<ChannelWriteHalf<Msg>>,
    connection: Arc<Connection>,
    permit: Option<OwnedSemaphorePermit>,
    ended: bool,
}

impl Drop for Running {
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (write, connection, permit) = (self.write.clone(), self.connection.clone(), self.permit.take());
        let ended = self.ended;
        if connection.is_closed() {
            return;
        }
        runtime.spawn(async move {
            if !ended {
                let _ = write.signal(Sig::TERM).await;
                tokio::time::sleep(TERM_GRACE).await;
                let _ = write.signal(Sig::KILL).await;
            }
            let _ = write.close().await;
            drop((permit, connection));
        });
    }
}

fn signal(name: &Sig) -> String {
    match name {
        Sig::Custom(name) => name.clone(),
        known => format!("{known:?}"),
    }
}

/// What sudo says when it lets nobody in, as opposed to what the command says.
fn sudo_complaint(output: &Output) -> Option<String> {
    let text = output.stderr_str();
    let complaint = text.lines().find(|line| {
        line.starts_with("sudo: ")
            && ["password is required", "terminal is required", "not allowed"]
                .iter()
                .any(|w| line.contains(w))
            || line.contains("is not in the sudoers file")
    })?;
    (output.code() == Some(1) && output.stdout.is_empty()).then(|| complaint.trim().to_owned())
}
