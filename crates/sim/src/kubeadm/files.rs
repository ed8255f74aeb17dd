//! The files that kubeadm writes: certificates, kubeconfigs, static pods, kubelet's configuration.

use std::collections::BTreeMap;

use serde_json::Value;

use super::config::{Node, Settings};
use super::documents::arguments;
use crate::cluster::pki::{self, Pair, Request};
use crate::cluster::versions::{self, minor};
use crate::host::Host;

const PKI: &str = "/etc/kubernetes/pki";

/// The files that all control planes share, below /etc/kubernetes/pki.
pub(super) const SHARED: &[&str] = &[
    "ca.crt",
    "ca.key",
    "sa.key",
    "sa.pub",
    "front-proxy-ca.crt",
    "front-proxy-ca.key",
    "etcd/ca.crt",
    "etcd/ca.key",
];

fn put(host: &mut Host, name: &str, content: &str, now: i64) {
    let secret = name.ends_with(".key");
    host.files.put(&format!("{PKI}/{name}"), content, if secret { 0o600 } else { 0o644 }, now);
}

/// A certificate of a host and its key.
pub(super) fn pair(host: &Host, name: &str) -> Option<Pair> {
    let text = |end: &str| host.files.text(&format!("{PKI}/{name}.{end}"));
    let pair = Pair { cert: text("crt"), key: text("key") };
    (!pair.cert.is_empty() && !pair.key.is_empty()).then_some(pair)
}

/// Lays a certificate and its key on a host.
pub(super) fn put_pair(host: &mut Host, name: &str, pair: &Pair, now: i64) {
    put(host, &format!("{name}.crt"), &pair.cert, now);
    put(host, &format!("{name}.key"), &pair.key, now);
}

/// Names and addresses of an API server's certificate.
fn server_names(settings: &Settings, node: &Node) -> Vec<String> {
    let domain = settings.cluster["networking"]["dnsDomain"].as_str().unwrap_or("cluster.local").to_owned();
    let mut names: Vec<String> = vec![
        node.name.clone(),
        "kubernetes".to_owned(),
        "kubernetes.default".to_owned(),
        "kubernetes.default.svc".to_owned(),
        format!("kubernetes.default.svc.{domain}"),
    ];
    let services: Option<ipnet::Ipv4Net> = settings.service_subnet.parse().ok();
    names.extend(services.and_then(|s| s.hosts().next()).map(|ip| ip.to_string()));
    names.push(node.address.to_string());
    names.extend(settings.endpoint.as_ref().and_then(|e| e.rsplit_once(':')).map(|(h, _)| h.to_owned()));
    names.extend(settings.cert_sans.iter().cloned());
    let mut seen = std::collections::BTreeSet::new();
    names.retain(|n| seen.insert(n.clone()));
    names
}

fn failed(e: rcgen::Error) -> String {
    format!("error execution phase certs: {e}")
}

/// Makes the authorities that are not there yet.
pub(super) fn authorities(host: &mut Host, now: i64) -> Result<(), String> {
    for (name, subject) in
        [("ca", "kubernetes"), ("front-proxy-ca", "front-proxy-ca"), ("etcd/ca", "etcd-ca")]
    {
        if pair(host, name).is_none() {
            let made = pki::authority(subject, now).map_err(failed)?;
            put_pair(host, name, &made, now);
        }
    }
    if !host.files.exists(&format!("{PKI}/sa.key")) {
        let (private, public) = pki::key_pair().map_err(failed)?;
        put(host, "sa.key", &private, now);
        put(host, "sa.pub", &public, now);
    }
    Ok(())
}

/// Makes the certificates of one control plane that are not there yet, from the shared authorities.
pub(super) fn leaves(host: &mut Host, settings: &Settings, node: &Node, now: i64) -> Result<(), String> {
    let server = server_names(settings, node);
    let peer =
        vec![node.name.clone(), "localhost".to_owned(), node.address.to_string(), "127.0.0.1".to_owned()];
    let none: Vec<String> = Vec::new();
    let masters = if minor(&settings.version) >= 29 { "kubeadm:cluster-admins" } else { "system:masters" };
    for (name, ca, common_name, organisation, names) in [
        ("apiserver", "ca", "kube-apiserver", None, &server),
        ("apiserver-kubelet-client", "ca", "kube-apiserver-kubelet-client", Some(masters), &none),
        ("front-proxy-client", "front-proxy-ca", "front-proxy-client", None, &none),
        ("etcd/server", "etcd/ca", node.name.as_str(), None, &peer),
        ("etcd/peer", "etcd/ca", node.name.as_str(), None, &peer),
        ("etcd/healthcheck-client", "etcd/ca", "kube-etcd-healthcheck-client", None, &none),
        ("apiserver-etcd-client", "etcd/ca", "kube-apiserver-etcd-client", None, &none),
    ] {
        if pair(host, name).is_some() {
            continue;
        }
        let ca = pair(host, ca)
            .ok_or_else(|| format!("error execution phase certs: couldn't load CA certificate {ca}"))?;
        let request = Request { common_name, organisation, names, now };
        let made = pki::issue(&ca, &request).map_err(failed)?;
        put_pair(host, name, &made, now);
    }
    Ok(())
}

