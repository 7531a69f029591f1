#!/bin/bash
# runtime.sh ARCH: builds the TensorFlow Lite runtime if need be and points .runtime/ARCH, where cargo looks for it, to it.
set -euo pipefail

arch=${1:?usage: runtime.sh x86_64|aarch64|armv7}
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
case $arch in
  armv7) triple=armv7-unknown-linux-gnueabihf ;;
  *) triple=$arch-unknown-linux-gnu ;;
esac

runtime=$("$root/cross/tflite/build.sh" "$arch")
link=$root/.runtime/$arch
if [[ -L $link && $(readlink "$link") == "$runtime" ]]; then exit; fi

# cargo sees neither that the archive is another one nor that tflitec's copy of the headers is old, so what was made from the
# former runtime goes before the link changes.
cd "$root"
if [[ -d ${CARGO_TARGET_DIR:-target}/$triple ]]; then
  for profile in dev release; do
    if ! cargo clean --package tflitec --profile "$profile" --target "$triple"; then
      printf 'cargo could not clean tflitec; if the next build links an old runtime, run cargo clean\n' >&2
    fi
  done
fi
mkdir -p .runtime
if [[ -e $link && ! -L $link ]]; then rm -rf "$link"; fi
ln -sfn "$runtime" "$link"
printf 'runtime for %s: %s\n' "$arch" "$runtime"
