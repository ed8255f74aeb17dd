//! Taints as plans write them.

use grappe_kubeadm::config;
use grappe_value::{ObjectType, Type};
use serde::{Deserialize, Serialize};

/// `{ key = "zone", value = "dmz", effect = "NoSchedule" }`
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Taint {
    /// Its key.
    pub key: String,
    /// Its value; often none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    pub effect: String,
}

impl Taint {
    /// As kubeadm's configuration takes it.
    pub fn to_config(&self) -> config::Taint {
        config::Taint { key: self.key.clone(), value: self.value.clone(), effect: self.effect.clone() }
    }
}

/// The type of one.
pub fn ty() -> Type {
    Type::Object(
        ObjectType {
            attributes: ["key", "value", "effect"].map(|name| (name.into(), Type::String)).into(),
            optional: ["value".into()].into(),
        }
        .into(),
    )
}
