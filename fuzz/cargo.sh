#!/bin/bash
# cargo.sh ARGUMENT...: cargo on this crate with AddressSanitizer and the fuzzer's coverage, by the stable compiler alone.
#
# -Zsanitizer is not stable yet: RUSTC_BOOTSTRAP=1 lets the pinned stable compiler take it. The runtime of AddressSanitizer is part
# of every rustup toolchain; no nightly is downloaded. RUSTFLAGS replace those of .cargo/config.toml: a sanitizer cannot be linked
# statically. They reach this crate and its dependencies, not build scripts and macros, since the target is named.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

triple=$(rustc --version --verbose | sed -n 's/^host: //p')
runtime=$(rustc --print target-libdir --target "$triple")
if ! compgen -G "$runtime/librustc*_rt.asan.a" >/dev/null; then
  printf 'AddressSanitizer is not in %s: a toolchain of rustup has it for Linux with glibc.\n' "$runtime" >&2
  exit 1
fi
export RUSTC_BOOTSTRAP=1
export RUSTFLAGS='-Zsanitizer=address --cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4
  -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table
  -Cllvm-args=-sanitizer-coverage-trace-compares'
RUSTFLAGS=$(tr -s ' \n' ' ' <<<"$RUSTFLAGS")
# Leaks are safe, and finding them needs ptrace, which containers forbid.
export ASAN_OPTIONS=detect_leaks=0:detect_odr_violation=0${ASAN_OPTIONS:+:$ASAN_OPTIONS}
export CARGO_TARGET_DIR=${RECOCOMP_FUZZ_TARGET:-$PWD/target}
exec "${CARGO:-cargo}" "$1" --locked --release --target "$triple" "${@:2}"
