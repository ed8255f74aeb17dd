//! What init and join go by: the configuration file and the flags, checked and filled in.

use std::net::Ipv4Addr;

use serde_json::{Map, Value, json};

use super::documents::{arguments, read_file};
use crate::cluster::versions::minor;
use crate::tools::{Cx, Opts};

/// The release that a version word means to a kubeadm: labels such as `stable-1` would ask the Internet, and give its own.
pub(super) fn release(word: &str, kubeadm: &str) -> String {
    let word = word.trim_start_matches('v');
    if word.starts_with(|c: char| c.is_ascii_digit()) { word.to_owned() } else { kubeadm.to_owned() }
}

/// What init works with.
#[derive(Clone)]
pub(super) struct Settings {
    /// `1.31.2`
    pub(super) version: String,
    /// ClusterConfiguration with everything filled in.
    pub(super) cluster: Value,
    /// KubeletConfiguration.
    pub(super) kubelet: Value,
    /// KubeProxyConfiguration.
    pub(super) proxy: Value,
    pub(super) node: Node,
    pub(super) endpoint: Option<String>,
    pub(super) pod_subnet: Option<String>,
    pub(super) service_subnet: String,
    pub(super) cert_sans: Vec<String>,
    pub(super) certificate_key: Option<String>,
    /// Token, time to live in milliseconds.
    pub(super) tokens: Vec<(Option<String>, Option<i64>)>,
    pub(super) skip: Vec<String>,
}

/// The part that init and join have in common.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) address: Ipv4Addr,
    pub(super) port: u16,
    /// None for kubeadm's own.
    pub(super) taints: Option<Vec<Value>>,
    pub(super) kubelet_args: Vec<(String, String)>,
    pub(super) ignore: Vec<String>,
}

fn list(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(|v| v.as_str().map(str::to_owned)).collect()
}

fn comma(text: Option<&str>) -> Vec<String> {
    text.into_iter().flat_map(|t| t.split(',')).filter(|t| !t.is_empty()).map(str::to_owned).collect()
}

/// Node registration and local endpoint.
pub(super) fn node(
    cx: &mut Cx<'_>,
    opts: &Opts,
    registration: &Value,
    endpoint: &Value,
) -> Result<Node, i32> {
    let own = cx.host(|h, _| (h.hostname.to_lowercase(), h.nics.first().map(|n| n.ip)));
    let name = opts.value(&["node-name"]).or(registration["name"].as_str()).unwrap_or(&own.0).to_owned();
    let wanted = opts.value(&["apiserver-advertise-address"]).or(endpoint["advertiseAddress"].as_str());
    let address = match wanted.map(|a| (a, a.parse())) {
        None => own.1.unwrap_or(Ipv4Addr::LOCALHOST),
        Some((_, Ok(address))) => address,
        Some((text, Err(_))) => {
            return Err(super::trace(
                cx,
                &format!(
                    "invalid configuration: localAPIEndpoint.advertiseAddress: Invalid value: \"{text}\": ip is not valid"
                ),
            ));
        }
    };
    let port = opts.value(&["apiserver-bind-port"]).and_then(|p| p.parse().ok());
    let port =
        port.or_else(|| endpoint["bindPort"].as_u64().and_then(|p| u16::try_from(p).ok())).unwrap_or(6443);
    let mut ignore = list(&registration["ignorePreflightErrors"]);
    ignore.extend(comma(opts.value(&["ignore-preflight-errors"])));
    Ok(Node {
        name,
        address,
        port,
        taints: registration["taints"].as_array().cloned(),
        kubelet_args: arguments(&registration["kubeletExtraArgs"]),
        ignore: ignore.iter().map(|i| i.to_lowercase()).collect(),
    })
}

