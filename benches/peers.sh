#!/bin/bash
# peers.sh [PEOPLE [ROUNDS]]: recocomp beside faiss and usearch, on the same vectors, in turns. RECOCOMP_BIN picks the binary.
set -euo pipefail
cd "$(dirname "$0")/.."

binary=${RECOCOMP_BIN:-${CARGO_TARGET_DIR:-target}/$(uname -m)-unknown-linux-gnu/release/recocomp}
if [[ ! -x $binary ]]; then
  echo "no $binary: run make build first" >&2
  exit 1
fi
python=$(cross/venv.sh benches/requirements.txt)
exec "$python" benches/peers.py "$binary" --people "${1:-100000}" --rounds "${2:-15}"
