//! `local_image`: a root file system that machines lie on.
//!
//! An image is known by its content: its id is the digest of the tarball it comes from, and what is unpacked is shared by all who name the
//! same. Each of them has a file in `owners`, written before anything else; the last one to go takes the root with it.
//!
//! ```text
//! images/DIGEST/owners/ID      who wants it, by their key's id
//! images/DIGEST/root.new       being unpacked: whoever does holds the lock `unpacking`; the programs that do hold `programs`, so that
//!                              those which outlive a killed run are waited for
//! images/DIGEST/root           whole, and prepared for being a machine
//! images/DIGEST/record.json    written when it is
//! ```

mod debian;
mod oci;
mod prepare;
mod unpack;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use grappe_provider::{Context, Fault, Importable, Problem, Resource};
use grappe_value::{Attribute, Schema, Type, Value};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub(crate) use self::prepare::masked;
use crate::files::write;
use crate::run::hex;
use crate::store::{self, Record, on};
use crate::{Client, blocking, machine};

/// The type.
pub(crate) struct LocalImage;

/// The record of what is unpacked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Image {
    digest: String,
    size: u64,
}

impl Record for Image {
    const KIND: &'static str = "images";
    fn id(&self) -> &str {
        &self.digest
    }
}

/// What the configuration says.
#[derive(Debug, Deserialize)]
pub(crate) struct Args {
    #[serde(default)]
    debian: Option<debian::Debian>,
    #[serde(default)]
    tarball: Option<String>,
    #[serde(default)]
    oci_archive: Option<String>,
    #[serde(default)]
    sha256: Option<String>,
}

/// What is known of it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct State {
    id: String,
    path: PathBuf,
    size: u64,
}

/// What an image is unpacked from.
struct Source {
    path: PathBuf,
    oci: bool,
    digest: String,
    size: u64,
}

/// The id of an image, as plans see it.
fn public(digest: &str) -> String {
    format!("sha256:{digest}")
}

/// The unpacked root of an image, where there is one.
pub(crate) fn root(client: &Client, id: &str) -> Result<Option<PathBuf>, Fault> {
    let digest = id.strip_prefix("sha256:").unwrap_or(id);
    let image = client.store.get::<Image>(digest)?;
    Ok(image.map(|image| client.store.dir::<Image>(&image.digest).join("root")))
}

/// The folder that an image's folder has for those who want it.
fn owners(dir: &Path) -> PathBuf {
    dir.join("owners")
}

impl Args {
    /// The file it comes from, checked; a built one is built first.
    fn source(&self, client: &Client, progress: &dyn Fn(&str)) -> Result<Source, Fault> {
        let (path, attribute) = match self {
            Args { debian: Some(debian), .. } => (debian.tarball(&client.cache, progress)?, "debian"),
            Args { tarball: Some(path), .. } => (client.path(path), "tarball"),
            Args { oci_archive: Some(path), .. } => (client.path(path), "oci_archive"),
            _ => return Err(Fault::permanent("the image comes from nowhere").hint(ONE_OF)),
        };
        progress("reading the image");
        let (digest, size) = digest(&path).map_err(|e| {
            let hint = "a relative path starts at the plan's folder";
            Fault::permanent(format!("can't read {}: {e}", path.display())).hint(hint).attribute(attribute)
        })?;
        if let Some(wanted) = &self.sha256
            && !wanted.eq_ignore_ascii_case(&digest)
        {
            return Err(Fault::permanent(format!(
                "{} has the SHA-256 {digest}, not {wanted}",
                path.display()
            ))
            .hint("fetch it anew, or correct sha256")
            .attribute("sha256"));
        }
        Ok(Source { path, oci: self.oci_archive.is_some(), digest, size })
    }
}

const ONE_OF: &str = "give one of debian, tarball and oci_archive";

fn digest(path: &Path) -> std::io::Result<(String, u64)> {
    let (mut hasher, mut file) = (Sha256::new(), File::open(path)?);
    let (mut buffer, mut size) = (vec![0; 1 << 20], 0);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok((hex(&hasher.finalize()), size)),
            n => {
                hasher.update(&buffer[..n]);
                size += n as u64;
            }
        }
    }
}

