"""notices.py ROOT TRIPLE HEAD OUTPUT: the copyright file of the package, HEAD and then the license text of every crate in the
program and of every source of the C++ runtime, each text once with the names that it is for."""

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

root, triple, head, output = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4])
NAMES = ("LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE")
cache = Path(os.environ.get("RECOCOMP_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "recocomp")
texts: dict[str, list[str]] = {}


def take(name: str, text: bytes) -> None:
    plain = "\n".join(line.rstrip() for line in text.decode("utf-8", "replace").strip().splitlines())
    names = texts.setdefault(plain, [])
    if name not in names:
        names.append(name)


def is_license(name: str) -> bool:
    return name.upper().startswith(NAMES)


tree = ["cargo", "tree", "--locked", "--no-default-features", "--target", triple, "--edges", "normal", "--prefix", "none", "--format", "{p}"]
used = set()
for line in subprocess.run(tree, cwd=root, capture_output=True, text=True, check=True).stdout.splitlines():
    name, version = line.split()[:2]
    used.add((name, version.removeprefix("v")))
metadata = ["cargo", "metadata", "--locked", "--format-version", "1"]
packages = json.loads(subprocess.run(metadata, cwd=root, capture_output=True, text=True, check=True).stdout)["packages"]
for package in sorted(packages, key=lambda package: (package["name"], package["version"])):
    if (package["name"], package["version"]) not in used or package["source"] is None:
        continue
    folder = Path(package["manifest_path"]).parent
    files = sorted(file for file in folder.iterdir() if file.is_file() and is_license(file.name))
    label = f"{package['name']} {package['version']} ({package['license']})"
    for file in files:
        take(label, file.read_bytes())
    if not files:
        take(label, f"The crate holds no license text; it is under {package['license']}.".encode())

for line in (root / "cross/tflite/sources.txt").read_text().splitlines():
    if not line or line.startswith("#"):
        continue
    folder, top, origin = line.split()[:3]
    path = origin.split(":", 1)[1]
    archive = path.rsplit("/", 1)[1] if origin.startswith("pool:") else path.replace("/", "-") + ".crate"
    # Only what lies where the recipe takes its sources from.
    depth = {".": 0, "*": 1}.get(top, top.count("/") + 1)
    before = len(texts)
    with tarfile.open(cache / "tflite/downloads" / archive) as tar:
        for member in tar:
            parts = member.name.removeprefix("./").split("/")
            if not member.isfile() or len(parts) != depth + 1 or not is_license(parts[-1]):
                continue
            if depth < 2 or "/".join(parts[:-1]) == top:
                take(f"{folder}, of {archive}", tar.extractfile(member).read())
    if len(texts) == before and not any(f"{folder}, of {archive}" in names for names in texts.values()):
        take(f"{folder}, of {archive}", b"The source archive holds no license text of its own.")

with output.open("w", encoding="utf-8") as out:
    out.write(head.read_text("utf-8"))
    for text, names in texts.items():
        out.write(f"\n{'=' * 100}\n{chr(10).join(names)}\n{'-' * 100}\n{text}\n")
print(f"{output}: {len(texts)} texts")