/// One kubeconfig.
fn kubeconfig(ca: &str, server: &str, cluster: &str, user: &str, pair: &Pair) -> String {
    format!(
        "apiVersion: v1\nclusters:\n- cluster:\n    certificate-authority-data: {}\n    server: https://{server}\n  name: {cluster}\ncontexts:\n- context:\n    cluster: {cluster}\n    user: {user}\n  name: {user}@{cluster}\ncurrent-context: {user}@{cluster}\nkind: Config\npreferences: {{}}\nusers:\n- name: {user}\n  user:\n    client-certificate-data: {}\n    client-key-data: {}\n",
        pki::base64(ca),
        pki::base64(&pair.cert),
        pki::base64(&pair.key),
    )
}

/// The kubeconfigs of a control plane; `first` for the one that init runs on.
pub(super) fn kubeconfigs(
    host: &mut Host,
    settings: &Settings,
    node: &Node,
    first: bool,
    now: i64,
) -> Result<(), String> {
    let ca = pair(host, "ca").ok_or("error execution phase kubeconfig: couldn't load CA certificate")?;
    let local = format!("{}:{}", node.address, node.port);
    let public = settings.endpoint.clone().unwrap_or_else(|| local.clone());
    let cluster = settings.cluster["clusterName"].as_str().unwrap_or("kubernetes").to_owned();
    let new = minor(&settings.version) >= 29;
    let admins = if new { "kubeadm:cluster-admins" } else { "system:masters" };
    let kubelet = format!("system:node:{}", node.name);
    let mut wanted = vec![
        ("admin.conf", "kubernetes-admin", "kubernetes-admin", Some(admins), &public),
        ("kubelet.conf", kubelet.as_str(), kubelet.as_str(), Some("system:nodes"), &public),
        (
            "controller-manager.conf",
            "system:kube-controller-manager",
            "system:kube-controller-manager",
            None,
            &local,
        ),
        ("scheduler.conf", "system:kube-scheduler", "system:kube-scheduler", None, &local),
    ];
    if new && first {
        wanted.push((
            "super-admin.conf",
            "kubernetes-super-admin",
            "kubernetes-super-admin",
            Some("system:masters"),
            &public,
        ));
    }
    for (file, user, common_name, organisation, server) in wanted {
        let path = format!("/etc/kubernetes/{file}");
        if host.files.exists(&path) {
            continue;
        }
        let client =
            pki::issue(&ca, &Request { common_name, organisation, names: &[], now }).map_err(failed)?;
        host.files.put(&path, kubeconfig(&ca.cert, server, &cluster, user, &client), 0o600, now);
    }
    Ok(())
}

/// kubelet.conf of a worker: its certificate comes from the cluster's signer, whose key is on a control plane.
pub(super) fn kubelet_conf(
    host: &mut Host,
    ca: &Pair,
    server: &str,
    node: &str,
    now: i64,
) -> Result<(), String> {
    let name = format!("system:node:{node}");
    let request = Request { common_name: &name, organisation: Some("system:nodes"), names: &[], now };
    let client = pki::issue(ca, &request).map_err(failed)?;
    host.files.put(
        "/etc/kubernetes/kubelet.conf",
        kubeconfig(&ca.cert, server, "kubernetes", &name, &client),
        0o600,
        now,
    );
    host.files.put(
        "/var/lib/kubelet/pki/kubelet-client-current.pem",
        format!("{}{}", client.cert, client.key),
        0o600,
        now,
    );
    put(host, "ca.crt", &ca.cert, now);
    Ok(())
}

/// `--name=value` lines: defaults, overridden and extended by the configuration's.
fn command(program: &str, defaults: &[(&str, String)], extra: &Value) -> Vec<String> {
    let mut all: BTreeMap<String, String> =
        defaults.iter().map(|(n, v)| ((*n).to_owned(), v.clone())).collect();
    all.extend(arguments(extra));
    std::iter::once(program.to_owned()).chain(all.into_iter().map(|(n, v)| format!("--{n}={v}"))).collect()
}

