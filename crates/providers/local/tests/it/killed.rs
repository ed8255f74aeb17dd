//! A run that is killed at any point of a creation: the next one finds what it left by its key, and goes on or removes it.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use grappe_value::Value;

use crate::host::traces;
use crate::image::small_root;
use crate::lab::{Lab, pause, sh, shared, str_of};

const KEY: &str = "GRAPPE_TEST_KEY";
const ARGS: &str = "GRAPPE_TEST_ARGS";

/// The process that is killed: creates what its environment says. Without that, it has nothing to do.
#[test]
fn creator() {
    let (Ok(key), Ok(args)) = (std::env::var(KEY), std::env::var(ARGS)) else { return };
    let (ty, given) = args.split_once(' ').unwrap();
    let given = grappe_value::json::from_json(&serde_json::from_str(given).unwrap());
    let ty = ["local_network", "local_machine", "local_image"].into_iter().find(|t| *t == ty).unwrap();
    let mut lab = Lab::new();
    lab.bench("").key = key;
    let made = lab.bench_as_is().create(ty, &given);
    assert!(made.is_wholly_known());
    // Killed only now, if it was not before.
    pause(Duration::from_secs(60));
}

/// Starts a creation in a process of its own, and kills it as soon as `point` is reached.
pub(crate) fn killed_at(key: &str, ty: &str, args: &Value, point: &dyn Fn() -> bool) {
    let json = grappe_value::json::to_args(args).to_string();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "killed::creator", "--nocapture"])
        .env(KEY, key)
        .env(ARGS, format!("{ty} {json}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let end = Instant::now() + Duration::from_secs(60);
    while !point() {
        assert!(Instant::now() < end, "the creation does not get there");
        assert!(child.try_wait().unwrap().is_none(), "the creation failed");
        std::hint::spin_loop();
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_machines_creation_goes_on_where_it_was_killed() {
    let mut lab = Lab::new();
    let image = lab.image();
    let network = lab.network("10.204.1.0/24");
    type Point = (&'static str, fn(&str) -> PathBuf);
    fn dir(id: &str) -> PathBuf {
        shared().join("machines").join(id)
    }
    let cgroup = |id: &str| {
        let v1 = PathBuf::from("/sys/fs/cgroup/pids/grappe");
        if v1.parent().unwrap().exists() {
            v1.join(id)
        } else {
            PathBuf::from("/sys/fs/cgroup/grappe").join(id)
        }
    };
    let points: [Point; 8] = [
        ("its folder", |id| dir(id)),
        ("its record", |id| dir(id).join("record.json")),
        ("its first file", |id| dir(id).join("upper/etc/hostname")),
        ("its host key", |id| dir(id).join("upper/etc/ssh/ssh_host_ed25519_key")),
        ("its namespace", |id| PathBuf::from("/run/netns").join(format!("grappe-m-{id}"))),
        ("its scripts", |id| dir(id).join("boot.sh")),
        ("its process", |id| dir(id).join("pid")),
        ("its root", |id| dir(id).join("root/etc/hostname")),
    ];
    for (n, (what, path)) in points.into_iter().enumerate() {
        for resume in [true, false] {
            let name = format!("m{n}-{resume}");
            let ip = format!("10.204.1.{}", 10 + n);
            let args = Value::object(lab.machine_args(&image, &network, &name, &ip));
            let key = lab.key(&name);
            let id = id_of(&key);
            // What is in a machine's own mounts is not seen from here: its cgroup and its process are.
            let reached = || {
                if what == "its root" {
                    cgroup(&id).join("m").exists()
                        && path(&id).parent().is_some()
                        && dir(&id).join("booted").exists()
                } else {
                    path(&id).exists()
                }
            };
            killed_at(&key, "local_machine", &args, &reached);
            if resume {
                let made =
                    lab.create("local_machine", &name, &lab.machine_args(&image, &network, &name, &ip));
                assert_eq!(str_of(&made, "id"), id, "killed at {what}: another machine");
                let host = lab.ssh(&made);
                assert_eq!(
                    lab.on(&host, "hostname; cat /proc/1/comm"),
                    format!("{name}\nsystemd"),
                    "killed at {what}"
                );
                lab.delete("local_machine", &name, &made);
            } else if let Some(left) = lab.bench(&name).adopt("local_machine", &args) {
                lab.delete("local_machine", &name, &left);
            }
            assert_eq!(traces(&id), [""; 0], "killed at {what}, resume = {resume}");
        }
    }
}

#[test]
fn a_networks_creation_goes_on_where_it_was_killed() {
    let mut lab = Lab::new();
    let args = [("name", Value::from("lab")), ("cidr", "10.204.2.0/24".into()), ("nat", true.into())];
    for (n, point) in [
        "networks/ID",
        "networks/ID/record.json",
        "/run/netns/grappe-ID",
        "networks/ID/nat.sh",
        "networks/ID/nat.pid",
    ]
    .into_iter()
    .enumerate()
    {
        for resume in [true, false] {
            let name = format!("n{n}-{resume}");
            let id = id_of(&lab.key(&name));
            let path = shared().join(point.replace("ID", &id));
            killed_at(&lab.key(&name), "local_network", &Value::object(args.clone()), &|| path.exists());
            if resume {
                let made = lab.create("local_network", &name, &args);
                assert_eq!(str_of(&made, "id"), id);
                assert!(
                    lab.bench(&name).read("local_network", &made).unwrap().same(&made),
                    "killed at {point}"
                );
                lab.delete("local_network", &name, &made);
            } else if let Some(left) = lab.bench(&name).adopt("local_network", &Value::object(args.clone())) {
                lab.delete("local_network", &name, &left);
            }
            assert_eq!(traces(&id), [""; 0], "killed at {point}, resume = {resume}");
        }
    }
}

#[test]
fn an_images_creation_goes_on_where_it_was_killed() {
    let mut lab = Lab::new();
    let at = lab.path().to_owned();
    small_root(&at.join("r"));
    sh(&format!(
        "cd {0} && mkdir r/many && cd r/many && seq -f file%g 1500 | xargs touch && tar -C {0}/r -cf {0}/root.tar .",
        at.display()
    ));
    let args = [("tarball", Value::from(at.join("root.tar").to_str().unwrap()))];
    let sum = sh(&format!("sha256sum < {}/root.tar", at.display()));
    let image = shared().join("images").join(sum.split(' ').next().unwrap());
    for point in ["owners", "root.new", "root.new/many/file700", "root", "record.json"] {
        for resume in [true, false] {
            let name = format!("i-{point}-{resume}");
            killed_at(&lab.key(&name), "local_image", &Value::object(args.clone()), &|| {
                image.join(point).exists()
            });
            if resume {
                let made = lab.create("local_image", &name, &args);
                assert_eq!(str_of(&made, "path"), image.join("root").to_str().unwrap());
                let files = std::fs::read_dir(image.join("root/many")).unwrap().count();
                assert_eq!(files, 1500, "killed at {point}");
                lab.delete("local_image", &name, &made);
            } else if let Some(left) = lab.bench(&name).adopt("local_image", &Value::object(args.clone())) {
                lab.delete("local_image", &name, &left);
            }
            assert!(!image.exists(), "killed at {point}, resume = {resume}");
        }
    }
}

/// The id of what is made under a key.
pub(crate) fn id_of(key: &str) -> String {
    use sha2::Digest;
    let digest = sha2::Sha256::digest(key.as_bytes());
    digest.iter().map(|b| format!("{b:02x}")).collect::<String>()[..10].to_owned()
}
