//! kubeadm clusters: the good order, and each wrong one with kubeadm's words.

use std::time::Duration;

use grappe_sim::NewMachine;

use crate::lab::Lab;

const VERSIONS: [&str; 4] = ["1.20", "1.28", "1.31", "1.34"];

impl Lab {
    /// A machine with everything that kubeadm wants of it.
    pub(crate) fn prepared(&self, name: &str, minor: &str) -> String {
        let machine = self.machine(name);
        self.prepare(&machine, minor);
        machine
    }

    pub(crate) fn prepare(&self, machine: &str, minor: &str) {
        self.ok(
            machine,
            &format!(
                "set -e; swapoff -a; sed -i '/\\sswap\\s/s/^/#/' /etc/fstab
                printf 'overlay\\nbr_netfilter\\n' > /etc/modules-load.d/k8s.conf; modprobe overlay; modprobe br_netfilter
                printf 'net.ipv4.ip_forward=1\\nnet.bridge.bridge-nf-call-iptables=1\\n' > /etc/sysctl.d/99-k8s.conf; sysctl -q --system
                curl -fsSL https://pkgs.k8s.io/core:/stable:/v{minor}/deb/Release.key | gpg --dearmor -o /etc/apt/keyrings/k8s.gpg
                echo 'deb [signed-by=/etc/apt/keyrings/k8s.gpg] https://pkgs.k8s.io/core:/stable:/v{minor}/deb/ /' > /etc/apt/sources.list.d/kubernetes.list
                export DEBIAN_FRONTEND=noninteractive; apt-get -qq update; apt-get -qq install -y containerd kubeadm kubelet kubectl
                apt-mark hold kubeadm kubelet kubectl"
            ),
        );
    }

    fn address(&self, machine: &str) -> String {
        self.world.machine(machine).unwrap().host.nics[0].ip.to_string()
    }

    /// A load balancer in front of these addresses.
    pub(crate) fn balancer(&self, machine: &str, servers: &[&str]) {
        let servers: String =
            servers.iter().enumerate().map(|(n, a)| format!("  server s{n} {a}:6443 check\n")).collect();
        self.ok(
            machine,
            &format!(
                "set -e; apt-get -qq update; apt-get -qq install -y haproxy
cat > /etc/haproxy/haproxy.cfg <<C
defaults
  mode tcp
  timeout connect 5s
  timeout client 35s
  timeout server 35s
frontend api
  bind *:6443
  default_backend cps
backend cps
{servers}C
haproxy -c -q -f /etc/haproxy/haproxy.cfg; systemctl restart haproxy"
            ),
        );
    }
}

fn field(output: &str, start: &str) -> String {
    let at = output.find(start).unwrap_or_else(|| panic!("no `{start}` in {output}")) + start.len();
    output[at..].split_whitespace().next().unwrap().to_owned()
}

/// A cluster of one control plane behind a balancer, with room for more.
pub(crate) struct Made {
    pub(crate) lab: Lab,
    pub(crate) cp1: String,
    endpoint: String,
    token: String,
    hash: String,
    key: String,
}

pub(crate) fn made(minor: &str) -> Made {
    let lab = Lab::new();
    let lb = lab.machine("lb");
    let cp1 = lab.prepared("cp1", minor);
    let second = "10.0.0.4";
    lab.balancer(&lb, &[&lab.address(&cp1), second]);
    let endpoint = format!("{}:6443", lab.address(&lb));
    let api = match minor {
        "1.20" => "v1beta2",
        "1.28" => "v1beta3",
        _ => "v1beta4",
    };
    let output = lab.ok(
        &cp1,
        &format!(
            "cat > /root/k.yaml <<C
apiVersion: kubeadm.k8s.io/{api}
kind: InitConfiguration
---
apiVersion: kubeadm.k8s.io/{api}
kind: ClusterConfiguration
controlPlaneEndpoint: {endpoint}
networking: {{podSubnet: 10.244.0.0/16}}
C
kubeadm init --config /root/k.yaml --upload-certs"
        ),
    );
    Made {
        token: field(&output, "--token "),
        hash: field(&output, "--discovery-token-ca-cert-hash "),
        key: field(&output, "--certificate-key "),
        lab,
        cp1,
        endpoint,
    }
}

