//! Mistakes in a configuration that kubeadm would find only on the machine, or not at all.
//!
//! The rules are kubeadm's own (`cmd/kubeadm/app/apis/kubeadm/validation/validation.go`), so that a plan is refused where
//! kubeadm would refuse it; and two of ours: ranges must be apart from each other, and from the machines.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{Cluster, Component, Error, Etcd, KubeProxy, LocalEtcd, NodeRegistration, gates};
use crate::version::KubernetesVersion;

/// Checks what can be known before any machine is reached.
pub(super) fn cluster(cluster: &Cluster) -> Result<(), Error> {
    let pods = subnets("networking.podSubnet", cluster.pod_subnet.as_deref())?;
    let services = subnets("networking.serviceSubnet", cluster.service_subnet.as_deref())?;
    for pod in &pods {
        for service in &services {
            if pod.contains(service) || service.contains(pod) {
                return Err(Error::Overlap { pods: pod.to_string(), services: service.to_string() });
            }
        }
    }
    gates::check(cluster.feature_gates.keys().map(String::as_str), &cluster.version)?;
    dual_stack(cluster, &pods, &services)?;
    pods.iter().try_for_each(|net| node_mask(cluster, net))?;
    services.iter().try_for_each(service_size)?;
    cluster
        .control_plane_endpoint
        .as_deref()
        .map_or(Ok(()), |text| endpoint("controlPlaneEndpoint", text))?;
    cluster.dns_domain.iter().try_for_each(|name| subdomain("networking.dnsDomain", name))?;
    cluster.cert_sans.iter().try_for_each(|name| alternative_name("apiServer.certSANs", name))?;
    volumes("apiServer.extraVolumes", &cluster.api_server)?;
    volumes("controllerManager.extraVolumes", &cluster.controller_manager)?;
    volumes("scheduler.extraVolumes", &cluster.scheduler)?;
    etcd(&cluster.etcd)?;
    cloud_provider(cluster)?;
    certificates(cluster)
}

/// Checks that no machine has an address in a range for pods or services.
///
/// # Errors
/// One has: its packets would never leave the node it is sent from.
pub fn machines(cluster: &Cluster, addresses: &[IpAddr]) -> Result<(), Error> {
    for (field, text) in
        [("networking.podSubnet", &cluster.pod_subnet), ("networking.serviceSubnet", &cluster.service_subnet)]
    {
        for net in subnets(field, text.as_deref())? {
            if let Some(address) = addresses.iter().find(|address| net.contains(*address)) {
                return Err(Error::Machine { field, range: net.to_string(), address: *address });
            }
        }
    }
    Ok(())
}

/// Checks how a machine registers.
pub(super) fn node(node: &NodeRegistration, version: &KubernetesVersion) -> Result<(), Error> {
    node.name.iter().try_for_each(|name| subdomain("nodeRegistration.name", name))?;
    if let Some(socket) = &node.cri_socket
        && !socket.strip_prefix("unix://").unwrap_or(socket).starts_with('/')
    {
        return wrong(
            "nodeRegistration.criSocket",
            socket,
            "it is no path: write `/run/containerd/containerd.sock`",
        );
    }
    if let Some(policy) = &node.image_pull_policy
        && !["Always", "IfNotPresent", "Never"].contains(&policy.as_str())
    {
        return wrong(
            "nodeRegistration.imagePullPolicy",
            policy,
            "it is `Always`, `IfNotPresent` or `Never`",
        );
    }
    for taint in node.taints.iter().flatten() {
        if !["NoSchedule", "PreferNoSchedule", "NoExecute"].contains(&taint.effect.as_str()) {
            return wrong(
                "nodeRegistration.taints",
                &taint.effect,
                "an effect is `NoSchedule`, `PreferNoSchedule` or `NoExecute`",
            );
        }
    }
    if version.minor() >= 27 && node.kubelet_extra_args.contains_key("container-runtime") {
        // Gone with dockershim: CHANGELOG-1.27.
        return Err(Error::Removed {
            field: "nodeRegistration.kubeletExtraArgs",
            instead: "take `container-runtime` out, it is always remote since 1.24".into(),
            version: version.to_string(),
        });
    }
    Ok(())
}

