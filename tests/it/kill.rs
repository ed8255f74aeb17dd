//! SIGKILL at any moment: the next run converges, and nothing exists twice.

use std::process::Stdio;
use std::time::Duration;

use rand::RngExt;

use crate::sandbox::Sandbox;

/// Files are objects that somebody else can count.
const PLAN: &str = r#"
resource "random_pet" "p" {
  count = 60
}

resource "local_file" "f" {
  count    = 60
  filename = "out/${count.index}-${random_pet.p[count.index].id}"
  content  = random_pet.p[(count.index + 1) % 60].id
}
"#;

#[test]
fn killed_at_ten_moments_it_converges_with_nothing_twice() {
    let sandbox = Sandbox::new(PLAN);
    for round in 0..10 {
        let mut child = sandbox
            .command(&["apply", "-auto-approve", "-parallelism=4"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let wait = rand::rng().random_range(0..400);
        std::thread::park_timeout(Duration::from_millis(wait));
        child.kill().unwrap();
        child.wait().unwrap();
        // Whatever is on disk, it can be read.
        let state = sandbox.run(&["state", "list"]);
        let fresh = state.code == 0 || !sandbox.path("grappe.state").exists();
        assert!(fresh || state.stdout.is_empty(), "round {round} after {wait} ms: {}", state.all());
        assert_eq!(state.code, 0, "round {round} after {wait} ms: {}", state.all());
    }
    sandbox.expect(0, &["apply", "-auto-approve"]);
    sandbox.expect(0, &["plan", "-detailed-exitcode"]);
    assert_eq!(sandbox.state().len(), 120);
    let files = std::fs::read_dir(sandbox.path("out")).unwrap().count();
    assert_eq!(files, 60, "a file was made twice under another name, or half a file is left");
    sandbox.expect(0, &["destroy", "-auto-approve"]);
    assert_eq!(std::fs::read_dir(sandbox.path("out")).unwrap().count(), 0);
}
