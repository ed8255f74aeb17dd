//! What a machine has, read in one round trip.

use std::collections::BTreeMap;

use grappe_kubeadm::containerd::{self, Version};
use grappe_kubeadm::hosts::source::{
    APT_KEY_PATH, APT_LIST_PATH, PHOTON_PACKAGES, RELEASE_PACKAGES, RPM_REPO_PATH, upstream_version,
};
use grappe_kubeadm::hosts::{self, firewall, proxy};
use grappe_kubeadm::version::KubernetesVersion;
use grappe_provider::Fault;
use grappe_provider_host::Session;
use grappe_provider_host::packages::{self, Package};
use grappe_ssh::{Exec, quote};

use super::address::{self, Address};
use super::args::Args;
use super::system::{DOCKER_REPO_PATH, DOCKERS_CONTAINERD, System};
use crate::remote::SHORT;
use crate::standing::sections;

/// The containerd file that waits until the service has read it: where it is found, a run was killed before the restart.
pub(super) const STAGED: &str = "/etc/containerd/config.toml.grappe-new";
/// Units that keep the clock.
pub(super) const CLOCKS: [&str; 7] =
    ["chrony", "chronyd", "systemd-timesyncd", "ntp", "ntpd", "ntpsec", "openntpd"];
/// Where systemd-resolved and NetworkManager keep the nameservers behind their stubs.
pub(super) const BEHIND_STUBS: [&str; 2] =
    ["/run/systemd/resolve/resolv.conf", "/run/NetworkManager/no-stub-resolv.conf"];

/// What was found. Not `Debug`: a proxy's password may be in it.
#[derive(Clone, Default)]
pub(super) struct Observed {
    bodies: BTreeMap<String, String>,
    pub(super) system: Option<System>,
    packages: BTreeMap<String, Package>,
    units: BTreeMap<String, Unit>,
}

/// A unit of systemd.
#[derive(Clone, Default)]
struct Unit {
    active: String,
    file: String,
}

impl Observed {
    pub(super) async fn read(session: &Session, args: &Args) -> Result<Self, Fault> {
        let output = session.exec(Exec::new(script(args)).timeout(SHORT)).await?;
        if !output.success() {
            return Err(session.failure("look at the machine", &output));
        }
        // Not trimmed: these are files, compared to the byte.
        Ok(Self::parse(&String::from_utf8_lossy(&output.stdout)))
    }

    pub(super) fn parse(output: &str) -> Self {
        let exact = |(name, mut body): (&str, String)| {
            // A newline follows each file, for those that do not end in one.
            if name.starts_with("file ") {
                body.pop();
            }
            (name.to_owned(), body)
        };
        let bodies: BTreeMap<String, String> = sections(output).into_iter().map(exact).collect();
        let body = |name: &str| bodies.get(name).map_or("", String::as_str);
        Self {
            system: System::read(body("os")),
            packages: packages::read_survey(body("packages")).map(|found| found.packages).unwrap_or_default(),
            units: units(body("units")),
            bodies,
        }
    }

    pub(super) fn body(&self, name: &str) -> &str {
        self.bodies.get(name).map_or("", String::as_str)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.bodies.contains_key(name)
    }

    /// The content of a file; empty where there is none.
    pub(super) fn file(&self, path: &str) -> &str {
        self.body(&format!("file {path}"))
    }

    /// Whether a file is there that we wrote.
    pub(super) fn is_ours(&self, path: &str) -> bool {
        self.file(path).trim_start_matches("// ").trim_start_matches("# ").starts_with("Written by grappe")
    }

    /// The files under containerd's folder of registries.
    pub(super) fn registry_files(&self) -> impl Iterator<Item = &str> {
        let paths = self.bodies.keys().filter_map(|name| name.strip_prefix("file "));
        paths.filter(|path| path.starts_with(containerd::REGISTRIES))
    }

    /// The system, which must be one that is prepared.
    pub(super) fn known_system(&self, name: &str) -> Result<System, Fault> {
        self.system.ok_or_else(|| {
            let id = self.body("os").lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
            let id = id.unwrap_or("an unknown system").trim_matches('"');
            Fault::permanent(format!("{name} runs {id}, which kubeadm_host does not prepare"))
                .hint("it prepares Debian, Ubuntu, the RHEL family and Photon; other systems bring their packages in their image")
        })
    }

