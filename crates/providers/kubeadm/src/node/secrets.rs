//! What a join is let in with: minted for it, on any control plane, and revoked after it.

use grappe_kubeadm::Secret;
use grappe_kubeadm::config;
use grappe_kubeadm::join::{self, BootstrapToken};
use grappe_kubeadm::version::KubernetesVersion;
use grappe_provider::Fault;
use grappe_ssh::quote;

use super::kubeadm_fault;
use crate::access::KUBECTL;
use crate::remote::Remote;

const TOKEN: &str = "kubeadm --kubeconfig /etc/kubernetes/admin.conf token";
/// kubeadm's own word for the token that keeps uploaded certificates alive.
const PROXY: &str = "Proxy for managing TTL for the kubeadm-certs secret";

/// `kubeadm token create`, for a quarter of an hour, and until the cluster has signed its public information with it: a join
/// that comes too early for that waits five seconds before it looks again. Its description says for which node it is.
pub(super) async fn mint_token(remote: &Remote, node: &str) -> Result<BootstrapToken, Fault> {
    let script = format!(
        "token=$({TOKEN} create --ttl 15m --description {}) || exit 1\necho \"$token\"\n\
         n=0\nuntil {KUBECTL} -n kube-public get configmap cluster-info -o yaml 2>/dev/null | grep -q \"jws-kubeconfig-${{token%%.*}}:\"; do\n\
         n=$((n+1))\nif [ $n -gt 20 ]; then break; fi\nsleep 0.2\ndone",
        quote(&description(node)),
    );
    let printed = remote.sh("kubeadm token create", &script).await?;
    join::token_from_output(&printed).map_err(|error| Fault::permanent(error.to_string()))
}

/// Deletes every token that was made for a node, those of runs that were killed too; and for a control plane the uploaded
/// certificates. That there is none is fine.
pub(super) async fn revoke(remote: &Remote, node: &str, control_plane: bool) -> Result<(), Fault> {
    let mut pattern = format!("[[:space:]]{}([[:space:]]|$)", description(node).replace('.', "[.]"));
    let mut certificates = String::new();
    if control_plane {
        pattern = format!("{pattern}|{PROXY}");
        certificates = format!("\n{KUBECTL} -n kube-system delete secret kubeadm-certs --ignore-not-found");
    }
    // The list shows the tokens whole: only their ids leave the pipe.
    let script = format!(
        "list=$({TOKEN} list) || exit 1\n\
         for id in $(echo \"$list\" | grep -E {} | cut -d. -f1); do {TOKEN} delete \"$id\" || exit 1; done{certificates}",
        quote(&pattern),
    );
    remote.sh("revoke what the join was let in with", &script).await.map(|_| ())
}

fn description(node: &str) -> String {
    format!("grappe-join-{node}")
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
