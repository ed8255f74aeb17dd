//! `grappe ssh` and `grappe kubectl`: a command on a machine of the state, over the connection that plans use: its host key is verified, its bastion gone
//! through, and machines that only grappe can reach are reached.

use std::io::{IsTerminal, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use grappe_provider::Registry;
use grappe_provider_host::Connection;
use grappe_ssh::{Exec, ExitStatus, Host, SshError, StreamKind, quote};
use grappe_state::State;
use grappe_value::addr::{InstanceAddr, InstanceKey};
use grappe_value::{Value, json};

use super::decode_object;
use super::run::Job;
use crate::Exit;
use crate::args::{KubectlArgs, SshArgs, StateArgs};
use crate::error::Explained;
use crate::ui::Ui;

/// A day: whoever watches ends it.
const LIMIT: Duration = Duration::from_secs(24 * 3600);
/// Where kubeadm leaves the administrator's access.
const ADMIN: &str = "/etc/kubernetes/admin.conf";

pub(super) fn run(ui: &Ui, args: &SshArgs) -> anyhow::Result<Exit> {
    on(ui, &args.dir, &args.state, &args.command.join(" "), true, |registry, state| {
        Ok(vec![machine(registry, state, &args.machine)?])
    })
}

pub(super) fn kubectl(ui: &Ui, args: &KubectlArgs) -> anyhow::Result<Exit> {
    let words: Vec<String> = args.arguments.iter().map(|word| quote(word)).collect();
    let script = format!("kubectl --kubeconfig {ADMIN} {}", words.join(" "));
    let reads = args.arguments.iter().any(|argument| reads_input(argument));
    on(ui, &args.dir, &args.state, &script, reads, |registry, state| {
        control_planes(registry, state, args.cluster.as_ref())
    })
}

/// Whether an argument of kubectl's has it read its input: `-f -`, `--filename=-`, `-i`, `-it`, `--stdin`. Without one, what is piped in is somebody else's,
/// and its end must not be waited for.
fn reads_input(argument: &str) -> bool {
    let letters = argument.strip_prefix('-').filter(|rest| rest.chars().all(|c| c.is_ascii_lowercase()));
    argument == "-"
        || argument.ends_with("=-")
        || argument.starts_with("--stdin")
        || letters.is_some_and(|letters| matches!(letters, "i" | "it" | "ti"))
}

/// Runs a script on the first of these machines that can be reached; where it `reads`, with what is piped in.
fn on(
    ui: &Ui,
    dir: &Path,
    at: &StateArgs,
    script: &str,
    reads: bool,
    choose: impl Fn(&Registry, &State) -> anyhow::Result<Vec<Connection>>,
) -> anyhow::Result<Exit> {
    let job = Job::new(ui, dir, at, None, 1)?;
    job.block_on(async {
        let ledger = job.store.load()?;
        let machines = choose(&job.registry, &ledger.state)?;
        let _world = job.open_world(&ledger).await?;
        let host = reach(&job, &machines).await.map_err(explain)?;
        let printer = ui.clone();
        let exec = Exec::new(script)
            .timeout(LIMIT)
            .stdin(if reads { input()? } else { Vec::new() })
            .on_output(Arc::new(move |kind, line| match kind {
                StreamKind::Stdout => printer.raw(&format!("{line}\n")),
                StreamKind::Stderr => printer.raw_error(&format!("{line}\n")),
            }));
        let output = tokio::select! {
            output = host.exec(exec) => output.map_err(explain)?,
            () = job.cancel.soft.cancelled() => return Ok(Exit::Interrupted),
        };
        Ok(match output.status {
            ExitStatus::Code(code) => Exit::Remote(u8::try_from(code).unwrap_or(u8::MAX)),
            ExitStatus::Signal(_) => Exit::Error,
        })
    })
}

/// The first that lets us in; the last refusal where none does.
async fn reach(job: &Job, machines: &[Connection]) -> Result<Host, SshError> {
    let mut machines = machines.iter().peekable();
    loop {
        let connection = machines.next().expect("there is at least one");
        match job.pool.host(&connection.endpoint(&job.setup.plan_dir)).await {
            Ok(host) => return Ok(host.with_sudo(connection.uses_sudo())),
            Err(error) if machines.peek().is_none() => return Err(error),
            Err(error) => job.ui.warn(&format!("{}: the next one is tried", error.report())),
        }
    }
}

/// What is piped in. Nothing where somebody sits at a terminal.
fn input() -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        stdin.lock().read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

/// A `host_machine` by its address, its key, or where SSH finds it.
fn machine(registry: &Registry, state: &State, wanted: &str) -> anyhow::Result<Connection> {
    let machines: Vec<(&InstanceAddr, Connection)> = connections(registry, state).collect();
    let is = |addr: &InstanceAddr, connection: &Connection| {
        let key = matches!(&addr.key, InstanceKey::Str(key) if **key == *wanted);
        addr.to_string() == wanted || key || connection.address == wanted || *addr.resource.name == *wanted
    };
    let mut found = machines.iter().filter(|(addr, connection)| is(addr, connection));
    match (found.next(), found.next()) {
        (Some((_, connection)), None) => Ok(connection.clone()),
        (Some((one, _)), Some((other, _))) => Err(Explained::new(format!("{wanted:?} is several machines"))
            .hint(format!("say which: {one}, {other}"))
            .into()),
        (None, _) => {
            let error = Explained::new(format!("the state has no host_machine {wanted:?}"));
            let names: Vec<String> = machines.iter().map(|(addr, _)| addr.to_string()).collect();
            Err(match names.is_empty() {
                true => error.hint(
                    "it has none: apply a plan with host_machine resources first; -dir names its folder",
                ),
                false => error.hint(format!("it has {}", names.join(", "))),
            }
            .into())
        }
    }
}

fn connections<'a>(
    registry: &'a Registry,
    state: &'a State,
) -> impl Iterator<Item = (&'a InstanceAddr, Connection)> {
    let machines = state.objects.iter().filter(|(addr, _)| &*addr.resource.ty == "host_machine");
    machines.filter_map(|(addr, object)| {
        Some((addr, connection(decode_object(registry, addr, object).get("connection")?)?))
    })
}

