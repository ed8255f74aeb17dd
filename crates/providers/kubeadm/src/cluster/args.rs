//! The arguments of `kubeadm_cluster`: what is checked while planning, and the files they become.

mod schema;
mod settings;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use grappe_kubeadm::config::{self, LocalEndpoint};
use grappe_provider::{Fault, Problem};
use grappe_provider_host::duration;
use grappe_value::{Type, Value, json};
use serde::Deserialize;
use serde_json::{Map, Value as Json};

pub(super) use self::schema::schema;
pub use self::settings::EtcdSettings;
use self::settings::{Mistake, Settings, attribute, installs_kube_proxy};
use crate::access::ClusterRef;
use crate::client::Machine;
use crate::node;

/// What the configuration says.
#[derive(Debug, Clone, Deserialize)]
pub struct Args {
    pub(super) host: Machine,
    #[serde(default)]
    pub(super) control_planes: Option<Vec<Machine>>,
    name: String,
    pub(super) version: String,
    #[serde(flatten)]
    pub(super) settings: Settings,
}

/// What is wrong before any machine is asked; values that are not known yet are passed over.
pub(super) fn validate(config: &Value) -> Vec<Problem> {
    if let Some(Err(problem)) = config.get("renew_before").and_then(Value::as_str).map(duration::parse) {
        return vec![Problem::new("renew_before", problem)];
    }
    let places = config.get("max_unavailable").and_then(Value::as_number);
    if places.is_some_and(|places| places.as_i64().is_none_or(|places| places < 1)) {
        return vec![Problem::new("max_unavailable", "it must be a whole number, 1 or more")];
    }
    let Some(version) = config.get("version").and_then(Value::as_str) else { return Vec::new() };
    let version = match version.parse::<grappe_kubeadm::version::KubernetesVersion>() {
        Ok(version) => version,
        Err(error) => return vec![Problem::new("version", error.to_string())],
    };
    let known = config.as_entries().into_iter().flatten();
    let known: Map<String, Json> = known
        .filter(|(_, value)| value.is_wholly_known() && !value.is_null())
        .map(|(name, value)| (name.to_string(), json::to_args(value)))
        .collect();
    // The schema has seen to the types; what it leaves open (`kubelet_config`) may still not fit.
    let settings: Settings = match serde_json::from_value(Json::Object(known)) {
        Ok(settings) => settings,
        Err(_) => {
            let odd = ["kubelet_config", "kube_proxy_config"].into_iter().find(|name| {
                config.get(name).is_some_and(|value| !value.is_null() && value.as_entries().is_none())
            });
            return vec![Problem::new(odd.unwrap_or("version"), "it must be an object of fields")];
        }
    };
    let checked = settings.cluster(version).and_then(|model| {
        let init = settings.init(settings.node_name.as_deref(), LocalEndpoint::default(), "")?;
        let (kubelet, proxy) = settings.components();
        config::init(&init, &model, &kubelet, proxy.as_ref())
            .map(|_| ())
            .and_then(|()| config::machines(&model, &addresses(config)))
            .map_err(|error| Mistake { attribute: attribute(error.field()), problem: error.to_string() })
    });
    let mut problems: Vec<Problem> =
        checked.err().map(|mistake| Problem::new(mistake.attribute, mistake.problem)).into_iter().collect();
    problems.extend(settings.has_own_etcd().then(|| even(config)).flatten());
    problems
}

/// etcd's quorum is more than half: of four members one may fail, as of three.
fn even(config: &Value) -> Option<Problem> {
    let count = config.get("control_planes").and_then(Value::as_items)?.len();
    if count == 0 || count % 2 == 1 {
        return None;
    }
    let message = format!(
        "{count} control planes bear the failure of no more machines than {} would: etcd needs more than half of its members",
        count - 1
    );
    let problem = Problem::warning("control_planes", message);
    Some(problem.hint("an odd number is the better one, unless this is on the way to another"))
}

