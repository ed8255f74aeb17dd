//! What `kubeadm_cluster` takes, as plans write it: kubeadm's own fields, in snake case.

use grappe_provider_host::Connection;
use grappe_value::{Attribute, ObjectType, Schema, Type};

use crate::taints;
use crate::timeouts::{self, Waits};

/// The arguments; the computed attributes are the resource's.
pub(in crate::cluster) fn schema() -> Schema {
    let schema = Schema::new("A Kubernetes cluster, made by `kubeadm init` on one machine.")
        .attr("host", Attribute::required(Connection::ty(), "The machine to run init on. Once the cluster is made, another machine here changes nothing.").record())
        .attr(
            "control_planes",
            Attribute::optional(Type::list(Connection::ty()), "The machines through which the cluster can be managed: all that are, or will be, control planes. By default the host alone.").record(),
        )
        .attr("name", Attribute::optional(Type::String, "The cluster's name in kubeconfigs.").default("kubernetes").replace())
        .attr("version", Attribute::required(Type::String, "The Kubernetes release, such as `1.34.2`. A later one upgrades: the control planes' components with this resource, hop by hop of one minor each, then each node's kubelet with its own. It cannot be taken back."))
        .attr("max_unavailable", Attribute::optional(Type::Number, "How many workers an upgrade takes out of service at once.").default(1).record())
        .attr("renew_before", Attribute::optional(Type::String, "How long before their end the control planes' certificates are renewed, as `720h`; in the last third of their life at the earliest.").default("720h").record());
    first_node(etcd(components(networking(schema))))
}

fn strings() -> Type {
    Type::list(Type::String)
}

fn map() -> Type {
    Type::map(Type::String)
}

fn networking(schema: Schema) -> Schema {
    schema
        .attr("control_plane_endpoint", Attribute::optional(Type::String, "`host:port` under which all control planes are reached: a load balancer or, better, a name for it. By default the first machine's own.").replace())
        .attr("pod_subnet", Attribute::optional(Type::String, "The pods' range, such as `10.244.0.0/16`. Most network plugins need it.").replace())
        .attr("service_subnet", Attribute::optional(Type::String, "The services' range.").default("10.96.0.0/12").replace())
        .attr("dns_domain", Attribute::optional(Type::String, "The services' domain.").default("cluster.local").replace())
}

fn components(schema: Schema) -> Schema {
    schema
        .attr("cert_sans", Attribute::optional(strings(), "More names and addresses for the API server's certificate."))
        .attr("api_server_extra_args", Attribute::optional(map(), "Arguments of the API servers, by name without dashes."))
        .attr("api_server_extra_envs", Attribute::optional(map(), "Environment variables of the API servers (1.31 and later)."))
        .attr("api_server_extra_volumes", Attribute::optional(volumes(), "Files and folders of the control planes to mount into the API servers, such as an audit policy: `name`, `host_path`, `mount_path`, perhaps `read_only` and `path_type` (`File`, `DirectoryOrCreate`, …)."))
        .attr("controller_manager_extra_args", Attribute::optional(map(), "Arguments of the controller managers."))
        .attr("controller_manager_extra_envs", Attribute::optional(map(), "Environment variables of the controller managers (1.31 and later)."))
        .attr("controller_manager_extra_volumes", Attribute::optional(volumes(), "As `api_server_extra_volumes`, for the controller managers."))
        .attr("scheduler_extra_args", Attribute::optional(map(), "Arguments of the schedulers."))
        .attr("scheduler_extra_envs", Attribute::optional(map(), "Environment variables of the schedulers (1.31 and later)."))
        .attr("scheduler_extra_volumes", Attribute::optional(volumes(), "As `api_server_extra_volumes`, for the schedulers."))
        .attr("feature_gates", Attribute::optional(Type::map(Type::Bool), "kubeadm's own feature gates."))
        .attr("image_repository", Attribute::optional(Type::String, "Where the control plane's images come from."))
        .attr("dns_image", Attribute::optional(image(), "Another image of CoreDNS: `repository` (without the image's name), `tag`."))
        .attr("encryption_algorithm", Attribute::optional(Type::String, "Of the keys that kubeadm makes (1.31 and later): `RSA-2048` (its default), `RSA-3072`, `RSA-4096`, `ECDSA-P256` or, from 1.34 on, `ECDSA-P384`. A change is for keys made later."))
        .attr("certificate_validity_period", Attribute::optional(Type::String, "How long certificates live (1.31 and later), such as `8760h`, kubeadm's default. A change is for certificates made later."))
        .attr("ca_certificate_validity_period", Attribute::optional(Type::String, "How long the cluster's CAs live (1.31 and later), such as `87600h`, kubeadm's default.").record())
        .attr("kubelet_config", Attribute::optional(Type::Any, "Fields of KubeletConfiguration for all nodes, as an object. `cgroupDriver` is `systemd` by default. A change is for nodes that join, or whose kubelet is upgraded, later."))
        .attr("kube_proxy_config", Attribute::optional(Type::Any, "Fields of KubeProxyConfiguration, as an object. A change restarts kube-proxy, node by node."))
        .attr("cloud_provider", Attribute::optional(Type::String, "`external` where a cloud controller manager will look after the nodes: every kubelet that joins is started with it, and its node keeps the taint `node.cloudprovider.kubernetes.io/uninitialized` until that manager has seen it. The network plugin and the manager must tolerate the taint. API servers and controller managers get no such argument.").record())
}

