#!/bin/bash
# in_steps.sh NAME COMMAND [NAME COMMAND]...: runs the commands in order, stops at the first that fails, and lists how long each took.
set -euo pipefail

total=$(($# / 2)) number=0 begun=$SECONDS list=''
while (($# >= 2)); do
  name=$1 command=$2 started=$SECONDS status=0
  shift 2
  number=$((number + 1))
  printf '\n=== [%d/%d] %s\n' "$number" "$total" "$name"
  bash -c "$command" || status=$?
  list+=$(printf '  %2d  %-28s %3d:%02d' "$number" "$name" $(((SECONDS - started) / 60)) $(((SECONDS - started) % 60)))
  if ((status != 0)); then
    printf '\n%s  FAILED\n\n' "$list"
    printf 'step %d of %d failed: %s\n' "$number" "$total" "$command" >&2
    exit 1
  fi
  list+=$'\n'
done
printf '\n%s      %-28s %3d:%02d\n' "$list" 'all passed' $(((SECONDS - begun) / 60)) $(((SECONDS - begun) % 60))
