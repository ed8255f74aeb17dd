# The machine's own Debian sources, those of source packages too, and their lists.
mkdir -p "$OUT/sources.list.d" "$OUT/lists/partial"
if [ -e /etc/apt/sources.list.d/debian.sources ]; then
  sed 's/^Types:.*/Types: deb deb-src/' /etc/apt/sources.list.d/debian.sources > "$OUT/sources.list.d/debian.sources"
  sed 's/^Types:.*/Types: deb/' /etc/apt/sources.list.d/debian.sources > "$OUT/binary"
elif [ -e /etc/apt/sources.list ]; then
  grep '^deb .*bookworm' /etc/apt/sources.list | grep -v '^deb cdrom' > "$OUT/binary"
  sed 'p; s/^deb /deb-src /' "$OUT/binary" > "$OUT/sources.list.d/debian.list"
else
  echo "neither /etc/apt/sources.list.d/debian.sources nor /etc/apt/sources.list says where Debian 12 comes from" >&2
  exit 1
fi
APT=$OUT private_apt get update
