//! kubeadm's configuration files: which API versions a release reads, and which fields each knows.

use serde_json::{Value, json};

use crate::cluster::versions::minor;
use crate::tools::{Cx, Opts};

/// The documents of a configuration file.
#[derive(Debug, Clone, Default)]
pub(super) struct Documents {
    pub(super) all: Vec<Value>,
}

impl Documents {
    /// The first document of a kind, or an empty one.
    pub(super) fn kind(&self, kind: &str) -> Value {
        self.all.iter().find(|d| d["kind"] == kind).cloned().unwrap_or_else(|| json!({}))
    }

    /// ClusterConfiguration.
    pub(super) fn cluster(&self) -> Value {
        self.kind("ClusterConfiguration")
    }
}

/// Fields of each kind; `+4` only in v1beta4, `-4` not there, `+3` from v1beta3 on.
const FIELDS: &[(&str, &[&str])] = &[
    (
        "InitConfiguration",
        &[
            "bootstrapTokens",
            "nodeRegistration",
            "localAPIEndpoint",
            "certificateKey",
            "skipPhases+3",
            "patches+3",
            "dryRun+4",
            "timeouts+4",
        ],
    ),
    (
        "ClusterConfiguration",
        &[
            "etcd",
            "networking",
            "kubernetesVersion",
            "controlPlaneEndpoint",
            "apiServer",
            "controllerManager",
            "scheduler",
            "dns",
            "proxy+4",
            "certificatesDir",
            "imageRepository",
            "featureGates",
            "clusterName",
            "encryptionAlgorithm+4",
            "certificateValidityPeriod+4",
            "caCertificateValidityPeriod+4",
            "useHyperKubeImage-3",
        ],
    ),
    (
        "JoinConfiguration",
        &[
            "nodeRegistration",
            "caCertPath",
            "discovery",
            "controlPlane",
            "skipPhases+3",
            "patches+3",
            "dryRun+4",
            "timeouts+4",
        ],
    ),
    (
        "ResetConfiguration",
        &[
            "certificatesDir",
            "cleanupTmpDir",
            "criSocket",
            "dryRun",
            "force",
            "ignorePreflightErrors",
            "skipPhases",
            "unmountFlags",
            "timeouts",
        ],
    ),
    ("UpgradeConfiguration", &["apply", "diff", "node", "plan", "timeouts"]),
    (
        "nodeRegistration",
        &[
            "name",
            "criSocket",
            "taints",
            "kubeletExtraArgs",
            "ignorePreflightErrors+2",
            "imagePullPolicy+3",
            "imagePullSerial+4",
        ],
    ),
    ("localAPIEndpoint", &["advertiseAddress", "bindPort"]),
    ("networking", &["serviceSubnet", "podSubnet", "dnsDomain"]),
    ("apiServer", &["extraArgs", "extraVolumes", "extraEnvs+4", "certSANs", "timeoutForControlPlane-4"]),
    ("controllerManager", &["extraArgs", "extraVolumes", "extraEnvs+4"]),
    ("scheduler", &["extraArgs", "extraVolumes", "extraEnvs+4"]),
    ("discovery", &["bootstrapToken", "file", "tlsBootstrapToken", "timeout-4"]),
    ("controlPlane", &["localAPIEndpoint", "certificateKey"]),
    ("etcd", &["local", "external"]),
    (
        "local",
        &[
            "imageRepository",
            "imageTag",
            "dataDir",
            "extraArgs",
            "extraEnvs+4",
            "serverCertSANs",
            "peerCertSANs",
        ],
    ),
    ("external", &["endpoints", "caFile", "certFile", "keyFile", "httpEndpoints+4"]),
    ("bootstrapToken", &["token", "apiServerEndpoint", "caCertHashes", "unsafeSkipCAVerification"]),
    ("patches", &["directory"]),
];

