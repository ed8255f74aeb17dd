//! Making a machine as it should be: only what differs is touched, and each step may be done twice.

use std::time::Duration;

use grappe_kubeadm::hosts;
use grappe_provider::{Context, Fault};
use grappe_ssh::{Exec, quote};

use super::Args;
use super::observe::Observed;
use crate::client::Client;
use crate::remote::{LONG, Remote};

/// apt-get, that asks nothing and waits for others' locks.
const APT: &str = "DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confold";

/// Waits until the machine has set itself up.
pub(super) async fn wait_for_machine(ctx: &Context<Client>, remote: &Remote) -> Result<(), Fault> {
    if !remote.holds("command -v apt-get >/dev/null").await? {
        return Err(Fault::permanent(format!("{} has no apt-get", remote.name())).hint(
            "kubeadm_host prepares Debian and Ubuntu; other systems bring their packages in their image",
        ));
    }
    ctx.progress("waiting for cloud-init");
    // 2: finished, with errors it could live with.
    let script = "if ! command -v cloud-init >/dev/null; then exit 0; fi\ncloud-init status --wait";
    let output = remote.ask(Exec::new(script).timeout(LONG)).await?;
    match output.code() {
        Some(0 | 2) => Ok(()),
        _ => Err(remote
            .failure("cloud-init", &output)
            .hint("look at /var/log/cloud-init-output.log on the machine")),
    }
}

/// Looks, mends, and looks again.
pub(super) async fn converge(ctx: &Context<Client>, remote: &Remote, args: &Args) -> Result<Observed, Fault> {
    let found = Observed::read(remote, args).await?;
    if !found.has_resolv_conf() {
        // The kubelet starts no pod without it.
        remote.sh("make /etc/resolv.conf", "[ -e /etc/resolv.conf ] || : > /etc/resolv.conf").await?;
    }
    if found.swap().is_some() {
        ctx.progress("turning swap off");
        swap_off(remote, &found).await?;
    }
    if found.modules().is_some() {
        ctx.progress("loading kernel modules");
        modules(remote, &found).await?;
    }
    if found.sysctls(args).is_some() {
        ctx.progress("setting sysctls");
        remote.write(hosts::SYSCTL_PATH, &hosts::sysctl_conf(&args.extra_sysctls), 0o644).await?;
        remote.sh("set sysctls", &format!("sysctl -q -p {}", hosts::SYSCTL_PATH)).await?;
    }
    let (source, packages) = (found.source(args).is_some(), found.packages(args).is_some());
    if source {
        ctx.progress("setting up the package source");
        set_source(remote, args).await?;
        if !packages {
            // Whoever upgrades this node finds the new release in its lists.
            remote.long("apt-get update", Exec::new(format!("{APT} update"))).await?;
        }
    }
    if packages {
        install(ctx, remote, args, &found).await?;
    }
    let found = Observed::read(remote, args).await?;
    if found.containerd(args).is_none() {
        return Ok(found);
    }
    ctx.progress("configuring containerd");
    let config = found.wanted_config(args).ok_or_else(|| {
        Fault::permanent(format!("{}: cannot tell containerd's version, or the pause image that kubeadm wants", remote.name()))
            .hint("look at `containerd --version` and `kubeadm config images list` there; or set containerd.sandbox_image")
    })?;
    remote.write("/etc/containerd/config.toml", &config, 0o644).await?;
    for (path, content) in args.mirror_files() {
        remote.write(&path, &content, 0o644).await?;
    }
    remote.sh("restart containerd", "systemctl enable -q containerd && systemctl restart containerd").await?;
    Observed::read(remote, args).await
}

async fn swap_off(remote: &Remote, found: &Observed) -> Result<(), Fault> {
    // zram and swap units come back at boot unless they are masked; fstab's are edited out.
    let units: String = found
        .swap_devices()
        .map(|device| {
            format!(
                "unit=$(systemd-escape -p --suffix=swap {}) && systemctl mask -q \"$unit\" 2>/dev/null || true\n",
                quote(device)
            )
        })
        .collect();
    remote.sh("turn swap off", &format!("{units}swapoff -a")).await?;
    let (before, after) = (found.fstab(), hosts::fstab_without_swap(found.fstab()));
    if before != after {
        remote.write("/etc/fstab", &after, 0o644).await?;
    }
    Ok(())
}

