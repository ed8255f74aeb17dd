//! A test bed: all that real Kubernetes clusters are made of, without the internet.
//!
//! `cargo xtask bed kubernetes` builds it, once for its content (see [`build`]): Kubernetes from Debian's source package, Debian's own packages, a root
//! for machines, and container images. Tests [open](Bed::open) it, give the root to their machines, and let a [`Server`] in the machines' network
//! stand for the internet: apt repositories under `/debian` and `/k8s`, a registry of images under `/v2`.
//!
//! Everything lies in the user's cache folder, outside the checkout.

mod http;
mod images;
mod recipe;
mod server;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use grappe_bed_stages::{ensure, folder, line};

pub use server::Server;

/// The version of Kubernetes that is built, without the `v`. Packages have it as `1.20.2-00`, images as `v1.20.2`.
pub const VERSION: &str = "1.20.2";
/// A version to upgrade to: the same source under another name.
pub const NEXT_VERSION: &str = "1.20.3";
/// Where machines find the [server](Bed::serve): their network's gateway. The roots' apt sources name it.
pub const MIRROR: &str = "http://10.77.0.1";
/// The port of [`MIRROR`].
pub const PORT: u16 = 80;

/// The bed, built and held: while this lives, no other build removes its products.
#[derive(Debug)]
pub struct Bed {
    root: PathBuf,
    debian: PathBuf,
    k8s: PathBuf,
    images: PathBuf,
    _hold: File,
}

impl Bed {
    /// Opens the bed that this source describes.
    ///
    /// # Errors
    ///
    /// Where it is not built.
    pub fn open() -> Result<Bed> {
        let build = recipe::build(folder("kubernetes")?);
        let unbuilt = || "the Kubernetes test bed is not built: run `cargo xtask bed kubernetes` as root";
        // Held first: what is there then stays.
        let hold = build.hold().with_context(unbuilt)?;
        if !build.missing().is_empty() {
            bail!(unbuilt());
        }
        let [root, debian, k8s, images] = ["root", "debian", "k8s", "images"].map(|name| build.product(name));
        Ok(Bed { root: root.join("root.tar"), debian, k8s, images, _hold: hold })
    }

    /// The root of a pristine Debian 12 machine, as a tar archive: systemd, sshd without host keys, apt with [`MIRROR`]`/debian` as its source.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A package of Kubernetes, such as `kubeadm`, as a `.deb` file.
    pub fn package(&self, name: &str, version: &str) -> PathBuf {
        self.k8s.join(format!("{name}_{version}-00_amd64.deb"))
    }

    /// Serves packages and images on this port of every address in a network namespace (a file such as `/run/netns/NAME`), or in our own.
    /// Port 0 is any free one. Machines expect it at [`MIRROR`].
    ///
    /// # Errors
    ///
    /// Where the namespace can't be entered (it takes root), or the port is taken.
    pub fn serve(&self, namespace: Option<&Path>, port: u16) -> Result<Server> {
        let content = server::Content::images(&self.images)?;
        let content = content.folder("debian", self.debian.clone()).folder("k8s", self.k8s.clone());
        Server::start(content, namespace, port)
    }
}

/// The pod network for machines on one link, to be applied as it is: image, permissions, DaemonSet.
pub fn cni_manifest() -> PathBuf {
    manifest("minicni.yaml")
}

/// A workload: a Deployment of three web servers on any node, and its Service, on every node's port 30080.
pub fn demo_manifest() -> PathBuf {
    manifest("demo.yaml")
}

fn manifest(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests").join(name)
}

/// Builds what is missing, and says how long each stage took. Does nothing where all is there.
///
/// # Errors
///
/// Where this is not Debian 12 or not root and something is missing, or a stage fails; the error has the end of its log.
pub fn build(say: &(dyn Fn(&str) + Sync)) -> Result<()> {
    let start = Instant::now();
    let build = recipe::build(folder("kubernetes")?);
    let missing = build.missing();
    if missing.is_empty() {
        return build.tidy();
    }
    if !nix::unistd::Uid::effective().is_root() {
        bail!("the Kubernetes test bed is not built ({}): root is needed to build it", missing.join(", "));
    }
    ensure(recipe::TOOLS, say)?;
    build.make(say)?;
    say(&line(start.elapsed(), "in all"));
    Ok(())
}
