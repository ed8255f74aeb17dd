//! containerd's `config.toml`, in the form that each generation wants.
//!
//! | containerd | `version` | where the CRI settings are |
//! |---|---|---|
//! | 1.x | 2 | `plugins."io.containerd.grpc.v1.cri"` |
//! | 2.0–2.2 | 3 | `plugins."io.containerd.cri.v1.runtime"` and `….images` |
//! | 2.3 and later | 4 | the same |
//!
//! containerd migrates older files as it starts, but what it then runs with is not what the file says; and the file a
//! package brings (Debian's) or a missing one lacks `SystemdCgroup`, without which kubelet and runtime account each
//! pod in two cgroup trees. Source: containerd's docs/cri/config.md and RELEASES.md.

use std::fmt::Write as _;

/// A containerd release, as far as its configuration depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// 1 or 2.
    pub major: u32,
    /// The second number.
    pub minor: u32,
}

/// The text holds no containerd version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`containerd --version` answered {0:?}, which names no version")]
pub struct UnknownVersion(String);

/// Where [`config`] goes.
pub const CONFIG_PATH: &str = "/etc/containerd/config.toml";
/// Folder of the registries' files.
pub const REGISTRIES: &str = "/etc/containerd/certs.d";
/// Where [`crictl`] goes.
pub const CRICTL_PATH: &str = "/etc/crictl.yaml";

/// Where images of one registry are pulled from instead: `certs.d/REGISTRY/hosts.toml`. Source: containerd's
/// docs/hosts.md. It is read at each pull, so that a change needs no restart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Registry {
    /// Mirrors, tried in this order before the registry itself.
    pub endpoints: Vec<String>,
    /// What is tried last, if not the registry under its own name.
    pub server: Option<String>,
    /// Path of the CA that signed the mirrors' certificates.
    pub ca: Option<String>,
    /// Whether any certificate of theirs will do.
    pub skip_verify: bool,
    /// Whether their URLs have the API's path (`/v2`) in them, as those of mirrors with a prefix do.
    pub override_path: bool,
}

impl Registry {
    /// One mirror, and nothing else to say.
    pub fn mirror(url: &str) -> Self {
        Self { endpoints: vec![url.into()], ..Self::default() }
    }

    /// The folder of a registry: `docker.io`, `registry.lan:5000`, or `_default` for all that have none.
    pub fn folder(name: &str) -> String {
        format!("{REGISTRIES}/{name}")
    }

    /// `hosts.toml`.
    pub fn hosts_toml(&self) -> String {
        let mut out = String::from("# Written by grappe.\n");
        if let Some(server) = &self.server {
            out.push_str(&format!("server = {}\n", string(server)));
        }
        for url in &self.endpoints {
            out.push_str(&format!("[host.{}]\n  capabilities = [\"pull\", \"resolve\"]\n", string(url)));
            if let Some(ca) = &self.ca {
                out.push_str(&format!("  ca = {}\n", string(ca)));
            }
            for (key, set) in [("skip_verify", self.skip_verify), ("override_path", self.override_path)] {
                if set {
                    out.push_str(&format!("  {key} = true\n"));
                }
            }
        }
        out
    }
}

/// crictl's configuration: without it crictl tries several sockets, and says so each time.
pub fn crictl() -> String {
    "# Written by grappe.\nruntime-endpoint: unix:///run/containerd/containerd.sock\n\
     image-endpoint: unix:///run/containerd/containerd.sock\n"
        .to_owned()
}

/// Whether a process may lower OOM scores, by the `CapBnd:` line of its /proc status: bit 24 is `CAP_SYS_RESOURCE`
/// (capability.h). A machine that lacks it needs `restrict_oom_score_adj`. `None` where the line cannot be read.
pub fn may_lower_oom_scores(status: &str) -> Option<bool> {
    let mask = status.lines().find_map(|line| line.strip_prefix("CapBnd:"))?;
    u64::from_str_radix(mask.trim(), 16).ok().map(|mask| mask >> 24 & 1 == 1)
}