/// The machines through which the state's cluster can be managed.
fn control_planes(
    registry: &Registry,
    state: &State,
    wanted: Option<&InstanceAddr>,
) -> anyhow::Result<Vec<Connection>> {
    let all = state.objects.iter().filter(|(addr, _)| &*addr.resource.ty == "kubeadm_cluster");
    let mut clusters = all.filter(|(addr, _)| wanted.is_none_or(|wanted| wanted == *addr));
    let (addr, object) = match (clusters.next(), clusters.next()) {
        (Some(cluster), None) => cluster,
        (Some((one, _)), Some((other, _))) => {
            return Err(Explained::new("the state has several clusters")
                .hint(format!("say which: -cluster={one}, -cluster={other}"))
                .into());
        }
        (None, _) => {
            return Err(Explained::new("the state has no such kubeadm_cluster")
                .hint("apply a plan with one first; -dir names its folder")
                .into());
        }
    };
    let object = decode_object(registry, addr, object);
    let listed = object.get("cluster").and_then(|cluster| cluster.get("control_planes"));
    let machines: Vec<Connection> =
        listed.and_then(Value::as_items).into_iter().flatten().filter_map(connection).collect();
    if machines.is_empty() {
        return Err(Explained::new("the state knows no control plane of the cluster")
            .hint("apply the plan again: its creation did not come to an end")
            .into());
    }
    Ok(machines)
}

fn connection(value: &Value) -> Option<Connection> {
    serde_json::from_value(json::to_json(&value.clone().unmark_deep().0)).ok()
}

fn explain(error: SshError) -> anyhow::Error {
    let explained = Explained::new(error.report());
    match error.hint() {
        Some(hint) => explained.hint(hint).into(),
        None => explained.into(),
    }
}
