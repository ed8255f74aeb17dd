//! Network plugins: which one a manifest installs, and whether it fits the cluster and the cloud it lands in.
//!
//! A plugin whose range is not the cluster's `podSubnet` installs without complaint; pods then get addresses nobody
//! routes. And one that routes pod addresses as they are needs the cloud's ports to let them pass
//! (`allowed_address_pairs` on OpenStack): the packets vanish otherwise. Both are known before anything is applied.
//!
//! | plugin | range of the pods | pod addresses on the wire |
//! |---|---|---|
//! | kube-router | `podSubnet` required | yes, unless `--overlay-type=full` |
//! | Antrea | `podSubnet` required | only `noEncap` and `hybrid` |
//! | flannel | `net-conf.json` must equal `podSubnet` | only `host-gw` |
//! | Weave | its own, 10.32.0.0/12 by default | no |
//! | Calico | its pool must equal `podSubnet` | yes, unless VXLAN or IPIP is `Always` |
//! | Cilium | `ipam: kubernetes`, or its own | only `routing-mode: native` |

use std::fmt;

use ipnet::IpNet;
use serde_json::Value;

use crate::manifest::Object;

/// A network plugin we know the rules of.
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
}

/// What a manifest asks of the cluster and of the cloud.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirements {
    /// The plugin.
    pub kind: Kind,
    /// Whether pod and service addresses pass the cloud's ports as they are: each port of a node must then allow the
    /// pods' and the services' range (`allowed_address_pairs`).
    pub address_pairs: bool,
    /// Whether nodes exchange IP protocol 4 (IPIP).
    pub ipip: bool,
}