/// What the file sets; everything else keeps containerd's defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The pause image; take the one that `kubeadm config images list` names.
    pub sandbox_image: String,
    /// Whether runc leaves cgroups to systemd. Must agree with the kubelet's `cgroupDriver`.
    pub systemd_cgroup: bool,
    /// Folder of registry mirrors (`hosts.toml` files).
    pub registry_config_path: String,
    /// Folder of the CNI plugins: `/opt/cni/bin`, where `kubernetes-cni` and the network plugins' own images put
    /// them, or `/usr/lib/cni` for Debian's `containernetworking-plugins`.
    pub cni_bin_dir: String,
    /// Whether containers may not get a lower OOM score than containerd itself: needed where the machine lacks
    /// `CAP_SYS_RESOURCE` (containers as machines), or runc fails with "can't get final child's PID from pipe: EOF".
    pub restrict_oom_score_adj: bool,
}

impl Version {
    /// Reads the output of `containerd --version`: `containerd <source> [v]1.7.27[~…] <revision>`.
    ///
    /// # Errors
    /// [`UnknownVersion`] if no word is a version.
    pub fn parse(output: &str) -> Result<Self, UnknownVersion> {
        let version = |word: &str| {
            let mut numbers = word.strip_prefix('v').unwrap_or(word).split(['.', '~', '-', '+']);
            let major = numbers.next()?.parse().ok().filter(|major| (1..100).contains(major))?;
            Some(Self { major, minor: numbers.next()?.parse().ok()? })
        };
        output.split_whitespace().find_map(version).ok_or_else(|| UnknownVersion(output.trim().to_owned()))
    }

    /// The `version` of the file.
    pub fn config_version(self) -> u32 {
        match (self.major, self.minor) {
            (..=1, _) => 2,
            (2, ..=2) => 3,
            _ => 4,
        }
    }
}

impl Settings {
    /// Settings that suit a machine with systemd and upstream's packages.
    pub fn new(sandbox_image: impl Into<String>) -> Self {
        Self {
            sandbox_image: sandbox_image.into(),
            systemd_cgroup: true,
            registry_config_path: REGISTRIES.into(),
            cni_bin_dir: "/opt/cni/bin".into(),
            restrict_oom_score_adj: false,
        }
    }
}

/// The whole `config.toml`, ending in a newline.
pub fn config(version: Version, settings: &Settings) -> String {
    let mut out = String::new();
    write(&mut out, version, settings).expect("writing to a String cannot fail");
    out
}

/// The pause image in a file that [`config`] wrote.
pub fn sandbox_image(config: &str) -> Option<&str> {
    let (_, value) = config
        .lines()
        .filter_map(|line| line.split_once('='))
        .find(|(key, _)| matches!(key.trim(), "sandbox_image" | "sandbox"))?;
    value.trim().strip_prefix('"')?.strip_suffix('"').filter(|image| !image.is_empty())
}

fn write(out: &mut String, version: Version, settings: &Settings) -> std::fmt::Result {
    let old = version.config_version() == 2;
    let runtime = if old { "io.containerd.grpc.v1.cri" } else { "io.containerd.cri.v1.runtime" };
    let images = if old { "io.containerd.grpc.v1.cri" } else { "io.containerd.cri.v1.images" };
    let bin_dir = string(&settings.cni_bin_dir);
    writeln!(out, "# Written by grappe: changes made here are undone by the next apply.")?;
    writeln!(out, "version = {}", version.config_version())?;
    writeln!(out, "\n[plugins.{runtime:?}]")?;
    writeln!(out, "  restrict_oom_score_adj = {}", settings.restrict_oom_score_adj)?;
    if old {
        writeln!(out, "  sandbox_image = {}", string(&settings.sandbox_image))?;
    }
    writeln!(out, "\n[plugins.{runtime:?}.cni]")?;
    // `bin_dirs` came with 2.1; 2.4 drops `bin_dir`.
    if version >= (Version { major: 2, minor: 1 }) {
        writeln!(out, "  bin_dirs = [{bin_dir}]")?;
    } else {
        writeln!(out, "  bin_dir = {bin_dir}")?;
    }
    writeln!(out, "  conf_dir = \"/etc/cni/net.d\"")?;
    writeln!(out, "\n[plugins.{runtime:?}.containerd.runtimes.runc]")?;
    writeln!(out, "  runtime_type = \"io.containerd.runc.v2\"")?;
    writeln!(out, "\n[plugins.{runtime:?}.containerd.runtimes.runc.options]")?;
    writeln!(out, "  SystemdCgroup = {}", settings.systemd_cgroup)?;
    if !old {
        writeln!(out, "\n[plugins.{images:?}.pinned_images]")?;
        writeln!(out, "  sandbox = {}", string(&settings.sandbox_image))?;
    }
    writeln!(out, "\n[plugins.{images:?}.registry]")?;
    writeln!(out, "  config_path = {}", string(&settings.registry_config_path))
}

