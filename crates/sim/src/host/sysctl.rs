//! The kernel's side of a host: parameters, and the files of /proc, /sys and /dev that scripts read.

use super::Host;

/// Kernel parameters of a Debian 12 host and their defaults; a name not here does not exist.
const DEFAULTS: &[(&str, &str)] = &[
    ("fs.file-max", "9223372036854775807"),
    ("fs.inotify.max_user_instances", "128"),
    ("fs.inotify.max_user_watches", "65536"),
    ("fs.nr_open", "1048576"),
    ("fs.aio-max-nr", "65536"),
    ("fs.may_detach_mounts", "1"),
    ("kernel.hostname", ""),
    ("kernel.keys.root_maxbytes", "25000000"),
    ("kernel.keys.root_maxkeys", "1000000"),
    ("kernel.osrelease", "6.1.0-simulated"),
    ("kernel.panic", "0"),
    ("kernel.panic_on_oops", "0"),
    ("kernel.pid_max", "4194304"),
    ("kernel.threads-max", "63313"),
    ("kernel.dmesg_restrict", "1"),
    ("kernel.kptr_restrict", "0"),
    ("kernel.sysrq", "438"),
    ("kernel.unprivileged_userns_clone", "1"),
    ("net.core.default_qdisc", "pfifo_fast"),
    ("net.core.netdev_max_backlog", "1000"),
    ("net.core.rmem_max", "212992"),
    ("net.core.wmem_max", "212992"),
    ("net.core.somaxconn", "4096"),
    ("net.core.bpf_jit_enable", "1"),
    ("net.ipv4.conf.all.arp_announce", "0"),
    ("net.ipv4.conf.all.arp_ignore", "0"),
    ("net.ipv4.conf.all.forwarding", "0"),
    ("net.ipv4.conf.all.rp_filter", "0"),
    ("net.ipv4.conf.all.send_redirects", "1"),
    ("net.ipv4.conf.all.accept_redirects", "0"),
    ("net.ipv4.conf.all.route_localnet", "0"),
    ("net.ipv4.conf.all.src_valid_mark", "0"),
    ("net.ipv4.conf.default.rp_filter", "0"),
    ("net.ipv4.conf.default.send_redirects", "1"),
    ("net.ipv4.conf.default.forwarding", "0"),
    ("net.ipv4.ip_forward", "0"),
    ("net.ipv4.ip_local_port_range", "32768\t60999"),
    ("net.ipv4.ip_local_reserved_ports", ""),
    ("net.ipv4.ip_nonlocal_bind", "0"),
    ("net.ipv4.neigh.default.gc_thresh1", "128"),
    ("net.ipv4.neigh.default.gc_thresh2", "512"),
    ("net.ipv4.neigh.default.gc_thresh3", "1024"),
    ("net.ipv4.tcp_congestion_control", "cubic"),
    ("net.ipv4.tcp_fin_timeout", "60"),
    ("net.ipv4.tcp_keepalive_intvl", "75"),
    ("net.ipv4.tcp_keepalive_probes", "9"),
    ("net.ipv4.tcp_keepalive_time", "7200"),
    ("net.ipv4.tcp_max_syn_backlog", "512"),
    ("net.ipv4.tcp_syncookies", "1"),
    ("net.ipv4.tcp_timestamps", "1"),
    ("net.ipv4.tcp_tw_reuse", "2"),
    ("net.ipv4.tcp_rmem", "4096\t131072\t6291456"),
    ("net.ipv4.tcp_wmem", "4096\t16384\t4194304"),
    ("net.ipv6.conf.all.disable_ipv6", "0"),
    ("net.ipv6.conf.all.forwarding", "0"),
    ("net.ipv6.conf.all.accept_ra", "1"),
    ("net.ipv6.conf.default.disable_ipv6", "0"),
    ("net.ipv6.conf.default.forwarding", "0"),
    ("net.ipv6.conf.lo.disable_ipv6", "0"),
    ("vm.dirty_background_ratio", "10"),
    ("vm.dirty_ratio", "20"),
    ("vm.max_map_count", "65530"),
    ("vm.min_free_kbytes", "67584"),
    ("vm.overcommit_memory", "0"),
    ("vm.panic_on_oom", "0"),
    ("vm.swappiness", "60"),
];

