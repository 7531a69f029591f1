#!/bin/bash
# run.sh [partition|file]: runs docs/guide/encrypted-data.md in a virtual machine with Debian; without an argument both of its ways.
#
# The commands are taken out of the guide, from the blocks marked <!-- test: NAME -->, so that it cannot say anything else than what is
# tested. Kernel, systemd, cryptsetup and qemu come from Debian packages, unpacked into the cache: nothing is installed. Needs
# no root. Works on amd64 with apt.
#
# RECOCOMP_ACCEL=kvm|tcg leaves out the trial of KVM; RECOCOMP_KEEP=1 keeps the disks and the consoles' texts.
set -euo pipefail
export LC_ALL=C

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
guide=$root/docs/guide/encrypted-data.md
cache=${RECOCOMP_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/recocomp}/encrypted-data
guest_packages=(bash bsdutils busybox-static coreutils cryptsetup-bin curl e2fsprogs findutils grep kmod linux-image-cloud-amd64 mount sed
  systemd udev util-linux)
qemu_packages=(qemu-system-x86)
libraries=lib/x86_64-linux-gnu
start_seconds=900

say() { printf '%s\n' "$*"; }
die() {
  printf '%s\n' "$*" >&2
  exit 1
}

# --- Debian packages, unpacked

fetch() { # NAME PACKAGE...: the packages and all they depend on, in $cache/NAME
  local name=$1 work=$cache/new package
  shift
  if [[ -e $cache/$name/complete ]]; then return; fi
  command -v apt-get >/dev/null || die 'There is no apt-get here to get the packages of the virtual machine with.'
  say "fetching $name from Debian, once: $*"
  rm -rf "$work" "${cache:?}/$name"
  mkdir -p "$work"/{lists/partial,cache/archives/partial,root}
  cat >"$work/apt.conf" <<CONF
APT::Architecture "amd64";
APT::Architectures { "amd64"; };
APT::Sandbox::User "";
APT::Install-Recommends "false";
Acquire::Languages "none";
Dir::State::lists "$work/lists";
Dir::State::status "/dev/null";
Dir::Cache "$work/cache";
CONF
  if ! {
    APT_CONFIG=$work/apt.conf apt-get update -q && APT_CONFIG=$work/apt.conf apt-get install -q -y --download-only "$@"
  } >"$cache/log" 2>&1; then
    tail -n 20 "$cache/log" >&2
    die 'The packages cannot be had.'
  fi
  for package in "$work"/cache/archives/*.deb; do dpkg-deb -x "$package" "$work/root"; done
  rm -rf "$work/root"/usr/share/{doc,man,locale,info,i18n,iso-codes,bash-completion,zoneinfo}
  touch "$work/root/complete"
  mv "$work/root" "$cache/$name"
  rm -rf "$work"
}
unpacked() { # NAME PROGRAM ARGUMENT...: runs a program from what was unpacked, with its own libraries
  local tree=$cache/$1 program=$2
  shift 2
  "$tree/$libraries/ld-linux-x86-64.so.2" --argv0 "${program##*/}" --library-path "$tree/$libraries:$tree/usr/$libraries" \
    "$tree/$program" "$@"
}
find_qemu() { # sets the command to start qemu
  if command -v qemu-system-x86_64 >/dev/null; then
    qemu=(qemu-system-x86_64)
  else
    fetch qemu "${qemu_packages[@]}"
    qemu=(env QEMU_MODULE_DIR="$cache/qemu/usr/$libraries/qemu"
      "$cache/qemu/$libraries/ld-linux-x86-64.so.2" --library-path "$cache/qemu/$libraries:$cache/qemu/usr/$libraries"
      "$cache/qemu/usr/bin/qemu-system-x86_64" -L "$cache/qemu/usr/share/qemu" -L "$cache/qemu/usr/share/seabios")
  fi
}

# --- the virtual machine

