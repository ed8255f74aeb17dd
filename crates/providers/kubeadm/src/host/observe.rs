//! What a machine has, read in one round trip, and in what it differs from what it should have.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use grappe_kubeadm::containerd::{self, Version};
use grappe_kubeadm::hosts::{self, upstream_version};
use grappe_provider::Fault;
use grappe_ssh::{Exec, quote};

use super::{AS_WANTED, Args};
use crate::remote::{Remote, SHORT};
use crate::standing::sections;

/// What was found.
#[derive(Debug, Clone, Default)]
pub(super) struct Observed {
    bodies: BTreeMap<String, String>,
}

impl Observed {
    pub(super) async fn read(remote: &Remote, args: &Args) -> Result<Self, Fault> {
        let output = remote.ask(Exec::new(script(args)).timeout(SHORT)).await?;
        if !output.success() {
            return Err(remote.failure("look at the machine", &output));
        }
        // Not trimmed: these are files, compared to the byte.
        Ok(Self::parse(&String::from_utf8_lossy(&output.stdout)))
    }

    fn parse(output: &str) -> Self {
        let exact = |(name, mut body): (&str, String)| {
            // A newline follows each file, for those that do not end in one.
            if name.starts_with("file ") {
                body.pop();
            }
            (name.to_owned(), body)
        };
        Self { bodies: sections(output).into_iter().map(exact).collect() }
    }

    fn body(&self, name: &str) -> &str {
        self.bodies.get(name).map_or("", String::as_str)
    }

    /// How each part stands.
    pub(super) fn parts(&self, args: &Args) -> BTreeMap<String, String> {
        let parts = [
            ("swap", self.swap()),
            ("modules", self.modules()),
            ("sysctls", self.sysctls(args)),
            ("source", self.source(args)),
            ("packages", self.packages(args)),
            ("containerd", self.containerd(args)),
        ];
        let text = |problem: Option<String>| problem.unwrap_or_else(|| AS_WANTED.to_owned());
        parts.into_iter().map(|(name, problem)| (name.to_owned(), text(problem))).collect()
    }

    /// Devices that are swapped to; fstab's lines that would bring some back.
    pub(super) fn swap(&self) -> Option<String> {
        let on: Vec<&str> = self.swap_devices().collect();
        if !on.is_empty() {
            return Some(format!("on: {}", on.join(", ")));
        }
        let fstab = self.body("file fstab");
        (hosts::fstab_without_swap(fstab) != fstab)
            .then(|| "off, but /etc/fstab turns it on at boot".to_owned())
    }

    pub(super) fn swap_devices(&self) -> impl Iterator<Item = &str> {
        self.body("swaps").lines().skip(1).filter_map(|line| line.split_whitespace().next())
    }

    pub(super) fn fstab(&self) -> &str {
        self.body("file fstab")
    }

    pub(super) fn modules(&self) -> Option<String> {
        let loaded: BTreeSet<&str> = self.body("modules").lines().collect();
        let missing: Vec<&str> =
            hosts::MODULES.into_iter().filter(|module| !loaded.contains(module)).collect();
        if !missing.is_empty() {
            return Some(format!("not loaded: {}", missing.join(", ")));
        }
        (self.body("file modules-file") != hosts::modules_load())
            .then(|| format!("{} differs", hosts::MODULES_PATH))
    }

    pub(super) fn sysctls(&self, args: &Args) -> Option<String> {
        let found: BTreeMap<&str, &str> =
            self.body("sysctls").lines().filter_map(|line| line.split_once('=')).collect();
        for (key, wanted) in hosts::sysctls(&args.extra_sysctls) {
            let value = found.get(key.as_str()).copied().unwrap_or_default();
            // The kernel separates several numbers by tabs.
            if !value.split_whitespace().eq(wanted.split_whitespace()) {
                return Some(format!("{key} is {}", if value.is_empty() { "not set" } else { value }));
            }
        }
        let file = self.body("file sysctl-file") != hosts::sysctl_conf(&args.extra_sysctls);
        file.then(|| format!("{} differs", hosts::SYSCTL_PATH))
    }

    pub(super) fn source(&self, args: &Args) -> Option<String> {
        let Ok(Some(source)) = args.source() else { return None };
        if self.body("file list") != source.list() {
            return Some(format!("{} differs", hosts::APT_LIST_PATH));
        }
        let unsigned = source.key_url.is_some() && !source.trusted && self.body("key").is_empty();
        unsigned.then(|| format!("{} is missing", hosts::APT_KEY_PATH))
    }

