//! What kubeadm has kept in the cluster: the `ClusterConfiguration` of the ConfigMap `kubeadm-config`.

use serde_json::Value;

use super::Etcd;

/// Where etcd runs, as the cluster's own configuration says: what uploads certificates must know whose they are.
///
/// The section is the same in all versions of the API. What is not readable says nothing, and the default is kubeadm's.
pub fn stored_etcd(cluster_configuration: &str) -> Etcd {
    let stored: Value = serde_saphyr::from_str(cluster_configuration).unwrap_or_default();
    let external = &stored["etcd"]["external"];
    let text = |name: &str| external[name].as_str().unwrap_or_default().to_owned();
    let endpoints: Vec<String> = external["endpoints"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|e| Some(e.as_str()?.into()))
        .collect();
    if endpoints.is_empty() {
        return Etcd::default();
    }
    Etcd::External {
        endpoints,
        ca_file: text("caFile"),
        cert_file: text("certFile"),
        key_file: text("keyFile"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_external_etcd_is_found() {
        let text = "apiVersion: kubeadm.k8s.io/v1beta2\netcd:\n  external:\n    caFile: /ca\n    certFile: /c\n    \
                    endpoints:\n    - https://10.0.0.7:2379\n    keyFile: /k\nkind: ClusterConfiguration\n";
        let found = Etcd::External {
            endpoints: vec!["https://10.0.0.7:2379".into()],
            ca_file: "/ca".into(),
            cert_file: "/c".into(),
            key_file: "/k".into(),
        };
        assert_eq!(stored_etcd(text), found);
        assert_eq!(stored_etcd("etcd: {local: {dataDir: /var/lib/etcd}}"), Etcd::default());
        assert_eq!(stored_etcd(""), Etcd::default());
        assert_eq!(stored_etcd("etcd: [1"), Etcd::default());
    }
}
