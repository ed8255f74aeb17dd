//! What machines leave of this computer as it was, and what they leave behind: nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use grappe_value::Value;

use crate::lab::{Lab, eventually, sh, shared, str_of};

/// What is there of an object under an id: namespaces, mounts, cgroups, processes, files.
pub(crate) fn traces(id: &str) -> Vec<String> {
    let mut found = Vec::new();
    let lines = |what: &str, text: String, found: &mut Vec<String>| {
        found.extend(text.lines().filter(|l| l.contains(id)).map(|l| format!("{what}: {l}")));
    };
    lines("namespace", sh("ls /run/netns 2>/dev/null || true"), &mut found);
    lines("mount", sh("cat /proc/self/mountinfo"), &mut found);
    lines("cgroup", sh("find /sys/fs/cgroup -type d -path '*/grappe/*' 2>/dev/null || true"), &mut found);
    lines("file", sh(&format!("find {} -maxdepth 2 || true", shared().display())), &mut found);
    let folder = format!("/{id}");
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        let cmdline = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        if String::from_utf8_lossy(&cmdline).contains(&folder) {
            found.push(format!("process: {}", String::from_utf8_lossy(&cmdline)));
        }
    }
    found
}

/// The sysctls outside of `net` that can be written, but for those that the kernel itself changes.
pub(crate) fn sysctls() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![Path::new("/proc/sys").to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let (path, meta) = (entry.path(), entry.metadata().unwrap());
            let name = path.strip_prefix("/proc/sys").unwrap().display().to_string();
            let own =
                ["net", "kernel/ns_last_pid", "kernel/random", "fs/binfmt_misc"].contains(&name.as_str());
            if meta.is_dir() && !own {
                folders.push(path);
            } else if meta.permissions().mode() & 0o200 != 0 && !own {
                found.insert(name, std::fs::read_to_string(&path).unwrap_or_default());
            }
        }
    }
    found
}

/// Names what has changed, of some hundred values.
pub(crate) fn assert_same_sysctls(before: &BTreeMap<String, String>) {
    let after = sysctls();
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let changed: Vec<_> = names
        .into_iter()
        .filter(|name| before.get(*name) != after.get(*name))
        .map(|name| (name, before.get(name), after.get(name)))
        .collect();
    assert!(changed.is_empty(), "before and after: {changed:?}");
}

fn null() -> (u32, u32, u32, u64) {
    let meta = std::fs::metadata("/dev/null").unwrap();
    (meta.permissions().mode(), meta.uid(), meta.gid(), meta.rdev())
}

#[test]
fn this_computer_stays_as_it_was_and_nothing_is_left() {
    let mut lab = Lab::new();
    let image = lab.image();
    let links =
        || sh("ip -o link show | cut -d@ -f1; ip -o addr show; ip route show table all; ip rule show");
    let before = (sysctls(), null(), links());
    // Two networks at once, each with a machine of the same name: neither sees the other.
    let one = lab.network("10.202.1.0/24");
    let two = lab.network("10.202.2.0/24");
    let keyed = |lab: &mut Lab, key: &str, network: &Value, ip: &str| {
        let args = lab.machine_args(&image, network, "a", ip);
        lab.create("local_machine", key, &args)
    };
    let a = keyed(&mut lab, "one", &one, "10.202.1.11");
    let b = keyed(&mut lab, "two", &two, "10.202.2.11");
    let (on_a, on_b) = (lab.ssh(&a), lab.ssh(&b));
    let reach = "timeout 2 bash -c 'exec 3<>/dev/tcp/IP/22' 2>/dev/null && echo yes || echo no";
    assert_eq!(lab.on(&on_a, &reach.replace("IP", "10.202.2.11")), "no");
    // What package scripts and runtimes do to device nodes, and what a machine may try.
    for host in [&on_a, &on_b] {
        lab.on(host, "chmod 600 /dev/null; chown 1:1 /dev/null; sysctl --system >/dev/null 2>&1 || true; sysctl -w kernel.panic=3 || true; \
                      ip link add d0 type bridge && ip link set d0 up; mount -t tmpfs tmpfs /mnt; hostname changed");
    }
    assert_same_sysctls(&before.0);
    assert_eq!((null(), links()), (before.1, before.2.clone()));
    for (key, machine, network, cidr) in
        [("one", &a, &one, "10.202.1.0/24"), ("two", &b, &two, "10.202.2.0/24")]
    {
        for object in [machine, network] {
            assert!(
                !traces(str_of(object, "id")).is_empty(),
                "the traces that are looked for are not the right ones"
            );
        }
        lab.delete("local_machine", key, machine);
        assert_eq!(traces(str_of(machine, "id")), [""; 0]);
        let bridge = sh(&format!("ip -n {} -o link show", str_of(network, "namespace")));
        assert!(!bridge.contains(str_of(machine, "id")), "{bridge}");
        lab.delete("local_network", cidr, network);
        assert_eq!(traces(str_of(network, "id")), [""; 0]);
        // Again: what is gone is deleted, and is read as gone.
        lab.delete("local_machine", key, machine);
        lab.delete("local_network", cidr, network);
        assert!(lab.bench(key).read("local_machine", machine).is_none());
        assert!(lab.bench(cidr).read("local_network", network).is_none());
    }
    assert_same_sysctls(&before.0);
    assert_eq!((null(), links()), (before.1, before.2));
}