impl Made {
    pub(crate) fn join(&self) -> String {
        format!(
            "kubeadm join {} --token {} --discovery-token-ca-cert-hash {}",
            self.endpoint, self.token, self.hash
        )
    }

    pub(crate) fn join_control_plane(&self) -> String {
        format!("{} --control-plane --certificate-key {}", self.join(), self.key)
    }

    pub(crate) fn kubectl(&self, args: &str) -> String {
        self.lab.ok(&self.cp1, &format!("kubectl --kubeconfig /etc/kubernetes/admin.conf {args}"))
    }
}

const FLANNEL: &str = r#"
apiVersion: v1
kind: Namespace
metadata: {name: kube-flannel}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: kube-flannel-cfg, namespace: kube-flannel}
data:
  net-conf.json: '{"Network": "NETWORK", "Backend": {"Type": "vxlan"}}'
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: kube-flannel-ds, namespace: kube-flannel}
spec:
  selector: {matchLabels: {app: flannel}}
  template:
    metadata: {labels: {app: flannel}}
    spec:
      hostNetwork: true
      tolerations: [{operator: Exists}]
      containers: [{name: kube-flannel, image: flannel}]
"#;

impl Made {
    pub(crate) fn flannel(&self, network: &str) {
        let text = FLANNEL.replace("NETWORK", network);
        self.lab.ok(
            &self.cp1,
            &format!("kubectl --kubeconfig /etc/kubernetes/admin.conf apply -f - <<'EOF'\n{text}\nEOF"),
        );
    }
}

#[test]
fn a_cluster_grows_to_two_control_planes_and_a_worker() {
    for minor in VERSIONS {
        let made = made(minor);
        let cp2 = made.lab.prepared("cp2", minor);
        assert_eq!(made.lab.address(&cp2), "10.0.0.4", "the balancer knows it");
        let w1 = made.lab.prepared("w1", minor);
        assert!(made.kubectl("get nodes").contains("NotReady"), "no network yet");
        made.lab.ok(&w1, &made.join());
        made.lab.ok(&cp2, &made.join_control_plane());
        made.flannel("10.244.0.0/16");
        made.kubectl("wait --for=condition=Ready node --all --timeout=20s");
        made.kubectl("-n kube-system rollout status deploy/coredns --timeout=20s");
        let nodes = made.kubectl("get nodes -o json");
        let nodes: serde_json::Value = serde_json::from_str(&nodes).unwrap();
        assert_eq!(nodes["items"].as_array().unwrap().len(), 3);
        let roles = made.kubectl("get nodes --no-headers");
        let wanted = if minor == "1.20" { "control-plane,master" } else { "control-plane" };
        assert!(
            roles.lines().filter(|l| l.contains(wanted)).count() == 2 && roles.contains("<none>"),
            "{roles}"
        );
        let members = made.kubectl(
            "-n kube-system exec etcd-cp1 -- etcdctl --endpoints=https://127.0.0.1:2379 --cacert=/etc/kubernetes/pki/etcd/ca.crt \
             --cert=/etc/kubernetes/pki/etcd/peer.crt --key=/etc/kubernetes/pki/etcd/peer.key member list",
        );
        assert_eq!(members.lines().filter(|l| l.ends_with("false")).count(), 2, "{members}");
        assert!(
            made.lab
                .ok(&cp2, "kubectl --kubeconfig /etc/kubernetes/admin.conf get --raw /readyz")
                .contains("ok")
        );
        // The first control plane is not special.
        made.lab.world.stop_machine(&made.cp1).unwrap();
        made.lab.fails(&cp2, "kubectl --kubeconfig /etc/kubernetes/admin.conf get nodes", "etcdserver");
        made.lab.world.start_machine(&made.cp1).unwrap();
        made.kubectl("wait --for=condition=Ready node --all --timeout=20s");
    }
}

