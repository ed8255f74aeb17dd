//! Making a machine as it should be: only what differs is touched, and each step may be done twice.

use std::time::Duration;

use futures::future::try_join_all;
use grappe_kubeadm::containerd;
use grappe_kubeadm::hosts::source::{
    APT_KEY_PATH, APT_LIST_PATH, PHOTON_PACKAGES, RELEASE_PACKAGES, RPM_REPO_PATH,
};
use grappe_kubeadm::hosts::{self, firewall, proxy};
use grappe_provider::{Context, Fault};
use grappe_provider_host::packages::{Manager, Wanted};
use grappe_provider_host::service_file::{ServiceFile, Then};
use grappe_provider_host::{Session, package};
use grappe_ssh::{Exec, WriteFile, quote};

use super::args::{Args, File};
use super::observe::{Observed, STAGED};
use super::release::{self, Hold};
use super::system::{DOCKER_REPO_PATH, System};
use crate::client::Client;
use crate::remote::LONG;

/// Remembers what brings back the units that were masked to keep swap off (or disabled: a unit in /etc cannot be masked), for
/// the day the preparation is taken back.
const MASKED: &str = "/etc/systemd/system/.grappe-masked-swap";

/// Waits until the machine has set itself up.
pub(super) async fn wait_for_machine(ctx: &Context<Client>, session: &Session) -> Result<(), Fault> {
    ctx.progress("waiting for cloud-init");
    // 2: finished, with errors it could live with.
    let script = "command -v cloud-init >/dev/null 2>&1 || exit 0\n\
                  cloud-init status --wait >/dev/null; rc=$?\n\
                  if [ $rc = 0 ] || [ $rc = 2 ]; then exit 0; fi\n\
                  tail -n 15 /var/log/cloud-init-output.log >&2; exit $rc";
    let output = session.exec(Exec::new(script).timeout(LONG)).await?;
    if output.success() {
        return Ok(());
    }
    Err(session.failure("cloud-init", &output).hint("look at /var/log/cloud-init-output.log on the machine"))
}

/// Looks, mends, and looks again.
pub(super) async fn converge(
    ctx: &Context<Client>,
    session: &Session,
    args: &Args,
) -> Result<Observed, Fault> {
    let mut found = Observed::read(session, args).await?;
    let system = found.known_system(&session.host().endpoint().address)?;
    // Said before an hour of work, not after it.
    args.source(system)?;
    found.node_ip(args)?;
    kernel(ctx, session, args, &found).await?;
    network(ctx, session, args, &found).await?;
    let (source, packages) = (found.source(args).is_some(), found.packages(args).is_some());
    if source {
        ctx.progress("setting up the package source");
        set_source(session, args, &found, system).await?;
        if !packages {
            // Whoever upgrades this node finds the new release in its lists.
            package::manage(
                session,
                system.manager(),
                "update the package lists",
                &system.manager().refresh(),
            )
            .await?;
        }
    }
    if packages {
        install(session, args, &found, system).await?;
    }
    if found.time(args).is_some() {
        ctx.progress("having the clock kept");
        clock(session, system).await?;
    }
    if source || packages {
        found = Observed::read(session, args).await?;
    }
    if found.containerd(args).is_some() {
        ctx.progress("configuring containerd");
        runtime(session, args, &found).await?;
    }
    Observed::read(session, args).await
}

/// Puts files in their places; one without content goes.
async fn put(session: &Session, mode: u32, files: impl IntoIterator<Item = File>) -> Result<(), Fault> {
    try_join_all(files.into_iter().map(|file| async move {
        if file.content.is_empty() {
            return session.remove_file(&file.path).await;
        }
        let file =
            WriteFile { path: file.path, content: file.content.into(), mode, owner: None, group: None };
        session.write_file(&file).await
    }))
    .await
    .map(drop)
}

fn file(path: &str, content: String) -> File {
    File { path: path.into(), content }
}