/// Whether a field of this version (2, 3, 4 for v1beta2, …) is in a list.
fn known(list: &[&str], field: &str, version: u32) -> bool {
    list.iter().any(|f| {
        let (name, mark) = match f.find(['+', '-']) {
            Some(at) => f.split_at(at),
            None => (*f, ""),
        };
        let since = |m: &str| m[1..].parse::<u32>().unwrap_or(0);
        name == field
            && match mark.chars().next() {
                Some('+') => version >= since(mark),
                Some(_) => version < since(mark),
                None => true,
            }
    })
}

fn check(
    value: &Value,
    kind: &str,
    path: &str,
    version: u32,
    unknown: &mut Vec<String>,
) -> Result<(), String> {
    let Some(object) = value.as_object() else { return Ok(()) };
    let Some((_, fields)) = FIELDS.iter().find(|(k, _)| *k == kind) else { return Ok(()) };
    for (name, inner) in object {
        if path.is_empty() && (name == "apiVersion" || name == "kind") {
            continue;
        }
        if !known(fields, name, version) {
            unknown.push(if path.is_empty() { name.clone() } else { format!("{path}.{name}") });
            continue;
        }
        if name == "extraArgs" || name == "kubeletExtraArgs" {
            check_args(inner, name, version)?;
            continue;
        }
        let below = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        check(inner, name, &below, version, unknown)?;
    }
    Ok(())
}

/// Arguments are a map of strings until v1beta3, a list of names and values in v1beta4.
fn check_args(value: &Value, field: &str, version: u32) -> Result<(), String> {
    let go = |found: &str, wanted: &str| {
        Err(format!("json: cannot unmarshal {found} into Go struct field .{field} of type {wanted}"))
    };
    match value {
        Value::Null => Ok(()),
        Value::Object(_) if version >= 4 => go("object", "[]v1beta4.Arg"),
        Value::Array(_) if version < 4 => go("array", "map[string]string"),
        Value::Object(map) => match map.values().find(|v| !v.is_string()) {
            Some(Value::Bool(_)) => go("bool", "string"),
            Some(Value::Number(_)) => go("number", "string"),
            Some(_) => go("object", "string"),
            None => Ok(()),
        },
        Value::Array(list) => match list
            .iter()
            .find(|a| !a["name"].is_string() || !(a["value"].is_string() || a["value"].is_null()))
        {
            Some(_) => go("number", "string"),
            None => Ok(()),
        },
        _ => go("string", "map[string]string"),
    }
}

/// Arguments in either form.
pub(super) fn arguments(value: &Value) -> Vec<(String, String)> {
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    match value {
        Value::Object(map) => map.iter().map(|(k, v)| (k.clone(), text(v))).collect(),
        Value::Array(list) => list.iter().map(|a| (text(&a["name"]), text(&a["value"]))).collect(),
        _ => Vec::new(),
    }
}

