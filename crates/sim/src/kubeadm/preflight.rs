//! The checks before anything is changed, in kubeadm's words.

use super::config::Node;
use crate::cluster::versions::minor;
use crate::host::Host;
use crate::tools::Cx;

/// What the checks found.
#[derive(Debug, Default)]
struct Found {
    errors: Vec<(String, String)>,
    warnings: Vec<(String, String)>,
}

impl Found {
    fn error(&mut self, check: impl Into<String>, text: impl Into<String>) {
        self.errors.push((check.into(), text.into()));
    }

    fn warning(&mut self, check: impl Into<String>, text: impl Into<String>) {
        self.warnings.push((check.into(), text.into()));
    }

    fn port(&mut self, host: &Host, port: u16) {
        if host.listener(port).is_some() {
            self.error(format!("Port-{port}"), format!("Port {port} is in use"));
        }
    }

    fn file_absent(&mut self, host: &Host, path: &str) {
        if host.files.exists(path) {
            self.error(format!("FileAvailable-{}", path.replace('/', "-")), format!("{path} already exists"));
        }
    }

    fn dir_empty(&mut self, host: &Host, path: &str) {
        if host.files.children(path).next().is_some() {
            self.error(format!("DirAvailable-{}", path.replace('/', "-")), format!("{path} is not empty"));
        }
    }

    fn contents(&mut self, host: &Host, path: &str, now: i64) {
        let check = format!("FileContent-{}", path.replace('/', "-"));
        match host.read(path, now) {
            Err(_) => self.error(check, format!("{path} does not exist")),
            Ok(bytes) if !bytes.starts_with(b"1") => {
                self.error(check, format!("{path} contents are not set to 1"))
            }
            Ok(_) => {}
        }
    }
}

/// What both init and join look at.
fn common(host: &Host, release: &str, now: i64) -> Found {
    let mut found = Found::default();
    let minor = minor(release);
    if !host.active("containerd") {
        found.error("CRI", "container runtime is not running: output: time=\"simulated\" level=fatal msg=\"validate service connection: validate CRI v1 runtime API for endpoint \\\"unix:///var/run/containerd/containerd.sock\\\": rpc error: code = Unavailable desc = connection error: desc = \\\"transport: Error while dialing: dial unix /var/run/containerd/containerd.sock: connect: no such file or directory\\\"\"\n, error: exit status 1");
    } else if !host.cri_enabled() {
        found.error("CRI", "container runtime is not running: output: time=\"simulated\" level=fatal msg=\"validate service connection: validate CRI v1 runtime API for endpoint \\\"unix:///var/run/containerd/containerd.sock\\\": rpc error: code = Unimplemented desc = unknown service runtime.v1.RuntimeService\"\n, error: exit status 1");
    }
    if minor < 30 {
        found.contents(host, "/proc/sys/net/bridge/bridge-nf-call-iptables", now);
    }
    found.contents(host, "/proc/sys/net/ipv4/ip_forward", now);
    if host.swap {
        match minor {
            ..=22 => found.error("Swap", "running with swap on is not supported. Please disable swap"),
            23..=27 => found.warning("Swap", "swap is enabled; production deployments should disable swap unless testing the NodeSwap feature gate of the kubelet"),
            _ => found.warning("Swap", "swap is supported for cgroup v2 only. The kubelet must be properly configured to use swap. Please refer to https://kubernetes.io/docs/concepts/architecture/nodes/#swap-memory, or disable swap on the node"),
        }
    }
    for (tool, needed) in [
        ("conntrack", minor < 32),
        ("ip", true),
        ("iptables", minor < 31),
        ("mount", true),
        ("crictl", minor < 32),
    ] {
        if needed && !crate::host::PATH.split(':').any(|d| host.stat(&format!("{d}/{tool}"), now).is_ok()) {
            found.error(format!("FileExisting-{tool}"), format!("{tool} not found in system path"));
        }
    }
    if !crate::host::PATH.split(':').any(|d| host.stat(&format!("{d}/socat"), now).is_ok()) && minor < 32 {
        found.warning("FileExisting-socat", "socat not found in system path");
    }
    match host.program_version("kubelet") {
        None => found.error("KubeletVersion", "couldn't get kubelet version: cannot execute 'kubelet --version': executable file not found in $PATH"),
        Some(kubelet) => {
            let theirs = crate::cluster::versions::minor(&kubelet);
            if theirs > minor {
                found.error("KubeletVersion", format!("the kubelet version is higher than the control plane version. This is not a supported version skew and may lead to a malfunctional cluster. Kubelet version: \"{kubelet}\" Control plane version: \"{release}\""));
            } else if minor - theirs > if minor >= 28 { 3 } else { 2 } {
                found.error("KubeletVersion", format!("kubelet version {kubelet} is too old for control plane version {release}"));
            }
        }
    }
    if host.wants("kubelet").is_empty() {
        found.warning(
            "Service-Kubelet",
            "kubelet service is not enabled, please run 'systemctl enable kubelet.service'",
        );
    }
    found.port(host, 10250);
    found
}

