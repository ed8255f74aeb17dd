# The packages of Kubernetes' own repository, with its names, versions, dependencies and files.
architecture=$(dpkg --print-architecture)

# package NAME VERSION DEPENDS DESCRIPTION: of the tree in $TMP/tree
package() {
  mkdir -p "$TMP/tree/DEBIAN"
  cat > "$TMP/tree/DEBIAN/control" <<C
Package: $1
Version: $2
Architecture: $architecture
Maintainer: grappe test bed <root@localhost>
Depends: $3
Section: misc
Priority: optional
Description: $4
C
  # zstd unpacks several times as fast as xz, on every machine.
  dpkg-deb -Zzstd -z1 --root-owner-group -b "$TMP/tree" "$OUT/$1_$2_$architecture.deb"
  rm -rf "$TMP/tree"
}

for version in $VERSIONS; do
  install -D "$BINARIES/$version/kubectl" "$TMP/tree/usr/bin/kubectl"
  package kubectl "$version-00" libc6 "Kubernetes Command Line Tool"

  install -D "$BINARIES/$version/kubelet" "$TMP/tree/usr/bin/kubelet"
  install -D -m 644 "$FILES/kubelet.service" "$TMP/tree/lib/systemd/system/kubelet.service"
  install -D "$FILES/kubelet.postinst" "$TMP/tree/DEBIAN/postinst"
  mkdir -p "$TMP/tree/etc/kubernetes/manifests"
  package kubelet "$version-00" "iptables (>= 1.4.21), kubernetes-cni (>= 0.8.7), iproute2, socat, util-linux, mount, ebtables, ethtool, conntrack" \
    "Kubernetes Node Agent"

  install -D "$BINARIES/$version/kubeadm" "$TMP/tree/usr/bin/kubeadm"
  install -D -m 644 "$FILES/10-kubeadm.conf" "$TMP/tree/etc/systemd/system/kubelet.service.d/10-kubeadm.conf"
  package kubeadm "$version-00" "kubelet (>= 1.13.0), kubectl (>= 1.13.0), kubernetes-cni (>= 0.8.6), cri-tools (>= 1.13.0)" \
    "Kubernetes Cluster Bootstrapping Tool"
done

install -D "$BINARIES/minicrictl" "$TMP/tree/usr/bin/crictl"
package cri-tools 1.13.0-01 libc6 "Container Runtime Interface Tools (the test bed's own)"

# Debian's plugins, where Kubernetes' package has them.
dpkg-deb -x "$DEBIAN"/containernetworking-plugins_*.deb "$TMP/cni"
mkdir -p "$TMP/tree/opt/cni"
cp -a "$TMP/cni/usr/lib/cni" "$TMP/tree/opt/cni/bin"
package kubernetes-cni 0.8.7-00 libc6 "Kubernetes CNI (Debian's plugins)"

index_packages "$OUT"

# Signed, as upstream's is, with a key of this build: machines may take it from Release.key.
export GNUPGHOME=$TMP/gnupg
mkdir -m 700 "$GNUPGHOME"
gpg --batch --quiet --passphrase '' --quick-generate-key "grappe test bed" ed25519 sign never
gpg --batch --quiet --armor --export > Release.key
gpg --batch --quiet --clearsign --output InRelease Release
gpg --batch --quiet --armor --detach-sign --output Release.gpg Release