#[test]
fn preflight_refuses_a_raw_host() {
    let lab = Lab::new();
    let machine = lab.machine("cp1");
    lab.fails(&machine, "kubeadm init", "command not found");
    lab.fails(&machine, "apt-get -qq update; apt-get install -y kubeadm", "Unable to locate package kubeadm");
    lab.ok(
        &machine,
        "echo 'deb https://pkgs.k8s.io/core:/stable:/v1.22/deb/ /' > /etc/apt/sources.list.d/k.list; apt-get -qq update; apt-get -qq install -y kubeadm kubelet kubectl",
    );
    for words in [
        "[ERROR CRI]: container runtime is not running",
        "[ERROR FileContent--proc-sys-net-bridge-bridge-nf-call-iptables]: /proc/sys/net/bridge/bridge-nf-call-iptables does not exist",
        "[ERROR FileContent--proc-sys-net-ipv4-ip_forward]: /proc/sys/net/ipv4/ip_forward contents are not set to 1",
        "[ERROR Swap]: running with swap on is not supported",
    ] {
        lab.fails(&machine, "kubeadm init", words);
    }
    lab.ok(&machine, "test ! -e /etc/kubernetes/admin.conf");
    lab.prepare(&machine, "1.22");
    lab.ok(&machine, "kubeadm init --ignore-preflight-errors=Swap");
    lab.fails(&machine, "kubeadm init", "[ERROR Port-6443]: Port 6443 is in use");
    lab.fails(&machine, "kubeadm init", "kube-apiserver.yaml already exists");
}

#[test]
fn swap_breaks_newer_releases_after_preflight() {
    let lab = Lab::new();
    let machine = lab.prepared("cp1", "1.31");
    lab.ok(&machine, "swapon -a; echo '/swapfile none swap sw 0 0' >> /etc/fstab; swapon -a; swapon --show | grep -q swapfile");
    lab.fails(&machine, "kubeadm init", "couldn't initialize a Kubernetes cluster");
    lab.ok(
        &machine,
        "systemctl is-active kubelet && exit 1; journalctl -u kubelet | grep -q 'running with swap on'",
    );
    // Half an init is left behind, as by the real one.
    lab.ok(&machine, "test -e /etc/kubernetes/admin.conf; swapoff -a; kubeadm reset -f; kubeadm init");
}

#[test]
fn configuration_files_are_read_by_version() {
    let lab = Lab::new();
    let machine = lab.prepared("cp1", "1.28");
    let with = |api: &str, more: &str| {
        format!(
            "printf 'apiVersion: kubeadm.k8s.io/{api}\\nkind: ClusterConfiguration\\n{more}' > k.yaml; kubeadm init --dry-run --config k.yaml"
        )
    };
    lab.ok(&machine, &with("v1beta3", ""));
    lab.fails(&machine, &with("v1beta2", ""), "uses an old API spec: \"kubeadm.k8s.io/v1beta2\"");
    lab.fails(
        &machine,
        &with("v1beta4", ""),
        "no kind \"ClusterConfiguration\" is registered for version \"kubeadm.k8s.io/v1beta4\"",
    );
    lab.fails(
        &machine,
        &with("v1beta3", "apiServer: {extraArgs: [{name: a, value: b}]}\\n"),
        "cannot unmarshal array",
    );
    lab.fails(&machine, &with("v1beta3", "apiServer: {extraArgs: {v: 4}}\\n"), "cannot unmarshal number");
    lab.fails(&machine, &with("v1beta3", "kubernetesVersion: v1.29.0\\n"), "control plane version <= 1.28");
    lab.fails(&machine, &with("v1beta3", "networking: {podSubnet: everywhere}\\n"), "couldn't parse subnet");
    lab.fails(&machine, &with("v1beta3", "\\ta: b\\n"), "yaml");
    // The mistake of a published tutorial: the field is ignored, with a word on stderr only.
    let (status, _, stderr) =
        lab.run(&machine, &with("v1beta3", "kubeletExtraArgs: {cloud-provider: external}\\n"));
    assert!(status == 0 && stderr.contains("unknown field \"kubeletExtraArgs\""), "{stderr}");
}

