#!/bin/bash
# enter.sh COMMAND...: runs COMMAND as the root of a user, mount and process namespace of its own in which ARM programs run by qemu-user.
#
# Linux 6.7 and newer keep the table of interpreters (binfmt_misc) for each user namespace, so nothing of this machine changes and
# whatever is started or mounted inside ends with it. On older kernels the table of the machine is used, if it knows ARM programs.
set -euo pipefail

here=$(realpath "${BASH_SOURCE[0]}")
if [[ ${1:-} == --inside ]]; then
  shift
  mount -t proc proc /proc
  if mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc 2>/dev/null; then
    # The head of an ELF file for aarch64; F: the emulator is opened now, so it needs not lie in the chroot.
    printf '%s' ':qemu-aarch64:M::\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00:\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:/usr/bin/qemu-aarch64-static:F' \
      >/proc/sys/fs/binfmt_misc/register
  fi
  export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin
  exec "$@"
fi

if ((EUID != 0)); then
  printf 'This needs root, for a Debian with more than one user in it: sudo %s\n' "$*" >&2
  exit 1
fi
pipes=$(mktemp -d)
trap 'rm -rf "$pipes"' EXIT
mkfifo "$pipes/ready" "$pipes/go"
# The maps can be written from outside alone.
# shellcheck disable=SC2016
unshare --user bash -c 'echo $$ >"$0/ready" && read -r _ <"$0/go" && exec unshare --mount --pid --fork --kill-child "$@"' \
  "$pipes" bash "$here" --inside "$@" &
read -r inside <"$pipes/ready"
printf '0 0 65536\n' >"/proc/$inside/uid_map"
printf '0 0 65536\n' >"/proc/$inside/gid_map"
echo >"$pipes/go"
wait $!
