//! Network plugins: which one a manifest installs, and whether it fits the cluster and the cloud it lands in.
//!
//! A plugin whose range is not the cluster's `podSubnet` installs without complaint; pods then get addresses nobody
//! routes. One that routes pod addresses as they are needs the cloud's ports to let them pass
//! (`allowed_address_pairs` on OpenStack): the packets vanish otherwise. One that does kube-proxy's work must not find
//! kube-proxy at it too, and where there is no kube-proxy, somebody has to. All of that is known before anything is applied.
//!
//! | plugin | range of the pods | pod addresses on the wire | does kube-proxy's work |
//! |---|---|---|---|
//! | kube-router | `podSubnet` required | yes, unless `--overlay-type=full` | unless `--run-service-proxy=false` |
//! | Antrea | `podSubnet` required | only `noEncap` and `hybrid` | with `antreaProxy.proxyAll` |
//! | flannel | `net-conf.json` must equal `podSubnet` | only `host-gw` | no |
//! | Weave | its own, 10.32.0.0/12 by default | no | no |
//! | Calico | its pools must equal `podSubnet` | yes, unless VXLAN or IPIP is `Always` | with `FELIX_BPFENABLED` |
//! | Cilium | `ipam: kubernetes`, or its own | only `routing-mode: native` | with `kube-proxy-replacement` |
//!
//! Sources: the reference of each project; the settings' names are those of the manifests that they publish.

mod rules;

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde_json::Value;

use crate::manifest::Object;

/// A network plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// <https://kube-router.io>
    KubeRouter,
    /// <https://github.com/flannel-io/flannel>
    Flannel,
    /// <https://antrea.io>
    Antrea,
    /// Weave Net; archived upstream.
    Weave,
    /// <https://www.tigera.io/project-calico/>
    Calico,
    /// <https://cilium.io>
    Cilium,
    /// Any other: its manifest is applied and waited for, and nothing is known of its rules.
    Other,
}

/// What the plugin finds in the cluster.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Network<'a> {
    /// One range, or two separated by a comma.
    pub pod_subnet: Option<&'a str>,
    /// As [`Self::pod_subnet`], for services.
    pub service_subnet: Option<&'a str>,
    /// Whether kube-proxy is installed; `None` where that is not known.
    pub kube_proxy: Option<bool>,
    /// The addresses of machines, as far as they are known.
    pub machines: &'a [IpAddr],
}

/// What a manifest asks of the cluster and of the cloud.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirements {
    /// The plugin.
    pub kind: Kind,
    /// Whether pod and service addresses pass the cloud's ports as they are: each port of a node must then allow the
    /// pods' and the services' range (`allowed_address_pairs`). `None` where nobody knows.
    pub address_pairs: Option<bool>,
    /// Whether nodes exchange IP protocol 4 (IPIP).
    pub ipip: bool,
}

impl Requirements {
    /// The ranges that each node's port must allow: none for a tunnel. `None` where nobody knows.
    pub fn allowed_address_pairs(&self, network: Network<'_>) -> Option<Vec<String>> {
        if !self.address_pairs? {
            return Some(Vec::new());
        }
        let ranges = [network.pod_subnet, network.service_subnet].into_iter().flatten();
        Some(ranges.flat_map(|range| range.split(',')).map(|range| range.trim().to_owned()).collect())
    }
}

