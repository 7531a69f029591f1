"""JPEGs of many encodings, damage to them, and libjpeg-turbo's opinion: cjpeg and djpeg of the package libjpeg-turbo-progs."""

import io
import itertools
import random
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

import faces

EOI = b"\xff\xd9"

# The scans of a file as cjpeg takes them: components, coefficients, bits.
SCANS = {
    "a scan a component": "0;\n1;\n2;\n",
    "chroma apart": "0;\n1 2;\n",
    "chroma first": "2;\n1;\n0;\n",
    "spectral selection": "0,1,2: 0-0, 0, 0;\n0: 1-63, 0, 0;\n1: 1-63, 0, 0;\n2: 1-63, 0, 0;\n",
    "successive approximation": """0: 0-0, 0, 1; 1: 0-0, 0, 1; 2: 0-0, 0, 1;
0: 1-5, 0, 2; 1: 1-63, 0, 1; 2: 1-63, 0, 1; 0: 6-63, 0, 2; 0: 1-63, 2, 1;
0: 0-0, 1, 0; 1: 0-0, 1, 0; 2: 0-0, 1, 0; 1: 1-63, 1, 0; 2: 1-63, 1, 0; 0: 1-63, 1, 0;
""",
}
# Sampling of the luminance, or of each component.
SAMPLINGS = ["1x1", "2x1", "1x2", "2x2", "4x1", "1x4", "4x2", "2x2,2x1,2x1", "2x2,1x2,1x2", "2x2,2x1,1x1", "2x2,1x1,1x2"]
SAMPLINGS += ["1x1,2x1,2x1", "1x1,2x2,2x2", "1x1,1x2,1x2", "2x1,2x1,2x1", "2x1,1x1,2x1", "1x1,2x1,1x1", "3x1", "1x3"]
KINDS = {
    "baseline": [],
    "optimised": ["-optimize"],
    "progressive": ["-progressive"],
    "restarts": ["-restart", "3B"],
    "progressive with restarts": ["-progressive", "-restart", "1"],
}
QUALITIES = [30, 75, 97]
COLOURS = {
    "grey": ["-grayscale"],
    "grey 2x2": ["-grayscale", "-sample", "2x2"],
    "grey progressive": ["-grayscale", "-progressive"],
    "RGB": ["-rgb"],
    "RGB progressive": ["-rgb", "-progressive"],
    "RGB 2x1": ["-rgb", "-sample", "2x1"],
    "worst": ["-quality", "3"],
    "best": ["-quality", "100", "-sample", "1x1"],
}


