# The root with all packages unpacked, not configured: images take their files from here.
tar -C "$OUT" --numeric-owner -xpf "$ROOT/root.tar"
for package in "$DEBIAN"/*.deb; do
  dpkg-deb --fsys-tarfile "$package" | tar -C "$OUT" -x --keep-directory-symlink
done
