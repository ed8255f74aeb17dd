//! One machine's life.

use grappe_value::Value;

use crate::lab::{Lab, eventually, sh, shared, str_of};

#[test]
fn a_machine_boots_and_answers_and_is_its_own() {
    let mut lab = Lab::new();
    let image = lab.image();
    let network = lab.network("10.201.1.0/24");
    assert_eq!(str_of(&network, "gateway"), "10.201.1.1");
    let a = lab.machine(&image, &network, "a", "10.201.1.11");
    let host = lab.ssh(&a);
    assert_eq!(str_of(&a, "backend"), "namespaces");
    assert_eq!(str_of(&a, "status"), "running");
    assert_eq!(lab.on(&host, "hostname; cat /proc/1/comm; ls /sys/class/net"), "a\nsystemd\neth0\nlo");
    eventually("the machine is up, with no failed unit", || {
        let state = lab.on(&host, "systemctl is-system-running || systemctl --failed --no-legend");
        assert!(!state.contains("degraded"), "{state}");
        state == "running"
    });
    // Another machine has another key and another machine-id, and is reached from the first.
    let b = lab.machine(&image, &network, "b", "10.201.1.12");
    assert_ne!(str_of(&a, "host_key"), str_of(&b, "host_key"));
    let other = lab.ssh(&b);
    assert_ne!(lab.on(&host, "cat /etc/machine-id"), lab.on(&other, "cat /etc/machine-id"));
    lab.on(&other, "bash -c 'exec 3<>/dev/tcp/10.201.1.11/22'");
    // What one writes, neither the other nor the image has.
    lab.on(&host, "echo a > /etc/mine");
    assert_eq!(lab.on(&other, "test ! -e /etc/mine && echo none"), "none");
    assert!(!std::path::Path::new(str_of(&image, "path")).join("etc/mine").exists());
    // Kubernetes' folders are on a real file system, and this computer's sysctls can't be written.
    for folder in ["containerd", "kubelet", "etcd"] {
        assert_ne!(lab.on(&host, &format!("stat -f -c %T /var/lib/{folder}")), "overlayfs");
    }
    assert_eq!(
        lab.on(&host, "echo 1 2>/dev/null > /proc/sys/kernel/panic_on_warn || echo refused"),
        "refused"
    );
    assert_eq!(lab.on(&host, "sysctl -n -w net.ipv4.ip_forward=1"), "1");
    // A read finds all as it was.
    assert!(lab.bench("a").read("local_machine", &a).unwrap().same(&a));
    assert!(lab.bench("n").read("local_network", &network).unwrap().same(&network));
    assert!(lab.bench("i").read("local_image", &image).unwrap().same(&image));
}

#[test]
fn a_stopped_machine_is_drift_and_keeps_its_disk() {
    let mut lab = Lab::new();
    let image = lab.image();
    let network = lab.network("10.201.2.0/24");
    let mut args = lab.machine_args(&image, &network, "a", "10.201.2.11");
    args.push(("tmpfs", Value::tuple([Value::from("/var/lib/etcd"), Value::from("/srv/scratch")])));
    let a = lab.create("local_machine", "a", &args);
    let host = lab.ssh(&a);
    assert_eq!(lab.on(&host, "stat -f -c %T /var/lib/etcd /srv/scratch"), "tmpfs\ntmpfs");
    lab.on(&host, "echo kept > /root/kept; echo kept > /var/lib/kubelet/kept; echo lost > /srv/scratch/lost");
    lab.power_off(&host);
    eventually("it is off", || {
        let found = lab.bench("a").read("local_machine", &a).unwrap();
        str_of(&found, "status") == "stopped"
    });
    let stopped = lab.bench("a").read("local_machine", &a).unwrap();
    let given = Value::object(args.clone());
    let planned = lab.bench("a").plan("local_machine", Some(&stopped), &given);
    assert_eq!(str_of(&planned, "status"), "running", "drift is planned away");
    let started = lab.bench("a").update("local_machine", &stopped, &given);
    assert!(started.same(&a), "{started:?}");
    let host = lab.ssh(&started);
    assert_eq!(lab.on(&host, "cat /root/kept /var/lib/kubelet/kept; ls /srv/scratch"), "kept\nkept");
    // A machine whose plug was pulled is the same.
    let pid: i32 = std::fs::read_to_string(shared().join("machines").join(str_of(&a, "id")).join("pid"))
        .unwrap()
        .split_whitespace()
        .next()
        .unwrap()
        .parse()
        .unwrap();
    sh(&format!("kill -9 {pid}"));
    eventually("it is off", || {
        str_of(&lab.bench("a").read("local_machine", &a).unwrap(), "status") == "stopped"
    });
    let stopped = lab.bench("a").read("local_machine", &a).unwrap();
    lab.bench("a").update("local_machine", &stopped, &given);
    assert_eq!(lab.on(&lab.ssh(&a), "cat /root/kept"), "kept");
}