/// `15m`, `24h0m0s`, `0` for ever: milliseconds.
pub(super) fn duration(text: &str) -> Option<Option<i64>> {
    if text == "0" || text == "0s" {
        return Some(None);
    }
    let (mut total, mut number) = (0.0, String::new());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c.is_ascii_digit() || c == '.' {
            number.push(c);
            continue;
        }
        let unit = match c {
            'm' if chars.peek() == Some(&'s') => {
                chars.next();
                1.0
            }
            's' => 1000.0,
            'm' => 60_000.0,
            'h' => 3_600_000.0,
            _ => return None,
        };
        total += std::mem::take(&mut number).parse::<f64>().ok()? * unit;
    }
    if !number.is_empty() || total <= 0.0 {
        return None;
    }
    Some(Some(total as i64))
}

/// Everything init goes by: file and flags.
pub(super) fn settings(cx: &mut Cx<'_>, opts: &Opts) -> Result<Settings, i32> {
    let documents = read_file(cx, opts)?;
    let (init, mut cluster) = (documents.kind("InitConfiguration"), documents.cluster());
    let node = node(cx, opts, &init["nodeRegistration"], &init["localAPIEndpoint"])?;
    let wanted =
        opts.value(&["kubernetes-version"]).or(cluster["kubernetesVersion"].as_str()).unwrap_or("stable-1");
    let version = release(wanted, cx.version);
    let (mine, theirs) = (minor(cx.version), minor(&version));
    if theirs > mine || theirs + 1 < mine {
        let text = if theirs > mine {
            format!(
                "this version of kubeadm only supports deploying clusters with the control plane version <= 1.{mine}.x. Current version: v{version}"
            )
        } else {
            format!(
                "this version of kubeadm only supports deploying clusters with the control plane version >= 1.{}.0. Current version: v{version}",
                mine - 1
            )
        };
        return Err(super::trace(cx, &text));
    }
    let pick = |flag: &str, value: &Value| {
        opts.value(&[flag])
            .map(str::to_owned)
            .or_else(|| value.as_str().map(str::to_owned))
            .filter(|t| !t.is_empty())
    };
    let endpoint = pick("control-plane-endpoint", &cluster["controlPlaneEndpoint"]);
    let endpoint = endpoint.map(|e| {
        if e.rsplit_once(':').is_some_and(|(_, p)| p.parse::<u16>().is_ok()) {
            e
        } else {
            format!("{e}:{}", node.port)
        }
    });
    let pod_subnet = pick("pod-network-cidr", &cluster["networking"]["podSubnet"]);
    let service_subnet = pick("service-cidr", &cluster["networking"]["serviceSubnet"])
        .unwrap_or_else(|| "10.96.0.0/12".to_owned());
    for (field, value) in [("podSubnet", pod_subnet.as_ref()), ("serviceSubnet", Some(&service_subnet))] {
        if let Some(value) = value
            && value.parse::<ipnet::Ipv4Net>().is_err()
        {
            return Err(super::trace(
                cx,
                &format!("networking.{field}: Invalid value: \"{value}\": couldn't parse subnet"),
            ));
        }
    }
    let overlap = pod_subnet.as_ref().and_then(|p| {
        Some((p.parse::<ipnet::Ipv4Net>().ok()?, service_subnet.parse::<ipnet::Ipv4Net>().ok()?))
    });
    if overlap.is_some_and(|(a, b)| a.contains(&b) || b.contains(&a)) {
        cx.err(format!("W0101 00:00:00.000000    4242 validation.go] pod subnet overlaps the service subnet {service_subnet}\n"));
    }
    let mut cert_sans = list(&cluster["apiServer"]["certSANs"]);
    cert_sans.extend(comma(opts.value(&["apiserver-cert-extra-sans"])));
    let certificate_key = pick("certificate-key", &init["certificateKey"]);
    if let Some(key) = &certificate_key
        && (key.len() != 64 || !key.chars().all(|c| c.is_ascii_hexdigit()))
    {
        return Err(super::trace(cx, "certificateKey: Invalid value: must be a hex-encoded key of 32 bytes"));
    }
    let mut tokens = Vec::new();
    for token in init["bootstrapTokens"].as_array().into_iter().flatten() {
        let text = token["ttl"].as_str().unwrap_or("24h0m0s");
        let Some(ttl) = duration(text) else {
            return Err(super::trace(cx, &format!("bootstrapTokens[0].ttl: Invalid value: \"{text}\"")));
        };
        tokens.push((token["token"].as_str().map(str::to_owned), ttl));
    }
    if tokens.is_empty() {
        let ttl = duration(opts.value(&["token-ttl"]).unwrap_or("24h")).unwrap_or(Some(86_400_000));
        tokens.push((opts.value(&["token"]).map(str::to_owned), ttl));
    }
    let mut skip = list(&init["skipPhases"]);
    skip.extend(opts.values(&["skip-phases"]).into_iter().flat_map(|s| comma(Some(s))));
    // Flags become part of the configuration that is uploaded.
    let object = cluster.as_object_mut().map(std::mem::take).unwrap_or_default();
    cluster = fill(object, &version, &endpoint, &pod_subnet, &service_subnet, mine);
    if let Some(repository) = opts.value(&["image-repository"]) {
        cluster["imageRepository"] = repository.into();
    }
    Ok(Settings {
        version,
        cluster,
        kubelet: documents.kind("KubeletConfiguration"),
        proxy: documents.kind("KubeProxyConfiguration"),
        node,
        endpoint,
        pod_subnet,
        service_subnet,
        cert_sans,
        certificate_key,
        tokens,
        skip,
    })
}

