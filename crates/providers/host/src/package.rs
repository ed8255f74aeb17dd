//! `host_package`: packages of the host's distribution, by its package manager.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use grappe_provider::{Context, Fault, Importable, Limit, Problem, Resource};
use grappe_ssh::{Exec, Output};
use grappe_value::{Attribute, Schema, Type, Value};
use serde::{Deserialize, Serialize};

use crate::packages::{self, Complaint, Manager, Survey, Wanted};
use crate::{Connection, Hosts, Session};

/// The resource type `host_package`.
pub struct HostPackage;

/// The arguments of a `host_package`.
#[derive(Deserialize)]
pub struct Args {
    host: Connection,
    names: BTreeSet<String>,
    version: Option<String>,
    hold: bool,
}

/// What is kept of a `host_package`.
#[derive(Serialize, Deserialize)]
pub struct State {
    #[serde(skip_serializing)]
    host: Connection,
    names: BTreeSet<String>,
    version: Option<String>,
    hold: bool,
    #[serde(default)]
    versions: BTreeMap<String, String>,
    #[serde(default)]
    added: BTreeSet<String>,
}

impl Resource for HostPackage {
    type Client = Hosts;
    type Args = Args;
    type State = State;

    fn name(&self) -> &'static str {
        "host_package"
    }

    fn schema(&self) -> Schema {
        Schema::new(
            "Packages that are installed on a host, with apt, dnf or tdnf, whichever it has. Destroying it removes those that were not \
             there before.",
        )
        .attr("host", Connection::attribute().home())
        .attr("names", Attribute::required(Type::set(Type::String), "The packages' names."))
        .attr(
            "version",
            Attribute::optional(
                Type::String,
                "Their version, as the package manager names it (`2.6.12-1`), or its beginning followed by `*` (`2.6.*`). \
                 Whatever is there otherwise, or else the newest.",
            ),
        )
        .attr("hold", Attribute::optional(Type::Bool, "Whether upgrades of the system leave them alone.").default(false))
        .attr("versions", Attribute::computed(Type::map(Type::String), "The installed version of each."))
        .attr("added", Attribute::computed(Type::set(Type::String), "Those that were not there before."))
    }

    fn validate(&self, config: &Value) -> Vec<Problem> {
        let mut problems = Vec::new();
        let names = config.get("names").and_then(Value::as_items).unwrap_or_default();
        for name in names.iter().filter_map(Value::as_str).filter(|name| !is_name(name)) {
            problems.push(Problem::new("names", format!("{name:?} is not a package's name")));
        }
        if let Some(version) = config.get("version").and_then(Value::as_str)
            && !is_version(version)
        {
            problems.push(Problem::new("version", format!("{version:?} is not a package's version")));
        }
        problems
    }

    fn plan(&self, change: &mut grappe_provider::Change<'_>) {
        if ["names", "version", "hold"].iter().any(|name| change.changes(name)) {
            change.set_unknown("versions");
            change.set_unknown("added");
        }
    }

    /// A host has one package database, and whoever comes second waits for its lock.
    fn limits(&self, object: &Value) -> Vec<Limit> {
        let part = |name: &str| object.get("host").and_then(|host| host.get(name)).and_then(Value::as_str);
        let host = part("id").or_else(|| part("address"));
        host.map(|host| Limit { group: format!("packages of {host}"), max: 1 }).into_iter().collect()
    }

    fn importable(&self) -> Importable {
        Importable::Not(
            "creating it leaves packages that are there as they are, and destroying it leaves them too",
        )
    }

    async fn read(&self, ctx: &Context<Hosts>, state: State) -> Result<Option<State>, Fault> {
        let session = ctx.client().session(ctx, &state.host).await?;
        let installed = survey(&session, &state.names).await?.packages;
        if installed.is_empty() && !state.names.is_empty() {
            return Ok(None);
        }
        let version = state.version.as_deref().map(|wanted| {
            let other = installed.values().find(|package| !fits(wanted, &package.version));
            other.map_or_else(|| wanted.to_owned(), |package| package.version.clone())
        });
        let names: BTreeSet<String> = installed.keys().cloned().collect();
        Ok(Some(State {
            host: state.host,
            version,
            // All held, or none: a mixture is shown as what is not wanted.
            hold: if state.hold {
                installed.values().all(|package| package.held)
            } else {
                installed.values().any(|package| package.held)
            },
            added: state.added.intersection(&names).cloned().collect(),
            versions: versions(installed),
            names,
        }))
    }

    async fn create(&self, ctx: &Context<Hosts>, args: Args) -> Result<State, Fault> {
        let earlier = ctx.resumed::<State>().map(|state| state.added);
        install(ctx, args, BTreeSet::new(), earlier).await
    }

    async fn update(&self, ctx: &Context<Hosts>, prior: State, args: Args) -> Result<State, Fault> {
        let dropped: BTreeSet<String> =
            prior.added.iter().filter(|name| !args.names.contains(*name)).cloned().collect();
        if !dropped.is_empty() {
            let session = ctx.client().session(ctx, &args.host).await?;
            remove(&session, &dropped).await?;
        }
        let kept = prior.added.difference(&dropped).cloned().collect();
        install(ctx, args, kept, None).await
    }

    async fn delete(&self, ctx: &Context<Hosts>, state: State) -> Result<(), Fault> {
        let Some(session) = ctx.client().session_to_leave(ctx, &state.host).await? else { return Ok(()) };
        let found = survey(&session, &state.names).await?;
        let held = found.packages.iter().filter(|(_, package)| package.held);
        let held: BTreeSet<String> = held.map(|(name, _)| name.clone()).collect();
        if state.hold && !held.is_empty() {
            mark(&session, found.manager, false, &held).await?;
        }
        remove(&session, &state.added).await
    }
}

