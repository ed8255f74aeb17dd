//! The arguments of a `kubeadm_host`, and what they mean for a system.

use std::collections::BTreeMap;
use std::fmt;

use grappe_kubeadm::containerd::{self, Registry};
use grappe_kubeadm::hosts::proxy::Proxy;
use grappe_kubeadm::hosts::source::{Source, UPSTREAM};
use grappe_kubeadm::version::KubernetesVersion;
use grappe_provider::Fault;
use grappe_provider_host::Connection;
use serde::Deserialize;

use super::system::{DOCKERS_CONTAINERD, System};
use crate::node;

/// What the configuration says.
#[derive(Debug, Clone, Deserialize)]
pub struct Args {
    pub(super) host: Connection,
    pub(super) version: String,
    #[serde(default)]
    pub(super) package_source: Origin,
    #[serde(default)]
    pub(super) containerd: Containerd,
    #[serde(default)]
    pub(super) extra_sysctls: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) extra_packages: Vec<String>,
    pub(super) node_cidr: Option<String>,
    pub(super) time: Option<String>,
    pub(super) resolv_conf: Option<String>,
    pub(super) selinux: Option<String>,
    #[serde(default)]
    pub(super) trusted_networks: Vec<String>,
    #[serde(default)]
    proxy: Option<ProxyArgs>,
}

/// Where the packages come from.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Origin {
    kind: Option<String>,
    uri: Option<String>,
    suite: Option<String>,
    #[serde(default)]
    components: Option<Vec<String>>,
    key_url: Option<String>,
    trusted: Option<bool>,
}

/// How containerd is set.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Containerd {
    package: Option<String>,
    pub(super) sandbox_image: Option<String>,
    cni_bin_dir: Option<String>,
    restrict_oom_score_adj: Option<bool>,
    #[serde(default)]
    registry_mirrors: Option<BTreeMap<String, String>>,
    #[serde(default)]
    registries: Option<BTreeMap<String, RegistryArgs>>,
}

#[derive(Debug, Clone, Deserialize)]
struct RegistryArgs {
    endpoints: Vec<String>,
    server: Option<String>,
    ca: Option<String>,
    skip_verify: Option<bool>,
    override_path: Option<bool>,
}

/// As written: it may hold a password.
#[derive(Clone, Deserialize)]
struct ProxyArgs {
    http: Option<String>,
    https: Option<String>,
    #[serde(default)]
    no_proxy: Option<Vec<String>>,
}

impl fmt::Debug for ProxyArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProxyArgs(sensitive)")
    }
}

/// A file as it should be.
pub(super) struct File {
    pub(super) path: String,
    pub(super) content: String,
}

impl Args {
    pub(super) fn wanted(&self) -> Result<KubernetesVersion, Fault> {
        node::version(&self.version)
    }

    /// The kind of source: Photon has the release in its own repository, others do not.
    pub(super) fn kind(&self, system: System) -> &str {
        let usual = if system == System::Photon { "distribution" } else { "upstream" };
        self.package_source.kind.as_deref().unwrap_or(usual)
    }

    /// The repository to set up, if one is.
    pub(super) fn source(&self, system: System) -> Result<Option<Source>, Fault> {
        let given = &self.package_source;
        let own = || -> Result<Source, Fault> {
            Ok(Source {
                uri: given.uri.clone().ok_or_else(|| {
                    Fault::permanent("a package source of your own needs a `uri`").attribute("package_source")
                })?,
                suite: given.suite.clone().unwrap_or_else(|| "/".into()),
                components: given.components.clone().unwrap_or_default(),
                key_url: given.key_url.clone(),
                trusted: given.trusted.unwrap_or(false),
            })
        };
        match (self.kind(system), system) {
            ("distribution", _) => Ok(None),
            ("apt", System::Debian) | ("rpm", System::RedHat | System::Photon) => own().map(Some),
            (kind @ ("apt" | "rpm"), _) => Err(Fault::permanent(format!(
                "a package source of kind `{kind}` is not for a machine with {}",
                system.manager().name()
            ))
            .attribute("package_source")
            .hint(
                "give its machines a source of their own kind, or leave package_source out for upstream's",
            )),
            _ => {
                let root = given.uri.as_deref().unwrap_or(UPSTREAM);
                Ok(Some(Source::upstream(root, &self.wanted()?, system.format())))
            }
        }
    }

