//! A laboratory of real machines: a network namespace, the bed's server in it, and grappe with a home of its own.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use grappe_bed_kubernetes as bed;
use serde_json::Value as Json;

use crate::sandbox::Sandbox;
use crate::scenario::World;

/// Where the lab's machines are.
pub(super) struct Lab {
    sandbox: Sandbox,
    namespace: String,
    bed: bed::Bed,
    more: Vec<String>,
    /// The ids of all machines that were seen in it: others on this computer may have labs too.
    ids: RefCell<BTreeSet<String>>,
    _server: bed::Server,
    /// One lab at a time: they all take the whole computer.
    _turn: File,
}

impl Lab {
    /// An empty one, with more variables for the plan.
    pub(super) fn new(more: &[&str]) -> Lab {
        let bed = bed::Bed::open().unwrap_or_else(|e| panic!("{e:#}"));
        let turn = File::open(bed.root()).unwrap();
        turn.lock().unwrap();
        let namespace = format!("grappe-test-{}", std::process::id());
        ip(&["netns", "add", &namespace]);
        ip(&["-n", &namespace, "link", "set", "lo", "up"]);
        let path = PathBuf::from("/run/netns").join(&namespace);
        let server = bed.serve(Some(&path), bed::PORT).unwrap_or_else(|e| panic!("{e:#}"));
        let more = more.iter().map(|flag| (*flag).to_owned()).collect();
        let sandbox = Sandbox::of_plans("local-ha");
        Lab { sandbox, namespace, bed, more, ids: RefCell::default(), _server: server, _turn: turn }
    }

    /// The records of its machines.
    fn machines(&self) -> Vec<(PathBuf, Json)> {
        let folder = self.sandbox.home().join(".local/share/grappe/local/machines");
        let folders = std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
        let record = |dir: PathBuf| {
            let text = std::fs::read_to_string(dir.join("record.json")).ok()?;
            Some((dir, serde_json::from_str(&text).unwrap()))
        };
        folders.filter_map(record).collect()
    }

    /// What answers at an address of the lab, as its own computer asks it; tried for a while, since a rollout's last rules come a moment after it.
    fn answers(&self, url: &str) -> bool {
        (0..100).any(|_| {
            let asked = Command::new("ip")
                .args(["netns", "exec", &self.namespace, "curl", "-sf", "-m", "3", "-o", "/dev/null", url])
                .status()
                .unwrap();
            if !asked.success() {
                std::thread::park_timeout(Duration::from_millis(100));
            }
            asked.success()
        })
    }
}

impl World for Lab {
    fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    fn variables(&self) -> Vec<String> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut all = vec![
            format!("-var-file={}", here.join("beds/kubernetes/bed.tfvars").display()),
            format!("-var=namespace={}", self.namespace),
            format!("-var=image_tarball={}", self.bed.root().display()),
            format!("-var=cni_manifest={}", bed::cni_manifest().display()),
            format!("-var=workload={}", bed::demo_manifest().display()),
        ];
        all.extend(self.more.iter().cloned());
        all
    }

    fn releases(&self) -> [&str; 2] {
        [bed::VERSION, bed::NEXT_VERSION]
    }

    /// All its processes are killed at once, and its folder goes.
    fn lose(&self, machine: &str) {
        let (dir, record) =
            self.machines().into_iter().find(|(_, record)| record["name"] == machine).unwrap();
        forget(&dir, &record);
        std::fs::remove_dir_all(&dir).unwrap();
    }

    fn logins(&self, machine: &str) -> usize {
        let count = "journalctl -q -u ssh | grep -c 'Accepted publickey'";
        self.sandbox.expect(0, &["ssh", machine, count]).stdout.trim().parse().unwrap()
    }

    fn workload(&self, nodes: &[&str]) {
        let ids = self.machines().into_iter().map(|(_, record)| record["id"].as_str().unwrap().to_owned());
        self.ids.borrow_mut().extend(ids);
        self.kubectl(&["-n", "kube-system", "rollout", "status", "deploy/coredns", "--timeout=120s"]);
        self.kubectl(&["rollout", "status", "deploy/web", "--timeout=120s"]);
        let wide: Json = serde_json::from_str(&self.kubectl(&["get", "nodes", "-o", "json"])).unwrap();
        let addresses: Vec<&str> = wide["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|node| {
                let all = node["status"]["addresses"].as_array().unwrap();
                all.iter().find(|a| a["type"] == "InternalIP").unwrap()["address"].as_str().unwrap()
            })
            .collect();
        assert_eq!(addresses.len(), nodes.len());
        for address in addresses {
            assert!(
                self.answers(&format!("http://{address}:30080/")),
                "{address} does not answer on the Service's port"
            );
        }
        // From a pod, by name: DNS, and the service's own address.
        let asked = (0..50).any(|_| {
            let ask = [
                "kubectl",
                "exec",
                "deploy/web",
                "--",
                "wget",
                "-q",
                "-O-",
                "http://web.default.svc.cluster.local/",
            ];
            let ran = self.sandbox.run(&ask);
            if ran.code != 0 {
                std::thread::park_timeout(Duration::from_millis(200));
            }
            ran.code == 0
        });
        assert!(asked, "a pod does not reach a Service by its name");
    }

    /// Namespaces, mounts, cgroups, processes and files.
    fn leftovers(&self) -> Vec<String> {
        let home = self.sandbox.home().display().to_string();
        let mut left = Vec::new();
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        left.extend(mounts.lines().filter(|l| l.contains(&home)).map(|l| format!("mount: {l}")));
        for process in processes() {
            let command = std::fs::read(process.join("cmdline")).unwrap_or_default();
            let environment = std::fs::read(process.join("environ")).unwrap_or_default();
            let of_ours = |bytes: &[u8]| String::from_utf8_lossy(bytes).contains(&home);
            if of_ours(&command) || of_ours(&environment) {
                left.push(format!("process: {}", String::from_utf8_lossy(&command).replace('\0', " ")));
            }
        }
        let list = Command::new("ip").args(["-n", &self.namespace, "-o", "link"]).output().unwrap();
        let links = String::from_utf8(list.stdout).unwrap();
        left.extend(links.lines().filter(|l| !l.contains(": lo:")).map(|l| format!("link: {l}")));
        assert!(!self.ids.borrow().is_empty(), "nothing was ever here");
        let ours = |name: &String| self.ids.borrow().iter().any(|id| name.contains(id));
        left.extend(in_the_kernel().into_iter().filter(ours));
        let data = self.sandbox.home().join(".local/share/grappe/local");
        let mut folders = vec![data];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => folders.push(path),
                    // The lock that all runs share.
                    false if path.ends_with("lock") => {}
                    false => left.push(format!("file: {}", path.display())),
                }
            }
        }
        left
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // What is asked for when a test fails, and would be gone.
            let mut out = std::io::stderr().lock();
            for args in [&["kubectl", "get", "nodes,pods", "-A", "-o", "wide"][..], &["state", "list"]] {
                let _ = writeln!(out, "--- grappe {}\n{}", args.join(" "), self.sandbox.run(args).all());
            }
        }
        // The rest is in the sandbox's folder, and goes with it.
        for (dir, record) in self.machines() {
            forget(&dir, &record);
        }
        let _ = Command::new("ip").args(["netns", "del", &self.namespace]).status();
    }
}