fn manifest(name: &str, image: &str, command: &[String], annotation: &str) -> String {
    let lines: String = command.iter().map(|c| format!("    - {}\n", yaml_word(c))).collect();
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  annotations:\n    kubeadm.kubernetes.io/{annotation}\n  labels:\n    component: {name}\n    tier: control-plane\n  name: {name}\n  namespace: kube-system\nspec:\n  containers:\n  - command:\n{lines}    image: {image}\n    imagePullPolicy: IfNotPresent\n    name: {name}\n    resources:\n      requests:\n        cpu: 100m\n    volumeMounts:\n    - mountPath: /etc/kubernetes/pki\n      name: k8s-certs\n      readOnly: true\n  hostNetwork: true\n  priority: 2000001000\n  priorityClassName: system-node-critical\n  tolerations:\n  - operator: Exists\n  volumes:\n  - hostPath:\n      path: /etc/kubernetes/pki\n      type: DirectoryOrCreate\n    name: k8s-certs\nstatus: {{}}\n"
    )
}

fn yaml_word(text: &str) -> String {
    if text.contains(": ") || text.contains(" #") || text.contains('"') {
        format!("'{}'", text.replace('\'', "''"))
    } else {
        text.to_owned()
    }
}

/// The static pods of a control plane, by name and text. `members` are the others of etcd, as `name=https://address:2380`.
pub(super) fn manifests(settings: &Settings, node: &Node, members: &[String]) -> Vec<(&'static str, String)> {
    let (version, minor) = (&settings.version, minor(&settings.version));
    let cluster = &settings.cluster;
    let repository =
        cluster["imageRepository"].as_str().unwrap_or_else(|| versions::registry(minor)).to_owned();
    let image = |name: &str| format!("{repository}/{name}:v{version}");
    let address = node.address.to_string();
    let pki = |file: &str| format!("{PKI}/{file}");
    let api = command(
        "kube-apiserver",
        &[
            ("advertise-address", address.clone()),
            ("allow-privileged", "true".to_owned()),
            ("authorization-mode", "Node,RBAC".to_owned()),
            ("client-ca-file", pki("ca.crt")),
            ("enable-admission-plugins", "NodeRestriction".to_owned()),
            ("enable-bootstrap-token-auth", "true".to_owned()),
            ("etcd-cafile", pki("etcd/ca.crt")),
            ("etcd-certfile", pki("apiserver-etcd-client.crt")),
            ("etcd-keyfile", pki("apiserver-etcd-client.key")),
            ("etcd-servers", "https://127.0.0.1:2379".to_owned()),
            ("secure-port", node.port.to_string()),
            ("service-account-key-file", pki("sa.pub")),
            ("service-account-signing-key-file", pki("sa.key")),
            ("service-cluster-ip-range", settings.service_subnet.clone()),
            ("tls-cert-file", pki("apiserver.crt")),
            ("tls-private-key-file", pki("apiserver.key")),
        ],
        &cluster["apiServer"]["extraArgs"],
    );
    let mut controller = vec![
        ("bind-address", "127.0.0.1".to_owned()),
        ("cluster-name", cluster["clusterName"].as_str().unwrap_or("kubernetes").to_owned()),
        ("cluster-signing-cert-file", pki("ca.crt")),
        ("cluster-signing-key-file", pki("ca.key")),
        ("controllers", "*,bootstrapsigner,tokencleaner".to_owned()),
        ("kubeconfig", "/etc/kubernetes/controller-manager.conf".to_owned()),
        ("leader-elect", "true".to_owned()),
        ("root-ca-file", pki("ca.crt")),
        ("service-account-private-key-file", pki("sa.key")),
    ];
    if let Some(subnet) = &settings.pod_subnet {
        controller.push(("allocate-node-cidrs", "true".to_owned()));
        controller.push(("cluster-cidr", subnet.clone()));
        controller.push(("service-cluster-ip-range", settings.service_subnet.clone()));
    }
    let controller =
        command("kube-controller-manager", &controller, &cluster["controllerManager"]["extraArgs"]);
    let scheduler = command(
        "kube-scheduler",
        &[
            ("bind-address", "127.0.0.1".to_owned()),
            ("kubeconfig", "/etc/kubernetes/scheduler.conf".to_owned()),
            ("leader-elect", "true".to_owned()),
        ],
        &cluster["scheduler"]["extraArgs"],
    );
    let mut initial: Vec<String> = members.to_vec();
    initial.push(format!("{}=https://{address}:2380", node.name));
    let etcd = command(
        "etcd",
        &[
            ("advertise-client-urls", format!("https://{address}:2379")),
            ("cert-file", pki("etcd/server.crt")),
            ("client-cert-auth", "true".to_owned()),
            ("data-dir", "/var/lib/etcd".to_owned()),
            ("initial-advertise-peer-urls", format!("https://{address}:2380")),
            ("initial-cluster", initial.join(",")),
            ("key-file", pki("etcd/server.key")),
            ("listen-client-urls", format!("https://127.0.0.1:2379,https://{address}:2379")),
            ("listen-metrics-urls", "http://127.0.0.1:2381".to_owned()),
            ("listen-peer-urls", format!("https://{address}:2380")),
            ("name", node.name.clone()),
            ("peer-cert-file", pki("etcd/peer.crt")),
            ("peer-key-file", pki("etcd/peer.key")),
            ("trusted-ca-file", pki("etcd/ca.crt")),
        ],
        &cluster["etcd"]["local"]["extraArgs"],
    );
    let local = format!("{address}:{}", node.port);
    let (tag, _, _) = versions::companions(minor);
    vec![
        (
            "kube-apiserver",
            manifest(
                "kube-apiserver",
                &image("kube-apiserver"),
                &api,
                &format!("kube-apiserver.advertise-address.endpoint: {local}"),
            ),
        ),
        (
            "kube-controller-manager",
            manifest(
                "kube-controller-manager",
                &image("kube-controller-manager"),
                &controller,
                "simulated: \"true\"",
            ),
        ),
        (
            "kube-scheduler",
            manifest("kube-scheduler", &image("kube-scheduler"), &scheduler, "simulated: \"true\""),
        ),
        (
            "etcd",
            manifest(
                "etcd",
                &format!("{repository}/etcd:{tag}"),
                &etcd,
                &format!("etcd.advertise-client-urls: https://{address}:2379"),
            ),
        ),
    ]
}

