//! What a host is already: the question before every init, join and reset.
//!
//! A marker file on the host says which resource of which plan acted on it, under the idempotency key that the engine
//! keeps for that resource. It is written before kubeadm runs and completed after, so that a run that was killed in
//! between is recognised: its leftovers are ours to reset. What bears no key of ours is never touched.

use serde::{Deserialize, Serialize};

use grappe_kubeadm::join::ca_cert_hash;
use grappe_provider::Fault;

use crate::remote::Remote;

/// The marker file. `kubeadm reset` leaves it alone.
pub const MARKER: &str = "/etc/kubernetes/grappe.json";
/// Made by the shell that ran `kubeadm init` or `kubeadm join` to its end: an API that answers does not say that the phases
/// after it (the cluster's configuration, roles, addons) were done too.
pub const FINISHED: &str = "/etc/kubernetes/grappe-finished";

/// What the marker file holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marker {
    /// The file's format: 1.
    pub version: u32,
    /// Left by the resource that made the cluster here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<Claim>,
    /// Left by the resource that made this host a node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<Claim>,
}

/// A resource's word on a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The idempotency key of the resource.
    pub key: String,
    /// Whether its work was finished.
    pub done: bool,
}

impl Claim {
    /// The claim of a resource that begins.
    pub fn begun(key: &str) -> Self {
        Self { key: key.into(), done: false }
    }

    /// The claim of a resource that is finished.
    pub fn done(key: &str) -> Self {
        Self { key: key.into(), done: true }
    }
}

/// What stands on a host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// Its marker, if it has one that can be read.
    pub marker: Marker,
    /// A kubeconfig of the cluster's admin: it is, or was about to be, a control plane.
    pub admin_conf: bool,
    /// A kubeconfig of a kubelet: it has joined.
    pub kubelet_conf: bool,
    /// Static pods or keys of a control plane.
    pub control_plane_files: bool,
    /// The last init or join came to its end.
    pub finished: bool,
    /// The hash of the CA it trusts, as joins want it.
    pub ca_cert_hash: Option<String>,
}

impl Standing {
    /// Reads it, in one round trip.
    ///
    /// # Errors
    /// The host could not be asked.
    pub async fn read(remote: &Remote) -> Result<Self, Fault> {
        Ok(Self::parse(&remote.sh("look at what the host is", &script()).await?))
    }

    /// Reads it and, in the same round trip, what a script prints in sections of other names.
    ///
    /// # Errors
    /// The host could not be asked.
    pub async fn read_also(remote: &Remote, more: &str) -> Result<(Self, String), Fault> {
        let output = remote.sh("look at what the host is", &format!("{}\n{more}", script())).await?;
        Ok((Self::parse(&output), output))
    }

    fn parse(output: &str) -> Self {
        let mut standing = Self::default();
        for (name, body) in sections(output) {
            match name {
                "marker" => standing.marker = serde_json::from_str(&body).unwrap_or_default(),
                "admin" => standing.admin_conf = true,
                "kubelet" => standing.kubelet_conf = true,
                "finished" => standing.finished = true,
                "files" => standing.control_plane_files = true,
                "ca" => standing.ca_cert_hash = ca_cert_hash(&body).ok(),
                _ => {}
            }
        }
        standing
    }

    /// Whether kubeadm would find a machine that it has not touched.
    pub fn is_clean(&self) -> bool {
        !(self.admin_conf || self.kubelet_conf || self.control_plane_files)
    }

    /// The command that runs `kubeadm` with these words and a file, and notes its success.
    pub fn to_its_end(kubeadm: &str) -> String {
        format!("rm -f {FINISHED}\nto_its_end() {{ {kubeadm} \"$1\" && : > {FINISHED}; }}\nto_its_end")
    }

    /// Whether the resource with this key made the cluster, or began to.
    pub fn cluster_is(&self, key: &str) -> bool {
        self.marker.cluster.as_ref().is_some_and(|claim| claim.key == key)
    }

    /// Whether the resource with this key made this host a node, or began to.
    pub fn node_is(&self, key: &str) -> bool {
        self.marker.node.as_ref().is_some_and(|claim| claim.key == key)
    }
}

impl Marker {
    /// Puts it on the host.
    ///
    /// # Errors
    /// The host could not be asked.
    pub async fn write(&self, remote: &Remote) -> Result<(), Fault> {
        let marker = Self { version: 1, ..self.clone() };
        let text = serde_json::to_string(&marker).expect("a marker is plain JSON") + "\n";
        remote.write(MARKER, &text, 0o600).await
    }
}

fn script() -> String {
    format!(
        "cd /etc/kubernetes 2>/dev/null || exit 0\n\
         if [ -s {MARKER} ]; then echo '== marker'; cat {MARKER}; fi\n\
         if [ -s admin.conf ]; then echo '== admin'; fi\n\
         if [ -s kubelet.conf ]; then echo '== kubelet'; fi\n\
         if [ -s manifests/kube-apiserver.yaml ] || [ -s manifests/etcd.yaml ] || [ -s pki/ca.key ]; then echo '== files'; fi\n\
         if [ -e {FINISHED} ]; then echo '== finished'; fi\n\
         if [ -s pki/ca.crt ]; then echo '== ca'; cat pki/ca.crt; fi"
    )
}

/// Cuts the output of a reading script at its lines `== NAME`.
pub fn sections(output: &str) -> Vec<(&str, String)> {
    let mut all: Vec<(&str, String)> = Vec::new();
    for line in output.lines() {
        if let Some(name) = line.strip_prefix("== ") {
            all.push((name, String::new()));
        } else if let Some((_, body)) = all.last_mut() {
            body.push_str(line);
            body.push('\n');
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_untouched_host_is_clean() {
        let standing = Standing::parse("");
        assert!(standing.is_clean());
        assert!(!standing.cluster_is("k") && !standing.node_is("k"));
    }

    #[test]
    fn a_host_is_known_by_its_marker_and_files() {
        let standing = Standing::parse(
            "== marker\n{\"version\":1,\"cluster\":{\"key\":\"k1\",\"done\":true},\"node\":{\"key\":\"k2\",\"done\":false}}\n\
             == admin\n== kubelet\n== files\n== ca\nnot a certificate\n",
        );
        assert!(!standing.is_clean());
        assert!(standing.cluster_is("k1") && !standing.cluster_is("k2") && standing.node_is("k2"));
        assert_eq!(standing.marker.node, Some(Claim::begun("k2")));
        assert_eq!(standing.ca_cert_hash, None);
    }

    #[test]
    fn a_damaged_marker_is_nobodys() {
        let standing = Standing::parse("== marker\n{\"version\":1,\"clus\n== kubelet\n");
        assert_eq!(standing.marker, Marker::default());
        assert!(!standing.is_clean());
    }
}
