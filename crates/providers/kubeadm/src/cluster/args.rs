//! The arguments of `kubeadm_cluster`, and what they become in kubeadm's words.

use std::collections::BTreeMap;
use std::net::IpAddr;

use grappe_kubeadm::config::{self, Component, LocalEndpoint, NodeRegistration};
use grappe_provider::{Fault, Problem};
use grappe_provider_host::Connection;
use grappe_value::{Attribute, Schema, Type, Value};
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use crate::access::ClusterRef;
use crate::client::Machine;
use crate::node;
use crate::taints::{self, Taint};

/// What the configuration says.
#[derive(Debug, Clone, Deserialize)]
pub struct Args {
    pub(super) host: Machine,
    #[serde(default)]
    control_planes: Option<Vec<Machine>>,
    name: String,
    pub(super) version: String,
    control_plane_endpoint: Option<String>,
    pod_subnet: Option<String>,
    service_subnet: Option<String>,
    dns_domain: Option<String>,
    #[serde(default)]
    pub(super) cert_sans: Vec<String>,
    #[serde(default)]
    api_server_extra_args: BTreeMap<String, String>,
    #[serde(default)]
    controller_manager_extra_args: BTreeMap<String, String>,
    #[serde(default)]
    scheduler_extra_args: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) etcd_extra_args: BTreeMap<String, String>,
    #[serde(default)]
    feature_gates: BTreeMap<String, bool>,
    image_repository: Option<String>,
    #[serde(default)]
    kubelet_config: Map<String, Json>,
    #[serde(default)]
    kube_proxy_config: Map<String, Json>,
    pub(super) node_name: Option<String>,
    node_ip: Option<String>,
    advertise_address: Option<String>,
    bind_port: Option<u16>,
    #[serde(default)]
    kubelet_extra_args: BTreeMap<String, String>,
    taints: Option<Vec<Taint>>,
    #[serde(default)]
    pub(super) skip_phases: Vec<String>,
    pub(super) patches: Option<String>,
    #[serde(default)]
    ignore_preflight_errors: Vec<String>,
}

/// The arguments; the computed attributes are the resource's.
pub(super) fn schema() -> Schema {
    let strings = || Type::list(Type::String);
    let args = || Type::map(Type::String);
    Schema::new("A Kubernetes cluster, made by `kubeadm init` on one machine.")
        .attr("host", Attribute::required(Connection::ty(), "The machine to run init on. Once the cluster is made, another machine here changes nothing.").record())
        .attr(
            "control_planes",
            Attribute::optional(Type::list(Connection::ty()), "The machines through which the cluster can be managed: all that are, or will be, control planes. By default the host alone.").record(),
        )
        .attr("name", Attribute::optional(Type::String, "The cluster's name in kubeconfigs.").default("kubernetes").replace())
        .attr("version", Attribute::required(Type::String, "The Kubernetes release, such as `1.34.2`."))
        .attr("control_plane_endpoint", Attribute::optional(Type::String, "`host:port` under which all control planes are reached: a load balancer or, better, a name for it. By default the first machine's own.").replace())
        .attr("pod_subnet", Attribute::optional(Type::String, "The pods' range, such as `10.244.0.0/16`. Most network plugins need it.").replace())
        .attr("service_subnet", Attribute::optional(Type::String, "The services' range.").default("10.96.0.0/12").replace())
        .attr("dns_domain", Attribute::optional(Type::String, "The services' domain.").default("cluster.local").replace())
        .attr("cert_sans", Attribute::optional(strings(), "More names and addresses for the API server's certificate."))
        .attr("api_server_extra_args", Attribute::optional(args(), "Arguments of the API servers, by name without dashes."))
        .attr("controller_manager_extra_args", Attribute::optional(args(), "Arguments of the controller managers."))
        .attr("scheduler_extra_args", Attribute::optional(args(), "Arguments of the schedulers."))
        .attr("etcd_extra_args", Attribute::optional(args(), "Arguments of etcd. Slow machines want `heartbeat-interval = 500` and `election-timeout = 5000`."))
        .attr("feature_gates", Attribute::optional(Type::map(Type::Bool), "kubeadm's own feature gates."))
        .attr("image_repository", Attribute::optional(Type::String, "Where the control plane's images come from."))
        .attr("kubelet_config", Attribute::optional(Type::Any, "Fields of KubeletConfiguration for all nodes, as an object.").record())
        .attr("kube_proxy_config", Attribute::optional(Type::Any, "Fields of KubeProxyConfiguration, as an object.").record())
        .attr("node_name", Attribute::optional(Type::String, "The first node's name; its host name by default.").record())
        .attr("node_ip", Attribute::optional(Type::String, "The first node's address; what the API server advertises by default.").record())
        .attr("advertise_address", Attribute::optional(Type::String, "The address that the first API server advertises; `node_ip`, or else the host's address, by default.").record())
        .attr("bind_port", Attribute::optional(Type::Number, "The first API server's port; 6443 by default.").record())
        .attr("kubelet_extra_args", Attribute::optional(args(), "Arguments of the first node's kubelet.").record())
        .attr("taints", Attribute::optional(Type::list(taints::ty()), "The first node's taints; kubeadm's control plane taint by default, none if empty.").record())
        .attr("skip_phases", Attribute::optional(strings(), "Phases of init to leave out, such as `addon/kube-proxy`.").record())
        .attr("patches", Attribute::optional(Type::String, "A folder on the machine with patches for its static pods.").record())
        .attr("ignore_preflight_errors", Attribute::optional(strings(), "Preflight checks whose errors are only warnings.").record())
}

