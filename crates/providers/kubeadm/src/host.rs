//! `kubeadm_host`: a machine that kubeadm can work on. Debian and Ubuntu, the RHEL family, Photon.
//!
//! It is made of parts, in this order: swap off, kernel modules, sysctls, the resolver, SELinux, the firewall, the proxy, the
//! package source, the packages (held at one release), the clock, and containerd with its registries. Each is read back in
//! one round trip and compared with what it should be; `parts` says of each `as wanted`, or in what it differs, and a plan
//! shows that difference. Only what differs is touched.
//!
//! What is seen and left alone, such as SELinux or a choice between several addresses, is said in `notes`.
//!
//! The release of a machine that is a node of a cluster is never changed here: that is an upgrade, which has an order, and is
//! the cluster's and the workers' own. A new `version` then only sets the source of that release, for the upgrade to take from;
//! the packages read `as wanted` whatever their release is, as long as they are there and held.

mod address;
mod apply;
mod args;
mod observe;
mod parts;
pub mod release;
mod system;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use grappe_kubeadm::version::KubernetesVersion;
use grappe_provider::{Change, Context, Fault, Importable, Problem, Resource};
use grappe_provider_host::{Connection, Session};
use grappe_value::{Attribute, Schema, Type, Value};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

pub use self::args::Args;
use self::observe::Observed;
use self::parts::{AS_WANTED, PARTS};
use crate::client::Client;

/// The resource type.
pub struct KubeadmHost;

/// What is known of a machine.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct State {
    #[serde(flatten, skip_serializing)]
    args: Args,
    /// The node's address.
    #[serde(default)]
    node_ip: Option<String>,
    /// How each part stands.
    #[serde(default)]
    parts: BTreeMap<String, String>,
    /// What is seen and left alone.
    #[serde(default)]
    notes: Vec<String>,
}

impl Resource for KubeadmHost {
    type Client = Client;
    type Args = Args;
    type State = State;

    fn name(&self) -> &'static str {
        "kubeadm_host"
    }

    fn schema(&self) -> Schema {
        schema()
    }

    fn validate(&self, config: &Value) -> Vec<Problem> {
        validate(config)
    }

    fn plan(&self, change: &mut Change<'_>) {
        change.set("parts", Value::map(Type::String, PARTS.map(|part| (part, Value::from(AS_WANTED)))));
        change.set_unknown("notes");
        if change.prior.is_some() && change.changes("node_cidr") {
            change.set_unknown("node_ip");
        }
    }

    fn importable(&self) -> Importable {
        Importable::Not("creating it looks first, and changes on the host what differs")
    }

    async fn read(&self, ctx: &Context<Client>, state: State) -> Result<Option<State>, Fault> {
        let session = session(ctx, &state.args).await?;
        let observed = Observed::read(&session, &state.args).await?;
        let kept = state.node_ip.clone().filter(|ip| observed.has_address(ip));
        let node_ip = kept.or_else(|| observed.node_ip(&state.args).ok());
        let notes = observed.notes(&state.args, node_ip.as_deref());
        Ok(Some(State { node_ip, parts: observed.parts(&state.args), notes, ..state }))
    }

    async fn create(&self, ctx: &Context<Client>, args: Args) -> Result<State, Fault> {
        converge(ctx, args).await
    }

    async fn update(&self, ctx: &Context<Client>, _: State, args: Args) -> Result<State, Fault> {
        converge(ctx, args).await
    }

    /// Takes back what would surprise on a machine that stays: the hold, the swap that fstab had, the written files.
    /// The packages stay: others may use them by now.
    async fn delete(&self, ctx: &Context<Client>, state: State) -> Result<(), Fault> {
        match ctx.client().hosts().session_to_leave(ctx, &state.args.host).await? {
            Some(session) => apply::undo(&session.hide(state.args.secrets()), &state.args).await,
            None => Ok(()),
        }
    }

    async fn adopt(&self, _: &Context<Client>, _: Args) -> Result<Option<State>, Fault> {
        // Nothing is made that could be left behind: a preparation that was cut off is gone on with.
        Ok(None)
    }
}

/// A session that shows no password of a proxy.
async fn session(ctx: &Context<Client>, args: &Args) -> Result<Session, Fault> {
    Ok(ctx.client().reach(ctx, &args.host).await?.session().hide(args.secrets()))
}

