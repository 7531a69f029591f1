#!/bin/bash
# run.sh: `make run` and `make test` where nothing is set up: minimal Debians in a chroot with git, make, Rust and the crates of this
# machine, which can only be read. apt and pip use the mirrors that this machine is configured with.
#
#   FRESH         Debians                                        (default: bookworm trixie)
#   DECOYS        0: nothing else is there; 1: half of what is needed, see decoys.sh   (default: 0 1)
#   FRESH_GOALS   setup: the tools are found or installed; run: the daemon answers; test: make test   (default: run test)
#   FRESH_MINUTES how long the daemon of `make run` may take to answer   (default: 90)
#   JOBS          as everywhere
#
# Takes hours. Everything is mounted in a namespace of its own, which ends with this script, however it ends.
set -euo pipefail
export LC_ALL=C

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
# shellcheck source=cross/lib/debian.sh
. "$root/cross/lib/debian.sh"
cache=$("$root/cross/lib/places.sh" cache)/debian-fresh
cargo_home=${CARGO_HOME:-$HOME/.cargo}
read -r -a debians <<<"${FRESH:-bookworm trixie}"
read -r -a decoys <<<"${DECOYS:-0 1}"
goals=${FRESH_GOALS:-run test}

die() {
  printf '%s\n' "$@" >&2
  exit 1
}

((EUID == 0)) || die 'A chroot needs root: sudo make test-fresh'
command -v debootstrap >/dev/null || die 'debootstrap is not installed: cross/setup.sh package'
unshare --mount --pid --fork --kill-child true 2>/dev/null ||
  die "This root may not make namespaces (unshare: $(unshare --mount --pid --fork true 2>&1)), which keep the chroot's mounts apart"
for debian in "${debians[@]}"; do
  case $debian in bookworm | trixie) ;; *) die "FRESH: bookworm and trixie are known, not $debian" ;; esac
done
for decoy in "${decoys[@]}"; do
  case $decoy in 0 | 1) ;; *) die "DECOYS is 0, 1 or both, not $decoy" ;; esac
done
for goal in $goals; do
  case $goal in setup | run | test) ;; *) die "FRESH_GOALS: setup, run and test are known, not $goal" ;; esac
done
if [[ $(git -C "$root" status --porcelain --untracked-files=no) ]]; then
  printf 'note: there are changes that are not committed; the clone in the chroot does not have them\n' >&2
fi
mkdir -p "$cache"

# --- the crates, of the product and of the fuzz targets
printf 'crates\n'
for manifest in Cargo.toml fuzz/Cargo.toml; do
  (cd "$root" && cargo fetch --quiet --locked --manifest-path "$manifest") || die "cargo fetch for $manifest failed"
done

base() { # DEBIAN: makes the minimal Debian, once; sets tree
  tree=$cache/$1
  [[ ! -e $tree.complete ]] || return 0
  printf '%s: debootstrap, once\n' "$1"
  rm -rf "$tree"
  use_apt_proxy
  local mirror script=/usr/share/debootstrap/scripts/$1
  mirror=$(debian_mirrors debian | head -n 1)
  [[ $mirror ]] || die "apt's configuration names no mirror of Debian to make it from"
  # An older debootstrap does not know the newer Debian by name.
  if [[ ! -e $script ]]; then script=/usr/share/debootstrap/scripts/sid; fi
  if ! debootstrap --variant=minbase --include=git,make,ca-certificates "$1" "$tree" "$mirror" "$script" >"$cache/$1.log" 2>&1; then
    tail -n 20 "$cache/$1.log" >&2
    die "debootstrap failed, its log is $cache/$1.log"
  fi
  rm -rf "$tree"/var/cache/apt/archives/*.deb
  touch "$tree.complete"
}

try() { # DEBIAN DECOY: a copy of the Debian with a clone of this checkout; what is asked of it is in inside.sh
  local checkout=/srv/recocomp tree work status=0
  if (($2)); then checkout='/srv/Prüf stand/recocomp'; fi
  base "$1"
  work=$(mktemp -d "${TMPDIR:-/var/tmp}/recocomp-fresh.XXXXXX")
  cp -a "$tree" "$work/root"
  mkdir -p "$work/root${checkout%/*}"
  git clone --quiet --no-hardlinks "$root" "$work/root$checkout"
  cp "$here/inside.sh" "$here/decoys.sh" "$work/root/"
  RUST=$(rustc --print sysroot) CRATES=$cargo_home/registry GOALS=$goals DECOY=$2 CHECKOUT=$checkout \
    unshare --mount --pid --fork --kill-child "$here/enter.sh" "$work/root" || status=$?
  # The mounts have ended with their namespace: what is left is the copy, on one file system.
  rm -rf --one-file-system "$work"
  return "$status"
}

failed=''
for debian in "${debians[@]}"; do
  for decoy in "${decoys[@]}"; do
    name="$debian$( ((decoy)) && echo ' with decoys' || true)"
    printf '\n=== %s: %s\n' "$name" "$goals"
    started=$SECONDS
    if try "$debian" "$decoy"; then
      printf '=== %s: passed in %d min\n' "$name" $(((SECONDS - started) / 60))
    else
      printf '=== %s: FAILED after %d min\n' "$name" $(((SECONDS - started) / 60))
      failed+=" $name;"
    fi
  done
done
[[ ! $failed ]] || die "failed:$failed"
