//! `kubeadm certs`: how long the certificates of a control plane last, and new ones from the same authorities.
//!
//! A renewal keeps what the old certificate says of its subject and names, as kubeadm's does. Source: cmd/kubeadm/app/phases/certs/renewal,
//! cmd/kubeadm/app/cmd/alpha/certs.go (1.20); the JSON is `output.kubeadm.k8s.io/v1alpha3`, which `-o json` prints from 1.32 on.

use base64::Engine as _;
use serde_json::{Value, json};

use super::{ADMIN_CONF, files, reach, table, trace};
use crate::cluster::der;
use crate::cluster::pki::{self, Request};
use crate::cluster::versions::minor;
use crate::host::Host;
use crate::tools::{Cx, Opts, Status, format_date, rfc3339};

/// A certificate that kubeadm renews.
pub(super) struct Leaf {
    /// kubeadm's name for it.
    pub(super) name: &'static str,
    /// What it is for.
    long: &'static str,
    /// Its authority, as check-expiration shows it; none for those in kubeconfigs before 1.22.
    ca: &'static str,
}

const fn leaf(name: &'static str, long: &'static str, ca: &'static str) -> Leaf {
    Leaf { name, long, ca }
}

/// All of them, in the order in which kubeadm goes through them.
const LEAVES: &[Leaf] = &[
    leaf(
        "admin.conf",
        "certificate embedded in the kubeconfig file for the admin to use and for kubeadm itself",
        "ca",
    ),
    leaf("apiserver", "certificate for serving the Kubernetes API", "ca"),
    leaf("apiserver-etcd-client", "certificate the apiserver uses to access etcd", "etcd-ca"),
    leaf("apiserver-kubelet-client", "certificate for the API server to connect to kubelet", "ca"),
    leaf(
        "controller-manager.conf",
        "certificate embedded in the kubeconfig file for the controller manager to use",
        "ca",
    ),
    leaf("etcd-healthcheck-client", "certificate for liveness probes to healthcheck etcd", "etcd-ca"),
    leaf("etcd-peer", "certificate for etcd nodes to communicate with each other", "etcd-ca"),
    leaf("etcd-server", "certificate for serving etcd", "etcd-ca"),
    leaf("front-proxy-client", "certificate for the front proxy client", "front-proxy-ca"),
    leaf(
        "scheduler.conf",
        "certificate embedded in the kubeconfig file for the scheduler manager to use",
        "ca",
    ),
    leaf("super-admin.conf", "certificate embedded in the kubeconfig file for the super-admin", "ca"),
];

/// Those that a release knows.
fn leaves(version: &str) -> impl Iterator<Item = &'static Leaf> {
    let new = minor(version) >= 29;
    LEAVES.iter().filter(move |l| new || l.name != "super-admin.conf")
}

/// Where below /etc/kubernetes/pki a certificate of this name is.
fn base(name: &str) -> String {
    match name.strip_prefix("etcd-") {
        Some(rest) => format!("etcd/{rest}"),
        None => name.to_owned(),
    }
}

/// What stands behind a field of a kubeconfig, out of base64.
fn field(text: &str, name: &str) -> Option<String> {
    let line = text.lines().find_map(|l| l.trim().strip_prefix(name)?.strip_prefix(": "))?;
    let bytes = base64::engine::general_purpose::STANDARD.decode(line.trim()).ok()?;
    String::from_utf8(bytes).ok()
}

/// A certificate's PEM, on its own or in a kubeconfig.
fn pem(host: &Host, name: &str) -> Option<String> {
    if name.ends_with(".conf") {
        return field(&host.files.text(&format!("/etc/kubernetes/{name}")), "client-certificate-data");
    }
    Some(host.files.text(&format!("/etc/kubernetes/pki/{}.crt", base(name)))).filter(|t| !t.is_empty())
}

