//! `local-exec`: a command on this computer.
//!
//! A command does not outlive this program: beside it, in its process group, a watcher reads from a pipe that this program holds open. Where that ends
//! without a word, this program is gone, however it went, and the watcher ends the group. (A parent-death signal would reach the command alone and none
//! of what it has started, and it comes when the *thread* that forked ends: threads of a pool end while the program lives on.)

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use grappe_provider::{AnyProvisioner, Fault, Problem, Run, StepContext, Stream};
use grappe_value::{Attribute, Schema, Type, Value};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWriteExt as _, BufReader};
use tokio::process::Command;

use crate::{arguments, stopped};

/// Runs what follows, with nothing as its input, beside a watcher on what is the input here. The watcher is no child of the command, which may wait for all
/// that it has.
const GUARDED: &str =
    r#"exec 3<&0; ( { read -r _ <&3 || kill -KILL 0; } >/dev/null 2>&1 & ); exec "$@" 3<&- </dev/null"#;
/// How long a command that is told to end has before it is killed.
const GRACE: Duration = Duration::from_secs(2);
/// How long output may stay open after the command has ended: what it left running in the background is not waited for.
const QUIET: Duration = Duration::from_secs(2);
/// How many of its last lines a failed command is quoted with.
const TOLD: usize = 20;

pub(crate) struct LocalExec {
    schema: Schema,
}

#[derive(Deserialize)]
struct Arguments {
    command: String,
    working_dir: Option<String>,
    interpreter: Option<Vec<String>>,
    #[serde(default)]
    environment: BTreeMap<String, Option<String>>,
    #[serde(default)]
    quiet: bool,
}

impl LocalExec {
    pub(crate) fn new() -> Self {
        let text = |what| Attribute::optional(Type::String, what);
        LocalExec {
            schema: Schema::new("A command on this computer.")
                .attr("command", Attribute::required(Type::String, "The command."))
                .attr("working_dir", text("Where it runs: from the plan's folder, which it is where nothing is said."))
                .attr(
                    "interpreter",
                    Attribute::optional(
                        Type::list(Type::String),
                        "The program that runs it, with its arguments; the command is the last one. `/bin/sh -c` where nothing is said.",
                    ),
                )
                .attr(
                    "environment",
                    Attribute::optional(Type::map(Type::String), "Variables for it, beside those of this program."),
                )
                .attr("quiet", Attribute::optional(Type::Bool, "The command itself is not shown.")),
        }
    }
}

impl AnyProvisioner for LocalExec {
    fn name(&self) -> &'static str {
        "local-exec"
    }

    fn schema(&self) -> &Schema {
        &self.schema
    }

    fn connection(&self) -> Option<&Schema> {
        None
    }

    fn validate(&self, config: &Value, _: Option<&Value>) -> Vec<Problem> {
        let mut problems = Vec::new();
        if config.get("command").and_then(Value::as_str).is_some_and(|c| c.trim().is_empty()) {
            problems.push(Problem::new("command", "The command is empty."));
        }
        if config.get("interpreter").and_then(Value::as_items).is_some_and(<[Value]>::is_empty) {
            problems.push(Problem::new("interpreter", "A program is needed: the list is empty."));
        }
        problems
    }

    fn run<'a>(
        &'a self,
        ctx: StepContext,
        config: &'a Value,
        _: Option<&'a Value>,
    ) -> BoxFuture<'a, Result<(), Fault>> {
        async move { run(&ctx, arguments("local-exec", config)?).await }.boxed()
    }
}