/// The machines' addresses, as far as they are known.
fn addresses(config: &Value) -> Vec<IpAddr> {
    let address = |machine: &Value| machine.get("address").and_then(Value::as_str).map(str::to_owned);
    let machines = config.get("control_planes").and_then(Value::as_items).unwrap_or_default();
    let of_machines = config.get("host").into_iter().chain(machines).filter_map(address);
    let own = ["node_ip", "advertise_address"].into_iter().filter_map(|name| config.get(name)?.as_str());
    of_machines.chain(own.map(str::to_owned)).filter_map(|text| text.parse().ok()).collect()
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

/// Whether the cluster will have kube-proxy, as far as the plan knows it.
pub(super) fn planned_kube_proxy(planned: &Value) -> Value {
    match planned.get("skip_phases") {
        Some(phases) if phases.is_unknown() => Value::unknown_not_null(Type::Bool),
        phases => {
            let names = phases.and_then(Value::as_items).unwrap_or_default();
            installs_kube_proxy(names.iter().filter_map(Value::as_str)).into()
        }
    }
}

fn with_port(address: &str, port: i64) -> String {
    if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") }
}

impl Args {
    /// Where the first API server listens.
    pub(super) fn local_endpoint(&self) -> Result<LocalEndpoint, Fault> {
        let settings = &self.settings;
        let given = settings.advertise_address.as_ref().or(settings.node_ip.as_ref());
        let address = given.unwrap_or(&self.host.address);
        if address.parse::<IpAddr>().is_err() {
            return Err(Fault::permanent(format!(
                "{address:?} is not an IP address, and an API server advertises one"
            ))
            .attribute("advertise_address")
            .hint("set advertise_address, for example to kubeadm_host.NAME.node_ip"));
        }
        Ok(LocalEndpoint { advertise_address: Some(address.clone()), bind_port: settings.bind_port })
    }

    pub(super) fn cluster_ref(&self, id: &str, hash: &str, endpoint: &LocalEndpoint) -> ClusterRef {
        let settings = &self.settings;
        let own = with_port(
            endpoint.advertise_address.as_deref().unwrap_or(&self.host.address),
            endpoint.bind_port.unwrap_or(6443).into(),
        );
        ClusterRef {
            id: id.into(),
            name: self.name.clone(),
            endpoint: settings.control_plane_endpoint.clone().unwrap_or(own),
            version: self.version.clone(),
            ca_cert_hash: hash.into(),
            pod_subnet: settings.pod_subnet.clone(),
            service_subnet: settings.service_subnet.clone(),
            cloud_provider: settings.cloud_provider.clone(),
            kube_proxy: Some(settings.has_kube_proxy()),
            max_unavailable: settings.max_unavailable,
            renew_before: settings.renew_before.clone(),
            control_planes: self.control_planes.clone().unwrap_or_else(|| vec![self.host.clone()]),
        }
    }

    /// The file of init, with the cluster's settings, for a node of this name on this endpoint.
    pub(super) fn init_file(&self, endpoint: &LocalEndpoint, name: &str) -> Result<config::Rendered, Fault> {
        let settings = &self.settings;
        let blame = |mistake: Mistake| Fault::permanent(mistake.problem).attribute(mistake.attribute);
        let model = config::Cluster {
            name: Some(self.name.clone()),
            control_plane_endpoint: Some(self.cluster_ref("", "", endpoint).endpoint),
            ..settings.cluster(node::version(&self.version)?).map_err(blame)?
        };
        let init = settings.init(Some(name), endpoint.clone(), &self.host.address).map_err(blame)?;
        let (kubelet, proxy) = settings.components();
        config::init(&init, &model, &kubelet, proxy.as_ref()).map_err(|error| {
            let attribute = attribute(error.field());
            Fault::permanent(error.to_string()).attribute(attribute)
        })
    }
}
