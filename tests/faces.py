"""The people in pictures/ and everything a test does to a picture: crop, turn, darken, blur, encode."""

import base64
import functools
import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

FOLDER = Path(__file__).resolve().parent / "pictures"

OBAMA, OBAMA_2, OBAMA_3, BIDEN, ASTRONAUT = "obama", "obama2", "obama3", "biden", "astronaut"

# Left, top, right, bottom of each head, hair to chin, in pixels of the stored pictures.
HEADS = {
    OBAMA: (290, 20, 590, 420),
    OBAMA_2: (150, 130, 480, 520),
    OBAMA_3: (245, 85, 415, 300),
    BIDEN: (160, 35, 365, 310),
    ASTRONAUT: (140, 8, 310, 200),
}

# A part of the official portrait that shows curtains, a flag and no face.
CURTAINS = (0, 0, 270, 270)


def file_bytes(name: str) -> bytes:
    """The stored JPEG file as it is."""
    return (FOLDER / f"{name}.jpg").read_bytes()


@functools.cache
def _stored(name: str) -> Image.Image:
    with Image.open(FOLDER / f"{name}.jpg") as image:
        return image.convert("RGB")


def image(name: str) -> Image.Image:
    """The whole picture, RGB."""
    return _stored(name).copy()


def head_and_shoulders(name: str, width: int = 320) -> Image.Image:
    """A small portrait: the head takes about half of the width. Cheap to decode, easy to recognise."""
    left, top, right, bottom = HEADS[name]
    margin = (right - left) // 2
    picture = _stored(name)
    box = (
        max(0, left - margin),
        max(0, top - margin),
        min(picture.width, right + margin),
        min(picture.height, bottom + margin),
    )
    portrait = picture.crop(box)
    return portrait.resize((width, round(portrait.height * width / portrait.width)), Image.Resampling.LANCZOS)


def close_up(name: str) -> Image.Image:
    """The head fills the frame from edge to edge, as when a person stands right before a terminal."""
    return _stored(name).crop(HEADS[name])


def without_face() -> Image.Image:
    """A sharp photograph of curtains and a flag."""
    return _stored(OBAMA).crop(CURTAINS)


def side_by_side(larger: Image.Image, smaller: Image.Image) -> Image.Image:
    """Two people in one picture, the second at half size."""
    smaller = smaller.resize((smaller.width // 2, smaller.height // 2), Image.Resampling.LANCZOS)
    both = Image.new("RGB", (larger.width + smaller.width + 40, max(larger.height, smaller.height)), (128, 128, 128))
    both.paste(larger, (0, 0))
    both.paste(smaller, (larger.width + 40, 0))
    return both


def dark(picture: Image.Image) -> Image.Image:
    return ImageEnhance.Brightness(picture).enhance(0.35)


def blurred(picture: Image.Image, radius: float = 2.0) -> Image.Image:
    return picture.filter(ImageFilter.GaussianBlur(radius))


def brightness(picture: Image.Image, factor: float) -> Image.Image:
    return ImageEnhance.Brightness(picture).enhance(factor)


def encoded(picture: Image.Image, kind: str = "JPEG", orientation: int | None = None, **options) -> bytes:
    """The picture as a file. With `orientation` the pixels are stored turned and the EXIF tag says how to turn them back."""
    if orientation is not None:
        picture = stored_turned(picture, orientation)
        exif = Image.Exif()
        exif[0x0112] = orientation
        options["exif"] = exif
    if kind == "JPEG":
        options.setdefault("quality", 92)
    if kind == "WEBP":
        options.setdefault("lossless", True)
    if kind == "PNG":
        options.setdefault("compress_level", 1)
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def stored_turned(picture: Image.Image, orientation: int) -> Image.Image:
    """Pixels that show `picture` once a viewer obeys the EXIF orientation tag, 1 to 8."""
    turn = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }.get(orientation)
    return picture if turn is None else picture.transpose(turn)


def grey_16_bit_png(picture: Image.Image) -> bytes:
    grey = np.asarray(ImageOps.grayscale(picture), dtype=np.uint16) * 257
    return encoded(Image.fromarray(grey), "PNG")


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def rgba_16_bit_png(picture: Image.Image) -> bytes:
    """8 bytes a pixel once decoded, which Pillow cannot write."""
    pixels = np.asarray(picture.convert("RGBA")).astype(">u2") * 257
    pack = zlib.compressobj(1)
    rows = b"".join(pack.compress(b"\0" + row.astype(">u2").tobytes()) for row in pixels) + pack.flush()
    header = struct.pack(">IIBBBBB", picture.width, picture.height, 16, 6, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", rows) + png_chunk(b"IEND", b"")


def with_thumbnail(jpeg: bytes, thumbnail: bytes) -> bytes:
    """The JPEG file as a camera writes it: a whole small JPEG, with an end of its own, in the metadata of the large one."""
    data = b"Exif\0\0" + thumbnail
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(data) + 2) + data + jpeg[2:]


def transparent(picture: Image.Image) -> Image.Image:
    """The picture with an alpha channel, half transparent at the border."""
    alpha = Image.new("L", picture.size, 128)
    alpha.paste(255, (10, 10, picture.width - 10, picture.height - 10))
    turned = picture.convert("RGBA")
    turned.putalpha(alpha)
    return turned


def base64_of(picture: bytes | Image.Image) -> str:
    """What a client puts into `face_image`."""
    data = encoded(picture) if isinstance(picture, Image.Image) else picture
    return base64.b64encode(data).decode("ascii")


@functools.cache
def portrait(name: str) -> str:
    """Base64 of the small portrait: the picture that most tests send."""
    return base64_of(head_and_shoulders(name))


def frame(name: str, number: int) -> str:
    """The portrait as one more frame of a camera has it, its person a step further on: a picture that opened opens no second time."""
    across, step = 24, 8
    portrait = head_and_shoulders(name)
    seen = Image.new("RGB", (portrait.width + across * step, portrait.height + 80), (128, 128, 128))
    seen.paste(portrait, (number % across * step, number // across % 10 * step))
    return base64_of(seen)


@functools.cache
def photograph(name: str) -> str:
    """Base64 of the stored file."""
    return base64_of(file_bytes(name))


@functools.cache
def scenery() -> str:
    """Base64 of a good picture without a face."""
    return base64_of(without_face())


NOT_A_PICTURE = base64.b64encode(b"this is no picture, only words").decode("ascii")


def ruined(name: str) -> str:
    """A face that is found, but so blurred that every gate refuses it."""
    return base64_of(blurred(head_and_shoulders(name), 4))
