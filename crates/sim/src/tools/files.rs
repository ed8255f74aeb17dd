//! Programs that make, move, remove and describe files.

use super::attributes::{chmod, chown, known, parse_mode, stat};
use super::{Cx, Status};
use crate::host::files::{Actor, Errno, Files, Kind, Node, parent};

pub(super) fn dispatch(tool: &str, cx: &mut Cx<'_>) -> Option<Status> {
    Some(match tool {
        "mkdir" => mkdir(cx),
        "rm" => rm(cx),
        "rmdir" => rmdir(cx),
        "mv" => mv(cx),
        "cp" => cp(cx),
        "ln" => ln(cx),
        "install" => install(cx),
        "chmod" => chmod(cx),
        "chown" | "chgrp" => chown(cx),
        "touch" => touch(cx),
        "mktemp" => mktemp(cx),
        "stat" => stat(cx),
        "readlink" | "realpath" => readlink(cx),
        "basename" => basename(cx),
        "dirname" => {
            let names = cx.args.to_vec();
            for name in names {
                let trimmed = name.trim_end_matches('/');
                let dir = match trimmed.rfind('/') {
                    Some(0) => "/".to_owned(),
                    Some(at) => trimmed[..at].trim_end_matches('/').to_owned(),
                    None if trimmed.is_empty() && name.starts_with('/') => "/".to_owned(),
                    None => ".".to_owned(),
                };
                cx.out(format!("{}\n", if dir.is_empty() { "/" } else { &dir }));
            }
            Ok(0)
        }
        "truncate" => truncate(cx),
        "sync" => Ok(0),
        _ => return None,
    })
}

fn mkdir(cx: &mut Cx<'_>) -> Status {
    let opts = cx.opts("pm:v", &["parents", "mode=", "verbose"])?;
    if opts.rest.is_empty() {
        return Err(cx.fail(1, "missing operand"));
    }
    let mode = match opts.value(&["m", "mode"]) {
        Some(text) => {
            Some(parse_mode(text, 0o777, true).ok_or_else(|| cx.fail(1, format!("invalid mode '{text}'")))?)
        }
        None => None,
    };
    let parents = opts.has(&["p", "parents"]);
    let mut status = 0;
    for name in &opts.rest {
        let path = cx.sh.path(name);
        let made = cx.files_mut(|files, actor| -> Result<(), Errno> {
            if parents {
                make_parents(files, &path, actor)?;
                if files.is_dir(&path) {
                    return Ok(());
                }
            }
            files.mkdir(&path, actor)?;
            if let Some(mode) = mode {
                files.node_mut(&path)?.mode = mode;
            }
            Ok(())
        });
        if let Err(e) = made {
            status = cx.fail(1, format!("cannot create directory '{name}': {e}"));
        }
    }
    Ok(status)
}

fn make_parents(files: &mut Files, path: &str, actor: Actor<'_>) -> Result<(), Errno> {
    let above = parent(path).to_owned();
    if above != "/" && !files.is_dir(&above) {
        make_parents(files, &above, actor)?;
        files.mkdir(&above, actor)?;
    }
    Ok(())
}

fn rm(cx: &mut Cx<'_>) -> Status {
    let opts =
        cx.opts("rRfvdi", &["recursive", "force", "verbose", "no-preserve-root", "one-file-system"])?;
    let (force, recursive) = (opts.has(&["f", "force"]), opts.has(&["r", "R", "recursive"]));
    if opts.rest.is_empty() && !force {
        return Err(cx.fail(1, "missing operand"));
    }
    let mut status = 0;
    for name in &opts.rest {
        let path = cx.sh.path(name);
        if path == "/" {
            status = cx.fail(1, "it is dangerous to operate recursively on '/'");
            continue;
        }
        let removed = cx.files_mut(|files, actor| {
            let is_dir = files.lstat(&path)?.1.is_dir();
            if is_dir && !recursive {
                return Err(Errno::IsDirectory);
            }
            files.remove_tree(&path, actor)
        });
        match removed {
            Err(Errno::NotFound | Errno::NotDirectory) if force => {}
            Err(e) => status = cx.fail(1, format!("cannot remove '{name}': {e}")),
            Ok(()) => {}
        }
    }
    Ok(status)
}

