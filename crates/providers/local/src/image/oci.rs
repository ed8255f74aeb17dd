//! Images as container tools write them: layers, each a tarball, with whiteouts for what a layer removes.
//!
//! Read are what `docker save` and `podman save` write (`manifest.json`), and OCI's image layout (`index.json`,
//! github.com/opencontainers/image-spec, image-layout.md and layer.md).

use std::path::{Component, Path, PathBuf};

use grappe_provider::Fault;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::unpack::{begin, refused, tar};
use crate::files::read;
use crate::run::output;
use crate::store::{empty, remove_all};

/// Unpacks an image's layers, one over the other, into a new folder.
pub(super) fn unpack(file: &Path, dir: &Path, new: &Path) -> Result<(), Fault> {
    let parts = dir.join("parts.new");
    begin(dir, &parts)?;
    begin(dir, new)?;
    output(&mut tar(dir, file, &parts)).map_err(|fault| refused(file, fault))?;
    let layers = layers(&parts).map_err(|fault| fault.context(file.display()).attribute("oci_archive"))?;
    for layer in layers {
        apply(dir, &layer, new).map_err(|fault| refused(&layer, fault).context(file.display()))?;
    }
    remove_all(&parts)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    layers: Vec<String>,
}

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Manifest {
    layers: Vec<Descriptor>,
}

#[derive(Clone, Deserialize)]
struct Descriptor {
    digest: String,
    #[serde(rename = "mediaType", default)]
    media_type: String,
    #[serde(default)]
    platform: Option<Platform>,
}

#[derive(Clone, Deserialize)]
struct Platform {
    architecture: String,
}

/// The layers' files, the lowest first.
fn layers(parts: &Path) -> Result<Vec<PathBuf>, Fault> {
    if let Some(saved) = json::<Vec<Saved>>(&parts.join("manifest.json"))? {
        let [image] = &saved[..] else {
            return Err(
                Fault::permanent(format!("it has {} images", saved.len())).hint("save one image alone")
            );
        };
        return image.layers.iter().map(|name| inside(parts, name)).collect();
    }
    let Some(index) = json::<Index>(&parts.join("index.json"))? else {
        return Err(Fault::permanent("it has neither manifest.json nor index.json").hint(
            "write it with docker save, podman save or skopeo; a tarball of a root goes under tarball",
        ));
    };
    let mut descriptor = for_this_computer(&index)?;
    // An index may name another one: of the platforms that an image is made for.
    if descriptor.media_type.contains("index") || descriptor.media_type.contains("manifest.list") {
        descriptor = for_this_computer(&blob::<Index>(parts, &descriptor)?)?;
    }
    let manifest = blob::<Manifest>(parts, &descriptor)?;
    manifest.layers.iter().map(|layer| blob_path(parts, layer)).collect()
}

/// The one manifest, or the one for this computer's processor.
fn for_this_computer(index: &Index) -> Result<Descriptor, Fault> {
    let wanted = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let fits = |d: &&Descriptor| d.platform.as_ref().is_some_and(|p| p.architecture == wanted);
    match &index.manifests[..] {
        [one] => Ok(one.clone()),
        many => {
            let mut fitting = many.iter().filter(fits);
            match (fitting.next(), fitting.next()) {
                (Some(one), None) => Ok(one.clone()),
                _ => Err(Fault::permanent(format!("it has {} images, and not one for {wanted}", many.len()))
                    .hint("save one image alone")),
            }
        }
    }
}

fn json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Fault> {
    let Some(bytes) = read(path)? else { return Ok(None) };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|e| Fault::permanent(format!("its {name} is wrong: {e}")))
}

fn blob<T: DeserializeOwned>(parts: &Path, descriptor: &Descriptor) -> Result<T, Fault> {
    let found = json(&blob_path(parts, descriptor)?)?;
    found.ok_or_else(|| Fault::permanent(format!("the blob {} is missing", descriptor.digest)))
}

fn blob_path(parts: &Path, descriptor: &Descriptor) -> Result<PathBuf, Fault> {
    inside(parts, &format!("blobs/{}", descriptor.digest.replacen(':', "/", 1)))
}

