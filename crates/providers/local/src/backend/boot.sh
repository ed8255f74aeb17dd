# boot.sh DIR IMAGE [TMPFS...]: PID 1 of the new namespaces. Lays the root over the image, enters it, becomes its /sbin/init.
set -eu
exec 9>&-   # the lock is the outer process's
exec 8>"$1/booted"
dir=$1 image=$2 root=$1/root; shift 2   # left: TMPFS...
mkdir -p "$dir/upper" "$dir/work" "$root"
mount -t overlay overlay -o "lowerdir=$image,upperdir=$dir/upper,workdir=$dir/work" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
# Device nodes of its own: were they bound from outside, a package's script that changes one's mode or owner would do so to this computer's.
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
while read -r name major minor; do mknod -m 666 "$root/dev/$name" c "$major" "$minor"; done <<L
null 1 3
zero 1 5
full 1 7
random 1 8
urandom 1 9
tty 5 0
kmsg 1 11
fuse 10 229
L
mkdir -p "$root/dev/pts" "$root/dev/shm" "$root/dev/net" "$root/dev/mqueue"
mknod -m 666 "$root/dev/net/tun" c 10 200
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts "$root/dev/pts"
mount -t tmpfs tmpfs "$root/dev/shm"
mount -t mqueue mqueue "$root/dev/mqueue"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
ln -s /proc/self/fd/0 "$root/dev/stdin"; ln -s /proc/self/fd/1 "$root/dev/stdout"; ln -s /proc/self/fd/2 "$root/dev/stderr"
: > "$root/dev/console"; mount --bind "$root/dev/null" "$root/dev/console"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
# Cgroups mounted afresh inside the cgroup namespace: the machine sees its own subtree as the whole, and may write it.
if [ -f /sys/fs/cgroup/cgroup.controllers ]; then
  mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
else
  mount -t tmpfs -o mode=755 tmpfs "$root/sys/fs/cgroup"
  for path in /sys/fs/cgroup/*; do
    c=${path##*/}
    if [ -L "$path" ]; then cp -P "$path" "$root/sys/fs/cgroup/"; continue; fi
    mkdir "$root/sys/fs/cgroup/$c"
    case $c in
      unified) mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup/$c" ;;
      systemd) mount -t cgroup -o none,name=systemd cgroup "$root/sys/fs/cgroup/$c" ;;
      *) mount -t cgroup -o "$c" cgroup "$root/sys/fs/cgroup/$c" ;;
    esac
  done
fi
. "$dir/sysctls.sh"
# A container runtime needs a real file system: an overlay on an overlay is refused. etcd does without the overlay's detour too.
for p in containerd kubelet etcd; do
  mkdir -p "$dir/lib/$p"; mkdir -p "$root/var/lib/$p"
  mount --bind "$dir/lib/$p" "$root/var/lib/$p"
done
cd "$root"; mkdir -p .outside; mount --make-rprivate /; pivot_root . .outside
umount -l /.outside; rmdir /.outside || true
# From here on paths are the machine's: a link in its image leads nowhere else.
for p in "$@"; do mkdir -p "$p"; mount -t tmpfs -o mode=755 tmpfs "$p"; done
mount --make-rshared /   # kubelet, and the propagation of mounts
echo booted >&8; exec 8>&-
exec env -i container=grappe PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin /sbin/init
