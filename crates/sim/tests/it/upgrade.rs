//! A cluster's second day: upgrades, certificates, snapshots of etcd, tokens as Secrets, members that died.

use crate::kubeadm::{Made, made};
use crate::lab::Lab;

const KUBECTL: &str = "kubectl --kubeconfig /etc/kubernetes/admin.conf";
const ETCDCTL: &str = "etcdctl --endpoints=https://127.0.0.1:2379 --cacert=/etc/kubernetes/pki/etcd/ca.crt \
                       --cert=/etc/kubernetes/pki/etcd/peer.crt --key=/etc/kubernetes/pki/etcd/peer.key";

impl Lab {
    /// Sets the package source to a minor and installs packages of a release.
    fn packages(&self, machine: &str, names: &[&str], release: &str) {
        let minor = release.rsplit_once('.').unwrap().0;
        let wanted: Vec<String> = names.iter().map(|name| format!("{name}={release}-1.1")).collect();
        self.ok(
            machine,
            &format!(
                "set -e; sed -i 's|/v1[.][0-9]*/|/v{minor}/|' /etc/apt/sources.list.d/kubernetes.list; apt-get -qq update
                apt-get -qq install -y --allow-change-held-packages {}",
                wanted.join(" ")
            ),
        );
    }
}

/// A cluster at a release, with a second control plane and a worker.
fn three(minor: &str, release: &str) -> (Made, String, String) {
    let made = made(minor);
    let (cp2, w1) = (made.lab.prepared("cp2", minor), made.lab.prepared("w1", minor));
    made.lab.ok(&cp2, &made.join_control_plane());
    made.lab.ok(&w1, &made.join());
    made.flannel("10.244.0.0/16");
    made.kubectl("wait --for=condition=Ready node --all --timeout=20s");
    assert!(made.kubectl("get nodes").contains(&format!("v{release}")));
    (made, cp2, w1)
}

fn image(made: &Made, pod: &str) -> String {
    made.kubectl(&format!("-n kube-system get pod {pod} -o jsonpath='{{.spec.containers[0].image}}'"))
}

#[test]
fn a_cluster_goes_to_the_next_minor_one_machine_after_the_other() {
    let (made, cp2, w1) = three("1.34", "1.34.4");
    let lab = &made.lab;
    lab.fails(
        &made.cp1,
        "kubeadm upgrade apply v1.35.1 -y",
        "at least one minor release higher than the kubeadm minor release (35 > 34)",
    );
    lab.packages(&made.cp1, &["kubeadm"], "1.35.1");
    lab.fails(
        &made.cp1,
        "kubeadm upgrade apply v1.35.2 -y",
        "is higher than the kubeadm version \"v1.35.1\". Upgrade kubeadm first",
    );
    lab.fails(
        &made.cp1,
        "kubeadm upgrade apply v1.35.1 </dev/null",
        "won't proceed; the user didn't answer (Y|y)",
    );
    assert_eq!(
        image(&made, "kube-apiserver-cp1"),
        "registry.k8s.io/kube-apiserver:v1.34.4",
        "nothing was done"
    );
    let plan = lab.ok(&made.cp1, "kubeadm upgrade plan");
    assert!(
        plan.contains("kubelet     3 x v1.34.4   v1.35.1") && plan.contains("kubeadm upgrade apply v1.35.1"),
        "{plan}"
    );
    let applied = lab.ok(&made.cp1, "kubeadm upgrade apply v1.35.1 -y");
    assert!(applied.contains("SUCCESS! Your cluster was upgraded to \"v1.35.1\""), "{applied}");
    assert!(applied.contains("skip upgrade addons because control plane instances [cp2]"), "{applied}");
    assert_eq!(image(&made, "kube-apiserver-cp1"), "registry.k8s.io/kube-apiserver:v1.35.1");
    assert_eq!(image(&made, "kube-apiserver-cp2"), "registry.k8s.io/kube-apiserver:v1.34.4");
    let config = "-n kube-system get cm kubeadm-config -o jsonpath='{.data.ClusterConfiguration}'";
    assert!(made.kubectl(config).lines().any(|l| l == "kubernetesVersion: v1.35.1"), "as kubeadm writes it");
    lab.packages(&cp2, &["kubeadm"], "1.35.1");
    lab.ok(
        &cp2,
        "kubeadm upgrade node | grep -q 'control plane instance for this node was successfully updated'",
    );
    assert_eq!(image(&made, "kube-apiserver-cp2"), "registry.k8s.io/kube-apiserver:v1.35.1");
    assert_eq!(
        made.kubectl(
            "-n kube-system get ds kube-proxy -o jsonpath='{.spec.template.spec.containers[0].image}'"
        ),
        "registry.k8s.io/kube-proxy:v1.35.1"
    );
    made.kubectl("-n kube-system rollout status ds/kube-proxy --timeout=20s");
    // A package alone changes nothing that runs.
    lab.packages(&w1, &["kubeadm", "kubelet", "kubectl"], "1.35.1");
    lab.ok(&w1, "kubeadm upgrade node | grep -q 'Skipping phase. Not a control plane node.'");
    assert_eq!(made.kubectl("get node w1 -o jsonpath='{.status.nodeInfo.kubeletVersion}'"), "v1.34.4");
    lab.ok(&w1, "systemctl daemon-reload && systemctl restart kubelet");
    assert_eq!(made.kubectl("get node w1 -o jsonpath='{.status.nodeInfo.kubeletVersion}'"), "v1.35.1");
    made.kubectl("wait --for=condition=Ready node --all --timeout=20s");
    lab.packages(&made.cp1, &["kubeadm"], "1.36.0");
    lab.fails(
        &made.cp1,
        "kubeadm upgrade apply v1.34.0 -y",
        "the --version argument is invalid due to these fatal errors",
    );
}