async fn converge(ctx: &Context<Client>, args: Args) -> Result<State, Fault> {
    let session = session(ctx, &args).await?;
    apply::wait_for_machine(ctx, &session).await?;
    let observed = apply::converge(ctx, &session, &args).await?;
    let parts = observed.parts(&args);
    if let Some((part, differs)) = parts.iter().find(|(_, state)| *state != AS_WANTED) {
        let name = &session.host().endpoint().address;
        return Err(Fault::permanent(format!("{name}: {part} is not as wanted after it was set: {differs}"))
            .hint("something on the machine sets it back: another tool that manages it, or its image's own start-up"));
    }
    let node_ip = observed.node_ip(&args)?;
    let notes = observed.notes(&args, Some(&node_ip));
    for note in &notes {
        ctx.progress(format!("note: {note}"));
    }
    Ok(State { notes, node_ip: Some(node_ip), parts, args })
}

fn schema() -> Schema {
    let source = Type::optional_object([
        ("kind", Type::String),
        ("uri", Type::String),
        ("suite", Type::String),
        ("components", Type::list(Type::String)),
        ("key_url", Type::String),
        ("trusted", Type::Bool),
    ]);
    let registry = Type::optional_object([
        ("endpoints", Type::list(Type::String)),
        ("server", Type::String),
        ("ca", Type::String),
        ("skip_verify", Type::Bool),
        ("override_path", Type::Bool),
    ]);
    let containerd = Type::optional_object([
        ("package", Type::String),
        ("sandbox_image", Type::String),
        ("cni_bin_dir", Type::String),
        ("restrict_oom_score_adj", Type::Bool),
        ("registry_mirrors", Type::map(Type::String)),
        ("registries", Type::map(registry)),
    ]);
    let proxy = Type::optional_object([
        ("http", Type::String),
        ("https", Type::String),
        ("no_proxy", Type::list(Type::String)),
    ]);
    Schema::new(
        "A machine prepared for kubeadm: container runtime, packages, kernel and network settings. Debian and Ubuntu; the \
         RHEL family and Photon by recorded transcripts of their commands only, since neither could be run in the tests.",
    )
    .attr("host", Connection::attribute().home())
    .attr("version", Attribute::required(Type::String, "The Kubernetes release of its packages: `1.34.2`, or `1.34` for the newest of that minor. On a node of a cluster a new one sets the package source, no more: the packages follow in the cluster's upgrade."))
    .attr(
        "package_source",
        Attribute::optional(
            source,
            "Where they come from. `kind`: `upstream` (pkgs.k8s.io, the default; `uri` for a mirror of it), `apt` or `rpm` (a \
             repository of your own: `uri`, and as needed `suite`, `components`, `key_url`, `trusted`), or `distribution` (what \
             the machine has set up; the default on Photon).",
        ),
    )
    .attr(
        "containerd",
        Attribute::optional(
            containerd,
            "The container runtime: its `package` (`containerd`; `containerd.io` on the RHEL family), `sandbox_image` (kubeadm's \
             choice), `cni_bin_dir` (`/opt/cni/bin`), `restrict_oom_score_adj` (found out: true where the machine may not lower \
             OOM scores), `registry_mirrors` (registry to URL), and `registries` where there is more to say: each has `endpoints` \
             (tried in order), and as needed `server`, `ca` (PEM, or a path on the machine), `skip_verify`, `override_path`.",
        ),
    )
    .attr("extra_sysctls", Attribute::optional(Type::map(Type::String), "More sysctls, beside those Kubernetes needs."))
    .attr("extra_packages", Attribute::optional(Type::list(Type::String), "More packages that nodes need, such as `nfs-common`."))
    .attr("node_cidr", Attribute::optional(Type::String, "The network whose address is the node's, on machines with several."))
    .attr("time", Attribute::optional(Type::String, "`sync`: something must keep the clock, and is installed where nothing does. `ignore`: that is no matter here. Left out: `sync`, except in containers, whose clock is their host's."))
    .attr("resolv_conf", Attribute::optional(Type::String, "The resolv.conf that the kubelet hands to pods. Left out: /etc/resolv.conf, or the one behind it where that leads back to the machine itself."))
    .attr("selinux", Attribute::optional(Type::String, "`permissive` to make SELinux so. Left out, it stays as it is."))
    .attr("trusted_networks", Attribute::optional(Type::list(Type::String), "Networks that the machine's firewall lets in whole (nodes, pods, services), where there is one: Photon's iptables, firewalld."))
    .attr(
        "proxy",
        Attribute::optional(
            proxy,
            "The way out of the machine's network, for packages, containerd and the kubelet: `http`, `https` (URLs) and \
             `no_proxy` (what is reached without it: give the nodes', pods' and services' networks).",
        )
        .sensitive(),
    )
    .attr("node_ip", Attribute::computed(Type::String, "The node's address: the one in `node_cidr`, or the host's own."))
    .attr("parts", Attribute::computed(Type::map(Type::String), "How each part stands: `as wanted`, or in what it differs."))
    .attr("notes", Attribute::computed(Type::list(Type::String), "What was seen on the machine and left alone.").record())
}