/// Checks kube-proxy's mode. `nftables` came with 1.29: <https://kubernetes.io/docs/reference/networking/virtual-ips/>.
pub(super) fn proxy(proxy: Option<&KubeProxy>, version: &KubernetesVersion) -> Result<(), Error> {
    let Some(proxy) = proxy else { return Ok(()) };
    let mode = proxy.mode.as_deref().or_else(|| proxy.extra.get("mode")?.as_str()).unwrap_or_default();
    match mode {
        "" | "iptables" | "ipvs" | "kernelspace" => Ok(()),
        "userspace" if version.minor() < 26 => Ok(()),
        "userspace" => Err(Error::Removed {
            field: "mode",
            instead: "kube-proxy has `iptables` since 1.2".into(),
            version: version.to_string(),
        }),
        "nftables" if version.minor() < 29 => {
            Err(Error::Unsupported { field: "mode: nftables", since: "1.29", version: version.to_string() })
        }
        "nftables" => Ok(()),
        other => wrong("mode", other, "kube-proxy has the modes `iptables`, `nftables` and `ipvs`"),
    }
}

fn wrong(field: &'static str, value: &str, problem: impl Into<String>) -> Result<(), Error> {
    Err(Error::Field { field, value: value.into(), problem: problem.into() })
}

/// Two families at once are a gate's business before 1.21.
fn dual_stack(cluster: &Cluster, pods: &[IpNet], services: &[IpNet]) -> Result<(), Error> {
    let dual = pods.len() > 1 || services.len() > 1;
    let gate = cluster.feature_gates.get("IPv6DualStack").copied().unwrap_or(cluster.version.minor() >= 21);
    if dual && !gate {
        let value = cluster.pod_subnet.clone().unwrap_or_default();
        return wrong(
            "networking.podSubnet",
            &value,
            "two families need the gate IPv6DualStack, or Kubernetes 1.21",
        );
    }
    Ok(())
}

/// The controller manager cuts the pods' range into one range a node (`ValidatePodSubnetNodeMask`).
fn node_mask(cluster: &Cluster, net: &IpNet) -> Result<(), Error> {
    let v6 = matches!(net, IpNet::V6(_));
    let args = &cluster.controller_manager.extra_args;
    let names =
        [if v6 { "node-cidr-mask-size-ipv6" } else { "node-cidr-mask-size-ipv4" }, "node-cidr-mask-size"];
    let given = names.iter().find_map(|name| args.get(*name));
    let node: u8 = match given.map(|text| text.parse()) {
        None => {
            if v6 {
                64
            } else {
                24
            }
        }
        Some(Ok(mask)) => mask,
        Some(Err(_)) => {
            let text = given.map_or("", String::as_str);
            return wrong("controllerManager.extraArgs", text, "a node's mask size is a number");
        }
    };
    let (range, field) = (net.prefix_len(), "networking.podSubnet");
    if range > node {
        return wrong(
            field,
            &net.to_string(),
            format!("it is smaller than one node's part of it, a /{node}"),
        );
    }
    if node - range > 16 {
        let problem = format!(
            "at most 65,536 parts of /{node}, one a node, can be cut from it: make it smaller, or a node's part larger \
             (`node-cidr-mask-size` of the controller manager)"
        );
        return wrong(field, &net.to_string(), problem);
    }
    Ok(())
}

/// `ValidateServiceSubnetSize`; and DNS has the tenth address.
fn service_size(net: &IpNet) -> Result<(), Error> {
    let bits = net.max_prefix_len() - net.prefix_len();
    let field = "networking.serviceSubnet";
    match bits {
        0..4 => wrong(field, &net.to_string(), "it is too small: DNS alone has its tenth address"),
        4..=20 => Ok(()),
        _ => {
            let most = net.max_prefix_len() - 20;
            wrong(
                field,
                &net.to_string(),
                format!("it is too large: a /{most} is the most the API servers take"),
            )
        }
    }
}

/// A lower-case DNS name (RFC 1123).
fn subdomain(field: &'static str, name: &str) -> Result<(), Error> {
    if is_subdomain(name) {
        return Ok(());
    }
    wrong(field, name, "it is no DNS name: lower-case letters, digits and `-`, labels separated by dots")
}