/// Makes a certificate anew. False where there is none.
///
/// # Errors
/// Its authority's key is not here, or is damaged.
pub(super) fn renew(host: &mut Host, name: &str, now: i64) -> Result<bool, String> {
    let Some(old) = pem(host, name).and_then(|p| der::certificate(&p)) else { return Ok(false) };
    let ca = LEAVES.iter().find(|l| l.name == name).map_or("ca", |l| l.ca);
    let ca = files::pair(host, &base(ca)).ok_or_else(|| {
        format!("failed to load CA: couldn't load the private key file /etc/kubernetes/pki/{}.key", base(ca))
    })?;
    let (common_name, organisation) =
        (old.subject.0.as_str(), Some(old.subject.1.as_str()).filter(|o| !o.is_empty()));
    let made = pki::issue(&ca, &Request { common_name, organisation, names: &old.names, now })
        .map_err(|e| format!("failed to sign certificate: {e}"))?;
    if !name.ends_with(".conf") {
        files::put_pair(host, &base(name), &made, now);
        return Ok(true);
    }
    let path = format!("/etc/kubernetes/{name}");
    let text: String = host
        .files
        .text(&path)
        .lines()
        .map(|line| match line.split_once("-data: ") {
            Some((head, _)) if head.ends_with("client-certificate") => {
                format!("{head}-data: {}\n", pki::base64(&made.cert))
            }
            Some((head, _)) if head.ends_with("client-key") => {
                format!("{head}-data: {}\n", pki::base64(&made.key))
            }
            _ => format!("{line}\n"),
        })
        .collect();
    host.files.put(&path, text, 0o600, now);
    Ok(true)
}

pub(super) fn run(cx: &mut Cx<'_>, opts: &Opts, words: &[&str]) -> Status {
    match words {
        ["certificate-key"] => {
            cx.out(format!("{}\n", crate::world::model::hex(64)));
            Ok(0)
        }
        ["check-expiration"] => expiration(cx, opts),
        ["renew"] => Err(trace(cx, "missing subcommand; \"renew\" is not meant to be run on its own")),
        ["renew", "all"] => {
            configuration(cx, "renew");
            let version = cx.version.to_owned();
            for leaf in leaves(&version) {
                renew_one(cx, leaf)?;
            }
            cx.out("\nDone renewing certificates. You must restart the kube-apiserver, kube-controller-manager, kube-scheduler and etcd, so that they can use the new certificates.\n");
            Ok(0)
        }
        ["renew", name] => {
            let version = cx.version.to_owned();
            let Some(leaf) = leaves(&version).find(|l| l.name == *name) else {
                return Err(trace(cx, &format!("invalid subcommand \"{name}\"")));
            };
            configuration(cx, "renew");
            renew_one(cx, leaf)?;
            Ok(0)
        }
        _ => Err(cx.unsupported(format!("certs {}", words.join(" ")))),
    }
}

fn renew_one(cx: &mut Cx<'_>, leaf: &Leaf) -> Result<(), i32> {
    match cx.host_mut(|h, now| renew(h, leaf.name, now)) {
        Ok(true) => cx.out(format!("{} renewed\n", leaf.long)),
        Ok(false) => cx.out(format!("MISSING! {}\n", leaf.long)),
        Err(e) => return Err(trace(cx, &e)),
    };
    Ok(())
}

/// The cluster is asked for its configuration; one that does not answer does not stand in the way.
fn configuration(cx: &mut Cx<'_>, prefix: &str) {
    if !cx.host(|h, _| h.files.exists(ADMIN_CONF)) {
        return;
    }
    cx.out(format!("[{prefix}] Reading configuration from the cluster...\n[{prefix}] FYI: You can look at this config file with 'kubectl -n kube-system get cm kubeadm-config -o yaml'\n"));
    match reach(cx, ADMIN_CONF) {
        Ok(_) => cx.out("\n"),
        Err(_) => cx.out(format!("[{prefix}] Error reading configuration from the Cluster. Falling back to default configuration\n\n")),
    };
}