const BRIDGE: &[(&str, &str)] = &[
    ("net.bridge.bridge-nf-call-arptables", "1"),
    ("net.bridge.bridge-nf-call-ip6tables", "1"),
    ("net.bridge.bridge-nf-call-iptables", "1"),
    ("net.bridge.bridge-nf-filter-pppoe-tagged", "0"),
    ("net.bridge.bridge-nf-filter-vlan-tagged", "0"),
];

const CONNTRACK: &[(&str, &str)] = &[
    ("net.netfilter.nf_conntrack_count", "0"),
    ("net.netfilter.nf_conntrack_max", "262144"),
    ("net.netfilter.nf_conntrack_tcp_timeout_close_wait", "60"),
    ("net.netfilter.nf_conntrack_tcp_timeout_established", "432000"),
    ("net.nf_conntrack_max", "262144"),
];

/// Modules that `modprobe` finds in the simulated kernel.
pub(crate) const MODULES: &[&str] = &[
    "overlay",
    "br_netfilter",
    "bridge",
    "nf_conntrack",
    "ip_vs",
    "ip_vs_rr",
    "ip_vs_wrr",
    "ip_vs_sh",
    "ipip",
    "vxlan",
    "geneve",
    "wireguard",
    "ip_tables",
    "ip6_tables",
    "iptable_nat",
    "iptable_filter",
    "xt_conntrack",
    "xt_set",
    "ip_set",
    "veth",
    "dummy",
    "tun",
    "nbd",
    "dm_crypt",
    "dm_thin_pool",
    "rbd",
    "nfs",
    "iscsi_tcp",
    "nvme_tcp",
    "8021q",
    "bonding",
    "loop",
    "fuse",
    "sctp",
    "softdog",
    "nf_nat",
    "nf_tables",
    "xt_socket",
    "xt_TPROXY",
    "openvswitch",
    "llc",
    "stp",
];

