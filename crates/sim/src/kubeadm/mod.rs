//! kubeadm: init, join, reset, tokens, certificates and images, as the release that is installed does them.
//!
//! What the real one gives up only after minutes of waiting is given up at once here: the simulated clock is everybody's, and another
//! host's patience must not let tokens expire.

mod addons;
mod certs;
mod config;
mod documents;
mod files;
mod init;
mod join;
mod phases;
mod preflight;
mod reset;
mod tokens;
mod upgrade;

use crate::cluster::access::{Access, Kubeconfig};
use crate::cluster::versions;
use crate::tools::{Cx, Opts, Status, getopt};

const ADMIN_CONF: &str = "/etc/kubernetes/admin.conf";

/// Flags of all subcommands; which of them a subcommand looks at is its own affair.
const LONG: &[&str] = &[
    "config=",
    "upload-certs",
    "skip-phases=",
    "ignore-preflight-errors=",
    "node-name=",
    "cri-socket=",
    "apiserver-advertise-address=",
    "apiserver-bind-port=",
    "apiserver-cert-extra-sans=",
    "control-plane-endpoint=",
    "pod-network-cidr=",
    "service-cidr=",
    "service-dns-domain=",
    "kubernetes-version=",
    "token=",
    "token-ttl=",
    "certificate-key=",
    "skip-certificate-key-print",
    "skip-token-print",
    "kubeconfig=",
    "dry-run",
    "image-repository=",
    "feature-gates=",
    "patches=",
    "control-plane",
    "experimental-control-plane",
    "discovery-token=",
    "discovery-token-ca-cert-hash=",
    "discovery-token-unsafe-skip-ca-verification",
    "discovery-file=",
    "tls-bootstrap-token=",
    "force",
    "cert-dir=",
    "cleanup-tmp-dir",
    "ttl=",
    "print-join-command",
    "description=",
    "usages=",
    "groups=",
    "output=",
    "v=",
    "kubeconfig-dir=",
    "rootfs=",
    "help",
    "show-managed-fields",
    "yes",
    "allow-experimental-upgrades",
    "allow-release-candidate-upgrades",
    "certificate-renewal?",
    "etcd-upgrade?",
    "print-config?",
];

/// Runs kubeadm.
pub(crate) fn run(cx: &mut Cx<'_>) -> Status {
    let opts = match getopt(cx.args, "fyo:v:h", LONG) {
        Ok(opts) => opts,
        Err(e) => {
            cx.err(format!(
                "{}\nTo see the stack trace of this error execute with --v=5 or higher\n",
                e.replace("unrecognized option '", "unknown flag: ").trim_end_matches('\'')
            ));
            return Err(1);
        }
    };
    let words: Vec<&str> = opts.rest.iter().map(String::as_str).collect();
    if words.first() != Some(&"version") && !cx.root() {
        cx.err("error execution phase preflight: [preflight] Some fatal errors occurred:\n\t[ERROR IsPrivilegedUser]: user is not running as root\n");
        return Err(2);
    }
    match words.as_slice() {
        ["version"] => version(cx, &opts),
        ["config", "images", operation @ ("list" | "pull")] => images(cx, &opts, *operation == "pull"),
        ["config", "print", ..] => Err(cx.unsupported("config print")),
        ["config", "validate"] => {
            documents::read_file(cx, &opts)?;
            cx.out("ok\n");
            Ok(0)
        }
        ["config", "migrate", ..] => Err(cx.unsupported("config migrate")),
        ["init"] => init::run(cx, &opts),
        ["init", "phase", phase @ ..] => phases::run(cx, &opts, phase),
        ["join", endpoint @ ..] if endpoint.first() != Some(&"phase") => {
            join::run(cx, &opts, endpoint.first().copied())
        }
        ["reset"] => reset::run(cx, &opts),
        ["token", "create", token @ ..] => tokens::create(cx, &opts, token.first().copied()),
        ["token", "list"] => tokens::list(cx, &opts),
        ["token", "delete", ids @ ..] => tokens::delete(cx, &opts, ids),
        ["token", "generate"] => {
            let token = tokens::generate();
            cx.out(format!("{}.{}\n", token.0, token.1));
            Ok(0)
        }
        ["certs", rest @ ..] => certs::run(cx, &opts, rest),
        // Where it was until 1.20, which has it in both places.
        ["alpha", "certs", rest @ ..] if versions::minor(cx.version) <= 20 => certs::run(cx, &opts, rest),
        ["upgrade", rest @ ..] => upgrade::run(cx, &opts, rest),
        _ => {
            cx.err(format!("unknown command \"{}\" for \"kubeadm\" (simulated host)\n", words.join(" ")));
            Err(1)
        }
    }
}

