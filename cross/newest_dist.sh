#!/bin/bash
# newest_dist.sh ARCH: prints the release of ARCH that `make dist` or `make dist-trial` made last.
set -euo pipefail

arch=${1:?usage: newest_dist.sh ARCH}
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
newest=''
for program in "$root/dist/$arch/recocomp" "$root/dist/trial/$arch/recocomp"; do
  if [[ -e $program && ( ! $newest || $program -nt $newest ) ]]; then newest=$program; fi
done
if [[ ! $newest ]]; then
  printf 'there is no release for %s in dist/: make dist, or make dist-trial\n' "$arch" >&2
  exit 1
fi
printf '%s\n' "$newest"
