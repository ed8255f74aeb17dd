//! A snapshot of etcd before what is risky: an upgrade, a reconfiguration, the removal of a member.
//!
//! It stays on the control plane it was taken on, readable by root alone: it holds every secret of the cluster. The last
//! `KEPT` are kept. To restore one: stop etcd on all control planes (move its manifest away), run
//! `etcdctl snapshot restore FILE --name … --initial-cluster … --initial-advertise-peer-urls … --data-dir /var/lib/etcd` on
//! each, and put the manifests back.

use grappe_provider::{Context, Fault};
use grappe_ssh::Exec;

use crate::access::{KUBECTL, Kubectl};
use crate::client::Client;
use crate::etcd::ETCDCTL;
use crate::remote::LONG;

/// Where they are.
pub const FOLDER: &str = "/var/lib/grappe/etcd-snapshots";
/// How many are kept.
const KEPT: usize = 5;

/// Takes one on the control plane that `kubectl` speaks for, and says where it is. Nothing is done where etcd is not the
/// cluster's own. `why` is a word of the file's name.
///
/// # Errors
/// etcd or the API does not answer (transient), or there is no room.
pub async fn take(ctx: &Context<Client>, kubectl: &Kubectl, why: &str) -> Result<(), Fault> {
    let remote = &kubectl.remote;
    let what = "take a snapshot of etcd";
    let output = remote.ask(Exec::new(script(why)).timeout(LONG)).await?;
    let printed = kubectl.check(what, output)?;
    match printed.trim() {
        "" => ctx.progress("etcd is not the cluster's own: no snapshot is taken of it"),
        file => ctx.progress(format!("etcd's snapshot is on {}: {file}", remote.name())),
    }
    Ok(())
}

/// The image has no shell: etcdctl writes into the folder of its data, which is the host's.
fn script(why: &str) -> String {
    format!(
        "m=/etc/kubernetes/manifests/etcd.yaml\nif [ ! -s $m ]; then exit 0; fi\n\
         name=$(sed -n 's/^ *- --name=//p' $m)\ndata=$(sed -n 's/^ *- --data-dir=//p' $m)\n\
         umask 077\nmkdir -p {FOLDER} || exit 1\nrm -f \"$data\"/grappe-snapshot.db*\n\
         {KUBECTL} -n kube-system exec \"etcd-$name\" -- {ETCDCTL} snapshot save \"$data/grappe-snapshot.db\" >&2 || exit 1\n\
         file={FOLDER}/$(date -u +%Y%m%dT%H%M%SZ)-{why}.db\n\
         mv \"$data/grappe-snapshot.db\" \"$file\" && chmod 600 \"$file\" || exit 1\n\
         ls -1 {FOLDER} | sort -r | tail -n +{} | while read -r old; do rm -f \"{FOLDER}/$old\"; done\n\
         echo \"$file\"",
        KEPT + 1,
    )
}
