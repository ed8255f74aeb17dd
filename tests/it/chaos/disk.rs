//! Full disks: the state's folder is a small tmpfs of a mount namespace of its own, with some pages left, more in each trial, so that the lock, each part of the
//! journal and the snapshot are what does not fit. The world is elsewhere: a cloud has its own disks.

use std::process::{Command, Stdio};

use super::layered;
use super::scene::Scene;
use super::tally::{self, Settings, Tally, Trial};
use crate::sandbox::{Ran, flat};

/// Fills the disk but for so many bytes and runs; then makes room, and takes what was left out of the namespace.
const SCRIPT: &str = r#"
set -eu
left=$1; shift
mkdir -p grappe.state saved
cp -a grappe.state/. saved/
mount -t tmpfs -o size=1m,mode=700 tmpfs grappe.state
cp -a saved/. grappe.state/
rm -rf saved
head -c 2m /dev/zero > grappe.state/filler 2> /dev/null || true
truncate -s -"$left" grappe.state/filler
code=0
"$@" || code=$?
rm grappe.state/filler
mkdir kept
cp -a grappe.state/. kept/
exit "$code"
"#;

fn trial(scene: &Scene, pages: u64, tally: &Tally) {
    let sandbox = scene.base().twin();
    let state = sandbox.path("grappe.state");
    let plain = sandbox.command(scene.args());
    let mut run = Command::new("unshare");
    // Who is not root gets a namespace in which to be.
    run.args(if nix::unistd::Uid::effective().is_root() { &["-m"][..] } else { &["-rm"] });
    run.args(["sh", "-c", SCRIPT, "sh"]).arg((pages * 4096).to_string());
    run.arg(plain.get_program()).args(plain.get_args()).current_dir(sandbox.dir()).stdin(Stdio::null());
    run.env_clear().envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let ran = Ran::of(run.output().unwrap());
    let kept = sandbox.path("kept");
    assert!(kept.exists(), "no small disk could be made: {}", ran.all());
    std::fs::remove_dir_all(&state).unwrap();
    std::fs::rename(kept, &state).unwrap();
    match ran.code {
        0 => tally.add("disk", "had room", 1),
        1 => {
            assert!(flat(&ran.stderr).contains("No space left on device"), "{}", ran.all());
            assert!(flat(&ran.stderr).contains("free some space"), "{}", ran.all());
            let file = ["grappe.lock", "grappe.journal", "grappe.state.json", "backups"]
                .into_iter()
                .find(|file| ran.all().contains(&format!("grappe.state/{file}")));
            tally.add("disk", &format!("full: {}", file.unwrap_or("elsewhere")), 1);
        }
        code => panic!("exit code {code}: {}", ran.all()),
    }
    sandbox.expect(0, &["state", "list"]);
    tally::keeping(&sandbox, "after all that", || scene.settles(&sandbox, 2));
}

#[test]
fn a_full_disk_loses_nothing() {
    let (settings, tally) = (Settings::of_environment(), Tally::default());
    let scenes = layered::scenes("disk", &settings, 42);
    let (scenes, tally) = (&scenes, &tally);
    let most = if settings.kills.is_some() { 30 } else { 6 };
    let trials = (0..most).flat_map(|pages| {
        scenes.iter().map(move |scene| {
            let id = format!("disk/{} {pages} pages", scene.name);
            Trial::new(id, move |_| trial(scene, pages, tally))
        })
    });
    tally::all("disk", &settings, tally, trials);
}
