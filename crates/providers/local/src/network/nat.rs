//! The way out of a network: slirp4netns, which speaks for its machines as an ordinary program of this computer would.

use std::net::Ipv4Addr;
use std::path::Path;

use grappe_provider::Fault;
use ipnet::Ipv4Net;

use super::Network;

/// slirp4netns's own network, between it and ours.
pub(super) const RANGE: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(10, 0, 2, 0), 24);
/// Who resolves names in it.
pub(super) const RESOLVER: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 3);

pub(super) fn is_up(_: &Path) -> Result<bool, Fault> {
    Ok(true)
}
pub(super) fn raise(_: &Path, _: &Network) -> Result<(), Fault> {
    Err(Fault::permanent("nat is not there yet"))
}
pub(super) fn lower(_: &Path) -> Result<(), Fault> {
    Ok(())
}