    /// The installed version of a package.
    pub(super) fn installed(&self, package: &str) -> Option<&str> {
        self.body("packages").lines().find_map(|line| {
            let mut words = line.split_whitespace();
            (words.next() == Some(package)).then_some(())?;
            let version = words.next()?;
            (words.next() == Some("installed")).then_some(version)
        })
    }

    fn is_held(&self, package: &str) -> bool {
        self.body("held").lines().any(|line| line.trim() == package)
    }

    /// What the packages lack. The release of a live node is not this type's business: see the module.
    pub(super) fn packages(&self, args: &Args) -> Option<String> {
        let Ok(wanted) = args.wanted() else { return None };
        for package in args.packages() {
            let Some(version) = self.installed(package) else {
                return Some(format!("{package} is not installed"));
            };
            if !hosts::RELEASE_PACKAGES.contains(&package) {
                continue;
            }
            let fits = upstream_version(version).is_some_and(|version| wanted.admits(&version));
            if !fits && !self.is_node() {
                return Some(format!("{package} is {version}"));
            }
            if !self.is_held(package) {
                return Some(format!("{package} is not held"));
            }
        }
        None
    }

    /// Whether the machine is a node of some cluster.
    pub(super) fn is_node(&self) -> bool {
        self.bodies.contains_key("node")
    }

    /// containerd's file as it should be; `None` before the packages are there.
    pub(super) fn wanted_config(&self, args: &Args) -> Option<String> {
        let version = Version::parse(self.body("containerd-version")).ok()?;
        // An upgrade's new kubeadm prefers a newer pause image; on a live node that is no reason to restart containerd.
        let found = self.is_node().then(|| containerd::sandbox_image(self.body("file containerd-config")));
        let image = found.flatten().unwrap_or_else(|| self.body("pause").trim());
        (!image.is_empty() || args.containerd.sandbox_image.is_some())
            .then(|| args.containerd_config(version, image))
    }

    pub(super) fn containerd(&self, args: &Args) -> Option<String> {
        let Some(wanted) = self.wanted_config(args) else { return Some("not installed".into()) };
        if self.body("file containerd-config") != wanted {
            return Some("/etc/containerd/config.toml differs".into());
        }
        for (index, (path, content)) in args.mirror_files().into_iter().enumerate() {
            if self.body(&format!("file mirror {index}")) != content {
                return Some(format!("{path} differs"));
            }
        }
        let state = self.body("containerd-active").trim();
        (state != "active")
            .then(|| format!("the service is {}", if state.is_empty() { "unknown" } else { state }))
    }

    pub(super) fn has_resolv_conf(&self) -> bool {
        self.bodies.contains_key("resolv")
    }

    fn addresses(&self) -> Vec<IpAddr> {
        let line = |line: &str| {
            let mut words = line.split_whitespace().skip_while(|word| !matches!(*word, "inet" | "inet6"));
            words.next()?;
            words.next()?.split('/').next()?.parse().ok()
        };
        self.body("addresses").lines().filter_map(line).collect()
    }

    pub(super) fn has_address(&self, ip: &str) -> bool {
        self.addresses().iter().any(|address| address.to_string() == ip)
    }

    pub(super) fn node_ip(&self, args: &Args) -> Result<String, Fault> {
        args.choose(&self.addresses()).map(|address| address.to_string())
    }
}

