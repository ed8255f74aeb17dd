# A pristine Debian 12 machine: $OUT/root.tar, with $PACKAGES beside the least that Debian can be. No device nodes, no SSH host keys.
root=$TMP/root
# Without a mount of /dev, packages' scripts see nodes of the new root's own, never the host's.
mmdebstrap --mode=root --variant=minbase --skip=chroot/mount/dev --include="$PACKAGES" \
  --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
  bookworm "$root" "$APT/binary"
cd "$root"

rm -rf dev/* etc/ssh/ssh_host_* etc/apt/sources.list.d/* var/cache/apt/* var/lib/apt/lists/* var/log/*.log var/log/apt/*
echo "deb [trusted=yes] $MIRROR/debian ./" > etc/apt/sources.list
echo 'Acquire::Languages "none";' > etc/apt/apt.conf.d/bed
# An upgrade of dpkg's own files need not survive the host's power failure.
echo force-unsafe-io > etc/dpkg/dpkg.cfg.d/bed
# Containers that ignore SIGTERM would hold a power-off up for 90 s.
mkdir -p etc/systemd/system.conf.d
printf '[Manager]\nDefaultTimeoutStopSec=5s\n' > etc/systemd/system.conf.d/bed.conf
# kubelet starts no pod without this file. Nobody resolves names there: it says so at once.
echo "nameserver ${MIRROR#http://}" > etc/resolv.conf
# Empty: each machine makes its own.
: > etc/machine-id
rm -f var/lib/dbus/machine-id

tar --sort=name --numeric-owner --xattrs --xattrs-include=security.capability -cf "$OUT/root.tar" .
