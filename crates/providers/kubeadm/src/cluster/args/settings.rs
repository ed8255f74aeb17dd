//! The settings of a cluster as plans write them, and what they become in kubeadm's words.
//!
//! All of them may be missing: while planning, what is not known yet is passed over, and the rest is checked.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use grappe_kubeadm::config::{self, Component, Image, LocalEndpoint, NodeRegistration};
use grappe_kubeadm::version::KubernetesVersion;
use grappe_provider_host::duration;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use crate::node::kubelet;
use crate::taints::Taint;
use crate::timeouts::{self, Waits};

/// A value that cannot be taken.
#[derive(Debug)]
pub(super) struct Mistake {
    /// The argument.
    pub(super) attribute: &'static str,
    /// What is wrong, and what to do.
    pub(super) problem: String,
}

/// Everything but the machines, the name and the version.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(in crate::cluster) struct Settings {
    pub(super) control_plane_endpoint: Option<String>,
    pub(super) pod_subnet: Option<String>,
    pub(super) service_subnet: Option<String>,
    dns_domain: Option<String>,
    /// The certificate is made anew when they change.
    pub(in crate::cluster) cert_sans: Vec<String>,
    api_server_extra_args: BTreeMap<String, String>,
    api_server_extra_envs: BTreeMap<String, String>,
    api_server_extra_volumes: Vec<Volume>,
    controller_manager_extra_args: BTreeMap<String, String>,
    controller_manager_extra_envs: BTreeMap<String, String>,
    controller_manager_extra_volumes: Vec<Volume>,
    scheduler_extra_args: BTreeMap<String, String>,
    scheduler_extra_envs: BTreeMap<String, String>,
    scheduler_extra_volumes: Vec<Volume>,
    /// Its members restart when it changes.
    #[serde(flatten)]
    pub(in crate::cluster) etcd: EtcdSettings,
    etcd_data_dir: Option<String>,
    etcd_server_cert_sans: Vec<String>,
    etcd_peer_cert_sans: Vec<String>,
    external_etcd: Option<ExternalEtcd>,
    feature_gates: BTreeMap<String, bool>,
    image_repository: Option<String>,
    dns_image: Option<ImageSettings>,
    encryption_algorithm: Option<String>,
    certificate_validity_period: Option<String>,
    ca_certificate_validity_period: Option<String>,
    pub(in crate::cluster) kubelet_config: Map<String, Json>,
    pub(in crate::cluster) kube_proxy_config: Map<String, Json>,
    pub(in crate::cluster) cloud_provider: Option<String>,
    pub(in crate::cluster) node_name: Option<String>,
    pub(super) node_ip: Option<String>,
    pub(super) advertise_address: Option<String>,
    pub(super) bind_port: Option<u16>,
    cri_socket: Option<String>,
    kubelet_extra_args: BTreeMap<String, String>,
    taints: Option<Vec<Taint>>,
    image_pull_policy: Option<String>,
    image_pull_serial: Option<bool>,
    pub(super) skip_phases: Vec<String>,
    patches: Option<String>,
    ignore_preflight_errors: Vec<String>,
    pub(super) max_unavailable: Option<usize>,
    pub(super) renew_before: Option<String>,
    timeouts: Waits,
}

/// What etcd's static pods are made of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EtcdSettings {
    #[serde(skip_serializing)]
    etcd_extra_args: BTreeMap<String, String>,
    #[serde(skip_serializing)]
    etcd_extra_envs: BTreeMap<String, String>,
    #[serde(skip_serializing)]
    etcd_image: Option<ImageSettings>,
}

