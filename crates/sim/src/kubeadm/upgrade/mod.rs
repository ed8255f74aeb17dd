//! `kubeadm upgrade`: plan, apply, node.
//!
//! Words and order are those of kubeadm 1.20 (cmd/kubeadm/app/cmd/upgrade); what later releases do otherwise, and a cluster shows afterwards,
//! is done by release: the kubelets' skew and the addons that wait for the last control plane (1.28), the labels and taints of control planes
//! (1.24, 1.25). Not simulated: `diff`, `--config`, patches, single phases, and a rollback after a new release that does not come up.

mod health;
mod policy;
pub(super) mod static_pods;

use serde_json::{Value, json};

use self::policy::Versions;
use super::config::{self, Node, Settings, api_version, release};
use super::init::{kubelet_map, upload_config};
use super::{ADMIN_CONF, addons, files, join, reach, table, trace};
use crate::cluster::kinds::known;
use crate::cluster::versions::{companions, minor};
use crate::tools::{Cx, Opts, Status};
use crate::world::State;

pub(super) fn run(cx: &mut Cx<'_>, opts: &Opts, words: &[&str]) -> Status {
    if opts.has(&["config", "patches"]) {
        return Err(cx.unsupported("upgrade with --config or --patches"));
    }
    match words {
        ["apply", versions @ ..] => apply(cx, opts, versions),
        ["node"] => node(cx, opts),
        ["plan", versions @ ..] => plan(cx, opts, versions),
        _ => Err(cx.unsupported(format!("upgrade {}", words.join(" ")))),
    }
}

/// `--flag`, `--flag=false`
fn flag(opts: &Opts, name: &str) -> bool {
    opts.value(&[name]) != Some("false")
}

fn configuration(cx: &mut Cx<'_>, prefix: &str) {
    cx.out(format!("[{prefix}] Reading configuration from the cluster...\n[{prefix}] FYI: You can look at this config file with 'kubectl -n kube-system get cm kubeadm-config -o yaml'\n"));
}

/// What apply and plan ask of a cluster. Gives its id, and the release of the API server that answered.
fn requirements(cx: &mut Cx<'_>, opts: &Opts) -> Result<(String, String), i32> {
    let path = opts.value(&["kubeconfig"]).unwrap_or(ADMIN_CONF).to_owned();
    let access = reach(cx, &path)
        .map_err(|e| trace(cx, &format!("couldn't create a Kubernetes client from file \"{path}\": {e}")))?;
    let id = access.cluster;
    cx.out("[upgrade/config] Making sure the configuration is correct:\n");
    configuration(cx, "upgrade/config");
    let there = cx.sh.state(|s| {
        let maps = s
            .clusters
            .get(&id)
            .map(|c| c.objects.get("ConfigMap", "kube-system", "kubeadm-config").is_some());
        maps.unwrap_or(false)
    });
    if !there {
        cx.out("[upgrade/config] In order to upgrade, a ConfigMap called \"kubeadm-config\" in the kube-system namespace must exist.\n[upgrade/config] Without this information, 'kubeadm upgrade' won't know how to configure your upgraded cluster.\n");
        return Err(trace(
            cx,
            "[upgrade/config] FATAL: the ConfigMap \"kubeadm-config\" in the kube-system namespace used for getting configuration information was not found",
        ));
    }
    cx.out("[preflight] Running pre-flight checks.\n[upgrade] Running cluster health checks\n");
    let ignored: Vec<String> = opts
        .values(&["ignore-preflight-errors"])
        .iter()
        .flat_map(|v| v.split(','))
        .map(str::to_lowercase)
        .collect();
    let (waived, fatal): (Vec<_>, Vec<_>) = health::check(cx, &id)
        .into_iter()
        .partition(|(check, _)| ignored.iter().any(|i| i == "all" || *i == check.to_lowercase()));
    for (check, text) in waived {
        cx.err(format!("\t[WARNING {check}]: {text}\n"));
    }
    if !fatal.is_empty() {
        let list: String = fatal.iter().map(|(check, text)| format!("\t[ERROR {check}]: {text}\n")).collect();
        return Err(trace(
            cx,
            &format!(
                "[upgrade/health] FATAL: [preflight] Some fatal errors occurred:\n{list}[preflight] If you know what you are doing, you can make a check non-fatal with `--ignore-preflight-errors=...`"
            ),
        ));
    }
    let version = cx.sh.state(|s| s.server_version(&access.server));
    Ok((id, version))
}

