# Debian's packages that machines install, and those whose files go into images: what they need beyond the root.
tar -xOf "$ROOT/root.tar" ./var/lib/dpkg/status > "$TMP/status"
mkdir -p "$TMP/apt" "$OUT/partial"
mv "$TMP/status" "$TMP/apt/status"
private_apt get -o Dir::Cache::archives="$OUT" -y --no-install-recommends --download-only install $PACKAGES
rm -rf "$OUT/partial" "$OUT/lock"
index_packages "$OUT"
