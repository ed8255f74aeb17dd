//! Machines as privileged containers of Docker or Podman, through Docker's API on its Unix socket.
//!
//! The image's root is imported as the container image `localhost/grappe-local-DIGEST`, and removed with the last machine on it. A container is
//! made without a network; once it runs, its network namespace gets a name and is plugged into the network as any machine's. What is the
//! engine's own (its storage, its cgroups) it clears up itself: a container's name follows from the machine's id.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use grappe_provider::Fault;
use nix::sys::resource::{Resource, getrlimit};
use serde_json::{Value as Json, json};

use super::http::{Body, Response, request};
use super::{Backend, Place, SYSCTLS, installed, root};
use crate::network::{Network, link};
use crate::rootfs::folder;
use crate::run::{command, not_run, run};

pub(super) struct Docker;

/// The first version with all that is used here; Podman 4 speaks it too.
const API: &str = "/v1.40";

/// Where the API is: as configured, as `$DOCKER_HOST` says, or in the usual places.
pub(crate) fn socket(configured: Option<&str>) -> Option<PathBuf> {
    let given = configured.map(str::to_owned).or_else(|| std::env::var("DOCKER_HOST").ok());
    if let Some(host) = given {
        return host.strip_prefix("unix://").map(PathBuf::from);
    }
    ["/run/docker.sock", "/var/run/docker.sock", "/run/podman/podman.sock"]
        .map(PathBuf::from)
        .into_iter()
        .find(|p| p.exists())
}

/// What the container image of a machine's root is called. Docker and Podman both take `localhost` for their own, while each completes a
/// bare name in its own way; the digest is no tag, since Podman 4 does not heed the tag of an import.
fn repository(place: &Place<'_>) -> String {
    let digest = place.machine.image_digest();
    format!("localhost/grappe-local-{}", digest.get(..24).unwrap_or(digest))
}

/// Limits that this computer has already: what an engine would set instead may be more than it may set, in a container say. Podman lowers
/// its own number of processes to 32768 first; root's is not limited by it.
fn ulimits() -> Vec<Json> {
    let all = [("nofile", Resource::RLIMIT_NOFILE, 1 << 20), ("nproc", Resource::RLIMIT_NPROC, 32768)];
    let ulimit = |(name, resource, most): (&str, Resource, u64)| {
        let (_, hard) = getrlimit(resource).ok()?;
        let hard = hard.min(most);
        Some(json!({ "Name": name, "Soft": hard, "Hard": hard }))
    };
    all.into_iter().filter_map(ulimit).collect()
}

fn call(socket: &Path, method: &str, path: &str, body: Body<'_>) -> Result<Response, Fault> {
    let path = format!("{API}{path}");
    request(socket, method, &path, body).map_err(|e| {
        Fault::transient(format!("Docker's API at {} does not answer {method} {path}: {e}", socket.display()))
            .source(e)
    })
}

/// A call that must succeed, or be answered with one of these statuses.
fn must(socket: &Path, method: &str, path: &str, body: Body<'_>, fine: &[u16]) -> Result<Response, Fault> {
    let response = call(socket, method, path, body)?;
    if (200..300).contains(&response.status) || fine.contains(&response.status) {
        return Ok(response);
    }
    let text = String::from_utf8_lossy(&response.body).into_owned();
    let message =
        serde_json::from_str::<Json>(&text).ok().and_then(|j| j["message"].as_str().map(str::to_owned));
    Err(Fault::permanent(format!("Docker's API answers {} to {method} {path}", response.status))
        .details(message.unwrap_or(text)))
}

fn json_of(response: &Response) -> Result<Json, Fault> {
    serde_json::from_slice(&response.body)
        .map_err(|e| Fault::permanent(format!("Docker's API does not answer in JSON: {e}")))
}

/// A machine's container.
struct Container<'a> {
    socket: &'a Path,
    place: &'a Place<'a>,
    name: String,
}

