//! find: `-name -type -maxdepth -mindepth -path -newer -delete -print -print0 -exec … \;`, joined by "and".

use super::{Cx, Status};
use crate::host::files::Kind;
use crate::shell::pattern;

pub(super) fn run(cx: &mut Cx<'_>) -> Status {
    let split = cx.args.iter().position(|a| a.starts_with('-') || a == "!").unwrap_or(cx.args.len());
    let (starts, tests) = cx.args.split_at(split);
    let starts = if starts.is_empty() { vec![".".to_owned()] } else { starts.to_vec() };
    let (mut names, mut paths, mut kind, mut least, mut most) = (Vec::new(), Vec::new(), None, 0, usize::MAX);
    let (mut delete, mut separator, mut execute, mut quiet) = (false, "\n", Vec::new(), false);
    let mut tests = tests.iter();
    let mut negate = false;
    while let Some(test) = tests.next() {
        let mut value = || tests.next().cloned().ok_or_else(|| format!("missing argument to `{test}'"));
        let result: Result<(), String> = (|| {
            match test.as_str() {
                "!" | "-not" => {
                    negate = true;
                    return Ok(());
                }
                "-name" => names.push((value()?, negate)),
                "-path" => paths.push((value()?, negate)),
                "-type" => kind = Some(value()?),
                "-maxdepth" => most = value()?.parse().map_err(|_| "bad -maxdepth".to_owned())?,
                "-mindepth" => least = value()?.parse().map_err(|_| "bad -mindepth".to_owned())?,
                "-delete" => (delete, quiet) = (true, true),
                "-print" => {}
                "-print0" => separator = "\0",
                "-exec" => {
                    quiet = true;
                    loop {
                        match value()?.as_str() {
                            ";" | "+" => break,
                            word => execute.push(word.to_owned()),
                        }
                    }
                }
                other => return Err(format!("{other}: not simulated (simulated host)")),
            }
            negate = false;
            Ok(())
        })();
        if let Err(e) = result {
            return Err(cx.fail(1, e));
        }
    }
    let mut status = 0;
    let mut found = Vec::new();
    for start in &starts {
        let path = cx.sh.path(start);
        let entries = cx.host(|h, _| {
            let path = h.files.resolve(&path, false)?;
            let node = h.files.lstat(&path)?.1.clone();
            let mut all = vec![(start.clone(), path.clone(), 0, node)];
            let skip = if path == "/" { 0 } else { path.len() };
            all.extend(h.files.below(&path).map(|(p, n)| {
                let below = &p[skip..];
                (
                    format!("{}{below}", start.trim_end_matches('/')),
                    p.to_owned(),
                    below.matches('/').count(),
                    n.clone(),
                )
            }));
            Ok::<_, crate::host::files::Errno>(all)
        });
        match entries {
            Ok(entries) => found.extend(entries),
            Err(e) => status = cx.fail(1, format!("'{start}': {e}")),
        }
    }
    let fits = |pattern: &str, text: &str| {
        pattern::matches(&pattern::unquoted(pattern), &text.chars().collect::<Vec<_>>())
    };
    found.retain(|(shown, _, depth, node)| {
        let base = shown.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        let letter = match node.kind {
            Kind::File(_) => "f",
            Kind::Dir => "d",
            Kind::Link(_) => "l",
        };
        (least..=most).contains(depth)
            && kind.as_deref().is_none_or(|k| k.split(',').any(|k| k == letter))
            && names.iter().all(|(p, not)| fits(p, base) != *not)
            && paths.iter().all(|(p, not)| fits(p, shown) != *not)
    });
    for (shown, path, ..) in found.iter().rev().filter(|_| delete) {
        let gone = cx.files_mut(|f, a| f.unlink(path, a).or_else(|_| f.rmdir(path, a)));
        if let Err(e) = gone {
            status = cx.fail(1, format!("cannot delete '{shown}': {e}"));
        }
    }
    for (shown, ..) in &found {
        if !execute.is_empty() {
            let words: Vec<String> = execute.iter().map(|w| w.replace("{}", shown)).collect();
            let io = cx.io.fork();
            cx.sh.run_program(&words, &io);
        } else if !quiet {
            cx.out(format!("{shown}{separator}"));
        }
    }
    Ok(status)
}
