//! `fmt` gives what `terraform fmt` gives.
//!
//! `format/in` holds files, `format/out` what the `terraform` binary made of each (`tests/record.py` asks it); what it refuses is not there.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use grappe_diag::{Sources, Style, render};
use grappe_lang::format;
use grappe_value::Value;
use proptest::prelude::*;

use crate::support::{TestScope, load_files, rendered};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/format")
}

/// The file in the canonical layout, or what is wrong with it.
pub(crate) fn formatted(text: &str) -> Result<String, String> {
    let mut sources = Sources::new();
    let source = sources.add("main.tf", text);
    format(source, text).map_err(|found| {
        found.iter().map(|d| render(d, &sources, Style::default())).collect::<Vec<_>>().join("\n")
    })
}

/// The first line that differs.
fn difference(got: &str, want: &str) -> Option<String> {
    let (mut got_lines, mut want_lines) = (got.split('\n'), want.split('\n'));
    for line in 1.. {
        match (got_lines.next(), want_lines.next()) {
            (None, None) => return None,
            (got, want) if got == want => {}
            (got, want) => return Some(format!("line {line} is {got:?}, not {want:?}")),
        }
    }
    None
}

#[test]
fn files_become_what_terraform_makes_of_them() {
    let mut wrong = Vec::new();
    let mut count = 0;
    // `cargo xtask differential` brings files of its own.
    let folder = std::env::var_os("GRAPPE_FORMAT").map_or_else(folder, PathBuf::from);
    for entry in std::fs::read_dir(folder.join("in")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let want = std::fs::read_to_string(folder.join("out").join(&name)).unwrap();
        count += 1;
        match formatted(&text) {
            Ok(got) => wrong.extend(difference(&got, &want).map(|d| format!("{name}: {d}"))),
            Err(error) => wrong.push(format!("{name}: {error}")),
        }
    }
    let _ = writeln!(std::io::stderr(), "{count} files compared with what terraform fmt gave");
    assert!(count >= 30, "only {count} files: they were not read");
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

fn plan_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            plan_files(&path, found);
        } else if path.extension().is_some_and(|e| e == "tf" || e == "tfvars") {
            found.push(path);
        }
    }
}

#[test]
fn the_plans_of_this_repository_are_formatted() {
    let mut files = Vec::new();
    plan_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plans"), &mut files);
    assert!(files.len() > 10);
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(formatted(&text).as_deref(), Ok(&*text), "{}", path.display());
    }
}

#[test]
fn what_cannot_be_parsed_stays_and_says_why() {
    let error = formatted("a = [1\nb = 2\n").unwrap_err();
    assert!(error.contains("main.tf:1"), "{error}");
}

/// `terraform fmt` leaves such labels out.
#[test]
fn labels_with_dollars_and_percents_stay() {
    assert_eq!(
        formatted("x \"a$${b}%%{c}\" \"d$\" \"5%\" {}\n").unwrap(),
        "x \"a$${b}%%{c}\" \"d$\" \"5%\" {}\n"
    );
}

/// The texts that properties are tried on: the files, cut and mixed by lines.
fn mixtures() -> impl Strategy<Value = String> {
    let mut lines = Vec::new();
    for entry in std::fs::read_dir(folder().join("in")).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        lines.extend(text.split_inclusive('\n').map(str::to_owned));
    }
    prop::collection::vec((prop::sample::select(lines), "[ \t]{0,4}"), 0..12)
        .prop_map(|lines| lines.into_iter().map(|(line, space)| space + &line).collect())
}

/// The only output of a file.
fn value(file: &str) -> Result<Value, String> {
    let (config, sources, diags) = load_files(&[("main.tf", file)]);
    let Some(config) = config.filter(|_| !diags.has_errors()) else { return Err(rendered(&diags, &sources)) };
    config.root.outputs["o"].expr.eval(&TestScope::default()).map_err(|d| rendered(&d, &sources))
}

#[test]
fn what_expressions_mean_stays() {
    let texts = include_str!("expressions.txt")
        .lines()
        .filter(|l| !["#", "=> ", "!! ", "~"].iter().any(|start| l.starts_with(start)) && !l.is_empty());
    let mut count = 0;
    for text in texts {
        let file = format!("output \"o\" {{\n  value = {}\n}}\n", text.replace('⏎', "\n"));
        let Ok(before) = value(&file) else { continue };
        let new = formatted(&file).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(value(&new).as_ref(), Ok(&before), "{text}\nbecame\n{new}");
        count += 1;
    }
    assert!(count > 600, "{count}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_second_time_changes_nothing(text in mixtures()) {
        if let Ok(once) = formatted(&text) {
            prop_assert_eq!(formatted(&once), Ok(once));
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "[a-z{}\\[\\]()\"$%<=\\-~#/*.,:?! \n\r\te0-9é]{0,80}") {
        let _ = formatted(&text);
    }
}
