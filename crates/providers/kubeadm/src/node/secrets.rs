//! What a join is let in with: minted for it, on any control plane, and revoked after it.

use grappe_kubeadm::Secret;
use grappe_kubeadm::config;
use grappe_kubeadm::join::{self, BootstrapToken};
use grappe_kubeadm::version::KubernetesVersion;
use grappe_provider::Fault;

use super::kubeadm_fault;
use crate::access::KUBECTL;
use crate::remote::Remote;

/// `kubeadm token create`, for a quarter of an hour, and until the cluster has signed its public information with it: a join
/// that comes too early for that waits five seconds before it looks again.
pub(super) async fn mint_token(remote: &Remote) -> Result<BootstrapToken, Fault> {
    let script = format!(
        "token=$(kubeadm --kubeconfig /etc/kubernetes/admin.conf token create --ttl 15m) || exit 1\necho \"$token\"\n\
         n=0\nuntil {KUBECTL} -n kube-public get configmap cluster-info -o yaml 2>/dev/null | grep -q \"jws-kubeconfig-${{token%%.*}}:\"; do\n\
         n=$((n+1))\nif [ $n -gt 20 ]; then break; fi\nsleep 0.2\ndone"
    );
    let printed = remote.sh("kubeadm token create", &script).await?;
    join::token_from_output(&printed).map_err(|error| Fault::permanent(error.to_string()))
}

pub(super) async fn revoke_token(remote: &Remote, token: &BootstrapToken) -> Result<(), Fault> {
    let delete = format!("kubeadm --kubeconfig /etc/kubernetes/admin.conf token delete {}", token.id());
    remote.sh("kubeadm token delete", &delete).await.map(|_| ())
}

/// Uploads the control plane's certificates, encrypted, and returns the key. They are gone after two hours.
pub(super) async fn upload_certificates(
    remote: &Remote,
    version: &KubernetesVersion,
) -> Result<Secret, Fault> {
    // With a file that names the version: without, kubeadm asks the internet for the newest one.
    // And where etcd is, which decides whose certificates go along: for one on other machines, the client's.
    let stored = format!(
        "{KUBECTL} -n kube-system get configmap kubeadm-config -o jsonpath='{{.data.ClusterConfiguration}}'"
    );
    let etcd = config::stored_etcd(&remote.sh("read the cluster's configuration", &stored).await?);
    let cluster = config::Cluster { etcd, ..config::Cluster::new(version.clone()) };
    let file = config::init(&config::Init::default(), &cluster, &config::Kubelet::default(), None)
        .map_err(|error| Fault::permanent(error.to_string()))?;
    let command = "kubeadm init phase upload-certs --upload-certs --config";
    let output = remote.with_file("/etc/kubernetes/grappe-upload.yaml", file.yaml.expose(), command).await?;
    if !output.success() {
        return Err(kubeadm_fault(remote, "kubeadm init phase upload-certs", &output).await);
    }
    join::certificate_key_from_output(&output.stdout_str())
        .map_err(|error| Fault::permanent(error.to_string()))
}