async fn run(ctx: &StepContext, args: Arguments) -> Result<(), Fault> {
    let default = || vec!["/bin/sh".to_owned(), "-c".to_owned()];
    let interpreter = args.interpreter.filter(|i| !i.is_empty()).unwrap_or_else(default);
    let (program, rest) =
        interpreter.split_first().ok_or_else(|| Fault::permanent("no interpreter is given"))?;
    let dir = ctx.setup.plan_dir.join(args.working_dir.as_deref().unwrap_or("."));
    if !args.quiet {
        let first = args.command.lines().next().unwrap_or_default();
        ctx.run.progress(&format!("local-exec: {first}"));
    }
    let not_started =
        |e: io::Error| Fault::permanent(format!("{program} can't be started in {}", dir.display())).source(e);
    let path = args.environment.get("PATH").cloned().flatten().map(Into::into);
    if !is_there(program, &dir, path.or_else(|| std::env::var_os("PATH"))) {
        return Err(not_started(io::Error::from(io::ErrorKind::NotFound)));
    }
    let mut child = Command::new("/bin/sh")
        .args(["-c", GUARDED, "sh", program])
        .args(rest)
        .arg(&args.command)
        .current_dir(&dir)
        .envs(args.environment.into_iter().filter_map(|(name, value)| Some((name, value?))))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // A group of its own: a Ctrl-C is for this program, which ends the command when it is time.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(not_started)?;
    // Held until the command has ended: waiting for it would close it.
    let watched = child.stdin.take();
    let last = Arc::new(Mutex::new(Vec::new()));
    let listen = |stream, kind| listen(stream, kind, ctx.run.clone(), last.clone());
    let output = futures::future::join(
        listen(child.stdout.take().map(|s| Box::new(s) as Box<dyn AsyncRead + Send + Unpin>), Stream::Stdout),
        listen(child.stderr.take().map(|s| Box::new(s) as Box<dyn AsyncRead + Send + Unpin>), Stream::Stderr),
    );
    let mut output = std::pin::pin!(output);
    let group = child.id().and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw);
    let mut heard = false;
    let status = loop {
        tokio::select! {
            status = child.wait() => break status.map_err(|e| Fault::permanent("the command can't be waited for").source(e))?,
            _ = &mut output, if !heard => heard = true,
            () = ctx.cancel.cancelled() => {
                end(group, &mut child).await;
                return Err(stopped());
            }
        }
    };
    if let Some(mut watched) = watched {
        // What it leaves running in the background stays.
        let _ = watched.write_all(b"\n").await;
    }
    if !heard {
        let _ = tokio::time::timeout(QUIET, output).await;
    }
    if status.success() {
        return Ok(());
    }
    let last = last.lock().unwrap_or_else(PoisonError::into_inner).join("\n");
    Err(Fault::permanent(format!("the command of local-exec failed: {status}")).details(last))
}

/// Whether there is such a program: a path from `dir`, or a name in one of the folders of `path`.
fn is_there(program: &str, dir: &Path, path: Option<OsString>) -> bool {
    let runs = |at: &Path| at.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0);
    match program.contains('/') {
        true => runs(&dir.join(program)),
        false => std::env::split_paths(&path.unwrap_or_default()).any(|folder| runs(&folder.join(program))),
    }
}

/// Ends the command with all that it has started.
async fn end(group: Option<Pid>, child: &mut tokio::process::Child) {
    let signal = |signal| group.map(|group| killpg(group, signal));
    // What has ended meanwhile is what is wanted.
    let _ = signal(Signal::SIGTERM);
    if tokio::time::timeout(GRACE, child.wait()).await.is_err() {
        let _ = signal(Signal::SIGKILL);
        let _ = child.wait().await;
    }
}

/// Passes lines on, and keeps the last ones.
async fn listen(
    stream: Option<Box<dyn AsyncRead + Send + Unpin>>,
    kind: Stream,
    run: Arc<dyn Run>,
    last: Arc<Mutex<Vec<String>>>,
) {
    let Some(stream) = stream else { return };
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    while let Ok(1..) = reader.read_until(b'\n', &mut line).await {
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end_matches(['\n', '\r']);
        run.output(kind, text);
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.len() == TOLD {
            last.remove(0);
        }
        last.push(text.to_owned());
        line.clear();
    }
}