finish_root() { # what the packages' scripts would have done, as far as it is needed here
  local tree=$cache/guest tool
  if [[ -e $tree/finished ]]; then return; fi
  for tool in depmod modprobe; do ln -sf kmod "$tree/bin/$tool"; done # Debian's links are absolute
  unpacked guest bin/depmod -b "$tree" "$(kernel_version)"
  mkdir -p "$tree"/{etc,mnt,proc,sys,dev,run,tmp,test,var/{lib,log,tmp},usr/local/bin}
  ln -sf bash "$tree/bin/sh"
  printf 'root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/:/bin/false\n' >"$tree/etc/passwd"
  printf 'root:x:0:\ntty:x:5:\ndisk:x:6:\nnogroup:x:65534:\n' >"$tree/etc/group"
  # The daemon seals its journals to the device, of which this is the identity.
  printf '00112233445566778899aabbccddeeff\n' >"$tree/etc/machine-id"
  printf 'board\n' >"$tree/etc/hostname"
  printf '#!/bin/sh\nexec "$@"\n' >"$tree/usr/bin/sudo"
  chmod 755 "$tree/usr/bin/sudo"
  ln -sf "$(cd "$tree" && echo boot/vmlinuz-*)" "$tree/vmlinuz"
  touch "$tree/finished"
}
kernel_version() { basename "$cache"/guest/lib/modules/*; }

blocks() { # FOLDER: the marked blocks of the guide, a file each
  local name='' inside='' line
  while IFS= read -r line; do
    if [[ $inside && $line == '```' ]]; then
      name='' inside=''
    elif [[ $inside ]]; then
      printf '%s\n' "$line" >>"$1/$name.sh"
    elif [[ $line =~ ^'<!-- test: '([a-z]+)' -->'$ ]]; then
      name=${BASH_REMATCH[1]}
    elif [[ $name && $line == '```sh' ]]; then
      inside=yes
    fi
  done <"$guide"
  [[ ! $name ]] || die "$guide: the block $name does not end"
  for name in cipher format move boot check answer stick header remove; do
    [[ -s $1/$name.sh ]] || die "$guide has no block <!-- test: $name -->"
  done
}
# FOLDER: data with one enrolled person, whose name is the marker; not sealed. Made here: a translated processor takes minutes a face.
gallery() {
  local folder=$1 daemon address='' enrolled
  mkfifo "$work/daemon.out"
  "$binary" serve --development --listen 127.0.0.1:0 --config "$here/recocomp.toml" --data "$folder" \
    >"$work/daemon.out" 2>"$work/daemon.log" &
  daemon=$!
  read -r -t 60 address <"$work/daemon.out" || die "The daemon does not start here; see $work/daemon.log"
  address=${address##* }/api/v1/engine/recocomp
  curl -sf "$address/create/collection" -d '{"collection_name": "staff"}' >/dev/null
  enrolled=$(printf '{"collection_name": "staff", "target_id": ["%s"], "face_image": ["%s"]}' "$marker" \
    "$(base64 -w0 "$root/tests/pictures/astronaut.jpg")" | curl -sf "$address/face/insert" -d @-)
  kill "$daemon"
  wait "$daemon" || true
  [[ $enrolled == *'"success_num":1'* ]] || die "The face was not enrolled: $enrolled"
  grep -raqF "$marker" "$folder/gallery" || die 'The gallery is sealed: nothing could be searched for in it.'
}
initramfs() { # FILE: busybox, the drivers of the disks, and the files of this test, which init.sh lays over the root file system
  local tree=$work/initramfs module overlay
  overlay=$tree/overlay
  mkdir -p "$tree"/{bin,modules} "$overlay"/test/blocks "$overlay"/usr/local/bin "$overlay"/etc/systemd/system/multi-user.target.wants
  cp "$cache/guest/bin/busybox" "$tree/bin/busybox"
  cp "$here/init.sh" "$tree/init"
  unpacked guest bin/modprobe -d "$cache/guest" -S "$(kernel_version)" --show-depends -a virtio_pci virtio_blk |
    while read -r _ module _; do
      cp "$module" "$tree/modules/"
      basename "$module" >>"$tree/modules/order"
    done
  blocks "$overlay/test/blocks"
  cp "$here/guest.sh" "$overlay/test/"
  printf '%s\n' "$marker" >"$overlay/test/marker"
  cp "$binary" "$overlay/usr/local/bin/recocomp"
  gallery "$overlay/test/data"
  mkdir -p "$overlay/etc/recocomp"
  cp "$here/recocomp.toml" "$overlay/etc/recocomp/"
  cp "$here"/*.service "$overlay/etc/systemd/system/"
  ln -s ../recocomp.service ../test.service "$overlay/etc/systemd/system/multi-user.target.wants/"
  (cd "$tree" && find . | "$cache/guest/bin/busybox" cpio -o -H newc -R 0:0) >"$1" 2>/dev/null
}
kernel_starts() { # ACCELERATOR: does a kernel come up with it? Some virtual machines offer a KVM that cannot run it.
  local output
  output=$(timeout 15 "${qemu[@]}" -accel "$1" -cpu max -m 256 -nodefaults -display none -no-reboot -serial stdio \
    -kernel "$cache/guest/vmlinuz" -append 'console=ttyS0 panic=-1' 2>&1 || true)
  [[ $output == *'Linux version'* ]]
}
choose_accelerator() {
  accelerator=${RECOCOMP_ACCEL:-tcg}
  if [[ ! ${RECOCOMP_ACCEL:-} && -w /dev/kvm ]]; then
    if kernel_starts kvm; then accelerator=kvm; else say '/dev/kvm is there, but no Debian kernel starts with it'; fi
  fi
  if [[ $accelerator == kvm ]]; then say 'with KVM'; else say 'without KVM: qemu translates, which takes some minutes'; fi
}
start() { # STAGE [DISK]...: one life of the virtual machine, from its start to its power-off
  local stage=$1 result=$work/$1.result begun=$SECONDS disk drives=()
  shift
  for disk in "$work/root.img" "$@"; do drives+=(-drive "if=virtio,format=raw,file=$disk"); done
  printf '\n== %s: start with %s\n' "$stage" "$(cd "$work" && echo "${@##*/}")"
  "${qemu[@]}" -accel "$accelerator" -cpu max -smp 2 -m 1024 -nodefaults -display none -no-reboot \
    -kernel "$cache/guest/vmlinuz" -initrd "$work/initramfs.img" \
    -append "console=ttyS0 quiet panic=-1 mitigations=off recocomp.stage=$stage recocomp.part=$part" \
    -serial "file:$work/$stage.console" -serial "file:$result" "${drives[@]}" &
  machine=$!
  while kill -0 "$machine" 2>/dev/null; do
    if ((SECONDS - begun > start_seconds)); then
      kill "$machine"
      break
    fi
    sleep 1
  done
  wait "$machine" || true
  machine=''
  tr -d '\r' <"$result" || true
  if ! grep -q "^passed: $stage" "$result"; then
    tail -n 30 "$work/$stage.console" >&2 || true
    die "The stage $stage failed after $((SECONDS - begun)) s; see $work/$stage.{result,console}"
  fi
  say "$((SECONDS - begun)) s"
}

