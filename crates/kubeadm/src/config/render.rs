//! The model as documents of one API version.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{
    Args, Cluster, Component, Error, Etcd, Image, Init, Join, KubeProxy, Kubelet, LocalEndpoint, LocalEtcd,
    NodeRegistration, Rendered, Taint, Timeouts, check, phases, yaml,
};
use crate::secret::Secret;
use crate::version::{ConfigApi, KubernetesVersion};

/// The file of `kubeadm init --config`.
///
/// # Errors
/// A version without the API or the field, or a mistake that kubeadm would only find on the machine.
pub fn init(
    init: &Init,
    cluster: &Cluster,
    kubelet: &Kubelet,
    proxy: Option<&KubeProxy>,
) -> Result<Rendered, Error> {
    let mut to = Renderer::new(&cluster.version)?;
    check::cluster(cluster)?;
    check::node(&init.node, &cluster.version)?;
    check::proxy(proxy, &cluster.version)?;
    phases::init(&init.skip_phases, &cluster.version)?;
    let mut documents = vec![to.init(init)?, to.cluster(cluster, &init.timeouts)?, kubelet_document(kubelet)];
    documents.extend(proxy.map(proxy_document));
    Ok(to.rendered(&documents))
}

/// The file of `kubeadm join --config`, for a node of this version.
///
/// # Errors
/// As [`init`].
pub fn join(join: &Join, version: &KubernetesVersion) -> Result<Rendered, Error> {
    let mut to = Renderer::new(version)?;
    check::endpoint("discovery.bootstrapToken.apiServerEndpoint", &join.discovery.api_server_endpoint)?;
    check::node(&join.node, version)?;
    phases::join(&join.skip_phases, version)?;
    let document = to.join(join)?;
    Ok(to.rendered(&[document]))
}

/// Renders for one version, and gathers the flags that stand in for missing fields.
struct Renderer<'a> {
    version: &'a KubernetesVersion,
    api: ConfigApi,
    flags: Vec<String>,
}

impl<'a> Renderer<'a> {
    fn new(version: &'a KubernetesVersion) -> Result<Self, Error> {
        Ok(Self { version, api: ConfigApi::for_version(version)?, flags: Vec::new() })
    }

    fn rendered(self, documents: &[Value]) -> Rendered {
        Rendered { yaml: Secret::new(yaml::documents(documents)), flags: self.flags }
    }

    fn document(&self, kind: &str) -> Document {
        Document::new(self.api.api_version(), kind)
    }

    fn init(&mut self, init: &Init) -> Result<Value, Error> {
        let mut doc = self.document("InitConfiguration");
        if let Some(ttl) = init.token_ttl {
            doc.put("bootstrapTokens", json!([{ "ttl": go_duration(ttl) }]));
        }
        doc.put("nodeRegistration", self.node(&init.node)?);
        doc.put("localAPIEndpoint", endpoint(&init.endpoint));
        doc.text("certificateKey", init.certificate_key.as_ref().map(Secret::expose));
        self.phases_and_patches(&mut doc, &init.skip_phases, init.patches.as_deref())?;
        if self.api >= ConfigApi::V1Beta4 {
            doc.put("timeouts", timeouts(&init.timeouts));
        } else {
            // control_plane_health goes into ClusterConfiguration: see `cluster`.
            let rest = Timeouts { control_plane_health: None, ..init.timeouts };
            self.needs_v4("timeouts", rest == Timeouts::default())?;
        }
        Ok(doc.done())
    }

