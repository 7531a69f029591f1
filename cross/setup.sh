#!/bin/bash
# setup.sh [ARCH]: sees to it that the tools for a build are here, for this machine or for ARCH (aarch64, armv7) as well; with
# "package" those for trying the Debian package.
#
# Installs from apt what is missing and nothing else, with sudo when not root. Where it cannot, it says what to install.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
arch=${1:-$(uname -m)}

packages=()
reasons=()
want() { # PACKAGE WHAT-FOR
  packages+=("$1")
  reasons+=("$1: $2")
}
want_command() { # COMMAND PACKAGE WHAT-FOR
  command -v "$1" >/dev/null || want "$2" "$3"
}
any_file() { # FILE...: does one of them exist?
  local file
  for file in "$@"; do
    if [[ -e $file ]]; then return 0; fi
  done
  return 1
}

want_command g++ g++ 'compiles the TensorFlow Lite runtime'
want_command cmake cmake 'configures it'
want_command ninja ninja-build 'runs its build'
want_command xz xz-utils 'unpacks its sources'
want_command bzip2 bzip2 'unpacks its sources'
want_command curl curl 'downloads its sources'
want_command flock util-linux 'keeps two builds apart'
want_command python3 python3 'makes its headers, runs the black-box tests'
want_command strace strace 'shows the black-box tests what the daemon asks of the kernel'
want_command systemd-analyze systemd 'lets the black-box tests judge the unit of the service'
want_command djpeg libjpeg-turbo-progs 'what the black-box tests compare decoded JPEGs with'
want_command file file 'tells whether a program is static'
want_command pkg-config pkg-config 'lets the build script of tflitec find OpenSSL'
any_file /usr/include/openssl/ssl.h "${OPENSSL_DIR:-/nowhere}" || want libssl-dev 'needed by the build script of tflitec'
any_file /usr/lib/llvm-*/lib/libclang*.so* "${LIBCLANG_PATH:-/nowhere}" /usr/lib64/libclang.so* ||
  want libclang-dev 'bindgen reads the headers of TensorFlow Lite with it'
if command -v python3 >/dev/null; then
  # -S -E: without the site packages this takes 20 ms instead of 100
  python3 -S -E -c 'import ensurepip, venv' 2>/dev/null || want python3-venv 'a place for the black-box tests and their packages'
else
  want python3-venv 'a place for the black-box tests and their packages'
fi
case $arch in
  "$(uname -m)") ;;
  aarch64)
    want_command aarch64-linux-gnu-g++ g++-aarch64-linux-gnu 'cross compiler for 64-bit ARM'
    want_command qemu-aarch64-static qemu-user-static 'runs ARM programs here'
    ;;
  armv7)
    want_command arm-linux-gnueabihf-g++ g++-arm-linux-gnueabihf 'cross compiler for 32-bit ARM'
    want_command qemu-arm-static qemu-user-static 'runs ARM programs here'
    ;;
  package)
    want_command debootstrap debootstrap 'makes the Debian in which the package is tried'
    want_command unshare util-linux 'keeps that Debian apart from this machine'
    want_command dpkg-deb dpkg 'reads the package'
    ;;
  *)
    printf 'unknown architecture %s: x86_64, aarch64, armv7 and package are known\n' "$arch" >&2
    exit 2
    ;;
esac

if ((${#packages[@]} > 0)); then
  as_root=()
  if ((EUID != 0)); then as_root=(sudo); fi
  printf 'missing:\n'
  printf '  %s\n' "${reasons[@]}"
  if ! command -v apt-get >/dev/null; then
    printf '%s\n' 'There is no apt-get here. Install what Debian calls:' "  ${packages[*]}" 'and run this again.' >&2
    exit 1
  fi
  if [[ ${as_root[*]} ]] && ! command -v sudo >/dev/null; then
    printf '%s\n' 'Neither root nor sudo here. Have somebody run:' \
      "  apt-get update && apt-get install -y --no-install-recommends ${packages[*]}" >&2
    exit 1
  fi
  printf 'installing: %s\n' "${packages[*]}"
  log=$(mktemp)
  export DEBIAN_FRONTEND=noninteractive
  # The package lists may be missing or old: a package that has moved on since answers 404.
  if ! { "${as_root[@]}" apt-get update -q &&
    "${as_root[@]}" apt-get install -y -q --no-install-recommends "${packages[@]}"; } >"$log" 2>&1; then
    tail -n 30 "$log" >&2
    printf '%s\n' "apt-get failed, its log is $log. Put right what it complains about, or install by hand:" "  ${packages[*]}" >&2
    exit 1
  fi
  rm -f "$log"
fi

# --- Rust
wanted=$(sed -nE 's/^rust-version *= *"([0-9.]+)".*/\1/p' "$root/Cargo.toml")
if ! command -v rustc >/dev/null || ! command -v cargo >/dev/null; then
  printf 'Rust is not installed. recocomp needs %s or newer; rustup, from the Rust project, installs it.\n' "${wanted:-the stable release}" >&2
  exit 1
fi
found=$(rustc --version | cut -d ' ' -f 2)
if [[ $wanted && $(printf '%s\n' "$wanted" "${found%%-*}" | sort -V | head -n 1) != "$wanted" ]]; then
  printf 'recocomp needs Rust %s or newer, this is %s (%s). rustup update brings it up to date.\n' \
    "$wanted" "$found" "$(command -v rustc)" >&2
  exit 1
fi
