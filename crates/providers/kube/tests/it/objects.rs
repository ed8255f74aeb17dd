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
    // Those of a cluster are read by one call, and say what each by itself does.
    let others = json!({"cluster": cluster, "name": "others"});
    let others = lab.make("kube_namespace", "others", others).await;
    lab.kubectl(&machine, "label namespace team a=changed --overwrite");
    lab.kubectl(&machine, "delete namespace others");
    let bench = lab.bench("kube_namespace", "team").await;
    let ty = bench.resource("kube_namespace");
    let all = [state.clone(), others];
    assert_eq!(ty.read_group(&all[0]), ty.read_group(&all[1]));
    let read = ty.read_many(bench.context(), &all).await.expect("read");
    for (state, together) in all.iter().zip(read) {
        assert_eq!(together.expect("read"), bench.read("kube_namespace", state).await);
    }
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
    assert_eq!(value::to_json(planned.get("allowed_address_pairs").expect("pairs")), json!([]));
    for (name, given, part) in [
        ("kind", json!("calico"), "installs flannel, not calico"),
        ("kind", json!("romana"), "no network plugin we know"),
        ("version", json!("v0.0.1"), "not v0.0.1"),
        ("checksum", json!("sha256:00"), "no SHA-256"),
        ("checksum", json!("0".repeat(64)), "the manifest's SHA-256 is"),
        ("url", json!("https://example.org/x.yaml"), "not both"),
        ("mirror", json!("http://10.0.0.1"), "a mirror is for a `url`"),
    ] {
        let mut wrong = cni(&cluster);
        wrong[name] = given;
        let problems = bench.problems("kube_cni", &wrong);
        assert!(problems.iter().any(|problem| problem.contains(part)), "{name}: {problems:?}");
    }
    // Where addresses are routed, both ranges are told.
    let mut routed = cni(&cluster);
    let manifest = routed["manifest"].as_str().expect("text").replace("\"vxlan\"", "\"host-gw\"");
    routed["manifest"] = manifest.into();
    let planned = bench.plan("kube_cni", None, &routed);
    assert_eq!(
        value::to_json(planned.get("allowed_address_pairs").expect("pairs")),
        json!([PODS, "10.96.0.0/12"])
    );
    // Without kube-proxy somebody has to do its work.
    let mut without = cni(&cluster);
    without["cluster"]["kube_proxy"] = json!(false);
    let problems = bench.problems("kube_cni", &without);
    assert!(problems.iter().any(|problem| problem.contains("no kube-proxy")), "{problems:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_from_a_url_is_what_was_pinned_or_nothing() {
    let (lab, machine, cluster) = small().await;
    let text = cni(&cluster)["manifest"].as_str().expect("text").to_owned();
    let id = machine["id"].as_str().expect("an id");
    let put =
        |text: &str| lab.world.exec(id, "root", "cat > /root/cni.yaml", text.as_bytes()).expect("it runs");
    put(&text);
    let sum = lab.ok(&machine, "sha256sum < /root/cni.yaml | cut -d' ' -f1").trim().to_owned();
    let given = |sum: &str| json!({"cluster": cluster, "url": "file:///root/cni.yaml", "checksum": sum});
    let bench = lab.bench("kube_cni", "cni").await;
    let problems = bench.problems("kube_cni", &json!({"cluster": cluster, "url": "file:///root/cni.yaml"}));
    assert!(problems.len() == 1 && problems[0].contains("needs its SHA-256"), "{problems:?}");
    let fault = lab.try_make("kube_cni", "cni", given(&"0".repeat(64))).await.expect_err("another file");
    assert!(fault.summary.contains(&sum), "{fault:#?}");
    let state = lab.make("kube_cni", "cni", given(&format!("sha256:{sum}"))).await;
    assert_eq!(state.get("kind").and_then(Value::as_str), Some("flannel"));
    assert_eq!(state.get("manifest").and_then(Value::as_str), Some(text.as_str()));
    assert!(state.get("manifest").expect("text").is_sensitive_deep(), "it might hold Secrets");
    // It was fetched once: drift is seen, and mended, with the file gone.
    lab.ok(&machine, "rm /root/cni.yaml");
    lab.kubectl(&machine, "-n kube-flannel delete daemonset kube-flannel-ds");
    let given = given(&format!("sha256:{sum}"));
    let read = bench.read("kube_cni", &state).await.expect("the rest is there");
    assert_eq!(bench.action("kube_cni", &read, &given), Action::Update(vec!["drift".into()]));
    bench.update("kube_cni", &read, &given).await;
    let fault = lab
        .try_make(
            "kube_cni",
            "other",
            json!({"cluster": cluster, "url": "file:///root/gone.yaml", "checksum": sum}),
        )
        .await
        .expect_err("no such file");
    assert!(fault.is_transient() && fault.summary.contains("gone.yaml"), "{fault:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_come_up_says_which_pod_hangs_and_why() {
    let (lab, _, cluster) = small().await;
    let manifest = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: default}\nspec:\n  \
                    selector: {matchLabels: {app: web}}\n  template:\n    metadata: {labels: {app: web}}\n    spec: \
                    {nodeSelector: {no: where}, containers: [{name: c, image: 'example.org/web:1'}]}\n";
    let given = json!({"cluster": cluster, "manifest": manifest, "wait": true, "timeout": "2s"});
    let fault = lab.try_make("kube_manifest", "m", given).await.expect_err("no node takes it");
    let said = fault.details.join("\n");
    assert!(said.contains("Deployment web has 0 of 1") && said.contains("on no node: "), "{fault:#?}");
    let conditions = json!([{"kind": "node", "name": "cp1", "condition": "Ready"}]);
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m, namespace: default}\n";
    lab.make("kube_manifest", "w", json!({"cluster": cluster, "manifest": map, "wait_for": conditions}))
        .await;
    let conditions = json!([{"kind": "node", "name": "cp1", "condition": "DiskPressure"}]);
    let given = json!({"cluster": cluster, "manifest": map, "wait_for": conditions, "timeout": "1s"});
    let fault = lab.try_make("kube_manifest", "w", given).await.expect_err("it has none");
    assert!(fault.details.join("\n").contains("node cp1 is not DiskPressure"), "{fault:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_is_refused_is_found_in_the_manifest() {
    let (lab, _, cluster) = small().await;
    let manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: default}\n---\n\
                    apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b, namespace: nowhere}\n";
    let fault = lab
        .try_make("kube_manifest", "m", json!({"cluster": cluster, "manifest": manifest}))
        .await
        .expect_err("no such namespace");
    assert!(fault.details.join("\n").contains("at document 2, ConfigMap nowhere/b"), "{fault:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_with_secrets_is_one() {
    let (lab, _, cluster) = small().await;
    let manifest =
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: default}\nstringData: {p: hunter2}\n";
    let state = lab.make("kube_manifest", "m", json!({"cluster": cluster, "manifest": manifest})).await;
    assert!(state.get("manifest").expect("text").is_sensitive_deep(), "sealed in the state");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_values_of_a_secret_are_in_the_cluster_and_not_in_the_state() {
    let (lab, machine, cluster) = small().await;
    let given = |password: &str, team: &str| json!({"cluster": cluster, "name": "db", "data": {"password": password, "user": "app"}, "labels": {"team": team}});
    let bench = lab.bench("kube_secret", "db").await;
    let ty = bench.resource("kube_secret");
    let planned = bench.plan("kube_secret", None, &given("hunter2", "a"));
    let made = ty.create(bench.context(), &planned).await.expect("created");
    assert!(made.get("data").expect("data").is_null(), "{made:#?}");
    assert!(!format!("{:?}", value::to_json(&made)).contains("hunter2"));
    let password = "-n default get secret db -o jsonpath={.data.password} | base64 -d";
    assert_eq!(lab.kubectl(&machine, password), "hunter2");
    // Nothing differs after it.
    let read = bench.read("kube_secret", &made).await.expect("it is there");
    assert_eq!(bench.action("kube_secret", &read, &given("hunter2", "a")), Action::Nothing);
    // Another value, or a label: all of it is sent again.
    for (password, team) in [("hunter3", "a"), ("hunter3", "b")] {
        let read = bench.read("kube_secret", &made).await.expect("it is there");
        let wanted = given(password, team);
        assert!(matches!(bench.action("kube_secret", &read, &wanted), Action::Update(_)));
        let planned = bench.plan("kube_secret", Some(&read), &wanted);
        ty.update(bench.context(), &read, &planned).await.expect("updated");
    }
    assert_eq!(lab.kubectl(&machine, password), "hunter3");
    // Somebody else's hand is seen.
    let planned = bench.plan("kube_secret", Some(&made), &given("hunter3", "b"));
    let made = ty.update(bench.context(), &made, &planned).await.expect("updated");
    lab.kubectl(&machine, "-n default patch secret db --type=merge -p '{\"data\":{\"password\":\"eA==\"}}'");
    let read = bench.read("kube_secret", &made).await.expect("it is there");
    assert_eq!(
        bench.action("kube_secret", &read, &given("hunter3", "b")),
        Action::Update(vec!["data_hashes".into()])
    );
    let other = lab.bench("kube_secret", "other").await;
    let planned = other.plan("kube_secret", None, &given("x", "a"));
    let fault = other.resource("kube_secret").create(other.context(), &planned).await.expect_err("another's");
    assert!(fault.summary.contains("exists already"), "{fault:#?}");
    lab.unmake("kube_secret", "db", &made).await;
    assert_eq!(lab.kubectl(&machine, "-n default get secret db --ignore-not-found"), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn values_that_are_stored_nowhere_go_by_their_version() {
    let (lab, machine, cluster) = small().await;
    let ty = "kube_secret";
    let given = |password: &str, version: i64, team: &str| {
        json!({"cluster": cluster, "name": "db", "data_wo": {"password": password},
            "data_wo_version": version, "labels": {"team": team}})
    };
    let bench = lab.bench(ty, "db").await;
    let made = bench.create(ty, &given("hunter2", 1, "a")).await;
    let live = || lab.kubectl(&machine, "-n default get secret db -o jsonpath={.data.password} | base64 -d");
    assert_eq!(live(), "hunter2");
    assert!(!format!("{:?}", value::to_json(&made)).contains("hunter2"));
    let read = bench.read(ty, &made).await.expect("it is there");
    // Another value is not seen, another version is.
    assert_eq!(bench.action(ty, &read, &given("hunter3", 1, "a")), Action::Nothing);
    let Action::Update(changed) = bench.action(ty, &read, &given("hunter3", 2, "a")) else {
        panic!("nothing")
    };
    assert_eq!(changed, ["data_hashes", "data_wo_version"]);
    let made = bench.update(ty, &read, &given("hunter3", 2, "a")).await;
    assert_eq!(live(), "hunter3");
    // Another label: it goes with it.
    let made = bench.update(ty, &made, &given("hunter3", 2, "b")).await;
    let read = bench.read(ty, &made).await.expect("it is there");
    assert_eq!(bench.action(ty, &read, &given("hunter3", 2, "b")), Action::Nothing);
    // Somebody else's hand is seen.
    lab.kubectl(&machine, "-n default patch secret db --type=merge -p '{\"data\":{\"password\":\"eA==\"}}'");
    let read = bench.read(ty, &made).await.expect("it is there");
    assert!(matches!(bench.action(ty, &read, &given("hunter3", 2, "b")), Action::Update(_)));
    bench.update(ty, &read, &given("hunter3", 2, "b")).await;
    assert_eq!(live(), "hunter3");
    let twice =
        json!({"cluster": cluster, "name": "db", "data": {"a": "1"}, "data_wo": {"a": "2", "b/c": "3"}});
    assert_eq!(bench.problems(ty, &twice).len(), 2);
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
