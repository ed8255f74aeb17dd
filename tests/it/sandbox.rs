//! A folder of its own for each test, and the grappe that runs in it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value as Json;
use tempfile::TempDir;

/// 32 bytes in base64: what seals the test's secrets.
pub(crate) const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// A plan folder, and a home beside it.
pub(crate) struct Sandbox {
    root: TempDir,
    plan: PathBuf,
}

/// What a run came to.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Sandbox {
    /// With one file, `main.tf`.
    pub(crate) fn new(main: &str) -> Self {
        let sandbox = Self::empty();
        sandbox.write("main.tf", main);
        sandbox
    }

    pub(crate) fn empty() -> Self {
        let root = tempfile::tempdir().unwrap();
        let plan = root.path().join("plan");
        for dir in [&plan, &root.path().join("home")] {
            std::fs::create_dir(dir).unwrap();
        }
        Sandbox { root, plan }
    }

    /// Another one that holds the same: what was made in this one too.
    pub(crate) fn twin(&self) -> Self {
        let twin = Self::empty();
        copy_all(&self.root.path().join("home"), &twin.home());
        copy_all(&self.dir(), &twin.dir());
        twin
    }

    /// Leaves the plan folder on disk, to be looked at.
    pub(crate) fn keep(self) -> PathBuf {
        let _ = self.root.keep();
        self.plan
    }

    /// A copy of a plan folder of this repository.
    pub(crate) fn of_plan(name: &str) -> Self {
        let sandbox = Self::empty();
        copy(&plans().join(name), &sandbox.dir());
        sandbox
    }

    /// A copy of all plan folders of this repository, to work in one of them: it may call the modules beside it.
    pub(crate) fn of_plans(name: &str) -> Self {
        let mut sandbox = Self::empty();
        let all = sandbox.root.path().join("plans");
        copy(&plans(), &all);
        sandbox.plan = all.join(name);
        sandbox
    }

    /// A folder of one's own, beside this repository's plans and modules.
    pub(crate) fn beside_plans(main: &str) -> Self {
        let sandbox = Self::of_plans("own");
        std::fs::create_dir(sandbox.dir()).unwrap();
        sandbox.write("main.tf", main);
        sandbox
    }

    /// The plan folder.
    pub(crate) fn dir(&self) -> PathBuf {
        self.plan.clone()
    }

    /// Who runs grappe here has this home.
    pub(crate) fn home(&self) -> PathBuf {
        self.root.path().join("home")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut file =
            std::fs::OpenOptions::new().write(true).create(true).truncate(true).open(path).unwrap();
        std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// A grappe that is about to run in the plan folder, with an environment of its own.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        // The released program, where what a run costs counts: cargo xtask chaos.
        let program = std::env::var_os("GRAPPE_E2E_PROGRAM");
        let mut command = Command::new(program.unwrap_or_else(|| env!("CARGO_BIN_EXE_grappe-e2e").into()));
        command
            .args(args)
            .current_dir(self.dir())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.root.path().join("home"))
            .env("USER", "tester")
            .env("GRAPPE_STATE_KEY", KEY)
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        Ran::of(self.command(args).output().unwrap())
    }

    /// Runs, and fails the test where the exit code is another.
    pub(crate) fn expect(&self, code: i32, args: &[&str]) -> Ran {
        let ran = self.run(args);
        assert_eq!(ran.code, code, "grappe {}\n{}\n{}", args.join(" "), ran.stdout, ran.stderr);
        ran
    }

    /// The addresses in the state.
    pub(crate) fn state(&self) -> Vec<String> {
        self.expect(0, &["state", "list"]).stdout.lines().map(str::to_owned).collect()
    }

    /// All files below the sandbox, with what they hold.
    pub(crate) fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut out = Vec::new();
        let mut folders = vec![self.root.path().to_owned()];
        while let Some(dir) = folders.pop() {
            for entry in std::fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let bytes = std::fs::read(&path).unwrap();
                    out.push((path, bytes));
                }
            }
        }
        out
    }

    /// A text in which nothing of this machine and this moment is left.
    pub(crate) fn clean(&self, text: &str) -> String {
        let root = self.root.path().display().to_string();
        text.replace(&root, "[ROOT]").lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
    }
}

impl Ran {
    pub(crate) fn of(output: Output) -> Self {
        Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Both streams.
    pub(crate) fn all(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    /// The lines of `-json`.
    pub(crate) fn events(&self) -> Vec<Json> {
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        self.stdout.lines().map(parse).collect()
    }

    /// Those of one type.
    pub(crate) fn events_of(&self, ty: &str) -> Vec<Json> {
        self.events().into_iter().filter(|e| e["type"] == ty).collect()
    }
}

/// The plan folders of this repository.
fn plans() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("plans")
}

/// What earlier runs left is no part of the plan.
fn copy(from: &Path, to: &Path) {
    copy_but(from, to, &["grappe.state", ".grappe"]);
}

fn copy_all(from: &Path, to: &Path) {
    copy_but(from, to, &[]);
}

fn copy_but(from: &Path, to: &Path, but: &[&str]) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (name, path) = (entry.file_name(), entry.path());
        if name.to_str().is_some_and(|name| but.contains(&name)) {
            continue;
        }
        if path.is_dir() {
            copy_but(&path, &to.join(name), but);
        } else {
            std::fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

/// A text without its lines' ends, which are where the screen's are.
pub(crate) fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
