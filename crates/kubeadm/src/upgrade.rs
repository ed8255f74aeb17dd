//! How a cluster gets from one release to another: hops of one minor each, and how far kubelets may lag behind.
//!
//! kubeadm takes a control plane one minor further at a time, and refuses while a kubelet is too old: more than one minor
//! behind the target before 1.28, more than three from then on (kubeadm's `MaximumAllowedMinorVersionKubeletSkew`, which
//! follows the version skew policy). Kubelets are upgraded after all API servers, so that many hops at once are possible.
//! Sources: <https://kubernetes.io/releases/version-skew-policy/>, cmd/kubeadm/app/phases/upgrade/policy.go.

use crate::version::KubernetesVersion;

/// Why a cluster cannot go from a release to another.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Releases are not taken back.
    #[error("the cluster runs {from}, and Kubernetes cannot be taken back to {to}")]
    Downgrade {
        /// What it runs.
        from: KubernetesVersion,
        /// What was asked for.
        to: KubernetesVersion,
    },
    /// One kubelet is too old for the API servers on the way.
    #[error(
        "its kubelet runs {kubelet}: kubeadm refuses to take the control planes to 1.{minor} while a kubelet is more than {skew} \
         minor{} older", if *.skew == 1 { "" } else { "s" }
    )]
    Lagging {
        /// What the kubelet runs.
        kubelet: KubernetesVersion,
        /// The first minor that is out of reach.
        minor: u32,
        /// How far kubelets may be behind it.
        skew: u32,
    },
    /// The kubelets, which come last, would be too old for the API servers on the way.
    #[error(
        "{from} to {to} is too far for one upgrade: kubeadm refuses to take the control planes to 1.{minor} while kubelets are \
         more than {skew} minor{} older", if *.skew == 1 { "" } else { "s" }
    )]
    TooFar {
        /// What it runs.
        from: KubernetesVersion,
        /// What was asked for.
        to: KubernetesVersion,
        /// The first minor that is out of reach.
        minor: u32,
        /// How far kubelets may be behind it.
        skew: u32,
    },
}

impl Refused {
    /// What to do instead.
    pub fn hint(&self) -> String {
        match self {
            Self::Downgrade { from, .. } => format!("set version to {from} or later"),
            Self::TooFar { minor, .. } => {
                format!("go to a release of 1.{} first, nodes and all, and on from there", minor - 1)
            }
            Self::Lagging { .. } => {
                "apply with the version that the cluster has by now first: that takes the kubelet there"
                    .into()
            }
        }
    }
}

/// How many minors a kubelet may be older than the API servers, for kubeadm of this minor.
pub fn kubelet_skew(minor: u32) -> u32 {
    if minor >= 28 { 3 } else { 1 }
}

/// The releases to go through, the last being `to`; those before it name a minor only. None where `from` is `to`.
///
/// # Errors
/// It is a downgrade, or further than the kubelets may lag.
pub fn hops(from: &KubernetesVersion, to: &KubernetesVersion) -> Result<Vec<KubernetesVersion>, Refused> {
    if to < from {
        return Err(Refused::Downgrade { from: from.clone(), to: to.clone() });
    }
    if to == from {
        return Ok(Vec::new());
    }
    let beyond = |minor: &u32| minor - from.minor() > kubelet_skew(*minor);
    if let Some(minor) = (from.minor() + 1..=to.minor()).find(beyond) {
        let skew = kubelet_skew(minor);
        return Err(Refused::TooFar { from: from.clone(), to: to.clone(), minor, skew });
    }
    let between = from.minor() + 1..to.minor();
    Ok(between.map(KubernetesVersion::any_of).chain([to.clone()]).collect())
}