    pub(super) fn is_active(&self, unit: &str) -> bool {
        self.units.get(unit).is_some_and(|unit| unit.active == "active")
    }

    pub(super) fn active_state(&self, unit: &str) -> &str {
        self.units.get(unit).map_or("", |unit| &unit.active)
    }

    pub(super) fn is_enabled(&self, unit: &str) -> bool {
        self.units.get(unit).is_some_and(|unit| unit.file.starts_with("enabled"))
    }

    pub(super) fn package(&self, name: &str) -> Option<&Package> {
        self.packages.get(name)
    }

    /// The installed release of a package.
    pub(super) fn release(&self, name: &str) -> Option<KubernetesVersion> {
        self.package(name).and_then(|package| upstream_version(&package.version))
    }

    pub(super) fn swap_devices(&self) -> impl Iterator<Item = &str> {
        self.body("swaps").lines().skip(1).filter_map(|line| line.split_whitespace().next())
    }

    /// Units that turn swap on at boot, besides those that fstab stands for.
    pub(super) fn swap_units(&self) -> impl Iterator<Item = &str> {
        self.body("swap-units").lines().filter_map(|line| line.split_whitespace().next())
    }

    /// Whether the machine is a node of some cluster.
    pub(super) fn is_node(&self) -> bool {
        self.has("node")
    }

    /// containerd's file as it should be; `None` before the packages are there.
    pub(super) fn wanted_config(&self, args: &Args) -> Option<String> {
        let version = Version::parse(self.body("containerd-version")).ok()?;
        // An upgrade's new kubeadm prefers a newer pause image; on a live node that is no reason to restart containerd.
        let found = self.is_node().then(|| containerd::sandbox_image(self.file(containerd::CONFIG_PATH)));
        let image = found.flatten().unwrap_or_else(|| self.body("pause").trim());
        let restricted = containerd::may_lower_oom_scores(self.body("capabilities")) == Some(false);
        (!image.is_empty() || args.containerd.sandbox_image.is_some())
            .then(|| args.containerd_config(version, image, restricted))
    }

    pub(super) fn addresses(&self) -> Vec<Address> {
        address::read(self.body("addresses"))
    }

    pub(super) fn has_address(&self, ip: &str) -> bool {
        self.addresses().iter().any(|address| address.ip.to_string() == ip)
    }

    pub(super) fn node_ip(&self, args: &Args) -> Result<String, Fault> {
        address::choose(args, &self.addresses(), self.body("route")).map(|ip| ip.to_string())
    }
}

/// Reads `systemctl show -p Id,ActiveState,UnitFileState`: a paragraph for each unit.
fn units(text: &str) -> BTreeMap<String, Unit> {
    let paragraph = |text: &str| {
        let of = |key: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            line.unwrap_or_default().to_owned()
        };
        let id = of("Id").strip_suffix(".service")?.to_owned();
        Some((id, Unit { active: of("ActiveState"), file: of("UnitFileState") }))
    };
    text.split("\n\n").filter_map(paragraph).collect()
}

