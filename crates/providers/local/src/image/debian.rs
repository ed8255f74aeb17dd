//! Roots built by mmdebstrap, kept as tarballs for the next time.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use grappe_provider::{Fault, Problem};
use grappe_value::{ObjectType, Type, Value};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::run::{command, hex, output};
use crate::store::on;

pub(super) const DESCRIPTION: &str = "A Debian to build with mmdebstrap: an object with `suite` and, as needed, `mirror` (a URL, or a whole line of \
    sources.list), `include` (packages beside systemd, dbus, sshd, iproute2, procps and ca-certificates), `components` (`[\"main\"]`).";

/// What every machine needs.
const BASE: [&str; 6] = ["systemd-sysv", "dbus", "openssh-server", "iproute2", "procps", "ca-certificates"];

/// What to build.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Debian {
    suite: String,
    #[serde(default)]
    mirror: Option<String>,
    #[serde(default)]
    include: Option<Vec<String>>,
    #[serde(default)]
    components: Option<Vec<String>>,
}

impl Debian {
    pub(super) fn ty() -> Type {
        let attributes = [
            ("suite", Type::String),
            ("mirror", Type::String),
            ("include", Type::list(Type::String)),
            ("components", Type::list(Type::String)),
        ];
        Type::Object(Arc::new(ObjectType {
            optional: attributes
                .iter()
                .map(|(name, _)| Arc::from(*name))
                .filter(|name| &**name != "suite")
                .collect(),
            attributes: attributes.into_iter().map(|(name, ty)| (name.into(), ty)).collect(),
        }))
    }

    /// The built tarball in the cache, made first where it is not there.
    ///
    /// The build runs under `flock`, and its last step is a rename: a build that outlives a killed run goes on, and is what the next one waits for.
    pub(super) fn tarball(&self, cache: &Path, progress: &dyn Fn(&str)) -> Result<PathBuf, Fault> {
        let inputs = serde_json::to_vec(&(1, BASE, self)).map_err(|e| {
            Fault::permanent("the inputs can't be written as JSON (a bug in grappe)").source(e)
        })?;
        let name = format!("debian-{}-{}", self.suite, &hex(&Sha256::digest(inputs))[..16]);
        let tarball = cache.join(format!("{name}.tar"));
        if tarball.exists() {
            return Ok(tarball);
        }
        progress(&format!("building Debian {} (once; it is kept)", self.suite));
        std::fs::create_dir_all(cache).map_err(|e| on(cache, "create", e))?;
        let include = self.include.iter().flatten().map(String::as_str);
        let packages: Vec<&str> = BASE.into_iter().chain(include).collect();
        let mut build = command("flock", &[]);
        build.arg(cache.join(format!("{name}.lock"))).args(["sh", "-c", BUILD, "build"]).arg(&tarball);
        build.arg(format!("--include={}", packages.join(",")));
        build.arg(format!(
            "--components={}",
            self.components.as_deref().unwrap_or(&["main".to_owned()]).join(",")
        ));
        build.arg("--").arg(&self.suite).args(&self.mirror);
        // Roots are made beside the tarball: /tmp may be small, or an overlay.
        build.env("TMPDIR", cache);
        output(&mut build).map_err(|fault| {
            fault.context(format!("can't build Debian {}", self.suite)).attribute("debian")
        })?;
        Ok(tarball)
    }
}

/// `build TARBALL OPTION... -- SUITE [MIRROR]`. In a mount namespace of its own, so that no mount of a killed build stays; and without a mount
/// of this computer's /dev, whose nodes a package's script could change.
const BUILD: &str = r#"set -eu
out=$1; shift
[ ! -e "$out" ] || exit 0
command -v mmdebstrap >/dev/null || { echo 'mmdebstrap is not installed: apt-get install mmdebstrap' >&2; exit 127; }
rm -f "$out.new.tar"; dir=$(mktemp -d "$TMPDIR/.build.XXXXXX"); trap 'rm -rf "$dir"' EXIT
opts=
while [ "$1" != -- ]; do opts="$opts $1"; shift; done; shift
suite=$1; shift
TMPDIR=$dir unshare --mount --propagation private mmdebstrap --quiet --mode=root --variant=minbase --skip=chroot/mount/dev $opts "$suite" "$out.new.tar" "$@"
mv "$out.new.tar" "$out"
"#;

pub(super) fn validate(debian: &Value) -> Vec<Problem> {
    let word = |text: &str, also: &str| {
        !text.is_empty()
            && !text.starts_with('-')
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || also.bytes().any(|a| a == b))
    };
    let mut problems = Vec::new();
    if debian.get("suite").and_then(Value::as_str).is_some_and(|suite| !word(suite, "-.")) {
        problems.push(Problem::new("debian", "its suite is not a name such as bookworm"));
    }
    for (list, what) in [("include", "package"), ("components", "component")] {
        let items = debian.get(list).and_then(Value::as_items).unwrap_or_default();
        for item in items.iter().filter_map(Value::as_str).filter(|item| !word(item, "+-.:/_")) {
            problems.push(Problem::new("debian", format!("{item:?} in {list} is not the name of a {what}")));
        }
    }
    problems
}