/// Ends a machine, and takes what the kernel keeps of it.
fn forget(dir: &Path, record: &Json) {
    let id = record["id"].as_str().unwrap();
    kill_all_under(dir);
    // What dies leaves its cgroups a moment after it is gone.
    let gone = (0..100).any(|_| {
        remove_cgroups(Path::new("/sys/fs/cgroup"), id);
        let gone =
            !in_the_kernel().iter().any(|path| path.starts_with("/sys/fs/cgroup") && path.contains(id));
        if !gone {
            std::thread::park_timeout(Duration::from_millis(50));
        }
        gone
    });
    assert!(gone || std::thread::panicking(), "the cgroups of {id} don't go");
    let _ = Command::new("ip").args(["netns", "del", &format!("grappe-m-{id}")]).status();
}

/// Kills what runs in a machine: its first process, with which all others of its namespace end.
fn kill_all_under(dir: &Path) {
    let dir = dir.display().to_string();
    let of_it = |process: &PathBuf| {
        let command = std::fs::read(process.join("cmdline")).unwrap_or_default();
        let mounts = || std::fs::read_to_string(process.join("mountinfo")).unwrap_or_default();
        String::from_utf8_lossy(&command).contains(&dir)
            || mounts().lines().any(|l| l.contains(&format!("upperdir={dir}")))
    };
    // Again until none is left: what was about to fork has forked.
    for _ in 0..50 {
        let found: Vec<PathBuf> = processes().filter(of_it).collect();
        if found.is_empty() {
            return;
        }
        for process in found {
            let pid = process.file_name().unwrap().to_str().unwrap().parse().unwrap();
            let _ =
                nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
        }
        std::thread::park_timeout(Duration::from_millis(50));
    }
    panic!("what runs in {dir} does not die");
}

/// Removes what the kernel keeps in a machine's name.
fn remove_cgroups(dir: &Path, id: &str) {
    let below = |dir: &Path| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
        entries.filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).map(|e| e.path()).collect()
    };
    fn remove(dir: &Path, below: &dyn Fn(&Path) -> Vec<PathBuf>) {
        below(dir).iter().for_each(|d| remove(d, below));
        let _ = std::fs::remove_dir(dir);
    }
    for controller in below(dir).into_iter().chain([dir.to_owned()]) {
        for parent in below(&controller).into_iter().chain([controller]) {
            let ours = |d: &PathBuf| d.file_name().is_some_and(|n| n.to_string_lossy().contains(id));
            below(&parent).iter().filter(|d| ours(d)).for_each(|d| remove(d, &below));
        }
    }
}

fn processes() -> impl Iterator<Item = PathBuf> {
    let all = std::fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
    all.filter(|p| p.file_name().unwrap().to_str().is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit())))
}

/// Network namespaces and cgroups.
fn in_the_kernel() -> Vec<String> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = ["/run/netns", "/sys/fs/cgroup"].map(PathBuf::from).into();
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        for path in entries.filter(|path| path.starts_with("/run/netns") || path.is_dir()) {
            found.push(path.display().to_string());
            if path.is_dir() && !path.is_symlink() {
                folders.push(path);
            }
        }
    }
    found
}

fn ip(args: &[&str]) {
    let done = Command::new("ip").args(args).output().expect("iproute2 is installed");
    assert!(done.status.success(), "ip {}: {}", args.join(" "), String::from_utf8_lossy(&done.stderr));
}