    fn join(&mut self, join: &Join) -> Result<Value, Error> {
        let mut doc = self.document("JoinConfiguration");
        let mut discovery = Map::new();
        discovery.insert(
            "bootstrapToken".into(),
            json!({
                "token": join.discovery.token.expose(),
                "apiServerEndpoint": join.discovery.api_server_endpoint,
                "caCertHashes": join.discovery.ca_cert_hashes,
            }),
        );
        if self.api < ConfigApi::V1Beta4 {
            if let Some(time) = join.timeouts.discovery {
                discovery.insert("timeout".into(), go_duration(time).into());
            }
            let rest = Timeouts { discovery: None, ..join.timeouts };
            self.needs_v4("timeouts", rest == Timeouts::default())?;
        }
        doc.put("discovery", Value::Object(discovery));
        if let Some(control_plane) = &join.control_plane {
            let mut section = Map::new();
            section.insert("localAPIEndpoint".into(), endpoint(&control_plane.endpoint));
            section.insert("certificateKey".into(), control_plane.certificate_key.expose().into());
            doc.put("controlPlane", Value::Object(section));
        }
        doc.put("nodeRegistration", self.node(&join.node)?);
        self.phases_and_patches(&mut doc, &join.skip_phases, join.patches.as_deref())?;
        if self.api >= ConfigApi::V1Beta4 {
            doc.put("timeouts", timeouts(&join.timeouts));
        }
        Ok(doc.done())
    }

    fn cluster(&self, cluster: &Cluster, times: &Timeouts) -> Result<Value, Error> {
        let mut doc = self.document("ClusterConfiguration");
        doc.text("kubernetesVersion", Some(&cluster.version.tag()?));
        doc.text("clusterName", cluster.name.as_deref());
        doc.text("controlPlaneEndpoint", cluster.control_plane_endpoint.as_deref());
        let mut net = Document::section();
        net.text("podSubnet", cluster.pod_subnet.as_deref());
        net.text("serviceSubnet", cluster.service_subnet.as_deref());
        net.text("dnsDomain", cluster.dns_domain.as_deref());
        doc.put("networking", net.done());
        let mut api_server = self.component("apiServer.extraEnvs", &cluster.api_server)?;
        api_server.list("certSANs", &cluster.cert_sans);
        if self.api < ConfigApi::V1Beta4
            && let Some(time) = times.control_plane_health
        {
            api_server.text("timeoutForControlPlane", Some(&go_duration(time)));
        }
        doc.put("apiServer", api_server.done());
        let manager = self.component("controllerManager.extraEnvs", &cluster.controller_manager)?;
        doc.put("controllerManager", manager.done());
        doc.put("scheduler", self.component("scheduler.extraEnvs", &cluster.scheduler)?.done());
        doc.put("etcd", self.etcd(&cluster.etcd)?);
        doc.put("dns", self.dns(&cluster.dns_image));
        doc.text("imageRepository", cluster.image_repository.as_deref());
        doc.text("certificatesDir", cluster.certificates_dir.as_deref());
        doc.put("featureGates", json!(self.feature_gates(&cluster.feature_gates)));
        self.needs_v4("encryptionAlgorithm", cluster.encryption_algorithm.is_none())?;
        self.needs_v4("certificateValidityPeriod", cluster.certificate_validity.is_none())?;
        self.needs_v4("caCertificateValidityPeriod", cluster.ca_certificate_validity.is_none())?;
        doc.text("encryptionAlgorithm", cluster.encryption_algorithm.as_deref());
        doc.text("certificateValidityPeriod", cluster.certificate_validity.map(go_duration).as_deref());
        doc.text("caCertificateValidityPeriod", cluster.ca_certificate_validity.map(go_duration).as_deref());
        Ok(doc.done())
    }

    fn component(&self, envs: &'static str, component: &Component) -> Result<Document, Error> {
        let mut section = Document::section();
        section.put("extraArgs", self.args(&component.extra_args));
        self.needs_v4(envs, component.extra_envs.is_empty())?;
        section.put("extraEnvs", pairs(&component.extra_envs));
        let volumes = component.extra_volumes.iter().map(|volume| {
            let mut item = Document::section();
            item.text("name", Some(&volume.name));
            item.text("hostPath", Some(&volume.host_path));
            item.text("mountPath", Some(&volume.mount_path));
            item.put("readOnly", volume.read_only.into());
            item.text("pathType", volume.path_type.as_deref());
            item.done()
        });
        section.put("extraVolumes", volumes.collect());
        Ok(section)
    }

