//! `host_package`: packages of the host's distribution, by its package manager. apt so far.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use grappe_provider::{Context, Fault, Limit, Problem, Resource};
use grappe_ssh::{Exec, Output, quote};
use grappe_value::{Attribute, Schema, Type, Value};
use serde::{Deserialize, Serialize};

use crate::{Connection, Hosts, Session};

/// Ours, with: no questions, old configuration files kept, ten minutes of patience with another apt (a fresh machine runs its
/// own at boot).
const APT: &str = "DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=600 \
                   -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold";

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
            "Packages that are installed on a host, with apt. Destroying it removes those that were not there before.",
        )
        .attr("host", Connection::attribute())
        .attr("names", Attribute::required(Type::set(Type::String), "The packages' names."))
        .attr(
            "version",
            Attribute::optional(
                Type::String,
                "Their version, as apt names it (`2.6.12-1`), or its beginning followed by `*` (`2.6.*`). Whatever is there \
                 otherwise, or else the newest.",
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

    async fn read(&self, ctx: &Context<Hosts>, state: State) -> Result<Option<State>, Fault> {
        let session = ctx.client().session(ctx, &state.host).await?;
        let installed = query(&session, &state.names).await?;
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
        let session = ctx.client().session(ctx, &state.host).await?;
        let held = query(&session, &state.names).await?.into_iter().filter(|(_, package)| package.held);
        let held: BTreeSet<String> = held.map(|(name, _)| name).collect();
        if state.hold && !held.is_empty() {
            mark(&session, "unhold", &held).await?;
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
    let before = query(&session, &args.names).await?;
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
    let missing: Vec<String> = state
        .names
        .iter()
        .filter(|name| {
            let package = before.get(*name);
            package.is_none_or(|package| {
                state.version.as_ref().is_some_and(|wanted| !fits(wanted, &package.version))
            })
        })
        .map(|name| match &state.version {
            Some(version) => quote(&format!("{name}={version}")),
            None => quote(name),
        })
        .collect();
    apt_install(&session, &missing).await?;
    let held = state.names.iter().all(|name| before.get(name).is_some_and(|package| package.held));
    if state.hold && !held {
        mark(&session, "hold", &state.names).await?;
    } else if !state.hold && before.values().any(|package| package.held) {
        mark(&session, "unhold", &state.names).await?;
    }
    state.versions = versions(query(&session, &state.names).await?);
    Ok(state)
}

/// Installs what is missing of these packages: for types whose service comes in one.
///
/// # Errors
/// The host has no apt, or apt fails.
pub async fn ensure(session: &Session, names: &[&str]) -> Result<(), Fault> {
    let names = names.iter().map(|&name| name.to_owned()).collect();
    let there = query(session, &names).await?;
    let missing: Vec<String> =
        names.iter().filter(|name| !there.contains_key(*name)).map(|name| quote(name)).collect();
    apt_install(session, &missing).await
}

/// Installs `NAME` or `NAME=VERSION`, quoted.
async fn apt_install(session: &Session, wanted: &[String]) -> Result<(), Fault> {
    if wanted.is_empty() {
        return Ok(());
    }
    let wanted = wanted.join(" ");
    session.progress(format!("installing {}", wanted.replace('\'', "")));
    let install =
        format!("{APT} install --no-install-recommends --allow-downgrades --allow-change-held-packages");
    // The lists of a fresh machine are empty, those of an old one stale: they are fetched when they turn out to be. What a
    // kill left half configured is finished first.
    let script = format!(
        "dpkg --configure -a && {{ {install} {wanted} || {{ {APT} update && {install} {wanted}; }}; }}"
    );
    apt(session, "install packages", &script).await
}

async fn remove(session: &Session, names: &BTreeSet<String>) -> Result<(), Fault> {
    // What is gone already is not named: apt does not know the names of packages that no list holds.
    let there = query(session, names).await?;
    if there.is_empty() {
        return Ok(());
    }
    let names = there.keys().map(|name| quote(name)).collect::<Vec<_>>().join(" ");
    session.progress("removing packages");
    apt(session, "remove packages", &format!("dpkg --configure -a && {APT} remove {names}")).await
}

async fn mark(session: &Session, how: &str, names: &BTreeSet<String>) -> Result<(), Fault> {
    let names = names.iter().map(|name| quote(name)).collect::<Vec<_>>().join(" ");
    session.run(&format!("apt-mark {how}"), format!("apt-mark {how} {names}")).await.map(drop)
}

async fn apt(session: &Session, what: &str, script: &str) -> Result<(), Fault> {
    let exec = Exec::new(script).timeout(Duration::from_secs(1800));
    session.run_exec(what, exec).await.map(drop).map_err(|mut fault| {
        let told = |texts: &[&str]| fault.details.iter().any(|line| texts.iter().any(|text| line.contains(text)));
        if told(&["Temporary failure resolving", "Failed to fetch", "Could not get lock", "Connection timed out"]) {
            fault.kind = grappe_provider::FaultKind::Transient(None);
        } else if told(&["Unable to locate package", "has no installation candidate", "was not found"]) {
            fault.hint = Some("check the name and the version, and the package sources of the host (`apt-cache policy NAME`)".into());
        }
        fault
    })
}

/// An installed package.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Package {
    version: String,
    held: bool,
}

/// Those of the packages that are installed.
async fn query(session: &Session, names: &BTreeSet<String>) -> Result<BTreeMap<String, Package>, Fault> {
    if names.is_empty() {
        return Ok(BTreeMap::new());
    }
    let quoted = names.iter().map(|name| quote(name)).collect::<Vec<_>>().join(" ");
    // dpkg-query exits with 1 when it does not know one of them, which is an answer.
    let script = format!(
        "if ! command -v dpkg-query >/dev/null 2>&1; then cat /etc/os-release; exit 44; fi\n\
         dpkg-query -W -f '${{Package}} ${{Version}} ${{db:Status-Abbrev}}\\n' {quoted} 2>/dev/null || true"
    );
    let output = session.ask(script).await?;
    match output.code() {
        Some(0) => Ok(parse_query(&output)),
        Some(44) => Err(not_apt(&output)),
        _ => Err(session.failure("dpkg-query", &output)),
    }
}

/// Lines of `name version xy`: x is what is wanted (i install, h hold), y what is (i installed).
fn parse_query(output: &Output) -> BTreeMap<String, Package> {
    let mut packages = BTreeMap::new();
    for line in output.stdout_str().lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let [name, version, status] = words[..]
            && status.as_bytes().get(1) == Some(&b'i')
        {
            let package = Package { version: version.to_owned(), held: status.starts_with('h') };
            packages.insert(name.to_owned(), package);
        }
    }
    packages
}

fn not_apt(output: &Output) -> Fault {
    let facts = crate::facts::parse(&output.stdout_str());
    let system = if facts.os_id.is_empty() { "an unknown system" } else { &facts.os_id };
    Fault::permanent(format!("host_package works with apt, which this host ({system}) has not"))
        .hint("use host_command with the host's own package manager")
}

fn versions(packages: BTreeMap<String, Package>) -> BTreeMap<String, String> {
    packages.into_iter().map(|(name, package)| (name, package.version)).collect()
}

/// Whether an installed version is the wanted one, which may end in `*`.
fn fits(wanted: &str, installed: &str) -> bool {
    match wanted.strip_suffix('*') {
        Some(beginning) => installed.starts_with(beginning),
        None => wanted == installed,
    }
}

/// Debian policy, 5.6.7.
fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
}

