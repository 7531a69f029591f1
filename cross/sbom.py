"""sbom.py ROOT ARCH CRATES OUTPUT: completes the bill of materials of the crates with what else is in the program: the sources of
the C++ runtime, the C and C++ libraries of the compiler, the models. The result depends on no path and no clock."""

import datetime
import json
import os
import re
import sys
import tomllib
from pathlib import Path

root, arch, crates, output = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4])


def component(name: str, version: str, kind: str = "library", **more) -> dict:
    return {"type": kind, "bom-ref": f"recocomp:{name}", "name": name, "version": version, **more}


def sha256(digest: str) -> list[dict]:
    return [{"alg": "SHA-256", "content": digest}]


def runtime_sources() -> list[dict]:
    """The archives of cross/tflite/sources.txt with their checksums."""
    digests = {}
    for line in (root / "cross/tflite/SHA256SUMS").read_text().splitlines():
        digest, name = line.split()
        digests[name] = digest
    found = []
    for line in (root / "cross/tflite/sources.txt").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        folder, _, origin = line.split()[:3]
        scheme, path = origin.split(":", 1)
        if scheme == "crate":
            crate, version = path.split("/")
            file, place = f"{crate}-{version}.crate", {"purl": f"pkg:cargo/{crate}@{version}"}
        else:
            file = path.rsplit("/", 1)[1]
            package, version = re.fullmatch(r"(.+)_(.+)\.orig\.tar\.\w+", file).groups()
            place = {"purl": f"pkg:deb/debian/{package}@{version.replace('+', '%2B')}?arch=source"}
        found.append(component(folder, version, hashes=sha256(digests.pop(file)), **place))
    assert not digests, f"no line of sources.txt is for {sorted(digests)}"
    return found


def compiler_libraries() -> list[dict]:
    """glibc and libstdc++ as the compiler that built the runtime has them; they are linked statically."""
    compiler = (root / ".runtime" / arch / "BUILT_FROM").read_text().split("\n\n")[1].splitlines()[0]
    return [
        component("libstdc++", compiler.split()[-1], description=f"static, of {compiler}"),
        component("glibc", os.environ["GLIBC_VERSION"], description=f"static, beside {compiler}"),
    ]


def models() -> list[dict]:
    text = (root / "models/models.toml").read_text("utf-8")
    return [
        component(model["id"], model["sha256"][:12], "machine-learning-model", hashes=sha256(model["sha256"]), description=model["role"])
        for model in tomllib.loads(text)["model"]
        if model.get("default")
    ]


text = crates.read_text("utf-8").replace(str(root), "/recocomp")
# Cargo leaves the name of the package out where the checkout's folder is called the same.
bom = json.loads(re.sub("path\\+file:///recocomp#(?!recocomp@)", "path+file:///recocomp#recocomp@", text))
bom.pop("serialNumber", None)
moment = datetime.datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), datetime.UTC)
bom["metadata"]["timestamp"] = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
others = runtime_sources() + compiler_libraries() + models()
bom["components"] += others
product = bom["metadata"]["component"]["bom-ref"]
next(d for d in bom["dependencies"] if d["ref"] == product)["dependsOn"] += [other["bom-ref"] for other in others]
bom["dependencies"] += [{"ref": other["bom-ref"]} for other in others]
output.write_text(json.dumps(bom, indent=1, ensure_ascii=False) + "\n", "utf-8")
print(f"{output}: {len(bom['components'])} components")