impl Host {
    fn existing(&self) -> impl Iterator<Item = &'static (&'static str, &'static str)> {
        let bridge = if self.modules.contains("br_netfilter") { BRIDGE } else { &[] };
        let conntrack = if self.modules.contains("nf_conntrack") { CONNTRACK } else { &[] };
        DEFAULTS.iter().chain(bridge).chain(conntrack)
    }

    /// Value of a kernel parameter, or nothing where the kernel has none of this name.
    pub fn sysctl(&self, name: &str) -> Option<String> {
        let default = self.existing().find(|(n, _)| *n == name)?.1;
        if name == "kernel.hostname" {
            return Some(self.hostname.clone());
        }
        Some(self.sysctls.get(name).cloned().unwrap_or_else(|| default.to_owned()))
    }

    /// Names of all parameters, sorted.
    pub fn sysctl_names(&self) -> Vec<&'static str> {
        let mut names: Vec<_> = self.existing().map(|(n, _)| *n).collect();
        names.sort_unstable();
        names
    }

    /// Sets a parameter; false where the kernel has none of this name.
    pub fn set_sysctl(&mut self, name: &str, value: &str) -> bool {
        if self.sysctl(name).is_none() {
            return false;
        }
        let value = value.split_whitespace().collect::<Vec<_>>().join("\t");
        if name == "kernel.hostname" {
            self.hostname = value;
        } else {
            self.sysctls.insert(name.to_owned(), value.clone());
            let twin = match name {
                "net.ipv4.ip_forward" => "net.ipv4.conf.all.forwarding",
                "net.ipv4.conf.all.forwarding" => "net.ipv4.ip_forward",
                _ => return true,
            };
            self.sysctls.insert(twin.to_owned(), value);
        }
        true
    }

    /// Loads a module and what it needs; false where the kernel has none.
    pub fn modprobe(&mut self, name: &str) -> bool {
        let name = name.replace('-', "_");
        if !MODULES.contains(&name.as_str()) {
            return false;
        }
        match name.as_str() {
            "br_netfilter" => {
                self.modules.extend(["bridge", "stp", "llc"].map(str::to_owned));
            }
            "bridge" => self.modules.extend(["stp", "llc"].map(str::to_owned)),
            n if n.starts_with("ip_vs") => {
                self.modules.extend(["ip_vs", "nf_conntrack"].map(str::to_owned));
            }
            "vxlan" | "geneve" | "wireguard" => {
                self.modules.insert("udp_tunnel".to_owned());
            }
            _ => {}
        }
        self.modules.insert(name);
        true
    }

    /// Content of a file made by the kernel.
    pub(super) fn kernel_file(&self, path: &str, now: i64) -> Option<Vec<u8>> {
        if let Some(rest) = path.strip_prefix("/proc/sys/") {
            if rest == "kernel/random/boot_id" {
                return Some(format!("{}\n", self.boot_id).into_bytes());
            }
            return self.sysctl(&rest.replace('/', ".")).map(|v| format!("{v}\n").into_bytes());
        }
        let uptime = (now - self.booted / 1000).max(0);
        let text = match path {
            "/dev/null" => String::new(),
            "/proc/uptime" => format!("{uptime}.00 {uptime}.00\n"),
            "/proc/loadavg" => "0.00 0.00 0.00 1/100 1000\n".to_owned(),
            "/proc/version" => {
                "Linux version 6.1.0-simulated (grappe) #1 SMP PREEMPT_DYNAMIC simulated\n".to_owned()
            }
            "/proc/cmdline" => {
                "BOOT_IMAGE=/boot/vmlinuz-6.1.0-simulated root=/dev/vda1 ro console=ttyS0\n".to_owned()
            }
            "/proc/1/comm" => "systemd\n".to_owned(),
            "/proc/modules" => {
                self.modules.iter().map(|m| format!("{m} 16384 0 - Live 0x0000000000000000\n")).collect()
            }
            "/proc/swaps" => {
                let mut text = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n".to_owned();
                if self.swap {
                    text.push_str("/swapfile                               file\t\t1048572\t\t0\t\t-2\n");
                }
                text
            }
            "/proc/meminfo" => {
                let kib = u64::from(self.memory_mb) * 1024;
                let swap = if self.swap { 1_048_572 } else { 0 };
                format!(
                    "MemTotal:       {kib:>8} kB\nMemFree:        {free:>8} kB\nMemAvailable:   {free:>8} kB\n\
                     SwapTotal:      {swap:>8} kB\nSwapFree:       {swap:>8} kB\n",
                    free = kib * 3 / 4
                )
            }
            "/proc/cpuinfo" => (0..self.cpus)
                .map(|n| format!("processor\t: {n}\nmodel name\t: Simulated CPU\nflags\t\t: fpu\n\n"))
                .collect(),
            "/proc/filesystems" => {
                let overlay = if self.modules.contains("overlay") { "nodev\toverlay\n" } else { "" };
                format!("nodev\tsysfs\nnodev\ttmpfs\nnodev\tproc\n\text4\n{overlay}")
            }
            "/sys/fs/cgroup/cgroup.controllers" => "cpuset cpu io memory hugetlb pids rdma misc\n".to_owned(),
            "/sys/class/dmi/id/product_uuid" => format!("{}\n", self.files.text("/etc/machine-id").trim()),
            "/sys/class/dmi/id/product_name" => "grappe simulated machine\n".to_owned(),
            _ => return None,
        };
        Some(text.into_bytes())
    }

    /// Whether a path is a folder made by the kernel.
    pub(super) fn kernel_dir(&self, path: &str) -> bool {
        match path {
            "/proc"
            | "/sys"
            | "/dev"
            | "/proc/sys"
            | "/sys/class"
            | "/sys/class/net"
            | "/sys/fs/cgroup"
            | "/run/systemd/system"
            | "/proc/1" => true,
            _ => {
                if let Some(module) = path.strip_prefix("/sys/module/") {
                    return self.modules.contains(module);
                }
                let Some(rest) = path.strip_prefix("/proc/sys/") else { return false };
                let prefix = format!("{}.", rest.replace('/', "."));
                self.existing().any(|(n, _)| n.starts_with(&prefix))
            }
        }
    }
}

/// `net/ipv4/ip_forward` and `net.ipv4.ip_forward` are one name.
pub fn dotted(name: &str) -> String {
    match name.find(['/', '.']) {
        Some(at) if name.as_bytes()[at] == b'/' => name.replace('/', "."),
        _ => name.to_owned(),
    }
}
