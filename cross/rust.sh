#!/bin/bash
# rust.sh ARCH: prints the rustc to build for ARCH (aarch64 | armv7) with.
#
# That is the rustc at hand if it has the standard library of ARCH, or gets it from rustup. Otherwise Debian's rustc with its ARM
# standard library is unpacked into the cache, beside what is installed: no package is installed, apt's own state is not
# touched, signatures are checked by apt as always. The cargo at hand drives it through RUSTC.
set -euo pipefail
export LC_ALL=C

arch=${1:-}
case $arch in
  aarch64) triple=aarch64-unknown-linux-gnu debian=arm64 ;;
  armv7) triple=armv7-unknown-linux-gnueabihf debian=armhf ;;
  *)
    printf 'usage: rust.sh aarch64|armv7\n' >&2
    exit 2
    ;;
esac
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${RECOCOMP_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/recocomp}/rust

has_std() { # SYSROOT
  compgen -G "$1/lib/rustlib/$triple/lib/libstd-*.rlib" >/dev/null
}

if has_std "$(rustc --print sysroot)"; then
  command -v rustc
  exit
fi
# The rustc from Debian, if an earlier call fetched one; before rustup, which takes its time to fail without a network.
for rustc in "$cache"/*/rustc; do
  if [[ -x $rustc ]] && has_std "${rustc%/rustc}/usr"; then
    printf '%s\n' "$rustc"
    exit
  fi
done
if command -v rustup >/dev/null && rustup target add "$triple" >/dev/null 2>&1; then
  command -v rustc
  exit
fi

if ! command -v apt-get >/dev/null; then
  printf 'There is no standard library of Rust for %s here: rustup cannot get it, and there is no apt-get.\n' "$triple" >&2
  exit 1
fi
printf 'rustup has no %s here: fetching the one of Debian (130 MB, once)\n' "$triple" >&2
host=$(dpkg --print-architecture)
mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
work=$cache/new
rm -rf "$work"
mkdir -p "$work"/{lists/partial,cache/archives/partial,deb,root}
cat >"$work/apt.conf" <<END
APT::Architecture "$host";
APT::Architectures { "$host"; "$debian"; };
APT::Sandbox::User "";
Acquire::Languages "none";
Dir::State::lists "$work/lists";
Dir::State::status "/dev/null";
Dir::Cache "$work/cache";
END
export APT_CONFIG=$work/apt.conf
log=$cache/log
dependency() { # PACKAGE PATTERN: the dependency of PACKAGE with such a name
  apt-cache depends "$1" | sed -nE "s/^ *Depends: ($2)\$/\1/p" | head -n 1
}
unpack() {
  apt-get update -q || return
  local library llvm package
  library=$(dependency libstd-rust-web-dev:"$host" 'libstd-rust-web-[0-9.]+')
  llvm=$(dependency "$library:$host" 'libllvm[0-9.]+')
  if [[ ! $library || ! $llvm ]]; then
    echo 'no rustc-web among the packages of this Debian'
    return 1
  fi
  cd "$work/deb" || return
  apt-get download -q "rustc-web:$host" "libstd-rust-web-dev:$host" "$library:$host" "$llvm:$host" \
    "libstd-rust-web-dev:$debian" || return
  for package in *.deb; do dpkg -x "$package" "$work/root" || return; done
}
if ! (unpack) >"$log" 2>&1; then
  tail -n 20 "$log" >&2
  printf 'Rust for %s cannot be had from Debian either. With a network, rustup target add %s is the way.\n' "$triple" "$triple" >&2
  exit 1
fi
cat >"$work/root/rustc" <<'END'
#!/bin/sh
# Debian's rustc with its own LLVM, unpacked here.
here=$(dirname "$(readlink -f "$0")")
for lib in "$here"/usr/lib/*-linux-gnu; do LD_LIBRARY_PATH=$lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}; done
export LD_LIBRARY_PATH
exec "$here/usr/bin/rustc" "$@"
END
chmod +x "$work/root/rustc"
version=$("$work/root/rustc" --version | cut -d ' ' -f 2)
wanted=$(sed -nE 's/^rust-version *= *"([0-9.]+)".*/\1/p' "$root/Cargo.toml")
if [[ $(printf '%s\n' "${wanted:-0}" "$version" | sort -V | head -n 1) != "${wanted:-0}" ]]; then
  printf 'recocomp needs Rust %s or newer; the one of this Debian is %s\n' "$wanted" "$version" >&2
  exit 1
fi
rm -rf "${cache:?}/$version"
mv "$work/root" "$cache/$version"
rm -rf "$work"
printf '%s\n' "$cache/$version/rustc"