# --- the disks, seen from outside

holds() { grep -aqF -e "$1" "$2"; } # TEXT FILE
look_at() { # IMAGE: what a thief finds
  local image=$1
  if [[ $part != /dev/* ]]; then
    image=$work/luks.img
    unpacked guest sbin/debugfs -R "dump $part $image" "$work/root.img" 2>/dev/null
  fi
  [[ $(head -c 6 "$image" | od -An -tx1) == ' 4c 55 4b 53 ba be' ]] || die 'The encrypted image has no LUKS header.'
  say 'ok: the image has a LUKS header'
  holds "$marker" "$work/root.img" || die 'The search does not even find the person in the plain copy.'
  say 'ok: the enrolled person is found in the plain copy beside it'
  if holds "$marker" "$image"; then die 'The encrypted image shows the enrolled person.'; fi
  say 'ok: and not in the image'
}

way() { # partition|file
  work=$cache/work-$1
  rm -rf "$work"
  mkdir -p "$work"
  marker=plain-$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
  printf '\n==== %s\n' "$1"
  initramfs "$work/initramfs.img"
  truncate -s 1G "$work/root.img"
  MKE2FS_CONFIG=$cache/guest/etc/mke2fs.conf unpacked guest sbin/mke2fs -q -t ext4 -E root_owner=0:0 -d "$cache/guest" "$work/root.img"
  truncate -s 16M "$work/stick.img"
  if [[ $1 == partition ]]; then
    part=/dev/vdb
    truncate -s 128M "$work/data.img"
  else
    part=/var/lib/recocomp.luks
    truncate -s 1M "$work/data.img" # not used; keeps the stick /dev/vdc
  fi
  start install "$work/data.img"
  look_at "$work/data.img"
  start passphrase "$work/data.img" "$work/stick.img"
  look_at "$work/data.img"
  if [[ $1 == partition ]]; then # from here on a file is no different
    start stick "$work/data.img" "$work/stick.img"
    look_at "$work/data.img"
    start remove "$work/data.img"
  fi
  if [[ ! ${RECOCOMP_KEEP:-} ]]; then rm -rf "$work"; fi
}

[[ $(dpkg --print-architecture 2>/dev/null) == amd64 ]] || die 'This test needs Debian or Ubuntu on amd64.'
binary=${RECOCOMP_BIN:-$root/target/x86_64-unknown-linux-gnu/release/recocomp}
[[ -x $binary ]] || die 'There is no recocomp binary: run make build or set RECOCOMP_BIN.'
machine='' accelerator=''
trap 'if [[ $machine ]]; then kill "$machine"; fi' EXIT
mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
fetch guest "${guest_packages[@]}"
find_qemu
finish_root
choose_accelerator
for each in "${@:-partition file}"; do
  for one in $each; do way "$one"; done
done
printf '\nall passed, %d s\n' "$SECONDS"
