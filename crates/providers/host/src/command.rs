//! `host_command`: a command on a host, with what tells whether it is needed and what undoes it.
//!
//! A command that has succeeded leaves a marker of its key on the host, so that a run that was killed before it could note the
//! success does not run it twice. Scripts and environment go over by standard input and show in no process list.

use std::collections::BTreeMap;

use grappe_provider::{Context, Fault, Importable, Problem, Resource, Timeouts};
use grappe_ssh::{Exec, quote};
use grappe_value::{Attribute, Schema, Type, Value};
use serde::{Deserialize, Serialize};
use std::time::Duration;

use crate::{Connection, Hosts, Session, duration};

/// Where the markers are.
const MARKERS: &str = "/var/lib/grappe/commands";

/// The resource type `host_command`.
pub struct HostCommand;

/// The arguments of a `host_command`.
#[derive(Deserialize)]
pub struct Args {
    host: Connection,
    run: String,
    unless: Option<String>,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    timeout: String,
}

/// What is kept of a `host_command`.
#[derive(Serialize, Deserialize)]
pub struct State {
    id: String,
    #[serde(skip_serializing)]
    host: Connection,
    #[serde(skip_serializing)]
    unless: Option<String>,
    #[serde(skip_serializing)]
    undo: Option<String>,
    #[serde(skip_serializing, default)]
    environment: BTreeMap<String, String>,
    #[serde(skip_serializing)]
    timeout: String,
}

impl Resource for HostCommand {
    type Client = Hosts;
    type Args = Args;
    type State = State;

    fn name(&self) -> &'static str {
        "host_command"
    }

    fn schema(&self) -> Schema {
        Schema::new(
            "A command on a host, for what no other type does. `run` runs at creation and when it changes; `unless` says by exit \
             status 0 that there is nothing to do, and is asked at each refresh; `undo` runs at destruction.",
        )
        .attr("host", Connection::attribute().home())
        .attr("run", Attribute::required(Type::String, "A POSIX sh script. It should do no harm when it runs again."))
        .attr(
            "unless",
            Attribute::optional(Type::String, "A script that exits with 0 when what `run` does is done. It must change nothing.")
                .record(),
        )
        .attr("undo", Attribute::optional(Type::String, "A script that takes back what `run` did.").record())
        .attr(
            "triggers",
            Attribute::optional(Type::map(Type::String), "Where one of these values changes, the command is undone and run anew.")
                .replace(),
        )
        .attr(
            "environment",
            Attribute::optional(Type::map(Type::String), "Variables for the scripts. They are never shown.").sensitive(),
        )
        .attr("timeout", Attribute::optional(Type::String, "How long a script may run: `90s`, `10m`.").default("10m").record())
        .attr("id", Attribute::computed(Type::String, "The name of its marker on the host."))
    }

    fn validate(&self, config: &Value) -> Vec<Problem> {
        let mut problems = Vec::new();
        if let Some(text) = config.get("timeout").and_then(Value::as_str)
            && let Err(why) = duration::parse(text)
        {
            problems.push(Problem::new("timeout", why));
        }
        for name in config.get("environment").and_then(Value::as_entries).into_iter().flat_map(BTreeMap::keys)
        {
            if !is_name(name) {
                problems.push(Problem::new("environment", format!("{name:?} can't be a variable's name")));
            }
        }
        problems
    }

    fn timeouts(&self) -> Timeouts {
        // The argument `timeout` ends it before that.
        let long = Duration::from_secs(24 * 3600);
        Timeouts { create: long, update: long, delete: long, ..Timeouts::default() }
    }

    fn importable(&self) -> Importable {
        Importable::Not(
            "a command leaves nothing that an id names; where its `unless` says that all is done, creating it does nothing",
        )
    }

    async fn read(&self, ctx: &Context<Hosts>, state: State) -> Result<Option<State>, Fault> {
        let Some(unless) = &state.unless else { return Ok(Some(state)) };
        let session = ctx.client().session(ctx, &state.host).await?;
        let done = is_done(&session, unless, &state.environment, &state.timeout).await?;
        Ok(done.then_some(state))
    }

    async fn create(&self, ctx: &Context<Hosts>, args: Args) -> Result<State, Fault> {
        perform(ctx, args, ctx.key().to_owned(), true).await
    }

    async fn update(&self, ctx: &Context<Hosts>, prior: State, args: Args) -> Result<State, Fault> {
        perform(ctx, args, prior.id, false).await
    }

    async fn delete(&self, ctx: &Context<Hosts>, state: State) -> Result<(), Fault> {
        let session = ctx.client().session(ctx, &state.host).await?;
        if let Some(undo) = &state.undo {
            let session = session.hide(state.environment.values());
            session.progress("undoing");
            session.run_exec("undo", script(undo, &state.environment, &state.timeout)?).await?;
        }
        session.ask(format!("rm -f {MARKERS}/{}", quote(&state.id))).await?;
        Ok(())
    }
}

async fn perform(ctx: &Context<Hosts>, args: Args, id: String, first: bool) -> Result<State, Fault> {
    let session = ctx.client().session(ctx, &args.host).await?.hide(args.environment.values());
    let marker = format!("{MARKERS}/{}", quote(&id));
    let done = match &args.unless {
        Some(unless) => is_done(&session, unless, &args.environment, &args.timeout).await?,
        // Only `unless` can tell whether a changed command is done.
        None => first && session.ask(format!("[ -e {marker} ]")).await?.success(),
    };
    if !done {
        session.progress("running");
        // In a subshell, so that an `exit` in it does not skip the marker. A host where we may not write there does without.
        let run = format!(
            "(\n{}\n) || exit $?\nmkdir -p {MARKERS} 2>/dev/null && : > {marker} || true",
            args.run.trim_end()
        );
        session.run_exec("run", script(&run, &args.environment, &args.timeout)?).await?;
    }
    let Args { host, unless, environment, timeout, .. } = args;
    Ok(State { id, host, unless, undo: None, environment, timeout })
}

async fn is_done(
    session: &Session,
    unless: &str,
    environment: &BTreeMap<String, String>,
    timeout: &str,
) -> Result<bool, Fault> {
    Ok(session.exec(script(unless, environment, timeout)?).await?.success())
}

/// The script with its environment, to be handed over by standard input.
fn script(body: &str, environment: &BTreeMap<String, String>, timeout: &str) -> Result<Exec, Fault> {
    let limit = duration::parse(timeout).map_err(|why| Fault::permanent(why).attribute("timeout"))?;
    let mut text = String::new();
    for (name, value) in environment {
        if !is_name(name) {
            return Err(
                Fault::permanent(format!("{name:?} can't be a variable's name")).attribute("environment")
            );
        }
        text.push_str(&format!("export {name}={}\n", quote(value)));
    }
    text.push_str(body);
    Ok(Exec::new(text).private(true).timeout(limit))
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