/// Swap, modules, sysctls.
async fn kernel(
    ctx: &Context<Client>,
    session: &Session,
    args: &Args,
    found: &Observed,
) -> Result<(), Fault> {
    let (mut files, mut script) = (Vec::new(), String::new());
    if found.swap().is_some() {
        ctx.progress("turning swap off");
        // zram and units of their own come back at boot unless they are masked; fstab's are edited out.
        let fstab = found.file("/etc/fstab");
        let without = hosts::fstab_without_swap(fstab);
        // What fstab brings has names of its own there (/dev/mapper/…, UUID=…): it is gone with its lines.
        let not_fstabs = |name: &&str| fstab == without || name.contains("zram");
        let mut units: Vec<String> = found
            .swap_devices()
            .filter(not_fstabs)
            .map(|device| format!("\"$(systemd-escape -p --suffix=swap {})\"", quote(device)))
            .collect();
        units.extend(found.swap_units().filter(not_fstabs).map(quote));
        if fstab != without {
            files.push(file("/etc/fstab", without));
            script.push_str("systemctl daemon-reload\n");
        }
        for unit in units {
            script.push_str(&format!(
                "unit={unit}; systemctl stop \"$unit\" 2>/dev/null\n\
                 if systemctl mask -q \"$unit\" 2>/dev/null; then echo unmask \"$unit\"\n\
                 elif systemctl disable -q \"$unit\" 2>/dev/null; then echo enable \"$unit\"; fi >> {MASKED}\n"
            ));
        }
        script.push_str("swapoff -a || exit 1\n");
    }
    if let Some(problem) = found.modules() {
        ctx.progress("loading kernel modules");
        files.push(file(hosts::MODULES_PATH, hosts::modules_load()));
        if problem.starts_with("not loaded") {
            // A module that is built in, or that the host of a container has, fails to load and is there all the same: what
            // counts is looked at afterwards.
            script.extend(hosts::MODULES.map(|module| format!("modprobe {module} 2>/dev/null\n")));
        }
    }
    if found.sysctls(args).is_some() {
        ctx.progress("setting sysctls");
        files.push(file(hosts::SYSCTL_PATH, hosts::sysctl_conf(&args.extra_sysctls)));
        script.push_str(&format!("sysctl -q -p {} || exit 1\n", hosts::SYSCTL_PATH));
    }
    put(session, 0o644, files).await?;
    if script.is_empty() {
        return Ok(());
    }
    session.run("set the kernel up", script + "true").await.map(drop)
}

/// The resolver, SELinux, the firewall, the proxy.
async fn network(
    ctx: &Context<Client>,
    session: &Session,
    args: &Args,
    found: &Observed,
) -> Result<(), Fault> {
    let mut script = String::new();
    if found.resolver(args).is_some() {
        ctx.progress("setting the resolver");
        script.push_str("[ -e /etc/resolv.conf ] || : > /etc/resolv.conf || exit 1\n");
        let content = found.kubelet_resolv_conf(args).map(hosts::kubelet_resolv_conf).unwrap_or_default();
        put(session, 0o644, [file(hosts::KUBELET_RESOLV_PATH, content)]).await?;
        script.push_str(&taken_up(&["kubelet"]));
    }
    if found.selinux(args).is_some() {
        ctx.progress("making SELinux permissive");
        script.push_str("setenforce 0 && sed -i 's/^SELINUX=enforcing$/SELINUX=permissive/' /etc/selinux/config || exit 1\n");
    }
    if found.firewall(args).is_some() {
        ctx.progress("letting the cluster's networks in");
        script.push_str(&open(args, found));
        if let Some(saved) = firewall::saved(found.file(firewall::SAVED_PATH), &args.trusted_networks) {
            put(session, 0o644, [file(firewall::SAVED_PATH, saved)]).await?;
        }
    }
    let parts = found.parts(args);
    if parts.get("proxy").is_some_and(|part| part != super::AS_WANTED) {
        ctx.progress("setting the proxy");
        let (units, mains): (Vec<File>, Vec<File>) = found
            .proxy_files(args)
            .into_iter()
            .filter(|file| !file.content.is_empty() || found.is_ours(&file.path))
            .partition(|file| file.path.starts_with("/etc/systemd"));
        // apt reads its files as another user too, but its configuration as root.
        let main_mode = if found.system == Some(System::Debian) { 0o600 } else { 0o644 };
        put(session, 0o600, units).await?;
        put(session, main_mode, mains).await?;
        script.push_str(&taken_up(&proxy::UNITS));
    }
    if script.is_empty() {
        return Ok(());
    }
    session.run("set the network up", script).await.map(drop)
}

