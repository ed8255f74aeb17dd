//! The file tree of one simulated machine: absolute paths to files, folders and links, with mode, owner and time.
//!
//! Paths are kept normalised (no `.`, `..`, double or trailing slash); the root is implicit. Everything here answers with the
//! errno a Linux kernel would give, because scripts read the message.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

/// What went wrong with a path; `Display` is what `strerror` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Errno {
    /// ENOENT
    #[error("No such file or directory")]
    NotFound,
    /// EISDIR
    #[error("Is a directory")]
    IsDirectory,
    /// ENOTDIR
    #[error("Not a directory")]
    NotDirectory,
    /// EEXIST
    #[error("File exists")]
    Exists,
    /// ENOTEMPTY
    #[error("Directory not empty")]
    NotEmpty,
    /// EACCES
    #[error("Permission denied")]
    Denied,
    /// EPERM
    #[error("Operation not permitted")]
    NotPermitted,
    /// ELOOP
    #[error("Too many levels of symbolic links")]
    Loop,
    /// EROFS
    #[error("Read-only file system")]
    ReadOnly,
    /// EINVAL
    #[error("Invalid argument")]
    Invalid,
}

/// File content: JSON string when it is UTF-8, base64 otherwise.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Content(pub Vec<u8>);

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "<{} bytes>", self.0.len()) // a file may hold a key: its content never reaches a log
    }
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Stored {
    Text(String),
    Binary { base64: String },
}

impl Serialize for Content {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(&self.0) {
            Ok(text) => s.serialize_str(text),
            Err(_) => Stored::Binary { base64: BASE64.encode(&self.0) }.serialize(s),
        }
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        match Stored::deserialize(d)? {
            Stored::Text(text) => Ok(Content(text.into_bytes())),
            Stored::Binary { base64 } => BASE64.decode(base64).map(Content).map_err(serde::de::Error::custom),
        }
    }
}

/// What a path is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A regular file.
    File(Content),
    /// A folder.
    Dir,
    /// A symbolic link and its target.
    Link(String),
}

/// One entry of the tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// File, folder or link.
    #[serde(flatten)]
    pub kind: Kind,
    /// Permission bits, as in `chmod`.
    pub mode: u32,
    /// Owner's name.
    #[serde(default = "root", skip_serializing_if = "is_root")]
    pub owner: String,
    /// Group's name.
    #[serde(default = "root", skip_serializing_if = "is_root")]
    pub group: String,
    /// Last change, in seconds since 1970.
    #[serde(default)]
    pub mtime: i64,
}

fn root() -> String {
    "root".to_owned()
}
fn is_root(name: &str) -> bool {
    name == "root"
}

impl Node {
    /// Its size as `stat` tells it.
    pub fn size(&self) -> usize {
        match &self.kind {
            Kind::File(content) => content.0.len(),
            Kind::Dir => 4096,
            Kind::Link(target) => target.len(),
        }
    }

    /// Whether it is a folder.
    pub fn is_dir(&self) -> bool {
        matches!(self.kind, Kind::Dir)
    }
}

/// Who touches a file, and when.
#[derive(Debug, Clone, Copy)]
pub struct Actor<'a> {
    /// The user's name; root may do everything.
    pub user: &'a str,
    /// Simulated seconds since 1970.
    pub now: i64,
    /// The umask.
    pub umask: u32,
}

impl Actor<'_> {
    /// Root at a time.
    pub fn root(now: i64) -> Actor<'static> {
        Actor { user: "root", now, umask: 0o022 }
    }
}

/// The tree.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Files {
    nodes: BTreeMap<String, Node>,
}