/// Why a plugin does not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No plugin of that name.
    #[error("{0:?} is no network plugin we know: {names}, or `other` for any manifest", names = names())]
    Unknown(String),
    /// The cluster has no `podSubnet`.
    #[error("{kind} takes each node's pod range from the cluster: set `pod_subnet` on the cluster")]
    PodSubnetRequired {
        /// The plugin.
        kind: Kind,
    },
    /// The ranges differ.
    #[error(
        "{kind} gives pods addresses of {plugin} ({place}), but the cluster's pod_subnet is {cluster}: make them equal"
    )]
    PodSubnetDiffers {
        /// The plugin.
        kind: Kind,
        /// Where its range stands.
        place: &'static str,
        /// Its range.
        plugin: String,
        /// The cluster's.
        cluster: String,
    },
    /// The plugin's own range holds addresses that are for something else.
    #[error(
        "{kind} gives pods addresses of {plugin} ({place}), which overlaps the cluster's {with} {cluster}: choose ranges apart"
    )]
    Overlap {
        /// The plugin.
        kind: Kind,
        /// Where its range stands.
        place: &'static str,
        /// Its range.
        plugin: String,
        /// `service_subnet` or `pod_subnet`.
        with: &'static str,
        /// The cluster's.
        cluster: String,
    },
    /// The plugin's own range holds a machine.
    #[error(
        "{kind} gives pods addresses of {plugin} ({place}), in which the machine {address} lies: its packets would never leave a \
         node. Choose a range that nothing else uses"
    )]
    Machine {
        /// The plugin.
        kind: Kind,
        /// Where its range stands.
        place: &'static str,
        /// Its range.
        plugin: String,
        /// The machine's address.
        address: IpAddr,
    },
    /// Two would write the same rules.
    #[error(
        "{kind} does kube-proxy's work here ({setting}), and kube-proxy is installed too: set `skip_phases = \
         [\"addon/kube-proxy\"]` on the cluster, or turn it off in the manifest"
    )]
    ProxyTwice {
        /// The plugin.
        kind: Kind,
        /// What makes it do so.
        setting: &'static str,
    },
    /// Nobody would make Services work.
    #[error(
        "the cluster has no kube-proxy (its skip_phases), and {kind} does not do its work here: Services would not work. {cure}"
    )]
    ProxyMissing {
        /// The plugin.
        kind: Kind,
        /// What to do.
        cure: &'static str,
    },
    /// A setting that must be JSON or a subnet is not.
    #[error("{kind}: {place} is not readable: {problem}")]
    Unreadable {
        /// The plugin.
        kind: Kind,
        /// Where it stands.
        place: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// The plan names one plugin, the manifest installs another.
    #[error("the manifest installs {found}, not {kind}")]
    OtherKind {
        /// What the plan says.
        kind: Kind,
        /// What the manifest has.
        found: Kind,
    },
    /// The manifest has nothing of the plugin.
    #[error("the manifest has no agent of {kind}: neither its DaemonSet nor its image")]
    NoAgent {
        /// What the plan says.
        kind: Kind,
    },
    /// The plan pins another release than the manifest installs.
    #[error("the manifest installs {kind} {found} (its image's tag), not {wanted}")]
    OtherVersion {
        /// The plugin.
        kind: Kind,
        /// What the plan says.
        wanted: String,
        /// What the manifest has.
        found: String,
    },
}

const ALL: [Kind; 6] =
    [Kind::KubeRouter, Kind::Flannel, Kind::Antrea, Kind::Weave, Kind::Calico, Kind::Cilium];

fn names() -> String {
    ALL.map(|kind| format!("`{kind}`")).join(", ")
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Kind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let known = ALL.into_iter().chain([Self::Other]).find(|kind| kind.name() == text);
        known.ok_or_else(|| Error::Unknown(text.into()))
    }
}