fn is_subdomain(name: &str) -> bool {
    let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let label = |label: &str| {
        edge(label.chars().next())
            && edge(label.chars().next_back())
            && label.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    };
    name.len() <= 253 && name.split('.').all(label)
}

/// A name or an address that a certificate can be for; a name may begin with `*.`.
fn alternative_name(field: &'static str, name: &str) -> Result<(), Error> {
    let dns = name.strip_prefix("*.").unwrap_or(name);
    if name.parse::<IpAddr>().is_ok() || is_subdomain(dns) {
        return Ok(());
    }
    wrong(field, name, "it is neither an IP address nor a lower-case DNS name (which may begin with `*.`)")
}

/// `hostPath` types: <https://kubernetes.io/docs/concepts/storage/volumes/#hostpath-volume-types>.
const PATH_TYPES: [&str; 7] =
    ["DirectoryOrCreate", "Directory", "FileOrCreate", "File", "Socket", "CharDevice", "BlockDevice"];

fn volumes(field: &'static str, component: &Component) -> Result<(), Error> {
    let all = &component.extra_volumes;
    for (index, volume) in all.iter().enumerate() {
        if !is_subdomain(&volume.name) || volume.name.contains('.') {
            return wrong(field, &volume.name, "a volume's name has lower-case letters, digits and `-`");
        }
        if all[..index].iter().any(|other| other.name == volume.name) {
            return wrong(field, &volume.name, "two volumes have that name");
        }
        for path in [&volume.host_path, &volume.mount_path] {
            absolute(field, path)?;
        }
        if let Some(kind) = &volume.path_type
            && !PATH_TYPES.contains(&kind.as_str())
        {
            return wrong(field, kind, format!("a path's type is one of {}", PATH_TYPES.join(", ")));
        }
    }
    Ok(())
}

fn absolute(field: &'static str, path: &str) -> Result<(), Error> {
    if path.starts_with('/') { Ok(()) } else { wrong(field, path, "it must be an absolute path") }
}

/// `ValidateEtcd`.
fn etcd(etcd: &Etcd) -> Result<(), Error> {
    match etcd {
        Etcd::Local(LocalEtcd { data_dir, server_cert_sans, peer_cert_sans, .. }) => {
            data_dir.iter().try_for_each(|path| absolute("etcd.local.dataDir", path))?;
            server_cert_sans
                .iter()
                .try_for_each(|name| alternative_name("etcd.local.serverCertSANs", name))?;
            peer_cert_sans.iter().try_for_each(|name| alternative_name("etcd.local.peerCertSANs", name))
        }
        Etcd::External { endpoints, ca_file, cert_file, key_file } => {
            let field = "etcd.external";
            if endpoints.is_empty() {
                return wrong(field, "", "it has no endpoint: give `https://host:2379` of each member");
            }
            if cert_file.is_empty() != key_file.is_empty() {
                return wrong(
                    field,
                    cert_file,
                    "certificate and key go together: give both files, or neither",
                );
            }
            if !cert_file.is_empty() && ca_file.is_empty() {
                return wrong(field, ca_file, "a client certificate asks for the CA's file too");
            }
            for path in [ca_file, cert_file, key_file].into_iter().filter(|path| !path.is_empty()) {
                absolute(field, path)?;
            }
            for url in endpoints {
                let rest = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
                    (Some(rest), _) => rest,
                    (None, Some(rest)) if ca_file.is_empty() => rest,
                    (None, Some(_)) => {
                        return wrong(field, url, "with certificates, its scheme is `https://`");
                    }
                    (None, None) => return wrong(field, url, "it is no URL: write `https://host:2379`"),
                };
                endpoint(field, rest.strip_suffix('/').unwrap_or(rest))?;
            }
            Ok(())
        }
    }
}

/// The API server's flag went with 1.33 (<https://github.com/kubernetes/kubernetes/pull/130162>); it would not start.
fn cloud_provider(cluster: &Cluster) -> Result<(), Error> {
    let args = &cluster.api_server.extra_args;
    let flag = ["cloud-provider", "cloud-config"].into_iter().find(|flag| args.contains_key(*flag));
    match flag {
        Some(flag) if cluster.version.minor() >= 33 => Err(Error::Removed {
            field: "apiServer.extraArgs",
            instead: format!("take `{flag}` out, only kubelets have a cloud provider since 1.33"),
            version: cluster.version.to_string(),
        }),
        _ => Ok(()),
    }
}

