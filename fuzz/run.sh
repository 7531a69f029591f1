#!/bin/bash
# run.sh SECONDS [TARGET...]: fuzzes the gallery's files and JPEGs, two targets at a time, SECONDS each; of a short run the lesser targets
# take a quarter.
#
# First come the inputs in regressions/: every crash that was ever found. FUZZ_CORPUS keeps what a run found for the next one.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

seconds=$1
shift
targets=("$@")
if ((${#targets[@]} == 0)); then targets=(generation journal container salt jpeg); fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
corpus=${FUZZ_CORPUS:-$work/corpus}
crashes=${FUZZ_CRASHES:-${RECOCOMP_FUZZ_TARGET:-$PWD/target}/crashes}
mkdir -p "$corpus" "$crashes"

./cargo.sh build --quiet --bins
triple=$(rustc --version --verbose | sed -n 's/^host: //p')
bin=${RECOCOMP_FUZZ_TARGET:-target}/$triple/release
export ASAN_OPTIONS=detect_leaks=0:detect_odr_violation=0${ASAN_OPTIONS:+:$ASAN_OPTIONS}
"$bin/seeds" "$work/seeds"

# An input is at most 64 KiB, and the files made of it at most 8 MiB. So nothing needs more memory than this at once.
limits=(-max_len=65536 -timeout=20 -rss_limit_mb=2048 -malloc_limit_mb=64 -detect_leaks=0 -print_funcs=0)

fuzz() { # TARGET
  local target=$1 for=$seconds
  if ((seconds < 600)) && [[ $target == container || $target == salt || $target == jpeg ]]; then for=$((seconds / 4 + 1)); fi
  mkdir -p "$corpus/$target"
  local regressions=(regressions/"$target"/*)
  if [[ -e ${regressions[0]} ]]; then "$bin/$target" "${limits[@]}" "${regressions[@]}" 2>&1 || return 1; fi
  "$bin/$target" "${limits[@]}" -max_total_time="$for" -print_final_stats=1 -artifact_prefix="$crashes/$target-" \
    "$corpus/$target" "$work/seeds/$target" 2>&1
}

failed=()
while ((${#targets[@]} > 0)); do
  pair=("${targets[@]:0:2}")
  targets=("${targets[@]:2}")
  pids=()
  for target in "${pair[@]}"; do
    fuzz "$target" >"$work/$target.log" &
    pids+=($!)
  done
  for number in "${!pair[@]}"; do
    target=${pair[number]}
    if wait "${pids[number]}"; then
      sed -nE 's/^stat::number_of_executed_units: *(.*)/\1 runs/p; s/^stat::average_exec_per_sec: *(.*)/\1 a second/p' "$work/$target.log" |
        paste -sd ',' | sed "s/^/$target: /; s/,/, /g"
      grep -E '^#[0-9]+.*DONE' "$work/$target.log" | sed -E 's/^#[0-9]+\s+DONE +/  /' || true
    else
      failed+=("$target")
      tail -n 60 "$work/$target.log"
      printf '%s failed. The input lies in %s; `%s/%s FILE` runs it again.\n' "$target" "$crashes" "$bin" "$target"
    fi
  done
done
if ((${#failed[@]} > 0)); then exit 1; fi
