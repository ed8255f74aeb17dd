//! The rules of each plugin.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value;

use super::{Error, Kind, Network, Requirements, argument, data, env, setting};
use crate::manifest::Object;

/// Who does kube-proxy's work.
enum Proxy {
    /// The plugin, and kube-proxy must not: by this setting.
    Instead(&'static str),
    /// The plugin can, beside kube-proxy or without it.
    Also,
    /// Not the plugin. What would make it do so.
    No(&'static str),
    /// Nobody can tell.
    Unknown,
}

const INSTALL: &str = "Take `addon/kube-proxy` out of skip_phases";

pub(super) fn check(kind: Kind, objects: &[Object], network: Network<'_>) -> Result<Requirements, Error> {
    let manifest = Manifest { kind, objects, network };
    let (requirements, proxy) = match kind {
        Kind::KubeRouter => manifest.kube_router()?,
        Kind::Antrea => manifest.antrea()?,
        Kind::Flannel => manifest.flannel()?,
        Kind::Weave => manifest.weave()?,
        Kind::Calico => manifest.calico()?,
        Kind::Cilium => manifest.cilium()?,
        Kind::Other => (Requirements { kind, address_pairs: None, ipip: false }, Proxy::Unknown),
    };
    match (proxy, network.kube_proxy) {
        (Proxy::Instead(setting), Some(true)) => Err(Error::ProxyTwice { kind, setting }),
        (Proxy::No(cure), Some(false)) => Err(Error::ProxyMissing { kind, cure }),
        _ => Ok(requirements),
    }
}

struct Manifest<'a> {
    kind: Kind,
    objects: &'a [Object],
    network: Network<'a>,
}

impl Manifest<'_> {
    fn needs(&self, address_pairs: bool, ipip: bool) -> Requirements {
        Requirements { kind: self.kind, address_pairs: Some(address_pairs), ipip }
    }

    fn pod_subnet(&self) -> Result<&str, Error> {
        self.network.pod_subnet.ok_or(Error::PodSubnetRequired { kind: self.kind })
    }

    fn argument(&self, name: &str) -> Option<&str> {
        argument(self.kind.agent(self.objects)?, name)
    }

    fn env(&self, name: &str) -> Option<&str> {
        env(self.kind.agent(self.objects)?, name)
    }

    fn kube_router(&self) -> Result<(Requirements, Proxy), Error> {
        self.pod_subnet()?;
        let overlay = self.argument("--enable-overlay") != Some("false");
        let full = overlay && self.argument("--overlay-type") == Some("full");
        let proxy = match self.argument("--run-service-proxy") {
            Some("false") => Proxy::No("Set --run-service-proxy=true in its manifest"),
            _ => Proxy::Instead("--run-service-proxy, which is on by default"),
        };
        Ok((self.needs(!full, overlay), proxy))
    }

    fn antrea(&self) -> Result<(Requirements, Proxy), Error> {
        self.pod_subnet()?;
        let conf = data(self.objects, "antrea-agent.conf").unwrap_or_default();
        let mode = setting(conf, "trafficEncapMode").unwrap_or("encap");
        let routed = mode.eq_ignore_ascii_case("noEncap") || mode.eq_ignore_ascii_case("hybrid");
        let proxy = match setting(conf, "proxyAll") {
            Some("true") => Proxy::Also,
            _ => Proxy::No("Set antreaProxy.proxyAll and kubeAPIServerOverride in antrea-agent.conf"),
        };
        Ok((self.needs(routed, false), proxy))
    }

    fn flannel(&self) -> Result<(Requirements, Proxy), Error> {
        let (cluster, place) = (self.pod_subnet()?, "net-conf.json");
        let unreadable = |problem: String| Error::Unreadable { kind: self.kind, place, problem };
        let text = data(self.objects, place)
            .ok_or_else(|| unreadable("no ConfigMap of the manifest holds it".into()))?;
        let conf: Value = serde_json::from_str(text).map_err(|error| unreadable(error.to_string()))?;
        let networks: Vec<&str> = ["Network", "IPv6Network"]
            .iter()
            .filter_map(|key| conf[key].as_str())
            .filter(|net| !net.is_empty())
            .collect();
        self.same(place, &networks.join(","), cluster)?;
        let backend = conf["Backend"]["Type"].as_str().unwrap_or("udp");
        Ok((self.needs(backend == "host-gw", backend == "ipip"), Proxy::No(INSTALL)))
    }

    /// Weave looks at no `podSubnet`: it may equal its range, or be apart from it.
    fn weave(&self) -> Result<(Requirements, Proxy), Error> {
        let place = "IPALLOC_RANGE";
        let own = self.env(place).unwrap_or("10.32.0.0/12");
        if let Some(cluster) = self.network.pod_subnet
            && self.same(place, own, cluster).is_err()
        {
            self.apart(place, own, "pod_subnet", cluster)?;
        }
        self.apart_from_others(place, own)?;
        Ok((self.needs(false, false), Proxy::No(INSTALL)))
    }

