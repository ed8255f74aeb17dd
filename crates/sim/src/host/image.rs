//! The image a machine starts from: a Debian 12 cloud image, as small as scripts allow.

use super::files::Files;
use super::{CloudInit, Host, Package, Service, ServiceState, files::Actor};

/// Images that the simulated clouds offer.
pub const IMAGES: &[&str] = &["debian-12"];

/// Programs of the base system: they live in /usr/bin (and /usr/sbin, /bin, /sbin, which Debian links to them).
const BASE: &[&str] = &[
    "[",
    "apt-cache",
    "apt-get",
    "apt",
    "apt-key",
    "apt-mark",
    "awk",
    "base64",
    "basename",
    "bash",
    "cat",
    "chgrp",
    "chmod",
    "chown",
    "cloud-init",
    "cmp",
    "cp",
    "curl",
    "cut",
    "dash",
    "date",
    "dd",
    "df",
    "diff",
    "dirname",
    "dmesg",
    "dpkg",
    "dpkg-query",
    "du",
    "echo",
    "egrep",
    "env",
    "expr",
    "false",
    "fgrep",
    "file",
    "find",
    "findmnt",
    "free",
    "getent",
    "gpg",
    "grep",
    "groups",
    "gunzip",
    "gzip",
    "head",
    "hostname",
    "hostnamectl",
    "id",
    "install",
    "ip",
    "iptables",
    "journalctl",
    "kill",
    "ln",
    "logger",
    "loginctl",
    "ls",
    "lsblk",
    "lsmod",
    "lsb_release",
    "md5sum",
    "mkdir",
    "mktemp",
    "modinfo",
    "modprobe",
    "mount",
    "mountpoint",
    "mv",
    "nproc",
    "od",
    "pgrep",
    "ping",
    "pkill",
    "poweroff",
    "printenv",
    "printf",
    "ps",
    "pwd",
    "readlink",
    "realpath",
    "reboot",
    "rm",
    "rmdir",
    "sed",
    "seq",
    "sh",
    "sha1sum",
    "sha256sum",
    "shutdown",
    "sleep",
    "sort",
    "ss",
    "stat",
    "stdbuf",
    "su",
    "sudo",
    "swapoff",
    "swapon",
    "sync",
    "sysctl",
    "systemctl",
    "systemd-detect-virt",
    "tail",
    "tar",
    "tee",
    "test",
    "timedatectl",
    "timeout",
    "touch",
    "tr",
    "true",
    "truncate",
    "tty",
    "udevadm",
    "uname",
    "uniq",
    "update-alternatives",
    "update-ca-certificates",
    "uptime",
    "useradd",
    "usermod",
    "wc",
    "wget",
    "which",
    "whoami",
    "xargs",
    "yes",
    "openssl",
    "nl",
    "tac",
    "rev",
    "paste",
    "comm",
    "fold",
    "sha512sum",
    "cksum",
    "hexdump",
    "xxd",
    "umount",
    "logname",
    "users",
    "who",
    "nohup",
    "setsid",
    "flock",
    "nice",
    "ionice",
    "chroot",
    "lscpu",
    "arch",
    "rmmod",
    "groupadd",
    "visudo",
    "locale-gen",
    "localectl",
    "nft",
    "ip6tables",
    "python3",
    "needrestart",
];

/// Name of the base program that a path stands for.
pub fn base_command(path: &str) -> Option<&'static str> {
    if path == "/usr/lib/apt/apt-helper" {
        return Some("apt-helper");
    }
    let name =
        ["/usr/bin/", "/usr/sbin/", "/bin/", "/sbin/"].iter().find_map(|dir| path.strip_prefix(dir))?;
    BASE.iter().find(|b| **b == name).copied()
}

/// Units running in the image.
const UNITS: &[(&str, &str)] = &[
    ("ssh.service", "OpenBSD Secure Shell server"),
    ("cron.service", "Regular background program processing daemon"),
    ("systemd-timesyncd.service", "Network Time Synchronization"),
    ("systemd-journald.service", "Journal Service"),
    ("unattended-upgrades.service", "Unattended Upgrades Shutdown"),
];