#[test]
fn a_namespace_that_was_there_stays() {
    let mut lab = Lab::new();
    let image = lab.image();
    let name = format!("grappe-test-{}", std::process::id());
    let _namespace = Namespace::make(&name);
    let args =
        [("name", Value::from("lab")), ("cidr", "10.202.3.0/24".into()), ("namespace", name.as_str().into())];
    let network = lab.create("local_network", "n", &args);
    assert_eq!(str_of(&network, "namespace"), name);
    let a = lab.machine(&image, &network, "a", "10.202.3.11");
    lab.ssh(&a);
    lab.delete("local_machine", "a", &a);
    lab.delete("local_network", "n", &network);
    // The bridge and the cable are gone, the rest is there.
    let links = sh(&format!("ip -n {name} -o link show"));
    assert!(links.contains("before"), "{links}");
    assert!(!links.contains(str_of(&network, "id")) && !links.contains(str_of(&a, "id")), "{links}");
}

/// A network namespace that somebody else made, with a link in it.
struct Namespace(String);

impl Namespace {
    fn make(name: &str) -> Self {
        sh(&format!("ip netns add {name} && ip -n {name} link add before type bridge"));
        Namespace(name.to_owned())
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        sh(&format!("ip netns del {}", self.0));
    }
}

/// A network that was taken down, as by a reboot of this computer, comes up again, and the machines on it.
#[test]
fn what_a_reboot_takes_away_is_drift() {
    let mut lab = Lab::new();
    let image = lab.image();
    let network = lab.network("10.202.4.0/24");
    let args = lab.machine_args(&image, &network, "a", "10.202.4.11");
    let a = lab.create("local_machine", "a", &args);
    lab.on(&lab.ssh(&a), "echo kept > /root/kept; sync");
    let id = str_of(&a, "id");
    let pid = std::fs::read_to_string(shared().join("machines").join(id).join("pid")).unwrap();
    sh(&format!("kill -9 {}", pid.split(' ').next().unwrap()));
    sh(&format!("ip netns del grappe-m-{id}; ip netns del {}", str_of(&network, "namespace")));
    let down = lab.bench("10.202.4.0/24").read("local_network", &network).unwrap();
    assert_eq!(str_of(&down, "status"), "down");
    let given = Value::object([("name", Value::from("lab")), ("cidr", "10.202.4.0/24".into())]);
    let up = lab.bench("10.202.4.0/24").update("local_network", &down, &given);
    assert!(up.same(&network), "{up:?}");
    eventually("the machine is off", || {
        str_of(&lab.bench("a").read("local_machine", &a).unwrap(), "status") == "stopped"
    });
    let stopped = lab.bench("a").read("local_machine", &a).unwrap();
    lab.bench("a").update("local_machine", &stopped, &Value::object(args));
    assert_eq!(lab.on(&lab.ssh(&a), "cat /root/kept"), "kept");
}

/// Through nat a machine reaches what this computer reaches, but not this computer's loopback.
#[test]
fn nat_leads_out() {
    let mut lab = Lab::new();
    let image = lab.image();
    let args = [("name", Value::from("lab")), ("cidr", "10.202.5.0/24".into()), ("nat", true.into())];
    let network = lab.create("local_network", "n", &args);
    let a = lab.machine(&image, &network, "a", "10.202.5.11");
    let host = lab.ssh(&a);
    // An address of this computer's that is not loopback: what it reaches, without leaving it.
    let own = sh("hostname -I").split_whitespace().find(|ip| !ip.contains(':')).unwrap().to_owned();
    let listener = std::net::TcpListener::bind((own.as_str(), 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let loopback = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let reach = |ip: &str, port: u16| {
        format!("timeout 3 bash -c 'exec 3<>/dev/tcp/{ip}/{port}' 2>/dev/null && echo yes || echo no")
    };
    assert_eq!(lab.on(&host, &reach(&own, port)), "yes");
    assert_eq!(lab.on(&host, &reach("10.0.2.2", loopback.local_addr().unwrap().port())), "no");
    assert_eq!(lab.on(&host, "cat /etc/resolv.conf"), "nameserver 10.0.2.3");
    // One that died is drift, and comes back.
    let pid = std::fs::read_to_string(shared().join("networks").join(str_of(&network, "id")).join("nat.pid"))
        .unwrap();
    sh(&format!("kill -9 {}", pid.split(' ').next().unwrap()));
    let mut down = network.clone();
    eventually("the way out is seen to be gone", || {
        down = lab.bench("n").read("local_network", &network).unwrap();
        str_of(&down, "status") == "down"
    });
    lab.bench("n").update("local_network", &down, &Value::object(args));
    assert_eq!(lab.on(&host, &reach(&own, port)), "yes");
    lab.delete("local_machine", "a", &a);
    lab.delete("local_network", "n", &network);
    assert_eq!(traces(str_of(&network, "id")), [""; 0]);
}