/// A path that an archive names, which must stay within it.
fn inside(parts: &Path, name: &str) -> Result<PathBuf, Fault> {
    if Path::new(name).components().all(|c| matches!(c, Component::Normal(_))) {
        return Ok(parts.join(name));
    }
    Err(Fault::permanent(format!("it names {name:?}, which is not within it")))
}

/// Lays a layer over what is there.
fn apply(dir: &Path, layer: &Path, root: &Path) -> Result<(), Fault> {
    let mut list = crate::run::command(
        "tar",
        &["--list", "--verbose", "--numeric-owner", "--quoting-style=literal", "--file"],
    );
    let listing = output(list.arg(layer))?;
    for entry in listing.lines().filter_map(Entry::parse) {
        entry.clear(root)?;
    }
    let mut tar = tar(dir, layer, root);
    tar.args(["--exclude=.wh.*", "--anchored", "--exclude=./dev/*", "--exclude=dev/*"]);
    output(&mut tar).map(drop)
}

/// A line of `tar --list --verbose`.
struct Entry<'a> {
    is_dir: bool,
    name: &'a str,
}

impl<'a> Entry<'a> {
    /// `drwxr-xr-x 0/0   0 2024-01-01 00:00 name`, with ` -> target` after a link's name.
    fn parse(line: &'a str) -> Option<Self> {
        let mut rest = line;
        for _ in 0..5 {
            rest = rest.trim_start().split_once(' ')?.1;
        }
        let name = match line.as_bytes().first()? {
            b'l' => rest.split_once(" -> ")?.0,
            b'h' => rest.split_once(" link to ")?.0,
            _ => rest,
        };
        let name = name.trim_start_matches("./").trim_end_matches('/');
        Some(Entry { is_dir: line.starts_with('d'), name })
    }

    /// Removes what this entry hides: what a whiteout names, and a folder where there is to be something else.
    fn clear(&self, root: &Path) -> Result<(), Fault> {
        let path = Path::new(self.name);
        let Some(name) = path.file_name().and_then(|n| n.to_str()) else { return Ok(()) };
        let Some(folder) = folder_within(root, path.parent().unwrap_or(Path::new(""))) else { return Ok(()) };
        match name.strip_prefix(".wh.") {
            Some(".wh..opq") => empty(&folder, &[]),
            Some(hidden) if !hidden.is_empty() && hidden != "." && hidden != ".." => {
                remove_all(&folder.join(hidden))
            }
            Some(_) => Ok(()),
            None => {
                let there = folder.join(name);
                let is_folder = there.symlink_metadata().is_ok_and(|m| m.is_dir());
                if is_folder && !self.is_dir { remove_all(&there) } else { Ok(()) }
            }
        }
    }
}

/// A folder of a root, unless a link is on the way to it: nothing outside of the root is ever removed.
fn folder_within(root: &Path, name: &Path) -> Option<PathBuf> {
    let mut path = root.to_owned();
    for part in name.components() {
        let Component::Normal(part) = part else { return None };
        path.push(part);
        if !path.symlink_metadata().ok()?.is_dir() {
            return None;
        }
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tars_listing_is_read() {
        let read = |line| Entry::parse(line).map(|e| (e.is_dir, e.name));
        assert_eq!(
            read("drwxr-xr-x 0/0               0 2026-01-01 00:00 ./etc/a b/"),
            Some((true, "etc/a b"))
        );
        assert_eq!(
            read("-rw-r--r-- 0/0         1234567 2026-01-01 00:00 etc/.wh.x"),
            Some((false, "etc/.wh.x"))
        );
        assert_eq!(
            read("lrwxrwxrwx 0/0               0 2026-01-01 00:00 lib -> usr/lib"),
            Some((false, "lib"))
        );
        assert_eq!(
            read("crw-r--r-- 0/0             1,3 2026-01-01 00:00 dev/null"),
            Some((false, "dev/null"))
        );
        assert_eq!(read(""), None);
    }

    #[test]
    fn names_stay_within_the_archive() {
        let at = |name| inside(Path::new("/p"), name);
        assert_eq!(at("blobs/sha256/ab").unwrap(), Path::new("/p/blobs/sha256/ab"));
        for name in ["../x", "/etc/passwd", "a/../../b"] {
            assert!(at(name).is_err(), "{name}");
        }
    }
}
