//! Container images from files: an OCI image layout, each image of one layer.
//!
//! The layout is the one of <https://github.com/opencontainers/image-spec/blob/main/image-layout.md>: `index.json` names images by the annotation
//! `org.opencontainers.image.ref.name`, and `blobs/sha256/` has what they are made of. Layers are not compressed: who
//! pulls is on the same machine, and would only have to unpack them.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use grappe_bed_stages::{Room, output, sha256, write_new};

/// The annotation that names an image.
pub(crate) const NAME: &str = "org.opencontainers.image.ref.name";

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// Nothing in an image depends on when it was made.
const CREATED: &str = "2021-01-01T00:00:00Z";

/// An image: what it is called, and what is in it.
struct Image {
    name: String,
    /// The entry point, where there is one, and the command.
    run: (Option<&'static str>, Option<&'static str>),
    items: Vec<Item>,
}

enum Item {
    /// A file, and its path in the image.
    File(PathBuf, String),
    /// A program of the node's root, with the shared libraries it needs.
    Program(&'static str),
    /// A symbolic link, and where it leads.
    Link(String, String),
}

/// Makes all images of the bed: Kubernetes' in each version, under the names that kubeadm asks for, and what runs in clusters beside.
pub(crate) fn make(room: &Room) -> Result<()> {
    let node = &room.needs["node"];
    let mut manifests = Vec::new();
    for image in images(room)? {
        let layer = layer(&image, node, &room.scratch).with_context(|| format!("image {}", image.name))?;
        manifests.push(assemble(&image, &layer, &room.out).with_context(|| format!("image {}", image.name))?);
    }
    write_new(&room.out.join("oci-layout"), br#"{"imageLayoutVersion": "1.0.0"}"#)?;
    let index = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": manifests});
    Ok(write_new(&room.out.join("index.json"), index.to_string().as_bytes())?)
}

fn images(room: &Room) -> Result<Vec<Image>> {
    let (node, binaries) = (&room.needs["node"], &room.needs["binaries"]);
    let setting = |name: &str| room.settings.iter().find(|(n, _)| *n == name).map_or("", |(_, v)| v.as_str());
    let own = |program: &str, to: &str| Item::File(binaries.join(program), to.to_owned());
    let same = |path: &str| Item::File(node.join(path), path.to_owned());
    let libraries = libraries_folder(node)?;
    let iptables = || {
        let mut items = vec![Item::Program("usr/sbin/xtables-nft-multi"), same("etc/protocols")];
        for name in [
            "iptables",
            "iptables-save",
            "iptables-restore",
            "ip6tables",
            "ip6tables-save",
            "ip6tables-restore",
        ] {
            items.push(Item::Link(format!("usr/sbin/{name}"), "xtables-nft-multi".to_owned()));
        }
        // Its extensions are libraries that it opens by name, and they want the mathematical one.
        let extensions = format!("{libraries}/xtables");
        for entry in fs::read_dir(node.join(&extensions)).context("iptables' extensions")? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            items.push(same(&format!("{extensions}/{name}")));
        }
        items.push(same(&format!("{libraries}/libm.so.6")));
        anyhow::Ok(items)
    };

    let mut images = Vec::new();
    let mut add = |name: String, run, items| images.push(Image { name, run, items });
    for version in setting("VERSIONS").split(' ') {
        for program in ["kube-apiserver", "kube-controller-manager", "kube-scheduler"] {
            let binary = own(&format!("{version}/{program}"), &format!("usr/local/bin/{program}"));
            add(
                format!("k8s.gcr.io/{program}:v{version}"),
                (None, None),
                vec![binary, same("etc/ssl/certs/ca-certificates.crt")],
            );
        }
        let mut proxy = iptables()?;
        proxy.push(own(&format!("{version}/kube-proxy"), "usr/local/bin/kube-proxy"));
        proxy.extend(
            ["usr/sbin/conntrack", "usr/sbin/ipset", "usr/bin/kmod", "usr/bin/dash"].map(Item::Program),
        );
        proxy.push(Item::Link("usr/sbin/modprobe".to_owned(), "../bin/kmod".to_owned()));
        proxy.push(Item::Link("bin/sh".to_owned(), "/usr/bin/dash".to_owned()));
        proxy.push(same("etc/nsswitch.conf"));
        add(format!("k8s.gcr.io/kube-proxy:v{version}"), (None, None), proxy);
    }
    add("k8s.gcr.io/pause:3.2".to_owned(), (None, Some("/pause")), vec![own("pause", "pause")]);
    let etcd = ["usr/bin/etcd", "usr/bin/etcdctl"].map(Item::Program).into();
    add("k8s.gcr.io/etcd:3.4.13-0".to_owned(), (None, Some("etcd")), etcd);
    add("k8s.gcr.io/coredns:1.7.0".to_owned(), (Some("/coredns"), None), vec![own("minidns", "coredns")]);
    let mut cni = iptables()?;
    cni.push(own("minicni", "minicni"));
    add("k8s.gcr.io/minicni:1".to_owned(), (None, Some("/minicni")), cni);
    let mut busybox = vec![Item::Program("bin/busybox"), same("etc/nsswitch.conf")];
    busybox.extend(["libnss_dns.so.2", "libnss_files.so.2"].map(|name| same(&format!("{libraries}/{name}"))));
    for applet in output("chroot", &[node.as_os_str(), "/bin/busybox".as_ref(), "--list".as_ref()])?.lines() {
        busybox.push(Item::Link(format!("bin/{applet}"), "busybox".to_owned()));
    }
    add("docker.io/library/busybox:1.35".to_owned(), (None, Some("sh")), busybox);
    Ok(images)
}

/// Where Debian has the libraries of this machine's architecture.
fn libraries_folder(node: &Path) -> Result<String> {
    let name = output("dpkg-architecture", &["-qDEB_HOST_MULTIARCH".as_ref()])?;
    let folder = format!("usr/lib/{}", name.trim());
    fs::metadata(node.join(&folder)).with_context(|| format!("no folder {folder} in the machine's root"))?;
    Ok(folder)
}

/// The image's files as a tar archive.
fn layer(image: &Image, node: &Path, scratch: &Path) -> Result<PathBuf> {
    let (tree, archive) = (scratch.join("tree"), scratch.join("layer.tar"));
    for folder in ["tmp", "etc", "run", "var/run"] {
        fs::create_dir_all(tree.join(folder))?;
    }
    let mut seen = BTreeSet::new();
    let mut place = |from: &Path, to: &str| -> Result<()> {
        let to = to.trim_start_matches('/');
        if seen.insert(to.to_owned()) {
            let at = tree.join(to);
            fs::create_dir_all(at.parent().unwrap_or(&tree))?;
            fs::copy(from, &at)
                .with_context(|| format!("can't copy {} to {}", from.display(), at.display()))?;
        }
        Ok(())
    };
    for item in &image.items {
        match item {
            Item::File(from, to) => place(&inside(node, from)?, to)?,
            Item::Program(path) => {
                place(&inside(node, &node.join(path))?, path)?;
                for library in libraries(node, path)? {
                    place(&inside(node, &node.join(library.trim_start_matches('/')))?, &library)?;
                }
            }
            Item::Link(at, target) => {
                let at = tree.join(at);
                fs::create_dir_all(at.parent().unwrap_or(&tree))?;
                // A program of its own goes before a link of that name.
                if fs::symlink_metadata(&at).is_err() {
                    std::os::unix::fs::symlink(target, &at)?;
                }
            }
        }
    }
    let same =
        ["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mtime=@0", "--mode=u=rwX,go=rX"];
    let mut args: Vec<_> = same.iter().map(std::ffi::OsStr::new).collect();
    args.extend(["-C".as_ref(), tree.as_os_str(), "-cf".as_ref(), archive.as_os_str(), ".".as_ref()]);
    output("tar", &args)?;
    fs::remove_dir_all(&tree)?;
    Ok(archive)
}

/// The file that a path of the node's root leads to, symbolic links followed as inside. Other files are themselves.
fn inside(node: &Path, path: &Path) -> Result<PathBuf> {
    let Ok(path) = path.strip_prefix(node) else { return Ok(path.to_owned()) };
    let real = output(
        "chroot",
        &[node.as_os_str(), "realpath".as_ref(), "-e".as_ref(), Path::new("/").join(path).as_os_str()],
    )?;
    Ok(node.join(real.trim().trim_start_matches('/')))
}

/// The shared libraries that a program of the node's root loads, the loader included.
fn libraries(node: &Path, program: &str) -> Result<Vec<String>> {
    let program = format!("/{program}");
    // Fails for a static program, which needs none.
    let Ok(text) = output("chroot", &[node.as_os_str(), "ldd".as_ref(), program.as_ref()]) else {
        return Ok(Vec::new());
    };
    Ok(text.split_whitespace().filter(|word| word.starts_with('/')).map(str::to_owned).collect())
}

/// Puts an image's blobs in the layout, and describes its manifest.
fn assemble(image: &Image, layer: &Path, layout: &Path) -> Result<Value> {
    let blobs = layout.join("blobs/sha256");
    fs::create_dir_all(&blobs)?;
    let file = File::open(layer)?;
    let size = file.metadata()?.len();
    let digest = sha256(file)?;
    fs::rename(layer, blobs.join(&digest))?;
    let store = |kind: &str, content: &Value| -> Result<Value> {
        let content = content.to_string();
        let digest = sha256(content.as_bytes())?;
        let path = blobs.join(&digest);
        if !path.exists() {
            write_new(&path, content.as_bytes())?;
        }
        Ok(json!({"mediaType": kind, "digest": format!("sha256:{digest}"), "size": content.len()}))
    };

    let mut run = json!({"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]});
    for (key, program) in [("Entrypoint", image.run.0), ("Cmd", image.run.1)] {
        if let Some(program) = program {
            run[key] = json!([program]);
        }
    }
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let config = store(
        CONFIG,
        &json!({
            "created": CREATED, "architecture": architecture, "os": "linux", "config": run,
            "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{digest}")]},
            "history": [{"created": CREATED}],
        }),
    )?;
    let layer = json!({"mediaType": LAYER, "digest": format!("sha256:{digest}"), "size": size});
    let mut manifest = store(
        MANIFEST,
        &json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]}),
    )?;
    manifest["annotations"] = json!({ NAME: image.name });
    Ok(manifest)
}
