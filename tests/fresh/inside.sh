#!/bin/bash
# inside.sh: what is asked of the minimal Debian, in it.
set -euo pipefail

if ((DECOY)); then
  # shellcheck source=tests/fresh/decoys.sh
  . /decoys.sh
fi
git config --system --add safe.directory "$CHECKOUT"
cd "$CHECKOUT"

run() { # make run serves and answers
  local log=/tmp/run.log address='' answer='' begun=$SECONDS server
  setsid make run LISTEN=127.0.0.1:0 DATA=/tmp/data >"$log" 2>&1 &
  server=$!
  while [[ ! $address ]]; do
    sleep 2
    address=$(sed -n 's,^listening on http://\([0-9.]*:[0-9]*\)$,\1,p' "$log" | head -n 1)
    if ! kill -0 $server 2>/dev/null || ((SECONDS - begun > 60 * ${FRESH_MINUTES:-90})); then
      tail -n 60 "$log" >&2
      printf 'make run does not serve after %d s\n' $((SECONDS - begun)) >&2
      return 1
    fi
  done
  exec 3<>"/dev/tcp/${address%:*}/${address#*:}"
  printf 'GET /api/v1/engine/recocomp/version HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' "$address" >&3
  answer=$(cat <&3)
  exec 3>&-
  kill -TERM -- -$server
  wait $server || true
  grep -E '^(missing|installing|  [a-z])' "$log" || true
  printf 'make run answers after %d s: %s\n' $((SECONDS - begun)) "${answer##*$'\n'}"
  [[ $answer == *'"err_code":0'* ]]
}

for goal in $GOALS; do
  case $goal in
    setup) cross/setup.sh ;;
    run) run ;;
    test) make test ;;
  esac
done
