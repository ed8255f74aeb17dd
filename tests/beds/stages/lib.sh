# What every stage's script begins with. The runner (src/stage.rs) sets OUT (the product to make), TMP (gone afterwards), FILES (the
# stage's own files), CACHE (kept between builds), and for each stage that is needed its product, under its name in capitals.
umask 022
export LC_ALL=C.UTF-8 HOME=$TMP DEBIAN_FRONTEND=noninteractive

# apt with configuration, lists and cache apart from the machine's, which stay as they are: `private_apt get …` is `apt-get …`.
private_apt() {
  local program=$1; shift
  mkdir -p "$TMP"/apt/{state,cache/archives/partial}
  [ -e "$TMP/apt/status" ] || : > "$TMP/apt/status"
  cat > "$TMP/apt/apt.conf" <<C
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "$APT/sources.list.d";
Dir::State "$TMP/apt/state";
Dir::State::lists "$APT/lists";
Dir::State::status "$TMP/apt/status";
Dir::Cache "$TMP/apt/cache";
Acquire::Languages "none";
APT::Sandbox::User "root";
C
  APT_CONFIG=$TMP/apt/apt.conf "apt-$program" "$@"
}

# The folder of packages $1 becomes an apt repository.
index_packages() {
  cd "$1"
  dpkg-scanpackages -m . > Packages
  {
    printf 'Origin: %s\nDate: %s\nSHA256:\n' "grappe test bed" "$(date -u '+%a, %d %b %Y %T UTC')"
    printf ' %s %s Packages\n' "$(sha256sum < Packages | cut -d' ' -f1)" "$(stat -c %s Packages)"
  } > Release
}