fn rmdir(cx: &mut Cx<'_>) -> Status {
    let opts = cx.opts("pv", &["ignore-fail-on-non-empty", "parents"])?;
    let mut status = 0;
    for name in &opts.rest {
        let path = cx.sh.path(name);
        match cx.files_mut(|f, a| f.rmdir(&path, a)) {
            Err(Errno::NotEmpty) if opts.has(&["ignore-fail-on-non-empty"]) => {}
            Err(e) => status = cx.fail(1, format!("failed to remove '{name}': {e}")),
            Ok(()) => {}
        }
    }
    Ok(status)
}

/// Sources and the target each goes to.
fn targets(
    cx: &mut Cx<'_>,
    rest: &[String],
    folder: Option<&str>,
    no_folder: bool,
) -> Result<Vec<(String, String)>, i32> {
    let (sources, target) = match (folder, rest) {
        (Some(folder), sources) => (sources, folder.to_owned()),
        (None, [sources @ .., target]) if !sources.is_empty() => (sources, target.clone()),
        (None, [one]) => return Err(cx.fail(1, format!("missing destination file operand after '{one}'"))),
        (None, _) => return Err(cx.fail(1, "missing file operand")),
    };
    let path = cx.sh.path(&target);
    let into = !no_folder && cx.host(|h, _| h.files.is_dir(&path));
    if !into && sources.len() > 1 {
        return Err(cx.fail(1, format!("target '{target}': No such file or directory")));
    }
    if !into && target.ends_with('/') && cx.name != "mv" && !cx.host(|h, _| h.files.exists(&path)) {
        return Err(cx.fail(1, format!("cannot create regular file '{target}': Not a directory")));
    }
    Ok(sources
        .iter()
        .map(|source| {
            let name = source.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
            let to = if into { format!("{}/{name}", target.trim_end_matches('/')) } else { target.clone() };
            (source.clone(), to)
        })
        .collect())
}

fn mv(cx: &mut Cx<'_>) -> Status {
    let opts = cx.opts("fnvTt:ibu", &["force", "no-target-directory", "no-clobber", "target-directory="])?;
    let pairs = targets(
        cx,
        &opts.rest,
        opts.value(&["t", "target-directory"]),
        opts.has(&["T", "no-target-directory"]),
    )?;
    let mut status = 0;
    for (source, target) in pairs {
        let (from, to) = (cx.sh.path(&source), cx.sh.path(&target));
        if opts.has(&["n", "no-clobber"]) && cx.host(|h, _| h.files.exists(&to)) {
            continue;
        }
        match cx.files_mut(|f, a| f.rename(&from, &to, a)) {
            Ok(()) => {}
            Err(Errno::NotFound) if !cx.host(|h, _| h.files.lstat(&from).is_ok()) => {
                status = cx.fail(1, format!("cannot stat '{source}': No such file or directory"));
            }
            Err(e) => status = cx.fail(1, format!("cannot move '{source}' to '{target}': {e}")),
        }
    }
    Ok(status)
}

