#!/bin/bash
# places.sh cache | cargo-home: where this user can write.
#
#   cache         the cache of runtime, Python environments and tools: RECOCOMP_CACHE, or where such things belong; with a home that can
#                 only be read, a folder of one's own in /var/tmp
#   cargo-home    nothing if cargo can use its own; otherwise one in the cache, with the crates that are there already
set -euo pipefail

writable() { # FOLDER: can it be written to, or made?
  local folder=$1
  while [[ ! -e $folder && $folder == */* ]]; do folder=${folder%/*}; done
  [[ -d ${folder:-/} && -w ${folder:-/} ]]
}

cache() {
  local usual=${XDG_CACHE_HOME:-${HOME:-/nowhere}/.cache}/recocomp
  if [[ ${RECOCOMP_CACHE:-} ]]; then
    printf '%s\n' "$RECOCOMP_CACHE"
  elif writable "$usual"; then
    printf '%s\n' "$usual"
  else
    local own=/var/tmp/recocomp-cache-$UID
    mkdir -p -m 700 "$own"
    # Somebody else's would have us build what they put there.
    if [[ ! -O $own || -L $own ]]; then
      printf '%s is not writable, and %s is not yours: set RECOCOMP_CACHE to a folder for what is built once\n' "$usual" "$own" >&2
      exit 1
    fi
    printf '%s\n' "$own"
  fi
}

cargo_home() {
  local home=${CARGO_HOME:-${HOME:-/nowhere}/.cargo} own part
  if writable "$home" && { [[ ! -e $home/registry ]] || writable "$home/registry"; }; then return; fi
  own=$(cache)/cargo
  mkdir -p "$own/registry"
  for part in config config.toml; do
    if [[ -e $home/$part ]]; then ln -sfn "$home/$part" "$own/$part"; fi
  done
  # The archives stay where they are; the index is written to, and what is unpacked goes here.
  if [[ -d $home/registry/cache ]]; then cp -rsf "$home/registry/cache" "$own/registry/"; fi
  if [[ -d $home/registry/index ]]; then cp -r --update "$home/registry/index" "$own/registry/"; fi
  printf '%s\n' "$own"
}

case ${1:-} in
  cache) cache ;;
  cargo-home) cargo_home ;;
  *)
    printf 'usage: places.sh cache|cargo-home\n' >&2
    exit 2
    ;;
esac
