//! The real kubeadm reads the files that are written for it.

use std::path::Path;
use std::process::Command;

use grappe_bed_kubernetes as bed;

use crate::sandbox::Sandbox;

/// The golden files of this release: `kubeadm config migrate` reads them strictly, and warns of each field that it does not know.
#[test]
fn kubeadm_knows_every_field_of_the_golden_files() {
    let bed = bed::Bed::open().unwrap_or_else(|e| panic!("{e:#}"));
    let sandbox = Sandbox::empty();
    let run = |program: &Path, args: &[&str]| {
        let ran = Command::new(program).args(args).current_dir(sandbox.dir()).output().unwrap();
        (ran.status.success(), String::from_utf8(ran.stderr).unwrap())
    };
    let package = bed.package("kubeadm", bed::VERSION).display().to_string();
    assert_eq!(run(Path::new("dpkg-deb"), &["-x", &package, "."]), (true, String::new()));
    let kubeadm = sandbox.path("usr/bin/kubeadm");
    let migrate = |file: &str| {
        sandbox.write("old", file);
        run(&kubeadm, &["config", "migrate", "--old-config", "old", "--new-config", "new"])
    };
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/kubeadm/src/config/snapshots");
    let mut read = 0;
    for entry in std::fs::read_dir(golden).unwrap() {
        let path = entry.unwrap().path();
        if !path.display().to_string().ends_with(&format!("-{}.snap", bed::VERSION)) {
            continue;
        }
        // Each file of a snapshot follows the command that takes it.
        for part in std::fs::read_to_string(&path).unwrap().split("\n#### ").skip(1) {
            let (command, file) = part.split_once('\n').unwrap();
            assert_eq!(migrate(file), (true, String::new()), "{command} of {}", path.display());
            read += 1;
            if file.contains("kind: JoinConfiguration") {
                let (_, said) = migrate(&file.replace("discovery:", "no_such_field: 1\ndiscovery:"));
                assert!(said.contains("no_such_field"), "kubeadm no longer warns: {said}");
            }
        }
    }
    assert!(read >= 9, "{read} files");
}
