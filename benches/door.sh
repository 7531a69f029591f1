#!/bin/bash
# door.sh BINARY --people DIR [--living LIST ...]: see door.py
set -euo pipefail
cd "$(dirname "$0")/.."
exec "$(cross/venv.sh tests/requirements.txt)" benches/door.py "$@"