impl Kind {
    /// Its name in plans.
    pub fn name(self) -> &'static str {
        match self {
            Self::KubeRouter => "kube-router",
            Self::Flannel => "flannel",
            Self::Antrea => "antrea",
            Self::Weave => "weave",
            Self::Calico => "calico",
            Self::Cilium => "cilium",
            Self::Other => "other",
        }
    }

    /// The plugin whose agent the manifest runs on every node.
    pub fn detect(objects: &[Object]) -> Self {
        ALL.into_iter().find(|kind| kind.is_in(objects)).unwrap_or(Self::Other)
    }

    fn is_in(self, objects: &[Object]) -> bool {
        let operator = |object: &Object| {
            object.kind == "Installation" && object.api_version.starts_with("operator.tigera.io/")
        };
        self.agent(objects).is_some() || (self == Self::Calico && objects.iter().any(operator))
    }

    /// The DaemonSet of its agent: by the name upstream gives it, or by its image where it was renamed.
    fn agent(self, objects: &[Object]) -> Option<&Object> {
        let (names, image) = self.signs()?;
        let agents = || objects.iter().filter(|object| object.kind == "DaemonSet");
        agents().find(|object| names.contains(&object.name.as_str())).or_else(|| {
            agents().find(|object| {
                containers(object).any(|c| c["image"].as_str().is_some_and(|i| i.contains(image)))
            })
        })
    }

    /// The names of its agent's DaemonSet, and what its image's name has.
    fn signs(self) -> Option<(&'static [&'static str], &'static str)> {
        match self {
            Self::KubeRouter => Some((&["kube-router"], "/kube-router")),
            Self::Flannel => Some((&["kube-flannel-ds", "kube-flannel"], "/flannel")),
            Self::Antrea => Some((&["antrea-agent"], "/antrea-")),
            Self::Weave => Some((&["weave-net"], "/weave-kube")),
            Self::Calico => Some((&["calico-node"], "/calico/node")),
            Self::Cilium => Some((&["cilium"], "/cilium/cilium")),
            Self::Other => None,
        }
    }

    /// The release that the manifest installs: the tag of its agent's image.
    pub fn version(self, objects: &[Object]) -> Option<&str> {
        let (_, sign) = self.signs()?;
        let all: Vec<&str> = containers(self.agent(objects)?).filter_map(|c| c["image"].as_str()).collect();
        let image = all.iter().find(|image| image.contains(sign)).or(all.first())?;
        // A digest may follow the tag; a port may stand before it.
        let image = image.split_once('@').map_or(*image, |(name, _)| name);
        image.rsplit_once('/').map_or(image, |(_, name)| name).split_once(':').map(|(_, tag)| tag)
    }

    /// Checks that a manifest installs this plugin, and this release of it where one is pinned.
    ///
    /// # Errors
    /// It installs another, or none that can be seen.
    pub fn identify(self, objects: &[Object], version: Option<&str>) -> Result<(), Error> {
        let found = Self::detect(objects);
        if self != Self::Other && found != self {
            return Err(match found {
                Self::Other => Error::NoAgent { kind: self },
                found => Error::OtherKind { kind: self, found },
            });
        }
        let bare = |text: &str| text.strip_prefix('v').unwrap_or(text).to_owned();
        match (version, found.version(objects)) {
            (Some(wanted), Some(found)) if bare(wanted) != bare(found) => {
                Err(Error::OtherVersion { kind: self, wanted: wanted.into(), found: found.into() })
            }
            _ => Ok(()),
        }
    }

    /// Checks the manifest against the cluster and tells what it asks for.
    ///
    /// # Errors
    /// A range that is missing, differs, overlaps another or cannot be read; kube-proxy's work done twice, or by nobody.
    pub fn check(self, objects: &[Object], network: Network<'_>) -> Result<Requirements, Error> {
        rules::check(self, objects, network)
    }
}

/// The value of a key in any ConfigMap of the manifest.
fn data<'a>(objects: &'a [Object], key: &str) -> Option<&'a str> {
    objects.iter().filter(|object| object.kind == "ConfigMap").find_map(|map| map.value["data"][key].as_str())
}

fn containers(object: &Object) -> impl Iterator<Item = &Value> {
    object.value["spec"]["template"]["spec"]["containers"].as_array().into_iter().flatten()
}

/// The value of `NAME=value` among the containers' arguments.
fn argument<'a>(object: &'a Object, name: &str) -> Option<&'a str> {
    let texts = |field: &'static str| containers(object).filter_map(move |c| c[field].as_array()).flatten();
    texts("args")
        .chain(texts("command"))
        .filter_map(Value::as_str)
        .find_map(|arg| arg.strip_prefix(name)?.strip_prefix('='))
}

fn env<'a>(object: &'a Object, name: &str) -> Option<&'a str> {
    containers(object)
        .filter_map(|c| c["env"].as_array())
        .flatten()
        .find(|variable| variable["name"] == name)
        .and_then(|variable| variable["value"].as_str())
}

