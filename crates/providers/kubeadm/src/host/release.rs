//! Installing the packages of a release: on a machine that is prepared, and on a node in its upgrade.

use grappe_kubeadm::hosts::source::{self, PHOTON_PACKAGES, RELEASE_PACKAGES};
use grappe_kubeadm::version::KubernetesVersion;
use grappe_provider::Fault;
use grappe_provider_host::packages::{self, Manager, Wanted};
use grappe_provider_host::{Session, package};
use grappe_ssh::{Exec, quote};

use crate::remote::{LONG, Remote};

/// Moves packages of Kubernetes (`kubeadm`, `kubelet`, `kubectl`) on a host to a release, and holds them there: the step of
/// an upgrade that `kubeadm_host` leaves to it. The package source must have the release: `kubeadm_host` sets it.
///
/// On Photon, whose `kubernetes` holds kubelet and kubectl both, either of the two moves both.
///
/// # Errors
/// The host could not be asked, no repository has the release, or the package manager failed.
pub async fn install(remote: &Remote, names: &[&str], wanted: &KubernetesVersion) -> Result<(), Fault> {
    let session = remote.session();
    let all: Vec<&str> = RELEASE_PACKAGES.into_iter().chain(PHOTON_PACKAGES).collect();
    let output = session.ask(packages::survey(&all)).await?;
    let found = packages::read_survey(&output.stdout_str());
    let Some(found) = found.filter(|_| output.success()) else {
        return Err(session.failure("ask for the installed packages", &output));
    };
    let photons = found.packages.contains_key(PHOTON_PACKAGES[1]);
    let mut own: Vec<&str> = Vec::new();
    for name in names {
        let name = match *name {
            "kubeadm" if photons => PHOTON_PACKAGES[0],
            _ if photons => PHOTON_PACKAGES[1],
            name => name,
        };
        if !own.contains(&name) {
            own.push(name);
        }
    }
    set(session, found.manager, &own, wanted, &[], Hold::Mark).await
}

/// Who holds the packages.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Hold {
    /// The package manager is told to.
    Mark,
    /// The repository's `exclude=` does.
    Excluded,
}

/// Brings packages to a release, and others there in any version.
pub(super) async fn set(
    session: &Session,
    manager: Manager,
    names: &[&str],
    wanted: &KubernetesVersion,
    others: &[&str],
    hold: Hold,
) -> Result<(), Fault> {
    session.progress("updating the package lists");
    let script =
        format!("{{ {}\n}} >&2 && echo '== offers' && {{ {}\n}}", manager.refresh(), manager.offers(names));
    let output = session
        .run_exec("update the package lists", Exec::new(script).timeout(LONG))
        .await
        .map_err(|fault| package::judge(fault, manager))?;
    let text = output.stdout_str();
    let offers = text.split_once("== offers").map_or("", |(_, offers)| offers);
    let mut versions = Vec::new();
    for name in names {
        let version =
            source::pick_version(&manager.read_offers(offers, name), name, wanted).map_err(|error| {
                Fault::permanent(format!("{}: {error}", session.host().endpoint().address))
                    .attribute("version")
                    .hint("set version to one of these, or package_source to a repository that has it")
            })?;
        versions.push((*name, version));
    }
    let mut all: Vec<Wanted<'_>> =
        versions.iter().map(|(name, version)| Wanted { name, version: Some(version) }).collect();
    all.extend(others.iter().map(|name| Wanted::any(name)));
    session.progress(match others {
        [] => format!("installing Kubernetes {wanted}"),
        [runtime, ..] => format!("installing Kubernetes {wanted} and {runtime}"),
    });
    let mut script = manager.install(&all);
    if hold == Hold::Mark {
        script = format!("{{ {script}\n}} && {}", manager.hold(names));
    }
    package::manage(session, manager, "install the packages", &script).await
}

/// Fetches the key that signs an APT repository. apt's own helper is on every Debian; it fetches with apt's proxy settings.
pub(super) async fn fetch_key(session: &Session, url: &str) -> Result<(), Fault> {
    let (url, path) = (quote(url), quote(source::APT_KEY_PATH));
    let script = format!(
        "mkdir -p /etc/apt/keyrings\nif command -v curl >/dev/null && [ ! -e {proxy} ]; then\ncurl -fsSL -o {path}.new {url}\n\
         else\n/usr/lib/apt/apt-helper download-file {url} {path}.new\nfi && chmod 644 {path}.new && mv {path}.new {path}",
        proxy = grappe_kubeadm::hosts::proxy::APT_PATH,
    );
    let exec = Exec::new(script).timeout(LONG);
    session.run_exec("fetch the package source's key", exec).await.map(drop)
}