/// Prints everything in sections. Nothing in it changes anything.
fn script(args: &Args) -> String {
    let mut script = String::from(
        "export LC_ALL=C\n\
         show() { for f; do if [ -f \"$f\" ]; then echo \"== file $f\"; cat \"$f\"; echo; fi; done; }\n\
         echo '== os'; cat /etc/os-release 2>/dev/null\n",
    );
    let units = proxy::UNITS.map(proxy::unit_path);
    let files = [
        "/etc/fstab",
        "/etc/resolv.conf",
        BEHIND_STUBS[0],
        BEHIND_STUBS[1],
        hosts::MODULES_PATH,
        hosts::SYSCTL_PATH,
        hosts::KUBELET_RESOLV_PATH,
        APT_LIST_PATH,
        RPM_REPO_PATH,
        DOCKER_REPO_PATH,
        firewall::SAVED_PATH,
        proxy::APT_PATH,
        proxy::DNF_PATH,
        proxy::TDNF_PATH,
        &units[0],
        &units[1],
        containerd::CONFIG_PATH,
        containerd::CRICTL_PATH,
        STAGED,
    ];
    script.push_str(&format!("show {} {}/*/*\n", files.join(" "), containerd::REGISTRIES));
    // What a module does, not its name: it may be built in, and lsmod then says nothing.
    script.push_str(
        "echo '== swaps'; cat /proc/swaps 2>/dev/null\n\
         echo '== modules'\n\
         if grep -qw overlay /proc/filesystems; then echo overlay; fi\n\
         if [ -e /proc/sys/net/bridge ]; then echo br_netfilter; fi\n\
         if [ -e /proc/sys/net/netfilter/nf_conntrack_max ]; then echo nf_conntrack; fi\n\
         echo '== capabilities'; grep CapBnd /proc/self/status 2>/dev/null\n\
         if [ -e /etc/resolv.conf ]; then echo '== resolv'; fi\n\
         if command -v getenforce >/dev/null 2>&1; then echo '== selinux'; getenforce; grep '^SELINUX=' /etc/selinux/config; fi\n",
    );
    script.push_str("echo '== sysctls'\n");
    for key in hosts::sysctls(&args.extra_sysctls).keys() {
        let path = quote(&format!("/proc/sys/{}", key.replace('.', "/")));
        script.push_str(&format!("if [ -r {path} ]; then echo {}=\"$(cat {path})\"; fi\n", quote(key)));
    }
    script.push_str(&format!("if [ -s {APT_KEY_PATH} ]; then echo '== key'; echo present; fi\n"));
    let mut names: Vec<&str> = RELEASE_PACKAGES.into_iter().chain(PHOTON_PACKAGES).collect();
    names.extend(["containerd", DOCKERS_CONTAINERD]);
    names.extend([System::Debian, System::RedHat, System::Photon].map(|system| args.runtime_package(system)));
    names.extend(args.extra_packages.iter().map(String::as_str));
    names.sort_unstable();
    names.dedup();
    script.push_str(&format!(
        "echo '== packages'; ( {} )\n\
         echo '== units'; systemctl show -p Id,ActiveState,UnitFileState containerd kubelet systemd-resolved firewalld {} 2>/dev/null\n\
         echo '== swap-units'; systemctl list-unit-files --no-legend --plain --type=swap,service --state=enabled,generated \
         '*.swap' 'zram*' 'systemd-zram-setup@*' 2>/dev/null | grep -v '^dev-disk' \n\
         if [ -s /etc/kubernetes/kubelet.conf ]; then echo '== node'; fi\n\
         echo '== container'; systemd-detect-virt --container 2>/dev/null\n\
         echo '== addresses'; ip -o addr show scope global 2>/dev/null\n\
         echo '== route'; ip route show default 2>/dev/null\n\
         if [ -f {saved} ]; then echo '== iptables'; iptables -S 2>/dev/null; fi\n\
         if command -v firewall-cmd >/dev/null 2>&1; then echo '== firewalld'\n\
         firewall-cmd --zone=trusted --list-sources 2>/dev/null; firewall-cmd --permanent --zone=trusted --list-sources 2>/dev/null\n\
         fi\n\
         if command -v containerd >/dev/null 2>&1; then echo '== containerd-version'; containerd --version; fi\n",
        packages::survey(&names),
        CLOCKS.join(" "),
        saved = firewall::SAVED_PATH,
    ));
    if args.containerd.sandbox_image.is_none() {
        script.push_str(
            "if command -v kubeadm >/dev/null 2>&1; then\n\
             echo '== pause'; kubeadm config images list --kubernetes-version \"$(kubeadm version -o short)\" 2>/dev/null | grep /pause:\n\
             fi\n",
        );
    }
    if args.time.as_deref() != Some("ignore") {
        // Only where no unit keeps the clock: it may come from the host of the machine.
        script.push_str(&format!(
            "if ! systemctl is-active -q {} 2>/dev/null; then echo '== synchronized'; timedatectl show -p NTPSynchronized --value 2>/dev/null; fi\n",
            CLOCKS.join(" ")
        ));
    }
    script.push_str("true\n");
    script
}