/// Prints everything in sections. Nothing in it changes anything.
fn script(args: &Args) -> String {
    let mut script = String::from("export LC_ALL=C\n");
    let mut file = |name: &str, path: &str| {
        let path = quote(path);
        script.push_str(&format!("if [ -f {path} ]; then echo '== file {name}'; cat {path}; echo; fi\n"));
    };
    file("fstab", "/etc/fstab");
    file("modules-file", hosts::MODULES_PATH);
    file("sysctl-file", hosts::SYSCTL_PATH);
    file("list", hosts::APT_LIST_PATH);
    file("containerd-config", "/etc/containerd/config.toml");
    for (index, (path, _)) in args.mirror_files().iter().enumerate() {
        file(&format!("mirror {index}"), path);
    }
    script.push_str("echo '== swaps'; cat /proc/swaps 2>/dev/null\n");
    // What a module does, not its name: it may be built in, and lsmod then says nothing.
    script.push_str(
        "echo '== modules'\n\
         if grep -qw overlay /proc/filesystems; then echo overlay; fi\n\
         if [ -e /proc/sys/net/bridge ]; then echo br_netfilter; fi\n\
         if [ -e /proc/sys/net/netfilter/nf_conntrack_max ]; then echo nf_conntrack; fi\n",
    );
    script.push_str("echo '== sysctls'\n");
    for key in hosts::sysctls(&args.extra_sysctls).keys() {
        let path = quote(&format!("/proc/sys/{}", key.replace('.', "/")));
        script.push_str(&format!("if [ -r {path} ]; then echo {}=\"$(cat {path})\"; fi\n", quote(key)));
    }
    script.push_str(&format!("if [ -s {} ]; then echo '== key'; echo present; fi\n", hosts::APT_KEY_PATH));
    let packages: Vec<String> = args.packages().into_iter().map(quote).collect();
    script.push_str(&format!(
        "echo '== packages'; dpkg-query -W -f '${{Package}} ${{Version}} ${{db:Status-Status}}\\n' {} 2>/dev/null\n\
         echo '== held'; apt-mark showhold 2>/dev/null\n\
         if [ -s /etc/kubernetes/kubelet.conf ]; then echo '== node'; fi\n\
         if [ -e /etc/resolv.conf ]; then echo '== resolv'; fi\n\
         echo '== addresses'; ip -o addr show scope global 2>/dev/null\n\
         if command -v containerd >/dev/null; then\n\
         echo '== containerd-version'; containerd --version\n\
         echo '== containerd-active'; systemctl is-active containerd\n\
         fi\n",
        packages.join(" ")
    ));
    if args.containerd.sandbox_image.is_none() {
        script.push_str(
            "if command -v kubeadm >/dev/null; then\n\
             echo '== pause'; kubeadm config images list --kubernetes-version \"$(kubeadm version -o short)\" 2>/dev/null | grep /pause:\n\
             fi\n",
        );
    }
    script.push_str("true\n");
    script
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(more: &str) -> Args {
        serde_json::from_str(&format!(r#"{{"host": {{"address": "10.0.0.5"}}, "version": "1.34.2"{more}}}"#))
            .expect("arguments")
    }

    /// A machine on which everything is right, as the script prints it.
    fn right() -> Vec<(&'static str, String)> {
        let args = args("");
        let version = Version { major: 1, minor: 7 };
        let list = args.source().expect("a version").expect("upstream").list();
        vec![
            ("file fstab", "UUID=1 / ext4 defaults 0 1\n\n".into()),
            ("file modules-file", hosts::modules_load() + "\n"),
            ("file sysctl-file", hosts::sysctl_conf(&BTreeMap::new()) + "\n"),
            ("file list", list + "\n"),
            ("file containerd-config", args.containerd_config(version, "registry.k8s.io/pause:3.10") + "\n"),
            ("swaps", "Filename Type Size Used Priority\n".into()),
            ("modules", "overlay\nbr_netfilter\nnf_conntrack\n".into()),
            ("sysctls", "net.bridge.bridge-nf-call-ip6tables=1\nnet.bridge.bridge-nf-call-iptables=1\nnet.ipv4.ip_forward=1\n".into()),
            ("key", "present\n".into()),
            ("packages", "containerd 1.7.27 installed\nkubeadm 1.34.2-1.1 installed\nkubectl 1.34.2-1.1 installed\nkubelet 1.34.2-1.1 installed\n".into()),
            ("held", "kubeadm\nkubectl\nkubelet\n".into()),
            ("resolv", String::new()),
            ("addresses", "2: eth0    inet 10.0.0.5/24 brd 10.0.0.255 scope global eth0\n3: eth1    inet 192.168.56.5/24 scope global eth1\n3: eth1    inet6 fd00::5/64 scope global \n".into()),
            ("containerd-version", "containerd containerd.io 1.7.27 05044ec\n".into()),
            ("containerd-active", "active\n".into()),
            ("pause", "registry.k8s.io/pause:3.10\n".into()),
        ]
    }

    fn with(name: &str, body: &str) -> Observed {
        let mut all = right();
        all.retain(|(other, _)| *other != name);
        let text: String = all.into_iter().map(|(name, body)| format!("== {name}\n{body}")).collect();
        Observed::parse(&format!("{text}== {name}\n{body}"))
    }

    fn differs(observed: &Observed, args: &Args) -> Vec<String> {
        let parts = observed.parts(args).into_iter().filter(|(_, state)| state != AS_WANTED);
        parts.map(|(part, state)| format!("{part}: {state}")).collect()
    }

    #[test]
    fn a_right_machine_differs_in_nothing() {
        assert_eq!(differs(&with("none", ""), &args("")), [""; 0]);
    }

    #[test]
    fn an_empty_machine_differs_in_all() {
        let parts = differs(&Observed::default(), &args(""));
        assert_eq!(
            parts,
            [
                "containerd: not installed",
                "modules: not loaded: overlay, br_netfilter, nf_conntrack",
                "packages: kubeadm is not installed",
                "source: /etc/apt/sources.list.d/kubernetes.list differs",
                "sysctls: net.bridge.bridge-nf-call-ip6tables is not set",
            ]
        );
    }

    #[test]
    fn each_drift_is_named() {
        let one = |name: &str, body: &str| differs(&with(name, body), &args("")).join("; ");
        assert_eq!(one("swaps", "Filename Type\n/dev/sda2 partition 1 0 -2\n"), "swap: on: /dev/sda2");
        assert_eq!(
            one("file fstab", "/swap none swap sw 0 0\n\n"),
            "swap: off, but /etc/fstab turns it on at boot"
        );
        assert_eq!(one("modules", "overlay\nnf_conntrack\n"), "modules: not loaded: br_netfilter");
        assert_eq!(one("held", "kubeadm\nkubectl\n"), "packages: kubelet is not held");
        assert_eq!(one("containerd-active", "failed\n"), "containerd: the service is failed");
        assert_eq!(
            one("file containerd-config", "version = 2\n\n"),
            "containerd: /etc/containerd/config.toml differs"
        );
        assert_eq!(one("packages", "kubeadm 1.34.1-1.1 installed\n"), "packages: kubeadm is 1.34.1-1.1");
        assert_eq!(
            one("packages", "kubeadm 1.34.2-1.1 config-files\n"),
            "packages: kubeadm is not installed"
        );
        let more = args(r#", "extra_sysctls": {"net.ipv4.ip_local_port_range": "1024 65000"}"#);
        let tabs = right().into_iter().find(|(name, _)| *name == "sysctls").expect("it is there").1;
        let observed = with("sysctls", &format!("{tabs}net.ipv4.ip_local_port_range=1024\t65000\n"));
        assert_eq!(differs(&observed, &more), ["sysctls: /etc/sysctl.d/99-kubernetes.conf differs"]);
    }

    #[test]
    fn a_live_node_is_upgraded_elsewhere() {
        let newer = |more: &str| {
            let mut args = args(more);
            args.version = "1.35.1".into();
            args
        };
        let node = |name: &str, body: &str| {
            let mut observed = with(name, body);
            observed.bodies.insert("node".into(), String::new());
            observed
        };
        // The source of the new minor is all that is left to do; the packages, and the pause image of an upgraded
        // kubeadm, are not.
        let source = "source: /etc/apt/sources.list.d/kubernetes.list differs";
        assert_eq!(differs(&node("none", ""), &newer("")), [source]);
        assert_eq!(differs(&node("pause", "registry.k8s.io/pause:3.11\n"), &newer("")), [source]);
        assert_eq!(differs(&node("held", "kubeadm\n"), &args("")), ["packages: kubelet is not held"]);
        let own = newer(r#", "containerd": {"sandbox_image": "mirror/pause:9"}"#);
        assert_eq!(
            differs(&node("none", ""), &own),
            ["containerd: /etc/containerd/config.toml differs", source]
        );
    }

    #[test]
    fn the_node_has_the_address_of_its_network() {
        let observed = with("none", "");
        assert_eq!(observed.node_ip(&args("")).ok().as_deref(), Some("10.0.0.5"));
        assert_eq!(
            observed.node_ip(&args(r#", "node_cidr": "192.168.56.0/24""#)).ok().as_deref(),
            Some("192.168.56.5")
        );
        let none = observed.node_ip(&args(r#", "node_cidr": "172.16.0.0/12""#)).expect_err("none");
        assert_eq!(
            none.summary,
            "10.0.0.5 has no address in 172.16.0.0/12: it has 10.0.0.5, 192.168.56.5, fd00::5"
        );
        let mut elsewhere = args("");
        elsewhere.host.address = "198.51.100.9".into();
        assert!(observed.node_ip(&elsewhere).is_err(), "a floating address names no interface");
    }
}
