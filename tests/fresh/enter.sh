#!/bin/bash
# enter.sh TREE: mounts what the chroot needs and goes in; to be called in mount and process namespaces of its own.
set -euo pipefail

tree=${1:?usage: enter.sh TREE}
# Nothing of what follows is to be seen outside.
mount --make-rprivate /
bind() { # FROM TO [OPTIONS]: FROM at TO in the chroot, read-only unless OPTIONS say otherwise
  mkdir -p "$tree$2"
  mount --bind "$1" "$tree$2"
  mount -o "remount,bind,${3:-ro}" "$tree$2"
}
mount -t proc proc "$tree/proc"
mount -t tmpfs -o mode=755 tmpfs "$tree/dev"
for device in null zero full random urandom tty; do
  touch "$tree/dev/$device"
  mount --bind "/dev/$device" "$tree/dev/$device"
done
mkdir "$tree/dev/pts" "$tree/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$tree/dev/pts"
mount -t tmpfs tmpfs "$tree/dev/shm"
ln -s pts/ptmx "$tree/dev/ptmx"
ln -s /proc/self/fd "$tree/dev/fd"
ln -s fd/0 "$tree/dev/stdin"
ln -s fd/1 "$tree/dev/stdout"
ln -s fd/2 "$tree/dev/stderr"
mount -t sysfs -o ro sysfs "$tree/sys" 2>/dev/null || true

bind "$RUST" /opt/rust
bind "$CRATES" /opt/crates/registry
# The network as this machine has it: names, certificates of its mirrors, pip's configuration.
# Never through a link of the chroot, which would lead to a file of this machine.
for file in /etc/resolv.conf /etc/hosts; do
  if [[ -e $file ]]; then cp -L --remove-destination "$file" "$tree$file"; fi
done
rm -rf "$tree/etc/ssl/certs"
cp -rL /etc/ssl/certs "$tree/etc/ssl/certs"
for file in /etc/pip.conf /etc/apt/apt.conf /etc/apt/apt.conf.d/*proxy*; do
  if [[ -e $file ]]; then cp -L --remove-destination "$file" "$tree$file"; fi
done
if [[ -d ${PIP_FIND_LINKS:-} ]]; then bind "$PIP_FIND_LINKS" "$PIP_FIND_LINKS"; fi

pass=()
while IFS= read -r name; do pass+=("$name=${!name}"); done < <(compgen -e | grep -E '^(PIP_|https?_proxy$|no_proxy$|HTTPS?_PROXY$|NO_PROXY$|JOBS$|FRESH_MINUTES$|DEBIAN_MIRROR$)' || true)
exec chroot "$tree" /usr/bin/env -i HOME=/root LANG=C.UTF-8 PATH=/opt/rust/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
  CARGO_HOME=/opt/crates CARGO_NET_OFFLINE=true "${pass[@]}" GOALS="$GOALS" DECOY="$DECOY" CHECKOUT="$CHECKOUT" /bin/bash /inside.sh
