//! The bed's server: images as a registry gives them, and folders of packages.
//!
//! Images are those of an OCI layout, under `/v2/` as <https://github.com/opencontainers/distribution-spec/blob/main/spec.md> has it, for reading only.
//! A mirror asks for `library/busybox`, whichever registry that is from: so does the registry's name not matter here.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::http::{Body, Request, Response, converse};
use crate::images::NAME;

/// A client that says nothing for so long has gone.
const SILENCE: Duration = Duration::from_secs(120);

/// A server at work. It ends when this is dropped, with all its connections.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    listener: TcpListener,
    connections: Arc<Connections>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves on this port of all addresses of a network namespace (a file such as `/run/netns/NAME`), or of our own. Port 0 is any free one.
    pub(crate) fn start(content: Content, namespace: Option<&Path>, port: u16) -> Result<Server> {
        let listener = match namespace {
            None => bind(port)?,
            Some(path) => inside(path, port)?,
        };
        let address = listener.local_addr()?;
        let connections = Arc::new(Connections::default());
        let (ours, theirs) = (listener.try_clone()?, connections.clone());
        let thread = std::thread::spawn(move || accept(&listener, &theirs, &Arc::new(content)));
        Ok(Server { address, listener: ours, connections, thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits for its end, which is this process's.
    pub fn wait(mut self) {
        if let Some(thread) = self.thread.take() {
            // It panics where a connection's thread can't be made: the server has ended then, too.
            let _ = thread.join();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // What wakes up who waits in accept: the standard library has it for streams only, the kernel for any socket.
        if let Ok(listener) = self.listener.try_clone() {
            let _ = TcpStream::from(OwnedFd::from(listener)).shutdown(Shutdown::Both);
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        self.connections.end();
    }
}

fn bind(port: u16) -> Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))
        .with_context(|| format!("the test bed's server can't listen on port {port}"))
}

/// Binds in another network namespace: a socket belongs to the one that its thread was in.
fn inside(namespace: &Path, port: u16) -> Result<TcpListener> {
    let enter = || -> Result<TcpListener> {
        let file = fs::File::open(namespace)?;
        nix::sched::setns(file, nix::sched::CloneFlags::CLONE_NEWNET)?;
        bind(port)
    };
    // A thread of its own, as it does not come back.
    let entered = std::thread::scope(|scope| scope.spawn(enter).join());
    let entered = entered.unwrap_or_else(|_| Err(io::Error::other("the thread panicked").into()));
    entered.with_context(|| format!("can't serve inside the network namespace {}", namespace.display()))
}

fn accept(listener: &TcpListener, connections: &Arc<Connections>, content: &Arc<Content>) {
    // Ends by the listener's shutdown.
    while let Ok((stream, _)) = listener.accept() {
        let (connections, content) = (connections.clone(), content.clone());
        std::thread::spawn(move || {
            let Some(number) = connections.add(&stream) else { return };
            // A client that goes away is its own affair.
            let _ = converse(&stream, |request| content.answer(request));
            connections.remove(number);
        });
    }
}

/// The open connections, so that they can be closed from outside.
#[derive(Debug, Default)]
struct Connections(Mutex<(u64, BTreeMap<u64, TcpStream>)>);

impl Connections {
    fn add(&self, stream: &TcpStream) -> Option<u64> {
        stream.set_read_timeout(Some(SILENCE)).ok()?;
        let stream = stream.try_clone().ok()?;
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.0 += 1;
        let number = inner.0;
        inner.1.insert(number, stream);
        Some(number)
    }

    fn remove(&self, number: u64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1.remove(&number);
    }

    fn end(&self) {
        for stream in self.0.lock().unwrap_or_else(PoisonError::into_inner).1.values() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// What is served.
#[derive(Debug, Default)]
pub(crate) struct Content {
    /// Folders of files, by the first part of the path.
    folders: BTreeMap<String, PathBuf>,
    blobs: PathBuf,
    /// By an image's name without its registry, and a tag or digest: its manifest.
    manifests: BTreeMap<(String, String), Manifest>,
}

#[derive(Debug, Clone)]
struct Manifest {
    kind: String,
    digest: String,
}

impl Content {
    /// The images of an OCI layout.
    pub(crate) fn images(layout: &Path) -> Result<Content> {
        let index = layout.join("index.json");
        let text = fs::read(&index).with_context(|| format!("can't read {}", index.display()))?;
        let index: Value =
            serde_json::from_slice(&text).with_context(|| format!("not JSON: {}", index.display()))?;
        let mut content = Content { blobs: layout.join("blobs/sha256"), ..Content::default() };
        for manifest in index["manifests"].as_array().into_iter().flatten() {
            let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let (kind, digest) = (word(&manifest["mediaType"]), word(&manifest["digest"]));
            let name = word(&manifest["annotations"][NAME]);
            // registry.example/repository/name:tag
            if let Some((name, tag)) = name.split_once('/').and_then(|(_, rest)| rest.rsplit_once(':')) {
                for reference in [tag, &digest] {
                    let manifest = Manifest { kind: kind.clone(), digest: digest.clone() };
                    content.manifests.insert((name.to_owned(), reference.to_owned()), manifest);
                }
            }
        }
        Ok(content)
    }

    /// And this folder under `/NAME/`.
    pub(crate) fn folder(mut self, name: &str, path: PathBuf) -> Content {
        self.folders.insert(name.to_owned(), path);
        self
    }

    fn answer(&self, request: &Request) -> Response {
        if !["GET", "HEAD"].contains(&request.method.as_str()) {
            return Response::text("405 Method Not Allowed", "text/plain", "only GET and HEAD\n");
        }
        // Nothing outside the folders: names only, none of which leads upwards.
        let path = Path::new(request.path.trim_start_matches('/'));
        if !path.components().all(|c| matches!(c, Component::Normal(_))) {
            return Response::text("400 Bad Request", "text/plain", "not a plain path\n");
        }
        let parts: Vec<&str> = path.iter().filter_map(|part| part.to_str()).collect();
        match parts[..] {
            ["v2"] => Response::text("200 OK", "application/json", "{}"),
            ["v2", ref name @ .., "manifests", reference] => self.manifest(&name.join("/"), reference),
            ["v2", .., "blobs", digest] => self.blob(digest),
            ["v2", ref name @ .., "tags", "list"] => self.tags(&name.join("/")),
            [folder, ..] if self.folders.contains_key(folder) => {
                let path = self.folders[folder].join(path.strip_prefix(folder).unwrap_or(path));
                let kind = vec![("Content-Type", "application/octet-stream".to_owned())];
                Response { status: "200 OK", headers: kind, body: Body::File(path) }
            }
            _ => Response::text("404 Not Found", "text/plain", "no such file\n"),
        }
    }

    fn manifest(&self, name: &str, reference: &str) -> Response {
        let Some(manifest) = self.manifests.get(&(name.to_owned(), reference.to_owned())) else {
            return error("MANIFEST_UNKNOWN", &format!("{name}:{reference}"));
        };
        let headers =
            vec![("Content-Type", manifest.kind.clone()), ("Docker-Content-Digest", manifest.digest.clone())];
        Response { status: "200 OK", headers, body: Body::File(self.path(&manifest.digest)) }
    }

    fn blob(&self, digest: &str) -> Response {
        let path = self.path(digest);
        if !path.is_file() {
            return error("BLOB_UNKNOWN", digest);
        }
        let headers = vec![
            ("Content-Type", "application/octet-stream".to_owned()),
            ("Docker-Content-Digest", digest.to_owned()),
        ];
        Response { status: "200 OK", headers, body: Body::File(path) }
    }

    fn tags(&self, name: &str) -> Response {
        let references =
            self.manifests.keys().filter(|(n, _)| n == name).map(|(_, reference)| reference.as_str());
        let tags: BTreeSet<&str> = references.filter(|r| !r.contains(':')).collect();
        if tags.is_empty() {
            return error("NAME_UNKNOWN", name);
        }
        Response::text("200 OK", "application/json", json!({"name": name, "tags": tags}).to_string())
    }

    fn path(&self, digest: &str) -> PathBuf {
        self.blobs.join(digest.strip_prefix("sha256:").unwrap_or(digest))
    }
}

/// An error as registries say it.
fn error(code: &str, what: &str) -> Response {
    let body = json!({"errors": [{"code": code, "message": format!("the test bed has no {what}")}]});
    Response::text("404 Not Found", "application/json", body.to_string())
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::process::Command;

    use super::*;
    use grappe_bed_stages::write_new;

    /// A layout of one image, whose manifest says no more than that it is one, and a folder of one file.
    fn content(temp: &Path) -> Content {
        let manifest = json!({"mediaType": "manifest/kind", "digest": "sha256:abc", "annotations": {NAME: "k8s.gcr.io/team/one:v1"}});
        let index = json!({"manifests": [manifest]}).to_string();
        for (path, content) in [
            ("index.json", index.as_str()),
            ("blobs/sha256/abc", "the manifest"),
            ("files/deep/a+b", "0123456789"),
            ("secret", "no"),
        ] {
            write_new(&temp.join(path), content.as_bytes()).unwrap();
        }
        Content::images(temp).unwrap().folder("files", temp.join("files"))
    }

    /// What curl makes of these paths, in one go over one connection.
    fn curl(server: &Server, options: &[&str], paths: &[&str]) -> String {
        let port = server.address().port();
        let urls = paths.iter().map(|path| format!("http://127.0.0.1:{port}{path}"));
        let output = Command::new("curl")
            .args(["-sS", "--path-as-is", "-m", "10"])
            .args(options)
            .args(urls)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn a_client_finds_images_and_files() {
        let temp = tempfile::tempdir().unwrap();
        let server = Server::start(content(temp.path()), None, 0).unwrap();
        let told = curl(
            &server,
            &["-w", " %{http_code} %{content_type} %{num_connects}\n"],
            &[
                "/v2/",
                "/v2/team/one/manifests/v1?ns=k8s.gcr.io",
                "/v2/team/one/manifests/sha256:abc",
                "/v2/team/one/tags/list",
            ],
        );
        assert_eq!(
            told,
            "{} 200 application/json 1\nthe manifest 200 manifest/kind 0\nthe manifest 200 manifest/kind 0\n\
             {\"name\":\"team/one\",\"tags\":[\"v1\"]} 200 application/json 0\n"
        );
        assert_eq!(curl(&server, &[], &["/files/deep/a%2Bb"]), "0123456789");
        assert_eq!(curl(&server, &["-r", "3-5", "-w", " %{http_code}"], &["/files/deep/a+b"]), "345 206");
        assert_eq!(
            curl(&server, &["-r", "3-5", "-w", " %{http_code}"], &["/v2/team/one/blobs/sha256:abc"]),
            " ma 206"
        );
        assert_eq!(curl(&server, &["-r", "10-", "-w", " %{http_code}"], &["/files/deep/a+b"]), " 416");
        let head = curl(&server, &["-I"], &["/v2/team/one/manifests/v1"]).to_lowercase();
        assert!(
            head.contains("docker-content-digest: sha256:abc\r\n") && head.contains("content-length: 12\r\n"),
            "{head}"
        );
    }

    #[test]
    fn what_is_not_there_is_said_in_the_registrys_words() {
        let temp = tempfile::tempdir().unwrap();
        let server = Server::start(content(temp.path()), None, 0).unwrap();
        for (path, told) in [
            ("/v2/team/one/manifests/v2", "MANIFEST_UNKNOWN"),
            ("/v2/team/two/tags/list", "NAME_UNKNOWN"),
            ("/v2/team/one/blobs/sha256:def", "BLOB_UNKNOWN"),
            ("/v2/team/one/blobs/sha256:..", "BLOB_UNKNOWN"),
            ("/files/deep", "no such file"),
            ("/files/../secret", "not a plain path"),
            ("/files/%2e%2e/secret", "not a plain path"),
            ("/secret", "no such file"),
        ] {
            let answer = curl(&server, &["-w", " %{http_code}"], &[path]);
            assert!(
                answer.contains(told) && (answer.ends_with(" 404") || answer.ends_with(" 400")),
                "{path}: {answer}"
            );
        }
        assert!(
            curl(&server, &["-X", "DELETE", "-w", " %{http_code}"], &["/files/deep/a+b"]).ends_with(" 405")
        );
    }

    #[test]
    fn the_end_closes_port_and_connections() {
        let temp = tempfile::tempdir().unwrap();
        let server = Server::start(content(temp.path()), None, 0).unwrap();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, server.address().port()));
        let mut idle = TcpStream::connect(address).unwrap();
        idle.write_all(b"GET /v2/ HTTP/1.1\r\n\r\n").unwrap();
        let mut byte = [0];
        idle.read_exact(&mut byte).unwrap();
        drop(server);
        let mut rest = Vec::new();
        idle.read_to_end(&mut rest).unwrap();
        assert!(rest.ends_with(b"{}"));
        assert!(TcpStream::connect(address).is_err());
    }

    /// A network namespace that goes with it.
    struct Namespace(String);

    impl Drop for Namespace {
        fn drop(&mut self) {
            let _ = Command::new("ip").args(["netns", "delete", &self.0]).status();
        }
    }

    #[test]
    fn it_serves_inside_another_network_only() {
        let temp = tempfile::tempdir().unwrap();
        let name = format!("bed-{}", std::process::id());
        assert!(Command::new("ip").args(["netns", "add", &name]).status().unwrap().success());
        let namespace = Namespace(name);
        let name = &namespace.0;
        assert!(Command::new("ip").args(["-n", name, "link", "set", "lo", "up"]).status().unwrap().success());
        let path = Path::new("/run/netns").join(name);
        let server = Server::start(content(temp.path()), Some(&path), 80).unwrap();
        let curl = |inside: &[&str]| {
            let words =
                [inside, &["curl", "-sS", "-m", "5", "http://127.0.0.1/v2/team/one/manifests/v1"]].concat();
            let output = Command::new(words[0]).args(&words[1..]).output().unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        assert_eq!(curl(&["ip", "netns", "exec", name]), "the manifest");
        assert_ne!(curl(&["env"]), "the manifest");
        drop(server);
        assert_eq!(curl(&["ip", "netns", "exec", name]), "");
        let error = Server::start(Content::default(), Some(Path::new("/run/netns/none")), 80).unwrap_err();
        assert_eq!(
            format!("{error:#}"),
            "can't serve inside the network namespace /run/netns/none: No such file or directory (os error 2)"
        );
    }
}