#[test]
fn joins_are_refused_in_kubeadms_words() {
    let made = made("1.31");
    let w = made.lab.prepared("w1", "1.31");
    let lone = made.lab.machine("raw");
    made.lab.fails(&lone, &made.join(), "command not found");
    let wrong_token = made.join().replace(&made.token, "aaaaaa.0123456789abcdef");
    made.lab.fails(
        &w,
        &wrong_token,
        "could not find a JWS signature in the cluster-info ConfigMap for token ID \"aaaaaa\"",
    );
    let wrong_hash = made.join().replace(&made.hash, &format!("sha256:{}", "0".repeat(64)));
    made.lab.fails(&w, &wrong_hash, "none of the public keys");
    let local = made.join().replace(&made.endpoint, "127.0.0.1:5443");
    made.lab.fails(&w, &local, "dial tcp 127.0.0.1:5443: connect: connection refused");
    made.lab.fails(&w, &made.join().replace(&made.endpoint, "10.0.0.200:6443"), "no route to host");
    made.lab.fails(&w, &made.join().replace(&made.endpoint, "api.nowhere:6443"), "no such host");
    made.lab.fails(
        &w,
        &made.join().replace(" --discovery-token-ca-cert-hash", " --node-name w1 # "),
        "unsafe",
    );
    let bad_key = made.join_control_plane().replace(&made.key, &"0".repeat(64));
    made.lab.fails(&w, &bad_key, "message authentication failed");
    made.lab.ok(&w, "kubeadm reset -f");
    made.lab.ok(&w, &made.join());
    made.lab.fails(&w, &made.join(), "[ERROR FileAvailable--etc-kubernetes-kubelet.conf]");
    // A node of a live name.
    let twin = made.lab.prepared("twin", "1.31");
    made.flannel("10.244.0.0/16");
    made.kubectl("wait --for=condition=Ready node/w1 --timeout=20s");
    made.lab.fails(
        &twin,
        &format!("{} --node-name w1", made.join()),
        "a Node with name \"w1\" and status \"Ready\" already exists",
    );
}

#[test]
fn tokens_and_keys_die_with_the_simulated_clock() {
    let made = made("1.34");
    let w = made.lab.prepared("w1", "1.34");
    let cp2 = made.lab.prepared("cp2", "1.34");
    made.lab.ok(&cp2, "sleep 2h; sleep 5");
    made.lab.fails(&cp2, &made.join_control_plane(), "Secret \"kubeadm-certs\" was not found");
    made.lab.ok(&cp2, "kubeadm reset -f; sleep 22h");
    made.lab.fails(&w, &made.join(), "could not find a JWS signature");
    let fresh = made.lab.ok(&made.cp1, "kubeadm token create --ttl 15m --print-join-command");
    assert!(made.lab.ok(&made.cp1, "kubeadm token list").contains("authentication,signing"));
    made.lab.ok(&w, &fresh);
    let id = field(&fresh, "--token ")[..6].to_owned();
    made.lab.ok(&made.cp1, &format!("kubeadm token delete {id}"));
    made.lab.fails(&made.cp1, &format!("kubeadm token delete {id}"), "not found");
    let key = made.lab.ok(&made.cp1, "kubeadm init phase upload-certs --upload-certs | tail -1");
    let fresh = made.lab.ok(&made.cp1, "kubeadm token create --ttl 15m --print-join-command");
    made.lab.ok(&cp2, &format!("{} --control-plane --certificate-key {}", fresh.trim(), key.trim()));
}

#[test]
fn two_learners_at_once_are_one_too_many() {
    let made = made("1.31");
    let machines: Vec<String> = ["cp2", "cp3"].iter().map(|n| made.lab.prepared(n, "1.31")).collect();
    let command = made.join_control_plane();
    let results: Vec<(i32, String, String)> = std::thread::scope(|scope| {
        let tasks: Vec<_> = machines.iter().map(|m| scope.spawn(|| made.lab.run(m, &command))).collect();
        tasks.into_iter().map(|t| t.join().unwrap()).collect()
    });
    let failed: Vec<_> = results.iter().enumerate().filter(|(_, r)| r.0 != 0).collect();
    assert_eq!(failed.len(), 1, "{results:?}");
    assert!(failed[0].1.2.contains("etcdserver: too many learner members in cluster"), "{results:?}");
    // One after the other it works, after a reset of the half-joined one.
    let machine = &machines[failed[0].0];
    made.lab.fails(machine, &command, "already exists");
    made.lab.ok(machine, "kubeadm reset -f");
    made.kubectl(&format!("delete node {}", ["cp2", "cp3"][failed[0].0]));
    made.lab.ok(machine, &command);
    assert_eq!(made.kubectl("-n kube-system get pods -l component=etcd -o name").lines().count(), 3);
}

