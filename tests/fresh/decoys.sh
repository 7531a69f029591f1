# shellcheck shell=bash
# Half of what a build needs, as machines have it that were used for something else. Sourced in the chroot.
#
#   LLVM's runtime          with libclang-cpp beside it, without libclang
#   cmake                   without ninja
#   python3                 without venv and pip
#   a home                  that can only be read
#   a checkout              whose path has a blank and an umlaut
apt-get update -q >/dev/null
llvm=$(apt-cache search --names-only '^libclang-cpp[0-9.]+$' | sort -V | tail -n 1 | cut -d ' ' -f 1)
DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$llvm" cmake python3 >/dev/null
if command -v ninja || [[ $(find / -xdev -name 'libclang.so*' -o -xdev -name 'libclang-[0-9]*.so*' | head -n 1) ]] ||
  python3 -c 'import ensurepip' 2>/dev/null; then
  printf 'the decoys bring what they are to be without\n' >&2
  exit 1
fi
mount --bind "$HOME" "$HOME"
mount -o remount,bind,ro "$HOME"
if touch "$HOME/x" 2>/dev/null; then
  printf 'the home can be written to\n' >&2
  exit 1
fi
