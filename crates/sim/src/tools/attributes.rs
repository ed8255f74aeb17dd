//! Modes, owners, and what stat tells.

use super::{Cx, Status};
use crate::host::files::{Errno, Kind, Node};

/// A mode in octal, or changes such as `u+x,go-w`.
pub(super) fn parse_mode(text: &str, old: u32, dir: bool) -> Option<u32> {
    if text.chars().all(|c| c.is_digit(8)) && !text.is_empty() {
        return u32::from_str_radix(text, 8).ok().filter(|m| *m <= 0o7777);
    }
    let mut mode = old;
    for clause in text.split(',') {
        let at = clause.find(['+', '-', '='])?;
        let (mut who, rest) = (clause[..at].to_owned(), &clause[at..]);
        if who.is_empty() || who.contains('a') {
            who = "ugo".to_owned();
        }
        let mut operator = '=';
        let mut bits_of = String::new();
        let mut apply = |operator: char, perms: &str| -> Option<()> {
            for w in who.chars() {
                let shift = match w {
                    'u' => 6,
                    'g' => 3,
                    'o' => 0,
                    _ => return None,
                };
                let mut bits = 0;
                for p in perms.chars() {
                    bits |= match p {
                        'r' => 4 << shift,
                        'w' => 2 << shift,
                        'x' => 1 << shift,
                        'X' if dir || mode & 0o111 != 0 => 1 << shift,
                        'X' => 0,
                        's' if w == 'u' => 0o4000,
                        's' if w == 'g' => 0o2000,
                        't' => 0o1000,
                        's' => 0,
                        _ => return None,
                    };
                }
                match operator {
                    '+' => mode |= bits,
                    '-' => mode &= !bits,
                    _ => mode = mode & !(7 << shift) | bits,
                }
            }
            Some(())
        };
        for (n, c) in rest.chars().enumerate() {
            if matches!(c, '+' | '-' | '=') {
                if n > 0 {
                    apply(operator, &bits_of)?;
                    bits_of.clear();
                }
                operator = c;
            } else {
                bits_of.push(c);
            }
        }
        apply(operator, &bits_of)?;
    }
    Some(mode)
}

pub(super) fn chmod(cx: &mut Cx<'_>) -> Status {
    // A mode such as -x looks like an option.
    let args: Vec<String> = cx.args.to_vec();
    let recursive = args.iter().any(|a| a == "-R" || a == "--recursive");
    let rest: Vec<String> = args
        .into_iter()
        .filter(|a| !["-R", "--recursive", "-v", "-c", "-f", "--"].contains(&a.as_str()))
        .collect();
    let [text, names @ ..] = rest.as_slice() else { return Err(cx.fail(1, "missing operand")) };
    if names.is_empty() {
        return Err(cx.fail(1, format!("missing operand after '{text}'")));
    }
    each(cx, names, recursive, "cannot access", |node| {
        node.mode = parse_mode(text, node.mode, node.is_dir()).ok_or(Errno::Invalid)?;
        Ok(())
    })
}

/// Changes nodes, and what is below them if `recursive`; only owners may.
fn each(
    cx: &mut Cx<'_>,
    names: &[String],
    recursive: bool,
    complaint: &str,
    change: impl Fn(&mut Node) -> Result<(), Errno>,
) -> Status {
    let mut status = 0;
    for name in names {
        let path = cx.sh.path(name);
        if cx.host(|h, now| h.files.stat(&path).is_err() && h.stat(&path, now).is_ok()) {
            continue; // a file of the base system keeps what it has
        }
        let done = cx.files_mut(|files, actor| {
            let (resolved, _) = files.stat(&path)?;
            let mut paths = vec![resolved.clone()];
            if recursive {
                paths.extend(files.below(&resolved).map(|(p, _)| p.to_owned()));
            }
            for path in paths {
                let node = files.node_mut(&path)?;
                if actor.user != "root" && node.owner != actor.user {
                    return Err(Errno::NotPermitted);
                }
                change(node)?;
            }
            Ok(())
        });
        match done {
            Ok(()) => {}
            Err(Errno::Invalid) => return Err(cx.fail(1, format!("invalid mode: '{}'", cx.args[0]))),
            Err(Errno::NotPermitted) => {
                status = cx.fail(1, format!("changing '{name}': Operation not permitted"));
            }
            Err(e) => status = cx.fail(1, format!("{complaint} '{name}': {e}")),
        }
    }
    Ok(status)
}

/// Whether a user or group exists (a number always does).
pub(super) fn known(cx: &Cx<'_>, kind: &str, name: &str) -> bool {
    let file = if kind == "user" { "/etc/passwd" } else { "/etc/group" };
    let prefix = format!("{name}:");
    name.chars().all(|c| c.is_ascii_digit())
        || ["root", "nobody", "www-data", "haproxy", "etcd"].contains(&name)
        || cx.host(|h, _| h.files.text(file).lines().any(|l| l.starts_with(&prefix)))
}

fn user_name(name: &str) -> String {
    match name {
        "0" => "root".to_owned(),
        "1000" => "debian".to_owned(),
        name => name.to_owned(),
    }
}

