//! What the bed consists of: OpenStack's packages, and the state after a first start.

use std::path::PathBuf;

use grappe_bed_stages::{Build, Recipe, Stage};

/// What the bed needs of the machine: Debian packages.
pub(crate) const TOOLS: &str =
    "mariadb-server rabbitmq-server python3 python3-venv openssl ca-certificates util-linux";

/// What installs Python's packages.
const UV: &str = "0.13.9";
/// Where the first start takes place: an address that no bed takes.
const FIRST: &str = "127.0.78.1";

macro_rules! files {
    ($($name:literal),* $(,)?) => { vec![$(($name, include_str!(concat!("../", $name)))),*] };
}

/// The bed's build in this folder.
pub(crate) fn build(folder: PathBuf) -> Build {
    let venv = Stage {
        name: "venv",
        needs: Vec::new(),
        kept: true,
        settings: vec![("UV", UV.to_owned())],
        files: vec![
            ("requirements.lock", include_str!("../requirements.lock")),
            ("loopbind.py", include_str!("../loopbind.py")),
        ],
        recipe: Recipe::Script(include_str!("../venv.sh")),
    };
    let golden = Stage {
        name: "golden",
        needs: vec!["venv"],
        kept: true,
        settings: vec![("ADDRESS", FIRST.to_owned())],
        files: files![
            "bed.py",
            "identity.py",
            "services.py",
            "wsgi.py",
            "etc/cinder.conf",
            "etc/glance-api.conf",
            "etc/keystone.conf",
            "etc/ml2_conf.ini",
            "etc/neutron.conf",
            "etc/nova.conf",
            "etc/octavia.conf",
            "etc/placement.conf",
            "etc/rabbitmq.conf",
        ],
        recipe: Recipe::Script(include_str!("../golden.sh")),
    };
    Build::new(folder, vec![venv, golden])
}
