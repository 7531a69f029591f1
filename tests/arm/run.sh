#!/bin/bash
# run.sh BINARY: the black-box tests of a development build for 64-bit ARM under qemu-user, a table of golden answers beside those of x86-64.
#
# cortex-a53: the processor of the Raspberry Pi 3 and Zero 2 W, without the dot products (sdot) that the Pi 5 has. max: all that qemu
# knows, so the other kernels. leave_out.txt lists the tests that are not for an emulator, each with the reason.
#
#   PYTEST="-k search"    picks some tests
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
binary=$(realpath "${1:?usage: run.sh BINARY}")
python=$("$root/cross/venv.sh" "$root/tests/requirements.txt")
read -ra picked <<<"${PYTEST:-}"

cd "$root"
# A recognition takes seconds here in place of tens of milliseconds.
export RECOCOMP_TEST_PATIENCE=${RECOCOMP_TEST_PATIENCE:-10}
under() { # CPU PYTEST-ARGUMENT...
  local cpu=$1
  shift
  printf '\n--- %s\n' "$cpu"
  RECOCOMP_BIN="qemu-aarch64-static -cpu $cpu $binary" "$python" -m pytest --timeout 1500 "$@"
}
under cortex-a53 -q -s tests/test_golden.py
under max -q -s tests/test_golden.py
under cortex-a53 -n "${JOBS:-$(nproc)}" --leave-out tests/arm/leave_out.txt --durations 10 tests "${picked[@]}"
under max -n "${JOBS:-$(nproc)}" tests/test_search.py -k 'told_apart or last_bit'
