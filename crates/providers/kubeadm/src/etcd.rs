//! etcd's membership, asked of the member on a surviving control plane.
//!
//! `kubeadm reset` takes a member out when its host can still do so. A host that died leaves its member behind: it counts
//! for the quorum for ever, and the same name cannot join again.

use grappe_provider::Fault;
use grappe_ssh::quote;
use serde_json::Value as Json;

use crate::access::Kubectl;

/// The image has no shell and no `env`; version 3 of the API is the default since etcd 3.4 (Kubernetes 1.17).
pub(crate) const ETCDCTL: &str = "etcdctl --endpoints=https://127.0.0.1:2379 \
    --cacert=/etc/kubernetes/pki/etcd/ca.crt --cert=/etc/kubernetes/pki/etcd/peer.crt --key=/etc/kubernetes/pki/etcd/peer.key";

/// One member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// In hexadecimal, as `etcdctl` takes it.
    pub id: String,
    /// The node's name; empty until it has started.
    pub name: String,
    /// Has no vote yet.
    pub learner: bool,
}

/// The members, or `None` where etcd is not in the cluster's own pods.
///
/// # Errors
/// No running member answers.
pub async fn members(kubectl: &Kubectl) -> Result<Option<(String, Vec<Member>)>, Fault> {
    let list = kubectl.get("-n kube-system pods -l component=etcd").await?.unwrap_or_default();
    let pods = list["items"].as_array().cloned().unwrap_or_default();
    if pods.is_empty() {
        return Ok(None);
    }
    let mut first = None;
    let ready = |pod: &&Json| {
        let conditions = pod["status"]["conditions"].as_array();
        conditions.into_iter().flatten().any(|c| c["type"] == "Ready" && c["status"] == "True")
    };
    for pod in pods.iter().filter(ready) {
        let Some(name) = pod["metadata"]["name"].as_str() else { continue };
        let args = format!("-n kube-system exec {} -- {ETCDCTL} member list", quote(name));
        match kubectl.run("list the members of etcd", &args).await {
            Ok(text) => return Ok(Some((name.to_owned(), parse(&text)))),
            Err(fault) => first = first.or(Some(fault)),
        }
    }
    Err(first.unwrap_or_else(|| {
        Fault::transient("no pod of etcd is ready")
            .hint("look at its last words on a control plane: `crictl ps -a --name etcd`, `crictl logs`")
    }))
}

/// Takes the member of this name out of the cluster, asking another one. That there is none is fine.
///
/// # Errors
/// etcd could not be asked, or refuses (it has no quorum).
pub async fn remove(kubectl: &Kubectl, node: &str) -> Result<(), Fault> {
    let Some((pod, members)) = members(kubectl).await? else { return Ok(()) };
    for member in members.iter().filter(|member| member.name == node) {
        let args = format!("-n kube-system exec {} -- {ETCDCTL} member remove {}", quote(&pod), member.id);
        kubectl.run(&format!("remove {node} from etcd"), &args).await?;
    }
    Ok(())
}

/// `8e9e05c52164694d, started, cp1, https://10.0.0.1:2380, https://10.0.0.1:2379, false`
fn parse(text: &str) -> Vec<Member> {
    text.lines()
        .filter_map(|line| {
            let fields: Vec<&str> = line.split(',').map(str::trim).collect();
            let (id, name) = (*fields.first()?, *fields.get(2)?);
            let hex = !id.is_empty() && id.bytes().all(|b| b.is_ascii_hexdigit());
            hex.then(|| Member { id: id.into(), name: name.into(), learner: fields.get(5) == Some(&"true") })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_read() {
        let text = "8e9e05c52164694d, started, cp1, https://10.0.0.1:2380, https://10.0.0.1:2379, false\n\
                    91bc3c398fb3c146, unstarted, , https://10.0.0.2:2380, , true\n";
        let member = |id: &str, name: &str, learner| Member { id: id.into(), name: name.into(), learner };
        assert_eq!(
            parse(text),
            [member("8e9e05c52164694d", "cp1", false), member("91bc3c398fb3c146", "", true)]
        );
        assert_eq!(parse("Error: context deadline exceeded"), []);
    }
}