/// `EncryptionAlgorithmType`, and lives that make sense together.
fn certificates(cluster: &Cluster) -> Result<(), Error> {
    if let Some(algorithm) = &cluster.encryption_algorithm {
        match algorithm.as_str() {
            "RSA-2048" | "RSA-3072" | "RSA-4096" | "ECDSA-P256" => {}
            // https://github.com/kubernetes/kubernetes/pull/131677
            "ECDSA-P384" if cluster.version.minor() >= 34 => {}
            "ECDSA-P384" => {
                return Err(Error::Unsupported {
                    field: "encryptionAlgorithm: ECDSA-P384",
                    since: "1.34",
                    version: cluster.version.to_string(),
                });
            }
            _ => {
                let known = "it is RSA-2048, RSA-3072, RSA-4096, ECDSA-P256 or, from 1.34 on, ECDSA-P384";
                return wrong("encryptionAlgorithm", algorithm, known);
            }
        }
    }
    // kubeadm's own: a year, and ten for CAs.
    let hours =
        |life: Option<std::time::Duration>, default: u64| life.map_or(default, |life| life.as_secs() / 3600);
    let (own, ca) =
        (hours(cluster.certificate_validity, 8760), hours(cluster.ca_certificate_validity, 87600));
    if own == 0 {
        return wrong("certificateValidityPeriod", "0", "a certificate must live for an hour at least");
    }
    if ca < own {
        let value = format!("{own}h");
        return wrong(
            "certificateValidityPeriod",
            &value,
            format!("it is longer than the CA's own life, {ca}h: the certificates would outlive it"),
        );
    }
    Ok(())
}

/// `host` or `host:port`, IPv6 in brackets, no scheme and no path.
pub(super) fn endpoint(field: &'static str, text: &str) -> Result<(), Error> {
    let error = |problem: &str| {
        Err(Error::Field { field, value: text.into(), problem: format!("{problem}; write `host:port`") })
    };
    if text.contains("://") || text.contains('/') {
        return error("it is a URL");
    }
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((host, "")) => (host, None),
            Some((host, tail)) => (host, tail.strip_prefix(':').or(Some(""))),
            None => return error("the bracket is not closed"),
        },
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':');
    if host.is_empty() || !host.chars().all(legal) {
        return error("it names no host");
    }
    match port.map(str::parse::<u16>) {
        None | Some(Ok(1..)) => Ok(()),
        Some(_) => error("its port is not a number from 1 to 65535"),
    }
}