/// Why a plugin does not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
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
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
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
        }
    }

    /// The plugin whose agent the manifest runs on every node, if we know it.
    pub fn detect(objects: &[Object]) -> Option<Self> {
        let kinds = [Self::KubeRouter, Self::Flannel, Self::Antrea, Self::Weave, Self::Calico, Self::Cilium];
        kinds.into_iter().find(|kind| kind.agent(objects).is_some())
    }

    /// The DaemonSet of its agent: by the name upstream gives it, or by its image where it was renamed.
    fn agent(self, objects: &[Object]) -> Option<&Object> {
        let (names, image): (&[&str], &str) = match self {
            Self::KubeRouter => (&["kube-router"], "/kube-router"),
            Self::Flannel => (&["kube-flannel-ds", "kube-flannel"], "/flannel"),
            Self::Antrea => (&["antrea-agent"], "/antrea-"),
            Self::Weave => (&["weave-net"], "/weave-kube"),
            Self::Calico => (&["calico-node"], "/calico/node"),
            Self::Cilium => (&["cilium"], "/cilium/cilium"),
        };
        let agents = || objects.iter().filter(|object| object.kind == "DaemonSet");
        agents().find(|object| names.contains(&object.name.as_str())).or_else(|| {
            agents().find(|object| {
                containers(object).any(|c| c["image"].as_str().is_some_and(|i| i.contains(image)))
            })
        })
    }

    /// Checks the manifest against the cluster's `podSubnet` and tells what it asks for.
    ///
    /// # Errors
    /// A range that is missing, differs, or cannot be read.
    pub fn check(self, objects: &[Object], pod_subnet: Option<&str>) -> Result<Requirements, Error> {
        let plain = Requirements { kind: self, address_pairs: false, ipip: false };
        let required = || pod_subnet.ok_or(Error::PodSubnetRequired { kind: self });
        match self {
            Self::KubeRouter => {
                required()?;
                let agent = self.agent(objects);
                let arg = |name| agent.and_then(|agent| argument(agent, name));
                let overlay = arg("--enable-overlay") != Some("false");
                let full = overlay && arg("--overlay-type") == Some("full");
                Ok(Requirements { address_pairs: !full, ipip: overlay, ..plain })
            }
            Self::Antrea => {
                required()?;
                let conf = data(objects, "antrea-agent.conf").unwrap_or_default();
                let mode = setting(conf, "trafficEncapMode").unwrap_or("encap");
                let routed = mode.eq_ignore_ascii_case("noEncap") || mode.eq_ignore_ascii_case("hybrid");
                Ok(Requirements { address_pairs: routed, ..plain })
            }
            Self::Flannel => self.check_flannel(objects, required()?, plain),
            Self::Weave => {
                let own = self
                    .agent(objects)
                    .and_then(|agent| env(agent, "IPALLOC_RANGE"))
                    .unwrap_or("10.32.0.0/12");
                if let Some(cluster) = pod_subnet {
                    self.same("IPALLOC_RANGE", own, cluster)?;
                }
                Ok(plain)
            }
            Self::Calico => {
                let agent = self.agent(objects);
                let env = |name| agent.and_then(|agent| env(agent, name));
                // Without the variable Calico takes the range that kubeadm recorded.
                if let (Some(pool), Some(cluster)) = (env("CALICO_IPV4POOL_CIDR"), pod_subnet) {
                    self.same("CALICO_IPV4POOL_CIDR", pool, cluster)?;
                }
                let ipip = env("CALICO_IPV4POOL_IPIP").unwrap_or("Never");
                let vxlan = env("CALICO_IPV4POOL_VXLAN").unwrap_or("Never");
                let address_pairs = ipip != "Always" && vxlan != "Always";
                Ok(Requirements { address_pairs, ipip: ipip != "Never", ..plain })
            }
            Self::Cilium => {
                let value = |key| data(objects, key);
                if value("ipam") == Some("kubernetes") {
                    required()?;
                } else if let (Some(own), Some(cluster)) = (value("cluster-pool-ipv4-cidr"), pod_subnet) {
                    self.same("cluster-pool-ipv4-cidr", own, cluster)?;
                }
                let native = value("routing-mode") == Some("native") || value("tunnel") == Some("disabled");
                Ok(Requirements { address_pairs: native, ..plain })
            }
        }
    }

    fn check_flannel(
        self,
        objects: &[Object],
        cluster: &str,
        plain: Requirements,
    ) -> Result<Requirements, Error> {
        let place = "net-conf.json";
        let unreadable = |problem: String| Error::Unreadable { kind: self, place, problem };
        let text =
            data(objects, place).ok_or_else(|| unreadable("no ConfigMap of the manifest holds it".into()))?;
        let conf: Value = serde_json::from_str(text).map_err(|error| unreadable(error.to_string()))?;
        let networks: Vec<&str> = ["Network", "IPv6Network"]
            .iter()
            .filter_map(|key| conf[key].as_str())
            .filter(|net| !net.is_empty())
            .collect();
        self.same(place, &networks.join(","), cluster)?;
        let backend = conf["Backend"]["Type"].as_str().unwrap_or("udp");
        Ok(Requirements { address_pairs: backend == "host-gw", ipip: backend == "ipip", ..plain })
    }

    /// Whether two ranges, or two pairs of ranges in any order, are equal as networks.
    fn same(self, place: &'static str, plugin: &str, cluster: &str) -> Result<(), Error> {
        let parse = |text: &str| {
            let mut nets = text
                .split(',')
                .map(|net| net.trim().parse::<IpNet>().map(|net| net.trunc()))
                .collect::<Result<Vec<_>, _>>()
                .map_err(|_| Error::Unreadable {
                    kind: self,
                    place,
                    problem: format!("{text:?} is not a subnet"),
                })?;
            nets.sort();
            Ok(nets)
        };
        if parse(plugin)? == parse(cluster)? {
            return Ok(());
        }
        Err(Error::PodSubnetDiffers { kind: self, place, plugin: plugin.into(), cluster: cluster.into() })
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
        Kind::detect(&objects).expect("a known plugin").check(&objects, pods)
    }

    const PODS: Option<&str> = Some("10.244.0.0/16");

    #[test]
    fn plugins_are_known_by_name_or_image() {
        for (name, image, kind) in [
            ("kube-router", "x", Some(Kind::KubeRouter)),
            ("net", "ghcr.io/flannel-io/flannel:v0.28.9", Some(Kind::Flannel)),
            ("antrea-agent", "antrea/antrea-agent-ubuntu:v2.4.0", Some(Kind::Antrea)),
            ("weave-net", "x", Some(Kind::Weave)),
            ("net", "docker.io/calico/node:v3.30.0", Some(Kind::Calico)),
            ("cilium", "quay.io/cilium/cilium:v1.18.0", Some(Kind::Cilium)),
            ("net", "example.org/other:1", None),
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
        assert_eq!(with("10.244.0.0/16", "vxlan").map(|needs| needs.address_pairs), Ok(false));
        assert_eq!(with("10.244.0.0/16", "host-gw").map(|needs| needs.address_pairs), Ok(true));
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
        assert_eq!((with("").address_pairs, with("").ipip), (true, true));
        assert!(!with("'--overlay-type=full'").address_pairs);
        let none = with("'--enable-overlay=false'");
        assert_eq!((none.address_pairs, none.ipip), (true, false));
        assert!(check(&agent("kube-router", "x", "", ""), None).is_err());
    }

    #[test]
    fn antrea_routes_pods_only_when_told() {
        let with = |conf: &str| {
            check(&(agent("antrea-agent", "x", "", "") + &config("antrea-agent.conf", conf)), PODS)
                .expect("fits")
        };
        assert!(!with("#trafficEncapMode: noEncap\n").address_pairs);
        assert!(with("a: b\ntrafficEncapMode: noEncap\n").address_pairs);
        assert!(with("trafficEncapMode: \"hybrid\"\n").address_pairs);
    }

    #[test]
    fn calico_and_weave_and_cilium_have_ranges_of_their_own() {
        let calico = |env: &str| check(&agent("calico-node", "x", "", env), PODS);
        let vxlan = "{name: CALICO_IPV4POOL_VXLAN, value: Always}";
        assert_eq!(calico(vxlan).map(|n| (n.address_pairs, n.ipip)), Ok((false, false)));
        assert_eq!(
            calico("{name: CALICO_IPV4POOL_IPIP, value: CrossSubnet}").map(|n| (n.address_pairs, n.ipip)),
            Ok((true, true))
        );
        assert!(calico("{name: CALICO_IPV4POOL_CIDR, value: 192.168.0.0/16}").is_err());

        let weave = |env: &str, pods| check(&agent("weave-net", "x", "", env), pods);
        assert!(weave("", None).is_ok());
        assert!(weave("", Some("10.32.0.0/12")).is_ok());
        assert!(matches!(weave("", PODS), Err(Error::PodSubnetDiffers { .. })));
        assert!(weave("{name: IPALLOC_RANGE, value: 10.244.0.0/16}", PODS).is_ok());

        let cilium = |conf: &str, pods| check(&(agent("cilium", "x", "", "") + conf), pods);
        assert!(cilium(&config("ipam", "kubernetes"), None).is_err());
        assert!(cilium(&config("cluster-pool-ipv4-cidr", "10.0.0.0/8"), PODS).is_err());
        assert_eq!(
            cilium(&config("routing-mode", "native"), PODS).map(|needs| needs.address_pairs),
            Ok(true)
        );
    }
}
