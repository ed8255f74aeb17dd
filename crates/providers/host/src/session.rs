//! One operation's work on a host, in the engine's words: faults, progress, output.

use std::future::Future;
use std::sync::Arc;

use grappe_provider::{Context, Fault, Run, Stream};
use grappe_ssh::{Exec, Host, Output, RemoteFile, SshError, StreamKind, WriteFile};
use tokio_util::sync::CancellationToken;

/// A connected host, within one operation on one object.
///
/// Commands run as root (by sudo where the user is not). Their output goes to the run line by line, with the
/// [secrets](Session::hide) blotted out.
#[derive(Clone)]
pub struct Session {
    host: Host,
    run: Arc<dyn Run>,
    cancel: CancellationToken,
    secrets: Arc<[String]>,
}

impl Session {
    /// A session on a host that was connected by other means than [`Hosts::session`](crate::Hosts::session).
    #[must_use]
    pub fn new<C>(host: Host, ctx: &Context<C>) -> Self {
        Session { host, run: ctx.run(), cancel: ctx.cancel_token().clone(), secrets: Arc::from([]) }
    }

    /// The same session, which shows `(sensitive)` in place of each of these texts, wherever the host prints one.
    #[must_use]
    pub fn hide(&self, secrets: impl IntoIterator<Item = impl Into<String>>) -> Self {
        // One or two letters stand everywhere: hiding them would hide nothing and spoil all.
        let secrets = secrets.into_iter().map(Into::into).filter(|secret| secret.len() > 2).collect();
        Session { secrets, ..self.clone() }
    }

    /// The connected host.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Says what is being done now.
    pub fn progress(&self, step: impl AsRef<str>) {
        self.run.progress(step.as_ref());
    }

    /// Runs a script that must succeed. `what` names it for people: `install haproxy`.
    ///
    /// # Errors
    /// As [`Session::exec`]; permanent, with the host's last lines, when the script fails.
    pub async fn run(&self, what: &str, script: impl Into<String>) -> Result<Output, Fault> {
        self.run_exec(what, Exec::new(script)).await
    }

    /// As [`Session::run`], with input, limits and so on as the `Exec` says.
    ///
    /// # Errors
    /// As [`Session::run`].
    pub async fn run_exec(&self, what: &str, exec: Exec) -> Result<Output, Fault> {
        let output = self.exec(exec.on_output(self.streamed())).await?;
        if output.success() { Ok(output) } else { Err(self.failure(what, &output)) }
    }

    /// Asks the host something: the output is not passed on, and any exit status is an answer.
    ///
    /// # Errors
    /// As [`Session::exec`].
    pub async fn ask(&self, script: impl Into<String>) -> Result<Output, Fault> {
        self.exec(Exec::new(script)).await
    }

    /// Runs a command to its end, whatever that is.
    ///
    /// # Errors
    /// When it could not be run to its end: the connection, the time limit, a stop by the user.
    pub async fn exec(&self, exec: Exec) -> Result<Output, Fault> {
        self.until_stopped(self.host.exec(exec)).await
    }

    /// Reads a file; `None` if there is none.
    ///
    /// # Errors
    /// As [`Host::read_file`].
    pub async fn read_file(&self, path: &str) -> Result<Option<RemoteFile>, Fault> {
        self.until_stopped(self.host.read_file(path)).await
    }

    /// Reads many files by one command.
    ///
    /// # Errors
    /// As [`Host::read_files`].
    pub async fn read_files(
        &self,
        paths: &[String],
    ) -> Result<Vec<Result<Option<RemoteFile>, Fault>>, Fault> {
        let read = self.until_stopped(self.host.read_files(paths)).await?;
        Ok(read.into_iter().map(|file| file.map_err(fault)).collect())
    }

    /// Puts a file in its place in one step.
    ///
    /// # Errors
    /// As [`Host::write_file`].
    pub async fn write_file(&self, file: &WriteFile) -> Result<(), Fault> {
        self.until_stopped(self.host.write_file(file)).await
    }

    /// Removes a file; that there is none is fine.
    ///
    /// # Errors
    /// As [`Host::remove_file`].
    pub async fn remove_file(&self, path: &str) -> Result<(), Fault> {
        self.until_stopped(self.host.remove_file(path)).await
    }

    /// What a failed command becomes: permanent, with the host's last lines.
    #[must_use]
    pub fn failure(&self, what: &str, output: &Output) -> Fault {
        let error = output.error(what);
        let summary = format!("{what} on {}: {}", self.host.endpoint(), error.status);
        Fault::permanent(summary).details(blot(&error.last_lines.join("\n"), &self.secrets))
    }

    pub(crate) fn stopped() -> Fault {
        Fault::permanent("stopped as asked").hint("the next apply goes on from here")
    }

    async fn until_stopped<T>(&self, work: impl Future<Output = Result<T, SshError>>) -> Result<T, Fault> {
        tokio::select! {
            result = work => result.map_err(fault),
            () = self.cancel.cancelled() => Err(Self::stopped()),
        }
    }

    fn streamed(&self) -> grappe_ssh::OnOutput {
        let (run, secrets) = (self.run.clone(), self.secrets.clone());
        Arc::new(move |kind, line| {
            let stream = match kind {
                StreamKind::Stdout => Stream::Stdout,
                StreamKind::Stderr => Stream::Stderr,
            };
            run.output(stream, &blot(line, &secrets));
        })
    }
}

/// The text with the secrets blotted out, also where one of several lines is printed line by line.
fn blot(text: &str, secrets: &[String]) -> String {
    let mut text = text.to_owned();
    for secret in secrets {
        for line in secret.lines().map(str::trim).filter(|line| line.len() > 2) {
            text = text.replace(line, "(sensitive)");
        }
    }
    text
}

/// An SSH error as the engine takes it.
#[must_use]
pub fn fault(error: SshError) -> Fault {
    let summary = error.report();
    let fault = if error.is_transient() { Fault::transient(summary) } else { Fault::permanent(summary) };
    match error.hint() {
        Some(hint) => fault.hint(hint).source(error),
        None => fault.source(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_blotted_out_line_by_line() {
        let secrets = ["hunter2".to_owned(), "-----BEGIN\nMIIB\nab\n".to_owned()];
        assert_eq!(blot("pw=hunter2;", &secrets), "pw=(sensitive);");
        assert_eq!(blot("key MIIB ab", &secrets), "key (sensitive) ab");
    }
}