fn versions(cx: &Cx<'_>, id: &str, cluster: String) -> Versions {
    let kubelets = cx.sh.state(|s| {
        let nodes = s.clusters.get(id).map(|c| c.objects.list("Node", None).cloned().collect::<Vec<Value>>());
        let kubelet = |n: &Value| {
            n["status"]["nodeInfo"]["kubeletVersion"].as_str().map(|v| v.trim_start_matches('v').to_owned())
        };
        nodes.unwrap_or_default().iter().filter_map(kubelet).collect()
    });
    Versions { cluster, kubeadm: cx.version.to_owned(), kubelets }
}

fn apply(cx: &mut Cx<'_>, opts: &Opts, words: &[&str]) -> Status {
    let (id, running) = requirements(cx, opts)?;
    let target = match words {
        [] => return Err(trace(cx, "missing one or more required arguments. Required arguments: [version]")),
        [word] => release(word, cx.version),
        _ => return Err(trace(cx, "too many arguments. Required arguments: [version]")),
    };
    if policy::numbers(&target).is_none() {
        return Err(cx.unsupported(format!("upgrade to {target}, which is no release")));
    }
    let found = versions(cx, &id, running);
    cx.out(format!(
        "[upgrade/version] You have chosen to change the cluster version to \"v{target}\"\n[upgrade/versions] Cluster version: v{}\n[upgrade/versions] kubeadm version: v{}\n",
        found.cluster, found.kubeadm
    ));
    let errors = policy::judge(&target, &found);
    let list = |errors: &[String]| errors.iter().map(|e| format!("\t- {e}\n")).collect::<String>();
    if !errors.mandatory.is_empty() {
        return Err(trace(
            cx,
            &format!(
                "[upgrade/version] FATAL: the --version argument is invalid due to these fatal errors:\n\n{}\nPlease fix the misalignments highlighted above and try upgrading again",
                list(&errors.mandatory)
            ),
        ));
    }
    let force = opts.has(&["f", "force"]);
    if !errors.skippable.is_empty() && !force {
        return Err(trace(
            cx,
            &format!(
                "[upgrade/version] FATAL: the --version argument is invalid due to these errors:\n\n{}\nCan be bypassed if you pass the --force flag",
                list(&errors.skippable)
            ),
        ));
    }
    if !errors.skippable.is_empty() {
        cx.out(format!("[upgrade/version] Found {} potential version compatibility errors but skipping since the --force flag is set: \n\n{}", errors.skippable.len(), list(&errors.skippable)));
    }
    let dry = opts.has(&["dry-run"]);
    if !opts.has(&["y", "yes"]) && !force && !dry {
        cx.out("[upgrade/confirm] Are you sure you want to proceed with the upgrade? [y/N]: ");
        let answer = cx.io.read_line().map(|(l, _)| String::from_utf8_lossy(&l).trim().to_lowercase());
        if !matches!(answer.as_deref(), Some("y" | "yes")) {
            return Err(trace(cx, "won't proceed; the user didn't answer (Y|y) in order to continue"));
        }
    }
    if dry {
        cx.out(format!("[upgrade/prepull] Would pull the required images (like 'kubeadm config images pull')\n[upgrade/apply] Upgrading your Static Pod-hosted control plane to version \"v{target}\"...\n[dryrun] Finished dryrunning successfully!\n"));
        return Ok(0);
    }
    cx.out("[upgrade/prepull] Pulling images required for setting up a Kubernetes cluster\n[upgrade/prepull] This might take a minute or two, depending on the speed of your internet connection\n[upgrade/prepull] You can also perform this action in beforehand using 'kubeadm config images pull'\n");
    let settings = settings(cx, &id, &target)?;
    pull(cx, &settings)?;
    cx.out(format!(
        "[upgrade/apply] Upgrading your Static Pod-hosted control plane to version \"v{target}\"...\n"
    ));
    let (etcd, renew) = (flag(opts, "etcd-upgrade"), flag(opts, "certificate-renewal"));
    static_pods::run(cx, &id, &settings, etcd, renew)
        .map_err(|e| trace(cx, &format!("[upgrade/apply] FATAL: {e}")))?;
    cx.sh.state(|s| marks(s, &id, minor(&target)));
    finish(cx, &id, &settings);
    cx.out(format!("\n[upgrade/successful] SUCCESS! Your cluster was upgraded to \"v{target}\". Enjoy!\n\n[upgrade/kubelet] Now that your control plane is upgraded, please proceed with upgrading your kubelets if you haven't already done so.\n"));
    Ok(0)
}