fn cp(cx: &mut Cx<'_>) -> Status {
    let opts = cx.opts(
        "afprRdTt:nvuLP",
        &[
            "recursive",
            "archive",
            "preserve?",
            "force",
            "no-target-directory",
            "target-directory=",
            "no-clobber",
            "update",
        ],
    )?;
    let archive = opts.has(&["a", "archive"]);
    let recursive = archive || opts.has(&["r", "R", "recursive"]);
    let preserve = archive || opts.has(&["p", "preserve"]);
    let pairs = targets(
        cx,
        &opts.rest,
        opts.value(&["t", "target-directory"]),
        opts.has(&["T", "no-target-directory"]),
    )?;
    let mut status = 0;
    for (source, target) in pairs {
        let (from, to) = (cx.sh.path(&source), cx.sh.path(&target));
        if opts.has(&["n", "no-clobber"]) && cx.host(|h, _| h.files.exists(&to)) {
            continue;
        }
        let is_dir = match cx.host(|h, now| h.stat(&from, now).map(|n| n.is_dir())) {
            Ok(is_dir) => is_dir,
            Err(e) => {
                status = cx.fail(1, format!("cannot stat '{source}': {e}"));
                continue;
            }
        };
        if is_dir && !recursive {
            status = cx.fail(1, format!("-r not specified; omitting directory '{source}'"));
            continue;
        }
        if from == to {
            status = cx.fail(1, format!("'{source}' and '{target}' are the same file"));
            continue;
        }
        let copied = cx.files_mut(|files, actor| {
            let entries: Vec<String> = files.below(&from).map(|(p, _)| p.to_owned()).collect();
            files.copy(&from, &to, preserve, actor)?;
            for entry in entries {
                let place = format!("{to}{}", &entry[from.len()..]);
                match &files.lstat(&entry)?.1.kind {
                    Kind::Link(link) => {
                        let link = link.clone();
                        match files.symlink(&link, &place, actor) {
                            Err(Errno::Exists) | Ok(()) => {}
                            Err(e) => return Err(e),
                        }
                    }
                    _ => files.copy(&entry, &place, preserve, actor)?,
                }
            }
            Ok(())
        });
        match copied {
            Ok(()) => {}
            Err(Errno::NotFound)
                if cx.host(|h, now| {
                    h.stat(&from, now).is_ok_and(|n| !n.is_dir()) && h.files.stat(&from).is_err()
                }) =>
            {
                // A file of the kernel or of the base system: copy what reading it gives.
                let bytes = cx.read(&source).unwrap_or_default();
                if let Err(e) = cx.files_mut(|f, a| f.write(&to, &bytes, false, a)) {
                    status = cx.fail(1, format!("cannot create regular file '{target}': {e}"));
                }
            }
            Err(Errno::Denied) if !cx.host(|h, _| h.files.may_read(&from, &cx.sh.user)) => {
                status = cx.fail(1, format!("cannot open '{source}' for reading: Permission denied"));
            }
            Err(e) => status = cx.fail(1, format!("cannot create regular file '{target}': {e}")),
        }
    }
    Ok(status)
}

fn ln(cx: &mut Cx<'_>) -> Status {
    let opts = cx.opts("sfnvTr", &["symbolic", "force", "no-dereference", "no-target-directory"])?;
    let symbolic = opts.has(&["s", "symbolic"]);
    let no_folder = opts.has(&["n", "T", "no-dereference", "no-target-directory"]);
    let rest = match opts.rest.as_slice() {
        [one] => vec![one.clone(), ".".to_owned()],
        rest => rest.to_vec(),
    };
    let mut status = 0;
    for (source, target) in targets(cx, &rest, None, no_folder)? {
        let to = cx.sh.path(&target);
        let from = cx.sh.path(&source);
        let made = cx.files_mut(|files, actor| {
            if opts.has(&["f", "force"]) && files.lstat(&to).is_ok_and(|(_, n)| !n.is_dir()) {
                files.unlink(&to, actor)?;
            }
            if symbolic { files.symlink(&source, &to, actor) } else { files.copy(&from, &to, true, actor) }
        });
        if let Err(e) = made {
            let kind = if symbolic { "symbolic" } else { "hard" };
            status = cx.fail(1, format!("failed to create {kind} link '{target}': {e}"));
        }
    }
    Ok(status)
}