pub(super) fn chown(cx: &mut Cx<'_>) -> Status {
    let opts = cx.opts("RvhcfLHP", &["recursive", "no-dereference", "reference="])?;
    let [text, names @ ..] = opts.rest.as_slice() else { return Err(cx.fail(1, "missing operand")) };
    let (owner, group) = match (cx.name, text.split_once([':', '.'])) {
        ("chgrp", _) => ("", Some(text.as_str())),
        (_, None) => (text.as_str(), None),
        (_, Some((owner, ""))) => (owner, Some(owner)),
        (_, Some((owner, group))) => (owner, Some(group)),
    };
    if !owner.is_empty() && !known(cx, "user", owner) {
        return Err(cx.fail(1, format!("invalid user: '{text}'")));
    }
    if let Some(group) = group
        && !known(cx, "group", group)
    {
        return Err(cx.fail(1, format!("invalid group: '{text}'")));
    }
    if !cx.root() {
        return Err(cx.fail(
            1,
            format!(
                "changing ownership of '{}': Operation not permitted",
                names.first().cloned().unwrap_or_default()
            ),
        ));
    }
    each(cx, names, opts.has(&["R", "recursive"]), "cannot access", |node| {
        if !owner.is_empty() {
            node.owner = user_name(owner);
        }
        if let Some(group) = group {
            node.group = user_name(group);
        }
        Ok(())
    })
}

/// `-rw-r--r--`
pub(super) fn mode_text(node: &Node) -> String {
    let kind = match node.kind {
        Kind::File(_) => '-',
        Kind::Dir => 'd',
        Kind::Link(_) => 'l',
    };
    let mut text = kind.to_string();
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let bits = node.mode >> shift;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (node.mode & special != 0, bits & 1 != 0) {
            (true, true) => letter,
            (true, false) => letter.to_ascii_uppercase(),
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    text
}

fn numeric_id(name: &str) -> String {
    match name {
        "root" => "0".to_owned(),
        "debian" => "1000".to_owned(),
        name if name.chars().all(|c| c.is_ascii_digit()) => name.to_owned(),
        _ => "999".to_owned(),
    }
}

pub(super) fn stat(cx: &mut Cx<'_>) -> Status {
    let opts = cx.opts("c:Lft", &["format=", "printf=", "dereference", "terse", "file-system"])?;
    if opts.has(&["f", "file-system"]) {
        if opts.value(&["c", "format"]) == Some("%T") || opts.value(&["c", "format"]).is_none() {
            let cgroup = opts.rest.first().is_some_and(|p| p.starts_with("/sys/fs/cgroup"));
            cx.out(if cgroup { "cgroup2fs\n" } else { "ext2/ext3\n" });
            return Ok(0);
        }
        return Err(cx.unsupported("-f with this format"));
    }
    let (format, newline) = match (opts.value(&["c", "format"]), opts.value(&["printf"])) {
        (Some(f), _) => (f.to_owned(), true),
        (None, Some(f)) => (crate::shell::escape::unescape(f, true).0, false),
        (None, None) => (
            "  File: %n\n  Size: %s\t%F\nAccess: (0%a/%A)  Uid: (%u/%U)   Gid: (%g/%G)\nModify: %Y"
                .to_owned(),
            true,
        ),
    };
    let mut status = 0;
    for name in &opts.rest {
        let path = cx.sh.path(name);
        let follow = opts.has(&["L", "dereference"]);
        let node = cx.host(|h, now| match (follow, h.files.lstat(&path)) {
            (false, Ok((_, node))) => Ok(node.clone()),
            _ => h.stat(&path, now),
        });
        let node = match node {
            Ok(node) => node,
            Err(e) => {
                status = cx.fail(1, format!("cannot statx '{name}': {e}"));
                continue;
            }
        };
        let mut out = String::new();
        let mut chars = format.chars();
        while let Some(c) = chars.next() {
            if c != '%' {
                out.push(c);
                continue;
            }
            match chars.next() {
                Some('a') => out.push_str(&format!("{:o}", node.mode)),
                Some('A') => out.push_str(&mode_text(&node)),
                Some('f') => {
                    let kind = match node.kind {
                        Kind::File(_) => 0o100_000,
                        Kind::Dir => 0o040_000,
                        Kind::Link(_) => 0o120_000,
                    };
                    out.push_str(&format!("{:x}", node.mode | kind));
                }
                Some('U') => out.push_str(&node.owner),
                Some('G') => out.push_str(&node.group),
                Some('u') => out.push_str(&numeric_id(&node.owner)),
                Some('g') => out.push_str(&numeric_id(&node.group)),
                Some('s') => out.push_str(&node.size().to_string()),
                Some('Y' | 'X' | 'Z') => out.push_str(&node.mtime.to_string()),
                Some('n') => out.push_str(name),
                Some('N') => match &node.kind {
                    Kind::Link(to) => out.push_str(&format!("'{name}' -> '{to}'")),
                    _ => out.push_str(&format!("'{name}'")),
                },
                Some('F') => out.push_str(match &node.kind {
                    Kind::File(c) if c.0.is_empty() => "regular empty file",
                    Kind::File(_) => "regular file",
                    Kind::Dir => "directory",
                    Kind::Link(_) => "symbolic link",
                }),
                Some('%') => out.push('%'),
                Some(other) => return Err(cx.unsupported(format!("format %{other}"))),
                None => out.push('%'),
            }
        }
        if newline {
            out.push('\n');
        }
        cx.out(out);
    }
    Ok(status)
}

#[cfg(test)]
mod tests {
    use super::parse_mode;

    #[test]
    fn modes() {
        for (text, old, new) in [
            ("0644", 0, 0o644),
            ("u+x", 0o644, 0o744),
            ("go-rwx", 0o755, 0o700),
            ("a=r", 0o777, 0o444),
            ("u=rw,go=", 0o777, 0o600),
            ("+x", 0o644, 0o755),
            ("a+X", 0o644, 0o644),
        ] {
            assert_eq!(parse_mode(text, old, false), Some(new), "{text}");
        }
        assert_eq!(parse_mode("frob", 0, false), None);
        assert_eq!(parse_mode("99", 0, false), None);
    }
}
