# nat.sh DIR NETNS: the way out of a network. Becomes slirp4netns, which holds DIR/nat.lock as long as it lives.
set -eu
exec 9>>"$1/nat.lock"
flock -n 9 || exit 0   # another one does it
stat=$(cat /proc/$$/stat); stat=${stat##*) }
started() { shift 19; echo "$1"; }
printf '%s %s\n' $$ "$(started $stat)" > "$1/nat.pid.new"; mv "$1/nat.pid.new" "$1/nat.pid"
exec slirp4netns --configure --mtu=65520 --disable-host-loopback --netns-type=path "$2" tap0
