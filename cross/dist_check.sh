#!/bin/bash
# dist_check.sh ARCH...: builds the newest release of each ARCH in dist/ a second time and compares the bytes of program, bill of
# materials and Debian packages.
#
# Cold, and elsewhere: a clone of the commit under another path, another target folder, another cargo home. The TensorFlow Lite
# runtime is the one of the cache; it is the same archive, byte for byte, wherever it is built (docs/design/runtime.md).
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
if [[ $(git status --porcelain --untracked-files=no) ]]; then
  printf 'there are changes that are not committed: the clone would not have them\n' >&2
  exit 1
fi
work=$(mktemp -d)
mkdir "$work/elsewhere"
trap 'rm -rf "$work"' EXIT
git clone --quiet --no-hardlinks "$root" "$work/elsewhere/recocomp"
failed=''
for arch in "$@"; do
  first=$(dirname "$(cross/newest_dist.sh "$arch")")
  if [[ $first == */trial/* ]]; then RECOCOMP_VENDOR_KEYS=$(cross/trial_key.sh dist/trial/vendor.key); fi
  export RECOCOMP_VENDOR_KEYS=${RECOCOMP_VENDOR_KEYS:?the keys that the release in dist/ was built with}
  # The crates come from the cache of this user, under another name for the compiler.
  mkdir -p "$work/cargo"
  for part in config.toml registry git; do
    if [[ -e ${CARGO_HOME:-$HOME/.cargo}/$part ]]; then ln -sfn "${CARGO_HOME:-$HOME/.cargo}/$part" "$work/cargo/$part"; fi
  done
  (cd "$work/elsewhere/recocomp" && CARGO_HOME=$work/cargo DIST_TARGET=$work/target cross/dist.sh "$arch" "$work/$arch")
  files=(recocomp recocomp.cdx.json)
  for package in "$first"/*.deb; do
    if [[ ! -e $package ]]; then
      printf 'there is no package in %s: make dist, or make dist-trial\n' "$first" >&2
      exit 1
    fi
    files+=("${package##*/}")
    version=$(dpkg-deb --field "$package" Version)
    (cd "$work/elsewhere/recocomp" && CARGO_HOME=$work/cargo cross/deb.sh "$arch" "$work/$arch" "$version" >/dev/null)
  done
  for file in "${files[@]}"; do
    if cmp "$first/$file" "$work/$arch/$file"; then
      printf '%s  %s: the same twice\n' "$(sha256sum <"$first/$file" | cut -d ' ' -f 1)" "$arch/$file"
    else
      failed=yes
    fi
  done
done
[[ ! $failed ]]
