//! What lives in a cluster: read back, drifted, mended, deleted.

use grappe_provider_host::testing::Action;
use grappe_value::{Value, json as value};
use serde_json::{Value as Json, json};

use crate::lab::{Lab, PODS, cluster, cluster_of, cni, endpoint};

/// A cluster of one machine, network and all.
async fn small() -> (Lab, Json, Json) {
    let lab = Lab::new().await;
    let machine = lab.hosts(&["cp1"]).await.remove(0);
    let endpoint = endpoint(&machine);
    let made = lab
        .make("kubeadm_cluster", "lab", cluster(&machine, std::slice::from_ref(&machine), &endpoint))
        .await;
    let cluster = cluster_of(&made);
    lab.make("kube_cni", "cni", cni(&cluster)).await;
    (lab, machine, cluster)
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_and_taints_are_kept_and_others_left() {
    let (lab, machine, cluster) = small().await;
    lab.kubectl(&machine, "label node cp1 theirs=x");
    let given = json!({"cluster": cluster, "name": "cp1", "labels": {"pool": "a", "node-role.kubernetes.io/worker": ""},
        "taints": [{"key": "zone", "value": "dmz", "effect": "NoSchedule"}]});
    let state = lab.make("kube_node", "cp1", given.clone()).await;
    lab.kubectl(&machine, "label node cp1 pool=z --overwrite");
    lab.kubectl(&machine, "taint node cp1 zone-");
    let bench = lab.bench("kube_node", "cp1").await;
    let read = bench.read("kube_node", &state).await.expect("it is there");
    assert_eq!(
        bench.action("kube_node", &read, &given),
        Action::Update(vec!["labels".into(), "taints".into()])
    );
    let less = json!({"cluster": cluster, "name": "cp1", "labels": {"pool": "a"}});
    let mended = bench.update("kube_node", &read, &less).await;
    assert_eq!(
        bench.action("kube_node", &bench.read("kube_node", &mended).await.expect("there"), &less),
        Action::Nothing
    );
    let labels = lab.kubectl(&machine, "get node cp1 -o jsonpath={.metadata.labels}");
    let labels: Json = serde_json::from_str(&labels).expect("labels");
    assert_eq!(
        (&labels["pool"], &labels["theirs"], &labels["node-role.kubernetes.io/worker"]),
        (&json!("a"), &json!("x"), &Json::Null)
    );
    lab.unmake("kube_node", "cp1", &mended).await;
    let labels = lab.kubectl(&machine, "get node cp1 -o jsonpath={.metadata.labels}");
    assert!(!labels.contains("pool") && labels.contains("theirs"), "{labels}");
}

#[tokio::test(flavor = "multi_thread")]
async fn manifests_are_applied_read_pruned_and_deleted() {
    let (lab, machine, cluster) = small().await;
    let map = |name: &str, value: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, namespace: default}}\ndata: {{k: {value:?}}}\n---\n"
        )
    };
    let given = json!({"cluster": cluster, "manifest": map("a", "1") + &map("b", "2")});
    let state = lab.make("kube_manifest", "m", given.clone()).await;
    let bench = lab.bench("kube_manifest", "m").await;
    lab.kubectl(&machine, "-n default delete configmap b");
    let read = bench.read("kube_manifest", &state).await.expect("one is there");
    assert_eq!(value::to_json(read.get("drift").expect("drift")), json!(["ConfigMap default/b: gone"]));
    assert_eq!(bench.action("kube_manifest", &read, &given), Action::Update(vec!["drift".into()]));
    let mended = bench.update("kube_manifest", &read, &given).await;
    // One object less: it is deleted.
    let less = json!({"cluster": cluster, "manifest": map("a", "3")});
    let state = bench.update("kube_manifest", &mended, &less).await;
    let left = lab.kubectl(&machine, "-n default get configmaps -o name");
    assert!(left.contains("configmap/a") && !left.contains("configmap/b"), "{left}");
    lab.unmake("kube_manifest", "m", &state).await;
    assert_eq!(bench.read("kube_manifest", &state).await, None);
    lab.unmake("kube_manifest", "m", &state).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn namespaces_are_ours_or_refused() {
    let (lab, machine, cluster) = small().await;
    let given = json!({"cluster": cluster, "name": "team", "labels": {"a": "b"}});
    let state = lab.make("kube_namespace", "team", given.clone()).await;
    // Again with the same key: the same namespace. With another: refused.
    assert_eq!(lab.make("kube_namespace", "team", given.clone()).await.get("id"), state.get("id"));
    let fault = lab.try_make("kube_namespace", "other", given).await.expect_err("it exists");
    assert!(fault.summary.contains("exists already"), "{fault:#?}");
    lab.unmake("kube_namespace", "team", &state).await;
    assert_eq!(lab.kubectl(&machine, "get namespace team --ignore-not-found"), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_plugin_of_another_range_is_refused_while_planning() {
    let (lab, _, cluster) = small().await;
    let bench = lab.bench("kube_cni", "cni").await;
    let mut other = cni(&cluster);
    other["cluster"]["pod_subnet"] = json!("10.42.0.0/16");
    let problems = bench.problems("kube_cni", &other);
    assert!(
        problems.len() == 1 && problems[0].contains("10.42.0.0/16") && problems[0].contains(PODS),
        "{problems:?}"
    );
    let planned = bench.plan("kube_cni", None, &cni(&cluster));
    assert_eq!(planned.get("kind").and_then(Value::as_str), Some("flannel"));
    assert_eq!(planned.get("needs_address_pairs").and_then(Value::as_bool), Some(false));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kubeconfig_is_given_to_those_who_ask() {
    let (lab, _, cluster) = small().await;
    let made =
        lab.make("kube_config", "admin", json!({"cluster": cluster, "endpoint": "api.lab:6443"})).await;
    let content = made.get("content").expect("content");
    assert!(content.is_sensitive_deep());
    assert!(content.as_str().is_some_and(|text| text.contains("server: https://api.lab:6443")));
}
