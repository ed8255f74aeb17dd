//! Images as container tools write them: layers, each a tarball, with whiteouts for what a layer removes.

use std::path::Path;

use grappe_provider::Fault;

pub(super) fn unpack(_: &Path, _: &Path, _: &Path) -> Result<(), Fault> {
    Err(Fault::permanent("oci_archive is not there yet"))
}
