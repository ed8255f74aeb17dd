//! What a machine has on its disk before its first boot: its name, who may log in, its host key, and cloud-init's orders.
//!
//! It is written into the layer over the image (or what a virtual machine's disk is made of), whose folders keep the image's other files. A
//! second call puts the same there again, and keeps the host key and the machine-id.

use std::net::Ipv4Addr;
use std::path::Path;

use grappe_provider::Fault;
use sha2::{Digest, Sha256};
use ssh_key::private::{Ed25519Keypair, KeypairData};
use ssh_key::{LineEnding, PrivateKey};

use super::{Args, Machine};
use crate::files::read;
use crate::rootfs::{chmod, folder, put};
use crate::run::hex;

/// The layer over the image, in a machine's folder.
const UPPER: &str = "upper";
const HOST_KEY: &str = "etc/ssh/ssh_host_ed25519_key";
const CLOUD: &str = "var/lib/cloud/seed/nocloud";

/// The digest of what plans say about a first boot: what tells two orders apart where the orders themselves, which may hold secrets, are not kept.
pub(super) fn digest(args: &Args) -> String {
    let mut hasher = Sha256::new();
    for text in args.authorized_keys.iter().map(Some).chain([args.user_data.as_ref()]) {
        hasher.update(text.map_or(u64::MAX, |t| t.len() as u64).to_le_bytes());
        hasher.update(text.map_or(&b""[..], |t| t.as_bytes()));
    }
    hex(&hasher.finalize())
}

/// Whether an image can do what is ordered.
pub(super) fn check(root: &Path, args: &Args) -> Result<(), Fault> {
    if args.user_data.is_none() || has_cloud_init(root) {
        return Ok(());
    }
    Err(Fault::permanent("the image has no cloud-init, which user_data is for")
        .hint(
            "have cloud-init in the image (debian = { include = [\"cloud-init\"] }), or leave user_data out",
        )
        .attribute("user_data"))
}

fn has_cloud_init(root: &Path) -> bool {
    root.join("usr/bin/cloud-init").exists()
}

/// Writes them, and returns the public part of the host key.
pub(super) fn write(
    dir: &Path,
    machine: &Machine,
    resolver: Option<Ipv4Addr>,
    args: &Args,
) -> Result<String, Fault> {
    folder(dir, UPPER.as_ref(), 0o755)?;
    let upper = dir.join(UPPER);
    // What becomes the machine's own root folder.
    chmod(&upper, 0o755)?;
    put(&upper, "etc/hostname", &format!("{}\n", machine.name), 0o644, 0o755)?;
    let hosts = format!(
        "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n{} {}\n",
        machine.ip, machine.name
    );
    put(&upper, "etc/hosts", &hosts, 0o644, 0o755)?;
    if read(&upper.join("etc/machine-id"))?.is_none() {
        put(&upper, "etc/machine-id", &format!("{}\n", hex(&rand::random::<[u8; 16]>())), 0o444, 0o755)?;
    }
    if let Some(resolver) = resolver {
        put(&upper, "etc/resolv.conf", &format!("nameserver {resolver}\n"), 0o644, 0o755)?;
    }
    if !args.authorized_keys.is_empty() {
        let keys: String = args.authorized_keys.iter().map(|key| format!("{}\n", key.trim())).collect();
        put(&upper, "root/.ssh/authorized_keys", &keys, 0o600, 0o700)?;
    }
    if has_cloud_init(&machine.root) {
        let user_data = args.user_data.as_deref().unwrap_or("#cloud-config\n{}\n");
        let meta_data = format!("instance-id: {}\nlocal-hostname: {}\n", machine.id, machine.name);
        put(&upper, &format!("{CLOUD}/user-data"), user_data, 0o600, 0o755)?;
        put(&upper, &format!("{CLOUD}/meta-data"), &meta_data, 0o644, 0o755)?;
    }
    host_key(&upper, &machine.name)
}

/// The machine's host key: the one that is there, or a new one. Each machine has its own.
fn host_key(upper: &Path, name: &str) -> Result<String, Fault> {
    let broken = |e| Fault::permanent("the machine's SSH host key can't be made").source(e);
    let there = read(&upper.join(HOST_KEY))?.and_then(|pem| PrivateKey::from_openssh(pem).ok());
    let key = match there {
        Some(key) => key,
        None => {
            let pair = Ed25519Keypair::from_seed(&rand::random());
            let key = PrivateKey::new(KeypairData::Ed25519(pair), format!("root@{name}")).map_err(broken)?;
            let pem = key.to_openssh(LineEnding::LF).map_err(broken)?;
            put(upper, HOST_KEY, &pem, 0o600, 0o755)?;
            key
        }
    };
    let public = key.public_key().to_openssh().map_err(broken)?;
    put(upper, &format!("{HOST_KEY}.pub"), &format!("{public}\n"), 0o644, 0o755)?;
    Ok(public)
}
