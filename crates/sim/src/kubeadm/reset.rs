//! `kubeadm reset`.

use super::init::empty;
use super::{ADMIN_CONF, trace};
use crate::cluster::access::Kubeconfig;
use crate::host::files::Actor;
use crate::tools::{Cx, Opts, Status};

pub(super) fn run(cx: &mut Cx<'_>, opts: &Opts) -> Status {
    if !opts.has(&["f", "force"]) {
        let answer = cx.io.read_line().map(|(l, _)| l).unwrap_or_default();
        cx.out("[reset] Are you sure you want to proceed? [y/N]: ");
        if !answer.starts_with(b"y") {
            return Err(trace(cx, "error execution phase preflight: aborted reset operation"));
        }
    }
    cx.out("[preflight] Running pre-flight checks\n");
    leave_etcd(cx);
    cx.out("[reset] Stopping the kubelet service\n[reset] Deleting contents of directories: [/etc/kubernetes/manifests /var/lib/kubelet /etc/kubernetes/pki]\n[reset] Deleting files: [/etc/kubernetes/admin.conf /etc/kubernetes/super-admin.conf /etc/kubernetes/kubelet.conf /etc/kubernetes/bootstrap-kubelet.conf /etc/kubernetes/controller-manager.conf /etc/kubernetes/scheduler.conf]\n");
    cx.host_mut(|h, now| {
        h.stop_unit("kubelet", now * 1000);
        for folder in
            ["/etc/kubernetes/manifests", "/var/lib/kubelet", "/etc/kubernetes/pki", "/var/lib/etcd"]
        {
            empty(h, folder, now);
        }
        for file in
            ["admin", "super-admin", "kubelet", "bootstrap-kubelet", "controller-manager", "scheduler"]
        {
            // Most hosts have only some of them.
            let _ = h.files.unlink(&format!("/etc/kubernetes/{file}.conf"), Actor::root(now));
        }
        h.node = None;
    });
    cx.sh.state(|s| s.bury_clusters());
    cx.out("\nThe reset process does not clean CNI configuration. To do so, you must remove /etc/cni/net.d\n\nThe reset process does not reset or clean up iptables rules or IPVS tables.\n\nThe reset process does not clean your kubeconfig files and you must remove them manually.\n");
    Ok(0)
}

/// A control plane takes its member out of etcd, if the cluster can still do that.
fn leave_etcd(cx: &mut Cx<'_>) {
    let machine = cx.sh.machine.clone();
    let text = cx.host(|h, _| {
        let runs = h.files.exists("/etc/kubernetes/manifests/etcd.yaml");
        if runs { h.files.text(ADMIN_CONF) } else { String::new() }
    });
    if text.is_empty() {
        cx.err("W0101 00:00:00.000000    4242 removeetcdmember.go:106] [reset] No kubeadm config, using etcd pod spec to get data directory\n");
        return;
    }
    let removed = Kubeconfig::parse(&text).and_then(|config| {
        cx.sh.state(|s| {
            let access = s.open_api(&machine, &config)?;
            let Some(cluster) = s.clusters.get_mut(&access.cluster) else { return Ok(()) };
            if cluster.etcd.len() > 1 {
                cluster.etcd.retain(|m| m.machine != machine);
            }
            Ok(())
        })
    });
    match removed {
        Ok(()) => {
            cx.out("[reset] Removing info for node from the ConfigMap \"kubeadm-config\" in the \"kube-system\" Namespace\n");
        }
        Err(e) => cx.err(format!("W0101 00:00:00.000000    4242 reset.go:134] [reset] Unable to fetch the kubeadm-config ConfigMap from cluster: failed to get config map: {e}\n")),
    }
}