#[test]
fn what_is_ill_is_not_upgraded() {
    let (made, cp2, w1) = three("1.20", "1.20.15");
    let lab = &made.lab;
    lab.packages(&made.cp1, &["kubeadm"], "1.21.2");
    lab.fails(
        &w1,
        "kubeadm upgrade apply v1.20.15 -y",
        "couldn't create a Kubernetes client from file \"/etc/kubernetes/admin.conf\"",
    );
    lab.ok(&cp2, "systemctl stop kubelet");
    lab.fails(
        &made.cp1,
        "kubeadm upgrade apply v1.21.2 -y",
        "[ERROR ControlPlaneNodesReady]: there are NotReady control-planes in the cluster: [cp2]",
    );
    lab.ok(&cp2, "systemctl start kubelet");
    made.kubectl("wait --for=condition=Ready node --all --timeout=20s");
    // Labels and configuration follow the release.
    lab.ok(&made.cp1, "kubeadm upgrade apply v1.21.2 -y");
    assert!(made.kubectl("-n kube-system get cm -o name").contains("kubelet-config-1.21"));
    lab.ok(&made.cp1, "ls /etc/kubernetes/tmp | grep -q kubeadm-backup-manifests-");
}

#[test]
fn a_dead_member_of_etcd_keeps_others_from_joining() {
    let minor = "1.31";
    let made = made(minor);
    let machines: Vec<String> = ["cp2", "cp3", "cp4"].iter().map(|n| made.lab.prepared(n, minor)).collect();
    for machine in &machines[..2] {
        made.lab.ok(machine, &made.join_control_plane());
    }
    made.flannel("10.244.0.0/16");
    made.kubectl("wait --for=condition=Ready node --all --timeout=20s");
    made.lab.world.delete_machine(&machines[1]).unwrap();
    let nodes = made.kubectl("get nodes --no-headers");
    assert!(nodes.lines().any(|l| l.starts_with("cp3") && l.contains("NotReady")), "{nodes}");
    let members = made.kubectl(&format!("-n kube-system exec etcd-cp1 -- {ETCDCTL} member list"));
    assert_eq!(members.lines().count(), 3, "{members}");
    made.lab.fails(&machines[2], &made.join_control_plane(), "error execution phase check-etcd: etcd cluster is not healthy: failed to dial endpoint https://10.0.0.5:2379");
    let dead = members.lines().find(|l| l.contains("cp3")).unwrap().split(',').next().unwrap().to_owned();
    made.kubectl(&format!("-n kube-system exec etcd-cp1 -- {ETCDCTL} member remove {dead}"));
    made.kubectl("delete node cp3");
    made.lab.ok(&machines[2], "kubeadm reset -f");
    made.lab.ok(&machines[2], &made.join_control_plane());
}