/// What is wrong before any machine is asked; values that are not known yet are passed over.
pub(super) fn validate(config: &Value) -> Vec<Problem> {
    let text = |name: &str| config.get(name).and_then(Value::as_str).map(str::to_owned);
    let Some(version) = text("version") else { return Vec::new() };
    let version = match version.parse::<grappe_kubeadm::version::KubernetesVersion>() {
        Ok(version) => version,
        Err(error) => return vec![Problem::new("version", error.to_string())],
    };
    let model = config::Cluster {
        control_plane_endpoint: text("control_plane_endpoint"),
        pod_subnet: text("pod_subnet"),
        service_subnet: text("service_subnet"),
        ..config::Cluster::new(version)
    };
    let rendered = config::init(&config::Init::default(), &model, &config::Kubelet::default(), None);
    let attribute = |error: &config::Error| match error.field() {
        None => "version",
        Some("controlPlaneEndpoint") => "control_plane_endpoint",
        Some("networking.serviceSubnet") => "service_subnet",
        Some(_) => "pod_subnet",
    };
    rendered.err().map(|error| Problem::new(attribute(&error), error.to_string())).into_iter().collect()
}

/// The endpoint of a cluster without a load balancer, as far as the plan knows it.
pub(super) fn default_endpoint(planned: &Value) -> Value {
    let port = match planned.get("bind_port") {
        Some(port) if !port.is_null() => port.as_number().and_then(|n| n.as_i64()),
        _ => Some(6443),
    };
    let host = planned.get("host").and_then(|host| host.get("address"));
    let address = [planned.get("advertise_address"), planned.get("node_ip"), host]
        .into_iter()
        .flatten()
        .find(|value| !value.is_null())
        .and_then(Value::as_str);
    match (address, port) {
        (Some(address), Some(port)) => Value::from(with_port(address, port)),
        _ => Value::unknown_not_null(Type::String),
    }
}

fn with_port(address: &str, port: i64) -> String {
    if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") }
}

impl Args {
    /// Where the first API server listens.
    pub(super) fn local_endpoint(&self) -> Result<LocalEndpoint, Fault> {
        let address = self.advertise_address.as_ref().or(self.node_ip.as_ref()).unwrap_or(&self.host.address);
        if address.parse::<IpAddr>().is_err() {
            return Err(Fault::permanent(format!(
                "{address:?} is not an IP address, and an API server advertises one"
            ))
            .attribute("advertise_address")
            .hint("set advertise_address, for example to kubeadm_host.NAME.node_ip"));
        }
        Ok(LocalEndpoint { advertise_address: Some(address.clone()), bind_port: self.bind_port })
    }

    pub(super) fn cluster_ref(&self, id: &str, hash: &str, endpoint: &LocalEndpoint) -> ClusterRef {
        let own = with_port(
            endpoint.advertise_address.as_deref().unwrap_or(&self.host.address),
            endpoint.bind_port.unwrap_or(6443).into(),
        );
        ClusterRef {
            id: id.into(),
            name: self.name.clone(),
            endpoint: self.control_plane_endpoint.clone().unwrap_or(own),
            version: self.version.clone(),
            ca_cert_hash: hash.into(),
            pod_subnet: self.pod_subnet.clone(),
            service_subnet: self.service_subnet.clone(),
            control_planes: self.control_planes.clone().unwrap_or_else(|| vec![self.host.clone()]),
        }
    }

    pub(super) fn node_registration(&self, name: &str) -> NodeRegistration {
        let ip = self.node_ip.as_ref().or(self.advertise_address.as_ref()).unwrap_or(&self.host.address);
        let mut kubelet_extra_args = self.kubelet_extra_args.clone();
        if ip.parse::<IpAddr>().is_ok() {
            kubelet_extra_args.entry("node-ip".into()).or_insert_with(|| ip.clone());
        }
        NodeRegistration {
            name: Some(name.into()),
            taints: self.taints.as_ref().map(|taints| taints.iter().map(Taint::to_config).collect()),
            kubelet_extra_args,
            ignore_preflight_errors: self.ignore_preflight_errors.clone(),
            ..NodeRegistration::default()
        }
    }

    pub(super) fn cluster_config(&self, endpoint: &LocalEndpoint) -> Result<config::Cluster, Fault> {
        let component =
            |args: &BTreeMap<String, String>| Component { extra_args: args.clone(), ..Component::default() };
        Ok(config::Cluster {
            name: Some(self.name.clone()),
            control_plane_endpoint: Some(self.cluster_ref("", "", endpoint).endpoint),
            pod_subnet: self.pod_subnet.clone(),
            service_subnet: self.service_subnet.clone(),
            dns_domain: self.dns_domain.clone(),
            cert_sans: self.cert_sans.clone(),
            api_server: component(&self.api_server_extra_args),
            controller_manager: component(&self.controller_manager_extra_args),
            scheduler: component(&self.scheduler_extra_args),
            etcd: config::Etcd::Local(config::LocalEtcd {
                extra_args: self.etcd_extra_args.clone(),
                ..config::LocalEtcd::default()
            }),
            feature_gates: self.feature_gates.clone(),
            image_repository: self.image_repository.clone(),
            ..config::Cluster::new(node::version(&self.version)?)
        })
    }

    pub(super) fn component_configs(&self) -> (config::Kubelet, Option<config::KubeProxy>) {
        let kubelet = config::Kubelet { extra: self.kubelet_config.clone(), ..config::Kubelet::default() };
        let proxy = (!self.kube_proxy_config.is_empty())
            .then(|| config::KubeProxy { mode: None, extra: self.kube_proxy_config.clone() });
        (kubelet, proxy)
    }
}
