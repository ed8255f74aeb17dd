//! What is worth knowing of a machine, asked for with tools that every Linux has.

use serde::{Deserialize, Serialize};

/// Facts of a machine. Empty or zero where the machine does not say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Facts {
    /// Its own name (`uname -n`).
    pub hostname: String,
    /// `ID` of os-release: `debian`, `ubuntu`, `rhel`, `photon`.
    pub os_id: String,
    /// `VERSION_ID` of os-release: `12`, `24.04`.
    pub os_version: String,
    /// Release of the running kernel.
    pub kernel: String,
    /// As the kernel calls it: `x86_64`, `aarch64`.
    pub arch: String,
    /// Processors.
    pub cpus: u32,
    /// Memory that the kernel manages, in MiB.
    pub memory_mb: u64,
}

/// Prints what [`parse`] reads. `|| true`: a machine without one of them is still a machine.
pub(crate) const SCRIPT: &str = "\
echo \"hostname=$(uname -n)\"
echo \"kernel=$(uname -r)\"
echo \"arch=$(uname -m)\"
echo \"cpus=$(nproc)\"
grep MemTotal: /proc/meminfo
cat /etc/os-release 2>/dev/null || true";

pub(crate) fn parse(text: &str) -> Facts {
    let mut facts = Facts::default();
    for line in text.lines() {
        if let Some(memory) = line.strip_prefix("MemTotal:") {
            // In kB, which are KiB.
            let kib = memory.split_whitespace().next().and_then(|number| number.parse::<u64>().ok());
            facts.memory_mb = kib.unwrap_or_default() / 1024;
        }
        let Some((key, value)) = line.split_once('=') else { continue };
        let value = value.trim().trim_matches(['"', '\'']).to_owned();
        match key {
            "hostname" => facts.hostname = value,
            "kernel" => facts.kernel = value,
            "arch" => facts.arch = value,
            "cpus" => facts.cpus = value.parse().unwrap_or_default(),
            "ID" => facts.os_id = value,
            "VERSION_ID" => facts.os_version = value,
            _ => {}
        }
    }
    facts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_debian_machine() {
        let text = "hostname=cp1\nkernel=6.1.0-28-cloud-amd64\narch=x86_64\ncpus=2\n\
                    MemTotal:        2014332 kB\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=\"Debian GNU/Linux\"\n\
                    VERSION_ID=\"12\"\nVERSION=\"12 (bookworm)\"\nID=debian\nHOME_URL=\"https://www.debian.org/\"\n";
        let facts = parse(text);
        assert_eq!((facts.os_id.as_str(), facts.os_version.as_str()), ("debian", "12"));
        assert_eq!((facts.hostname.as_str(), facts.kernel.as_str()), ("cp1", "6.1.0-28-cloud-amd64"));
        assert_eq!((facts.cpus, facts.memory_mb), (2, 1967));
        assert_eq!(parse(""), Facts::default());
    }
}