fn node(cx: &mut Cx<'_>, opts: &Opts) -> Status {
    let path = opts.value(&["kubeconfig"]).unwrap_or("/etc/kubernetes/kubelet.conf").to_owned();
    let control_plane = cx.host(|h, _| h.files.exists("/etc/kubernetes/manifests/kube-apiserver.yaml"));
    if !cx.host(|h, _| h.files.exists(&path)) {
        return Err(trace(
            cx,
            &format!(
                "couldn't create a Kubernetes client from file \"{path}\": failed to load admin kubeconfig: open {path}: no such file or directory"
            ),
        ));
    }
    configuration(cx, "upgrade");
    let fetch = "unable to fetch the kubeadm-config ConfigMap: ";
    let access = reach(cx, &path).map_err(|e| trace(cx, &format!("{fetch}failed to get config map: {e}")))?;
    let id = access.cluster;
    let stored = cx
        .sh
        .state(|s| s.clusters.get(&id).map(|c| (c.version.clone(), c.configuration["apiVersion"].clone())));
    let (version, api) = stored.unwrap_or_default();
    let own = minor(cx.version);
    let api = api.as_str().unwrap_or_default().to_owned();
    if api.as_str() > api_version(own) {
        return Err(trace(
            cx,
            &format!(
                "{fetch}failed to decode cluster configuration data: no kind \"ClusterConfiguration\" is registered for version \"{api}\" in scheme \"k8s.io/kubernetes/cmd/kubeadm/app/apis/kubeadm/scheme/scheme.go:31\""
            ),
        ));
    }
    if minor(&version) + 1 < own {
        return Err(trace(
            cx,
            &format!(
                "{fetch}this version of kubeadm only supports deploying clusters with the control plane version >= 1.{}.0. Current version: v{version}",
                own - 1
            ),
        ));
    }
    let settings = settings(cx, &id, &version)?;
    cx.out("[preflight] Running pre-flight checks\n");
    if opts.has(&["dry-run"]) {
        cx.out("[dryrun] Finished dryrunning successfully!\n");
        return Ok(0);
    }
    if control_plane {
        cx.out("[preflight] Pulling images required for setting up a Kubernetes cluster\n[preflight] This might take a minute or two, depending on the speed of your internet connection\n[preflight] You can also perform this action in beforehand using 'kubeadm config images pull'\n");
        pull(cx, &settings)?;
        cx.out(format!(
            "[upgrade] Upgrading your Static Pod-hosted control plane instance to version \"v{version}\"...\n"
        ));
        let (etcd, renew) = (flag(opts, "etcd-upgrade"), flag(opts, "certificate-renewal"));
        static_pods::run(cx, &id, &settings, etcd, renew).map_err(|e| {
            trace(
                cx,
                &format!(
                    "error execution phase control-plane: couldn't complete the static pod upgrade: {e}"
                ),
            )
        })?;
        cx.out("[upgrade] The control plane instance for this node was successfully updated!\n");
        if minor(&version) >= 28 {
            renew_addons(cx, &id, &settings);
        }
    } else {
        cx.out("[preflight] Skipping prepull. Not a control plane node.\n[upgrade] Skipping phase. Not a control plane node.\n");
    }
    write_kubelet(cx, &settings);
    cx.out("[upgrade] The configuration for this node was successfully updated!\n[upgrade] Now you should go ahead and upgrade the kubelet package using your package manager.\n");
    cx.sh.state(|s| s.reconcile(&id));
    Ok(0)
}

/// The cluster's settings of a release, as this node has them.
fn settings(cx: &mut Cx<'_>, id: &str, version: &str) -> Result<Settings, i32> {
    let Some(cluster) = cx.sh.state(|s| s.clusters.get(id).cloned()) else {
        return Err(trace(cx, "the cluster is gone"));
    };
    let here = config::node(cx, &Opts::default(), &json!({}), &json!({}))?;
    let (name, manifest) = cx.host(|h, _| {
        (
            h.node.as_ref().map(|n| n.name.clone()),
            h.files.text("/etc/kubernetes/manifests/kube-apiserver.yaml"),
        )
    });
    let argument = |name: &str| manifest.lines().find_map(|l| l.trim().strip_prefix(&format!("- --{name}=")));
    let node = Node {
        name: name.unwrap_or(here.name.clone()),
        address: argument("advertise-address").and_then(|a| a.parse().ok()).unwrap_or(here.address),
        port: argument("secure-port").and_then(|p| p.parse().ok()).unwrap_or(here.port),
        ..here
    };
    let mut settings = join::of_cluster(&cluster, node, Vec::new());
    settings.version = version.to_owned();
    settings.cluster = config::rewritten(&cluster.configuration, version);
    Ok(settings)
}