/// Prints what was found; an error that is not ignored ends the run.
fn judge(cx: &mut Cx<'_>, found: Found, node: &Node) -> Result<(), i32> {
    cx.out("[preflight] Running pre-flight checks\n");
    let ignored = |check: &str| node.ignore.iter().any(|i| i == "all" || *i == check.to_lowercase());
    let (waived, fatal): (Vec<_>, Vec<_>) = found.errors.into_iter().partition(|(check, _)| ignored(check));
    for (check, text) in found.warnings.iter().chain(&waived) {
        cx.err(format!("\t[WARNING {check}]: {text}\n"));
    }
    if fatal.is_empty() {
        return Ok(());
    }
    let list: String = fatal.iter().map(|(check, text)| format!("\t[ERROR {check}]: {text}\n")).collect();
    cx.err(format!("error execution phase preflight: [preflight] Some fatal errors occurred:\n{list}[preflight] If you know what you are doing, you can make a check non-fatal with `--ignore-preflight-errors=...`\nTo see the stack trace of this error execute with --v=5 or higher\n"));
    Err(2)
}

/// Before init.
pub(super) fn init(cx: &mut Cx<'_>, node: &Node, release: &str) -> Result<(), i32> {
    let found = cx.host(|h, now| {
        let mut found = common(h, release, now);
        for port in [node.port, 10259, 10257, 2379, 2380] {
            found.port(h, port);
        }
        for name in ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd"] {
            found.file_absent(h, &format!("/etc/kubernetes/manifests/{name}.yaml"));
        }
        found.dir_empty(h, "/var/lib/etcd");
        found
    });
    judge(cx, found, node)?;
    cx.out("[preflight] Pulling images required for setting up a Kubernetes cluster\n");
    for image in crate::cluster::versions::images(release, None) {
        cx.host_mut(|h, _| h.images.insert(image));
    }
    Ok(())
}

/// Before join.
pub(super) fn join(cx: &mut Cx<'_>, node: &Node, release: &str, control_plane: bool) -> Result<(), i32> {
    let found = cx.host(|h, now| {
        let mut found = common(h, release, now);
        found.file_absent(h, "/etc/kubernetes/kubelet.conf");
        found.file_absent(h, "/etc/kubernetes/bootstrap-kubelet.conf");
        if control_plane {
            for port in [node.port, 10259, 10257, 2379, 2380] {
                found.port(h, port);
            }
            found.dir_empty(h, "/var/lib/etcd");
        } else {
            found.file_absent(h, "/etc/kubernetes/pki/ca.crt");
        }
        found.dir_empty(h, "/etc/kubernetes/manifests");
        found
    });
    judge(cx, found, node)
}