/// Installs what is missing. `added` were added by earlier operations, `earlier` by this one before it was interrupted.
async fn install(
    ctx: &Context<Hosts>,
    args: Args,
    mut added: BTreeSet<String>,
    earlier: Option<BTreeSet<String>>,
) -> Result<State, Fault> {
    let session = ctx.client().session(ctx, &args.host).await?;
    let Survey { manager, packages: before } = survey(&session, &args.names).await?;
    added.extend(earlier.unwrap_or_default());
    added.extend(args.names.iter().filter(|name| !before.contains_key(*name)).cloned());
    let mut state = State {
        host: args.host,
        names: args.names,
        version: args.version,
        hold: args.hold,
        versions: versions(before.clone()),
        added,
    };
    ctx.checkpoint(&state).await?;
    let missing: Vec<Wanted<'_>> = state
        .names
        .iter()
        .filter(|name| {
            let package = before.get(*name);
            package.is_none_or(|package| {
                state.version.as_ref().is_some_and(|wanted| !fits(wanted, &package.version))
            })
        })
        .map(|name| Wanted { name, version: state.version.as_deref() })
        .collect();
    add(&session, manager, &missing).await?;
    let held = state.names.iter().all(|name| before.get(name).is_some_and(|package| package.held));
    if state.hold && !held {
        mark(&session, manager, true, &state.names).await?;
    } else if !state.hold && before.values().any(|package| package.held) {
        mark(&session, manager, false, &state.names).await?;
    }
    state.versions = versions(survey(&session, &state.names).await?.packages);
    Ok(state)
}

/// Installs what is missing of these packages: for types whose service comes in one.
///
/// # Errors
/// The host has no package manager that is known, or it fails.
pub async fn ensure(session: &Session, names: &[&str]) -> Result<(), Fault> {
    let found = survey(session, &names.iter().map(|&name| name.to_owned()).collect()).await?;
    let missing: Vec<Wanted<'_>> = names
        .iter()
        .filter(|name| !found.packages.contains_key(**name))
        .map(|name| Wanted::any(name))
        .collect();
    add(session, found.manager, &missing).await
}

async fn add(session: &Session, manager: Manager, wanted: &[Wanted<'_>]) -> Result<(), Fault> {
    if wanted.is_empty() {
        return Ok(());
    }
    let word = |wanted: &Wanted<'_>| match wanted.version {
        Some(version) => format!("{} {version}", wanted.name),
        None => wanted.name.to_owned(),
    };
    session.progress(format!("installing {}", wanted.iter().map(word).collect::<Vec<_>>().join(", ")));
    manage(session, manager, "install packages", &manager.install(wanted)).await
}

