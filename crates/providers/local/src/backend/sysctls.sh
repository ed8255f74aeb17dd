# Lays a machine's sysctls below $root, the root that it is about to enter (empty where it has).
# Those outside of net are this computer's: read-only here (systemd would raise fs.file-max for all), with the values that kubelet would write laid over them.
for d in "$root"/proc/sys/*; do
  [ "${d##*/}" != net ] || continue
  mount --bind "$d" "$d"; mount -o remount,bind,ro "$d"
done
mkdir "$root/run/sysctl"
while read -r key value; do
  name=$(echo "$key" | tr / .)
  echo "$value" > "$root/run/sysctl/$name"; mount --bind "$root/run/sysctl/$name" "$root/proc/sys/$key"
done <<L
vm/overcommit_memory 1
vm/panic_on_oom 0
kernel/panic 10
kernel/panic_on_oops 1
kernel/keys/root_maxkeys 1000000
kernel/keys/root_maxbytes 25000000
L