fn version(cx: &mut Cx<'_>, opts: &Opts) -> Status {
    let version = cx.version.to_owned();
    let minor = versions::minor(&version);
    match opts.value(&["o", "output"]) {
        Some("short") => cx.out(format!("v{version}\n")),
        Some("json") => {
            let json = serde_json::json!({"clientVersion": {"major": "1", "minor": minor.to_string(), "gitVersion": format!("v{version}"), "platform": "linux/amd64", "buildDate": "simulated"}});
            cx.out(format!("{json:#}\n"))
        }
        _ => cx.out(format!("kubeadm version: &version.Info{{Major:\"1\", Minor:\"{minor}\", GitVersion:\"v{version}\", GitCommit:\"simulated\", Platform:\"linux/amd64\"}}\n")),
    };
    Ok(0)
}

fn images(cx: &mut Cx<'_>, opts: &Opts, pull: bool) -> Status {
    let (mut version, mut repository) = (None, None);
    if opts.value(&["config"]).is_some() {
        let documents = documents::read_file(cx, opts)?;
        let cluster = documents.cluster();
        version = cluster["kubernetesVersion"].as_str().map(str::to_owned);
        repository = cluster["imageRepository"].as_str().map(str::to_owned);
    }
    let version = opts.value(&["kubernetes-version"]).map(str::to_owned).or(version);
    let repository = opts.value(&["image-repository"]).map(str::to_owned).or(repository);
    let version = config::release(version.as_deref().unwrap_or("stable-1"), cx.version);
    let list = versions::images(&version, repository.as_deref());
    if pull && !cx.host(|h, _| h.cri_enabled()) {
        let text = format!(
            "failed to pull image \"{}\": output: E0101 remote_image.go:180] \"PullImage from image service failed\" err=\"rpc error: code = Unavailable desc = connection error: dial unix /var/run/containerd/containerd.sock: connect: no such file or directory\", error: exit status 1",
            list[0]
        );
        return Err(trace(cx, &text));
    }
    for image in list {
        if pull {
            cx.host_mut(|h, _| h.images.insert(image.clone()));
            cx.out(format!("[config/images] Pulled {image}\n"));
        } else {
            cx.out(format!("{image}\n"));
        }
    }
    Ok(0)
}

/// Prints an error as kubeadm does and gives its status.
fn trace(cx: &mut Cx<'_>, text: &str) -> i32 {
    cx.err(format!("{text}\nTo see the stack trace of this error execute with --v=5 or higher\n"));
    1
}

/// Opens the API with a kubeconfig on this host; what stands in the way, as client-go says it.
fn reach(cx: &mut Cx<'_>, path: &str) -> Result<Access, String> {
    let text = match cx.read(path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(e) => {
            return Err(format!(
                "failed to load admin kubeconfig: open {path}: {}",
                e.to_string().to_lowercase()
            ));
        }
    };
    let machine = cx.sh.machine.clone();
    let access =
        Kubeconfig::parse(&text).and_then(|config| cx.sh.state(|s| s.open_api(&machine, &config)))?;
    cx.sh.state(|s| s.reconcile(&access.cluster));
    Ok(access)
}

/// Opens the API as the admin whose kubeconfig lies on this host.
fn admin(cx: &mut Cx<'_>, opts: &Opts) -> Result<Access, i32> {
    let path =
        opts.value(&["kubeconfig"]).map(str::to_owned).or_else(|| cx.sh.env("KUBECONFIG").map(str::to_owned));
    let path = path.unwrap_or_else(|| ADMIN_CONF.to_owned());
    match reach(cx, &path) {
        Ok(access) if access.is_admin() => Ok(access),
        Ok(access) => Err(trace(
            cx,
            &format!(
                "secrets is forbidden: User \"{}\" cannot create resource \"secrets\" in API group \"\" in the namespace \"kube-system\"",
                access.user
            ),
        )),
        Err(e) => Err(trace(cx, &e)),
    }
}

/// A table as Go's tabwriter sets it for kubeadm: columns of at least ten, three blanks between, each as wide as its block of lines needs.
fn table(rows: &[Vec<String>]) -> String {
    let mut out = String::new();
    for block in rows.split_inclusive(|row| row.is_empty()) {
        let columns = block.iter().map(Vec::len).max().unwrap_or(0);
        let width = |n: usize| block.iter().filter_map(|row| row.get(n)).map(String::len).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(|n| (width(n) + 3).max(10)).collect();
        for row in block {
            for (n, cell) in row.iter().enumerate() {
                match n + 1 == row.len() {
                    true => out.push_str(cell),
                    false => out.push_str(&format!("{cell:<0$}", widths[n])),
                }
            }
            out.push('\n');
        }
    }
    out
}

/// Age of a time stamp, as kubectl shows it.
pub(crate) fn short_age(stamp: &str, now: i64) -> String {
    let part = |at: usize, n: usize| stamp.get(at..at + n).and_then(|t| t.parse::<i64>().ok()).unwrap_or(0);
    let (year, month, day) = (part(0, 4), part(5, 2), part(8, 2));
    let days = crate::tools::days(year, month, day);
    let then = days * 86_400 + part(11, 2) * 3600 + part(14, 2) * 60 + part(17, 2);
    tokens::short((now / 1000 - then).max(0))
}
