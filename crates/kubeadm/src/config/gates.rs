//! kubeadm's own feature gates: which release has which.
//!
//! kubeadm refuses a gate that it does not know, on the machine. Only what `features.go` of a release shows is held
//! against a plan here: a gate that is not in the table is passed on as it is.
//! Source: `cmd/kubeadm/app/features/features.go` of 1.20, 1.23, 1.29, 1.30, 1.32 and 1.34, whose comments name the first
//! release of each.

use super::Error;
use crate::version::KubernetesVersion;

/// Name; the first minor that has it; the first minor that is known not to have it any more; what to do instead.
type Gate = (&'static str, u32, Option<u32>, &'static str);

const GATES: &[Gate] = &[
    ("IPv6DualStack", 16, Some(29), "dual-stack needs no gate since 1.21"),
    ("PublicKeysECDSA", 19, None, ""),
    ("RootlessControlPlane", 22, None, ""),
    ("UnversionedKubeletConfigMap", 22, Some(29), "it is always on since 1.25"),
    ("EtcdLearnerMode", 27, Some(34), "members always join as learners"),
    ("UpgradeAddonsBeforeControlPlane", 28, Some(32), "add-ons are upgraded last"),
    ("WaitForAllControlPlaneComponents", 30, None, ""),
    ("ControlPlaneKubeletLocalMode", 31, Some(36), "it is always on since 1.36"),
    ("NodeLocalCRISocket", 32, None, ""),
];

/// Checks gates that were given.
pub(super) fn check<'a>(
    names: impl Iterator<Item = &'a str>,
    version: &KubernetesVersion,
) -> Result<(), Error> {
    for name in names {
        let Some((_, since, until, instead)) = GATES.iter().find(|gate| gate.0 == name) else { continue };
        if version.minor() < *since {
            return Err(Error::Field {
                field: "featureGates",
                value: name.into(),
                problem: format!("kubeadm {version} has no such gate, 1.{since} and later do"),
            });
        }
        if until.is_some_and(|until| version.minor() >= until) {
            return Err(Error::Removed {
                field: "featureGates",
                instead: format!("take {name} out, {instead}"),
                version: version.to_string(),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_is_refused_before_and_after_its_time() {
        let at = |version: &str, name: &str| {
            check([name].into_iter(), &version.parse().expect("a version")).map_err(|error| error.to_string())
        };
        assert_eq!(at("1.20.2", "IPv6DualStack"), Ok(()));
        assert_eq!(
            at("1.20.2", "EtcdLearnerMode"),
            Err("`featureGates` is \"EtcdLearnerMode\": kubeadm 1.20.2 has no such gate, 1.27 and later do"
                .into())
        );
        assert_eq!(at("1.29.0", "EtcdLearnerMode"), Ok(()));
        assert_eq!(
            at("1.36.1", "ControlPlaneKubeletLocalMode"),
            Err("kubeadm 1.36.1 no longer knows `featureGates`: take ControlPlaneKubeletLocalMode out, it is always on \
                 since 1.36"
                .into())
        );
        assert_eq!(at("1.36.1", "WhatIsToCome"), Ok(()));
    }
}
