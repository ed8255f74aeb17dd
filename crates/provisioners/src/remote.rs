//! A host within one step.

use std::sync::Arc;

use grappe_provider::{Fault, StepContext, Stream};
use grappe_ssh::{Exec, Host, Output, Pool, SshError, StreamKind};
use grappe_value::Value;
use tokio::time::{Duration, Instant, sleep};

use crate::connection::Connection;
use crate::{arguments, stopped};

/// As long as a script may take: what people write there may take long.
pub(crate) const LONG: Duration = Duration::from_secs(24 * 3600);

/// A connected host.
pub(crate) struct Remote {
    pub(crate) connection: Connection,
    host: Host,
    ctx: StepContext,
}

impl Remote {
    /// Connects, or takes the connection there is. A host that does not answer yet has as long as the connection says.
    pub(crate) async fn open(
        pool: &Pool,
        ctx: StepContext,
        connection: Option<&Value>,
    ) -> Result<Self, Fault> {
        let missing =
            || Fault::permanent("there is no connection: it must be said which host the step is for");
        let connection: Connection = arguments("the connection", connection.ok_or_else(missing)?)?;
        let endpoint = connection.endpoint();
        let until = Instant::now() + connection.patience();
        ctx.run.progress(&format!("connecting to {endpoint}"));
        let host = loop {
            let tried = tokio::select! {
                tried = pool.host(&endpoint) => tried,
                () = ctx.cancel.cancelled() => return Err(stopped()),
            };
            match tried {
                Ok(host) => break host,
                Err(error) if error.is_transient() && Instant::now() < until => {}
                Err(error) => return Err(fault(error)),
            }
            tokio::select! {
                () = sleep(Duration::from_secs(2)) => {}
                () = ctx.cancel.cancelled() => return Err(stopped()),
            }
        };
        Ok(Remote { connection, host, ctx })
    }

    /// Runs a script that must succeed; its output is passed on.
    pub(crate) async fn run(&self, what: &str, exec: Exec) -> Result<Output, Fault> {
        let run = self.ctx.run.clone();
        let exec = exec.on_output(Arc::new(move |kind, line: &str| {
            let stream = match kind {
                StreamKind::Stdout => Stream::Stdout,
                StreamKind::Stderr => Stream::Stderr,
            };
            run.output(stream, line);
        }));
        self.quietly(what, exec).await
    }

    /// The same, where the output is nobody's business.
    pub(crate) async fn quietly(&self, what: &str, exec: Exec) -> Result<Output, Fault> {
        let output = tokio::select! {
            output = self.host.exec(exec) => output.map_err(fault)?,
            () = self.ctx.cancel.cancelled() => return Err(stopped()),
        };
        if output.success() {
            return Ok(output);
        }
        let error = output.error(what);
        let summary = format!("{what} on {}: {}", self.host.endpoint(), error.status);
        Err(Fault::permanent(summary).details(error.last_lines.join("\n")))
    }
}

/// A step is not tried again by itself: half of it may have been done.
fn fault(error: SshError) -> Fault {
    let fault = Fault::permanent(error.report());
    match error.hint() {
        Some(hint) => fault.hint(hint).source(error),
        None => fault.source(error),
    }
}
