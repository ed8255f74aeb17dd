//! `cargo xtask bed`: the test beds, real software to test against.

use std::path::Path;

use anyhow::Result;
use grappe_bed_kubernetes::{Bed, PORT};
use grappe_bed_openstack as openstack;

use crate::run::say;

/// Builds the beds where they are missing.
pub(crate) fn build() -> Result<()> {
    kubernetes()?;
    openstack::build(&|line| say(line))
}

/// Builds the Kubernetes bed where it is missing.
pub(crate) fn kubernetes() -> Result<()> {
    grappe_bed_kubernetes::build(&|line| say(line))
}

/// Serves the Kubernetes bed's packages and images until it is interrupted.
pub(crate) fn serve(namespace: Option<&str>) -> Result<()> {
    kubernetes()?;
    let bed = Bed::open()?;
    let namespace = namespace.map(|name| Path::new("/run/netns").join(name));
    let server = bed.serve(namespace.as_deref(), PORT)?;
    say(format!("Serving /debian, /k8s and /v2 on {}: end it with control-C.", server.address()));
    server.wait();
    Ok(())
}

/// Builds the OpenStack bed where it is missing, and starts it where it is down. It stays until it is stopped.
pub(crate) fn openstack() -> Result<()> {
    openstack::build(&|line| say(line))?;
    let bed = openstack::Bed::open()?;
    bed.keep()?;
    let folder = bed.folder().display();
    say(format!(
        "OpenStack is up: {}. Stop it with `cargo xtask bed openstack stop`.\n\n  \
         . {folder}/openrc                                  for a shell: openstack server list\n  \
         export OS_CLIENT_CONFIG_FILE={folder}/clouds.yaml OS_CLOUD=bed\n\n\
         There is an image `tiny`, flavors `m1.tiny` and `m1.small`, and an external network `public`. Logs are in {folder}/log.",
        bed.auth_url()
    ));
    Ok(())
}

/// Stops the OpenStack bed, whoever uses it.
pub(crate) fn stop() -> Result<()> {
    let Some(bed) = openstack::Bed::running()? else {
        say("The OpenStack test bed is not up.");
        return Ok(());
    };
    bed.stop()?;
    say("The OpenStack test bed has ended.");
    Ok(())
}

/// The tests have ended: so does the OpenStack bed that they have started, unless others use it.
pub(crate) fn leave() -> Result<()> {
    openstack::Bed::running()?.map_or(Ok(()), openstack::Bed::leave)
}