async fn remove(session: &Session, names: &BTreeSet<String>) -> Result<(), Fault> {
    // What is gone already is not named: apt does not know the names of packages that no list holds.
    let found = survey(session, names).await?;
    if found.packages.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = found.packages.keys().map(String::as_str).collect();
    session.progress("removing packages");
    manage(session, found.manager, "remove packages", &found.manager.remove(&names)).await
}

async fn mark(
    session: &Session,
    manager: Manager,
    hold: bool,
    names: &BTreeSet<String>,
) -> Result<(), Fault> {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (what, script) = if hold {
        ("hold packages", manager.hold(&names))
    } else {
        ("unhold packages", manager.unhold(&names))
    };
    session.run(what, script).await.map(drop)
}

/// Runs a script of the package manager, and says of its complaints what they mean.
///
/// # Errors
/// Transient when the network or a lock is to blame; permanent otherwise.
pub async fn manage(session: &Session, manager: Manager, what: &str, script: &str) -> Result<(), Fault> {
    let exec = Exec::new(script).timeout(Duration::from_secs(1800));
    session.run_exec(what, exec).await.map(drop).map_err(|fault| judge(fault, manager))
}

/// A failure of the package manager, which may pass by itself, or be the fault of a name.
#[must_use]
pub fn judge(mut fault: Fault, manager: Manager) -> Fault {
    match manager.complaint(&fault.details) {
        Some(Complaint::Passing) => fault.kind = grappe_provider::FaultKind::Transient(None),
        Some(Complaint::Unknown) => {
            fault.hint = Some(format!(
                "check the name and the version, and the package sources of the host (`{}`)",
                manager.show()
            ));
        }
        None => {}
    }
    fault
}

/// The manager, and those of the packages that are installed.
async fn survey(session: &Session, names: &BTreeSet<String>) -> Result<Survey, Fault> {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let output = session.ask(packages::survey(&names)).await?;
    match (output.code(), packages::read_survey(&output.stdout_str())) {
        (Some(0), Some(found)) => Ok(found),
        (Some(44), _) => Err(no_manager(&output)),
        _ => Err(session.failure("ask for the installed packages", &output)),
    }
}

fn no_manager(output: &Output) -> Fault {
    let facts = crate::facts::parse(&output.stdout_str());
    let system = if facts.os_id.is_empty() { "an unknown system" } else { &facts.os_id };
    Fault::permanent(format!(
        "host_package works with apt, dnf and tdnf, none of which this host ({system}) has"
    ))
    .hint("use host_command with the host's own package manager")
}

fn versions(packages: BTreeMap<String, packages::Package>) -> BTreeMap<String, String> {
    packages.into_iter().map(|(name, package)| (name, package.version)).collect()
}

/// Whether an installed version is the wanted one, which may end in `*`.
fn fits(wanted: &str, installed: &str) -> bool {
    match wanted.strip_suffix('*') {
        Some(beginning) => installed.starts_with(beginning),
        None => wanted == installed,
    }
}

/// Debian policy, 5.6.7; RPM allows `_` besides.
fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "+-._".contains(c))
}

/// Debian policy, 5.6.12; RPM allows `^` and `_` besides.
fn is_version(version: &str) -> bool {
    version.starts_with(|c: char| c.is_ascii_alphanumeric())
        && version.chars().all(|c| c.is_ascii_alphanumeric() || ".+-~:*^_".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_fit() {
        assert!(fits("2.6.*", "2.6.12-1") && fits("2.6.12-1", "2.6.12-1"));
        assert!(!fits("2.6", "2.6.12-1") && !fits("2.7.*", "2.6.12-1"));
        assert!(is_version("1:2.6~rc1+deb12u1-*") && !is_version("1 2") && !is_version("$(x)"));
        assert!(is_name("libstdc++6") && is_name("g++-12") && !is_name("-y") && !is_name("a b"));
    }
}