fn subnets(field: &'static str, text: Option<&str>) -> Result<Vec<IpNet>, Error> {
    let Some(text) = text else { return Ok(Vec::new()) };
    let error = |problem: String| Error::Field { field, value: text.into(), problem };
    let nets: Vec<IpNet> = text
        .split(',')
        .map(|part| {
            let net: IpNet = part
                .parse()
                .map_err(|_| error(format!("{part:?} is not a subnet: write one such as `10.244.0.0/16`")))?;
            if net.addr() != net.network() {
                return Err(error(format!("{part} has host bits set: the subnet is {}", net.trunc())));
            }
            Ok(net)
        })
        .collect::<Result<_, _>>()?;
    let v4 = nets.iter().filter(|net| matches!(net, IpNet::V4(_))).count();
    if v4 > 1 || nets.len() - v4 > 1 {
        return Err(error("at most one IPv4 and one IPv6 subnet can be given".into()));
    }
    Ok(nets)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(pods: &str, services: &str) -> Result<(), Error> {
        let mut model = Cluster::new("1.34.2".parse().expect("a version"));
        model.pod_subnet = Some(pods.into());
        model.service_subnet = Some(services.into());
        cluster(&model)
    }

    #[test]
    fn subnets_must_be_networks_apart() {
        assert_eq!(with("10.244.0.0/16", "10.96.0.0/12"), Ok(()));
        assert_eq!(with("10.244.0.0/16,fd00:1::/64", "10.96.0.0/12,fd00:2::/112"), Ok(()));
        assert!(matches!(with("10.96.0.0/16", "10.96.0.0/12"), Err(Error::Overlap { .. })));
        for bad in ["10.244.0.0", "10.244.0.1/16", "10.244.0.0/16,10.245.0.0/16", "x/8", ""] {
            let error = with(bad, "10.96.0.0/12").expect_err(bad);
            assert!(error.to_string().starts_with("`networking.podSubnet` is"), "{error}");
        }
    }

    #[test]
    fn subnets_have_the_sizes_that_kubeadm_takes() {
        assert_eq!(with("10.244.0.0/24", "10.96.0.0/28"), Ok(()));
        for (pods, services, part) in [
            ("10.244.0.0/25", "10.96.0.0/12", "smaller than one node's part"),
            ("10.0.0.0/7", "192.168.0.0/24", "65,536 parts"),
            ("fd00:1::/40", "10.96.0.0/12", "65,536 parts"),
            ("10.244.0.0/16", "10.96.0.0/29", "too small"),
            ("10.244.0.0/16", "11.0.0.0/11", "a /12 is the most"),
            ("10.244.0.0/16", "fd00:2::/64", "a /108 is the most"),
        ] {
            let error = with(pods, services).expect_err(pods).to_string();
            assert!(error.contains(part), "{error}");
        }
        let mut model = Cluster::new("1.34.2".parse().expect("a version"));
        model.pod_subnet = Some("10.244.0.0/25".into());
        model.controller_manager.extra_args.insert("node-cidr-mask-size".into(), "26".into());
        assert_eq!(cluster(&model), Ok(()));
    }

    #[test]
    fn two_families_need_their_release() {
        let at = |version: &str, gate: Option<bool>| {
            let mut model = Cluster::new(version.parse().expect("a version"));
            model.pod_subnet = Some("10.244.0.0/16,fd00:1::/56".into());
            model.feature_gates.extend(gate.map(|on| ("IPv6DualStack".to_owned(), on)));
            cluster(&model)
        };
        assert!(at("1.20.2", None).is_err() && at("1.20.2", Some(true)).is_ok());
        assert!(at("1.21.0", None).is_ok());
    }

    #[test]
    fn ranges_hold_no_machine() {
        let mut model = Cluster::new("1.34.2".parse().expect("a version"));
        model.pod_subnet = Some("10.244.0.0/16".into());
        model.service_subnet = Some("10.96.0.0/12".into());
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        assert_eq!(machines(&model, &[address("10.0.0.1"), address("fd00::1")]), Ok(()));
        let error = machines(&model, &[address("10.100.0.7")]).expect_err("it is in the services' range");
        assert_eq!(
            error.to_string(),
            "`networking.serviceSubnet` 10.96.0.0/12 holds the address 10.100.0.7 of a machine: it must be a range that \
             nothing else uses"
        );
    }

    #[test]
    fn an_external_etcd_is_whole() {
        let of = |endpoints: &[&str], ca: &str, cert: &str, key: &str| {
            etcd(&Etcd::External {
                endpoints: endpoints.iter().map(|e| (*e).to_owned()).collect(),
                ca_file: ca.into(),
                cert_file: cert.into(),
                key_file: key.into(),
            })
            .map_err(|error| error.to_string())
        };
        let (ca, cert, key) = ("/etc/etcd/ca.crt", "/etc/etcd/client.crt", "/etc/etcd/client.key");
        assert_eq!(of(&["https://10.0.0.7:2379", "https://[fd00::1]:2379/"], ca, cert, key), Ok(()));
        assert_eq!(of(&["http://10.0.0.7:2379"], "", "", ""), Ok(()));
        for (endpoints, ca, cert, key, part) in [
            (&[][..], ca, cert, key, "no endpoint"),
            (&["http://a:2379"], ca, cert, key, "`https://`"),
            (&["10.0.0.7:2379"], ca, cert, key, "no URL"),
            (&["https://a:2379/x"], ca, cert, key, "URL"),
            (&["https://a:2379"], ca, cert, "", "go together"),
            (&["https://a:2379"], "", cert, key, "the CA's file"),
            (&["https://a:2379"], "ca.crt", cert, key, "absolute"),
        ] {
            let error = of(endpoints, ca, cert, key).expect_err(part);
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn what_else_kubeadm_would_refuse() {
        type Spoil = fn(&mut Cluster);
        let cases: [(&str, Spoil, &str); 9] = [
            ("1.34.2", |c| c.cert_sans.push("API.lan".into()), "`apiServer.certSANs` is \"API.lan\""),
            ("1.34.2", |c| c.dns_domain = Some("cluster_local".into()), "no DNS name"),
            ("1.34.2", |c| c.encryption_algorithm = Some("RSA-1024".into()), "RSA-3072"),
            ("1.33.0", |c| c.encryption_algorithm = Some("ECDSA-P384".into()), "it needs 1.34"),
            (
                "1.34.2",
                |c| c.certificate_validity = Some(std::time::Duration::from_secs(3600 * 90000)),
                "outlive it",
            ),
            (
                "1.33.0",
                |c| {
                    c.api_server.extra_args.insert("cloud-provider".into(), "external".into());
                },
                "only kubelets have a cloud provider",
            ),
            ("1.20.2", |c| c.feature_gates.extend([("NodeLocalCRISocket".into(), true)]), "no such gate"),
            ("1.34.2", |c| c.api_server.extra_volumes.push(volume("a", "etc")), "absolute path"),
            (
                "1.34.2",
                |c| c.scheduler.extra_volumes.extend([volume("a", "/a"), volume("a", "/b")]),
                "two volumes have that name",
            ),
        ];
        for (version, spoil, part) in cases {
            let mut model = Cluster::new(version.parse().expect("a version"));
            spoil(&mut model);
            let error = cluster(&model).expect_err(part).to_string();
            assert!(error.contains(part), "{error}");
        }
        let mut model = Cluster::new("1.34.2".parse().expect("a version"));
        model.cert_sans = ["*.lan".into(), "10.0.0.1".into(), "fd00::1".into()].into();
        assert_eq!(cluster(&model), Ok(()));
    }

    fn volume(name: &str, path: &str) -> super::super::Volume {
        super::super::Volume {
            name: name.into(),
            host_path: path.into(),
            mount_path: "/x".into(),
            read_only: true,
            path_type: None,
        }
    }

    #[test]
    fn a_machine_registers_by_the_rules() {
        let version = "1.34.2".parse().expect("a version");
        let with = |spoil: fn(&mut NodeRegistration)| {
            let mut registration = NodeRegistration::default();
            spoil(&mut registration);
            node(&registration, &version).map_err(|error| error.to_string())
        };
        assert_eq!(with(|n| n.cri_socket = Some("unix:///run/x.sock".into())), Ok(()));
        assert!(with(|n| n.cri_socket = Some("run/x.sock".into())).is_err());
        assert!(with(|n| n.name = Some("CP1".into())).is_err_and(|e| e.contains("no DNS name")));
        assert!(with(|n| n.image_pull_policy = Some("never".into())).is_err());
        let proxy = |version: &str, mode: &str| {
            let model = KubeProxy { mode: Some(mode.into()), ..KubeProxy::default() };
            super::proxy(Some(&model), &version.parse().expect("a version"))
        };
        assert!(proxy("1.28.0", "nftables").is_err() && proxy("1.29.0", "nftables").is_ok());
        assert!(proxy("1.25.0", "userspace").is_ok() && proxy("1.26.0", "userspace").is_err());
        assert!(proxy("1.34.0", "bpf").is_err());
    }

    #[test]
    fn an_endpoint_is_a_host_and_a_port() {
        for good in ["api.lan:6443", "10.0.0.9", "[fd00::1]:6443", "[fd00::1]", "127.0.0.1:5443"] {
            assert_eq!(endpoint("e", good), Ok(()), "{good}");
        }
        for bad in [
            "https://api.lan:6443",
            "api.lan:",
            "api.lan:0",
            "api:64430000",
            "",
            ":6443",
            "fd00::1:6443",
            "[fd00::1",
        ] {
            assert!(endpoint("e", bad).is_err(), "{bad}");
        }
    }
}