    fn etcd(&self, etcd: &Etcd) -> Result<Value, Error> {
        match etcd {
            Etcd::Local(LocalEtcd {
                extra_args,
                extra_envs,
                image,
                data_dir,
                server_cert_sans,
                peer_cert_sans,
            }) => {
                let mut local = image_fields(image);
                local.text("dataDir", data_dir.as_deref());
                local.put("extraArgs", self.args(extra_args));
                self.needs_v4("etcd.local.extraEnvs", extra_envs.is_empty())?;
                local.put("extraEnvs", pairs(extra_envs));
                local.list("serverCertSANs", server_cert_sans);
                local.list("peerCertSANs", peer_cert_sans);
                let mut section = Document::section();
                section.put("local", local.done());
                Ok(section.done())
            }
            Etcd::External { endpoints, ca_file, cert_file, key_file } => Ok(json!({ "external": {
                "endpoints": endpoints, "caFile": ca_file, "certFile": cert_file, "keyFile": key_file,
            } })),
        }
    }

    /// v1beta2 could install kube-dns too, and names the type.
    fn dns(&self, image: &Image) -> Value {
        let mut section = image_fields(image);
        if self.api == ConfigApi::V1Beta2 && !section.0.is_empty() {
            section.text("type", Some("CoreDNS"));
        }
        section.done()
    }

    /// A joining kubelet must talk to its own API server once that runs, not to a balanced one that may be older:
    /// the gate is there from 1.31 to 1.35, off at first, and always on later.
    fn feature_gates(&self, given: &BTreeMap<String, bool>) -> BTreeMap<String, bool> {
        let mut gates = given.clone();
        if (31..=35).contains(&self.version.minor()) {
            gates.entry("ControlPlaneKubeletLocalMode".into()).or_insert(true);
        }
        gates
    }

    fn node(&self, node: &NodeRegistration) -> Result<Value, Error> {
        let mut section = Document::section();
        section.text("name", node.name.as_deref());
        let socket = node.cri_socket.as_deref().unwrap_or("/run/containerd/containerd.sock");
        section.text("criSocket", Some(&self.socket(socket)));
        if let Some(taints) = &node.taints {
            section.put_even_if_empty("taints", taints.iter().map(taint).collect());
        }
        section.put("kubeletExtraArgs", self.args(&node.kubelet_extra_args));
        section.list("ignorePreflightErrors", &node.ignore_preflight_errors);
        if node.image_pull_policy.is_some() && self.api < ConfigApi::V1Beta3 {
            return Err(self.unsupported("nodeRegistration.imagePullPolicy", "1.22"));
        }
        section.text("imagePullPolicy", node.image_pull_policy.as_deref());
        self.needs_v4("nodeRegistration.imagePullSerial", node.image_pull_serial.is_none())?;
        if let Some(serial) = node.image_pull_serial {
            section.put("imagePullSerial", serial.into());
        }
        Ok(section.done())
    }

    /// kubeadm wants a URL from 1.24 on; before, the kubelet's flag is made of the bare path.
    fn socket(&self, given: &str) -> String {
        let path = given.strip_prefix("unix://").unwrap_or(given);
        if self.version.minor() >= 24 { format!("unix://{path}") } else { path.to_owned() }
    }

    fn args(&self, args: &Args) -> Value {
        if self.api >= ConfigApi::V1Beta4 { pairs(args) } else { json!(args) }
    }

    fn phases_and_patches(
        &mut self,
        doc: &mut Document,
        skip: &[String],
        patches: Option<&str>,
    ) -> Result<(), Error> {
        if self.api >= ConfigApi::V1Beta3 {
            doc.list("skipPhases", skip);
            if let Some(folder) = patches {
                doc.put("patches", json!({ "directory": folder }));
            }
            return Ok(());
        }
        if !skip.is_empty() {
            self.flags.push(format!("--skip-phases={}", skip.join(",")));
        }
        match patches {
            None => {}
            Some(folder) if self.version.minor() >= 19 => {
                self.flags.push(format!("--experimental-patches={folder}"))
            }
            Some(_) => return Err(self.unsupported("patches.directory", "1.19")),
        }
        Ok(())
    }

