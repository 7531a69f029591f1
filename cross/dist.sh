#!/bin/bash
# dist.sh ARCH FOLDER: builds the release for ARCH (x86_64 | aarch64) and puts into FOLDER
#
#   recocomp                the program: static, stripped, the models inside, without development key
#   recocomp.cdx.json       its bill of materials (CycloneDX 1.5): crates, the sources of the C++ runtime, models
#
#   RECOCOMP_VENDOR_KEYS    public keys of the vendor; without them no license would ever be believed, so there is no build
#   SOURCE_DATE_EPOCH       the build's time, seconds since 1970       (default: that of the commit)
#   DIST_TARGET             folder for cargo                           (default: target/dist)
#
# The same commit, keys, time and compilers give the same bytes, wherever the checkout and the caches lie; `make dist-check` proves it.
set -euo pipefail
export LC_ALL=C

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
arch=${1:-} folder=${2:-}
cyclonedx_version=0.5.9

die() {
  printf '%s\n' "$@" >&2
  exit 1
}

case $arch in
  x86_64 | aarch64) triple=$arch-unknown-linux-gnu compiler=gcc ;;
  *) die 'usage: dist.sh x86_64|aarch64 FOLDER' ;;
esac
[[ $folder ]] || die 'usage: dist.sh x86_64|aarch64 FOLDER'
if [[ ! ${RECOCOMP_VENDOR_KEYS:-} ]]; then
  die 'RECOCOMP_VENDOR_KEYS is not set: a release believes only licenses that are signed with the keys it was built with.' \
    'Give the public key of the vendor (docs/guide/release.md), or try it with a throw-away key: make dist-trial'
fi
if [[ $arch != "$(uname -m)" ]]; then compiler=$arch-linux-gnu-gcc; fi
cd "$root"
if [[ ! ${SOURCE_DATE_EPOCH:-} ]]; then
  SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null) || die 'This is no git checkout: set SOURCE_DATE_EPOCH to the time of the release.'
fi
export SOURCE_DATE_EPOCH RECOCOMP_VENDOR_KEYS
if [[ $(git status --porcelain --untracked-files=no 2>/dev/null) ]]; then
  printf 'note: there are changes that are not committed; nobody else can build this release again\n' >&2
fi

cross/setup.sh "$arch"
cross/runtime.sh "$arch"
if [[ $arch != "$(uname -m)" ]]; then RUSTC=$(cross/rust.sh "$arch"); else RUSTC=$(command -v rustc); fi
export RUSTC
# What the environment might add to the flags of .cargo/config.toml, or put in their place.
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_RUSTFLAGS

# --- the program: panics name source files, so every folder of this machine gets the same name everywhere
target=${DIST_TARGET:-$root/target/dist}
cargo_home=${CARGO_HOME:-$HOME/.cargo}
flags=''
for pair in "$root=/recocomp" "$target=/target" "$cargo_home=/cargo" "$("$RUSTC" --print sysroot)=/rust"; do
  flags+="\"--remap-path-prefix=$pair\","
done
CARGO_TARGET_DIR=$target CARGO_INCREMENTAL=0 cargo build --locked --profile dist --no-default-features --bin recocomp \
  --target "$triple" --config "target.$triple.rustflags=[$flags]"
built=$target/$triple/dist/recocomp
binary=$built.stripped
# Not every rustc strips what it links for another processor, whatever the profile says.
"${compiler%gcc}strip" --strip-all -o "$binary" "$built"

# --- what was asked for
kind=$(file -b "$binary")
[[ $kind == *static-pie* && $kind != *'not stripped'* ]] || die "$binary is not static-pie and stripped: $kind"
bytes=$(stat -c %s "$binary")
((bytes <= 20 * 1024 * 1024)) || die "$binary has $bytes bytes, the limit is 20 MiB"
if grep -qaF -e "$root" -e "$cargo_home/registry" -e "$target" "$binary"; then
  die "$binary contains a path of this machine: $(grep -aoF -m 1 -e "$root" -e "$cargo_home/registry" -e "$target" "$binary" | head -n 1)"
fi

mkdir -p "$folder"
install -m 755 "$binary" "$folder/recocomp"

# --- the bill of materials
# cargo-cyclonedx: the file lies beside the program and can name what is no crate, too; cargo-auditable, which puts the list of
# crates into the program, knows nothing of TensorFlow Lite or the models.
cyclonedx=$(cross/tool.sh cargo-cyclonedx "$cyclonedx_version")
env -u RUSTC "$cyclonedx" cyclonedx --quiet --format json --spec-version 1.5 --no-build-deps --no-default-features --target "$triple" \
  --override-filename recocomp-sbom
# Of the package that the linked libc.a comes from.
libc=$("$compiler" -print-file-name=libc.a)
GLIBC_VERSION=$(dpkg-query --show --showformat '${Version}' "$(dpkg --search "$(realpath "$libc")" "$libc" 2>/dev/null | head -n 1 | sed 's/: .*//')") \
  python3 cross/sbom.py "$root" "$arch" "$root/recocomp-sbom.json" "$folder/recocomp.cdx.json"
rm -f "$root/recocomp-sbom.json"
printf '%s: %s bytes, %s\n' "$folder/recocomp" "$bytes" "$kind"
