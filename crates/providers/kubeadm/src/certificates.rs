//! The certificates of a control plane: when they end, and new ones in time.
//!
//! kubeadm's live a year, and an upgrade renews them; a cluster that is not upgraded dies of them. Their end is read with
//! the node. When it is near, the plan shows the renewal: `kubeadm certs renew all`, and the components start anew, since
//! not all of them look at their files again. The kubelets' own renew themselves.

use std::time::{SystemTime, UNIX_EPOCH};

use grappe_kubeadm::certificate::{Validity, rfc3339};
use grappe_kubeadm::version::KubernetesVersion;
use grappe_provider::{Context, Fault};
use grappe_ssh::Exec;

use crate::access::Kubectl;
use crate::client::Client;
use crate::remote::LONG;
use crate::static_pods;

/// Prints them, in sections. No key is read.
pub const SCRIPT: &str = "cd /etc/kubernetes || exit 0\n\
    for f in pki/*.crt pki/etcd/*.crt; do\n\
    case $f in */ca.crt|*-ca.crt|*'*'*) continue;; esac\n\
    echo \"== certificate $f\"; cat $f\ndone\n\
    for f in admin super-admin controller-manager scheduler; do\n\
    if [ -s $f.conf ]; then echo \"== certificate $f.conf\"; sed -n 's/^ *client-certificate-data: //p' $f.conf; fi\n\
    done";

/// The certificate of a control plane that ends first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct First {
    name: String,
    validity: Validity,
}

impl First {
    /// Out of the sections that [`SCRIPT`] printed.
    pub fn of(sections: &[(&str, String)]) -> Option<Self> {
        let read = |(name, body): &(&str, String)| {
            let name = name.strip_prefix("certificate ")?;
            let validity = Validity::of(body).or_else(|_| Validity::of_base64(body)).ok()?;
            Some(Self { name: name.to_owned(), validity })
        };
        sections.iter().filter_map(read).min_by_key(|first| first.validity.ends)
    }

    /// When it ends, as RFC 3339 has it.
    pub fn ends(&self) -> String {
        rfc3339(self.validity.ends)
    }

    /// What is wrong with it, where a new one is due `before` seconds before its end.
    pub fn problem(&self, before: u64) -> Option<String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        self.validity.is_due(now, before).then(|| format!("{} ends at {}", self.name, self.ends()))
    }
}

/// New ones for the control plane that `kubectl` speaks for, taken into use.
///
/// # Errors
/// kubeadm fails, or a component does not come back.
pub async fn renew(
    ctx: &Context<Client>,
    kubectl: &Kubectl,
    node: &str,
    version: &KubernetesVersion,
) -> Result<(), Fault> {
    ctx.progress(format!("renewing the certificates of {node}"));
    let group = if version.minor() >= 20 { "certs" } else { "alpha certs" };
    let exec = Exec::new(format!("kubeadm {group} renew all")).timeout(LONG);
    kubectl.remote.long("kubeadm certs renew", exec).await?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    static_pods::restart(ctx, kubectl, node, &rfc3339(now)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_to_end_is_found() {
        let pem = include_str!("../../../kubeadm/src/certificate_test.pem");
        let sections = [
            ("admin", String::new()),
            ("certificate pki/apiserver.crt", pem.to_owned()),
            ("certificate x.conf", "-".into()),
        ];
        let first = First::of(&sections).expect("one can be read");
        assert_eq!(first.name, "pki/apiserver.crt");
        assert_eq!(first.problem(30 * 86_400), None);
        let old = First { validity: Validity { begins: 0, ends: 86_400 }, ..first };
        assert_eq!(old.problem(1).as_deref(), Some("pki/apiserver.crt ends at 1970-01-02T00:00:00Z"));
        assert_eq!(First::of(&[]), None);
    }
}