    fn calico(&self) -> Result<(Requirements, Proxy), Error> {
        let place = "CALICO_IPV4POOL_CIDR";
        let proxy = match self.env("FELIX_BPFENABLED") {
            Some("true") => Proxy::Also,
            _ if self.operator().is_some() => Proxy::Unknown,
            _ => Proxy::No("Turn its eBPF data plane on (FELIX_BPFENABLED)"),
        };
        if let Some(installation) = self.operator() {
            return Ok((self.calico_pools(installation)?, proxy));
        }
        // Without the variable Calico takes the range that kubeadm recorded.
        if let (Some(pool), Some(cluster)) = (self.env(place), self.network.pod_subnet) {
            self.same(place, pool, cluster)?;
        }
        let ipip = self.env("CALICO_IPV4POOL_IPIP").unwrap_or("Never");
        let vxlan = self.env("CALICO_IPV4POOL_VXLAN").unwrap_or("Never");
        Ok((self.needs(ipip != "Always" && vxlan != "Always", ipip != "Never"), proxy))
    }

    /// The resource from which Calico's operator installs it.
    fn operator(&self) -> Option<&Object> {
        self.objects.iter().find(|object| object.kind == "Installation")
    }

    fn calico_pools(&self, installation: &Object) -> Result<Requirements, Error> {
        let pools = installation.value["spec"]["calicoNetwork"]["ipPools"].as_array();
        let pools: Vec<&Value> = pools.into_iter().flatten().collect();
        let ranges: Vec<&str> = pools.iter().filter_map(|pool| pool["cidr"].as_str()).collect();
        if let Some(cluster) = self.network.pod_subnet
            && !ranges.is_empty()
        {
            self.same("ipPools", &ranges.join(","), cluster)?;
        }
        // The operator's default is IPIP.
        let modes = pools.iter().map(|pool| pool["encapsulation"].as_str().unwrap_or("IPIP"));
        let modes: Vec<&str> = if pools.is_empty() { vec!["IPIP"] } else { modes.collect() };
        let routed = modes.iter().any(|mode| !matches!(*mode, "IPIP" | "VXLAN"));
        Ok(self.needs(routed, modes.iter().any(|mode| mode.starts_with("IPIP"))))
    }

    fn cilium(&self) -> Result<(Requirements, Proxy), Error> {
        let value = |key| data(self.objects, key);
        let place = "cluster-pool-ipv4-cidr";
        let own = value(place).map(|text| text.split_whitespace().collect::<Vec<_>>().join(","));
        match value("ipam") {
            Some("kubernetes") => {
                self.pod_subnet()?;
            }
            Some("cluster-pool") | None => {
                let default = value("ipam").map(|_| "10.0.0.0/8".to_owned());
                if let Some(own) = own.or(default) {
                    if let Some(cluster) = self.network.pod_subnet {
                        self.same(place, &own, cluster)?;
                    }
                    self.apart_from_others(place, &own)?;
                }
            }
            // A cloud's own addresses.
            Some(_) => {}
        }
        let native = value("routing-mode") == Some("native") || value("tunnel") == Some("disabled");
        let proxy = match value("kube-proxy-replacement") {
            Some("true" | "strict") => Proxy::Instead("kube-proxy-replacement"),
            Some("partial" | "probe") => Proxy::Unknown,
            _ => Proxy::No("Set kube-proxy-replacement, k8s-api-server and its port in its configuration"),
        };
        Ok((self.needs(native, false), proxy))
    }

    /// A range of the plugin's own must be neither the services' nor the machines'.
    fn apart_from_others(&self, place: &'static str, own: &str) -> Result<(), Error> {
        if let Some(services) = self.network.service_subnet {
            self.apart(place, own, "service_subnet", services)?;
        }
        let ranges = self.ranges(place, own)?;
        let inside = |address: &&IpAddr| ranges.iter().any(|range| range.contains(*address));
        match self.network.machines.iter().find(inside) {
            Some(address) => {
                Err(Error::Machine { kind: self.kind, place, plugin: own.into(), address: *address })
            }
            None => Ok(()),
        }
    }

    fn apart(&self, place: &'static str, own: &str, with: &'static str, cluster: &str) -> Result<(), Error> {
        let (ours, theirs) = (self.ranges(place, own)?, self.ranges(with, cluster)?);
        let meet = |a: &IpNet, b: &IpNet| a.contains(b) || b.contains(a);
        if !ours.iter().any(|a| theirs.iter().any(|b| meet(a, b))) {
            return Ok(());
        }
        Err(Error::Overlap { kind: self.kind, place, plugin: own.into(), with, cluster: cluster.into() })
    }

    /// Whether two ranges, or two pairs of ranges in any order, are equal as networks.
    fn same(&self, place: &'static str, plugin: &str, cluster: &str) -> Result<(), Error> {
        if self.ranges(place, plugin)? == self.ranges("pod_subnet", cluster)? {
            return Ok(());
        }
        let (plugin, cluster) = (plugin.into(), cluster.into());
        Err(Error::PodSubnetDiffers { kind: self.kind, place, plugin, cluster })
    }

    fn ranges(&self, place: &'static str, text: &str) -> Result<Vec<IpNet>, Error> {
        let mut nets = text
            .split(',')
            .map(|net| net.trim().parse::<IpNet>().map(|net| net.trunc()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| Error::Unreadable {
                kind: self.kind,
                place,
                problem: format!("{text:?} is not a subnet"),
            })?;
        nets.sort();
        Ok(nets)
    }
}