/// Unpacks what is not there yet, for whoever has this key.
fn make(client: &Client, key: &str, source: &Source, progress: &dyn Fn(&str)) -> Result<State, Fault> {
    let dir = client.store.dir::<Image>(&source.digest);
    // Within a turn: nobody removes the folder as its last owner while another one comes.
    let turn = client.store.turn()?;
    write(&owners(&dir).join(store::id(key)), "new", key.as_bytes(), 0o600, 0o700)?;
    drop(turn);
    let _lock = store::lock(&dir.join("unpacking"))?;
    if !root(client, &source.digest)?.is_some_and(|root| root.is_dir()) {
        progress("unpacking the image");
        let (new, root) = (dir.join("root.new"), dir.join("root"));
        store::remove_all(&root)?;
        if source.oci {
            oci::unpack(&source.path, &dir, &new)?
        } else {
            unpack::tarball(&source.path, &dir, &new)?
        }
        prepare::prepare(&new)?;
        std::fs::rename(&new, &root).map_err(|e| on(&root, "make", e))?;
        client.store.put(&Image { digest: source.digest.clone(), size: source.size })?;
    }
    Ok(State { id: public(&source.digest), path: dir.join("root"), size: source.size })
}

/// Takes an owner from an image, and the image away with its last one.
fn disown(client: &Client, digest: &str, key: &str) -> Result<(), Fault> {
    let _turn = client.store.turn()?;
    let dir = client.store.dir::<Image>(digest);
    let own = owners(&dir).join(store::id(key));
    let others = match std::fs::read_dir(owners(&dir)) {
        Ok(entries) => entries.flatten().any(|e| e.path() != own && !is_beside(&e.path())),
        Err(_) => false,
    };
    if others {
        return store::remove_all(&own);
    }
    if let Some(machine) = machine::on_image(client, &dir.join("root"))? {
        return Err(Fault::permanent(format!("the machine {machine} still lies on this image"))
            .hint("destroy it first, with the plan that made it"));
    }
    if !dir.exists() {
        return Ok(());
    }
    // Whoever still unpacks it (an orphan of a killed run's) is waited for.
    let _lock = store::lock(&dir.join("unpacking"))?;
    let _programs = store::lock(&dir.join(unpack::PROGRAMS))?;
    // The record first, the owner last: a removal that is cut off leaves what is found by its key, and no record of what is no more.
    store::remove_all(&dir.join("record.json"))?;
    store::empty(&dir, &["owners", "unpacking", unpack::PROGRAMS])?;
    client.store.remove::<Image>(digest)
}

/// Whether this is what a killed write left beside a file.
fn is_beside(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'))
}

/// Removes the folders of images whose creation was cut off before they had an owner.
fn tidy(client: &Client) -> Result<(), Fault> {
    let _turn = client.store.turn()?;
    for entry in std::fs::read_dir(client.store.root().join(Image::KIND)).into_iter().flatten().flatten() {
        // What has anything in it stays.
        let _ = std::fs::remove_dir(owners(&entry.path()));
        let _ = std::fs::remove_dir(entry.path());
    }
    Ok(())
}

/// The images that a key's owner wants.
fn wanted_by(client: &Client, key: &str) -> Result<Vec<String>, Fault> {
    let dir = client.store.root().join(Image::KIND);
    let entries = match std::fs::read_dir(&dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(on(&dir, "read", e)),
    };
    let id = store::id(key);
    Ok(entries
        .flatten()
        .filter(|entry| {
            let owners = owners(&entry.path());
            owners.join(&id).exists() || owners.join(format!(".{id}.new.tmp")).exists()
        })
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect())
}

impl Resource for LocalImage {
    type Client = Client;
    type Args = Args;
    type State = State;