    fn needs_v4(&self, field: &'static str, unset: bool) -> Result<(), Error> {
        if unset || self.api >= ConfigApi::V1Beta4 { Ok(()) } else { Err(self.unsupported(field, "1.31")) }
    }

    fn unsupported(&self, field: &'static str, since: &'static str) -> Error {
        Error::Unsupported { field, since, version: self.version.to_string() }
    }
}

/// A mapping under construction: fields in the order put, empty ones left out.
struct Document(Map<String, Value>);

impl Document {
    fn new(api_version: &str, kind: &str) -> Self {
        let mut doc = Self::section();
        doc.text("apiVersion", Some(api_version));
        doc.text("kind", Some(kind));
        doc
    }

    fn section() -> Self {
        Self(Map::new())
    }

    fn put(&mut self, key: &str, value: Value) {
        let empty = match &value {
            Value::Array(items) => items.is_empty(),
            Value::Object(fields) => fields.is_empty(),
            Value::Null => true,
            _ => false,
        };
        if !empty {
            self.0.insert(key.into(), value);
        }
    }

    fn put_even_if_empty(&mut self, key: &str, value: Value) {
        self.0.insert(key.into(), value);
    }

    fn text(&mut self, key: &str, value: Option<&str>) {
        self.put(key, value.map_or(Value::Null, Value::from));
    }

    fn list(&mut self, key: &str, values: &[String]) {
        self.put(key, json!(values));
    }

    fn done(self) -> Value {
        Value::Object(self.0)
    }
}

fn image_fields(image: &Image) -> Document {
    let mut section = Document::section();
    section.text("imageRepository", image.repository.as_deref());
    section.text("imageTag", image.tag.as_deref());
    section
}

fn kubelet_document(kubelet: &Kubelet) -> Value {
    let mut doc = Document::new("kubelet.config.k8s.io/v1beta1", "KubeletConfiguration");
    doc.text("cgroupDriver", Some(kubelet.cgroup_driver.as_deref().unwrap_or("systemd")));
    if let Some(fail) = kubelet.fail_swap_on {
        doc.put("failSwapOn", fail.into());
    }
    doc.0.extend(kubelet.extra.clone());
    doc.done()
}

fn proxy_document(proxy: &KubeProxy) -> Value {
    let mut doc = Document::new("kubeproxy.config.k8s.io/v1alpha1", "KubeProxyConfiguration");
    doc.text("mode", proxy.mode.as_deref());
    doc.0.extend(proxy.extra.clone());
    doc.done()
}

fn endpoint(endpoint: &LocalEndpoint) -> Value {
    let mut section = Document::section();
    section.text("advertiseAddress", endpoint.advertise_address.as_deref());
    if let Some(port) = endpoint.bind_port {
        section.put("bindPort", port.into());
    }
    section.done()
}

fn taint(taint: &Taint) -> Value {
    let mut section = Document::section();
    section.text("key", Some(&taint.key));
    section.text("value", taint.value.as_deref());
    section.text("effect", Some(&taint.effect));
    section.done()
}

fn timeouts(times: &Timeouts) -> Value {
    let mut section = Document::section();
    for (key, time) in [
        ("controlPlaneComponentHealthCheck", times.control_plane_health),
        ("kubeletHealthCheck", times.kubelet_health),
        ("kubernetesAPICall", times.kubernetes_api_call),
        ("etcdAPICall", times.etcd_api_call),
        ("tlsBootstrap", times.tls_bootstrap),
        ("discovery", times.discovery),
        ("upgradeManifests", times.upgrade_manifests),
    ] {
        section.text(key, time.map(go_duration).as_deref());
    }
    section.done()
}

fn pairs(map: &BTreeMap<String, String>) -> Value {
    map.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect()
}

/// `4m0s`, as Go writes it, so that what kubeadm stores reads back the same.
fn go_duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s}s"),
        (0, m, s) => format!("{m}m{s}s"),
        (h, m, s) => format!("{h}h{m}m{s}s"),
    }
}
