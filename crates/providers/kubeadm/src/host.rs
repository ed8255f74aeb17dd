//! `kubeadm_host`: a Debian or Ubuntu machine that kubeadm can work on.
//!
//! It is six parts: swap off, kernel modules, sysctls, the package source, the packages (held at one release), and
//! containerd's configuration. Each is read back in one round trip and compared with what it should be; `parts` says of
//! each `as wanted`, or in what it differs, and a plan shows that difference. Only what differs is touched.
//!
//! The release of a machine that is a node of a cluster is never changed here: that is an upgrade, which has an order, and is
//! the cluster's and the workers' own. A new `version` then only sets the source of that release, for the upgrade to take from;
//! the packages read `as wanted` whatever their release is, as long as they are there and held.

mod apply;
mod observe;

use std::collections::BTreeMap;
use std::net::IpAddr;

use grappe_kubeadm::containerd;
use grappe_kubeadm::hosts::{self, AptSource};
use grappe_kubeadm::version::KubernetesVersion;
use grappe_provider::{Change, Context, Fault, Problem, Resource};
use grappe_provider_host::Connection;
use grappe_value::{Attribute, Schema, Type, Value};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use self::observe::Observed;
use crate::client::Client;
use crate::node;

/// What a part says of itself when nothing is to be done.
const AS_WANTED: &str = "as wanted";
/// The parts, in the order they are made.
const PARTS: [&str; 6] = ["swap", "modules", "sysctls", "source", "packages", "containerd"];

/// The resource type.
pub struct KubeadmHost;

/// What the configuration says.
#[derive(Debug, Clone, Deserialize)]
pub struct Args {
    host: Connection,
    version: String,
    #[serde(default)]
    package_source: Source,
    #[serde(default)]
    containerd: Containerd,
    #[serde(default)]
    extra_sysctls: BTreeMap<String, String>,
    #[serde(default)]
    extra_packages: Vec<String>,
    node_cidr: Option<String>,
}

/// Where the packages come from.
#[derive(Debug, Clone, Default, Deserialize)]
struct Source {
    kind: Option<String>,
    uri: Option<String>,
    suite: Option<String>,
    #[serde(default)]
    components: Vec<String>,
    key_url: Option<String>,
    trusted: Option<bool>,
}

/// How containerd is set.
#[derive(Debug, Clone, Default, Deserialize)]
struct Containerd {
    package: Option<String>,
    sandbox_image: Option<String>,
    cni_bin_dir: Option<String>,
    restrict_oom_score_adj: Option<bool>,
    #[serde(default)]
    registry_mirrors: BTreeMap<String, String>,
}

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
}

impl Resource for KubeadmHost {
    type Client = Client;
    type Args = Args;
    type State = State;

    fn name(&self) -> &'static str {
        "kubeadm_host"
    }

    fn schema(&self) -> Schema {
        let source = Type::optional_object([
            ("kind", Type::String),
            ("uri", Type::String),
            ("suite", Type::String),
            ("components", Type::list(Type::String)),
            ("key_url", Type::String),
            ("trusted", Type::Bool),
        ]);
        let containerd = Type::optional_object([
            ("package", Type::String),
            ("sandbox_image", Type::String),
            ("cni_bin_dir", Type::String),
            ("restrict_oom_score_adj", Type::Bool),
            ("registry_mirrors", Type::map(Type::String)),
        ]);
        Schema::new("A machine prepared for kubeadm: container runtime, packages, kernel settings.")
            .attr("host", Connection::attribute())
            .attr("version", Attribute::required(Type::String, "The Kubernetes release of its packages: `1.34.2`, or `1.34` for the newest of that minor."))
            .attr(
                "package_source",
                Attribute::optional(
                    source,
                    "Where they come from. `kind`: `upstream` (pkgs.k8s.io, the default), `apt` (a repository of your own: `uri`, \
                     and as needed `suite`, `components`, `key_url`, `trusted`), or `distribution` (what the machine has set up).",
                ),
            )
            .attr(
                "containerd",
                Attribute::optional(
                    containerd,
                    "The container runtime: its `package` (`containerd`), `sandbox_image` (kubeadm's choice), `cni_bin_dir` \
                     (`/opt/cni/bin`), `restrict_oom_score_adj` (for machines that are containers), `registry_mirrors` \
                     (registry to URL).",
                ),
            )
            .attr("extra_sysctls", Attribute::optional(Type::map(Type::String), "More sysctls, beside those Kubernetes needs."))
            .attr("extra_packages", Attribute::optional(Type::list(Type::String), "More packages that nodes need, such as `nfs-common`."))
            .attr("node_cidr", Attribute::optional(Type::String, "The network whose address is the node's, on machines with several."))
            .attr("node_ip", Attribute::computed(Type::String, "The node's address: the one in `node_cidr`, or the host's own."))
            .attr("parts", Attribute::computed(Type::map(Type::String), "How each part stands: `as wanted`, or in what it differs."))
    }

    fn validate(&self, config: &Value) -> Vec<Problem> {
        let mut problems = Vec::new();
        if let Some(Err(error)) =
            config.get("version").and_then(Value::as_str).map(str::parse::<KubernetesVersion>)
        {
            problems.push(Problem::new("version", error.to_string()));
        }
        if let Some(cidr) =
            config.get("node_cidr").and_then(Value::as_str).filter(|cidr| cidr.parse::<IpNet>().is_err())
        {
            problems.push(Problem::new(
                "node_cidr",
                format!("{cidr:?} is not a network: write one such as `10.0.0.0/24`"),
            ));
        }
        let source = |name: &str| config.get("package_source")?.get(name)?.as_str().map(str::to_owned);
        match source("kind").as_deref() {
            None | Some("upstream" | "distribution") => {}
            Some("apt")
                if source("uri").is_some()
                    || config
                        .get("package_source")
                        .is_some_and(|s| s.get("uri").is_some_and(Value::is_unknown)) => {}
            Some("apt") => {
                problems.push(Problem::new("package_source", "a source of kind `apt` needs a `uri`"))
            }
            Some(kind) => problems.push(Problem::new(
                "package_source",
                format!("{kind:?} is not a kind of source: it is `upstream`, `apt` or `distribution`"),
            )),
        }
        problems
    }

    fn plan(&self, change: &mut Change<'_>) {
        change.set("parts", Value::map(Type::String, PARTS.map(|part| (part, Value::from(AS_WANTED)))));
        if change.prior.is_some() && change.changes("node_cidr") {
            change.set_unknown("node_ip");
        }
    }

    async fn read(&self, ctx: &Context<Client>, state: State) -> Result<Option<State>, Fault> {
        let remote = ctx.client().reach(ctx, &state.args.host).await?;
        let observed = Observed::read(&remote, &state.args).await?;
        let kept = state.node_ip.clone().filter(|ip| observed.has_address(ip));
        let node_ip = kept.or_else(|| observed.node_ip(&state.args).ok());
        Ok(Some(State { node_ip, parts: observed.parts(&state.args), ..state }))
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
        let remote = ctx.client().reach(ctx, &state.args.host).await?;
        apply::undo(&remote).await
    }

    async fn adopt(&self, _: &Context<Client>, _: Args) -> Result<Option<State>, Fault> {
        // Nothing is made that could be left behind: a preparation that was cut off is gone on with.
        Ok(None)
    }
}