fn pull(cx: &mut Cx<'_>, settings: &Settings) -> Result<(), i32> {
    let images =
        crate::cluster::versions::images(&settings.version, settings.cluster["imageRepository"].as_str());
    if !cx.host(|h, _| h.cri_enabled()) {
        let list: String = images.iter().map(|i| format!("\t[ERROR ImagePull]: failed to pull image {i}: output: connection error: desc = \"transport: error while dialing: dial unix /var/run/containerd/containerd.sock: connect: no such file or directory\", error: exit status 1\n")).collect();
        return Err(trace(
            cx,
            &format!(
                "[preflight] Some fatal errors occurred:\n{list}[preflight] If you know what you are doing, you can make a check non-fatal with `--ignore-preflight-errors=...`"
            ),
        ));
    }
    cx.host_mut(|h, _| h.images.extend(images));
    Ok(())
}

fn write_kubelet(cx: &mut Cx<'_>, settings: &Settings) {
    cx.host_mut(|h, now| files::kubelet_config(h, &settings.kubelet, now));
    cx.out("[kubelet-start] Writing kubelet configuration to file \"/var/lib/kubelet/config.yaml\"\n");
}

/// What apply does once the static pods of its node run: configuration, addons.
fn finish(cx: &mut Cx<'_>, id: &str, settings: &Settings) {
    cx.sh.state(|s| {
        if let Some(cluster) = s.clusters.get_mut(id) {
            cluster.version = settings.version.clone();
        }
        upload_config(s, id, settings);
    });
    let map = kubelet_map(minor(&settings.version));
    cx.out(format!("[upload-config] Storing the configuration used in ConfigMap \"kubeadm-config\" in the \"kube-system\" Namespace\n[kubelet] Creating a ConfigMap \"{map}\" in namespace kube-system with the configuration for the kubelets in the cluster\n"));
    write_kubelet(cx, settings);
    cx.out("[bootstrap-token] configured RBAC rules to allow Node Bootstrap tokens to get nodes\n[bootstrap-token] configured RBAC rules to allow Node Bootstrap tokens to post CSRs in order for nodes to get long term certificate credentials\n[bootstrap-token] configured RBAC rules to allow the csrapprover controller automatically approve CSRs from a Node Bootstrap Token\n[bootstrap-token] configured RBAC rules to allow certificate rotation for all node client certificates in the cluster\n");
    renew_addons(cx, id, settings);
    cx.sh.state(|s| s.reconcile(id));
}

/// Brings the addons that were installed to the settings' release; from 1.28 on only once all control planes are there.
fn renew_addons(cx: &mut Cx<'_>, id: &str, settings: &Settings) {
    if minor(&settings.version) >= 28 {
        let image = format!("/kube-apiserver:v{}", settings.version);
        let behind: Vec<String> = cx.sh.state(|s| {
            let pods = s
                .clusters
                .get(id)
                .map(|c| c.objects.list("Pod", Some("kube-system")).cloned().collect::<Vec<_>>());
            let servers = pods
                .unwrap_or_default()
                .into_iter()
                .filter(|p| p["metadata"]["labels"]["component"] == "kube-apiserver");
            servers
                .filter(|p| {
                    !p["spec"]["containers"][0]["image"].as_str().unwrap_or_default().ends_with(&image)
                })
                .map(|p| p["spec"]["nodeName"].as_str().unwrap_or_default().to_owned())
                .collect()
        });
        if !behind.is_empty() {
            cx.out(format!("[upgrade/addons] skip upgrade addons because control plane instances [{}] have not been upgraded\n", behind.join(" ")));
            return;
        }
    }
    for (name, shown) in [(addons::COREDNS, "CoreDNS"), (addons::KUBE_PROXY, "kube-proxy")] {
        let there = cx.sh.state(|s| {
            s.clusters.get(id).is_some_and(|c| c.objects.get("ConfigMap", "kube-system", name).is_some())
        });
        if there {
            cx.sh.state(|s| addons::apply(s, id, settings, name));
            cx.out(format!("[addons] Applied essential addon: {shown}\n"));
        } else {
            cx.err(format!("W0101 00:00:00.000000    4242 postupgrade.go] the ConfigMap \"{name}\" in the namespace \"kube-system\" was not found. Assuming that {shown} was not deployed for this cluster.\n"));
        }
    }
}

