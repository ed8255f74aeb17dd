//! The kernel in a root's `/boot`.

use std::path::{Path, PathBuf};

use grappe_provider::Fault;

/// A kernel, and what it finds its root with.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Kernel {
    pub(super) image: PathBuf,
    pub(super) initrd: Option<PathBuf>,
}

impl Kernel {
    /// The newest one in a root, with its initrd. Links are not followed: a root's own may lead out of it.
    pub(super) fn of(root: &Path) -> Result<Kernel, Fault> {
        let boot = root.join("boot");
        let entries = std::fs::read_dir(&boot).into_iter().flatten().flatten();
        let files: Vec<String> = entries
            .filter(|e| e.file_type().is_ok_and(|t| t.is_file()))
            .map(|e| e.file_name().to_string_lossy().into_owned())
            .collect();
        let versions = files.iter().filter_map(|name| name.strip_prefix("vmlinuz-"));
        let Some(version) = versions.max_by_key(|version| order(version)) else {
            return Err(Fault::permanent("the image has no kernel: there is no /boot/vmlinuz-* in it")
                .hint("have one in the image (debian = { include = [\"linux-image-cloud-amd64\"] }), or take another backend")
                .attribute("image_id"));
        };
        // As Debian, Fedora and openSUSE call it.
        let initrds = [
            format!("initrd.img-{version}"),
            format!("initramfs-{version}.img"),
            format!("initrd-{version}"),
        ];
        let initrd = initrds.into_iter().find(|name| files.contains(name));
        Ok(Kernel {
            image: boot.join(format!("vmlinuz-{version}")),
            initrd: initrd.map(|name| boot.join(name)),
        })
    }
}

/// What versions are compared by: their numbers as numbers, and the words between them.
fn order(version: &str) -> Vec<(u64, &str)> {
    let mut parts = Vec::new();
    let mut rest = version;
    while !rest.is_empty() {
        let word = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let digits = rest[word..].find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len() - word);
        let number = rest[word..word + digits].parse().unwrap_or_default();
        parts.push((number, &rest[..word]));
        rest = &rest[word + digits..];
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_kernel_is_taken_with_its_own_initrd() {
        let root = tempfile::tempdir().unwrap();
        let boot = root.path().join("boot");
        let fault = Kernel::of(root.path()).unwrap_err();
        assert!(fault.summary.contains("no kernel") && fault.hint.is_some());
        crate::rootfs::folder(root.path(), "boot".as_ref(), 0o755).unwrap();
        for name in [
            "vmlinuz-6.1.0-9-cloud-amd64",
            "vmlinuz-6.1.0-38-cloud-amd64",
            "initrd.img-6.1.0-9-cloud-amd64",
            "initrd.img-6.1.0-38-cloud-amd64",
            "config-6.12.0",
        ] {
            crate::rootfs::put(&boot, name, "", 0o644, 0o755).unwrap();
        }
        std::os::unix::fs::symlink("vmlinuz-6.1.0-9-cloud-amd64", boot.join("vmlinuz-7.0")).unwrap();
        let kernel = Kernel::of(root.path()).unwrap();
        assert_eq!(kernel.image, boot.join("vmlinuz-6.1.0-38-cloud-amd64"));
        assert_eq!(kernel.initrd, Some(boot.join("initrd.img-6.1.0-38-cloud-amd64")));
    }
}
