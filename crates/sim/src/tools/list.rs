//! ls.

use super::{Cx, Status};
use crate::host::files::{Errno, Kind, Node};

/// `ls` with `-1adlRtrhF`.
pub(super) fn run(cx: &mut Cx<'_>) -> Status {
    let opts = cx.opts(
        "1adlAhtrRFSnZ",
        &["all", "almost-all", "directory", "full-time", "human-readable", "color?", "recursive"],
    )?;
    let names = if opts.rest.is_empty() { vec![".".to_owned()] } else { opts.rest.clone() };
    let (all, long) = (opts.has(&["a", "A", "all", "almost-all"]), opts.has(&["l", "n"]));
    let mut status = 0;
    let (mut plain, mut folders) = (Vec::new(), Vec::new());
    for name in &names {
        let path = cx.sh.path(name);
        let found = cx.host(|h, now| match h.files.lstat(&path) {
            Ok((_, node)) if long || opts.has(&["d", "directory"]) => Ok(node.clone()),
            _ => h.stat(&path, now),
        });
        match found {
            Ok(node) if node.is_dir() && !opts.has(&["d", "directory"]) => {
                let allowed = cx.root() || node.mode & 0o005 == 0o005 || node.owner == cx.sh.user;
                if allowed {
                    folders.push(name.clone());
                } else {
                    status = cx.fail(2, format!("cannot open directory '{name}': {}", Errno::Denied));
                }
            }
            Ok(node) => plain.push((name.clone(), node)),
            Err(e) => status = cx.fail(2, format!("cannot access '{name}': {e}")),
        }
    }
    let order = |entries: &mut Vec<(String, Node)>| {
        if opts.has(&["t"]) {
            entries.sort_by_key(|(_, n)| -n.mtime);
        }
        if opts.has(&["r"]) {
            entries.reverse();
        }
    };
    plain.sort_by(|a, b| a.0.cmp(&b.0));
    order(&mut plain);
    let show = |cx: &mut Cx<'_>, entries: &[(String, Node)]| {
        for (name, node) in entries {
            let line = if long { long_line(name, node) } else { name.clone() };
            let mark = if opts.has(&["F"]) && node.is_dir() { "/" } else { "" };
            cx.out(format!("{line}{mark}\n"));
        }
    };
    show(cx, &plain);
    let headed = names.len() > 1 || opts.has(&["R", "recursive"]);
    let mut queue: std::collections::VecDeque<String> = folders.into();
    let mut first = plain.is_empty();
    while let Some(folder) = queue.pop_front() {
        let path = cx.sh.path(&folder);
        let mut entries = cx.host(|h, _| {
            let Ok(path) = h.files.resolve(&path, true) else { return Vec::new() };
            let children = h.files.children(&path).filter(|(n, _)| all || !n.starts_with('.'));
            children.map(|(n, node)| (n.to_owned(), node.clone())).collect::<Vec<_>>()
        });
        order(&mut entries);
        if headed {
            cx.out(format!("{}{folder}:\n", if first { "" } else { "\n" }));
        }
        if long {
            cx.out(format!("total {}\n", entries.len() * 4));
        }
        first = false;
        show(cx, &entries);
        if opts.has(&["R", "recursive"]) {
            let below = entries.iter().filter(|(_, n)| n.is_dir());
            let below: Vec<String> =
                below.map(|(n, _)| format!("{}/{n}", folder.trim_end_matches('/'))).collect();
            for name in below.into_iter().rev() {
                queue.push_front(name);
            }
        }
    }
    Ok(status)
}

fn long_line(name: &str, node: &Node) -> String {
    let target = match &node.kind {
        Kind::Link(to) => format!(" -> {to}"),
        _ => String::new(),
    };
    let when = super::system::format_date("%b %e %H:%M", node.mtime);
    let mode = super::attributes::mode_text(node);
    format!("{mode} 1 {} {} {:>5} {when} {name}{target}", node.owner, node.group, node.size())
}
