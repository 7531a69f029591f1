#!/bin/bash
# setup.sh [ARCH]: sees to it that the tools for a build are here, for this machine or for ARCH (aarch64, armv7) as well; with
# "package" those for trying the Debian package.
#
# Installs from apt what is missing and nothing else, with sudo when not root. Where it cannot, it says what to install. Each tool is tried
# as the build will use it, before minutes are spent on compiling. What was found is remembered as long as the tools stay what they are.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
arch=${1:-$(uname -m)}

# shellcheck source=cross/lib/tools.sh
. "$root/cross/lib/tools.sh"

missing() { # lists in packages and reasons what is not here
  packages=() reasons=()
  want() { # PACKAGE WHAT-FOR
    packages+=("$1")
    reasons+=("$1: $2")
  }
  want_command() { # COMMAND PACKAGE WHAT-FOR
    command -v "$1" >/dev/null || want "$2" "$3"
  }
  has_compiler g++ || want g++ 'compiles the TensorFlow Lite runtime'
  # cargo links with cc, as gcc installs it.
  runs cc || want gcc 'links what cargo builds'
  runs cmake || want cmake 'configures the runtime'
  runs ninja || want ninja-build 'runs its build'
  runs xz || want xz-utils 'unpacks its sources'
  want_command bzip2 bzip2 'unpacks its sources'
  runs curl || want curl 'downloads its sources'
  [[ -s /etc/ssl/certs/ca-certificates.crt || ${SSL_CERT_FILE:-} || -d /etc/pki ]] || want ca-certificates 'lets downloads be trusted'
  runs flock || want util-linux 'keeps two builds apart'
  runs python3 || want python3 'makes its headers, runs the black-box tests'
  runs strace || want strace 'shows the black-box tests what the daemon asks of the kernel'
  runs systemd-analyze || want systemd 'lets the black-box tests judge the unit of the service'
  want_command djpeg libjpeg-turbo-progs 'what the black-box tests compare decoded JPEGs with'
  runs file || want file 'tells whether a program is static'
  [[ ${OPENSSL_DIR:-} ]] || runs pkg-config || want pkg-config 'lets the build script of tflitec find OpenSSL'
  has_openssl || want libssl-dev 'needed by the build script of tflitec'
  has_libclang || want libclang-dev 'bindgen reads the headers of TensorFlow Lite with it'
  has_venv || want python3-venv 'a place for the black-box tests and their packages'
  case $arch in
    "$(uname -m)") ;;
    aarch64)
      has_compiler aarch64-linux-gnu-g++ || want g++-aarch64-linux-gnu 'cross compiler for 64-bit ARM'
      want_command qemu-aarch64-static qemu-user-static 'runs ARM programs here'
      ;;
    armv7)
      has_compiler arm-linux-gnueabihf-g++ || want g++-arm-linux-gnueabihf 'cross compiler for 32-bit ARM'
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
}

# What the answer depends on: the tools, and what decides where they are looked for.
state() {
  printf '%s\n' "$arch" "$PATH" "${LIBCLANG_PATH:-}" "${LLVM_CONFIG_PATH:-}" "${LD_LIBRARY_PATH:-}" "${LIBRARY_PATH:-}" "${OPENSSL_DIR:-}"
  cat "${BASH_SOURCE[0]}" "$root/cross/lib/tools.sh"
  # Every package that is installed or removed changes it; the folders, where somebody installs without apt.
  stat -L -c '%n %Y %s' /var/lib/dpkg/status /usr/bin /usr/local/bin /usr/lib /usr/lib/llvm-* /usr/local/lib 2>/dev/null || true
}
known=$("$root/cross/lib/places.sh" cache)/setup-$arch
now=$(state | sha256sum)

if [[ $(cat "$known" 2>/dev/null) != "$now" ]]; then missing; else packages=(); fi
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
  missing
  if ((${#packages[@]} > 0)); then
    printf '%s\n' 'apt-get installed everything, and yet this does not work:' "${reasons[@]/#/  }" >&2
    exit 1
  fi
fi
mkdir -p "${known%/*}"
state | sha256sum >"$known"

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
