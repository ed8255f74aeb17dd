//! A scripted host: a real sshd whose commands run in a folder of their own as root directory, where the programs of another
//! system are small scripts. They keep the little state that the real ones would (which packages, which units), answer in the
//! real ones' formats, and note how they were called.
//!
//! It proves what is asked of such a system and how its answers are read. It does not prove that the system answers so: that
//! is the word of the page named at each format.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use grappe_provider_host::testing::{Bench, connection};
use grappe_ssh::Pool;
use grappe_ssh::testing::{Sshd, write};
use serde_json::Value as Json;

/// The plain programs that every system has, taken from this one.
const PLAIN: [&str; 32] = [
    "sh",
    "flock",
    "bash",
    "cat",
    "grep",
    "awk",
    "sed",
    "mv",
    "cp",
    "rm",
    "mkdir",
    "mktemp",
    "sha256sum",
    "chmod",
    "chown",
    "sync",
    "tail",
    "head",
    "stat",
    "readlink",
    "sleep",
    "timeout",
    "sort",
    "tr",
    "printf",
    "echo",
    "cut",
    "env",
    "id",
    "test",
    "true",
    "tee",
];

/// What the scripts share: `systemctl` with a file for each unit that runs or starts at boot, `sysctl`, `modprobe`, `rpm` with a
/// package a line, and so on. Formats: systemctl(1) `show`, rpm(8) `--queryformat`, systemd-detect-virt(1), ip-address(8).
const COMMON: [(&str, &str); 11] = [
    ("systemd-escape", "echo dev-zram0.swap"),
    (
        "systemctl",
        r#"u=/var/units; mkdir -p $u; verb=; names=
while [ $# -gt 0 ]; do case $1 in -p) shift ;; -*) ;; *) if [ -z "$verb" ]; then verb=$1; else names="$names ${1%.service}"; fi ;; esac; shift; done
case $verb in
show) for n in $names; do
    a=inactive; [ -e $u/$n.active ] && a=active; f=; [ -e $u/$n.unit ] && f=disabled; [ -e $u/$n.enabled ] && f=enabled
    printf 'Id=%s.service\nActiveState=%s\nUnitFileState=%s\n\n' $n $a $f; done ;;
is-active) for n in $names; do [ -e $u/$n.active ] && exit 0; done; exit 3 ;;
is-enabled) for n in $names; do [ -e $u/$n.enabled ] || exit 1; done ;;
enable) for n in $names; do [ -e $u/$n.unit ] || { echo "Failed to enable unit: Unit file $n.service does not exist." >&2; exit 1; }; : > $u/$n.enabled; : > $u/$n.active; done ;;
restart|start) for n in $names; do [ -e $u/$n.unit ] || exit 5; : > $u/$n.active; done ;;
stop) for n in $names; do rm -f $u/$n.active; done ;;
disable) for n in $names; do rm -f $u/$n.enabled; done ;;
list-unit-files|daemon-reload|mask|unmask) ;;
*) echo "systemctl: $verb is not scripted" >&2; exit 1 ;;
esac"#,
    ),
    (
        "rpm",
        r#"shift 3; for n; do grep "^$n " /var/rpmdb || { echo "package $n is not installed"; status=1; }; done; exit ${status:-0}"#,
    ),
    (
        "sysctl",
        r#"while IFS=' =' read -r key value; do case $key in '#'*) ;; ?*) echo "$value" > "/proc/sys/$(echo "$key" | tr . /)" || exit 1 ;; esac; done < "$3""#,
    ),
    (
        "modprobe",
        r#"case $1 in overlay) echo 'nodev overlay' >> /proc/filesystems ;; br_netfilter) mkdir -p /proc/sys/net/bridge ;; nf_conntrack) mkdir -p /proc/sys/net/netfilter; echo 65536 > /proc/sys/net/netfilter/nf_conntrack_max ;; esac"#,
    ),
    ("swapoff", "echo 'Filename Type Size Used Priority' > /proc/swaps"),
    ("systemd-detect-virt", "echo none; exit 1"),
    ("timedatectl", "echo no"),
    (
        "ip",
        r#"case $* in *route*) echo 'default via 10.0.0.1 dev ens192 proto dhcp src 10.0.0.5 metric 100' ;; *) echo '2: ens192    inet 10.0.0.5/24 brd 10.0.0.255 scope global dynamic noprefixroute ens192\       valid_lft 86000sec preferred_lft 86000sec' ;; esac"#,
    ),
    ("swapon", "true"),
    ("cloud-init", "echo; echo 'status: done'"),
];

