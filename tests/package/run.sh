#!/bin/bash
# run.sh: the newest arm64 package of dist/ through its life in a Debian under qemu-user; what is looked at is in lifecycle.py.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
cd "$root"
cross/setup.sh aarch64
cross/setup.sh package
release=$(dirname "$(cross/newest_dist.sh aarch64)")
if [[ $release != */trial/* ]]; then
  printf 'The package of dist/ believes the vendor alone, and the test needs a license: make dist-trial\n' >&2
  exit 1
fi
tree=$("$here/root.sh")
python=$(cross/venv.sh tests/requirements.txt)
work=$(mktemp -d)
# What other users of the namespace made is root's to remove.
trap 'rm -rf "$work"' EXIT

cp -a "$tree" "$work/root"
mkdir "$work/root/packages"
cp "$release"/*~trial_arm64.deb "$work/root/packages/first.deb"
# The same program as a newer package.
version=$(dpkg-deb --field "$work/root/packages/first.deb" Version)
cp "$(cross/deb.sh aarch64 "$release" "${version}2")" "$work/root/packages/second.deb"
rm -f "$release"/*"${version}2"_arm64.deb
"$here/enter.sh" "$python" "$here/lifecycle.py" "$work/root" dist/trial/vendor.key
