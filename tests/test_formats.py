"""What is no JPEG, PNG, BMP or WebP is refused by its name; damaged ones are refused; orientation is obeyed wherever it stands."""

import io
import json
import struct
import zlib

import pytest
from PIL import Image

import faces
from daemon import run
from faces import OBAMA

ISO = b"\0\0\0\x18ftyp%s\0\0\0\0%s%s"
OTHERS = {
    b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(20): "JPEG 2000",
    b"\xff\x4f\xff\x51" + bytes(20): "JPEG 2000",
    b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(20): "JPEG XL",
    b"\xff\x0a" + bytes(20): "JPEG XL",
    ISO % (b"heic", b"mif1", b"heic"): "HEIC",
    ISO % (b"mif1", b"mif1", b"heic"): "HEIC",
    ISO % (b"avif", b"avif", b"mif1"): "AVIF",
    ISO % (b"mif1", b"mif1", b"avif"): "AVIF",
    ISO % (b"crx ", b"crx ", b"isom"): "a camera's raw file",
    ISO % (b"isom", b"isom", b"mp41"): "a video",
    ISO % (b"qt  ", b"qt  ", b"qt  "): "a video",
    b"RIFF\0\1\0\0AVI LIST": "a video",
    b"\x1a\x45\xdf\xa3webm": "a video",
    b"GIF89a" + bytes(20): "a GIF",
    b"II*\0" + bytes(20): "a TIFF or a camera's raw file",
    b"MM\0*" + bytes(20): "a TIFF or a camera's raw file",
    b"%PDF-1.7\n": "a PDF",
    b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>': "an SVG",
    b"<!DOCTYPE html><html>": "a web page",
    b"PK\x03\x04" + bytes(20): "a ZIP archive or an office document",
    b"8BPS\0\1": "a Photoshop document",
    b"hello": "the bytes are not a picture",
    b"": "the bytes are not a picture",
}


def decoded(folder, files: list[bytes]) -> list[dict]:
    paths = []
    for number, file in enumerate(files):
        paths.append(folder / f"picture{number}")
        paths[-1].write_bytes(file)
    done = run("bench", "decode", "--json", "--pixels", folder, *paths)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["images"]


def test_other_formats_are_refused_by_their_name(tmp_path):
    for row, name in zip(decoded(tmp_path, list(OTHERS)), OTHERS.values(), strict=True):
        assert name in row["refused"] and row["refused"].endswith("send JPEG, PNG, BMP or WebP"), (name, row)


def saved(kind: str, picture: Image.Image | None = None, **options) -> bytes:
    out = io.BytesIO()
    (picture or faces.head_and_shoulders(OBAMA, 96)).save(out, kind, **options)
    return out.getvalue()


def exif(orientation: int, order: str) -> bytes:
    """A TIFF file with one entry; `order` is < or >, as in struct."""
    mark = b"II" if order == "<" else b"MM"
    return mark + struct.pack(f"{order}HIHHHIHHI", 42, 8, 1, 0x112, 3, 1, orientation, 0, 0)


def webp_with(chunk: bytes) -> bytes:
    """A WebP with an EXIF chunk as it is."""
    plain = saved("WEBP", quality=80)
    width, height = Image.open(io.BytesIO(plain)).size
    head = b"VP8X" + struct.pack("<II", 10, 8) + struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    body = b"WEBP" + head + plain[12:] + b"EXIF" + struct.pack("<I", len(chunk)) + chunk + b"\0" * (len(chunk) % 2)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def png_with(chunk: bytes, behind: bool) -> bytes:
    """A PNG with an eXIf chunk before or behind the pixels."""
    plain = saved("PNG")
    made = struct.pack(">I", len(chunk)) + b"eXIf" + chunk + struct.pack(">I", zlib.crc32(b"eXIf" + chunk))
    at = len(plain) - 12 if behind else 33
    return plain[:at] + made + plain[at:]


def jpeg_with(chunk: bytes) -> bytes:
    plain = saved("JPEG", quality=90)
    body = b"Exif\0\0" + chunk
    return plain[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + plain[2:]


@pytest.mark.parametrize("order", "<>")
def test_orientation_is_obeyed_wherever_it_stands(tmp_path, order):
    turned, prefix = exif(6, order), b"Exif\0\0"
    files = [
        jpeg_with(turned),
        webp_with(turned),
        webp_with(prefix + turned),
        png_with(turned, behind=False),
        png_with(turned, behind=True),
        png_with(prefix + turned, behind=False),
    ]
    upright = Image.open(io.BytesIO(saved("PNG"))).size
    for number, row in enumerate(decoded(tmp_path, files)):
        assert (row.get("height"), row.get("width")) == upright, (number, row)


def test_broken_exif_turns_nothing(tmp_path):
    broken = [exif(6, "<")[:12], exif(99, ">"), b"II*\0\xff\xff\xff\xff", b""]
    files = [make(chunk) for chunk in broken for make in (jpeg_with, webp_with)]
    upright = Image.open(io.BytesIO(saved("PNG"))).size
    for row in decoded(tmp_path, files):
        assert (row.get("width"), row.get("height")) == upright, row


@pytest.mark.parametrize(
    "kind, options", [("PNG", {}), ("BMP", {}), ("WEBP", {"quality": 80}), ("WEBP", {"lossless": True})], ids=str
)
def test_a_picture_that_was_cut_is_refused(tmp_path, kind, options):
    whole = saved(kind, **options)
    rows = decoded(tmp_path, [whole] + [whole[: len(whole) * part // 20] for part in range(1, 20)])
    assert "refused" not in rows[0]
    assert all("refused" in row for row in rows[1:]), rows


@pytest.mark.parametrize("lossless", [False, True])
def test_a_webp_that_lost_bytes_is_refused(tmp_path, lossless):
    whole = saved("WEBP", quality=80, lossless=lossless)
    files = [whole[:at] + whole[at + 200 :] for at in range(100, len(whole) - 200, 251)]
    assert len(files) >= 5 and all("refused" in row for row in decoded(tmp_path, files))


def test_a_damaged_png_is_refused(tmp_path):
    """Every chunk has a checksum."""
    whole = saved("PNG")
    start, end = whole.index(b"IDAT") + 4, whole.index(b"IEND") - 8
    files = [whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :] for at in range(start, end, 997)]
    files += [whole[:at] + whole[at + 100 :] for at in range(start, end - 100, 1997)]
    assert all("refused" in row for row in decoded(tmp_path, files))


@pytest.mark.parametrize("kind", ["WEBP", "PNG"])
def test_of_an_animation_the_first_picture_counts(tmp_path, kind):
    first, second = (faces.head_and_shoulders(name, 96).resize((96, 96)) for name in (OBAMA, faces.BIDEN))
    file = saved(kind, first, save_all=True, append_images=[second], duration=100, **({"lossless": True} if kind == "WEBP" else {}))
    assert "refused" not in decoded(tmp_path, [file])[0]
    shown = Image.open(io.BytesIO((tmp_path / "picture0.ppm").read_bytes()))
    assert shown.tobytes() == first.tobytes()