/// Has units that run take up their changed drop-ins. On a fresh machine they are not there yet.
fn taken_up(units: &[&str]) -> String {
    format!(
        "systemctl daemon-reload || exit 1\nfor unit in {}; do\n\
         if systemctl is-active -q $unit; then systemctl restart $unit || exit 1; fi\ndone\n",
        units.join(" ")
    )
}

/// Opens the firewall in force; what a boot brings is a file, or firewalld's own.
fn open(args: &Args, found: &Observed) -> String {
    let mut script = String::new();
    if found.has("iptables") {
        let there: Vec<&str> = found.body("iptables").lines().map(str::trim).collect();
        let wanted: Vec<String> =
            args.trusted_networks.iter().flat_map(|network| firewall::rules(network)).collect();
        for rule in wanted.iter().filter(|rule| !there.contains(&rule.as_str())) {
            script.push_str(&format!("iptables {rule} || exit 1\n"));
        }
        for rule in there.iter().filter(|rule| rule.contains("--comment grappe ")) {
            if let (false, Some(rest)) = (wanted.iter().any(|own| own == rule), rule.strip_prefix("-A ")) {
                script.push_str(&format!("iptables -D {rest} || exit 1\n"));
            }
        }
        return script;
    }
    for network in &args.trusted_networks {
        for force in ["", "--permanent "] {
            script.push_str(&format!(
                "firewall-cmd -q {force}--zone=trusted --add-source={} || exit 1\n",
                quote(network)
            ));
        }
    }
    script
}

async fn set_source(session: &Session, args: &Args, found: &Observed, system: System) -> Result<(), Fault> {
    let source = args.source(system)?;
    let key = source.as_ref().filter(|source| !source.trusted).and_then(|source| source.key_url.as_deref());
    if let (Some(url), Manager::Apt) = (key, system.manager()) {
        release::fetch_key(session, url).await?;
    }
    let files = found.source_files(args).into_iter().filter(|file| found.file(&file.path) != file.content);
    put(session, 0o644, files).await
}

async fn install(session: &Session, args: &Args, found: &Observed, system: System) -> Result<(), Fault> {
    let (manager, release) = (system.manager(), args.release_packages(system));
    let excluded = manager == Manager::Dnf && args.source(system)?.is_some();
    let hold = if excluded { Hold::Excluded } else { Hold::Mark };
    // On a live node what is missing is put back at the release that the rest has: a change of release is an upgrade.
    let there = release.iter().find_map(|name| found.release(name)).filter(|_| found.is_node());
    let missing = args.packages(system).into_iter().any(|name| found.package(name).is_none());
    let wanted = args.wanted()?;
    let other = |name: &&&str| found.release(name).is_none_or(|version| !wanted.admits(&version));
    let change = missing || (!found.is_node() && release.iter().any(|name| other(&name)));
    if change {
        let others: Vec<&str> = args.packages(system)[release.len()..].to_vec();
        release::set(session, manager, release, &there.unwrap_or(wanted), &others, hold).await?;
    } else if hold == Hold::Mark {
        session.run("hold the packages", manager.hold(release)).await?;
    }
    // Debian's packages do it themselves.
    let enable = "systemctl is-enabled -q kubelet 2>/dev/null || systemctl enable -q kubelet";
    session.run("enable the kubelet", enable).await.map(drop)
}