impl<'a> Container<'a> {
    fn of(place: &'a Place<'a>) -> Result<Self, Fault> {
        let socket = place.machine.socket.as_deref();
        let socket =
            socket.ok_or_else(|| Fault::permanent("the machine's record does not name Docker's socket"))?;
        Ok(Container { socket, place, name: format!("grappe-{}", place.machine.id) })
    }

    fn path(&self, rest: &str) -> String {
        format!("/containers/{}{rest}", self.name)
    }

    fn namespace(&self) -> String {
        super::namespace(self.place)
    }

    /// The process that is its PID 1, seen from here: `None` where it does not run, or does not exist (`Some(None)` apart from that).
    fn inspect(&self) -> Result<Option<Option<i64>>, Fault> {
        let response = must(self.socket, "GET", &self.path("/json"), Body::None, &[404])?;
        if response.status == 404 {
            return Ok(None);
        }
        let state = &json_of(&response)?["State"];
        Ok(Some(state["Pid"].as_i64().filter(|pid| *pid > 0 && state["Running"] == true)))
    }

    /// The container image of the machine's root, imported where it is not there.
    fn image(&self) -> Result<String, Fault> {
        let repository = repository(self.place);
        let image = format!("{repository}:latest");
        let there = must(self.socket, "GET", &format!("/images/{image}/json"), Body::None, &[404])?;
        if there.status == 404 {
            let path = format!("/images/create?fromSrc=-&repo={repository}&tag=latest");
            let answer = self.send("POST", &path, &self.place.machine.root)?;
            // The progress comes as a stream of documents, of which the last may be an error.
            let text = String::from_utf8_lossy(&answer.body);
            if text.contains("\"error\"") {
                return Err(Fault::permanent("Docker can't import the image").details(text));
            }
        }
        Ok(image)
    }

    /// Sends a folder as a tar archive.
    fn send(&self, method: &str, path: &str, dir: &Path) -> Result<Response, Fault> {
        let mut tar: Command = command("tar", &["--create", "--numeric-owner", "--file=-", "--directory"]);
        let mut child =
            tar.arg(dir).arg(".").stdout(Stdio::piped()).spawn().map_err(|e| not_run("tar", e))?;
        let Some(mut out) = child.stdout.take() else { return Err(Fault::permanent("tar has no output")) };
        let answer = must(self.socket, method, path, Body::Tar(&mut out), &[]);
        drop(out);
        let status = child.wait().map_err(|e| not_run("tar", e))?;
        let answer = answer?;
        if status.success() {
            Ok(answer)
        } else {
            Err(Fault::permanent(format!("tar of {}: {status}", dir.display())))
        }
    }

    fn limits(&self) -> Json {
        let limits = &self.place.machine.limits;
        #[expect(clippy::cast_possible_truncation, reason = "a number of processors, checked to be small")]
        let cpus = limits.cpus.map_or(0, |n| (n * 1e9) as i64);
        json!({ "NanoCpus": cpus, "Memory": limits.memory.unwrap_or(0), "PidsLimit": limits.pids.unwrap_or(0) })
    }

    fn create(&self) -> Result<(), Fault> {
        let machine = self.place.machine;
        let image = self.image()?;
        let mut binds = Vec::new();
        for name in ["containerd", "kubelet", "etcd"] {
            let inside = format!("/var/lib/{name}");
            if !machine.tmpfs.contains(&inside) {
                folder(&self.place.dir, format!("lib/{name}").as_ref(), 0o755)?;
                binds.push(format!("{}:{inside}:rw", self.place.dir.join("lib").join(name).display()));
            }
        }
        let in_memory = ["/run", "/tmp"].into_iter().chain(machine.tmpfs.iter().map(String::as_str));
        let tmpfs: serde_json::Map<String, Json> =
            in_memory.map(|p| (p.to_owned(), Json::from("rw,exec,mode=755"))).collect();
        let mut host = json!({
            "Privileged": true, "NetworkMode": "none", "CgroupnsMode": "private", "Binds": binds, "Tmpfs": tmpfs,
            "RestartPolicy": { "Name": "no" }, "Ulimits": ulimits(),
        });
        if let (Some(host), Json::Object(limits)) = (host.as_object_mut(), self.limits()) {
            host.extend(limits.into_iter().filter(|(_, value)| value.as_i64() != Some(0)));
        }
        // A privileged container may write all of /proc/sys, and its systemd does.
        let init = format!("root=\n{SYSCTLS}exec /sbin/init");
        let body = json!({
            "Image": image, "Hostname": machine.name, "Cmd": ["/bin/sh", "-euc", init], "Env": ["container=docker"],
            "StopSignal": "SIGRTMIN+3", "Labels": { "grappe-id": machine.id }, "HostConfig": host,
        });
        must(self.socket, "POST", &format!("/containers/create?name={}", self.name), Body::Json(&body), &[])?;
        Ok(())
    }
}