/// The labels and taints of control planes, as the releases changed them: 1.20 gave the second label, 1.24 took the first and gave the second
/// taint, 1.25 took the first taint.
fn marks(s: &mut State, id: &str, minor: u32) {
    const MASTER: &str = "node-role.kubernetes.io/master";
    const PLANE: &str = "node-role.kubernetes.io/control-plane";
    let Some(cluster) = s.clusters.get_mut(id) else { return };
    let nodes: Vec<Value> = cluster.objects.list("Node", None).cloned().collect();
    for old in nodes {
        let mut node = old.clone();
        let labels = &mut node["metadata"]["labels"];
        if !(labels[MASTER].is_string() || labels[PLANE].is_string()) {
            continue;
        }
        if minor >= 20 {
            labels[PLANE] = "".into();
        }
        if minor >= 24 {
            labels.as_object_mut().map(|l| l.shift_remove(MASTER));
        }
        let taint = |key: &str| json!({"key": key, "effect": "NoSchedule"});
        if let Some(taints) = node["spec"]["taints"].as_array_mut() {
            let master = taints.iter().any(|t| *t == taint(MASTER));
            if minor == 24 && master && !taints.iter().any(|t| *t == taint(PLANE)) {
                taints.push(taint(PLANE));
            }
            if minor >= 25 {
                taints.retain(|t| *t != taint(MASTER));
            }
        }
        if node != old {
            let name = old["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            cluster.replace(&known("Node"), "", &name, &old, node);
        }
    }
}

fn plan(cx: &mut Cx<'_>, opts: &Opts, words: &[&str]) -> Status {
    let (id, running) = requirements(cx, opts)?;
    let own = cx.version.to_owned();
    cx.out(format!("[upgrade] Fetching available versions to upgrade to\n[upgrade/versions] Cluster version: v{running}\n[upgrade/versions] kubeadm version: v{own}\n"));
    let target = match words {
        [] => {
            cx.err("W0101 00:00:00.000000    4242 version.go] could not fetch a Kubernetes version from the internet: unable to get URL \"https://dl.k8s.io/release/stable.txt\": no such host (a simulated host reaches no Internet)\n");
            own.clone()
        }
        [word] => release(word, &own),
        _ => return Err(trace(cx, "too many arguments")),
    };
    cx.out(format!("[upgrade/versions] Latest stable version: v{target}\n\n"));
    if policy::numbers(&target) <= policy::numbers(&running) {
        return Ok(0);
    }
    let mut kubelets: std::collections::BTreeMap<String, usize> = Default::default();
    for version in versions(cx, &id, running.clone()).kubelets {
        *kubelets.entry(version).or_default() += 1;
    }
    let row = |a: &str, b: String, c: String| vec![a.to_owned(), b, c];
    let head = || row("COMPONENT", "CURRENT".to_owned(), "AVAILABLE".to_owned());
    let mut manual = vec![head()];
    for (n, (version, count)) in kubelets.iter().enumerate() {
        let name = if n == 0 { "kubelet" } else { "" };
        manual.push(row(name, format!("{count} x v{version}"), format!("v{target}")));
    }
    let text = table(&manual);
    cx.out(format!("Components that must be upgraded manually after you have upgraded the control plane with 'kubeadm upgrade apply':\n{text}\n"));
    let series = match minor(&target) == minor(&running) {
        true => format!("version in the v1.{} series", minor(&running)),
        false => "stable version".to_owned(),
    };
    let mut rows = vec![head()];
    for name in ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy"] {
        rows.push(row(name, format!("v{running}"), format!("v{target}")));
    }
    let ((etcd, dns, _), (new_etcd, new_dns, _)) = (companions(minor(&running)), companions(minor(&target)));
    rows.push(row("CoreDNS", dns.to_owned(), new_dns.to_owned()));
    rows.push(row("etcd", etcd.to_owned(), new_etcd.to_owned()));
    let text = table(&rows);
    cx.out(format!("Upgrade to the latest {series}:\n\n{text}\nYou can now apply the upgrade by executing the following command:\n\n\tkubeadm upgrade apply v{target}\n\n"));
    if own != target {
        cx.out(format!(
            "Note: Before you can perform this upgrade, you have to update kubeadm to v{target}.\n\n"
        ));
    }
    cx.out("_____________________________________________________________________\n\n");
    Ok(0)
}
