//! Facts that change from one Kubernetes release to the next.

/// The API versions of a kind that a minor release serves; those not listed are served in all (deprecation guide of Kubernetes).
pub(super) fn served(group: &str, kind: &str, version: &str, minor: u32) -> bool {
    match (group, kind, version) {
        ("", _, v) => v == "v1",
        ("apps", _, v) => v == "v1",
        ("batch", "CronJob", "v1") => minor >= 21,
        ("batch", "CronJob", "v1beta1") => minor < 25,
        ("batch", _, v) => v == "v1",
        ("policy", "PodSecurityPolicy", "v1beta1") => minor < 25,
        ("policy", "PodSecurityPolicy", _) => false,
        ("policy", _, "v1") => minor >= 21,
        ("policy", _, "v1beta1") => minor < 25,
        ("networking.k8s.io", _, "v1beta1") => minor < 22,
        ("rbac.authorization.k8s.io", _, "v1beta1") => minor < 22,
        ("apiextensions.k8s.io", _, "v1beta1") => minor < 22,
        (
            "admissionregistration.k8s.io",
            "ValidatingAdmissionPolicy" | "ValidatingAdmissionPolicyBinding",
            "v1",
        ) => minor >= 30,
        ("admissionregistration.k8s.io", _, "v1beta1") => minor < 22,
        ("autoscaling", _, "v2") => minor >= 23,
        ("autoscaling", _, "v2beta1") => minor < 25,
        ("autoscaling", _, "v2beta2") => minor < 26,
        ("storage.k8s.io", _, "v1beta1") => minor < 22,
        ("scheduling.k8s.io", _, "v1beta1") => minor < 22,
        ("node.k8s.io", _, "v1beta1") => minor < 25,
        ("discovery.k8s.io", _, "v1") => minor >= 21,
        ("discovery.k8s.io", _, "v1beta1") => minor < 25,
        (_, _, v) => v.starts_with("v1") || v.starts_with("v2"),
    }
}

/// Tags of what kubeadm runs beside Kubernetes itself: etcd, CoreDNS, pause.
pub(crate) fn companions(minor: u32) -> (&'static str, &'static str, &'static str) {
    match minor {
        ..=20 => ("3.4.13-0", "1.7.0", "3.2"),
        21 => ("3.4.13-0", "v1.8.0", "3.4.1"),
        22 => ("3.5.0-0", "v1.8.4", "3.5"),
        23 => ("3.5.6-0", "v1.8.6", "3.6"),
        24 => ("3.5.6-0", "v1.8.6", "3.7"),
        25 => ("3.5.4-0", "v1.9.3", "3.8"),
        26 => ("3.5.6-0", "v1.9.3", "3.9"),
        27 => ("3.5.7-0", "v1.10.1", "3.9"),
        28 => ("3.5.9-0", "v1.10.1", "3.9"),
        29 => ("3.5.10-0", "v1.11.1", "3.9"),
        30 => ("3.5.15-0", "v1.11.3", "3.9"),
        31 => ("3.5.15-0", "v1.11.3", "3.10"),
        32 => ("3.5.16-0", "v1.11.3", "3.10"),
        33 => ("3.5.21-0", "v1.12.0", "3.10"),
        34 => ("3.6.4-0", "v1.12.1", "3.10.1"),
        _ => ("3.6.6-0", "v1.13.1", "3.10.1"),
    }
}

/// Where kubeadm pulls from by default.
pub(crate) fn registry(minor: u32) -> &'static str {
    if minor < 25 { "k8s.gcr.io" } else { "registry.k8s.io" }
}

/// Images that kubeadm needs for a release such as `1.31.2`.
pub(crate) fn images(version: &str, repository: Option<&str>) -> Vec<String> {
    let minor = minor(version);
    let repository = repository.unwrap_or_else(|| registry(minor));
    let (etcd, dns, pause) = companions(minor);
    // CoreDNS has a folder of its own since 1.21, on the default registries only.
    let nested = minor >= 21 && (repository == "k8s.gcr.io" || repository == "registry.k8s.io");
    let mut images: Vec<String> =
        ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy"]
            .iter()
            .map(|name| format!("{repository}/{name}:v{version}"))
            .collect();
    let dns = format!("{repository}/{}:{dns}", if nested { "coredns/coredns" } else { "coredns" });
    let (pause, etcd) = (format!("{repository}/pause:{pause}"), format!("{repository}/etcd:{etcd}"));
    // The order of kubeadm's list changed in 1.26.
    images.extend(if minor >= 26 { [dns, pause, etcd] } else { [pause, etcd, dns] });
    images
}

/// 31 of `1.31.2` or `v1.31.2`.
pub(crate) fn minor(version: &str) -> u32 {
    version.trim_start_matches('v').split('.').nth(1).and_then(|m| m.parse().ok()).unwrap_or(0)
}

/// Labels and taint of a control plane: `master` until 1.23, both labels never, both taints in 1.24.
pub(crate) fn control_plane_marks(minor: u32) -> (Vec<&'static str>, Vec<&'static str>) {
    const MASTER: &str = "node-role.kubernetes.io/master";
    const PLANE: &str = "node-role.kubernetes.io/control-plane";
    match minor {
        ..=19 => (vec![MASTER], vec![MASTER]),
        20..=23 => (vec![MASTER, PLANE], vec![MASTER]),
        24 => (vec![PLANE], vec![MASTER, PLANE]),
        _ => (vec![PLANE], vec![PLANE]),
    }
}
