//! `grappe fmt`: the canonical layout, as `terraform fmt` has it: the same files, the same lists, the same exit codes.

use std::io::Read;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};

use grappe_diag::{Diagnostic, Diagnostics, Sources};
use similar::{Algorithm, TextDiff};

use crate::Exit;
use crate::args::FmtArgs;
use crate::ui::Ui;

/// The ends of names that are formatted.
const NAMES: [&str; 4] = [".tf", ".tfvars", ".tftest.hcl", ".tfmock.hcl"];

/// What stands for the standard input.
const STDIN: &str = "<stdin>";

pub(super) fn run(ui: &Ui, args: &FmtArgs) -> anyhow::Result<Exit> {
    let stdin = args.targets.first().is_some_and(|t| t.as_os_str() == "-");
    let mut run = Run {
        list: args.list && !stdin,
        write: args.write && !args.check && !stdin,
        diff: args.diff,
        check: args.check,
        recursive: args.recursive,
        out: String::new(),
        changed: false,
        sources: Sources::new(),
        found: Diagnostics::new(),
    };
    if stdin {
        let mut text = Vec::new();
        std::io::stdin().read_to_end(&mut text)?;
        run.text(STDIN, None, text)?;
    }
    let here = [PathBuf::from(".")];
    let targets = if args.targets.is_empty() { &here[..] } else { &args.targets[..] };
    for target in targets.iter().filter(|_| !stdin) {
        run.target(&from_here(target))?;
    }
    ui.diagnostics(&run.found, &run.sources);
    let failed = run.found.has_errors();
    // While checking, the list is all that is said.
    if !args.check || run.list && !failed {
        ui.raw(&run.out);
    }
    Ok(match (failed, args.check && run.changed) {
        (true, _) => Exit::Unformatted { broken: true },
        (false, true) => Exit::Unformatted { broken: false },
        (false, false) => Exit::Done,
    })
}

/// The path from the working folder, without detours: how files are listed.
fn from_here(path: &Path) -> PathBuf {
    let Ok(here) = std::env::current_dir() else { return path.to_owned() };
    let target = tidy(&here.join(path));
    let shared = here.components().zip(target.components()).take_while(|(a, b)| a == b).count();
    let up = here.components().skip(shared).map(|_| Component::ParentDir);
    let short: PathBuf = up.chain(target.components().skip(shared)).collect();
    if short.as_os_str().is_empty() { ".".into() } else { short }
}

/// Without `.` and `..`.
fn tidy(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => drop(out.pop()),
            other => out.push(other),
        }
    }
    out
}

struct Run {
    list: bool,
    write: bool,
    diff: bool,
    check: bool,
    recursive: bool,
    out: String,
    changed: bool,
    sources: Sources,
    found: Diagnostics,
}

impl Run {
    fn wrong(&mut self, summary: &str, detail: String) {
        self.found.push(Diagnostic::error(summary).detail(detail));
    }

    fn target(&mut self, path: &Path) -> anyhow::Result<()> {
        let shown = path.display();
        if path.is_dir() {
            self.folder(path)?;
        } else if !path.exists() {
            self.wrong("No such file or folder", format!("There is no file or folder {shown}."));
        } else if NAMES.iter().any(|end| shown.to_string().ends_with(end)) {
            self.file(path)?;
        } else {
            self.wrong(
                "Not a file to format",
                format!("{shown} is none of {}.", NAMES.map(|n| format!("*{n}")).join(", ")),
            );
        }
        Ok(())
    }

    fn folder(&mut self, folder: &Path) -> anyhow::Result<()> {
        let mut names = Vec::new();
        match std::fs::read_dir(folder) {
            Ok(entries) => {
                for entry in entries {
                    names.push(entry?.file_name());
                }
            }
            Err(error) => {
                self.wrong("Can't read a folder", format!("{}: {error}", folder.display()));
                return Ok(());
            }
        }
        names.sort();
        for name in names {
            let text = name.to_string_lossy();
            // Hidden ones, and what editors leave behind.
            if text.starts_with('.') || text.ends_with('~') || text.starts_with('#') && text.ends_with('#') {
                continue;
            }
            let path = if folder == Path::new(".") { PathBuf::from(&name) } else { folder.join(&name) };
            // A link to a folder is not followed: it may lead back.
            if path.is_dir() && !path.is_symlink() {
                if self.recursive {
                    self.folder(&path)?;
                }
            } else if NAMES.iter().any(|end| text.ends_with(end)) && path.is_file() {
                self.file(&path)?;
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &Path) -> anyhow::Result<()> {
        match std::fs::read(path) {
            Ok(bytes) => self.text(&path.display().to_string(), Some(path), bytes),
            Err(error) => {
                self.wrong("Can't read a file", format!("{}: {error}", path.display()));
                Ok(())
            }
        }
    }

    fn text(&mut self, name: &str, path: Option<&Path>, bytes: Vec<u8>) -> anyhow::Result<()> {
        let text = match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                let at = error.utf8_error().valid_up_to();
                self.wrong(
                    "Invalid character encoding",
                    format!("{name} is not UTF-8: byte {at} belongs to no character."),
                );
                return Ok(());
            }
        };
        let source = self.sources.add(name, text.as_str());
        let new = match grappe_lang::format(source, &text) {
            Ok(new) => new,
            Err(found) => {
                self.found.extend(found);
                return Ok(());
            }
        };
        if new != text {
            self.changed = true;
            if self.list {
                self.out.push_str(name);
                self.out.push('\n');
            }
            if let Some(path) = path.filter(|_| self.write) {
                let mode = std::fs::metadata(path)?.permissions().mode();
                grappe_state::files::write_atomic(path, new.as_bytes(), mode & 0o7777)?;
            }
            if self.diff {
                let diff = TextDiff::configure().algorithm(Algorithm::Myers).diff_lines(&text, &new);
                let mut unified = diff.unified_diff();
                self.out
                    .push_str(&unified.header(&format!("old/{name}"), &format!("new/{name}")).to_string());
            }
        }
        // Where nothing else is said, the result is.
        if !(self.list || self.write || self.diff || self.check) {
            self.out.push_str(&new);
            if !new.ends_with('\n') {
                self.out.push('\n');
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_shown_from_the_working_folder() {
        let here = std::env::current_dir().unwrap();
        let name = here.file_name().unwrap();
        assert_eq!(from_here(Path::new("./a/../b.tf")), Path::new("b.tf"));
        assert_eq!(from_here(&here.join("sub/x.tf")), Path::new("sub/x.tf"));
        assert_eq!(from_here(Path::new("..")), Path::new(".."));
        assert_eq!(from_here(&Path::new("..").join(name).join("x.tf")), Path::new("x.tf"));
        assert_eq!(from_here(Path::new("")), Path::new("."));
    }
}
