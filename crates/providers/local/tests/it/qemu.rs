//! Virtual machines of a real QEMU. Where KVM does not work they are emulated: a boot takes half a minute then.

use std::path::Path;

use grappe_value::Value;

use crate::host::traces;
use crate::killed::{id_of, killed_at};
use crate::lab::{Lab, eventually, sh, shared, str_of};

/// The arguments of a virtual machine.
fn args(lab: &Lab, image: &Value, network: &Value, name: &str, ip: &str) -> Vec<(&'static str, Value)> {
    let mut args = lab.machine_args(image, network, name, ip);
    args.push(("backend", "qemu".into()));
    args
}

fn limits(memory: &str) -> Value {
    Value::object([("cpus", Value::from("1.5")), ("memory", memory.into())])
}

#[test]
fn a_virtual_machine_has_its_own_kernel_and_keeps_its_disk() {
    let mut lab = Lab::new();
    let image = lab.image_with_kernel();
    let network = lab.network("10.206.1.0/24");
    let mut args = args(&lab, &image, &network, "v", "10.206.1.11");
    args.push(("tmpfs", Value::tuple([Value::from("/srv/scratch")])));
    args.push(("limits", limits("640Mi")));
    // Killed while its disk is made: the next run takes up what goes on meanwhile.
    let id = id_of(&lab.key("v"));
    let disk = shared().join("machines").join(&id).join("disk.new");
    killed_at(&lab.key("v"), "local_machine", &Value::object(args.clone()), &|| disk.exists());
    let v = lab.create("local_machine", "v", &args);
    assert_eq!((str_of(&v, "id"), str_of(&v, "backend"), str_of(&v, "status")), (&*id, "qemu", "running"));
    let host = lab.ssh(&v);
    assert_eq!(lab.on(&host, "hostname; cat /proc/1/comm; ls /sys/class/net"), "v\nsystemd\neth0\nlo");
    let here = sh("cat /proc/sys/kernel/random/boot_id");
    assert_ne!(lab.on(&host, "cat /proc/sys/kernel/random/boot_id"), here.trim(), "a kernel of its own");
    let root = Path::new(str_of(&image, "path"));
    assert!(root.join("boot").join(format!("vmlinuz-{}", lab.on(&host, "uname -r"))).exists());
    assert_eq!(lab.on(&host, "nproc; stat -f -c %T / /srv/scratch"), "2\next2/ext3\ntmpfs");
    let memory: u32 = lab.on(&host, "awk '/MemTotal/ { print $2 }' /proc/meminfo").parse().unwrap();
    assert!((500 << 10..640 << 10).contains(&memory), "{memory} KiB");
    eventually("it has its routes, and none to a cloud's metadata service", || {
        let routes = lab.on(&host, "ip route");
        routes.contains("default via 10.206.1.1 dev eth0") && routes.contains("unreachable 169.254.0.0/16")
    });
    // What machines without a kernel must not do, it does.
    assert_eq!(
        lab.on(&host, "systemctl is-active systemd-udevd; sysctl -n -w kernel.panic=11"),
        "active\n11"
    );
    // It runs: its limits are not changed.
    *args.last_mut().unwrap() = ("limits", limits("700Mi"));
    for _ in ["once", "and again: the first refusal is not taken for a change"] {
        let fault = lab.bench("v").try_update("local_machine", &v, &Value::object(args.clone())).unwrap_err();
        assert!(fault.summary.contains("takes its limits when it starts"), "{fault}");
    }
    // Off, it is drift; started again it has its disk, its address and its new limits.
    lab.on(&host, "echo kept > /root/kept; echo lost > /srv/scratch/lost; sync");
    lab.power_off(&host);
    eventually("it is off", || {
        str_of(&lab.bench("v").read("local_machine", &v).unwrap(), "status") == "stopped"
    });
    let stopped = lab.bench("v").read("local_machine", &v).unwrap();
    let started = lab.bench("v").update("local_machine", &stopped, &Value::object(args));
    assert_eq!((str_of(&started, "id"), str_of(&started, "status")), (&*id, "running"));
    let host = lab.ssh(&started);
    assert_eq!(lab.on(&host, "cat /root/kept; ls /srv/scratch"), "kept");
    let more: u32 = lab.on(&host, "awk '/MemTotal/ { print $2 }' /proc/meminfo").parse().unwrap();
    assert!(more > memory + (50 << 10), "{memory} KiB, then {more} KiB");
    // A machine of another kind on the same network reaches it.
    let a = lab.machine(&image, &network, "a", "10.206.1.12");
    assert_eq!(str_of(&a, "backend"), "namespaces");
    lab.on(&lab.ssh(&a), "bash -c 'exec 3<>/dev/tcp/10.206.1.11/22'");
    lab.delete("local_machine", "v", &started);
    assert_eq!(traces(&id), [""; 0]);
    let bridge = sh(&format!("ip -n {} -o link show", str_of(&network, "namespace")));
    assert!(!bridge.contains(&id), "{bridge}");
    lab.delete("local_machine", "v", &started);
}

#[test]
fn a_virtual_machine_that_is_half_made_is_removed() {
    let mut lab = Lab::new();
    let image = lab.image_with_kernel();
    let network = lab.network("10.206.2.0/24");
    let args = Value::object(args(&lab, &image, &network, "v", "10.206.2.11"));
    let id = id_of(&lab.key("v"));
    let dir = shared().join("machines").join(&id);
    for point in ["bared", "disk.new", "disk"] {
        killed_at(&lab.key("v"), "local_machine", &args, &|| dir.join(point).exists());
        let left = lab.bench("v").adopt("local_machine", &args).unwrap();
        lab.delete("local_machine", "v", &left);
        assert_eq!(traces(&id), [""; 0], "killed at {point}");
    }
}

#[test]
fn what_no_virtual_machine_can_be_made_of_is_said() {
    let mut lab = Lab::new();
    let (bare, image) = (lab.image(), lab.image_with_kernel());
    let network = lab.network("10.206.3.0/24");
    let pids = Value::object([("pids", Value::from(100))]);
    for (image, limits, attribute, wanted) in [
        (&bare, limits("1Gi"), "image_id", "the image has no kernel"),
        (&image, limits("64Mi"), "limits", "so little memory"),
        (&image, pids, "limits", "its own kernel's"),
    ] {
        let mut args = args(&lab, image, &network, "v", "10.206.3.11");
        args.push(("limits", limits));
        let fault = lab.try_create("local_machine", "v", &args).unwrap_err();
        assert!(fault.summary.contains(wanted) && fault.hint.is_some(), "{fault}");
        assert_eq!(fault.attribute.unwrap().to_string(), attribute);
    }
}