#[test]
fn certificates_are_renewed_and_their_end_is_told() {
    let made = made("1.34");
    let lab = &made.lab;
    let read = "openssl x509 -noout -enddate -in /etc/kubernetes/pki/apiserver.crt";
    let (before, names) = (
        lab.ok(&made.cp1, read),
        "openssl x509 -noout -text -in /etc/kubernetes/pki/apiserver.crt | grep -A1 'Alternative Name'",
    );
    let named = lab.ok(&made.cp1, names);
    let shown = lab.ok(&made.cp1, "kubeadm certs check-expiration");
    assert!(
        shown.contains("admin.conf                 ")
            && shown.contains("d            ca                      no"),
        "{shown}"
    );
    lab.ok(&made.cp1, "sleep 30d");
    let left: serde_json::Value =
        serde_json::from_str(&lab.ok(&made.cp1, "kubeadm certs check-expiration -o json")).unwrap();
    let days = |v: &serde_json::Value| v["residualTime"].as_i64().unwrap() / 86_400;
    assert!(
        left["certificates"].as_array().unwrap().iter().all(|c| (333..=335).contains(&days(c))),
        "{left:#}"
    );
    assert!(
        lab.ok(&made.cp1, "kubeadm certs renew all")
            .contains("certificate for serving the Kubernetes API renewed")
    );
    assert_ne!(lab.ok(&made.cp1, read), before);
    assert_eq!(lab.ok(&made.cp1, names), named, "the names are kept");
    made.kubectl("get nodes");
    lab.fails(&made.cp1, "kubeadm alpha certs renew all", "unknown command");
    let bare = lab.machine("bare");
    lab.fails(&bare, "kubeadm certs renew all", "command not found");
}

#[test]
fn what_lets_machines_in_is_seen_and_taken_away() {
    let made = made("1.34");
    let lab = &made.lab;
    let types =
        "-n kube-system get secrets -o jsonpath='{range .items[*]}{.metadata.name}={.type}{\"\\n\"}{end}'";
    let secrets = made.kubectl(types);
    assert_eq!(
        secrets.lines().filter(|l| l.ends_with("=bootstrap.kubernetes.io/token")).count(),
        2,
        "{secrets}"
    );
    assert!(secrets.contains("kubeadm-certs=Opaque"), "{secrets}");
    let token = lab.ok(&made.cp1, "kubeadm token create --ttl 15m");
    let id = &token[..6];
    let signed = format!(
        "{KUBECTL} -n kube-public get configmap cluster-info -o yaml | grep -q 'jws-kubeconfig-{id}:'"
    );
    lab.ok(&made.cp1, &signed);
    lab.ok(&made.cp1, &format!("kubeadm token delete {id}"));
    assert_ne!(lab.run(&made.cp1, &signed).0, 0, "the signature went with the token");
    made.kubectl("-n kube-system delete secret kubeadm-certs");
    let cp2 = lab.prepared("cp2", "1.34");
    lab.fails(&cp2, &made.join_control_plane(), "Secret \"kubeadm-certs\" was not found");
}

#[test]
fn etcd_asks_for_a_certificate_and_gives_a_snapshot() {
    let made = made("1.28");
    let lab = &made.lab;
    let exec = |args: &str| format!("{KUBECTL} -n kube-system exec etcd-cp1 -- {args}");
    lab.fails(
        &made.cp1,
        &exec("etcdctl --endpoints=https://127.0.0.1:2379 member list"),
        "context deadline exceeded",
    );
    let list = lab.ok(&made.cp1, &exec(&format!("{ETCDCTL} member list -w json")));
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    assert_eq!(list["members"][0]["name"], "cp1");
    let said = lab.ok(&made.cp1, &exec(&format!("{ETCDCTL} snapshot save /var/lib/etcd/s.db")));
    assert_eq!(said, "Snapshot saved at /var/lib/etcd/s.db\n");
    lab.ok(&made.cp1, "test -s /var/lib/etcd/s.db");
    lab.ok(&made.cp1, &exec(&format!("{ETCDCTL} snapshot save /tmp/s.db")));
    lab.ok(&made.cp1, "test ! -e /tmp/s.db");
}