#[test]
fn the_endpoint_must_lead_to_an_api_server() {
    let lab = Lab::new();
    let cp1 = lab.prepared("cp1", "1.31");
    lab.fails(
        &cp1,
        "kubeadm init --control-plane-endpoint 10.0.0.3:6443",
        "couldn't initialize a Kubernetes cluster",
    );
    lab.ok(&cp1, "kubeadm reset -f");
    // A proxy on the host itself, as on every node of some clusters.
    lab.ok(&cp1, "apt-get -qq install -y haproxy; printf 'defaults\\n timeout client 5s\\n timeout connect 5s\\n timeout server 5s\\nlisten api\\n bind 127.0.0.1:5443\\n server a 10.0.0.2:6443\\n' > /etc/haproxy/haproxy.cfg; systemctl restart haproxy");
    let output = lab.ok(&cp1, "kubeadm init --control-plane-endpoint 127.0.0.1:5443");
    let join = format!(
        "kubeadm join 127.0.0.1:5443 --token {} --discovery-token-ca-cert-hash {}",
        field(&output, "--token "),
        field(&output, "--discovery-token-ca-cert-hash ")
    );
    let w1 = lab.prepared("w1", "1.31");
    lab.fails(&w1, &join, "connection refused");
    lab.ok(&w1, "kubeadm reset -f; apt-get -qq install -y haproxy; printf 'defaults\\n timeout client 5s\\n timeout connect 5s\\n timeout server 5s\\nlisten api\\n bind 127.0.0.1:5443\\n server a 10.0.0.2:6443\\n' > /etc/haproxy/haproxy.cfg; systemctl restart haproxy");
    lab.ok(&w1, &join);
    lab.ok(&w1, "systemctl stop haproxy");
    lab.fails(
        &w1,
        "kubectl --kubeconfig /etc/kubernetes/kubelet.conf get nodes",
        "connection to the server 127.0.0.1:5443 was refused",
    );
    // HAProxy must not take the API server's own port.
    lab.fails(
        &cp1,
        "sed -i s/5443/6443/ /etc/haproxy/haproxy.cfg; systemctl restart haproxy",
        "haproxy.service failed",
    );
    lab.ok(&cp1, "journalctl -u haproxy | grep -q 'cannot bind socket (Address already in use)'");
}

#[test]
fn a_virtual_address_needs_the_clouds_permission() {
    let lab = Lab::new();
    let keepalived = |priority: u8| {
        format!(
            "apt-get -qq update; apt-get -qq install -y keepalived; printf 'vrrp_instance A {{\\n interface eth0\\n virtual_router_id 51\\n priority {priority}\\n virtual_ipaddress {{\\n 10.0.0.100\\n }}\\n}}\\n' > /etc/keepalived/keepalived.conf; systemctl restart keepalived"
        )
    };
    let lb1 = lab.machine_with("lb1", NewMachine::default(), vec!["10.0.0.100/32".to_owned()]);
    let lb2 = lab.machine_with("lb2", NewMachine::default(), vec!["10.0.0.100/32".to_owned()]);
    let stranger = lab.machine("stranger");
    lab.ok(&stranger, &keepalived(250));
    lab.fails(&lb1, "ping -c 1 10.0.0.100 >&2", "100% packet loss");
    lab.ok(&lb1, &keepalived(101));
    lab.ok(&lb2, &keepalived(100));
    assert_eq!(lab.world.machine_by_address("10.0.0.100"), Some(lb1.clone()));
    lab.world.stop_machine(&lb1).unwrap();
    assert_eq!(lab.world.machine_by_address("10.0.0.100"), Some(lb2));
}