/// The version in which a minor's kubeadm writes its configuration.
pub(super) fn api_version(minor: u32) -> &'static str {
    match minor {
        ..=21 => "kubeadm.k8s.io/v1beta2",
        22..=30 => "kubeadm.k8s.io/v1beta3",
        _ => "kubeadm.k8s.io/v1beta4",
    }
}

/// A cluster's configuration as a release writes it back after an upgrade: its version, and from v1beta4 on arguments as lists.
pub(super) fn rewritten(cluster: &Value, version: &str) -> Value {
    let mut cluster = cluster.clone();
    let api = api_version(minor(version));
    cluster["apiVersion"] = api.into();
    cluster["kubernetesVersion"] = format!("v{version}").into();
    if api.ends_with("v1beta4") {
        for path in [
            "/apiServer/extraArgs",
            "/controllerManager/extraArgs",
            "/scheduler/extraArgs",
            "/etcd/local/extraArgs",
        ] {
            if let Some(value @ Value::Object(_)) = cluster.pointer_mut(path) {
                *value = arguments(value)
                    .into_iter()
                    .map(|(name, value)| json!({"name": name, "value": value}))
                    .collect();
            }
        }
    }
    cluster
}

fn fill(
    mut cluster: Map<String, Value>,
    version: &str,
    endpoint: &Option<String>,
    pods: &Option<String>,
    services: &str,
    minor: u32,
) -> Value {
    cluster.insert("apiVersion".to_owned(), api_version(minor).into());
    cluster.insert("kind".to_owned(), "ClusterConfiguration".into());
    cluster.insert("kubernetesVersion".to_owned(), format!("v{version}").into());
    if let Some(endpoint) = endpoint {
        cluster.insert("controlPlaneEndpoint".to_owned(), endpoint.as_str().into());
    }
    cluster.entry("clusterName").or_insert_with(|| "kubernetes".into());
    cluster.entry("certificatesDir").or_insert_with(|| "/etc/kubernetes/pki".into());
    cluster.entry("imageRepository").or_insert_with(|| crate::cluster::versions::registry(minor).into());
    let mut networking = cluster.get("networking").cloned().unwrap_or_else(|| json!({}));
    networking["serviceSubnet"] = services.into();
    if let Some(pods) = pods {
        networking["podSubnet"] = pods.as_str().into();
    }
    if networking["dnsDomain"].is_null() {
        networking["dnsDomain"] = "cluster.local".into();
    }
    cluster.insert("networking".to_owned(), networking);
    Value::Object(cluster)
}

