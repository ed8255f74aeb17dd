//! What kubeadm says to a release before it goes there: cmd/kubeadm/app/phases/upgrade/policy.go (1.20; the kubelets' skew as in 1.28).

use crate::cluster::versions::minor;

/// What is asked of the cluster and of the host.
#[derive(Debug, Default)]
pub(super) struct Versions {
    /// Of the API server that answered.
    pub(super) cluster: String,
    /// Of the kubeadm that runs.
    pub(super) kubeadm: String,
    /// Of each node's kubelet.
    pub(super) kubelets: Vec<String>,
}

/// Complaints.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Errors {
    /// No flag helps.
    pub(super) mandatory: Vec<String>,
    /// `--force` does.
    pub(super) skippable: Vec<String>,
}

/// A release as numbers; none for what is none, a pre-release included.
pub(super) fn numbers(version: &str) -> Option<(u32, u32, u32)> {
    let mut parts = version.strip_prefix('v').unwrap_or(version).splitn(3, '.').map(|p| p.parse().ok());
    Some((parts.next()??, parts.next()??, parts.next()??))
}

/// Whether a release may be gone to.
pub(super) fn judge(target: &str, versions: &Versions) -> Errors {
    let mut errors = Errors::default();
    let (cluster, kubeadm) = (&versions.cluster, &versions.kubeadm);
    let (new, old, own) = (minor(target), minor(cluster), minor(kubeadm));
    if new + 1 < own {
        errors.mandatory.push(format!("Specified version to upgrade to \"v{target}\" is equal to or lower than the minimum supported version \"v{cluster}\". Please specify a higher version to upgrade to"));
    }
    if new > old + 1 {
        errors.mandatory.push(format!("Specified version to upgrade to \"v{target}\" is too high; kubeadm can upgrade only 1 minor version at a time"));
    }
    if new + 1 < old {
        errors.mandatory.push(format!("Specified version to downgrade to \"v{target}\" is too low; kubeadm can downgrade only 1 minor version at a time"));
    }
    if numbers(kubeadm) < numbers(target) {
        if new > own {
            errors.mandatory.push(format!("Specified version to upgrade to \"v{target}\" is at least one minor release higher than the kubeadm minor release ({new} > {own}). Such an upgrade is not supported"));
        } else {
            errors.skippable.push(format!("Specified version to upgrade to \"v{target}\" is higher than the kubeadm version \"v{kubeadm}\". Upgrade kubeadm first using the tool you used to install kubeadm"));
        }
    }
    if own > new {
        errors.skippable.push(format!(
            "Kubeadm version v{kubeadm} can only be used to upgrade to Kubernetes version 1.{own}"
        ));
    }
    let skew = if own >= 28 { 3 } else { 1 };
    let mut old: Vec<String> =
        versions.kubelets.iter().filter(|k| new > minor(k) + skew).map(|k| format!("v{k}")).collect();
    old.sort();
    old.dedup();
    if !old.is_empty() {
        errors.skippable.push(format!(
            "There are kubelets in this cluster that are too old that have these versions [{}]",
            old.join(" ")
        ));
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(target: &str, cluster: &str, kubeadm: &str, kubelets: &[&str]) -> (usize, usize, String) {
        let versions = Versions {
            cluster: cluster.to_owned(),
            kubeadm: kubeadm.to_owned(),
            kubelets: kubelets.iter().map(|k| (*k).to_owned()).collect(),
        };
        let errors = judge(target, &versions);
        let text = [&errors.mandatory[..], &errors.skippable[..]].concat().join("\n");
        (errors.mandatory.len(), errors.skippable.len(), text)
    }

    #[test]
    fn one_minor_at_a_time_and_kubeadm_first() {
        assert_eq!(all("1.20.3", "1.20.2", "1.20.3", &["1.20.2"]).2, "");
        assert_eq!(all("1.35.1", "1.34.2", "1.35.1", &["1.34.2", "1.32.0"]).2, "");
        assert!(
            all("1.20.3", "1.20.2", "1.20.2", &[])
                .2
                .ends_with("Upgrade kubeadm first using the tool you used to install kubeadm")
        );
        assert!(
            all("1.21.0", "1.20.2", "1.20.2", &[]).2.contains("(21 > 20). Such an upgrade is not supported")
        );
        let far = all("1.36.0", "1.34.2", "1.36.0", &["1.34.2"]);
        assert!((far.0, far.1) == (1, 0) && far.2.contains("only 1 minor version at a time"), "{far:?}");
        assert!(
            all("1.27.0", "1.26.0", "1.27.0", &["1.25.1", "1.26.0", "1.25.1"])
                .2
                .ends_with("these versions [v1.25.1]")
        );
        assert_eq!(all("1.31.0", "1.30.0", "1.31.0", &["1.28.9"]).1, 0);
        assert!(
            all("1.20.3", "1.20.2", "1.21.0", &[])
                .2
                .contains("can only be used to upgrade to Kubernetes version 1.21")
        );
    }

    #[test]
    fn releases_are_numbers() {
        assert_eq!(numbers("v1.20.3"), Some((1, 20, 3)));
        assert_eq!(numbers("stable-1"), None);
        assert_eq!(numbers("v1.21.0-rc.0"), None);
    }
}