#[test]
fn flannel_must_have_the_clusters_range() {
    let made = made("1.31");
    made.flannel("10.99.0.0/16");
    let (status, _, stderr) = made.lab.run(&made.cp1, "kubectl --kubeconfig /etc/kubernetes/admin.conf wait --for=condition=Ready node --all --timeout=300ms");
    assert!(status != 0 && stderr.contains("timed out waiting for the condition"), "{stderr}");
    let pods = made.kubectl("-n kube-flannel get pods");
    assert!(pods.contains("CrashLoopBackOff"), "{pods}");
    made.flannel("10.244.0.0/16");
    made.kubectl("wait --for=condition=Ready node --all --timeout=20s");
}

#[test]
fn nodes_are_labelled_tainted_drained_and_removed() {
    let made = made("1.34");
    let w1 = made.lab.prepared("w1", "1.34");
    let w2 = made.lab.prepared("w2", "1.34");
    made.lab.ok(&w1, &made.join());
    made.lab.ok(&w2, &made.join());
    made.flannel("10.244.0.0/16");
    made.kubectl("wait --for=condition=Ready node --all --timeout=20s");
    made.kubectl("label node w1 node-role.kubernetes.io/worker= pool=a");
    made.lab.fails(
        &made.cp1,
        "kubectl --kubeconfig /etc/kubernetes/admin.conf label node w1 pool=b",
        "already has a value",
    );
    made.kubectl("label node w1 pool=b --overwrite");
    assert_eq!(made.kubectl("get node w1 -o jsonpath='{.metadata.labels.pool}'"), "b");
    made.lab.fails(
        &w1,
        "kubectl --kubeconfig /etc/kubernetes/kubelet.conf label node w1 node-role.kubernetes.io/x=",
        "is not allowed to modify labels",
    );
    made.kubectl("taint node w1 dedicated=x:NoSchedule");
    made.lab.fails(
        &made.cp1,
        "kubectl --kubeconfig /etc/kubernetes/admin.conf taint node w1 gone:NoSchedule-",
        "not found",
    );
    made.lab.ok(
        &made.cp1,
        "kubectl --kubeconfig /etc/kubernetes/admin.conf apply -f - <<'EOF'
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      tolerations: [{key: dedicated, operator: Exists}]
      containers: [{name: web, image: web}]
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web}
spec: {minAvailable: 3, selector: {matchLabels: {app: web}}}
EOF",
    );
    made.kubectl("rollout status deploy/web --timeout=20s");
    made.lab.fails(
        &made.cp1,
        "kubectl --kubeconfig /etc/kubernetes/admin.conf drain w1 --timeout=1s",
        "cannot delete DaemonSet-managed Pods",
    );
    made.lab.fails(&made.cp1, "kubectl --kubeconfig /etc/kubernetes/admin.conf drain w1 --ignore-daemonsets --delete-emptydir-data --timeout=1s", "disruption budget");
    made.kubectl("delete pdb web");
    made.kubectl("drain w1 --ignore-daemonsets --delete-emptydir-data --timeout=10s");
    made.kubectl("rollout status deploy/web --timeout=20s");
    let pods = made.kubectl("get pods -o wide --no-headers");
    assert!(pods.lines().all(|l| l.ends_with("w2")), "{pods}");
    assert!(made.kubectl("get nodes").contains("SchedulingDisabled"));
    made.kubectl("uncordon w1");
    made.lab.ok(&w1, "kubeadm reset -f; test -e /etc/cni/net.d/10-flannel.conflist");
    made.kubectl("delete node w1");
    assert!(!made.kubectl("get nodes").contains("w1"));
    made.lab.world.stop_machine(&w2).unwrap();
    assert!(made.kubectl("get nodes --no-headers").contains("NotReady"));
    let node = made.kubectl("get node w2 -o jsonpath='{.spec.taints[*].key}'");
    assert!(node.contains("node.kubernetes.io/unreachable"), "{node}");
}