/// The host.
pub(crate) struct Scripted {
    sshd: Sshd,
    root: tempfile::TempDir,
}

impl Scripted {
    /// A host with these programs beside the common ones, and these files.
    pub(crate) fn new(programs: &[(&str, &str)], files: &[(&str, &str)]) -> Self {
        let root = tempfile::tempdir().expect("a temporary folder");
        let at = |path: &str| root.path().join(path.trim_start_matches('/'));
        for folder in [
            "usr",
            "dev",
            "fake",
            "tmp",
            "run",
            "var/units",
            "etc/systemd/system",
            "root",
            "proc/self",
            "proc/sys/net/ipv4",
        ] {
            fs::create_dir_all(at(folder)).expect("a folder");
        }
        for folder in ["bin", "sbin", "lib", "lib64"] {
            symlink(format!("usr/{folder}"), at(folder)).expect("a link");
        }
        for program in PLAIN {
            symlink(format!("/usr/bin/{program}"), at("fake").join(program)).expect("a link");
        }
        let scripted =
            Self { sshd: Sshd::start_with(&format!("ForceCommand {}", at("enter").display())), root };
        for (name, script) in COMMON.iter().chain(programs) {
            scripted.program(name, script);
        }
        let kernel = [
            ("/proc/swaps", "Filename Type Size Used Priority\n/dev/dm-1 partition 2097148 0 -2\n"),
            ("/proc/filesystems", "nodev sysfs\nxfs\n"),
            ("/proc/self/status", "Name:\tgrep\nCapBnd:\t000001ffffffffff\n"),
            ("/proc/sys/net/ipv4/ip_forward", "0\n"),
            ("/etc/resolv.conf", "nameserver 10.0.0.1\n"),
            ("/var/rpmdb", ""),
        ];
        for (path, content) in kernel.iter().chain(files) {
            let path = scripted.path(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            write(&path, content);
        }
        // The mounts end with the command: they are in a namespace of its own.
        let r = scripted.root.path().display().to_string();
        let enter = format!(
            "#!/bin/sh\nexport R={r} C=\"$SSH_ORIGINAL_COMMAND\"\nexec unshare --mount --propagation private /bin/sh -c '\
             mount --rbind /usr $R/usr && mount --rbind /dev $R/dev || {{ echo \"a scripted host needs root\" >&2; exit 1; }}\n\
             exec chroot $R /usr/bin/env -i HOME=/root PATH=/fake C=\"$C\" /bin/sh -c \"$C\"'\n"
        );
        scripted.executable("/enter", &enter);
        scripted
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path.trim_start_matches('/'))
    }

    fn executable(&self, path: &str, text: &str) {
        write(&self.path(path), text);
        fs::set_permissions(self.path(path), fs::Permissions::from_mode(0o755)).expect("a script");
    }

    fn program(&self, name: &str, script: &str) {
        // Questions are not noted: they are many, and change nothing.
        let note = "case \"$0 $*\" in */ip\\ *|*/rpm\\ *|*systemctl\\ show*|*list-unit-files*|*detect-virt*|*systemd-escape*|*is-active*|*is-enabled*|*timedatectl*|*cloud-init*|*getenforce*|*-S|*list-sources*|*images\\ list*|*--version*|*version\\ -o*) ;; *) echo \"${0##*/} $*\" >> /transcript ;; esac";
        self.executable(&format!("/fake/{name}"), &format!("#!/bin/sh\n{note}\n{script}\n"));
    }

    /// The content of a file of the host.
    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_default()
    }

    /// Changes a file by hand.
    pub(crate) fn edit(&self, path: &str, change: impl Fn(&str) -> String) {
        write(&self.path(path), &change(&self.read(path)));
    }

    /// Removes a file by hand.
    pub(crate) fn remove(&self, path: &str) {
        fs::remove_file(self.path(path)).unwrap_or_else(|error| panic!("remove {path}: {error}"));
    }

    /// How the programs were called since the last time this was asked.
    pub(crate) fn transcript(&self) -> String {
        let text = self.read("/transcript");
        let _ = fs::remove_file(self.path("/transcript"));
        text
    }

    /// How to reach it, under the address that it has for others.
    pub(crate) fn connection(&self) -> Json {
        connection(&self.sshd)
    }

    /// The types of the provider.
    pub(crate) async fn bench(&self) -> Bench {
        Bench::new(grappe_provider_kubeadm::provider(Pool::new()), self.sshd.dir()).await
    }
}