async fn modules(remote: &Remote, found: &Observed) -> Result<(), Fault> {
    remote.write(hosts::MODULES_PATH, &hosts::modules_load(), 0o644).await?;
    if found.modules().is_some_and(|problem| problem.starts_with("not loaded")) {
        // A module that is built in, or that the host of a container has, fails to load and is there all the same: what
        // counts is looked at afterwards.
        let load: String =
            hosts::MODULES.map(|module| format!("modprobe {module} 2>/dev/null || true\n")).concat();
        remote.sh("load kernel modules", &load).await?;
    }
    Ok(())
}

async fn set_source(remote: &Remote, args: &Args) -> Result<(), Fault> {
    let Some(source) = args.source()? else { return Ok(()) };
    if let (Some(url), false) = (&source.key_url, source.trusted) {
        let (url, path) = (quote(url), quote(hosts::APT_KEY_PATH));
        // apt's own helper is on every Debian; it fetches with apt's proxy settings.
        let script = format!(
            "mkdir -p /etc/apt/keyrings\nif command -v curl >/dev/null; then\ncurl -fsSL -o {path}.new {url}\n\
             else\n/usr/lib/apt/apt-helper download-file {url} {path}.new\nfi && chmod 644 {path}.new && mv {path}.new {path}"
        );
        remote.long("fetch the package source's key", Exec::new(script)).await?;
    }
    remote.write(hosts::APT_LIST_PATH, &source.list(), 0o644).await
}

async fn install(ctx: &Context<Client>, remote: &Remote, args: &Args, found: &Observed) -> Result<(), Fault> {
    // On a live node what is missing is put back at the release that the rest has: a change of release is an upgrade.
    let there = hosts::RELEASE_PACKAGES.iter().find_map(|package| found.installed(package));
    let wanted = match there.filter(|_| found.is_node()).and_then(hosts::upstream_version) {
        Some(release) => release,
        None => args.wanted()?,
    };
    let missing = args.packages().into_iter().any(|package| found.installed(package).is_none());
    if found.is_node() && !missing {
        return hold(remote).await;
    }
    ctx.progress("updating the package lists");
    remote.long("apt-get update", Exec::new(format!("{APT} update"))).await?;
    let lists = remote
        .sh("look for the release", &format!("apt-cache madison {}", hosts::RELEASE_PACKAGES.join(" ")))
        .await?;
    let mut words = Vec::new();
    for package in hosts::RELEASE_PACKAGES {
        let version = hosts::pick_version(&lists, package, &wanted)
            .map_err(|error| Fault::permanent(format!("{}: {error}", remote.name())).attribute("version"))?;
        words.push(quote(&format!("{package}={version}")));
    }
    words.extend(args.packages()[hosts::RELEASE_PACKAGES.len()..].iter().map(|package| quote(package)));
    ctx.progress(format!("installing Kubernetes {wanted} and {}", args.runtime_package()));
    let options = "--no-install-recommends --allow-downgrades --allow-change-held-packages";
    remote
        .long("install the packages", Exec::new(format!("{APT} install {options} {}", words.join(" "))))
        .await?;
    hold(remote).await
}

async fn hold(remote: &Remote) -> Result<(), Fault> {
    let hold = format!("apt-mark hold {}", hosts::RELEASE_PACKAGES.join(" "));
    remote.sh("hold the packages", &hold).await.map(drop)
}

/// Takes back what would surprise on a machine that stays.
pub(super) async fn undo(remote: &Remote) -> Result<(), Fault> {
    let packages = hosts::RELEASE_PACKAGES.join(" ");
    let script = format!(
        "apt-mark unhold {packages} >/dev/null 2>&1 || true\nrm -f {} {} {} {}",
        hosts::MODULES_PATH,
        hosts::SYSCTL_PATH,
        hosts::APT_LIST_PATH,
        hosts::APT_KEY_PATH,
    );
    remote.sh("take the preparation back", &script).await?;
    if let Some(fstab) = remote.read("/etc/fstab").await? {
        let before = hosts::fstab_with_swap(&fstab);
        if before != fstab {
            remote.write("/etc/fstab", &before, 0o644).await?;
            remote.ask(Exec::new("swapon -a").timeout(Duration::from_secs(60))).await?;
        }
    }
    Ok(())
}
