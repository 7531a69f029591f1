#!/bin/bash
# venv.sh REQUIREMENTS: prints the python of a virtual environment with these requirements, made on first use.
#
# It lies in the cache under a name that covers the requirements and the Python version: changed requirements give a new one, and
# `cargo clean` or a fresh checkout do not cost the download again.
set -euo pipefail

requirements=${1:?usage: venv.sh REQUIREMENTS.txt}
cache=${RECOCOMP_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/recocomp}
python=$(python3 -S -E -c 'import sys; print(sys.executable, sys.version)')
venv=$cache/venv/$({ printf '%s' "$python" && cat "$requirements"; } | sha256sum | cut -c 1-16)

if [[ ! -e $venv/complete ]]; then
  printf 'making a Python environment for %s\n' "$requirements" >&2
  mkdir -p "$cache/venv"
  exec 9>"$cache/venv/lock"
  flock 9
  if [[ ! -e $venv/complete ]]; then
    rm -rf "$venv"
    python3 -m venv "$venv" >&2
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$requirements" >&2
    touch "$venv/complete"
  fi
fi
printf '%s\n' "$venv/bin/python"