/// Makes `path` absolute against `cwd` and removes `.`, `..` and double slashes, without looking at links.
pub fn absolute(cwd: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let base = if path.starts_with('/') { "" } else { cwd };
    for part in base.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// The folder of a normalised path.
pub fn parent(path: &str) -> &str {
    match path.rfind('/') {
        Some(0) | None => "/",
        Some(at) => &path[..at],
    }
}

impl Files {
    /// Follows links in every component but, if `follow` is false, the last one. The path itself need not exist; its folder must
    /// not run through a file.
    pub fn resolve(&self, path: &str, follow: bool) -> Result<String, Errno> {
        let mut todo: Vec<String> =
            path.split('/').rev().filter(|p| !p.is_empty()).map(str::to_owned).collect();
        let mut done = String::new();
        let mut hops = 0;
        while let Some(part) = todo.pop() {
            match part.as_str() {
                "." => continue,
                ".." => {
                    done.truncate(done.rfind('/').unwrap_or(0));
                    continue;
                }
                _ => {}
            }
            let next = format!("{done}/{part}");
            match self.nodes.get(&next).map(|n| &n.kind) {
                Some(Kind::Link(target)) if follow || !todo.is_empty() => {
                    hops += 1;
                    if hops > 40 {
                        return Err(Errno::Loop);
                    }
                    if target.starts_with('/') {
                        done.clear();
                    }
                    todo.extend(target.split('/').rev().filter(|p| !p.is_empty()).map(str::to_owned));
                }
                Some(Kind::File(_)) if !todo.is_empty() => return Err(Errno::NotDirectory),
                _ => done = next,
            }
        }
        Ok(if done.is_empty() { "/".to_owned() } else { done })
    }

    /// The entry at `path`, links followed.
    pub fn stat(&self, path: &str) -> Result<(String, &Node), Errno> {
        let path = self.resolve(path, true)?;
        self.lookup(&path).map(|n| (path, n))
    }

    /// The entry at `path` itself, a link not followed.
    pub fn lstat(&self, path: &str) -> Result<(String, &Node), Errno> {
        let path = self.resolve(path, false)?;
        self.lookup(&path).map(|n| (path, n))
    }

    fn lookup(&self, path: &str) -> Result<&Node, Errno> {
        static ROOT: std::sync::LazyLock<Node> = std::sync::LazyLock::new(|| Node {
            kind: Kind::Dir,
            mode: 0o755,
            owner: root(),
            group: root(),
            mtime: 0,
        });
        if path == "/" { Ok(&ROOT) } else { self.nodes.get(path).ok_or(Errno::NotFound) }
    }

    /// Changes the entry at `path` (links followed) in place.
    pub fn node_mut(&mut self, path: &str) -> Result<&mut Node, Errno> {
        let path = self.resolve(path, true)?;
        self.nodes.get_mut(&path).ok_or(Errno::NotFound)
    }

    /// Whether something is there.
    pub fn exists(&self, path: &str) -> bool {
        self.stat(path).is_ok()
    }

    /// Whether a folder is there.
    pub fn is_dir(&self, path: &str) -> bool {
        self.stat(path).is_ok_and(|(_, n)| n.is_dir())
    }

    /// A file's bytes.
    pub fn read(&self, path: &str) -> Result<&[u8], Errno> {
        match &self.stat(path)?.1.kind {
            Kind::File(content) => Ok(&content.0),
            _ => Err(Errno::IsDirectory),
        }
    }

    /// A file as text, or an empty string where there is none.
    pub fn text(&self, path: &str) -> String {
        self.read(path).map(|b| String::from_utf8_lossy(b).into_owned()).unwrap_or_default()
    }

    /// Whether `user` may read what is at `path`.
    pub fn may_read(&self, path: &str, user: &str) -> bool {
        user == "root"
            || self.stat(path).is_ok_and(|(_, n)| n.mode & if n.owner == user { 0o400 } else { 0o004 } != 0)
    }

    fn may_write(node: &Node, user: &str) -> bool {
        user == "root" || node.mode & if node.owner == user { 0o200 } else { 0o002 } != 0
    }

    fn folder_for(&self, path: &str, user: &str) -> Result<(), Errno> {
        let folder = self.lookup(parent(path))?;
        if !folder.is_dir() {
            return Err(Errno::NotDirectory);
        }
        if Self::may_write(folder, user) { Ok(()) } else { Err(Errno::Denied) }
    }

    /// Writes a file as the shell's `>` (or `>>`) does: an old one keeps its mode and owner, a new one gets the actor's.
    pub fn write(&mut self, path: &str, bytes: &[u8], append: bool, actor: Actor<'_>) -> Result<(), Errno> {
        let path = self.resolve(path, true)?;
        if path == "/" {
            return Err(Errno::IsDirectory);
        }
        if let Some(node) = self.nodes.get_mut(&path) {
            let allowed = Self::may_write(node, actor.user);
            let Kind::File(content) = &mut node.kind else { return Err(Errno::IsDirectory) };
            if !allowed {
                return Err(Errno::Denied);
            }
            if !append {
                content.0.clear();
            }
            content.0.extend_from_slice(bytes);
            node.mtime = actor.now;
            return Ok(());
        }
        self.folder_for(&path, actor.user)?;
        let mode = 0o666 & !actor.umask;
        self.insert(path, Kind::File(Content(bytes.to_vec())), mode, actor);
        Ok(())
    }

    fn insert(&mut self, path: String, kind: Kind, mode: u32, actor: Actor<'_>) {
        let (owner, group) = (actor.user.to_owned(), actor.user.to_owned());
        self.nodes.insert(path, Node { kind, mode, owner, group, mtime: actor.now });
    }

    /// Puts an entry where nothing is checked: images, packages and kubeadm lay their files with it. Folders above are made.
    pub fn put(&mut self, path: &str, content: impl Into<Vec<u8>>, mode: u32, now: i64) {
        self.make_dirs(parent(path), now);
        self.insert(path.to_owned(), Kind::File(Content(content.into())), mode, Actor::root(now));
    }

    /// Makes a folder and those above it, unchecked.
    pub fn make_dirs(&mut self, path: &str, now: i64) {
        let mut at = String::new();
        for part in path.split('/').filter(|p| !p.is_empty()) {
            at = format!("{at}/{part}");
            if !self.nodes.contains_key(&at) {
                self.insert(at.clone(), Kind::Dir, 0o755, Actor::root(now));
            }
        }
    }

    /// `mkdir`.
    pub fn mkdir(&mut self, path: &str, actor: Actor<'_>) -> Result<(), Errno> {
        let path = self.resolve(path, false)?;
        if path == "/" || self.nodes.contains_key(&path) {
            return Err(Errno::Exists);
        }
        self.folder_for(&path, actor.user)?;
        self.insert(path, Kind::Dir, 0o777 & !actor.umask, actor);
        Ok(())
    }

    /// `ln -s`.
    pub fn symlink(&mut self, target: &str, path: &str, actor: Actor<'_>) -> Result<(), Errno> {
        let path = self.resolve(path, false)?;
        if self.nodes.contains_key(&path) {
            return Err(Errno::Exists);
        }
        self.folder_for(&path, actor.user)?;
        self.insert(path, Kind::Link(target.to_owned()), 0o777, actor);
        Ok(())
    }

    /// `unlink` of a file or link.
    pub fn unlink(&mut self, path: &str, actor: Actor<'_>) -> Result<(), Errno> {
        let path = self.resolve(path, false)?;
        if self.lookup(&path)?.is_dir() {
            return Err(Errno::IsDirectory);
        }
        self.folder_for(&path, actor.user)?;
        self.nodes.remove(&path);
        Ok(())
    }

    /// `rmdir`.
    pub fn rmdir(&mut self, path: &str, actor: Actor<'_>) -> Result<(), Errno> {
        let path = self.resolve(path, false)?;
        if !self.lookup(&path)?.is_dir() {
            return Err(Errno::NotDirectory);
        }
        if self.children(&path).next().is_some() {
            return Err(Errno::NotEmpty);
        }
        self.folder_for(&path, actor.user)?;
        self.nodes.remove(&path);
        Ok(())
    }

    /// Removes `path` and all below it; the root itself is refused.
    pub fn remove_tree(&mut self, path: &str, actor: Actor<'_>) -> Result<(), Errno> {
        let path = self.resolve(path, false)?;
        if path == "/" {
            return Err(Errno::NotPermitted);
        }
        self.lookup(&path)?;
        self.folder_for(&path, actor.user)?;
        let below: Vec<String> = self.below(&path).map(|(p, _)| p.to_owned()).collect();
        for path in below {
            self.nodes.remove(&path);
        }
        self.nodes.remove(&path);
        Ok(())
    }

    /// `rename(2)`: replaces a file, or an empty folder.
    pub fn rename(&mut self, from: &str, to: &str, actor: Actor<'_>) -> Result<(), Errno> {
        let (from, to) = (self.resolve(from, false)?, self.resolve(to, false)?);
        let source_is_dir = self.lookup(&from)?.is_dir();
        if from == to {
            return Ok(());
        }
        if to.starts_with(&format!("{from}/")) || from == "/" {
            return Err(Errno::Invalid);
        }
        self.folder_for(&from, actor.user)?;
        self.folder_for(&to, actor.user)?;
        if let Some(old) = self.nodes.get(&to) {
            match (source_is_dir, old.is_dir()) {
                (false, true) => return Err(Errno::IsDirectory),
                (true, false) => return Err(Errno::NotDirectory),
                (true, true) if self.children(&to).next().is_some() => return Err(Errno::NotEmpty),
                _ => {}
            }
        }
        let moved: Vec<String> =
            std::iter::once(from.clone()).chain(self.below(&from).map(|(p, _)| p.to_owned())).collect();
        for path in moved {
            if let Some(node) = self.nodes.remove(&path) {
                self.nodes.insert(format!("{to}{}", &path[from.len()..]), node);
            }
        }
        Ok(())
    }

    /// Copies one entry (not what is below it) with its mode; owner and time are the actor's unless `preserve`.
    pub fn copy(&mut self, from: &str, to: &str, preserve: bool, actor: Actor<'_>) -> Result<(), Errno> {
        let node = self.stat(from)?.1.clone();
        if !self.may_read(from, actor.user) {
            return Err(Errno::Denied);
        }
        match &node.kind {
            Kind::Dir => match self.mkdir(to, actor) {
                Err(Errno::Exists) if self.is_dir(to) => {}
                other => other?,
            },
            Kind::File(content) => {
                let existed = self.exists(to);
                let bytes = content.0.clone();
                self.write(to, &bytes, false, actor)?;
                if !existed {
                    self.node_mut(to)?.mode = node.mode & !actor.umask;
                }
            }
            Kind::Link(_) => return Err(Errno::Invalid), // stat followed it
        }
        if preserve {
            let copy = self.node_mut(to)?;
            (copy.mode, copy.owner, copy.group, copy.mtime) = (node.mode, node.owner, node.group, node.mtime);
        }
        Ok(())
    }

    /// All entries strictly below a normalised path.
    pub fn below<'a>(&'a self, path: &str) -> impl Iterator<Item = (&'a str, &'a Node)> + use<'a> {
        let prefix = if path == "/" { "/".to_owned() } else { format!("{path}/") };
        self.nodes
            .range(prefix.clone()..)
            .take_while(move |(p, _)| p.starts_with(&prefix))
            .map(|(p, n)| (p.as_str(), n))
    }

    /// The direct children of a normalised path, as names.
    pub fn children<'a>(&'a self, path: &str) -> impl Iterator<Item = (&'a str, &'a Node)> + use<'a> {
        let skip = if path == "/" { 1 } else { path.len() + 1 };
        self.below(path).filter_map(move |(p, n)| {
            let name = p.get(skip..)?;
            (!name.contains('/')).then_some((name, n))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Actor<'static> = Actor { user: "root", now: 7, umask: 0o022 };

    #[test]
    fn paths_are_normalised() {
        assert_eq!(absolute("/root", "a/./b/../c"), "/root/a/c");
        assert_eq!(absolute("/root", "/../x//y/"), "/x/y");
        assert_eq!(parent("/a/b"), "/a");
        assert_eq!(parent("/a"), "/");
    }

    #[test]
    fn a_write_needs_its_folder_and_keeps_the_mode() {
        let mut files = Files::default();
        assert_eq!(files.write("/etc/x", b"1", false, NOW), Err(Errno::NotFound));
        files.put("/etc/x", "1", 0o600, 0);
        files.write("/etc/x", b"2", true, NOW).unwrap();
        let (_, node) = files.stat("/etc/x").unwrap();
        assert_eq!((node.mode, node.mtime, files.read("/etc/x").unwrap()), (0o600, 7, b"12".as_slice()));
        assert_eq!(files.write("/etc", b"", false, NOW), Err(Errno::IsDirectory));
        assert_eq!(files.write("/etc/x/y", b"", false, NOW), Err(Errno::NotDirectory));
    }

    #[test]
    fn links_are_followed_and_loops_end() {
        let mut files = Files::default();
        files.put("/a/f", "x", 0o644, 0);
        files.symlink("../a", "/a/self", NOW).unwrap();
        files.symlink("loop", "/loop", NOW).unwrap();
        assert_eq!(files.read("/a/self/self/f").unwrap(), b"x");
        assert_eq!(files.read("/loop").unwrap_err(), Errno::Loop);
        assert!(files.lstat("/loop").is_ok());
    }

    #[test]
    fn users_are_kept_out() {
        let mut files = Files::default();
        files.put("/etc/secret", "x", 0o600, 0);
        let debian = Actor { user: "debian", ..NOW };
        assert!(!files.may_read("/etc/secret", "debian"));
        assert_eq!(files.write("/etc/new", b"", false, debian), Err(Errno::Denied));
        assert_eq!(files.unlink("/etc/secret", debian), Err(Errno::Denied));
    }

    #[test]
    fn a_tree_moves_as_a_whole() {
        let mut files = Files::default();
        files.put("/a/b/c", "x", 0o644, 0);
        files.rename("/a", "/z", NOW).unwrap();
        assert_eq!(files.read("/z/b/c").unwrap(), b"x");
        assert!(!files.exists("/a"));
        assert_eq!(files.rename("/z", "/z/b/q", NOW), Err(Errno::Invalid));
    }
}
