//! Files and paths. Files come through the scope; relative paths are relative to where the program was started, as in Terraform.

use std::path::{Component, Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use grappe_value::Value;
use md5::Md5;
use sha1::Sha1;
use sha2::{Sha256, Sha512};

use super::{Function, P, Refused, f, hashes, refuse, refuse_arg, scoped, string, text};
use crate::Scope;

const PATH: &[super::Param] = &[string("path")];

pub(super) static FUNCTIONS: &[Function] = &[
    scoped("abspath", "the path from the root of the file system", PATH, P::String, |args, scope| {
        Ok(show(&clean(&Path::new(&*scope.path().cwd).join(text(args, 0)))))
    }),
    f("basename", "the last part of a path", PATH, P::String, |args| Ok(basename(text(args, 0)).into())),
    f("dirname", "a path without its last part", PATH, P::String, |args| Ok(dirname(text(args, 0)))),
    scoped("file", "the content of a file, as text", PATH, P::String, |args, scope| {
        read_text(args, scope).map(Value::from)
    }),
    scoped("filebase64", "the content of a file, in Base64", PATH, P::String, |args, scope| {
        Ok(STANDARD.encode(read(args, scope)?).into())
    }),
    scoped("filebase64sha256", "the SHA-256 of a file, in Base64", PATH, P::String, |args, scope| {
        Ok(hashes::base64::<Sha256>(&read(args, scope)?))
    }),
    scoped("filebase64sha512", "the SHA-512 of a file, in Base64", PATH, P::String, |args, scope| {
        Ok(hashes::base64::<Sha512>(&read(args, scope)?))
    }),
    scoped("fileexists", "whether there is such a file", PATH, P::Bool, |args, scope| {
        let path = path(args, scope);
        match scope.files().read(&path) {
            Ok(_) => Ok(true.into()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                // A folder is no file, but it is there.
                match scope.files().list(&path) {
                    Ok(_) => refuse(format!("\"{}\" is a directory, not a file", text(args, 0))),
                    Err(_) => Ok(false.into()),
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::IsADirectory => {
                refuse(format!("\"{}\" is a directory, not a file", text(args, 0)))
            }
            Err(error) => refuse(format!("failed to read \"{}\": {error}", text(args, 0))),
        }
    }),
    scoped("filemd5", "the MD5 of a file, in hexadecimal", PATH, P::String, |args, scope| {
        Ok(hashes::hex::<Md5>(&read(args, scope)?))
    }),
    scoped("filesha1", "the SHA-1 of a file, in hexadecimal", PATH, P::String, |args, scope| {
        Ok(hashes::hex::<Sha1>(&read(args, scope)?))
    }),
    scoped("filesha256", "the SHA-256 of a file, in hexadecimal", PATH, P::String, |args, scope| {
        Ok(hashes::hex::<Sha256>(&read(args, scope)?))
    }),
    scoped("filesha512", "the SHA-512 of a file, in hexadecimal", PATH, P::String, |args, scope| {
        Ok(hashes::hex::<Sha512>(&read(args, scope)?))
    }),
    scoped("pathexpand", "the path with ~ replaced by the home folder", PATH, P::String, |args, scope| {
        Ok(show(&expand(text(args, 0), scope)))
    }),
];

fn show(path: &Path) -> Value {
    path.to_string_lossy().as_ref().into()
}

/// `/a/./b/../c` as `/a/c`; the empty path as `.`, as Go does.
fn clean(path: &Path) -> PathBuf {
    let mut out = crate::files::clean(path);
    if path.is_absolute() {
        // Above the root is the root.
        out = out.components().filter(|c| *c != Component::ParentDir).collect();
    }
    if out.as_os_str().is_empty() { PathBuf::from(".") } else { out }
}

fn basename(path: &str) -> &str {
    if path.is_empty() {
        return ".";
    }
    let trimmed = path.trim_end_matches('/');
    if trimmed.is_empty() {
        return "/";
    }
    trimmed.rsplit('/').next().unwrap_or(trimmed)
}

fn dirname(path: &str) -> Value {
    let dir = path.rfind('/').map_or("", |i| &path[..=i]);
    show(&clean(Path::new(dir)))
}

fn expand(path: &str, scope: &dyn Scope) -> PathBuf {
    if let (Some(rest), Some(home)) = (path.strip_prefix('~'), scope.home())
        && (rest.is_empty() || rest.starts_with('/'))
    {
        return clean(&Path::new(&*home).join(rest.trim_start_matches('/')));
    }
    PathBuf::from(path)
}

fn path(args: &[Value], scope: &dyn Scope) -> PathBuf {
    expand(text(args, 0), scope)
}

fn read(args: &[Value], scope: &dyn Scope) -> Result<Vec<u8>, Refused> {
    let path = path(args, scope);
    scope.files().read(&path).or_else(|error| {
        if error.kind() == std::io::ErrorKind::NotFound {
            return refuse_arg(
                0,
                format!("no file exists at \"{}\"; this function works only with files that are distributed as part of the configuration source code, so if this file will be created by a resource in this configuration you must instead obtain this result from an attribute of that resource", path.display()),
            );
        }
        refuse_arg(0, format!("failed to read \"{}\": {error}", path.display()))
    })
}

pub(super) fn read_text(args: &[Value], scope: &dyn Scope) -> Result<String, Refused> {
    match String::from_utf8(read(args, scope)?) {
        Ok(text) => Ok(text),
        Err(_) => refuse_arg(
            0,
            format!(
                "contents of \"{}\" are not valid UTF-8; use the filebase64 function to obtain the Base64 encoded contents or the other file functions (e.g. filemd5, filesha256) to obtain file hashing results instead",
                text(args, 0)
            ),
        ),
    }
}