/// kubelet's configuration.
pub(super) fn kubelet_config(host: &mut Host, configuration: &Value, now: i64) {
    let mut lines = String::from("apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n");
    let mut all = serde_json::Map::new();
    all.insert("cgroupDriver".to_owned(), "systemd".into());
    all.insert("clusterDomain".to_owned(), "cluster.local".into());
    all.insert("rotateCertificates".to_owned(), true.into());
    all.insert("staticPodPath".to_owned(), "/etc/kubernetes/manifests".into());
    for (name, value) in configuration.as_object().into_iter().flatten() {
        if name != "apiVersion" && name != "kind" {
            all.insert(name.clone(), value.clone());
        }
    }
    for (name, value) in all {
        // JSON is YAML.
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        lines.push_str(&format!("{name}: {text}\n"));
    }
    host.files.put("/var/lib/kubelet/config.yaml", lines, 0o644, now);
}

/// kubelet's configuration and flags.
pub(super) fn kubelet(host: &mut Host, configuration: &Value, node: &Node, version: &str, now: i64) {
    kubelet_config(host, configuration, now);
    let minor = minor(version);
    let mut flags: BTreeMap<String, String> = BTreeMap::new();
    if minor < 35 {
        flags.insert(
            "container-runtime-endpoint".to_owned(),
            "unix:///var/run/containerd/containerd.sock".to_owned(),
        );
        flags.insert(
            "pod-infra-container-image".to_owned(),
            format!("{}/pause:{}", versions::registry(minor), versions::companions(minor).2),
        );
    }
    flags.extend(node.kubelet_args.iter().cloned());
    let flags: Vec<String> = flags.iter().map(|(n, v)| format!("--{n}={v}")).collect();
    host.files.put(
        "/var/lib/kubelet/kubeadm-flags.env",
        format!("KUBELET_KUBEADM_ARGS=\"{}\"\n", flags.join(" ")),
        0o644,
        now,
    );
}

/// The shared files of a host, those that are there.
pub(super) fn shared(host: &Host) -> BTreeMap<String, String> {
    let read = |name: &&str| {
        Some(((**name).to_owned(), host.files.text(&format!("{PKI}/{name}")))).filter(|(_, t)| !t.is_empty())
    };
    SHARED.iter().filter_map(read).collect()
}

/// Lays shared files on a host.
pub(super) fn put_shared(host: &mut Host, files: &BTreeMap<String, String>, now: i64) {
    for (name, text) in files {
        put(host, name, text, now);
    }
}

/// The cluster's signing pair on a control plane.
pub(super) fn signer(host: &Host) -> Option<Pair> {
    pair(host, "ca")
}
