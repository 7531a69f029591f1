#!/bin/bash
# The linker of 64-bit ARM programs, for cargo: makes them position-independent, as those of x86-64 are.
#
# rustc asks for `-static -no-pie` on this target; the kernel then loads the program at one address always, and what an attacker learns
# from one device holds on all. The code is position-independent all the same, as is the standard library.
set -euo pipefail

arguments=()
for argument in "$@"; do
  case $argument in
    -static) arguments+=(-static-pie) ;;
    -no-pie) ;;
    *) arguments+=("$argument") ;;
  esac
done
exec aarch64-linux-gnu-gcc "${arguments[@]}"