/// Debian policy, 5.6.12.
fn is_version(version: &str) -> bool {
    version.starts_with(|c: char| c.is_ascii_alphanumeric())
        && version.chars().all(|c| c.is_ascii_alphanumeric() || ".+-~:*".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;
    use grappe_ssh::ExitStatus;

    #[test]
    fn what_dpkg_says() {
        let stdout = b"haproxy 2.6.12-1+deb12u2 hi \ncurl 7.88.1-10 rc \nsudo 1.9.13p3-1 ii \n".to_vec();
        let packages = parse_query(&Output { status: ExitStatus::Code(0), stdout, stderr: vec![] });
        assert_eq!(packages.keys().collect::<Vec<_>>(), ["haproxy", "sudo"]);
        assert!(packages["haproxy"].held && !packages["sudo"].held);
    }

    #[test]
    fn versions_fit() {
        assert!(fits("2.6.*", "2.6.12-1") && fits("2.6.12-1", "2.6.12-1"));
        assert!(!fits("2.6", "2.6.12-1") && !fits("2.7.*", "2.6.12-1"));
        assert!(is_version("1:2.6~rc1+deb12u1-*") && !is_version("1 2") && !is_version("$(x)"));
        assert!(is_name("libstdc++6") && is_name("g++-12") && !is_name("-y") && !is_name("a b"));
    }
}
