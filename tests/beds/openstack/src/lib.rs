//! A test bed: a real OpenStack on a loopback address, with a hypervisor that makes nothing.
//!
//! `cargo xtask bed openstack` builds it, once for its content (see [`build`]): OpenStack's own packages, and the state after its first start. A test
//! [opens](Bed::open) it: the first one to need it starts it, all use it at once, each in a [`Tenant`] of its own, and it ends a while after the last one, or
//! at once where the last one is told so. All of it is one process tree, which lives and dies with its first process (`bed.py`).
//!
//! A [`Proxy`] in between counts the calls of one test, and makes them fail.

mod fleet;
mod proxy;
mod recipe;
mod start;
mod tenant;

use std::time::Instant;

use anyhow::{Result, bail};
use grappe_bed_stages::{ensure, folder, line};

pub use fleet::fleet;
pub use proxy::{Call, Chance, Fault, Proxy};
pub use start::Bed;
pub use tenant::Tenant;

/// Names the address that a bed takes, otherwise the first free one of 127.0.77.0/24.
pub const ADDRESS: &str = "GRAPPE_BED_OPENSTACK_ADDRESS";

/// Builds what is missing, and says how long each stage took. Does nothing where all is there.
///
/// # Errors
///
/// Where this is not Debian 12 or not root and something is missing, or a stage fails; the error has the end of its log.
pub fn build(say: &(dyn Fn(&str) + Sync)) -> Result<()> {
    let begin = Instant::now();
    let build = recipe::build(folder("openstack")?);
    if !nix::unistd::Uid::effective().is_root() {
        bail!("the OpenStack test bed takes root: its processes have a namespace of their own");
    }
    // The servers are Debian's own, and run from where they are: a build of another machine does not bring them.
    ensure(recipe::TOOLS, say)?;
    if build.missing().is_empty() {
        return build.tidy();
    }
    build.make(say)?;
    say(&line(begin.elapsed(), "in all"));
    Ok(())
}
