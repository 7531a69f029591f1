#!/bin/bash
# deb.sh ARCH FOLDER [VERSION]: makes the Debian package of the release that dist.sh put into FOLDER, in FOLDER; prints its path.
#
# What goes where is in Cargo.toml, [package.metadata.deb]; the maintainer scripts are in systemd/debian/. VERSION is that of the
# package if it shall be another one than the program's: a trial, a second package of the same program.
set -euo pipefail
export LC_ALL=C

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
arch=${1:?usage: deb.sh ARCH FOLDER [VERSION]} folder=$(realpath "${2:?usage: deb.sh ARCH FOLDER [VERSION]}") version=${3:-}
cargo_deb_version=3.8.0

cd "$root"
case $arch in
  x86_64) triple=x86_64-unknown-linux-gnu debian=amd64 ;;
  aarch64) triple=aarch64-unknown-linux-gnu debian=arm64 ;;
  *)
    printf "usage: deb.sh x86_64|aarch64 FOLDER [VERSION]\n" >&2
    exit 2
    ;;
esac
runner=()
if [[ $arch != "$(uname -m)" ]]; then runner=("qemu-$arch-static"); fi
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}

# --- what the program and the sources say of themselves
package=$root/dist/package
rm -rf "$package"
mkdir -p "$package/man"
install -m 755 "$folder/recocomp" "$package/recocomp"
install -m 644 "$folder/recocomp.cdx.json" "$package/recocomp.cdx.json"
"${runner[@]}" "$package/recocomp" man "$package/man"
gzip -n9 "$package"/man/*.1
for shell in bash zsh fish; do "${runner[@]}" "$package/recocomp" completions $shell >"$package/recocomp.$shell"; done
python3 cross/notices.py "$root" "$triple" systemd/debian/copyright "$package/copyright" >&2

# --- the package
tool=$(cross/tool.sh cargo-deb "$cargo_deb_version")
: "${version:=$(sed -nE 's/^version *= *"([^"]+)".*/\1/p' Cargo.toml | head -n 1)}"
deb=$folder/recocomp_${version}_$debian.deb
"$tool" --quiet --locked --no-build --no-strip --target "$triple" --deb-version "$version" --output "$deb" >&2
rm -rf "$package"
printf '%s\n' "$deb"
