//! A service's configuration file, put in its place as an administrator would: checked by the service's own program, then reloaded.

use grappe_provider::Fault;
use grappe_ssh::{Exec, quote};

use crate::Session;

/// What the script exits with when the program does not like the file.
const REFUSED: u32 = 65;

/// A file that a systemd unit reads.
#[derive(Debug)]
pub struct ServiceFile<'a> {
    /// Where it is.
    pub path: &'a str,
    /// What is to be in it.
    pub content: &'a str,
    /// Its permissions.
    pub mode: u32,
    /// The unit.
    pub service: &'a str,
    /// The service's name for people: `HAProxy`.
    pub name: &'a str,
    /// The command that checks the file whose path follows: `haproxy -c -f`.
    pub check: Option<&'a str>,
    /// What makes a running service read it.
    pub then: Then,
}

/// How a service takes a new file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// It goes on with what it does.
    Reload,
    /// It begins anew.
    Restart,
}

impl ServiceFile<'_> {
    /// Where a new file waits until the service runs by it. One that is found there was left by a run that was killed before the reload.
    #[must_use]
    pub fn staged(path: &str) -> String {
        format!("{path}.grappe-new")
    }

    /// Stages it, has it checked there, moves it into place and reloads the service; starts and enables that where it is not. One after the
    /// other on the host, also after a run that was killed and whose script still goes on there.
    ///
    /// # Errors
    /// As [`Session::exec`]. Permanent, with the program's own words, where the check fails: the old file is still in use. Permanent, with
    /// the end of the journal, where the service does not run afterwards.
    pub async fn put(&self, session: &Session) -> Result<(), Fault> {
        let doing = match self.then {
            Then::Reload => "reload",
            Then::Restart => "restart",
        };
        session.progress(format!("{doing}ing {}", self.name));
        let exec = Exec::new(self.script(doing)).stdin(self.content).to_its_end();
        let output = session.exec(exec).await?;
        if output.success() {
            return Ok(());
        }
        if output.code() == Some(REFUSED) {
            let what = format!("check the configuration with {}", self.check.unwrap_or_default());
            return Err(session.failure(&what, &output).hint("the file that was there is still in use"));
        }
        let log =
            session.ask(format!("journalctl -u {} -n 15 --no-pager -o cat", quote(self.service))).await?;
        Err(session.failure(&format!("{doing} {}", self.name), &output).details(log.stdout_str()))
    }

    /// The folder is the lock: whoever has it open so, has it.
    fn script(&self, doing: &str) -> String {
        let staged = Self::staged(self.path);
        let copy = quote(&format!("{staged}.copy"));
        let (new, path, service) = (quote(&staged), quote(self.path), quote(self.service));
        let check = self
            .check
            .map(|check| format!("{check} {new} || {{ rm -f {new}; exit {REFUSED}; }}\n"))
            .unwrap_or_default();
        let inner = format!(
            "umask 077\ncat > {new} || exit 1\n\
             if [ \"$(wc -c < {new})\" -ne {length} ]; then rm -f {new}; echo 'the file did not arrive' >&2; exit 1; fi\n\
             chmod {mode:o} {new}\n\
             {check}cp -p {new} {copy} && mv -f {copy} {path} && systemctl enable -q {service} && \
             if systemctl is-active --quiet {service}; then systemctl {doing} {service}; \
             else systemctl restart {service}; fi && \
             systemctl is-active --quiet {service} && rm -f {new}",
            length = self.content.len(),
            mode = self.mode,
        );
        let folder = quote(self.path.rsplit_once('/').map_or(".", |(folder, _)| folder));
        format!("mkdir -p {folder} && exec flock -o -w 60 {folder} sh -c {}", quote(&inner))
    }
}