#[derive(Debug, Clone, Deserialize)]
struct Volume {
    name: String,
    host_path: String,
    mount_path: String,
    read_only: Option<bool>,
    path_type: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
struct ExternalEtcd {
    endpoints: Vec<String>,
    ca_file: Option<String>,
    cert_file: Option<String>,
    key_file: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct ImageSettings {
    repository: Option<String>,
    tag: Option<String>,
}

impl Settings {
    /// `ClusterConfiguration`.
    pub(super) fn cluster(&self, version: KubernetesVersion) -> Result<config::Cluster, Mistake> {
        let component = |args: &BTreeMap<_, _>, envs: &BTreeMap<_, _>, volumes: &[Volume]| Component {
            extra_args: args.clone(),
            extra_envs: envs.clone(),
            extra_volumes: volumes.iter().map(Volume::to_config).collect(),
        };
        Ok(config::Cluster {
            control_plane_endpoint: self.control_plane_endpoint.clone(),
            pod_subnet: self.pod_subnet.clone(),
            service_subnet: self.service_subnet.clone(),
            dns_domain: self.dns_domain.clone(),
            cert_sans: self.cert_sans.clone(),
            api_server: component(
                &self.api_server_extra_args,
                &self.api_server_extra_envs,
                &self.api_server_extra_volumes,
            ),
            controller_manager: component(
                &self.controller_manager_extra_args,
                &self.controller_manager_extra_envs,
                &self.controller_manager_extra_volumes,
            ),
            scheduler: component(
                &self.scheduler_extra_args,
                &self.scheduler_extra_envs,
                &self.scheduler_extra_volumes,
            ),
            etcd: self.etcd()?,
            feature_gates: self.feature_gates.clone(),
            image_repository: self.image_repository.clone(),
            dns_image: to_image(self.dns_image.as_ref()),
            encryption_algorithm: self.encryption_algorithm.clone(),
            certificate_validity: time(
                "certificate_validity_period",
                self.certificate_validity_period.as_deref(),
            )?,
            ca_certificate_validity: time(
                "ca_certificate_validity_period",
                self.ca_certificate_validity_period.as_deref(),
            )?,
            ..config::Cluster::new(version)
        })
    }

    /// Whether etcd runs on the control planes.
    pub(super) fn has_own_etcd(&self) -> bool {
        self.external_etcd.is_none()
    }

    fn etcd(&self) -> Result<config::Etcd, Mistake> {
        let EtcdSettings { etcd_extra_args, etcd_extra_envs, etcd_image } = &self.etcd;
        let Some(external) = &self.external_etcd else {
            return Ok(config::Etcd::Local(config::LocalEtcd {
                extra_args: etcd_extra_args.clone(),
                extra_envs: etcd_extra_envs.clone(),
                image: to_image(etcd_image.as_ref()),
                data_dir: self.etcd_data_dir.clone(),
                server_cert_sans: self.etcd_server_cert_sans.clone(),
                peer_cert_sans: self.etcd_peer_cert_sans.clone(),
            }));
        };
        let local = self.etcd != EtcdSettings::default()
            || self.etcd_data_dir.is_some()
            || !self.etcd_server_cert_sans.is_empty()
            || !self.etcd_peer_cert_sans.is_empty();
        if local {
            let problem = "an external etcd has its own settings: take external_etcd out, or the etcd_… ones";
            return Err(Mistake { attribute: "external_etcd", problem: problem.into() });
        }
        let path = |path: &Option<String>| path.clone().unwrap_or_default();
        Ok(config::Etcd::External {
            endpoints: external.endpoints.clone(),
            ca_file: path(&external.ca_file),
            cert_file: path(&external.cert_file),
            key_file: path(&external.key_file),
        })
    }

    /// `InitConfiguration`. `ip` is the node's address where none is given.
    pub(super) fn init(
        &self,
        name: Option<&str>,
        endpoint: LocalEndpoint,
        ip: &str,
    ) -> Result<config::Init, Mistake> {
        if let Some(other) = self.cloud_provider.as_deref().filter(|provider| *provider != "external") {
            let problem = format!(
                "{other:?} is not in Kubernetes any more: write `external`, and run its cloud controller manager"
            );
            return Err(Mistake { attribute: "cloud_provider", problem });
        }
        let mut kubelet_extra_args = self.kubelet_extra_args.clone();
        let ip = self.node_ip.as_deref().or(self.advertise_address.as_deref()).unwrap_or(ip);
        if ip.parse::<IpAddr>().is_ok() {
            kubelet_extra_args.entry("node-ip".into()).or_insert_with(|| ip.into());
        }
        if let Some(provider) = &self.cloud_provider {
            kubelet_extra_args.entry("cloud-provider".into()).or_insert_with(|| provider.clone());
        }
        Ok(config::Init {
            node: NodeRegistration {
                name: name.map(str::to_owned),
                cri_socket: self.cri_socket.clone(),
                taints: self.taints.as_ref().map(|taints| taints.iter().map(Taint::to_config).collect()),
                kubelet_extra_args,
                ignore_preflight_errors: self.ignore_preflight_errors.clone(),
                image_pull_policy: self.image_pull_policy.clone(),
                image_pull_serial: self.image_pull_serial,
            },
            endpoint,
            token_ttl: Some(Duration::from_secs(15 * 60)),
            skip_phases: self.skip_phases.clone(),
            patches: self.patches.clone(),
            timeouts: self
                .timeouts
                .to_config()
                .map_err(|problem| Mistake { attribute: timeouts::ATTRIBUTE, problem })?,
            ..config::Init::default()
        })
    }