    fn name(&self) -> &'static str {
        "local_image"
    }

    fn schema(&self) -> Schema {
        Schema::new(
            "A root file system for machines on this computer: built by mmdebstrap, or unpacked from a file. It needs systemd, and sshd where \
             SSH is wanted. In it, what would disturb this computer is masked, and host keys and machine-id are removed: each machine has its own.",
        )
        .attr("debian", Attribute::optional(debian::Debian::ty(), debian::DESCRIPTION).replace())
        .attr("tarball", Attribute::optional(Type::String, "A tarball of a root (.tar, .tar.gz, .tar.xz, .tar.zst); a relative path starts at the plan's folder.").replace())
        .attr("oci_archive", Attribute::optional(Type::String, "An image as `docker save` or `skopeo copy … oci-archive:` write it; a relative path starts at the plan's folder.").replace())
        .attr("sha256", Attribute::optional(Type::String, "The SHA-256 that the file must have, in hexadecimal; `filesha256()` of it has the image made anew when the file changes.").replace())
        .attr("id", Attribute::computed(Type::String, "The digest of the file it was unpacked from: `sha256:…`."))
        .attr("path", Attribute::computed(Type::String, "The folder with the root."))
        .attr("size", Attribute::computed(Type::Number, "The size of the file it was unpacked from, in bytes."))
    }

    fn validate(&self, config: &Value) -> Vec<Problem> {
        // What is not known yet may come out as null.
        let given = |name: &&str| config.get(name).is_some_and(|v| !v.is_null() && !v.is_unknown());
        let open = |name: &str| config.get(name).is_some_and(Value::is_unknown);
        let all = ["debian", "tarball", "oci_archive"];
        let sources: Vec<&str> = all.into_iter().filter(given).collect();
        let mut problems = Vec::new();
        match sources[..] {
            [] if all.into_iter().any(open) => {}
            [] => problems.push(Problem::new("tarball", "the image comes from nowhere").hint(ONE_OF)),
            [_] => {}
            [_, second, ..] => problems.push(
                Problem::new(second, format!("{} exclude each other", sources.join(" and ")))
                    .hint("keep one of them"),
            ),
        }
        if let Some(sum) = config.get("sha256").and_then(Value::as_str) {
            if sum.len() != 64 || !sum.bytes().all(|b| b.is_ascii_hexdigit()) {
                problems.push(Problem::new("sha256", "not a SHA-256").hint("it has 64 hexadecimal digits"));
            }
            if given(&"debian") {
                problems.push(Problem::new("sha256", "what is built has no sum that is known before"));
            }
        }
        if let Some(debian) = config.get("debian").filter(|v| !v.is_null()) {
            problems.extend(debian::validate(debian));
        }
        problems
    }

    fn importable(&self) -> Importable {
        Importable::Not("it is made of what its block names, and found again by that")
    }

    async fn read(&self, ctx: &Context<Client>, state: State) -> Result<Option<State>, Fault> {
        blocking(ctx, move |client, _| {
            let there = root(client, &state.id)?.is_some_and(|root| root.is_dir());
            Ok(there.then_some(state))
        })
        .await
    }

    async fn create(&self, ctx: &Context<Client>, args: Args) -> Result<State, Fault> {
        let run = ctx.run();
        blocking(ctx, move |client, key| {
            crate::backend::root()?;
            let progress = |step: &str| run.progress(step);
            let source = args.source(client, &progress)?;
            // A try that was cut off may have begun with another content of the same file.
            for digest in wanted_by(client, key)?.iter().filter(|digest| **digest != source.digest) {
                disown(client, digest, key)?;
            }
            make(client, key, &source, &progress)
        })
        .await
    }

    async fn delete(&self, ctx: &Context<Client>, state: State) -> Result<(), Fault> {
        blocking(ctx, move |client, key| {
            disown(client, state.id.strip_prefix("sha256:").unwrap_or(&state.id), key)
        })
        .await
    }

    async fn adopt(&self, ctx: &Context<Client>, _: Args) -> Result<Option<State>, Fault> {
        let looks = ctx.only_looks();
        blocking(ctx, move |client, key| {
            let Some(digest) = wanted_by(client, key)?.into_iter().next() else {
                return if looks { Ok(None) } else { tidy(client).map(|()| None) };
            };
            let size = client.store.get::<Image>(&digest)?.map_or(0, |image| image.size);
            let path = client.store.dir::<Image>(&digest).join("root");
            Ok(Some(State { id: public(&digest), path, size }))
        })
        .await
    }
}
