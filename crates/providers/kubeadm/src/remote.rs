//! One host, and scripts on it whose failures say what was being done there.

use std::sync::Arc;
use std::time::Duration;

use grappe_kubeadm::join;
use grappe_provider::{Fault, Run, Stream};
use grappe_provider_host::Session;
use grappe_ssh::{Exec, Output, StreamKind, WriteFile, quote};

/// Time for what answers at once unless the host is ill.
pub const SHORT: Duration = Duration::from_secs(60);
/// Time for what pulls images, installs packages or waits for a control plane.
pub const LONG: Duration = Duration::from_secs(15 * 60);

/// A connected host that acts as root.
#[derive(Clone)]
pub struct Remote {
    session: Session,
    run: Arc<dyn Run>,
}

impl Remote {
    /// Wraps a session; the output of long commands goes to `run`.
    pub fn new(session: Session, run: Arc<dyn Run>) -> Self {
        Self { session, run }
    }

    /// The session below.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Where it is, for messages.
    pub fn name(&self) -> String {
        self.session.host().endpoint().address.clone()
    }

    /// Runs a short script and returns its standard output.
    ///
    /// # Errors
    /// The host could not be asked, or the script failed: permanent, with its last lines.
    pub async fn sh(&self, what: &str, script: &str) -> Result<String, Fault> {
        self.check(what, self.ask(Exec::new(script).timeout(SHORT)).await?)
    }

    /// Runs a long script, its output passed on with secrets taken out, and returns its standard output.
    ///
    /// # Errors
    /// As [`Self::sh`].
    pub async fn long(&self, what: &str, exec: Exec) -> Result<String, Fault> {
        let output = self.watch(exec).await?;
        self.check(what, output)
    }

    /// Runs a long script to its end, whatever that is, also where the connection is lost meanwhile: a control plane whose join is cut off
    /// between its etcd's announcement and its start takes the majority, and with it the cluster.
    ///
    /// # Errors
    /// The host could not be asked.
    pub async fn watch(&self, exec: Exec) -> Result<Output, Fault> {
        let run = self.run.clone();
        self.ask(exec.timeout(LONG).to_its_end().on_output(Arc::new(move |kind, line| {
            let stream = if kind == StreamKind::Stdout { Stream::Stdout } else { Stream::Stderr };
            run.output(stream, &join::redact(line));
        })))
        .await
    }

    /// Runs a script to its end, whatever that is.
    ///
    /// # Errors
    /// The host could not be asked.
    pub async fn ask(&self, exec: Exec) -> Result<Output, Fault> {
        self.session.exec(exec).await
    }

    /// Whether a test succeeds.
    ///
    /// # Errors
    /// The host could not be asked.
    pub async fn holds(&self, test: &str) -> Result<bool, Fault> {
        Ok(self.ask(Exec::new(test).timeout(SHORT)).await?.success())
    }

    /// The content of a text file; `None` if there is none.
    ///
    /// # Errors
    /// The host could not be asked, or may not read it.
    pub async fn read(&self, path: &str) -> Result<Option<String>, Fault> {
        let file = self.session.read_file(path).await?;
        Ok(file.map(|file| String::from_utf8_lossy(&file.content).into_owned()))
    }

    /// Puts a file in its place, whole, owned by root.
    ///
    /// # Errors
    /// The host could not be asked, or may not write there.
    pub async fn write(&self, path: &str, content: &str, mode: u32) -> Result<(), Fault> {
        let file = WriteFile { path: path.into(), content: content.into(), mode, owner: None, group: None };
        self.session.write_file(&file).await
    }

    /// Runs `command FILE` with a file of this content that only root can read, and that is gone afterwards.
    ///
    /// The content goes by standard input: it shows in no process list, and a command that is cut off takes its file
    /// with it, since the same script makes and removes it.
    ///
    /// # Errors
    /// The host could not be asked.
    pub async fn with_file(&self, path: &str, content: &str, command: &str) -> Result<Output, Fault> {
        let path = quote(path);
        let script = format!(
            "umask 077\nrm -f {path}\ncat > {path} || exit 1\n\
             trap 'rm -f {path}' EXIT TERM\n\
             if [ \"$(wc -c < {path})\" -ne {} ]; then echo 'the file did not arrive' >&2; exit 1; fi\n\
             {command} {path}\nrc=$?\nrm -f {path}\nexit $rc",
            content.len()
        );
        self.watch(Exec::new(script).stdin(content)).await
    }

    /// A fault that says what failed here, with the last lines.
    pub fn failure(&self, what: &str, output: &Output) -> Fault {
        let error = output.error(what);
        let text = join::redact(&error.last_lines.join("\n"));
        Fault::permanent(format!("{}: {what} failed ({})", self.name(), error.status)).details(text)
    }

    fn check(&self, what: &str, output: Output) -> Result<String, Fault> {
        if output.success() { Ok(output.stdout_str()) } else { Err(self.failure(what, &output)) }
    }
}