impl Backend for Docker {
    fn name(&self) -> &'static str {
        "docker"
    }

    fn probe(&self, _: &Path, socket: Option<&Path>) -> Result<(), Fault> {
        root()?;
        let Some(socket) = socket else {
            return Err(Fault::permanent("neither Docker nor Podman serves Docker's API on a Unix socket here")
                .hint("start one (podman system service --time=0), or name its socket in the provider block's docker_host"));
        };
        installed(&["ip", "tar"])?;
        must(socket, "GET", "/_ping", Body::None, &[]).map(drop)
    }

    fn is_running(&self, place: &Place<'_>) -> Result<bool, Fault> {
        let container = Container::of(place)?;
        let name = container.namespace();
        let pid = container.inspect()?.flatten();
        Ok(pid.is_some_and(|pid| link::is_namespace_of(&name, pid)) && link::exists(&name, link::PLUG)?)
    }

    fn start(&self, place: &Place<'_>, network: &Network, _: &dyn Fn(&str)) -> Result<(), Fault> {
        let container = Container::of(place)?;
        if container.inspect()?.is_none() {
            container.create()?;
        }
        let mut pid = container.inspect()?.flatten();
        if pid.is_none() {
            // Its name and keys, over the image: the same again after a creation that was cut off in between.
            if !place.dir.join("seeded").exists() {
                container.send("PUT", &container.path("/archive?path=/"), &place.dir.join("upper"))?;
                crate::rootfs::put(&place.dir, "seeded", "", 0o600, 0o700)?;
            }
            link::remove_namespace(&container.namespace())?;
            must(container.socket, "POST", &container.path("/start"), Body::None, &[304])?;
            pid = container.inspect()?.flatten();
        }
        let Some(pid) = pid else {
            return Err(Fault::permanent(format!(
                "the container of the machine {} ended at once",
                place.machine.name
            ))
            .hint(format!("see docker logs {}", container.name)));
        };
        let name = container.namespace();
        if !link::is_namespace_of(&name, pid) {
            link::remove_namespace(&name)?;
            run("ip", &["netns", "attach", &name, &pid.to_string()])?;
        }
        link::plug(network, &name, &super::cable(place), place.machine.ip)
    }

    fn limit(&self, place: &Place<'_>) -> Result<(), Fault> {
        let container = Container::of(place)?;
        must(container.socket, "POST", &container.path("/update"), Body::Json(&container.limits()), &[])
            .map(drop)
            .map_err(|fault| {
                fault
                    .hint("Podman before 5 can't change limits by this API: replace the machine")
                    .attribute("limits")
            })
    }

    fn remove(&self, place: &Place<'_>) -> Result<(), Fault> {
        let container = Container::of(place)?;
        must(container.socket, "DELETE", &container.path("?force=true&v=true"), Body::None, &[404])?;
        link::remove_namespace(&container.namespace())?;
        // Refused (409) where another machine is made of it.
        let image = format!("/images/{}:latest", repository(place));
        call(container.socket, "DELETE", &image, Body::None).map(drop)
    }
}