async fn converge(ctx: &Context<Client>, args: Args) -> Result<State, Fault> {
    let remote = ctx.client().reach(ctx, &args.host).await?;
    apply::wait_for_machine(ctx, &remote).await?;
    let observed = apply::converge(ctx, &remote, &args).await?;
    let parts = observed.parts(&args);
    if let Some((part, differs)) = parts.iter().find(|(_, state)| *state != AS_WANTED) {
        return Err(Fault::permanent(format!(
            "{}: {part} is not as wanted after it was set: {differs}",
            remote.name()
        )));
    }
    let node_ip = observed.node_ip(&args)?;
    Ok(State { node_ip: Some(node_ip), parts, args })
}

impl Args {
    fn wanted(&self) -> Result<KubernetesVersion, Fault> {
        node::version(&self.version)
    }

    /// The repository to set up, if one is.
    fn source(&self) -> Result<Option<AptSource>, Fault> {
        let source = &self.package_source;
        Ok(match source.kind.as_deref().unwrap_or("upstream") {
            "distribution" => None,
            "apt" => Some(AptSource {
                uri: source.uri.clone().ok_or_else(|| {
                    Fault::permanent("a source of kind `apt` needs a `uri`").attribute("package_source")
                })?,
                suite: source.suite.clone().unwrap_or_else(|| "/".into()),
                components: source.components.clone(),
                key_url: source.key_url.clone(),
                trusted: source.trusted.unwrap_or(false),
            }),
            _ => Some(AptSource::upstream(&self.wanted()?)),
        })
    }

    fn runtime_package(&self) -> &str {
        self.containerd.package.as_deref().unwrap_or("containerd")
    }

    /// All packages, the release's first.
    fn packages(&self) -> Vec<&str> {
        let mut all: Vec<&str> = hosts::RELEASE_PACKAGES.to_vec();
        all.push(self.runtime_package());
        all.extend(self.extra_packages.iter().map(String::as_str));
        all
    }

    fn containerd_config(&self, version: containerd::Version, kubeadms_image: &str) -> String {
        let given = &self.containerd;
        let mut settings =
            containerd::Settings::new(given.sandbox_image.as_deref().unwrap_or(kubeadms_image));
        if let Some(dir) = &given.cni_bin_dir {
            settings.cni_bin_dir.clone_from(dir);
        }
        settings.restrict_oom_score_adj = given.restrict_oom_score_adj.unwrap_or(false);
        containerd::config(version, &settings)
    }

    /// The mirror files: path and content.
    fn mirror_files(&self) -> Vec<(String, String)> {
        let file = |(registry, url): (&String, &String)| {
            let path = format!("/etc/containerd/certs.d/{registry}/hosts.toml");
            let content =
                format!("# Written by grappe.\n[host.{url:?}]\n  capabilities = [\"pull\", \"resolve\"]\n");
            (path, content)
        };
        self.containerd.registry_mirrors.iter().map(file).collect()
    }

    /// The address in `node_cidr`, or the one the host is reached by, or the only one there is.
    fn choose(&self, addresses: &[IpAddr]) -> Result<IpAddr, Fault> {
        let list = || addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        if let Some(cidr) = &self.node_cidr {
            let net: IpNet = cidr
                .parse()
                .map_err(|_| Fault::permanent(format!("{cidr:?} is not a network")).attribute("node_cidr"))?;
            return addresses.iter().copied().find(|address| net.contains(address)).ok_or_else(|| {
                Fault::permanent(format!("{} has no address in {cidr}: it has {}", self.host.address, list()))
                    .attribute("node_cidr")
            });
        }
        if let Some(own) = addresses.iter().find(|address| self.host.address == address.to_string()) {
            return Ok(*own);
        }
        match addresses {
            [only] => Ok(*only),
            _ => Err(Fault::permanent(format!(
                "{} has several addresses, and none is the one it is reached by: {}",
                self.host.address,
                list()
            ))
            .attribute("node_cidr")
            .hint("set node_cidr to the network that the nodes share")),
        }
    }
}
