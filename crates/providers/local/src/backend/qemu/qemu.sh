# qemu.sh DIR IMAGE SIZE QEMU [ARG...]: a virtual machine. Makes its disk, where it has none yet, and becomes QEMU.
set -eu
dir=$1 image=$2 size=$3; shift 3
if [ ! -e "$dir/disk" ]; then
  bare=$dir/bare root=$dir/root
  mkdir -p "$bare" "$root"
  mount -t tmpfs -o mode=755 tmpfs "$bare"
  # Such a node says to an overlay that in the layers below there is nothing of that name.
  while read -r path; do
    mkdir -p "$bare/${path%/*}"
    mknod "$bare/$path" c 0 0
  done < "$dir/bared"
  mount -t overlay -o "ro,lowerdir=$bare:$dir/upper:$image" overlay "$root"
  make() { rm -f "$dir/disk.new"; mke2fs -q -t ext4 "$@" -d "$root" "$dir/disk.new" "$size"; }
  # A new file is zeros already; before 1.47 mke2fs can't be told, and the machine writes them again.
  make -E assume_storage_prezeroed=1 2>/dev/null || make
  umount "$root" "$bare"
  mv "$dir/disk.new" "$dir/disk"
fi
exec "$@"
