//! The phases of `kubeadm init` and `kubeadm join`, which may be skipped by name.
//!
//! kubeadm refuses a name that it does not know (`invalid phase name`), but only on the machine, and with a hint at
//! nothing: `kube-proxy` is the usual slip for `addon/kube-proxy`. The names below are those of all releases up to
//! [`NEWEST`] together; of a later one, any name is taken.
//! Source: `cmd/kubeadm/app/cmd/phases/{init,join}/*.go` of 1.20, the generated reference of 1.31 and
//! <https://pkg.go.dev/k8s.io/kubernetes/cmd/kubeadm/app/cmd/phases/join> for what came since.

use super::Error;
use crate::version::KubernetesVersion;

/// The last minor whose phases are known here.
const NEWEST: u32 = 34;

/// Phase, and the phases in it.
type Phases = &'static [(&'static str, &'static [&'static str])];

const INIT: Phases = &[
    ("preflight", &[]),
    (
        "certs",
        &[
            "all",
            "ca",
            "apiserver",
            "apiserver-kubelet-client",
            "front-proxy-ca",
            "front-proxy-client",
            "etcd-ca",
            "etcd-server",
            "etcd-peer",
            "etcd-healthcheck-client",
            "apiserver-etcd-client",
            "sa",
        ],
    ),
    ("kubeconfig", &["all", "admin", "super-admin", "kubelet", "controller-manager", "scheduler"]),
    ("etcd", &["local"]),
    ("control-plane", &["all", "apiserver", "controller-manager", "scheduler"]),
    ("kubelet-start", &[]),
    ("wait-control-plane", &[]),
    ("upload-config", &["all", "kubeadm", "kubelet"]),
    ("upload-certs", &[]),
    ("mark-control-plane", &[]),
    ("bootstrap-token", &[]),
    ("kubelet-finalize", &["all", "experimental-cert-rotation", "enable-client-cert-rotation"]),
    ("addon", &["all", "coredns", "kube-proxy"]),
    ("show-join-command", &[]),
];

const JOIN: Phases = &[
    ("preflight", &[]),
    ("control-plane-prepare", &["all", "download-certs", "certs", "kubeconfig", "control-plane"]),
    ("check-etcd", &[]),
    ("kubelet-start", &[]),
    ("kubelet-wait-bootstrap", &[]),
    ("etcd-join", &[]),
    ("control-plane-join", &["all", "etcd", "update-status", "mark-control-plane"]),
    ("wait-control-plane", &[]),
];

/// Checks names that init is to skip.
pub(super) fn init(names: &[String], version: &KubernetesVersion) -> Result<(), Error> {
    check("init", INIT, names, version)
}

/// Checks names that join is to skip.
pub(super) fn join(names: &[String], version: &KubernetesVersion) -> Result<(), Error> {
    check("join", JOIN, names, version)
}

fn check(command: &str, phases: Phases, names: &[String], version: &KubernetesVersion) -> Result<(), Error> {
    for name in names {
        let (phase, part) = match name.split_once('/') {
            Some((phase, part)) => (phase, Some(part)),
            None => (name.as_str(), None),
        };
        let known = phases
            .iter()
            .any(|(known, parts)| *known == phase && part.is_none_or(|part| parts.contains(&part)));
        if known || version.minor() > NEWEST {
            continue;
        }
        let meant = phases.iter().find(|(_, parts)| part.is_none() && parts.contains(&phase));
        let problem = match meant {
            Some((within, _)) => format!("that phase is `{within}/{phase}`"),
            None => format!("`kubeadm {command}` has no such phase: `kubeadm {command} --help` lists them"),
        };
        return Err(Error::Field { field: "skipPhases", value: name.clone(), problem });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(version: &str, names: &[&str]) -> Result<(), String> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        init(&names, &version.parse().expect("a version")).map_err(|error| error.to_string())
    }

    #[test]
    fn a_slip_is_told_with_what_was_meant() {
        assert_eq!(at("1.20.2", &["addon/kube-proxy", "upload-certs", "certs/etcd-ca"]), Ok(()));
        assert_eq!(
            at("1.20.2", &["kube-proxy"]),
            Err("`skipPhases` is \"kube-proxy\": that phase is `addon/kube-proxy`".into())
        );
        assert!(at("1.34.0", &["addons"]).is_err_and(|text| text.contains("no such phase")));
        assert!(at("1.34.0", &["addon/dns"]).is_err());
        // What is to come cannot be known.
        assert_eq!(at("1.40.0", &["anything"]), Ok(()));
        let version = "1.31.0".parse().expect("a version");
        assert_eq!(join(&["control-plane-prepare/download-certs".into()], &version), Ok(()));
        assert!(join(&["addon/kube-proxy".into()], &version).is_err(), "it is a phase of init");
    }
}
