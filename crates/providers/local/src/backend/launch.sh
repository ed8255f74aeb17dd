# launch.sh DIR NETNS CGROUP [OPTION...] PROGRAM [ARG...]: the outside of a machine. Becomes `unshare` with these options beside those for the
# mounts, and that the program: the machine, or the parent of its PID 1.
set -eu
dir=$1 netns=$2 cgroup=$3; shift 3
# Held by this process, not by the machine's own, as long as the machine lives: whether it runs is whether somebody holds the lock.
exec 9>>"$dir/lock"
flock -w 5 9
# Who it is: a pid and when that process started (field 22; what is in parentheses may hold blanks).
stat=$(cat /proc/$$/stat); stat=${stat##*) }
started() { shift 19; echo "$1"; }
printf '%s %s\n' $$ "$(started $stat)" > "$dir/pid.new"; mv "$dir/pid.new" "$dir/pid"
: > "$dir/booted"
for procs in /sys/fs/cgroup/"$cgroup"/cgroup.procs /sys/fs/cgroup/*/"$cgroup"/cgroup.procs; do
  [ ! -e "$procs" ] || echo $$ > "$procs"
done
exec nsenter --net="$netns" unshare --mount --propagation private "$@"
