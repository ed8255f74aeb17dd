//! Machines as containers of a real Podman, through Docker's API.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use grappe_value::Value;

use crate::host::{assert_same_sysctls, sysctls, traces};
use crate::lab::{Lab, eventually, shared, str_of};

/// A Podman with a storage of its own, serving the API.
struct Podman {
    dir: tempfile::TempDir,
    server: Child,
}

impl Podman {
    fn start() -> Podman {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let server = podman(dir.path())
            .args(["system", "service", "--time=0"])
            .arg(format!("unix://{}", dir.path().join("socket").display()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("podman (apt-get install podman runc)");
        let podman = Podman { dir, server };
        eventually("Podman serves", || podman.socket().exists());
        podman
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("socket")
    }

    fn says(&self, args: &[&str]) -> String {
        let output = podman(self.dir.path()).args(args).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}

fn podman(dir: &Path) -> Command {
    let mut command = Command::new("podman");
    command
        .arg("--root")
        .arg(dir.join("root"))
        .arg("--runroot")
        .arg(dir.join("run"))
        .arg("--tmpdir")
        .arg(dir.join("tmp"));
    // crun refuses computers that have both versions of cgroups mounted.
    command.args(["--runtime=runc", "--cgroup-manager=cgroupfs", "--events-backend=file"]);
    command
}

impl Drop for Podman {
    fn drop(&mut self) {
        let _ = podman(self.dir.path()).args(["rm", "--all", "--force"]).output();
        let _ = self.server.kill();
        let _ = self.server.wait();
        // The storage is a mount of its own, where Podman has used it.
        let _ = Command::new("umount").arg("--lazy").arg(self.dir.path().join("root/overlay")).output();
    }
}

#[test]
fn a_container_is_a_machine() {
    let podman = Podman::start();
    let mut lab = Lab::configured(&shared(), &format!("unix://{}", podman.socket().display()));
    let image = lab.image();
    let network = lab.network("10.205.1.0/24");
    let before = sysctls();
    let mut args = lab.machine_args(&image, &network, "a", "10.205.1.11");
    args.push(("backend", "docker".into()));
    args.push(("limits", Value::object([("pids", Value::from(300))])));
    let a = lab.create("local_machine", "a", &args);
    assert_eq!((str_of(&a, "backend"), str_of(&a, "status")), ("docker", "running"));
    let host = lab.ssh(&a);
    assert_eq!(lab.on(&host, "hostname; cat /proc/1/comm; ls /sys/class/net"), "a\nsystemd\neth0\nlo");
    assert_ne!(lab.on(&host, "stat -f -c %T /var/lib/containerd"), "overlayfs");
    // It can't set this computer's sysctls, and did not while it booted.
    let refused = "echo 1 2>/dev/null > /proc/sys/kernel/panic_on_warn || echo refused";
    assert_eq!(lab.on(&host, refused), "refused");
    assert_eq!(lab.on(&host, "sysctl -n -w net.ipv4.ip_forward=1; sysctl -n vm.overcommit_memory"), "1\n1");
    assert_same_sysctls(&before);
    // A machine of the other kind on the same network reaches it.
    let b = lab.machine(&image, &network, "b", "10.205.1.12");
    assert_eq!(str_of(&b, "backend"), "namespaces");
    lab.on(&lab.ssh(&b), "bash -c 'exec 3<>/dev/tcp/10.205.1.11/22'");
    // Stopped, it is drift; started again, it has its disk and its address.
    lab.on(&host, "echo kept > /root/kept; sync");
    let name = format!("grappe-{}", str_of(&a, "id"));
    podman.says(&["kill", &name]);
    eventually("it is off", || {
        str_of(&lab.bench("a").read("local_machine", &a).unwrap(), "status") == "stopped"
    });
    let stopped = lab.bench("a").read("local_machine", &a).unwrap();
    let started = lab.bench("a").update("local_machine", &stopped, &Value::object(args.clone()));
    assert!(started.same(&a), "{started:?}");
    assert_eq!(lab.on(&lab.ssh(&a), "cat /root/kept"), "kept");
    // A second creation under the same key makes no second container.
    assert!(lab.create("local_machine", "a", &args).same(&a));
    assert_eq!(podman.says(&["ps", "--all", "--format", "{{.Names}}"]), name);
    lab.delete("local_machine", "a", &a);
    assert_eq!(traces(str_of(&a, "id")), [""; 0]);
    assert_eq!(podman.says(&["ps", "--all", "--quiet"]), "");
    assert_eq!(podman.says(&["images", "--quiet"]), "", "the image went with the last machine on it");
    lab.delete("local_machine", "a", &a);
}

#[test]
fn an_api_that_is_not_there_is_named() {
    let mut lab = Lab::new();
    let image = lab.image();
    let network = lab.network("10.205.2.0/24");
    let mut args = lab.machine_args(&image, &network, "a", "10.205.2.11");
    args.push(("backend", "docker".into()));
    let fault = lab.try_create("local_machine", "a", &args).unwrap_err();
    assert!(fault.summary.contains("/nowhere") && fault.summary.contains("\"docker\""), "{fault}");
}