def ppm(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.convert("RGB").save(out, "PPM")
    return out.getvalue()


def cjpeg(picture: bytes, *options) -> bytes:
    """The PPM `picture` as a JPEG."""
    return subprocess.run(["cjpeg", *options], input=picture, capture_output=True, check=True).stdout


def djpeg(jpeg: bytes) -> tuple[bool, bytes]:
    """Whether libjpeg-turbo takes the file without a warning, and the PPM that it makes of it."""
    done = subprocess.run(["djpeg", "-pnm", "-rgb"], input=jpeg, capture_output=True)
    return done.returncode == 0, done.stdout


def side_by_side(work, items: list) -> list:
    """Results of `work` for each item; the programs that it calls run beside each other."""
    with ThreadPoolExecutor() as pool:
        return list(pool.map(work, items))


def encodings(folder: Path) -> dict[str, bytes]:
    """Files by a name that says how they are encoded; of odd and of even sizes."""
    sources = {
        "even": ppm(faces.head_and_shoulders(faces.ASTRONAUT, 96).crop((0, 0, 96, 96))),
        "odd": ppm(faces.head_and_shoulders(faces.OBAMA, 83).crop((0, 0, 83, 101))),
    }
    for name, text in SCANS.items():
        (folder / f"{name}.scans").write_text(text)
    orders = {f"{name}": ["-scans", str(folder / f"{name}.scans")] for name in SCANS}
    wanted = {}
    for size, sampling in itertools.product(sources, SAMPLINGS):
        for kind, options in (KINDS | orders).items():
            qualities = QUALITIES if kind in ("baseline", "progressive") else [85]
            for quality in qualities:
                name = f"{size} {sampling} {kind} {quality}"
                wanted[name] = (sources[size], "-quality", str(quality), "-sample", sampling, *options)
    for size, (colour, options) in itertools.product(sources, COLOURS.items()):
        wanted[f"{size} {colour}"] = (sources[size], *options)
    files = side_by_side(lambda arguments: cjpeg(*arguments), list(wanted.values()))
    return dict(zip(wanted, files, strict=True))


def four_inks() -> dict[str, bytes]:
    """CMYK and YCCK, inverted as ever; djpeg cannot make RGB of them, Pillow's libjpeg-turbo can."""
    files = {}
    picture = faces.head_and_shoulders(faces.ASTRONAUT, 90).convert("CMYK")
    for progressive, subsampling in itertools.product([False, True], [0, 1, 2]):
        out = io.BytesIO()
        picture.save(out, "JPEG", quality=90, progressive=progressive, subsampling=subsampling)
        cmyk = out.getvalue()
        transform = cmyk.index(b"Adobe") + 11
        files[f"CMYK {progressive} {subsampling}"] = cmyk
        files[f"YCCK {progressive} {subsampling}"] = cmyk[:transform] + b"\2" + cmyk[transform + 1 :]
    return files


def without_tables(jpeg: bytes) -> bytes:
    """Without its Huffman tables, as Motion JPEG cameras send it."""
    kept, at = [jpeg[:2]], 2
    while jpeg[at + 1] != 0xDA:
        end = at + 2 + int.from_bytes(jpeg[at + 2 : at + 4])
        if jpeg[at + 1] != 0xC4:
            kept.append(jpeg[at:end])
        at = end
    return b"".join([*kept, jpeg[at:]])


def codes(jpeg: bytes) -> int:
    """Where the codes of the first scan begin."""
    at = 2
    while jpeg[at + 1] != 0xDA:
        at += 2 + int.from_bytes(jpeg[at + 2 : at + 4])
    return at + 2 + int.from_bytes(jpeg[at + 2 : at + 4])


def twenty_pictures(width: int) -> list[bytes]:
    """Five people in four encodings."""
    pictures = []
    for name in faces.HEADS:
        source = ppm(faces.head_and_shoulders(name, width))
        pictures.append(cjpeg(source, "-quality", "85"))
        pictures.append(cjpeg(source, "-quality", "92", "-sample", "1x1", "-optimize"))
        pictures.append(cjpeg(source, "-quality", "80", "-restart", "1"))
        pictures.append(cjpeg(source, "-quality", "85", "-progressive"))
    return pictures


def damage(jpeg: bytes, chance: random.Random) -> list[tuple[str, bytes]]:
    """Damaged copies by kind."""
    start, end = codes(jpeg), len(jpeg) - 2
    made = []
    for _ in range(8):
        cut = chance.randrange(start, end)
        made += [("cut", jpeg[:cut]), ("cut, with an end", jpeg[:cut] + EOI)]
    for length in (64, 128, 256, 512, 1000, 1400):
        for _ in range(2):
            if end - length > start:
                at = chance.randrange(start, end - length)
                made.append(("bytes lost", jpeg[:at] + jpeg[at + length :]))
                made.append(("bytes zeroed", jpeg[:at] + bytes(length) + jpeg[at + length :]))
    marks = [at for at in range(start, end) if jpeg[at] == 0xFF and 0xD0 <= jpeg[at + 1] <= 0xD7]
    if len(marks) > 2:
        for _ in range(4):
            one, two = chance.sample(marks, 2)
            swapped = bytearray(jpeg)
            swapped[one + 1], swapped[two + 1] = jpeg[two + 1], jpeg[one + 1]
            if bytes(swapped) != jpeg:
                made.append(("restart markers swapped", bytes(swapped)))
    for at in range(0, len(jpeg), 64):
        inverted = bytearray(jpeg)
        inverted[at] ^= 0xFF
        made.append(("byte inverted", bytes(inverted)))
    return made


def pixels(file: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(file)).convert("RGB"), dtype=np.int16)
