#!/bin/bash
# v1.sh: prints the path of the program of V1.0.0, with the development key, built from the history on first use.
#
# Tests give it the files that this tree writes. The build is a cheap one, since nobody measures it, and lies in the cache.
set -euo pipefail

commit=d84cc87
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${RECOCOMP_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/recocomp}/v1.0.0
arch=$(uname -m)
program=$cache/recocomp-$arch

if [[ ! -x $program ]]; then
  if ! git -C "$root" cat-file -e "$commit^{commit}" 2>/dev/null; then
    printf '%s\n' "the history here lacks commit $commit, V1.0.0, so its program cannot be built;" \
      'fetch it: git fetch --unshallow (CI: check out with the whole history)' >&2
    exit 1
  fi
  if [[ ! -e $root/.runtime ]]; then
    printf '%s\n' 'the TensorFlow Lite runtime is not here: run make setup first' >&2
    exit 1
  fi
  mkdir -p "$cache"
  exec 9>"$cache/lock"
  flock 9
  if [[ ! -x $program ]]; then
    printf 'building V1.0.0 from commit %s, once (minutes)\n' "$commit" >&2
    rm -rf "$cache/source"
    mkdir -p "$cache/source"
    git -C "$root" archive "$commit" | tar -x -C "$cache/source"
    cp -a "$root/.runtime" "$cache/source/.runtime"
    (
      cd "$cache/source"
      export CARGO_TARGET_DIR=$cache/target
      export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16
      cargo build --quiet --release --features development-key --bin recocomp >&2
    )
    built=$(find "$cache/target" -path '*/release/recocomp' -type f | head -n 1)
    cp "$built" "$program.new"
    mv "$program.new" "$program"
    rm -rf "$cache/source" "$cache/target"
  fi
fi
printf '%s\n' "$program"