    /// Whether containerd comes from Docker's repository, which is then set up too.
    pub(super) fn dockers_repo(&self, system: System) -> bool {
        system == System::RedHat
            && self.kind(system) == "upstream"
            && self.runtime_package(system) == DOCKERS_CONTAINERD
    }

    pub(super) fn runtime_package(&self, system: System) -> &str {
        self.containerd.package.as_deref().unwrap_or_else(|| system.runtime_package())
    }

    /// The release's packages.
    pub(super) fn release_packages(&self, system: System) -> &'static [&'static str] {
        system.release_packages(self.kind(system) == "distribution")
    }

    /// All packages, the release's first.
    pub(super) fn packages(&self, system: System) -> Vec<&str> {
        let mut all: Vec<&str> = self.release_packages(system).to_vec();
        all.push(self.runtime_package(system));
        all.extend(self.extra_packages.iter().map(String::as_str));
        all
    }

    pub(super) fn containerd_config(
        &self,
        version: containerd::Version,
        kubeadms_image: &str,
        restricted: bool,
    ) -> String {
        let given = &self.containerd;
        let mut settings =
            containerd::Settings::new(given.sandbox_image.as_deref().unwrap_or(kubeadms_image));
        if let Some(dir) = &given.cni_bin_dir {
            settings.cni_bin_dir.clone_from(dir);
        }
        settings.restrict_oom_score_adj = given.restrict_oom_score_adj.unwrap_or(restricted);
        containerd::config(version, &settings)
    }

    /// The registries' files: `hosts.toml` of each, and the CA where its words are given.
    pub(super) fn registry_files(&self) -> Vec<File> {
        let mirrors = self.containerd.registry_mirrors.iter().flatten();
        let mut files: Vec<File> = mirrors
            .map(|(name, url)| File {
                path: format!("{}/hosts.toml", Registry::folder(name)),
                content: Registry::mirror(url).hosts_toml(),
            })
            .collect();
        for (name, given) in self.containerd.registries.iter().flatten() {
            let folder = Registry::folder(name);
            let ca = given.ca.as_ref().map(|ca| {
                if ca.starts_with('/') {
                    return ca.clone();
                }
                let path = format!("{folder}/ca.crt");
                files.push(File { path: path.clone(), content: ca.clone() });
                path
            });
            let registry = Registry {
                endpoints: given.endpoints.clone(),
                server: given.server.clone(),
                ca,
                skip_verify: given.skip_verify.unwrap_or(false),
                override_path: given.override_path.unwrap_or(false),
            };
            files.push(File { path: format!("{folder}/hosts.toml"), content: registry.hosts_toml() });
        }
        files
    }

    /// The way out; empty where there is none.
    pub(super) fn proxy(&self) -> Proxy {
        let given = self.proxy.clone();
        given.map_or_else(Proxy::default, |given| Proxy {
            http: given.http.filter(|url| !url.is_empty()),
            https: given.https.filter(|url| !url.is_empty()),
            no_proxy: given.no_proxy.unwrap_or_default(),
        })
    }

    /// What must not be shown: URLs with passwords in them, and the passwords.
    pub(super) fn secrets(&self) -> Vec<String> {
        let proxy = self.proxy();
        let mut secrets = Vec::new();
        for url in [proxy.http, proxy.https].into_iter().flatten() {
            if let Some((login, _)) = url.rsplit_once('@') {
                let login = login.split_once("://").map_or(login, |(_, login)| login);
                secrets.extend(login.split_once(':').map(|(_, password)| password.to_owned()));
                secrets.push(login.to_owned());
            }
        }
        secrets
    }
}

impl Args {
    /// The same with no way out and no network let in: what is left when the preparation is taken back.
    pub(super) fn without_network(&self) -> Self {
        Self { proxy: None, trusted_networks: Vec::new(), ..self.clone() }
    }
}
