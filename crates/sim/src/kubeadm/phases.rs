//! `kubeadm init phase …`.

use super::config::{self, Settings};
use super::init::{upload, upload_config};
use super::{addons, admin, files, trace};
use crate::tools::{Cx, Opts, Status};

pub(super) fn run(cx: &mut Cx<'_>, opts: &Opts, phase: &[&str]) -> Status {
    match phase {
        ["upload-certs"] => {
            if !opts.has(&["upload-certs"]) {
                cx.out("[upload-certs] Skipping phase. Please see --upload-certs\n");
                return Ok(0);
            }
            let key = config::settings(cx, opts)?.certificate_key;
            let access = admin(cx, opts)?;
            let machine = cx.sh.machine.clone();
            let complete = cx.host(|h, _| files::shared(h).len() == files::SHARED.len());
            if !complete {
                return Err(trace(
                    cx,
                    "error execution phase upload-certs: error uploading certs: open /etc/kubernetes/pki/ca.key: no such file or directory",
                ));
            }
            let key = cx.sh.state(|s| upload(s, &machine, &access.cluster, key));
            cx.out(format!("[upload-certs] Storing the certificates in Secret \"kubeadm-certs\" in the \"kube-system\" Namespace\n[upload-certs] Using certificate key:\n{key}\n"));
            Ok(0)
        }
        ["upload-config"] => Err(trace(cx, "a subphase is required: all, kubeadm or kubelet")),
        ["upload-config", "all" | "kubeadm" | "kubelet"] => {
            let settings = config::settings(cx, opts)?;
            let access = admin(cx, opts)?;
            cx.sh.state(|s| upload_config(s, &access.cluster, &settings));
            cx.out("[upload-config] Storing the configuration used in ConfigMap \"kubeadm-config\" in the \"kube-system\" Namespace\n");
            Ok(0)
        }
        ["certs", which] => {
            let settings = config::settings(cx, opts)?;
            let known = [
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
            ];
            if !known.contains(which) {
                return Err(trace(cx, &format!("unknown phase \"{which}\"")));
            }
            let node = settings.node.clone();
            let made = cx.host_mut(|h, now| {
                if matches!(*which, "all" | "ca" | "front-proxy-ca" | "etcd-ca" | "sa") {
                    files::authorities(h, now)?;
                }
                files::leaves(h, &settings, &node, now)
            });
            made.map_err(|e| trace(cx, &e))?;
            cx.out(format!("[certs] Generating \"{which}\" certificate and key\n"));
            Ok(0)
        }
        ["control-plane" | "etcd", which] => {
            let settings = config::settings(cx, opts)?;
            let (etcd, which) = (phase[0] == "etcd", *which);
            let members = others(cx);
            let node = settings.node.clone();
            let wanted = |name: &str| match (etcd, which) {
                (true, "local") => name == "etcd",
                (false, "all") => name != "etcd",
                (false, "apiserver") => name == "kube-apiserver",
                (false, "controller-manager") => name == "kube-controller-manager",
                (false, "scheduler") => name == "kube-scheduler",
                _ => false,
            };
            let manifests = files::manifests(&settings, &node, &members);
            if !manifests.iter().any(|(n, _)| wanted(n)) {
                return Err(trace(cx, &format!("unknown phase \"{which}\"")));
            }
            for (name, text) in manifests.into_iter().filter(|(n, _)| wanted(n)) {
                cx.host_mut(|h, now| {
                    h.files.put(&format!("/etc/kubernetes/manifests/{name}.yaml"), text, 0o600, now)
                });
                cx.out(format!("[control-plane] Creating static Pod manifest for \"{name}\"\n"));
            }
            Ok(0)
        }
        ["kubeconfig", _] => {
            let settings = config::settings(cx, opts)?;
            let node = settings.node.clone();
            cx.host_mut(|h, now| files::kubeconfigs(h, &settings, &node, false, now))
                .map_err(|e| trace(cx, &e))?;
            Ok(0)
        }
        ["kubelet-start"] => {
            let settings = config::settings(cx, opts)?;
            write_kubelet(cx, &settings);
            Ok(0)
        }
        ["addon", which @ ("all" | "coredns" | "kube-proxy")] => {
            let settings = config::settings(cx, opts)?;
            let access = admin(cx, opts)?;
            for (name, shown) in [(addons::COREDNS, "CoreDNS"), (addons::KUBE_PROXY, "kube-proxy")] {
                if *which == "all" || *which == name {
                    cx.sh.state(|s| {
                        addons::apply(s, &access.cluster, &settings, name);
                        addons::configure(s, &access.cluster, &settings, name);
                    });
                    cx.out(format!("[addons] Applied essential addon: {shown}\n"));
                }
            }
            cx.sh.state(|s| s.reconcile(&access.cluster));
            Ok(0)
        }
        ["bootstrap-token"] | ["mark-control-plane"] | ["preflight"] | ["kubelet-finalize", _] => {
            admin(cx, opts)?;
            Ok(0)
        }
        _ => Err(cx.unsupported(format!("phase {}", phase.join(" ")))),
    }
}

fn write_kubelet(cx: &mut Cx<'_>, settings: &Settings) {
    cx.host_mut(|h, now| {
        files::kubelet(h, &settings.kubelet, &settings.node, &settings.version, now);
        h.stop_unit("kubelet", now * 1000);
        // kubelet is restarted by systemd until it holds.
        let _ = h.start_unit("kubelet", now * 1000);
    });
    cx.out("[kubelet-start] Starting the kubelet\n");
}

/// The members of etcd on other machines, as they stand in a manifest.
fn others(cx: &mut Cx<'_>) -> Vec<String> {
    let machine = cx.sh.machine.clone();
    cx.sh.state(|s| {
        let Some(cluster) = s.cluster_on(&machine).and_then(|id| s.clusters.get(&id)) else {
            return Vec::new();
        };
        // The manifest keeps those that were there when it joined: the ones before it.
        let before = cluster.etcd.iter().take_while(|m| m.machine != machine);
        before.map(|m| format!("{}=https://{}:2380", m.name, m.address)).collect()
    })
}