fn validate(config: &Value) -> Vec<Problem> {
    let mut problems = Vec::new();
    let text = |name: &str| config.get(name).and_then(Value::as_str);
    if let Some(Err(error)) = text("version").map(str::parse::<KubernetesVersion>) {
        problems.push(Problem::new("version", error.to_string()));
    }
    let networks = config.get("trusted_networks").and_then(Value::as_items).unwrap_or_default();
    let networks = networks.iter().filter_map(Value::as_str).map(|network| ("trusted_networks", network));
    for (name, cidr) in text("node_cidr").map(|cidr| ("node_cidr", cidr)).into_iter().chain(networks) {
        if cidr.parse::<IpNet>().is_err() {
            problems.push(Problem::new(
                name,
                format!("{cidr:?} is not a network: write one such as `10.0.0.0/24`"),
            ));
        }
    }
    for (name, words) in [("time", ["sync", "ignore"].as_slice()), ("selinux", &["permissive"])] {
        if let Some(other) = text(name).filter(|word| !words.contains(word)) {
            let known = words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" or ");
            problems.push(Problem::new(
                name,
                format!("{other:?} means nothing here: write {known}, or leave it out"),
            ));
        }
    }
    if let Some(path) = text("resolv_conf").filter(|path| !path.starts_with('/') || path.contains([' ', '"']))
    {
        problems.push(Problem::new("resolv_conf", format!("{path:?} is not a path on the machine")));
    }
    let source = |name: &str| {
        config.get("package_source").and_then(|source| source.get(name)).filter(|v| !v.is_null())
    };
    match source("kind").and_then(Value::as_str) {
        None | Some("upstream" | "distribution") => {}
        Some("apt" | "rpm") if source("uri").is_some() => {}
        Some(kind @ ("apt" | "rpm")) => {
            problems.push(Problem::new("package_source", format!("a source of kind `{kind}` needs a `uri`")));
        }
        Some(kind) => problems.push(Problem::new(
            "package_source",
            format!("{kind:?} is not a kind of source: it is `upstream`, `apt`, `rpm` or `distribution`"),
        )),
    }
    problems.extend(validate_registries(config));
    problems
}

fn validate_registries(config: &Value) -> Vec<Problem> {
    let containerd =
        |name: &str| config.get("containerd").and_then(|containerd| containerd.get(name)?.as_entries());
    let mirrors = containerd("registry_mirrors").into_iter().flatten();
    let registries = containerd("registries").into_iter().flatten();
    let mut problems = Vec::new();
    for (name, registry) in registries.clone() {
        if registry.get("endpoints").is_none_or(Value::is_null) {
            problems.push(Problem::new("containerd", format!("the registry {name:?} has no `endpoints`")));
        }
        if containerd("registry_mirrors").is_some_and(|mirrors| mirrors.contains_key(name)) {
            problems.push(Problem::new(
                "containerd",
                format!("{name:?} stands in `registry_mirrors` and in `registries`: one of them will do"),
            ));
        }
    }
    for (name, _) in mirrors.chain(registries) {
        if name.is_empty() || name.contains(['/', ' ']) || name.starts_with('.') {
            problems.push(Problem::new(
                "containerd",
                format!("{name:?} is not a registry: write its host and, where it has one, its port"),
            ));
        }
    }
    problems
}