fn etcd(schema: Schema) -> Schema {
    schema
        .attr("etcd_extra_args", Attribute::optional(map(), "Arguments of etcd. Slow machines want `heartbeat-interval = 500` and `election-timeout = 5000`."))
        .attr("etcd_extra_envs", Attribute::optional(map(), "Environment variables of etcd (1.31 and later)."))
        .attr("etcd_image", Attribute::optional(image(), "Another image of etcd: `repository` (without the image's name), `tag`. kubeadm's upgrades then leave etcd alone."))
        .attr("etcd_data_dir", Attribute::optional(Type::String, "Where etcd keeps its data on the control planes; `/var/lib/etcd` by default.").replace())
        .attr("etcd_server_cert_sans", Attribute::optional(strings(), "More names and addresses for the certificates that etcd's members show to clients.").record())
        .attr("etcd_peer_cert_sans", Attribute::optional(strings(), "More names and addresses for the certificates that etcd's members show to each other.").record())
        .attr(
            "external_etcd",
            Attribute::optional(
                object(&["endpoints", "ca_file", "cert_file", "key_file"], &["ca_file", "cert_file", "key_file"], &[("endpoints", strings())]),
                "An etcd on other machines, in place of one on the control planes: `endpoints` (`https://host:2379` of each member), and the \
                 paths of `ca_file`, `cert_file` and `key_file`, which must be on the first machine: kubeadm hands them on to the control planes that join.",
            )
            .replace(),
        )
}

fn first_node(schema: Schema) -> Schema {
    schema
        .attr("node_name", Attribute::optional(Type::String, "The first node's name; its host name by default.").record())
        .attr("node_ip", Attribute::optional(Type::String, "The first node's address; what the API server advertises by default.").record())
        .attr("advertise_address", Attribute::optional(Type::String, "The address that the first API server advertises; `node_ip`, or else the host's address, by default.").record())
        .attr("bind_port", Attribute::optional(Type::Number, "The first API server's port; 6443 by default.").record())
        .attr("cri_socket", Attribute::optional(Type::String, "The socket of the first node's container runtime; containerd's, `/run/containerd/containerd.sock`, by default.").record())
        .attr("kubelet_extra_args", Attribute::optional(map(), "Arguments of the first node's kubelet.").record())
        .attr("taints", Attribute::optional(Type::list(taints::ty()), "The first node's taints; kubeadm's control plane taint by default, none if empty.").record())
        .attr("image_pull_policy", Attribute::optional(Type::String, "Whether init pulls images (1.22 and later): `Always`, `IfNotPresent` (the default) or `Never`.").record())
        .attr("image_pull_serial", Attribute::optional(Type::Bool, "Whether init pulls one image after the other (1.31 and later), as it does by default.").record())
        .attr("skip_phases", Attribute::optional(strings(), "Phases of init to leave out, such as `addon/kube-proxy` where the network plugin does its work.").record())
        .attr("patches", Attribute::optional(Type::String, "A folder on the machine with patches for its static pods (1.19 and later).").record())
        .attr("ignore_preflight_errors", Attribute::optional(strings(), "Preflight checks whose errors are only warnings.").record())
        .attr(
            timeouts::ATTRIBUTE,
            Waits::attribute(
                "How long init waits, such as `{ control_plane_component_health_check = \"6m\" }`; before 1.31 that is the only one. The others: \
                 `kubelet_health_check`, `kubernetes_api_call`, `etcd_api_call`, `tls_bootstrap`, `discovery`, `upgrade_manifests`.",
            ),
        )
}

fn volumes() -> Type {
    let names = ["name", "host_path", "mount_path", "read_only", "path_type"];
    Type::list(object(&names, &["read_only", "path_type"], &[("read_only", Type::Bool)]))
}

fn image() -> Type {
    Type::optional_object([("repository", Type::String), ("tag", Type::String)])
}

/// An object of strings, but for what `types` says; `optional` may be left out.
fn object(names: &[&str], optional: &[&str], types: &[(&str, Type)]) -> Type {
    let of = |name: &str| {
        types.iter().find(|(known, _)| *known == name).map_or(Type::String, |(_, ty)| ty.clone())
    };
    Type::Object(
        ObjectType {
            attributes: names.iter().map(|name| ((*name).into(), of(name))).collect(),
            optional: optional.iter().map(|name| (*name).into()).collect(),
        }
        .into(),
    )
}