/// A TOML basic string.
fn string(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_what_packages_print() {
        for (output, major, minor) in [
            ("containerd github.com/containerd/containerd 1.6.20~ds1 1.6.20~ds1-1+deb12u1", 1, 6),
            ("containerd containerd.io 1.7.27 05044ec0a9a75232cad458027ca83437aae3f4da", 1, 7),
            (
                "containerd github.com/containerd/containerd/v2 v2.1.4 75cb2b7193e4e490e9fbdc236c0e811ccaba3376",
                2,
                1,
            ),
            ("containerd github.com/containerd/containerd/v2 v2.3.0-rc.1 abc", 2, 3),
        ] {
            assert_eq!(Version::parse(output), Ok(Version { major, minor }), "{output}");
        }
        assert!(Version::parse("sh: containerd: not found").is_err());
    }

    #[test]
    fn each_generation_has_its_version() {
        let of = |major, minor| Version { major, minor }.config_version();
        assert_eq!([of(1, 6), of(1, 7), of(2, 0), of(2, 2), of(2, 3), of(3, 0)], [2, 2, 3, 3, 4, 4]);
    }

    #[test]
    fn the_file_of_1_7() {
        insta::assert_snapshot!(config(
            Version { major: 1, minor: 7 },
            &Settings::new("registry.k8s.io/pause:3.9")
        ));
    }

    #[test]
    fn the_file_of_2_0() {
        insta::assert_snapshot!(config(
            Version { major: 2, minor: 0 },
            &Settings::new("registry.k8s.io/pause:3.10")
        ));
    }

    #[test]
    fn the_file_of_2_3() {
        let settings =
            Settings { restrict_oom_score_adj: true, ..Settings::new("registry.k8s.io/pause:3.10") };
        insta::assert_snapshot!(config(Version { major: 2, minor: 3 }, &settings));
    }

    #[test]
    fn registries_have_their_mirrors_in_order() {
        assert_eq!(
            Registry::mirror("http://10.0.0.1:5000").hosts_toml(),
            "# Written by grappe.\n[host.\"http://10.0.0.1:5000\"]\n  capabilities = [\"pull\", \"resolve\"]\n"
        );
        let registry = Registry {
            endpoints: vec!["https://a.lan/v2/hub".into(), "https://b.lan".into()],
            server: Some("https://registry-1.docker.io".into()),
            ca: Some("/etc/ssl/lan.pem".into()),
            skip_verify: false,
            override_path: true,
        };
        insta::assert_snapshot!(registry.hosts_toml(), @r#"
        # Written by grappe.
        server = "https://registry-1.docker.io"
        [host."https://a.lan/v2/hub"]
          capabilities = ["pull", "resolve"]
          ca = "/etc/ssl/lan.pem"
          override_path = true
        [host."https://b.lan"]
          capabilities = ["pull", "resolve"]
          ca = "/etc/ssl/lan.pem"
          override_path = true
        "#);
    }

    #[test]
    fn the_24th_capability_tells() {
        let of = |mask: &str| may_lower_oom_scores(&format!("Name:\tsh\nCapBnd:\t{mask}\n"));
        assert_eq!(of("000001ffffffffff"), Some(true));
        assert_eq!(of("000001fffeffffff"), Some(false));
        assert_eq!(may_lower_oom_scores(""), None);
    }

    #[test]
    fn the_pause_image_is_found_again() {
        for (major, minor) in [(1, 7), (2, 0), (2, 3)] {
            let text = config(Version { major, minor }, &Settings::new("registry.k8s.io/pause:3.9"));
            assert_eq!(sandbox_image(&text), Some("registry.k8s.io/pause:3.9"));
        }
        assert_eq!(sandbox_image("version = 2\n"), None);
    }

    #[test]
    fn strings_are_escaped() {
        assert_eq!(string("a\"b\\c\n"), r#""a\"b\\c\u000A""#);
    }
}