/// Discovery and role of a join.
#[derive(Clone)]
pub(super) struct Join {
    pub(super) node: Node,
    pub(super) endpoint: String,
    pub(super) token: String,
    pub(super) hashes: Vec<String>,
    pub(super) control_plane: bool,
    pub(super) certificate_key: Option<String>,
    pub(super) skip: Vec<String>,
}

/// Everything join goes by: file and flags.
pub(super) fn join(cx: &mut Cx<'_>, opts: &Opts, endpoint: Option<&str>) -> Result<Join, i32> {
    let documents = read_file(cx, opts)?;
    let file = documents.kind("JoinConfiguration");
    if opts.has(&["config"]) && !documents.all.iter().any(|d| d["kind"] == "JoinConfiguration") {
        return Err(super::trace(cx, "no JoinConfiguration kind was found in the YAML file"));
    }
    let control_plane =
        opts.has(&["control-plane", "experimental-control-plane"]) || file["controlPlane"].is_object();
    let node = node(cx, opts, &file["nodeRegistration"], &file["controlPlane"]["localAPIEndpoint"])?;
    let discovery = &file["discovery"]["bootstrapToken"];
    let pick = |flags: &[&str], value: &Value| {
        opts.value(flags).map(str::to_owned).or_else(|| value.as_str().map(str::to_owned)).unwrap_or_default()
    };
    let token = pick(&["token", "discovery-token"], &discovery["token"]);
    let mut hashes: Vec<String> =
        opts.values(&["discovery-token-ca-cert-hash"]).into_iter().flat_map(|h| comma(Some(h))).collect();
    hashes.extend(list(&discovery["caCertHashes"]));
    let unsafe_skip = opts.has(&["discovery-token-unsafe-skip-ca-verification"])
        || discovery["unsafeSkipCAVerification"] == true;
    let endpoint = endpoint
        .map(str::to_owned)
        .or_else(|| discovery["apiServerEndpoint"].as_str().map(str::to_owned))
        .unwrap_or_default();
    let invalid = if token.is_empty() && endpoint.is_empty() {
        Some("discovery: Invalid value: \"\": bootstrapToken or file must be set".to_owned())
    } else if !super::tokens::is_token(&token) {
        Some(format!(
            "discovery.bootstrapToken.token: Invalid value: \"{}\": the bootstrap token is invalid",
            if token.is_empty() { "" } else { "(hidden)" }
        ))
    } else if endpoint.rsplit_once(':').is_none_or(|(_, p)| p.parse::<u16>().is_err()) {
        Some(format!(
            "discovery.bootstrapToken.apiServerEndpoint: Invalid value: \"{endpoint}\": address {endpoint}: missing port in address"
        ))
    } else if hashes.is_empty() && !unsafe_skip {
        Some("discovery.bootstrapToken: Invalid value: \"\": using token-based discovery without caCertHashes can be unsafe. Set unsafeSkipCAVerification as true in your kubeadm config file or pass --discovery-token-unsafe-skip-ca-verification flag to continue".to_owned())
    } else {
        None
    };
    if let Some(text) = invalid {
        return Err(super::trace(cx, &text));
    }
    let mut skip = list(&file["skipPhases"]);
    skip.extend(opts.values(&["skip-phases"]).into_iter().flat_map(|s| comma(Some(s))));
    let certificate_key = pick(&["certificate-key"], &file["controlPlane"]["certificateKey"]);
    Ok(Join {
        node,
        endpoint,
        token,
        hashes,
        control_plane,
        certificate_key: Some(certificate_key).filter(|k| !k.is_empty()),
        skip,
    })
}

/// Whether a phase, or what it is part of, is left out.
pub(super) fn skipped(skip: &[String], phase: &str) -> bool {
    skip.iter().any(|s| s == phase || phase.starts_with(&format!("{s}/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_gos() {
        assert_eq!(duration("15m"), Some(Some(900_000)));
        assert_eq!(duration("1h30m0s"), Some(Some(5_400_000)));
        assert_eq!(duration("0"), Some(None));
        assert_eq!(duration("soon"), None);
        assert_eq!(duration("15"), None);
    }
}
