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
