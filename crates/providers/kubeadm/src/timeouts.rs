//! `timeouts`: how long kubeadm itself waits, as plans write it.

use std::collections::BTreeMap;

use grappe_kubeadm::config;
use grappe_provider_host::duration;
use grappe_value::{Attribute, Type, Value};
use serde::Deserialize;

/// The argument's name.
pub(crate) const ATTRIBUTE: &str = "timeouts";

/// The names in it, in the order of kubeadm's own section.
const NAMES: [&str; 7] = [
    "control_plane_component_health_check",
    "kubelet_health_check",
    "kubernetes_api_call",
    "etcd_api_call",
    "tls_bootstrap",
    "discovery",
    "upgrade_manifests",
];

/// What was given of them.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(transparent)]
pub(crate) struct Waits(BTreeMap<String, Option<String>>);

impl Waits {
    /// The argument, with what it says of itself.
    pub(crate) fn attribute(description: &'static str) -> Attribute {
        Attribute::optional(Type::optional_object(NAMES.map(|name| (name, Type::String))), description)
            .record()
    }

    /// What of it is known while planning.
    pub(crate) fn known(given: &Value) -> Waits {
        let known = given.as_entries().into_iter().flatten();
        Waits(known.map(|(name, time)| (name.to_string(), time.as_str().map(str::to_owned))).collect())
    }

    /// As kubeadm's configuration has them; an error says what is no duration.
    pub(crate) fn to_config(&self) -> Result<config::Timeouts, String> {
        let of = |name: &str| self.0.get(name).and_then(Option::as_deref).map(duration::parse).transpose();
        let [control_plane, kubelet, api, etcd, tls, discovery, upgrade] = NAMES;
        Ok(config::Timeouts {
            control_plane_health: of(control_plane)?,
            kubelet_health: of(kubelet)?,
            kubernetes_api_call: of(api)?,
            etcd_api_call: of(etcd)?,
            tls_bootstrap: of(tls)?,
            discovery: of(discovery)?,
            upgrade_manifests: of(upgrade)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn of(name: &'static str, time: Value) -> Result<config::Timeouts, String> {
        Waits::known(&Value::object([(name, time)])).to_config()
    }

    #[test]
    fn what_is_known_is_read_and_what_is_no_duration_named() {
        assert_eq!(of("discovery", "10m".into()).unwrap().discovery, Some(Duration::from_secs(600)));
        assert_eq!(of("discovery", Value::unknown(Type::String)), Ok(config::Timeouts::default()));
        assert!(of("tls_bootstrap", "soon".into()).unwrap_err().contains("soon"));
    }
}