/// `364d`, `9y`
fn residual(seconds: i64) -> String {
    match seconds {
        ..0 => "<invalid>".to_owned(),
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        86_400..31_536_000 => format!("{}d", seconds / 86_400),
        _ => format!("{}y", seconds / 31_536_000),
    }
}

fn expiration(cx: &mut Cx<'_>, opts: &Opts) -> Status {
    let as_json = match opts.value(&["o", "output"]) {
        None | Some("text") => false,
        Some(_) if minor(cx.version) < 32 => return Err(trace(cx, "unknown shorthand flag: 'o' in -o")),
        Some("json") => true,
        Some(other) => return Err(cx.unsupported(format!("output {other}"))),
    };
    if !as_json {
        configuration(cx, "check-expiration");
    }
    let now = cx.sh.state(|s| s.now()) / 1000;
    let end = |cx: &Cx<'_>, name: &str| {
        cx.host(|h, _| pem(h, name).and_then(|p| der::certificate(&p)).map(|c| c.not_after))
    };
    let version = cx.version.to_owned();
    let certificates: Vec<(&str, &str, Option<i64>)> =
        leaves(&version).map(|l| (l.name, l.ca, end(cx, l.name))).collect();
    let authorities: Vec<(&str, Option<i64>)> =
        ["ca", "etcd-ca", "front-proxy-ca"].into_iter().map(|name| (name, end(cx, name))).collect();
    if as_json {
        let entry = |name: &str, end: Option<i64>| match end {
            Some(at) => {
                json!({"name": name, "expirationDate": rfc3339(at * 1000), "residualTime": at - now, "externallyManaged": false})
            }
            None => {
                json!({"name": name, "expirationDate": null, "residualTime": 0, "externallyManaged": false, "missing": true})
            }
        };
        let signed = |(name, ca, end): &(&str, &str, Option<i64>)| {
            let mut value = entry(name, *end);
            if end.is_some() {
                value["caName"] = (*ca).into();
            }
            value
        };
        let all = json!({
            "kind": "CertificateExpirationInfo", "apiVersion": "output.kubeadm.k8s.io/v1alpha3",
            "certificates": certificates.iter().map(signed).collect::<Vec<Value>>(),
            "certificateAuthorities": authorities.iter().map(|(name, end)| entry(name, *end)).collect::<Vec<Value>>(),
        });
        cx.out(format!("{all:#}\n"));
        return Ok(0);
    }
    let date = |at: i64| format_date("%b %d, %Y %H:%M UTC", at);
    let words = |list: &[&str]| list.iter().map(|w| (*w).to_owned()).collect::<Vec<String>>();
    let mut rows = vec![words(&[
        "CERTIFICATE",
        "EXPIRES",
        "RESIDUAL TIME",
        "CERTIFICATE AUTHORITY",
        "EXTERNALLY MANAGED",
    ])];
    for (name, ca, end) in certificates {
        // Those in kubeconfigs have named their authority since 1.22.
        let ca = if name.ends_with(".conf") && minor(&version) < 22 { "" } else { ca };
        rows.push(match end {
            Some(at) => words(&[name, &date(at), &residual(at - now), ca, "no      "]),
            None => words(&[&format!("!MISSING! {name}"), "", "", "", ""]),
        });
    }
    rows.push(Vec::new());
    rows.push(words(&["CERTIFICATE AUTHORITY", "EXPIRES", "RESIDUAL TIME", "EXTERNALLY MANAGED"]));
    for (name, end) in authorities {
        rows.push(match end {
            Some(at) => words(&[name, &date(at), &residual(at - now), "no      "]),
            None => words(&[&format!("!MISSING! {name}"), "", "", ""]),
        });
    }
    let text = table(&rows);
    cx.out(text);
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_as_go_shows_them() {
        assert_eq!(residual(364 * 86_400 + 5), "364d");
        assert_eq!(residual(10 * 365 * 86_400 - 86_400), "9y");
        assert_eq!(residual(-1), "<invalid>");
    }
}
