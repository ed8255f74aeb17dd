//! HTTP proxies: the files that make package managers, containerd and the kubelet go through one.
//!
//! Their URLs may hold a password: the files are for root only.

use std::fmt;

use super::WRITTEN;

/// Where [`Proxy::apt`] goes.
pub const APT_PATH: &str = "/etc/apt/apt.conf.d/95grappe-proxy";
/// dnf's main configuration, which [`Proxy::in_main`] edits.
pub const DNF_PATH: &str = "/etc/dnf/dnf.conf";
/// tdnf's.
pub const TDNF_PATH: &str = "/etc/tdnf/tdnf.conf";
/// Units that get [`Proxy::systemd`], as a drop-in.
pub const UNITS: [&str; 2] = ["containerd", "kubelet"];

/// Where a unit's drop-in goes.
pub fn unit_path(unit: &str) -> String {
    format!("/etc/systemd/system/{unit}.service.d/90-grappe-proxy.conf")
}

/// The way out of the machine's network.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Proxy {
    /// For `http://`: `http://[user:password@]host:port`.
    pub http: Option<String>,
    /// For `https://`.
    pub https: Option<String>,
    /// Names, suffixes, addresses and networks that are reached without it.
    pub no_proxy: Vec<String>,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Proxy(sensitive)")
    }
}

/// What never goes through a proxy: the machine itself, and what only cluster DNS knows.
const OWN: [&str; 4] = ["localhost", "127.0.0.0/8", ".svc", ".cluster.local"];

impl Proxy {
    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.http.is_none() && self.https.is_none()
    }

    /// All that is reached without it.
    pub fn exceptions(&self) -> String {
        let given = self.no_proxy.iter().map(String::as_str).filter(|name| !OWN.contains(name));
        OWN.into_iter().chain(given).collect::<Vec<_>>().join(",")
    }

    /// apt's file: apt.conf(5).
    pub fn apt(&self) -> String {
        let mut text = format!("// {}.\n", WRITTEN.trim_start_matches("# "));
        for (scheme, url) in [("http", &self.http), ("https", &self.https)] {
            if let Some(url) = url {
                text.push_str(&format!("Acquire::{scheme}::Proxy {};\n", quoted(url)));
            }
        }
        for host in self.no_proxy.iter().filter(|host| is_host(host)) {
            text.push_str(&format!("Acquire::http::Proxy::{host} \"DIRECT\";\n"));
            text.push_str(&format!("Acquire::https::Proxy::{host} \"DIRECT\";\n"));
        }
        text
    }

    /// The drop-in of a unit: systemd.exec(5). A `%` is doubled, since systemd expands it.
    pub fn systemd(&self) -> String {
        let mut text = format!("{WRITTEN}.\n[Service]\n");
        let exceptions = Some(self.exceptions());
        for (name, value) in
            [("HTTP_PROXY", &self.http), ("HTTPS_PROXY", &self.https), ("NO_PROXY", &exceptions)]
        {
            if let Some(value) = value {
                text.push_str(&format!(
                    "Environment={}\n",
                    quoted(&format!("{name}={value}").replace('%', "%%"))
                ));
            }
        }
        text
    }

    /// dnf's or tdnf's main configuration with the proxy in its `[main]` section; without one where this is empty. What
    /// else is there stays.
    pub fn in_main(&self, conf: &str) -> String {
        let mut out: String = without(conf);
        if let Some(url) = self.https.as_ref().or(self.http.as_ref()) {
            let ours = format!("{BEGIN}\nproxy={url}\n{END}\n");
            match out.find("[main]").and_then(|at| out[at..].find('\n').map(|end| at + end + 1)) {
                Some(at) => out.insert_str(at, &ours),
                None => out = format!("[main]\n{ours}{out}"),
            }
        }
        out
    }
}

const BEGIN: &str = "# Written by grappe: begin";
const END: &str = "# Written by grappe: end";

fn without(conf: &str) -> String {
    let mut inside = false;
    let keep = |line: &&str| {
        let (begins, ends) = (line.trim() == BEGIN, line.trim() == END);
        inside = (inside || begins) && !ends;
        !(inside || ends)
    };
    conf.split_inclusive('\n').filter(keep).collect()
}

/// apt matches hosts only, neither suffixes nor networks.
fn is_host(name: &str) -> bool {
    !name.starts_with('.') && !name.contains('/') && !name.contains('*') && !name.contains(':')
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy() -> Proxy {
        Proxy {
            http: Some("http://me:p%40ss@proxy.lan:3128".into()),
            https: Some("http://me:p%40ss@proxy.lan:3128".into()),
            no_proxy: vec!["10.0.0.0/16".into(), "mirror.lan".into(), ".svc".into()],
        }
    }

    #[test]
    fn each_program_gets_its_words() {
        insta::assert_snapshot!(proxy().apt(), @r#"
        // Written by grappe.
        Acquire::http::Proxy "http://me:p%40ss@proxy.lan:3128";
        Acquire::https::Proxy "http://me:p%40ss@proxy.lan:3128";
        Acquire::http::Proxy::mirror.lan "DIRECT";
        Acquire::https::Proxy::mirror.lan "DIRECT";
        "#);
        insta::assert_snapshot!(proxy().systemd(), @r#"
        # Written by grappe.
        [Service]
        Environment="HTTP_PROXY=http://me:p%%40ss@proxy.lan:3128"
        Environment="HTTPS_PROXY=http://me:p%%40ss@proxy.lan:3128"
        Environment="NO_PROXY=localhost,127.0.0.0/8,.svc,.cluster.local,10.0.0.0/16,mirror.lan"
        "#);
        assert_eq!(format!("{:?}", proxy()), "Proxy(sensitive)");
    }

    #[test]
    fn a_main_configuration_keeps_the_rest() {
        let conf = "[main]\ngpgcheck=1\ninstallonly_limit=3\n[other]\nx=1\n";
        let with = proxy().in_main(conf);
        assert!(with.starts_with("[main]\n# Written by grappe: begin\nproxy=http://me:"), "{with}");
        assert_eq!(proxy().in_main(&with), with, "twice is as once");
        assert_eq!(Proxy::default().in_main(&with), conf);
    }
}