fn install(cx: &mut Cx<'_>) -> Status {
    let opts = cx.opts(
        "dDm:o:g:t:Tpvc",
        &["directory", "mode=", "owner=", "group=", "target-directory=", "no-target-directory"],
    )?;
    let mode = match opts.value(&["m", "mode"]) {
        Some(text) => {
            parse_mode(text, 0, true).ok_or_else(|| cx.fail(1, format!("invalid mode '{text}'")))?
        }
        None => 0o755,
    };
    for (kind, names) in [("user", ["o", "owner"]), ("group", ["g", "group"])] {
        if let Some(name) = opts.value(&names)
            && !known(cx, kind, name)
        {
            return Err(cx.fail(1, format!("invalid {kind} '{name}'")));
        }
    }
    let dress = |node: &mut Node| {
        node.mode = mode;
        if let Some(owner) = opts.value(&["o", "owner"]) {
            node.owner = owner.to_owned();
        }
        if let Some(group) = opts.value(&["g", "group"]) {
            node.group = group.to_owned();
        }
    };
    if opts.has(&["d", "directory"]) {
        for name in &opts.rest {
            let path = cx.sh.path(name);
            let made = cx.files_mut(|files, actor| -> Result<(), Errno> {
                make_parents(files, &path, actor)?;
                match files.mkdir(&path, actor) {
                    Err(Errno::Exists) if files.is_dir(&path) => {}
                    other => other?,
                }
                files.node_mut(&path).map(dress)
            });
            if let Err(e) = made {
                return Err(cx.fail(1, format!("cannot create directory '{name}': {e}")));
            }
        }
        return Ok(0);
    }
    if opts.has(&["D"])
        && let Some(target) = opts.rest.last()
    {
        let path = match opts.value(&["t", "target-directory"]) {
            Some(folder) => format!("{}/x", cx.sh.path(folder)),
            None => cx.sh.path(target),
        };
        let made = cx.files_mut(|f, a| make_parents(f, &path, a));
        made.map_err(|e| cx.fail(1, format!("cannot create directory: {e}")))?;
    }
    let pairs = targets(
        cx,
        &opts.rest,
        opts.value(&["t", "target-directory"]),
        opts.has(&["T", "no-target-directory"]),
    )?;
    for (source, target) in pairs {
        let bytes = cx.read(&source).map_err(|e| cx.fail(1, format!("cannot stat '{source}': {e}")))?;
        let path = cx.sh.path(&target);
        let made = cx.files_mut(|files, actor| {
            match files.unlink(&path, actor) {
                Ok(()) | Err(Errno::NotFound) => {}
                Err(e) => return Err(e),
            }
            files.write(&path, &bytes, false, actor)?;
            files.node_mut(&path).map(dress)
        });
        if let Err(e) = made {
            return Err(cx.fail(1, format!("cannot create regular file '{target}': {e}")));
        }
    }
    Ok(0)
}

fn touch(cx: &mut Cx<'_>) -> Status {
    let opts = cx.opts("acmd:r:t:", &["no-create", "date="])?;
    let mut status = 0;
    for name in &opts.rest {
        let path = cx.sh.path(name);
        let done = cx.files_mut(|files, actor| match files.node_mut(&path) {
            Ok(node) => {
                node.mtime = actor.now;
                Ok(())
            }
            Err(_) if opts.has(&["c", "no-create"]) => Ok(()),
            Err(_) => files.write(&path, b"", true, actor),
        });
        if let Err(e) = done {
            status = cx.fail(1, format!("cannot touch '{name}': {e}"));
        }
    }
    Ok(status)
}

fn mktemp(cx: &mut Cx<'_>) -> Status {
    let opts = cx.opts("dp:tuq", &["directory", "tmpdir?", "suffix=", "dry-run"])?;
    let folder = opts.value(&["p", "tmpdir"]).or(cx.sh.env("TMPDIR")).unwrap_or("/tmp").to_owned();
    let template = match opts.rest.first() {
        None => format!("{folder}/tmp.XXXXXXXXXX"),
        Some(t) if opts.has(&["p", "tmpdir", "t"]) => format!("{folder}/{t}"),
        Some(t) => t.clone(),
    };
    let (stem, suffix) = match template.rfind('X') {
        Some(at) => template.split_at(at + 1),
        None => (template.as_str(), ""),
    };
    let marks = stem.chars().rev().take_while(|c| *c == 'X').count();
    if marks < 3 {
        return Err(cx.fail(1, format!("too few X's in template '{template}'")));
    }
    let path = format!(
        "{}{}{suffix}{}",
        &stem[..stem.len() - marks],
        crate::world::model::hex(marks),
        opts.value(&["suffix"]).unwrap_or_default()
    );
    let absolute = cx.sh.path(&path);
    let made = cx.files_mut(|files, actor| {
        if opts.has(&["d", "directory"]) {
            files.mkdir(&absolute, actor)?;
            files.node_mut(&absolute)?.mode = 0o700;
        } else {
            files.write(&absolute, b"", false, actor)?;
            files.node_mut(&absolute)?.mode = 0o600;
        }
        Ok::<(), Errno>(())
    });
    if let Err(e) = made {
        return Err(cx.fail(1, format!("failed to create file via template '{template}': {e}")));
    }
    cx.out(format!("{path}\n"));
    Ok(0)
}

