#!/bin/bash
# tool.sh CRATE VERSION: prints the path of a tool from crates.io, compiled on first use (minutes) into the cache.
set -euo pipefail

crate=${1:?usage: tool.sh CRATE VERSION} version=${2:?usage: tool.sh CRATE VERSION}
place=${RECOCOMP_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/recocomp}/tools/$crate-$version

if [[ ! -x $place/bin/$crate ]]; then
  printf 'compiling %s %s, once\n' "$crate" "$version" >&2
  # Away from here: the configuration of this checkout is not meant for it.
  (cd / && unset RUSTC RUSTFLAGS CARGO_TARGET_DIR && cargo install --quiet --locked --root "$place" "$crate@$version" >&2)
fi
printf '%s\n' "$place/bin/$crate"