#[test]
fn a_worker_comes_back_from_a_reboot_only_if_swap_stays_off() {
    let made = made("1.31");
    let w1 = made.lab.prepared("w1", "1.31");
    made.lab.ok(&w1, &made.join());
    made.flannel("10.244.0.0/16");
    made.kubectl("wait --for=condition=Ready node --all --timeout=20s");
    made.lab.ok(&w1, "sed -i s/^#// /etc/fstab");
    made.lab.world.reboot_machine(&w1).unwrap();
    assert!(made.kubectl("get node w1").contains("NotReady"));
    made.lab.ok(&w1, "swapoff -a");
    made.kubectl("wait --for=condition=Ready node/w1 --timeout=20s");
}

#[test]
fn applies_merge_by_field_manager() {
    let made = made("1.31");
    let apply = |manager: &str, flags: &str, text: &str| {
        format!(
            "kubectl --kubeconfig /etc/kubernetes/admin.conf apply --server-side --field-manager={manager} {flags} -f - <<'EOF'\n{text}\nEOF"
        )
    };
    let config =
        |data: &str| format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c}}\ndata: {{{data}}}");
    let lab = &made.lab;
    lab.ok(&made.cp1, &apply("a", "", &config("x: '1', y: '1'")));
    lab.fails(
        &made.cp1,
        &apply("b", "", &config("x: '2'")),
        "Apply failed with 1 conflict: conflict with \"a\":\n- .data.x",
    );
    lab.ok(&made.cp1, &apply("b", "--force-conflicts", &config("x: '2', z: '1'")));
    lab.ok(&made.cp1, &apply("a", "", &config("y: '1'")));
    assert_eq!(made.kubectl("get cm c -o jsonpath='{.data}'"), r#"{"x":"2","y":"1","z":"1"}"#);
    lab.ok(&made.cp1, &apply("b", "", &config("x: '2'")));
    assert_eq!(made.kubectl("get cm c -o jsonpath='{.data}'"), r#"{"x":"2","y":"1"}"#);
    lab.fails(
        &made.cp1,
        &apply("a", "", "apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: t}"),
        "no matches for kind \"Thing\" in version \"example.com/v1\"",
    );
    lab.fails(
        &made.cp1,
        &apply("a", "", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, namespace: none}"),
        "namespaces \"none\" not found",
    );
    made.kubectl("create namespace team");
    lab.fails(
        &made.cp1,
        "kubectl --kubeconfig /etc/kubernetes/admin.conf create namespace team",
        "already exists",
    );
    made.kubectl("delete ns team --wait=true");
    made.kubectl("delete ns team --ignore-not-found");
    assert_eq!(made.kubectl("get ns team --ignore-not-found -o json"), "");
    lab.fails(
        &made.cp1,
        "kubectl --kubeconfig /etc/kubernetes/admin.conf get ns team",
        "namespaces \"team\" not found",
    );
    lab.fails(
        &made.cp1,
        "kubectl --kubeconfig /nowhere get nodes",
        "stat /nowhere: no such file or directory",
    );
    lab.fails(&made.cp1, "kubectl get nodes", "localhost:8080 was refused");
}

#[test]
fn planned_failures_come_as_often_as_planned() {
    let lab = Lab::new();
    let machine = lab.machine("h");
    let mut knobs = grappe_sim::Knobs::default();
    knobs.fail.insert("systemctl restart".to_owned(), 2);
    lab.world.set_knobs(knobs.clone()).unwrap();
    lab.fails(&machine, "systemctl restart cron", "simulated fault");
    lab.world.set_knobs(knobs).unwrap();
    lab.fails(&machine, "systemctl restart cron", "simulated fault");
    lab.ok(&machine, "systemctl restart cron");
    lab.ok(&machine, "systemctl restart ssh");
}

#[test]
fn a_boot_takes_its_time() {
    let lab = Lab::new();
    lab.world.set_knobs(grappe_sim::Knobs { boot_latency_ms: 300, ..Default::default() }).unwrap();
    let machine = lab.machine("h");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let refused = runtime.block_on(lab.world.ssh_address(&machine)).unwrap_err();
    assert!(refused.to_string().contains("still boots"), "{refused}");
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while runtime.block_on(lab.world.ssh_address(&machine)).is_err() {
        assert!(std::time::Instant::now() < deadline);
        runtime.block_on(async { tokio::time::sleep(Duration::from_millis(20)).await });
    }
}
