//! `cargo xtask bed`: the test beds, real software to test against.

use std::path::Path;

use anyhow::Result;
use grappe_bed_kubernetes::{Bed, PORT};

use crate::run::say;

/// Builds the Kubernetes bed where it is missing.
pub(crate) fn build() -> Result<()> {
    grappe_bed_kubernetes::build(&|line| say(line))
}

/// Serves the Kubernetes bed's packages and images until it is interrupted.
pub(crate) fn serve(namespace: Option<&str>) -> Result<()> {
    build()?;
    let bed = Bed::open()?;
    let namespace = namespace.map(|name| Path::new("/run/netns").join(name));
    let server = bed.serve(namespace.as_deref(), PORT)?;
    say(format!("Serving /debian, /k8s and /v2 on {}: end it with control-C.", server.address()));
    server.wait();
    Ok(())
}
