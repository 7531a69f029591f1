#!/bin/bash
# trial_key.sh FILE: prints the public half of the throw-away key in FILE, which it makes if it is not there.
#
# For packages to be tried, never to be sold: the key lies about here. A vendor's own is made by `recocomp-license keygen`.
set -euo pipefail

file=${1:?usage: trial_key.sh FILE}
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
if [[ ! -s $file ]]; then
  mkdir -p "$(dirname "$file")"
  (umask 077 && PYTHONPATH=$root/tests python3 -c '
import ed25519, secrets
secret = secrets.token_bytes(32)
print(f"recocomp license key 1\nsecret: {secret.hex()}\npublic: {ed25519.public(secret).hex()}")' >"$file.new")
  mv "$file.new" "$file"
fi
sed -n 's/^public: //p' "$file"