/// Reads the file of `--config`; warnings are printed, errors end it.
pub(super) fn read_file(cx: &mut Cx<'_>, opts: &Opts) -> Result<Documents, i32> {
    let Some(path) = opts.value(&["config"]).map(str::to_owned) else { return Ok(Documents::default()) };
    let text = match cx.read(&path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(e) => {
            return Err(super::trace(
                cx,
                &format!(
                    "unable to read config from \"{path}\" : open {path}: {}",
                    e.to_string().to_lowercase()
                ),
            ));
        }
    };
    let all = match crate::yaml::documents(&text) {
        Ok(all) => all,
        Err(e) => return Err(super::trace(cx, &format!("error converting YAML to JSON: yaml: {e}"))),
    };
    let release = minor(cx.version);
    for document in &all {
        let (api, kind) = (
            document["apiVersion"].as_str().unwrap_or_default(),
            document["kind"].as_str().unwrap_or_default(),
        );
        if api.is_empty() || kind.is_empty() {
            return Err(super::trace(
                cx,
                "invalid configuration for GroupVersionKind /, Kind=: kind and apiVersion is mandatory information that must be specified",
            ));
        }
        let Some(beta) = api.strip_prefix("kubeadm.k8s.io/") else { continue };
        let served = match beta {
            "v1beta1" => (13..=21).contains(&release),
            "v1beta2" => (15..=26).contains(&release),
            "v1beta3" => (22..=36).contains(&release),
            "v1beta4" => release >= 31,
            _ => false,
        };
        if !served {
            let old = matches!(beta, "v1beta1" | "v1beta2" | "v1beta3") && release > 21;
            let text = if old {
                format!(
                    "your configuration file uses an old API spec: \"{api}\" (kind: \"{kind}\"). Please use kubeadm v1.{} instead and run 'kubeadm config migrate --old-config old-config-file --new-config new-config-file', which will write the new, similar spec using a newer API version.",
                    if beta == "v1beta1" { 21 } else { 26 }
                )
            } else {
                format!(
                    "no kind \"{kind}\" is registered for version \"{api}\" in scheme \"k8s.io/kubernetes/cmd/kubeadm/app/apis/kubeadm/scheme/scheme.go:31\""
                )
            };
            return Err(super::trace(cx, &text));
        }
        let version: u32 = beta.trim_start_matches("v1beta").parse().unwrap_or(3);
        if (release >= 36 || (release >= 31 && version < 4)) && version == 3 {
            cx.err(format!("W0101 00:00:00.000000    4242 common.go:101] your configuration file uses a deprecated API spec: \"{api}\" (kind: \"{kind}\"). Please use 'kubeadm config migrate --old-config old.yaml --new-config new.yaml', which will write the new, similar spec using a newer API version.\n"));
        }
        if !FIELDS.iter().take(5).any(|(k, _)| *k == kind) {
            return Err(super::trace(cx, &format!("no kind \"{kind}\" is registered for version \"{api}\"")));
        }
        let mut unknown = Vec::new();
        if let Err(e) = check(document, kind, "", version, &mut unknown) {
            return Err(super::trace(
                cx,
                &format!(
                    "error unmarshaling configuration schema.GroupVersionKind{{Group:\"kubeadm.k8s.io\", Version:\"{beta}\", Kind:\"{kind}\"}}: {e}"
                ),
            ));
        }
        for field in unknown {
            cx.err(format!("W0101 00:00:00.000000    4242 initconfiguration.go:306] error unmarshaling configuration schema.GroupVersionKind{{Group:\"kubeadm.k8s.io\", Version:\"{beta}\", Kind:\"{kind}\"}}: strict decoding error: unknown field \"{field}\"\n"));
        }
    }
    let forbidden = [
        "certificate-key",
        "token",
        "node-name",
        "apiserver-advertise-address",
        "pod-network-cidr",
        "control-plane-endpoint",
        "kubernetes-version",
        "service-cidr",
        "control-plane",
        "discovery-token-ca-cert-hash",
    ];
    let mixed: Vec<&str> =
        forbidden.into_iter().filter(|f| opts.has(&[f]) && !(["node-name"].contains(f))).collect();
    if !mixed.is_empty() && !opts.rest.iter().any(|w| w == "images") {
        return Err(super::trace(
            cx,
            &format!("can not mix '--config' with arguments [{}]", mixed.join(" ")),
        ));
    }
    Ok(Documents { all })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_known_by_version() {
        let field = |kind: &str, name: &str, version| {
            known(FIELDS.iter().find(|(k, _)| *k == kind).unwrap().1, name, version)
        };
        assert!(field("InitConfiguration", "timeouts", 4) && !field("InitConfiguration", "timeouts", 3));
        assert!(
            field("apiServer", "timeoutForControlPlane", 3)
                && !field("apiServer", "timeoutForControlPlane", 4)
        );
        assert!(!field("ClusterConfiguration", "kubeletExtraArgs", 2));
    }
}
