//! The bed's own life: it ends with its first process, and with its users, however they end.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use grappe_bed_openstack::Bed;

const VICTIM: &str = "life::nothing_outlives_the_first_process_or_the_last_user";

/// A user of a bed of its own: this test, started again. `does` is what it does with it.
fn user(cache: &Path, does: &str) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut user = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", VICTIM, "--nocapture"])
        .env("VICTIM", does)
        .env("XDG_CACHE_HOME", cache)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(user.stdout.take().unwrap());
    (user, lines)
}

/// The processes whose command names the folder.
fn processes(folder: &Path) -> Vec<String> {
    let folder = folder.to_str().unwrap();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let pid = entry.file_name().into_string().unwrap();
        let command = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        if command.contains(folder) {
            found.push(format!("{pid} {command}"));
        }
    }
    found
}

#[expect(clippy::disallowed_methods, reason = "a test waits for other processes")]
fn until(limit: u64, what: &str, mut done: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < Duration::from_secs(limit), "{what}: not after {limit} s");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn nothing_outlives_the_first_process_or_the_last_user() {
    if let Some(does) = std::env::var_os("VICTIM") {
        // Whoever builds beds removes what nobody uses.
        grappe_bed_openstack::build(&|_| {}).unwrap();
        let bed =
            if does == "join" { Bed::running().unwrap().expect("it is up") } else { Bed::open().unwrap() };
        let up = format!("\nup {}\n", bed.address());
        if does == "go" {
            std::io::stdout().write_all(up.as_bytes()).unwrap();
            return;
        }
        // Told to end with its last user, who is killed.
        let kept = Bed::running().unwrap().unwrap();
        bed.leave().unwrap();
        std::io::stdout().write_all(up.as_bytes()).unwrap();
        until(600, "the killer", || false);
        drop(kept);
    }
    // Another bed of the same products.
    let shared = Bed::open().unwrap();
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path().join("grappe/beds/openstack");
    std::fs::create_dir_all(&folder).unwrap();
    for entry in std::fs::read_dir(shared.folder().parent().unwrap()).unwrap().flatten() {
        if ["venv-", "golden-"].iter().any(|name| entry.file_name().to_str().unwrap().starts_with(name)) {
            symlink(entry.path(), folder.join(entry.file_name())).unwrap();
        }
    }
    let run: PathBuf = folder.join(shared.folder().file_name().unwrap());

    // The first process is killed while the bed starts: the user learns it, and nothing of it is left.
    let (mut first, _lines) = user(temp.path(), "stay");
    until(60, "the database", || processes(&run).iter().any(|p| p.contains("mariadbd")));
    let bed = processes(&run).into_iter().find(|p| p.contains("unshare --mount")).unwrap();
    let pid: i32 = bed.split(' ').next().unwrap().parse().unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
    assert!(!first.wait().unwrap().success());
    until(20, "the end of all processes", || processes(&run).is_empty());
    assert!(run.join("state").exists());

    // The next one cleans up, at an address of its own; the bed that it leaves waits for another, who has the same.
    // The pipes stay open: a user that can't say how its test ended fails.
    let up =
        |lines: &mut BufReader<_>| lines.lines().map(Result::unwrap).find(|line| line.starts_with("up "));
    let (mut second, mut lines) = user(temp.path(), "go");
    let first_up = up(&mut lines).expect("it starts");
    assert_ne!(first_up, format!("up {}", shared.address()));
    assert!(second.wait().unwrap().success());
    let (mut third, mut lines) = user(temp.path(), "join");
    assert_eq!(up(&mut lines), Some(first_up));
    let mode = |name: &str| {
        std::os::unix::fs::PermissionsExt::mode(&run.join(name).metadata().unwrap().permissions()) & 0o777
    };
    assert_eq!((mode(""), mode("clouds.yaml"), mode("openrc")), (0o700, 0o600, 0o600));
    third.kill().unwrap();
    third.wait().unwrap();
    until(60, "the end of all processes", || processes(&run).is_empty());
    for name in ["state", "etc", "clouds.yaml", "openrc", "control"] {
        assert!(!run.join(name).exists(), "{name} is left");
    }
    assert!(run.join("log/keystone.log").exists());
}
