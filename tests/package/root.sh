#!/bin/bash
# root.sh: prints the folder of a small Debian for 64-bit ARM with systemd, made by debootstrap into the cache on first use (minutes).
set -euo pipefail
export LC_ALL=C

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${RECOCOMP_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/recocomp}/debian-arm64
suite=bookworm
tree=$cache/$suite
# shellcheck source=cross/lib/debian.sh
. "$here/../../cross/lib/debian.sh"

second_stage() { # in the namespace: what the packages' own scripts do
  mkdir -p "$tree/dev"
  mount -t tmpfs tmpfs "$tree/dev"
  local device
  for device in null zero full random urandom tty console; do
    touch "$tree/dev/$device"
    if [[ -e /dev/$device ]]; then mount --bind "/dev/$device" "$tree/dev/$device"; fi
  done
  mkdir "$tree/dev/pts" "$tree/dev/shm"
  ln -s pts/ptmx "$tree/dev/ptmx"
  mount -t proc proc "$tree/proc"
  DEBIAN_FRONTEND=noninteractive chroot "$tree" /debootstrap/debootstrap --second-stage
}
if [[ ${1:-} == --second-stage ]]; then
  second_stage
  exit
fi

if [[ ! -e $tree.complete ]]; then
  mkdir -p "$cache"
  exec 9>"$cache/lock"
  flock 9
fi
if [[ ! -e $tree.complete ]]; then
  command -v debootstrap >/dev/null || {
    printf 'debootstrap is not installed: cross/setup.sh package\n' >&2
    exit 1
  }
  printf 'making a Debian for 64-bit ARM under qemu-user, once (4 minutes)\n' >&2
  rm -rf "$tree"
  log=$cache/log
  use_apt_proxy
  mirror=$(debian_mirrors debian | head -n 1)
  if [[ -z $mirror ]]; then
    printf "apt's configuration names no mirror of Debian to make it from\n" >&2
    exit 1
  fi
  if ! {
    debootstrap --foreign --arch=arm64 --variant=minbase --include=systemd,init-system-helpers "$suite" "$tree" \
      "$mirror" && "$here/enter.sh" "$here/root.sh" --second-stage
  } >"$log" 2>&1 || [[ -e $tree/debootstrap ]]; then
    tail -n 20 "$log" >&2
    printf 'debootstrap failed, its log is %s\n' "$log" >&2
    exit 1
  fi
  rm -rf "$tree"/var/cache/apt/archives/*.deb
  touch "$tree.complete"
fi
printf '%s\n' "$tree"