const OS_RELEASE: &str = r#"PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"
NAME="Debian GNU/Linux"
VERSION_ID="12"
VERSION="12 (bookworm)"
VERSION_CODENAME=bookworm
ID=debian
HOME_URL="https://www.debian.org/"
SUPPORT_URL="https://www.debian.org/support"
BUG_REPORT_URL="https://bugs.debian.org/"
VARIANT="simulated by grappe"
"#;

/// What a new machine is given.
#[derive(Debug, Clone, Copy)]
pub struct Birth<'a> {
    /// Host name.
    pub name: &'a str,
    /// First address, for /etc/hosts.
    pub address: &'a str,
    /// Lines of authorized_keys.
    pub authorized_keys: &'a [String],
    /// 32 hex digits.
    pub machine_id: &'a str,
    /// A UUID.
    pub boot_id: &'a str,
    /// CPUs.
    pub cpus: u32,
    /// Memory in MiB.
    pub memory_mb: u32,
    /// Simulated milliseconds since 1970.
    pub now: i64,
}

/// A pristine Debian 12 host.
pub fn debian_12(birth: Birth<'_>) -> Host {
    let (name, now) = (birth.name, birth.now / 1000);
    let mut files = Files::default();
    for dir in [
        "/bin",
        "/boot",
        "/dev",
        "/home",
        "/mnt",
        "/opt",
        "/proc",
        "/root",
        "/run",
        "/srv",
        "/sys",
        "/usr/bin",
        "/usr/local/bin",
        "/usr/local/sbin",
        "/usr/sbin",
        "/usr/lib",
        "/usr/share/keyrings",
        "/var/cache/apt",
        "/var/lib",
        "/var/log",
        "/var/tmp",
        "/var/run",
        "/etc/apt/keyrings",
        "/etc/apt/sources.list.d",
        "/etc/apt/preferences.d",
        "/etc/apt/apt.conf.d",
        "/etc/modules-load.d",
        "/etc/sysctl.d",
        "/etc/profile.d",
        "/etc/cron.d",
        "/etc/default",
        "/etc/ssl/certs",
        "/etc/systemd/system/multi-user.target.wants",
        "/etc/sudoers.d",
        "/etc/network/interfaces.d",
        "/etc/cloud",
        "/lib/systemd/system",
        "/usr/local/share/ca-certificates",
        "/etc/logrotate.d",
    ] {
        files.make_dirs(dir, now);
    }
    for (dir, mode) in [("/root", 0o700), ("/tmp", 0o1777), ("/var/tmp", 0o1777)] {
        files.make_dirs(dir, now);
        if let Ok(node) = files.node_mut(dir) {
            node.mode = mode;
        }
    }
    let keys: String = birth.authorized_keys.iter().map(|k| format!("{}\n", k.trim())).collect();
    let text: &[(&str, String, u32)] = &[
        ("/etc/os-release", OS_RELEASE.to_owned(), 0o644),
        ("/usr/lib/os-release", OS_RELEASE.to_owned(), 0o644),
        ("/etc/debian_version", "12.11\n".to_owned(), 0o644),
        ("/etc/hostname", format!("{name}\n"), 0o644),
        ("/etc/hosts", format!("127.0.0.1 localhost\n{} {name}\n", birth.address), 0o644),
        (
            "/etc/fstab",
            "PARTUUID=simulated-01 / ext4 rw,discard,errors=remount-ro 0 1\n/swapfile none swap sw 0 0\n"
                .to_owned(),
            0o644,
        ),
        ("/etc/machine-id", format!("{}\n", birth.machine_id), 0o444),
        ("/etc/motd", "This is a machine simulated by grappe: nothing here is real.\n".to_owned(), 0o644),
        ("/etc/issue", "Debian GNU/Linux 12 (simulated by grappe)\n".to_owned(), 0o644),
        ("/etc/resolv.conf", "nameserver 192.0.2.53\n".to_owned(), 0o644),
        ("/etc/timezone", "Etc/UTC\n".to_owned(), 0o644),
        ("/etc/sysctl.conf", "# kernel parameters\n".to_owned(), 0o644),
        ("/etc/modules", "# modules to load at boot\n".to_owned(), 0o644),
        (
            "/etc/ssh/sshd_config",
            "PermitRootLogin prohibit-password\nPasswordAuthentication no\n".to_owned(),
            0o644,
        ),
        ("/etc/sudoers", "root ALL=(ALL:ALL) ALL\n@includedir /etc/sudoers.d\n".to_owned(), 0o440),
        ("/etc/sudoers.d/90-cloud-init-users", "debian ALL=(ALL) NOPASSWD:ALL\n".to_owned(), 0o440),
        (
            "/etc/passwd",
            "root:x:0:0:root:/root:/bin/bash\ndebian:x:1000:1000:Debian:/home/debian:/bin/bash\n".to_owned(),
            0o644,
        ),
        ("/etc/group", "root:x:0:\nadm:x:4:debian\nsudo:x:27:debian\ndebian:x:1000:\n".to_owned(), 0o644),
        ("/etc/apt/sources.list", "deb https://deb.debian.org/debian bookworm main\n".to_owned(), 0o644),
        ("/etc/ssl/certs/ca-certificates.crt", "# simulated\n".to_owned(), 0o644),
        ("/swapfile", String::new(), 0o600),
        ("/root/.bashrc", "# ~/.bashrc\n".to_owned(), 0o644),
        ("/root/.ssh/authorized_keys", keys.clone(), 0o600),
        ("/home/debian/.ssh/authorized_keys", keys, 0o600),
        ("/var/log/cloud-init.log", "simulated\n".to_owned(), 0o644),
    ];
    for (path, content, mode) in text {
        files.put(path, content.as_bytes(), *mode, now);
    }
    for path in ["/home/debian", "/home/debian/.ssh", "/home/debian/.ssh/authorized_keys"] {
        if let Ok(node) = files.node_mut(path) {
            (node.owner, node.group) = ("debian".to_owned(), "debian".to_owned());
        }
    }
    if let Ok(node) = files.node_mut("/root/.ssh") {
        node.mode = 0o700;
    }
    let mut host = Host {
        hostname: name.to_owned(),
        boot_id: birth.boot_id.to_owned(),
        booted: birth.now,
        files,
        packages: BASE_PACKAGES
            .iter()
            .map(|(n, v)| {
                ((*n).to_owned(), Package { version: (*v).to_owned(), held: false, removed: false })
            })
            .collect(),
        apt_lists: Default::default(),
        services: Default::default(),
        sysctls: Default::default(),
        modules: Default::default(),
        swap: true,
        cloud_init: CloudInit::Done,
        images: Default::default(),
        node: None,
        cpus: birth.cpus,
        memory_mb: birth.memory_mb,
        nics: Vec::new(),
    };
    for (unit, description) in UNITS {
        let text = format!(
            "[Unit]\nDescription={description}\n[Service]\nExecStart=/usr/sbin/true\n[Install]\nWantedBy=multi-user.target\n"
        );
        host.files.put(&format!("/lib/systemd/system/{unit}"), text, 0o644, now);
        let link = format!("/etc/systemd/system/multi-user.target.wants/{unit}");
        // The folder was made above and the link is new.
        let _ = host.files.symlink(&format!("/lib/systemd/system/{unit}"), &link, Actor::root(now));
        let service = Service { state: ServiceState::Active, since: birth.now, ..Service::default() };
        host.services.insert((*unit).to_owned(), service);
    }
    host
}

/// Packages that scripts ask about and the image has.
const BASE_PACKAGES: &[(&str, &str)] = &[
    ("apt", "2.6.1"),
    ("bash", "5.2.15-2+b8"),
    ("ca-certificates", "20230311"),
    ("cloud-init", "22.4.2-1+deb12u2"),
    ("coreutils", "9.1-1"),
    ("curl", "7.88.1-10+deb12u12"),
    ("dash", "0.5.12-2"),
    ("dpkg", "1.21.22"),
    ("gpg", "2.2.40-1.1"),
    ("iproute2", "6.1.0-3"),
    ("iptables", "1.8.9-2"),
    ("kmod", "30+20221128-1"),
    ("mount", "2.38.1-5+deb12u3"),
    ("openssh-server", "1:9.2p1-2+deb12u6"),
    ("openssl", "3.0.16-1~deb12u1"),
    ("procps", "2:4.0.2-3"),
    ("python3", "3.11.2-1+b1"),
    ("sudo", "1.9.13p3-1+deb12u1"),
    ("systemd", "252.36-1~deb12u1"),
    ("tar", "1.34+dfsg-1.2+deb12u1"),
    ("util-linux", "2.38.1-5+deb12u3"),
    ("wget", "1.21.3-1+deb12u1"),
];
