//! Making a node a plain machine again.

use std::time::Duration;

use grappe_provider::Fault;
use grappe_ssh::Exec;

use crate::remote::{LONG, Remote};
use crate::standing::{FINISHED, MARKER};

/// How long a kubeadm that an earlier, cut-off run left behind may take to end.
const OTHER_KUBEADM: Duration = Duration::from_secs(300);

/// Waits for a kubeadm that still runs here: the connection of the run that started it was lost.
///
/// # Errors
/// It does not end.
pub async fn wait_for_other_kubeadm(remote: &Remote) -> Result<(), Fault> {
    let script = format!(
        "n=0\nwhile pgrep -x kubeadm >/dev/null 2>&1; do\n\
         n=$((n+1))\nif [ $n -gt {} ]; then exit 75; fi\nsleep 1\ndone",
        OTHER_KUBEADM.as_secs()
    );
    let output = remote.ask(Exec::new(script).timeout(OTHER_KUBEADM * 2)).await?;
    if output.code() == Some(75) {
        return Err(Fault::transient(format!("{}: another kubeadm is still running", remote.name()))
            .hint("look at it with `ps -C kubeadm -f`"));
    }
    Ok(())
}

/// `kubeadm reset`, and then what it leaves: the network plugin's configuration, rules and interfaces, an admin's copy of
/// the kubeconfig, the marker. `pods` is the pods' range (two, with a comma between, in a cluster of two families): routes
/// into it, and rules that name it, go. On a control plane that can reach the cluster this takes its etcd member out first.
///
/// # Errors
/// The host could not be asked, or kubeadm failed.
pub async fn reset(remote: &Remote, pods: Option<&str>) -> Result<(), Fault> {
    wait_for_other_kubeadm(remote).await?;
    // The folders stay: containerd watches net.d, and never sees it again when it is made anew. Nor does it always see that what it has read is gone: a
    // node that joins again would be Ready before it has a network. It begins anew; what it runs for others goes on.
    // Only chains that Kubernetes and its network plugins made; others' rules stay.
    let chains = "KUBE-|CNI-|FLANNEL-|FLANNEL|KUBE-ROUTER|WEAVE|cali-|cali:|ANTREA-|CILIUM_|OLD_CILIUM_";
    let ranges: Vec<&str> = pods.into_iter().flat_map(|pods| pods.split(',')).map(str::trim).collect();
    let rules: String =
        ranges.iter().map(|range| format!("| -[sd] {} ", range.replace('.', "\\."))).collect();
    let routes: String = ranges.iter().map(|range| forget_routes(range)).collect();
    let script = format!(
        "if [ -s /etc/kubernetes/admin.conf ] && [ -s /root/.kube/config ] && cmp -s /etc/kubernetes/admin.conf /root/.kube/config; then\n\
         rm -f /root/.kube/config\nfi\n\
         if command -v kubeadm >/dev/null; then kubeadm reset -f || exit 1; fi\n\
         rm -rf /etc/cni/net.d/* /var/lib/cni /etc/kubernetes/manifests/* /etc/kubernetes/pki\n\
         rm -f /etc/kubernetes/admin.conf /etc/kubernetes/super-admin.conf /etc/kubernetes/kubelet.conf /etc/kubernetes/bootstrap-kubelet.conf\n\
         if systemctl is-active --quiet containerd; then systemctl restart containerd || exit 1; fi\n\
         for save in iptables-save ip6tables-save; do\n\
         restore=$(echo $save | sed s/save/restore/)\n\
         if command -v $save >/dev/null && command -v $restore >/dev/null; then $save | grep -v -E '{chains}{rules}' | $restore; fi\n\
         done\n\
         if command -v ipvsadm >/dev/null; then ipvsadm --clear; fi\n\
         for link in cni0 flannel.1 kube-bridge kube-ipvs0 weave antrea-gw0 cilium_host cilium_vxlan vxlan.calico; do\n\
         if [ -e /sys/class/net/$link ]; then ip link delete $link; fi\n\
         done\n\
         {routes}rm -rf /root/.kube/cache\n\
         rm -f {FINISHED} {MARKER}"
    );
    remote.long("kubeadm reset", Exec::new(script).timeout(LONG)).await.map(|_| ())
}

/// What a network plugin added; the kernel's own go with their interface.
fn forget_routes(range: &str) -> String {
    let family = if range.contains(':') { "-6" } else { "-4" };
    format!(
        "ip {family} route show root {range} 2>/dev/null | grep -v 'proto kernel' | while read -r to rest; do\n\
         ip {family} route del \"$to\" 2>/dev/null || true\ndone\n"
    )
}
