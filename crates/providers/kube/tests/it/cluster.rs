//! The whole flow, and a flow that was cut off.

use grappe_provider_host::testing::Action;
use grappe_value::Value;
use serde_json::json;

use crate::lab::{CPS, Ha, Lab, VERSION, cluster, cluster_of, endpoint, host};

#[tokio::test(flavor = "multi_thread")]
async fn bare_machines_become_a_cluster_whose_nodes_are_ready() {
    let ha = Ha::new().await;
    assert_eq!(ha.nodes(1), ["cp1 Ready", "cp2 Ready", "cp3 Ready", "w1 Ready", "w2 Ready"]);
    // Nothing that joins is left to be found.
    for machine in &ha.control_planes {
        assert_eq!(ha.lab.ok(machine, "ls /etc/kubernetes | grep -c -E 'grappe-.*yaml' || true").trim(), "0");
    }
    let tokens =
        ha.lab.ok(&ha.control_planes[0], "kubeadm --kubeconfig /etc/kubernetes/admin.conf token list");
    let ids = grappe_kubeadm::join::token_ids_from_list(&tokens);
    // The certificates' own token, which only lets them be deleted after two hours, may stand.
    assert!(tokens.lines().filter(|line| line.contains("signing")).count() == 0, "{ids:?}\n{tokens}");
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_may_be_done_twice() {
    let ha = Ha::new().await;
    let before = ha.lab.kubectl(&ha.control_planes[0], "get nodes -o jsonpath={.items[*].metadata.uid}");
    let again = ha.lab.make("kubeadm_cluster", "lab", ha.cluster_args.clone()).await;
    assert_eq!(again.get("id"), ha.cluster_state.get("id"));
    for (name, machine) in CPS.iter().zip(&ha.control_planes) {
        ha.lab.make("kubeadm_control_plane", name, json!({"cluster": ha.cluster, "host": machine})).await;
    }
    ha.lab.make("kubeadm_worker", "w1", json!({"cluster": ha.cluster, "host": ha.workers[0]})).await;
    ha.lab.make("kubeadm_host", "w1", host(&ha.workers[0])).await;
    let after = ha.lab.kubectl(&ha.control_planes[0], "get nodes -o jsonpath={.items[*].metadata.uid}");
    assert_eq!(after, before, "no node was made anew");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_half_made_cluster_is_made_anew_and_only_ours() {
    let lab = Lab::new().await;
    let machine = lab.hosts(&["cp1"]).await.remove(0);
    let args = cluster(&machine, std::slice::from_ref(&machine), &endpoint(&machine));
    // What a run leaves that was killed inside kubeadm: its mark, manifests and keys, and no API.
    lab.ok(
        &machine,
        "mkdir -p /etc/kubernetes/manifests /etc/kubernetes/pki; echo x > /etc/kubernetes/manifests/etcd.yaml; echo x > /etc/kubernetes/pki/ca.key
         echo '{\"version\":1,\"cluster\":{\"key\":\"key of lab\",\"done\":false}}' > /etc/kubernetes/grappe.json",
    );
    let other = lab.try_make("kubeadm_cluster", "other", args.clone()).await.expect_err("it is another's");
    assert!(other.summary.contains("another resource made"), "{other:#?}");
    lab.make("kubeadm_cluster", "lab", args).await;
    assert!(lab.kubectl(&machine, "get nodes --no-headers").starts_with("cp1 "));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_kubeadm_has_touched_is_left_alone() {
    let lab = Lab::new().await;
    let machine = lab.hosts(&["cp1"]).await.remove(0);
    let args = cluster(&machine, std::slice::from_ref(&machine), "10.0.0.99:6443");
    lab.ok(&machine, "mkdir -p /etc/kubernetes/manifests; echo x > /etc/kubernetes/manifests/etcd.yaml");
    let fault = lab.try_make("kubeadm_cluster", "lab", args).await.expect_err("not ours");
    assert!(!fault.is_transient() && fault.summary.contains("not by this plan"), "{fault:#?}");
    assert_eq!(lab.ok(&machine, "cat /etc/kubernetes/manifests/etcd.yaml"), "x\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_that_failed_is_undone_and_tried_again() {
    let lab = Lab::new().await;
    let machines = lab.hosts(&["cp1", "w1"]).await;
    let endpoint = endpoint(&machines[0]);
    let made = lab.make("kubeadm_cluster", "lab", cluster(&machines[0], &machines[..1], &endpoint)).await;
    let args = json!({"cluster": cluster_of(&made), "host": machines[1]});
    lab.fail("kubeadm join", 1);
    let first = lab.try_make("kubeadm_worker", "w1", args.clone()).await.expect_err("planned to fail");
    assert!(first.is_transient(), "{first:#?}");
    assert!(first.summary.contains("kubeadm join failed"), "{first:#?}");
    // The token of the failed join is gone.
    let tokens = lab.ok(&machines[0], "kubeadm --kubeconfig /etc/kubernetes/admin.conf token list");
    assert_eq!(grappe_kubeadm::join::token_ids_from_list(&tokens), [""; 0], "{tokens}");
    lab.make("kubeadm_worker", "w1", args).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_orders_are_told_and_leave_the_machine_as_it_was() {
    let lab = Lab::new().await;
    let machines = lab.hosts(&["cp1", "w1"]).await;
    let endpoint = endpoint(&machines[0]);
    // A worker of a cluster that does not exist.
    let ghost = json!({"id": "x", "name": "ghost", "endpoint": endpoint, "version": "1.34.2", "pod_subnet": null,
        "service_subnet": null, "ca_cert_hash": format!("sha256:{}", "0".repeat(64)), "control_planes": machines[..1]});
    let fault = lab
        .try_make("kubeadm_worker", "w1", json!({"cluster": ghost, "host": machines[1]}))
        .await
        .expect_err("no cluster");
    assert!(fault.summary.contains("ghost is gone"), "{fault:#?}");
    let made = lab.make("kubeadm_cluster", "lab", cluster(&machines[0], &machines[..1], &endpoint)).await;
    let cluster = cluster_of(&made);
    // A control plane as a worker.
    let fault = lab
        .try_make("kubeadm_worker", "cp1", json!({"cluster": cluster, "host": machines[0]}))
        .await
        .expect_err("not a worker");
    assert!(fault.summary.contains("not as a worker"), "{fault:#?}");
    // The same machine by another name.
    let renamed = json!({"cluster": cluster, "host": machines[0], "node_name": "other"});
    let fault = lab.try_make("kubeadm_control_plane", "cp1", renamed).await.expect_err("it has a name");
    assert!(fault.summary.contains("by the name cp1"), "{fault:#?}");
    // A machine that was never prepared.
    let bare = lab.machine("bare");
    let fault = lab
        .try_make("kubeadm_worker", "bare", json!({"cluster": cluster, "host": bare}))
        .await
        .expect_err("no kubeadm");
    assert!(fault.details.iter().any(|line| line.contains("kubeadm")), "{fault:#?}");
    // Somebody else's name.
    let twin = lab.hosts(&["w2"]).await.remove(0);
    let args = json!({"cluster": cluster, "host": twin, "node_name": "cp1"});
    let fault = lab.try_make("kubeadm_worker", "twin", args).await.expect_err("the name is taken");
    assert!(fault.summary.contains("live node cp1"), "{fault:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_shows_what_differs_on_a_machine() {
    let lab = Lab::new().await;
    let machine = lab.machine("w1");
    let state = lab.make("kubeadm_host", "w1", host(&machine)).await;
    assert_eq!(state.get("node_ip").and_then(Value::as_str), machine["address"].as_str());
    lab.ok(&machine, "apt-mark unhold kubelet; echo 'version = 2' > /etc/containerd/config.toml; echo 0 > /proc/sys/net/ipv4/ip_forward");
    let bench = lab.bench("kubeadm_host", "w1").await;
    let read = bench.read("kubeadm_host", &state).await.expect("it is there");
    let part = |name: &str| {
        read.get("parts").and_then(|parts| parts.as_entries()?.get(name)?.as_str()).map(str::to_owned)
    };
    assert_eq!(part("packages").as_deref(), Some("kubelet is not held"));
    assert_eq!(part("containerd").as_deref(), Some("/etc/containerd/config.toml differs"));
    assert_eq!(part("sysctls").as_deref(), Some("net.ipv4.ip_forward is 0"));
    assert_eq!(bench.action("kubeadm_host", &read, &host(&machine)), Action::Update(vec!["parts".into()]));
    let mended = bench.update("kubeadm_host", &read, &host(&machine)).await;
    let again = bench.read("kubeadm_host", &mended).await.expect("it is there");
    assert_eq!(bench.action("kubeadm_host", &again, &host(&machine)), Action::Nothing);
    lab.unmake("kubeadm_host", "w1", &again).await;
    assert_eq!(lab.ok(&machine, "apt-mark showhold"), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_part_that_drifts_is_shown_and_mended_alone() {
    let lab = Lab::new().await;
    let machine = lab.machine("w1");
    let given = json!({
        "host": machine, "version": VERSION, "time": "ignore", "resolv_conf": "/etc/resolv.conf",
        "extra_sysctls": {"vm.max_map_count": "262144"}, "extra_packages": ["socat"],
        "proxy": {"http": "http://10.0.0.1:3128", "no_proxy": ["10.0.0.0/24"]},
        "containerd": {"registry_mirrors": {"docker.io": "http://10.0.0.1:5000"}},
    });
    let mut state = lab.make("kubeadm_host", "w1", given.clone()).await;
    let bench = lab.bench("kubeadm_host", "w1").await;
    let resolver = "/etc/systemd/system/kubelet.service.d/20-grappe-resolv.conf";
    for (command, part, told) in [
        (
            "echo '/swap.img none swap sw 0 0' >> /etc/fstab",
            "swap",
            "off, but /etc/fstab turns it on at boot",
        ),
        ("rm /etc/modules-load.d/kubernetes.conf", "modules", "/etc/modules-load.d/kubernetes.conf differs"),
        ("echo 65530 > /proc/sys/vm/max_map_count", "sysctls", "vm.max_map_count is 65530"),
        ("rm /etc/sysctl.d/99-kubernetes.conf", "sysctls", "/etc/sysctl.d/99-kubernetes.conf differs"),
        ("rm /etc/resolv.conf", "resolver", "there is no /etc/resolv.conf, without which no pod starts"),
        (&format!("rm {resolver}"), "resolver", "the kubelet is not told of /etc/resolv.conf"),
        ("rm /etc/apt/apt.conf.d/95grappe-proxy", "proxy", "/etc/apt/apt.conf.d/95grappe-proxy differs"),
        (
            "echo x >> /etc/systemd/system/containerd.service.d/90-grappe-proxy.conf",
            "proxy",
            "/etc/systemd/system/containerd.service.d/90-grappe-proxy.conf differs",
        ),
        (
            "rm /etc/apt/sources.list.d/kubernetes.list",
            "source",
            "/etc/apt/sources.list.d/kubernetes.list differs",
        ),
        ("rm /etc/apt/keyrings/kubernetes.asc", "source", "/etc/apt/keyrings/kubernetes.asc is missing"),
        ("apt-mark unhold kubectl", "packages", "kubectl is not held"),
        ("apt-get remove -y socat", "packages", "socat is not installed"),
        ("systemctl disable kubelet", "packages", "the kubelet's service is not enabled"),
        ("rm /etc/containerd/config.toml", "containerd", "/etc/containerd/config.toml differs"),
        (
            "rm /etc/containerd/certs.d/docker.io/hosts.toml",
            "containerd",
            "/etc/containerd/certs.d/docker.io/hosts.toml differs",
        ),
        ("rm /etc/crictl.yaml", "containerd", "/etc/crictl.yaml differs"),
        ("systemctl stop containerd", "containerd", "the service is inactive"),
        ("systemctl disable containerd", "containerd", "the service is not enabled"),
    ] {
        lab.ok(&machine, command);
        let read = bench.read("kubeadm_host", &state).await.expect("it is there");
        let parts = read.get("parts").and_then(Value::as_entries).expect("parts");
        let differ: Vec<(&str, &str)> = parts
            .iter()
            .filter_map(|(name, state)| Some((&**name, state.as_str()?)))
            .filter(|(_, state)| *state != "as wanted")
            .collect();
        assert_eq!(differ, [(part, told)], "{command}");
        assert_eq!(bench.action("kubeadm_host", &read, &given), Action::Update(vec!["parts".into()]));
        let mended = bench.update("kubeadm_host", &read, &given).await;
        state = bench.read("kubeadm_host", &mended).await.expect("it is there");
        assert_eq!(bench.action("kubeadm_host", &state, &given), Action::Nothing, "{command}");
    }
}

/// One file for each of kubeadm's APIs, read by a kubeadm of its release.
#[tokio::test(flavor = "multi_thread")]
async fn every_api_of_kubeadm_makes_a_cluster_that_grows() {
    for version in ["1.20", "1.28", "1.31", "1.34"] {
        let lab = Lab::new().await;
        let machines = ["cp1", "cp2", "w1"].map(|name| lab.machine(name));
        let mut release = String::new();
        for machine in &machines {
            lab.make("kubeadm_host", "host", json!({"host": machine, "version": version})).await;
            release = lab.ok(machine, "kubeadm version -o short").trim().trim_start_matches('v').to_owned();
        }
        let mut args = cluster(&machines[0], &machines[..2], &endpoint(&machines[0]));
        args["version"] = json!(release);
        args["cert_sans"] = json!(["api.lab"]);
        args["api_server_extra_args"] = json!({"profiling": "false"});
        args["etcd_extra_args"] = json!({"heartbeat-interval": "500"});
        args["kubelet_config"] = json!({"imageGCHighThresholdPercent": 100});
        args["skip_phases"] = json!(["addon/kube-proxy"]);
        let made = lab.make("kubeadm_cluster", "lab", args).await;
        let cluster = cluster_of(&made);
        let join = |machine: &serde_json::Value| json!({"cluster": cluster, "host": machine, "ignore_preflight_errors": ["Swap"]});
        lab.make("kubeadm_control_plane", "cp2", join(&machines[1])).await;
        let worker = lab.make("kubeadm_worker", "w1", join(&machines[2])).await;
        assert_eq!(worker.get("kubelet_version").and_then(Value::as_str), Some(release.as_str()));
        let manifest = lab.ok(&machines[0], "cat /etc/kubernetes/manifests/kube-apiserver.yaml");
        assert!(manifest.contains("--profiling=false"), "{version}: {manifest}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_settings_reach_every_control_plane() {
    let ha = Ha::new().await;
    let mut changed = ha.cluster_args.clone();
    changed["api_server_extra_args"] = json!({"profiling": "false"});
    let bench = ha.lab.bench("kubeadm_cluster", "lab").await;
    let ty = "kubeadm_cluster";
    assert_eq!(
        bench.action(ty, &ha.cluster_state, &changed),
        Action::Update(vec!["api_server_extra_args".into()])
    );
    let updated = bench.update(ty, &ha.cluster_state, &changed).await;
    let read = bench.read(ty, &updated).await.expect("it is there");
    assert_eq!(bench.action(ty, &read, &changed), Action::Nothing);
    for machine in &ha.control_planes {
        let manifest = ha.lab.ok(machine, "cat /etc/kubernetes/manifests/kube-apiserver.yaml");
        assert!(manifest.contains("--profiling=false"), "{manifest}");
        let own = format!("--advertise-address={}", machine["address"].as_str().expect("an address"));
        assert!(manifest.contains(&own), "{manifest}");
    }
    assert_eq!(bench.run.progress().iter().filter(|step| step.contains("kube-proxy")).count(), 0);

    // What kubelets and kube-proxy share is a settings' change too.
    changed["kubelet_config"] = json!({"maxPods": 200});
    changed["kube_proxy_config"] = json!({"mode": "nftables"});
    let names = ["kube_proxy_config", "kubelet_config"].map(str::to_owned).to_vec();
    assert_eq!(bench.action(ty, &read, &changed), Action::Update(names));
    let updated = bench.update(ty, &read, &changed).await;
    let read = bench.read(ty, &updated).await.expect("it is there");
    assert_eq!(bench.action(ty, &read, &changed), Action::Nothing);
    let kubectl = |args: &str| ha.lab.kubectl(&ha.control_planes[0], args);
    let kubelets = kubectl("-n kube-system get configmap kubelet-config -o yaml");
    assert!(kubelets.contains("maxPods: 200"), "{kubelets}");
    let proxies = kubectl("-n kube-system get configmap kube-proxy -o yaml");
    assert!(proxies.contains("mode: nftables"), "{proxies}");
    let pods = kubectl("-n kube-system get daemonset kube-proxy -o yaml");
    assert!(pods.contains("kubectl.kubernetes.io/restartedAt"), "{pods}");
}

#[tokio::test(flavor = "multi_thread")]
async fn on_machines_with_two_cards_the_nodes_are_in_the_network_that_is_named() {
    let lab = Lab::new().await;
    let (cp1, w1) = (lab.machine_with_two_cards("cp1"), lab.machine_with_two_cards("w1"));
    let mut ips = Vec::new();
    for machine in [&cp1, &w1] {
        let alone = lab.make("kubeadm_host", "alone", host(machine)).await;
        let notes = alone.get("notes").and_then(Value::as_items).expect("notes");
        assert!(
            notes.iter().filter_map(Value::as_str).any(|note| note.contains("several addresses")),
            "{notes:?}"
        );
        let given = json!({"host": machine, "version": VERSION, "node_cidr": "192.168.7.0/24"});
        let made = lab.make("kubeadm_host", "host", given).await;
        ips.push(made.get("node_ip").and_then(Value::as_str).expect("an address").to_owned());
    }
    assert!(ips.iter().all(|ip| ip.starts_with("192.168.7.")), "{ips:?}");
    let mut args = cluster(&cp1, std::slice::from_ref(&cp1), &format!("{}:6443", ips[0]));
    args["node_ip"] = json!(ips[0]);
    let made = lab.make("kubeadm_cluster", "lab", args).await;
    let join = json!({"cluster": cluster_of(&made), "host": w1, "node_ip": ips[1]});
    lab.make("kubeadm_worker", "w1", join).await;
    let manifest = lab.ok(&cp1, "cat /etc/kubernetes/manifests/kube-apiserver.yaml");
    assert!(manifest.contains(&format!("--advertise-address={}", ips[0])), "{manifest}");
    let of = "get nodes -o jsonpath='{.items[*].status.addresses[?(@.type==\"InternalIP\")].address}'";
    assert_eq!(lab.kubectl(&cp1, of), ips.join(" "));
}