/// Whether a kubelet lets its cluster go from a release to another: it comes last, and may have been left behind before.
///
/// # Errors
/// It is too old for one of the hops.
pub fn allows(
    kubelet: &KubernetesVersion,
    from: &KubernetesVersion,
    to: &KubernetesVersion,
) -> Result<(), Refused> {
    // To another patch release of the same minor it is a hop too.
    let first = if from < to { to.minor().min(from.minor() + 1) } else { return Ok(()) };
    let beyond = |minor: &u32| minor.saturating_sub(kubelet.minor()) > kubelet_skew(*minor);
    match (first..=to.minor()).find(beyond) {
        Some(minor) => Err(Refused::Lagging { kubelet: kubelet.clone(), minor, skew: kubelet_skew(minor) }),
        None => Ok(()),
    }
}

/// Whether a kubelet of this release waits for an upgrade to that of the cluster. A later patch release is fine as it is.
pub fn is_behind(kubelet: &KubernetesVersion, cluster: &KubernetesVersion) -> bool {
    kubelet < cluster
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v(text: &str) -> KubernetesVersion {
        text.parse().expect(text)
    }

    fn way(from: &str, to: &str) -> Result<Vec<String>, String> {
        let shown = |hops: Vec<KubernetesVersion>| hops.iter().map(ToString::to_string).collect();
        hops(&v(from), &v(to)).map(shown).map_err(|refused| refused.to_string())
    }

    #[test]
    fn each_hop_is_one_minor() {
        assert_eq!(way("1.20.2", "1.20.2"), Ok(vec![]));
        assert_eq!(way("1.20.2", "1.20.3"), Ok(vec!["1.20.3".into()]));
        assert_eq!(way("1.20.2", "1.21.0"), Ok(vec!["1.21.0".into()]));
        assert_eq!(way("1.34.2", "1.37.1"), Ok(vec!["1.35".into(), "1.36".into(), "1.37.1".into()]));
    }

    #[test]
    fn what_kubeadm_would_refuse_is_refused() {
        assert_eq!(
            way("1.34.2", "1.34.1"),
            Err("the cluster runs 1.34.2, and Kubernetes cannot be taken back to 1.34.1".into())
        );
        let far = hops(&v("1.34.2"), &v("1.38.0")).expect_err("four hops");
        assert_eq!(
            far.to_string(),
            "1.34.2 to 1.38.0 is too far for one upgrade: kubeadm refuses to take the control planes to 1.38 while kubelets are \
             more than 3 minors older"
        );
        assert_eq!(far.hint(), "go to a release of 1.37 first, nodes and all, and on from there");
        assert!(way("1.20.2", "1.22.0").is_err_and(|text| text.ends_with("more than 1 minor older")));
        assert!(
            way("1.25.0", "1.28.0").is_err_and(|text| text.contains("to 1.27 while")),
            "1.27's kubeadm is strict still"
        );
    }

    #[test]
    fn a_kubelet_that_was_left_behind_holds_its_cluster() {
        let held = |kubelet: &str, from: &str, to: &str| allows(&v(kubelet), &v(from), &v(to)).err();
        assert_eq!(held("1.34.2", "1.34.2", "1.37.0"), None);
        assert_eq!(held("1.32.0", "1.34.2", "1.34.4"), None);
        assert_eq!(held("1.20.2", "1.27.0", "1.27.0"), None, "nothing is done to the control planes");
        let lagging = held("1.31.4", "1.34.2", "1.35.0").expect("four minors");
        assert_eq!(
            lagging.to_string(),
            "its kubelet runs 1.31.4: kubeadm refuses to take the control planes to 1.35 while a kubelet is more than 3 minors older"
        );
        assert!(
            held("1.24.0", "1.26.0", "1.26.1").is_some_and(|why| why.to_string().contains("1 minor older"))
        );
        assert!(held("1.25.0", "1.26.0", "1.28.0").is_some(), "1.27's kubeadm is strict still");
    }

    #[test]
    fn kubelets_of_a_later_patch_release_stay() {
        assert!(is_behind(&v("1.20.2"), &v("1.20.3")));
        assert!(!is_behind(&v("1.20.3"), &v("1.20.3")));
        assert!(!is_behind(&v("1.20.4"), &v("1.20.3")));
    }
}