fn readlink(cx: &mut Cx<'_>) -> Status {
    let opts =
        cx.opts("femnqsz", &["canonicalize", "canonicalize-existing", "canonicalize-missing", "no-newline"])?;
    let canonical = cx.name == "realpath"
        || opts.has(&["f", "e", "m", "canonicalize", "canonicalize-existing", "canonicalize-missing"]);
    let strict = opts.has(&["e", "canonicalize-existing"]);
    let mut status = 0;
    for name in &opts.rest {
        let path = cx.sh.path(name);
        let found = cx.host(|h, now| {
            if !canonical {
                return match &h.files.lstat(&path)?.1.kind {
                    Kind::Link(to) => Ok(to.clone()),
                    _ => Err(Errno::Invalid),
                };
            }
            let resolved = h.files.resolve(&path, true)?;
            let known = h.stat(&resolved, now).is_ok();
            let folder = h.stat(parent(&resolved), now).is_ok();
            if known || (folder && !strict) || opts.has(&["m"]) { Ok(resolved) } else { Err(Errno::NotFound) }
        });
        match found {
            Ok(text) => {
                cx.out(if opts.has(&["n", "no-newline"]) { text } else { format!("{text}\n") });
            }
            Err(e) if cx.name == "realpath" => status = cx.fail(1, format!("{name}: {e}")),
            Err(_) => status = 1,
        }
    }
    Ok(status)
}

fn basename(cx: &mut Cx<'_>) -> Status {
    let opts = cx.opts("as:z", &["multiple", "suffix="])?;
    let many = opts.has(&["a", "multiple", "s", "suffix"]);
    let (names, suffix) = match (many, opts.rest.as_slice()) {
        (true, names) => (names.to_vec(), opts.value(&["s", "suffix"]).map(str::to_owned)),
        (false, [name]) => (vec![name.clone()], None),
        (false, [name, suffix]) => (vec![name.clone()], Some(suffix.clone())),
        (false, _) => return Err(cx.fail(1, "missing operand")),
    };
    for name in names {
        let trimmed = name.trim_end_matches('/');
        let mut base = trimmed.rsplit('/').next().unwrap_or_default();
        if base.is_empty() && !name.is_empty() {
            base = "/";
        }
        if let Some(stem) = suffix.as_deref().and_then(|s| base.strip_suffix(s)).filter(|s| !s.is_empty()) {
            base = stem;
        }
        cx.out(format!("{base}\n"));
    }
    Ok(0)
}

fn truncate(cx: &mut Cx<'_>) -> Status {
    let opts = cx.opts("s:c", &["size=", "no-create"])?;
    let size: usize = match opts.value(&["s", "size"]).map(str::parse) {
        Some(Ok(size)) if size <= 1 << 20 => size,
        _ => return Err(cx.unsupported("this size")),
    };
    for name in &opts.rest {
        let path = cx.sh.path(name);
        let mut bytes = cx.read(name).unwrap_or_default();
        bytes.resize(size, 0);
        cx.files_mut(|f, a| f.write(&path, &bytes, false, a))
            .map_err(|e| cx.fail(1, format!("cannot open '{name}': {e}")))?;
    }
    Ok(0)
}