#[test]
fn user_data_is_obeyed_at_the_first_boot() {
    let mut lab = Lab::new();
    let include = Value::tuple([Value::from("cloud-init")]);
    let debian = Value::object([("suite", Value::from("bookworm")), ("include", include)]);
    let image = lab.create("local_image", "with cloud-init", &[("debian", debian)]);
    let network = lab.network("10.201.4.0/24");
    let mut args = lab.machine_args(&image, &network, "a", "10.201.4.11");
    let user_data = "#cloud-config\nwrite_files: [{path: /etc/said, content: obeyed}]\nruncmd: [[sh, -c, 'hostname > /etc/ran']]\n";
    args.push(("user_data", user_data.into()));
    let a = lab.create("local_machine", "a", &args);
    let record =
        std::fs::read_to_string(shared().join("machines").join(str_of(&a, "id")).join("record.json"))
            .unwrap();
    assert!(!record.contains("obeyed"), "user_data may hold secrets: it is in the seed alone");
    let host = lab.ssh(&a);
    lab.on(&host, "timeout 300 cloud-init status --wait >/dev/null || { cloud-init status --long >&2; systemctl list-jobs >&2; tail -20 /var/log/cloud-init.log >&2; exit 1; }");
    assert_eq!(lab.on(&host, "cat /etc/said /etc/ran"), "obeyeda");
    // The host key, root's keys and the network are still what the provider made them.
    assert_eq!(lab.on(&lab.ssh(&a), "hostname; ls /sys/class/net"), "a\neth0\nlo");
}

#[test]
fn limits_are_in_the_cgroup_and_change_in_place() {
    let mut lab = Lab::new();
    let image = lab.image();
    let network = lab.network("10.201.3.0/24");
    let limits = |memory: &str| {
        Value::object([
            ("cpus", Value::from("0.5")),
            ("memory", Value::from(memory)),
            ("pids", Value::from(200)),
        ])
    };
    let mut args = lab.machine_args(&image, &network, "a", "10.201.3.11");
    args.push(("limits", limits("300Mi")));
    let a = lab.create("local_machine", "a", &args);
    let id = str_of(&a, "id").to_owned();
    let read = |v1: &str, v2: &str| {
        sh(&format!("cat /sys/fs/cgroup/{v1} 2>/dev/null || cat /sys/fs/cgroup/{v2}").replace("ID", &id))
            .trim()
            .to_owned()
    };
    let memory = || read("memory/grappe/ID/memory.limit_in_bytes", "grappe/ID/memory.max");
    assert_eq!(memory(), (300 << 20).to_string());
    assert_eq!(read("pids/grappe/ID/pids.max", "grappe/ID/pids.max"), "200");
    assert!(read("cpu/grappe/ID/cpu.cfs_quota_us", "grappe/ID/cpu.max").starts_with("50000"));
    // The machine sees itself as the whole, and can't reach its own limit.
    let host = lab.ssh(&a);
    assert_eq!(lab.on(&host, "cat /proc/1/cgroup | cut -d: -f3 | sort -u | head -1"), "/");
    let before = lab.on(&host, "cat /proc/sys/kernel/random/boot_id; stat -c %Y /proc/1");
    *args.last_mut().unwrap() = ("limits", limits("400Mi"));
    lab.bench("a").update("local_machine", &a, &Value::object(args.clone()));
    assert_eq!(memory(), (400 << 20).to_string());
    args.pop();
    lab.bench("a").update("local_machine", &a, &Value::object(args));
    assert!(memory() == "max" || memory().parse::<u64>().unwrap() > 1 << 50);
    assert_eq!(
        lab.on(&host, "cat /proc/sys/kernel/random/boot_id; stat -c %Y /proc/1"),
        before,
        "it was not started anew"
    );
}
