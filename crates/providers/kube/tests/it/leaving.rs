//! Nodes that leave: as planned, behind our back, and dead.

use futures::join;
use serde_json::json;

use crate::lab::{CPS, Ha, Lab, WORKERS, cluster, cluster_of, endpoint};

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_leaves_and_comes_back() {
    let ha = Ha::new().await;
    let runtime =
        || ha.lab.ok(&ha.workers[1], "systemctl show containerd -p ActiveEnterTimestampMonotonic --value");
    let before = runtime();
    ha.lab.unmake("kubeadm_worker", "w2", &ha.worker_states[1]).await;
    assert_eq!(ha.nodes(0), ["cp1 Ready", "cp2 Ready", "cp3 Ready", "w1 Ready"]);
    assert_ne!(runtime(), before, "it holds the network no more that was there");
    assert_eq!(
        ha.lab.ok(&ha.workers[1], "ls /etc/kubernetes /etc/cni/net.d | grep -c conf || true").trim(),
        "0"
    );
    // Twice is as once.
    ha.lab.unmake("kubeadm_worker", "w2", &ha.worker_states[1]).await;
    ha.lab.make("kubeadm_worker", "w2", json!({"cluster": ha.cluster, "host": ha.workers[1]})).await;
    assert_eq!(ha.nodes(0).len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_dropped_behind_our_back_is_gone_and_joins_anew() {
    let ha = Ha::new().await;
    ha.lab.world.drop_node("w1").expect("it was there");
    let bench = ha.lab.bench("kubeadm_worker", "w1").await;
    assert_eq!(bench.read("kubeadm_worker", &ha.worker_states[0]).await, None);
    // It is made anew, as another object: with another key than the one on the machine.
    ha.lab.make("kubeadm_worker", "w1 again", json!({"cluster": ha.cluster, "host": ha.workers[0]})).await;
    ha.lab.world.drop_node("cp2").expect("it was there");
    let args = json!({"cluster": ha.cluster, "host": ha.control_planes[1]});
    ha.lab.make("kubeadm_control_plane", "cp2 again", args).await;
    assert_eq!(ha.nodes(1).len(), 5);
    // One that the cluster knows is another resource's.
    let args = json!({"cluster": ha.cluster, "host": ha.workers[0]});
    let fault = ha.lab.try_make("kubeadm_worker", "w1 twice", args).await.expect_err("it is taken");
    assert!(fault.summary.contains("under another resource"), "{fault:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_only_control_plane_is_never_reset_for_a_lost_node() {
    let lab = Lab::new().await;
    let machine = lab.hosts(&["cp1"]).await.remove(0);
    let made = lab
        .make(
            "kubeadm_cluster",
            "lab",
            cluster(&machine, std::slice::from_ref(&machine), &endpoint(&machine)),
        )
        .await;
    let args = json!({"cluster": cluster_of(&made), "host": machine});
    lab.make("kubeadm_control_plane", "cp1", args.clone()).await;
    lab.world.drop_node("cp1").expect("it was there");
    for key in ["cp1", "cp1 again"] {
        let fault =
            lab.try_make("kubeadm_control_plane", key, args.clone()).await.expect_err("it would be the end");
        assert!(fault.summary.contains("only control plane"), "{fault:#?}");
    }
    assert_eq!(lab.kubectl(&machine, "get --raw /readyz"), "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_control_plane_is_replaced_like_any_other() {
    let ha = Ha::new().await;
    ha.lab.unmake("kubeadm_control_plane", "cp1", &ha.control_plane_states[0]).await;
    assert_eq!(ha.nodes(1), ["cp2 Ready", "cp3 Ready", "w1 Ready", "w2 Ready"]);
    // The cluster is read, and workers join, through those that stay.
    let bench = ha.lab.bench("kubeadm_cluster", "lab").await;
    assert!(bench.read("kubeadm_cluster", &ha.cluster_state).await.is_some());
    let args = json!({"cluster": ha.cluster, "host": ha.control_planes[0]});
    ha.lab.make("kubeadm_control_plane", "cp1 again", args).await;
    assert_eq!(ha.nodes(0).len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_control_plane_is_taken_out_by_a_survivor() {
    let ha = Ha::new().await;
    let id = ha.control_planes[0]["id"].as_str().expect("an id");
    ha.lab.world.stop_machine(id).expect("it ran");
    ha.lab.pool.close_all().await;
    let bench = ha.lab.bench("kubeadm_control_plane", "cp1").await;
    // Its node is there until it is taken out: nothing is concluded from a machine's silence.
    assert!(bench.read("kubeadm_control_plane", &ha.control_plane_states[0]).await.is_some());
    ha.lab.unmake("kubeadm_control_plane", "cp1", &ha.control_plane_states[0]).await;
    let nodes = ha.nodes(1);
    assert!(nodes.iter().all(|node| !node.starts_with("cp1")), "{nodes:?}");
    let members = ha.lab.kubectl(
        &ha.control_planes[1],
        "-n kube-system exec etcd-cp2 -- etcdctl --endpoints=https://127.0.0.1:2379 --cacert=/etc/kubernetes/pki/etcd/ca.crt \
         --cert=/etc/kubernetes/pki/etcd/peer.crt --key=/etc/kubernetes/pki/etcd/peer.key member list",
    );
    assert_eq!(members.lines().count(), 2, "{members}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_control_plane_without_which_etcd_would_stop_stays() {
    let ha = Ha::new().await;
    let dead = ha.control_planes[1]["id"].as_str().expect("an id");
    ha.lab.world.stop_machine(dead).expect("it ran");
    ha.lab.pool.close_all().await;
    // Two of three live; without one of them, one of two would.
    let bench = ha.lab.bench("kubeadm_control_plane", "cp1").await;
    let ty = "kubeadm_control_plane";
    let fault =
        bench.resource(ty).delete(bench.context(), &ha.control_plane_states[0]).await.expect_err("no quorum");
    assert!(fault.summary.contains("would lose its quorum"), "{fault:#?}");
    assert_eq!(ha.nodes(0).len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_goes_in_any_order() {
    let ha = Ha::new().await;
    // Control planes first: the last one stays for the cluster, and workers still leave.
    for (name, state) in CPS.iter().zip(&ha.control_plane_states) {
        ha.lab.unmake("kubeadm_control_plane", name, state).await;
    }
    for (name, state) in WORKERS.iter().zip(&ha.worker_states) {
        ha.lab.unmake("kubeadm_worker", name, state).await;
    }
    ha.lab.unmake("kubeadm_cluster", "lab", &ha.cluster_state).await;
    for machine in ha.control_planes.iter().chain(&ha.workers) {
        let left = ha.lab.ok(machine, "ls /etc/kubernetes/*.conf /etc/kubernetes/pki /etc/kubernetes/grappe.json /etc/kubernetes/manifests/* 2>/dev/null || true");
        assert_eq!(left, "");
    }
    // What is gone already is deleted, and read as gone.
    ha.lab.unmake("kubeadm_cluster", "lab", &ha.cluster_state).await;
    ha.lab.unmake("kubeadm_worker", "w1", &ha.worker_states[0]).await;
    let bench = ha.lab.bench("kubeadm_cluster", "lab").await;
    assert_eq!(bench.read("kubeadm_cluster", &ha.cluster_state).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_on_a_dead_machine_is_left_there() {
    let lab = Lab::new().await;
    let machine = lab.hosts(&["w1"]).await.remove(0);
    let host =
        lab.bench("kubeadm_host", "w1").await.create("kubeadm_host", &crate::lab::host(&machine)).await;
    let proxy = json!({"host": machine, "bind": ["127.0.0.1:7443"]});
    let proxy = lab.make("haproxy_proxy", "w1", proxy).await;
    lab.world.stop_machine(machine["id"].as_str().expect("an id")).expect("it ran");
    lab.pool.close_all().await;
    // It is silent for a while, and then taken for dead.
    join!(lab.unmake("kubeadm_host", "w1", &host), lab.unmake("haproxy_proxy", "w1", &proxy));
}