async fn clock(session: &Session, system: System) -> Result<(), Fault> {
    let (name, unit) = system.clock();
    let start = format!("systemctl enable -q --now {unit}");
    if session.ask(format!("{start} 2>/dev/null")).await?.success() {
        return Ok(());
    }
    let script = format!("{{ {}\n}} && {start}", system.manager().install(&[Wanted::any(name)]));
    package::manage(session, system.manager(), "install what keeps the clock", &script).await
}

async fn runtime(session: &Session, args: &Args, found: &Observed) -> Result<(), Fault> {
    let config = found.wanted_config(args).ok_or_else(|| {
        let name = &session.host().endpoint().address;
        Fault::permanent(format!("{name}: cannot tell containerd's version, or the pause image that kubeadm wants"))
            .hint("look at `containerd --version` and `kubeadm config images list` there; or set containerd.sandbox_image")
    })?;
    let mut files = found.stale_registry_files(args);
    files.push(file(containerd::CRICTL_PATH, containerd::crictl()));
    let restart = found.file(containerd::CONFIG_PATH) != config
        || found.has(&format!("file {STAGED}"))
        || !found.is_active("containerd")
        || !found.is_enabled("containerd");
    put(session, 0o644, files).await?;
    if !restart {
        return Ok(());
    }
    let file = ServiceFile {
        path: containerd::CONFIG_PATH,
        content: &config,
        mode: 0o644,
        service: "containerd",
        name: "containerd",
        check: None,
        then: Then::Restart,
    };
    file.put(session).await
}

/// Takes back what would surprise on a machine that stays.
pub(super) async fn undo(session: &Session, args: &Args) -> Result<(), Fault> {
    let found = Observed::read(session, args).await?;
    let files = [
        hosts::MODULES_PATH,
        hosts::SYSCTL_PATH,
        hosts::KUBELET_RESOLV_PATH,
        APT_LIST_PATH,
        APT_KEY_PATH,
        RPM_REPO_PATH,
        DOCKER_REPO_PATH,
        containerd::CRICTL_PATH,
    ];
    let ours: Vec<String> = files
        .into_iter()
        .filter(|path| *path == APT_KEY_PATH || found.is_ours(path))
        .chain(found.registry_files().filter(|path| found.is_ours(path)))
        .map(quote)
        .collect();
    let installed: Vec<&str> = RELEASE_PACKAGES
        .into_iter()
        .chain(PHOTON_PACKAGES)
        .filter(|name| found.package(name).is_some())
        .collect();
    let mut script = format!("rm -f {}\n", ours.join(" "));
    if let (Some(system), false) = (found.system, installed.is_empty()) {
        script.push_str(&format!("{} || true\n", system.manager().unhold(&installed)));
    }
    script.push_str(&format!(
        "if [ -s {MASKED} ]; then while read -r how unit; do systemctl \"$how\" -q \"$unit\"; done < {MASKED}; rm -f {MASKED}; fi\n\
         systemctl daemon-reload"
    ));
    session.run("take the preparation back", script).await?;
    let bare = Args::without_network(args);
    let left = found.proxy_files(&bare).into_iter().filter(|file| found.file(&file.path) != file.content);
    put(session, 0o644, left.filter(|file| !file.content.is_empty() || found.is_ours(&file.path))).await?;
    let opened =
        found.has("iptables").then(|| firewall::saved(found.file(firewall::SAVED_PATH), &[])).flatten();
    if let Some(saved) = opened {
        put(session, 0o644, [file(firewall::SAVED_PATH, saved)]).await?;
        session.run("close the firewall", open(&bare, &found) + "true").await?;
    }
    let fstab = found.file("/etc/fstab");
    let before = hosts::fstab_with_swap(fstab);
    if before != fstab {
        put(session, 0o644, [file("/etc/fstab", before)]).await?;
        session.exec(Exec::new("swapon -a").timeout(Duration::from_secs(60))).await?;
    }
    Ok(())
}