    /// Whether kube-proxy is installed.
    pub(in crate::cluster) fn has_kube_proxy(&self) -> bool {
        installs_kube_proxy(self.skip_phases.iter().map(String::as_str))
    }

    /// The pods' range.
    pub(in crate::cluster) fn pods(&self) -> Option<&str> {
        self.pod_subnet.as_deref()
    }

    /// What `kubeadm upgrade` does not remember: given anew each time.
    pub(in crate::cluster) fn upgrade_flags(&self, version: &KubernetesVersion) -> Vec<String> {
        kubelet::upgrade_flags(self.patches.as_deref(), &self.ignore_preflight_errors, version)
    }

    /// `KubeletConfiguration` and, where there is one, `KubeProxyConfiguration`.
    pub(super) fn components(&self) -> (config::Kubelet, Option<config::KubeProxy>) {
        let kubelet = config::Kubelet { extra: self.kubelet_config.clone(), ..config::Kubelet::default() };
        let proxy = (!self.kube_proxy_config.is_empty())
            .then(|| config::KubeProxy { mode: None, extra: self.kube_proxy_config.clone() });
        (kubelet, proxy)
    }
}

/// Whether init installs kube-proxy when it skips these phases.
pub(super) fn installs_kube_proxy<'a>(mut skipped: impl Iterator<Item = &'a str>) -> bool {
    !skipped.any(|phase| phase == "addon/kube-proxy" || phase == "addon")
}

impl Volume {
    fn to_config(&self) -> config::Volume {
        config::Volume {
            name: self.name.clone(),
            host_path: self.host_path.clone(),
            mount_path: self.mount_path.clone(),
            read_only: self.read_only.unwrap_or(false),
            path_type: self.path_type.clone(),
        }
    }
}

fn to_image(image: Option<&ImageSettings>) -> Image {
    let Some(image) = image else { return Image::default() };
    Image { repository: image.repository.clone(), tag: image.tag.clone() }
}

fn time(attribute: &'static str, text: Option<&str>) -> Result<Option<Duration>, Mistake> {
    text.map(duration::parse).transpose().map_err(|problem| Mistake { attribute, problem })
}

/// The argument that a field of kubeadm's configuration comes from; the version is to blame for the rest.
pub(super) fn attribute(field: Option<&str>) -> &'static str {
    const FIELDS: &[(&str, &str)] = &[
        ("controlPlaneEndpoint", "control_plane_endpoint"),
        ("networking.podSubnet", "pod_subnet"),
        ("networking.serviceSubnet", "service_subnet"),
        ("networking.dnsDomain", "dns_domain"),
        ("apiServer.certSANs", "cert_sans"),
        ("apiServer.extraArgs", "api_server_extra_args"),
        ("apiServer.extraEnvs", "api_server_extra_envs"),
        ("apiServer.extraVolumes", "api_server_extra_volumes"),
        ("controllerManager.extraArgs", "controller_manager_extra_args"),
        ("controllerManager.extraEnvs", "controller_manager_extra_envs"),
        ("controllerManager.extraVolumes", "controller_manager_extra_volumes"),
        ("scheduler.extraArgs", "scheduler_extra_args"),
        ("scheduler.extraEnvs", "scheduler_extra_envs"),
        ("scheduler.extraVolumes", "scheduler_extra_volumes"),
        ("etcd.local.extraEnvs", "etcd_extra_envs"),
        ("etcd.local.dataDir", "etcd_data_dir"),
        ("etcd.local.serverCertSANs", "etcd_server_cert_sans"),
        ("etcd.local.peerCertSANs", "etcd_peer_cert_sans"),
        ("etcd.external", "external_etcd"),
        ("featureGates", "feature_gates"),
        ("encryptionAlgorithm", "encryption_algorithm"),
        ("certificateValidityPeriod", "certificate_validity_period"),
        ("caCertificateValidityPeriod", "ca_certificate_validity_period"),
        ("mode", "kube_proxy_config"),
        ("nodeRegistration.name", "node_name"),
        ("nodeRegistration.criSocket", "cri_socket"),
        ("nodeRegistration.taints", "taints"),
        ("nodeRegistration.kubeletExtraArgs", "kubelet_extra_args"),
        ("nodeRegistration.imagePullPolicy", "image_pull_policy"),
        ("nodeRegistration.imagePullSerial", "image_pull_serial"),
        ("skipPhases", "skip_phases"),
        ("patches.directory", "patches"),
        ("timeouts", "timeouts"),
    ];
    // `mode: nftables` is about one value of the field.
    let name = field.and_then(|field| field.split(':').next());
    FIELDS.iter().find(|(known, _)| Some(*known) == name).map_or("version", |(_, attribute)| attribute)
}