/// `key: value` on a line of its own that is not a comment.
fn setting<'a>(conf: &'a str, key: &str) -> Option<&'a str> {
    conf.lines()
        .find_map(|line| Some(line.trim().strip_prefix(key)?.strip_prefix(':')?.trim().trim_matches('"')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest;

    fn agent(name: &str, image: &str, args: &str, env: &str) -> String {
        format!(
            "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {{name: {name}, namespace: kube-system}}\n\
             spec: {{template: {{spec: {{containers: [{{name: c, image: {image:?}, args: [{args}], env: [{env}]}}]}}}}}}\n---\n"
        )
    }

    fn config(key: &str, value: &str) -> String {
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c}}\ndata: {{{key:?}: {value:?}}}\n---\n")
    }

    fn check(text: &str, pods: Option<&str>) -> Result<Requirements, Error> {
        let objects = manifest::objects(text).expect("a manifest");
        Kind::detect(&objects).check(&objects, Network { pod_subnet: pods, ..Network::default() })
    }

    const PODS: Option<&str> = Some("10.244.0.0/16");

    #[test]
    fn plugins_are_known_by_name_or_image() {
        for (name, image, kind) in [
            ("kube-router", "x", Kind::KubeRouter),
            ("net", "ghcr.io/flannel-io/flannel:v0.28.9", Kind::Flannel),
            ("antrea-agent", "antrea/antrea-agent-ubuntu:v2.4.0", Kind::Antrea),
            ("weave-net", "x", Kind::Weave),
            ("net", "docker.io/calico/node:v3.30.0", Kind::Calico),
            ("cilium", "quay.io/cilium/cilium:v1.18.0", Kind::Cilium),
            ("net", "example.org/other:1", Kind::Other),
        ] {
            let objects = manifest::objects(&agent(name, image, "", "")).expect("a manifest");
            assert_eq!(Kind::detect(&objects), kind, "{name} {image}");
        }
    }

    #[test]
    fn flannel_must_have_the_clusters_range() {
        let with = |net: &str, backend: &str| {
            let conf = format!(r#"{{"Network": "{net}", "Backend": {{"Type": "{backend}"}}}}"#);
            check(&(agent("kube-flannel-ds", "x", "", "") + &config("net-conf.json", &conf)), PODS)
        };
        assert_eq!(with("10.244.0.0/16", "vxlan").map(|needs| needs.address_pairs), Ok(Some(false)));
        assert_eq!(with("10.244.0.0/16", "host-gw").map(|needs| needs.address_pairs), Ok(Some(true)));
        assert_eq!(
            with("10.42.0.0/16", "vxlan").expect_err("differs").to_string(),
            "flannel gives pods addresses of 10.42.0.0/16 (net-conf.json), but the cluster's pod_subnet is \
             10.244.0.0/16: make them equal"
        );
        let bare = agent("kube-flannel-ds", "x", "", "");
        assert!(matches!(check(&bare, PODS), Err(Error::Unreadable { .. })));
        assert_eq!(check(&bare, None), Err(Error::PodSubnetRequired { kind: Kind::Flannel }));
    }

    #[test]
    fn kube_router_routes_pods_unless_it_wraps_them_all() {
        let with = |args: &str| check(&agent("kube-router", "x", args, ""), PODS).expect("fits");
        assert_eq!((with("").address_pairs, with("").ipip), (Some(true), true));
        assert_eq!(with("'--overlay-type=full'").address_pairs, Some(false));
        let none = with("'--enable-overlay=false'");
        assert_eq!((none.address_pairs, none.ipip), (Some(true), false));
        assert!(check(&agent("kube-router", "x", "", ""), None).is_err());
    }

    #[test]
    fn antrea_routes_pods_only_when_told() {
        let with = |conf: &str| {
            check(&(agent("antrea-agent", "x", "", "") + &config("antrea-agent.conf", conf)), PODS)
                .expect("fits")
        };
        assert_eq!(with("#trafficEncapMode: noEncap\n").address_pairs, Some(false));
        assert_eq!(with("a: b\ntrafficEncapMode: noEncap\n").address_pairs, Some(true));
        assert_eq!(with("trafficEncapMode: \"hybrid\"\n").address_pairs, Some(true));
    }

    #[test]
    fn calico_and_weave_and_cilium_have_ranges_of_their_own() {
        let calico = |env: &str| check(&agent("calico-node", "x", "", env), PODS);
        let vxlan = "{name: CALICO_IPV4POOL_VXLAN, value: Always}";
        assert_eq!(calico(vxlan).map(|n| (n.address_pairs, n.ipip)), Ok((Some(false), false)));
        assert_eq!(
            calico("{name: CALICO_IPV4POOL_IPIP, value: CrossSubnet}").map(|n| (n.address_pairs, n.ipip)),
            Ok((Some(true), true))
        );
        assert!(calico("{name: CALICO_IPV4POOL_CIDR, value: 192.168.0.0/16}").is_err());

        let weave = |env: &str, pods| check(&agent("weave-net", "x", "", env), pods);
        assert!(weave("", None).is_ok());
        assert!(weave("", Some("10.32.0.0/12")).is_ok());
        assert!(weave("", PODS).is_ok(), "ranges apart do no harm");
        assert!(matches!(weave("", Some("10.40.0.0/16")), Err(Error::Overlap { with: "pod_subnet", .. })));
        assert!(weave("{name: IPALLOC_RANGE, value: 10.244.0.0/16}", PODS).is_ok());

        let cilium = |conf: &str, pods| check(&(agent("cilium", "x", "", "") + conf), pods);
        assert!(cilium(&config("ipam", "kubernetes"), None).is_err());
        assert!(cilium(&config("cluster-pool-ipv4-cidr", "10.0.0.0/8"), PODS).is_err());
        assert_eq!(
            cilium(&config("routing-mode", "native"), PODS).map(|needs| needs.address_pairs),
            Ok(Some(true))
        );
    }

    #[test]
    fn ranges_of_their_own_are_apart_from_the_services() {
        let on = |text: &str, services: &str| {
            let objects = manifest::objects(text).expect("a manifest");
            let network = Network { service_subnet: Some(services), ..Network::default() };
            Kind::detect(&objects).check(&objects, network).map(|_| ())
        };
        let weave = agent("weave-net", "x", "", "");
        assert_eq!(on(&weave, "10.96.0.0/12"), Ok(()));
        assert_eq!(
            on(&weave, "10.32.0.0/24").expect_err("overlaps").to_string(),
            "weave gives pods addresses of 10.32.0.0/12 (IPALLOC_RANGE), which overlaps the cluster's service_subnet \
             10.32.0.0/24: choose ranges apart"
        );
        let cilium = agent("cilium", "x", "", "") + &config("ipam", "cluster-pool");
        assert!(matches!(on(&cilium, "10.96.0.0/12"), Err(Error::Overlap { with: "service_subnet", .. })));
    }

    #[test]
    fn ranges_of_their_own_hold_no_machine() {
        let machines = ["192.0.2.7", "10.1.2.3"].map(|address| address.parse().expect("an address"));
        let on = |text: &str| {
            let objects = manifest::objects(text).expect("a manifest");
            let network = Network { machines: &machines, ..Network::default() };
            Kind::detect(&objects).check(&objects, network).map(|_| ())
        };
        let cilium = |more: &str| agent("cilium", "x", "", "") + &config("ipam", "cluster-pool") + more;
        assert_eq!(
            on(&cilium("")).expect_err("its default holds one").to_string(),
            "cilium gives pods addresses of 10.0.0.0/8 (cluster-pool-ipv4-cidr), in which the machine 10.1.2.3 lies: its packets \
             would never leave a node. Choose a range that nothing else uses"
        );
        assert_eq!(on(&cilium(&config("cluster-pool-ipv4-cidr", "10.244.0.0/16"))), Ok(()));
        assert_eq!(on(&agent("weave-net", "x", "", "")), Ok(()), "10.32.0.0/12 holds none");
    }

    #[test]
    fn kube_proxys_work_is_done_once() {
        let with = |text: &str, kube_proxy: bool| {
            let objects = manifest::objects(text).expect("a manifest");
            let network = Network { pod_subnet: PODS, kube_proxy: Some(kube_proxy), ..Network::default() };
            Kind::detect(&objects).check(&objects, network).map(|_| ())
        };
        let cilium = |value: &str| agent("cilium", "x", "", "") + &config("kube-proxy-replacement", value);
        assert!(matches!(with(&cilium("true"), true), Err(Error::ProxyTwice { .. })));
        assert_eq!(with(&cilium("true"), false), Ok(()));
        assert!(matches!(with(&cilium("false"), false), Err(Error::ProxyMissing { .. })));
        let router = |args: &str| agent("kube-router", "x", args, "");
        assert!(with(&router(""), true).is_err() && with(&router(""), false).is_ok());
        assert!(with(&router("'--run-service-proxy=false'"), true).is_ok());
        assert!(with(&router("'--run-service-proxy=false'"), false).is_err());
        let antrea = |conf: &str| agent("antrea-agent", "x", "", "") + &config("antrea-agent.conf", conf);
        assert!(with(&antrea("antreaProxy:\n  proxyAll: true\n"), false).is_ok());
        assert!(with(&antrea(""), false).is_err() && with(&antrea(""), true).is_ok());
        assert!(with(&agent("net", "example.org/other:1", "", ""), false).is_ok(), "nobody knows");
    }

    #[test]
    fn the_operators_pools_count_too() {
        let with = |pool: &str| {
            let text = format!(
                "apiVersion: operator.tigera.io/v1\nkind: Installation\nmetadata: {{name: default}}\n\
                 spec: {{calicoNetwork: {{ipPools: [{pool}]}}}}\n"
            );
            check(&text, PODS).map(|needs| (needs.kind, needs.address_pairs, needs.ipip))
        };
        assert_eq!(
            with("{cidr: 10.244.0.0/16, encapsulation: VXLAN}"),
            Ok((Kind::Calico, Some(false), false))
        );
        assert_eq!(
            with("{cidr: 10.244.0.0/16, encapsulation: VXLANCrossSubnet}"),
            Ok((Kind::Calico, Some(true), false))
        );
        assert_eq!(with(""), Ok((Kind::Calico, Some(false), true)));
        assert!(with("{cidr: 192.168.0.0/16}").is_err());
    }

    #[test]
    fn a_plan_may_pin_what_the_manifest_installs() {
        let objects = |text: &str| manifest::objects(text).expect("a manifest");
        let flannel =
            objects(&agent("kube-flannel-ds", "reg:5000/flannel-io/flannel:v0.26.1@sha256:0a", "", ""));
        assert_eq!(Kind::Flannel.version(&flannel), Some("v0.26.1"));
        assert_eq!(Kind::Flannel.identify(&flannel, Some("0.26.1")), Ok(()));
        assert_eq!(Kind::Other.identify(&flannel, None), Ok(()));
        assert_eq!(
            Kind::Flannel.identify(&flannel, Some("v0.26.2")).expect_err("another").to_string(),
            "the manifest installs flannel v0.26.1 (its image's tag), not v0.26.2"
        );
        assert!(matches!(Kind::Calico.identify(&flannel, None), Err(Error::OtherKind { .. })));
        let other = objects(&agent("net", "example.org/other:1", "", ""));
        assert!(matches!(Kind::Calico.identify(&other, None), Err(Error::NoAgent { .. })));
        assert_eq!("antrea".parse(), Ok(Kind::Antrea));
        assert!("romana".parse::<Kind>().is_err_and(|error| error.to_string().contains("`kube-router`")));
    }

    #[test]
    fn routed_modes_name_the_ranges_that_ports_must_allow() {
        let network = Network {
            pod_subnet: Some("10.244.0.0/16, fd00:1::/64"),
            service_subnet: Some("10.96.0.0/12"),
            kube_proxy: None,
            ..Network::default()
        };
        let with = |address_pairs| Requirements { kind: Kind::Other, address_pairs, ipip: false };
        assert_eq!(
            with(Some(true)).allowed_address_pairs(network),
            Some(vec!["10.244.0.0/16".into(), "fd00:1::/64".into(), "10.96.0.0/12".into()])
        );
        assert_eq!(with(Some(false)).allowed_address_pairs(network), Some(vec![]));
        assert_eq!(with(None).allowed_address_pairs(network), None);
    }
}
