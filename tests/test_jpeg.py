"""JPEGs: every encoding looks as libjpeg-turbo shows it, and what it warns of or refuses is refused."""

import base64
import collections
import json
import random

import numpy as np
import pytest

import faces
import jpegs
from daemon import run
from faces import BIDEN, OBAMA, portrait

# Apart from libjpeg-turbo's, in steps of 255: rounding, and interpolation of chroma. Noise is apart by 60 and more.
MEAN_APART = 0.5
MOST_APART = 8


def decoded(folder, files: list[bytes], pixels=False) -> list[dict]:
    """What the program makes of each file: its size, or why it is refused."""
    paths = []
    for number, file in enumerate(files):
        paths.append(folder / f"{number}.jpg")
        paths[-1].write_bytes(file)
    options = ["--pixels", folder] if pixels else []
    done = run("bench", "decode", "--json", *options, *paths, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["images"]


def apart(folder, number: int, reference: np.ndarray) -> tuple[float, int]:
    ours = jpegs.pixels((folder / f"{number}.ppm").read_bytes())
    assert ours.shape == reference.shape
    difference = np.abs(ours - reference)
    return float(difference.mean()), int(difference.max())


def test_four_hundred_encodings_look_as_libjpeg_turbo_shows_them(tmp_path):
    files = jpegs.encodings(tmp_path)
    assert len(files) >= 400
    references = jpegs.side_by_side(jpegs.djpeg, list(files.values()))
    rows = decoded(tmp_path, list(files.values()), pixels=True)
    wrong = {}
    for number, (name, (whole, reference)) in enumerate(zip(files, references, strict=True)):
        assert whole, f"{name}: libjpeg-turbo warns"
        if "refused" in rows[number]:
            wrong[name] = rows[number]["refused"]
            continue
        mean, most = apart(tmp_path, number, jpegs.pixels(reference))
        if mean > MEAN_APART or most > MOST_APART:
            wrong[name] = (mean, most)
    assert not wrong


def test_four_inks_look_as_pillow_shows_them(tmp_path):
    files = jpegs.four_inks()
    rows = decoded(tmp_path, list(files.values()), pixels=True)
    for number, (name, file) in enumerate(files.items()):
        assert "refused" not in rows[number], (name, rows[number])
        mean, most = apart(tmp_path, number, jpegs.pixels(file))
        assert mean <= MEAN_APART and most <= MOST_APART, (name, mean, most)


def test_a_frame_without_huffman_tables_is_read_with_the_standard_ones(tmp_path):
    whole = jpegs.cjpeg(jpegs.ppm(faces.head_and_shoulders(OBAMA, 96)), "-quality", "85")
    bare = jpegs.without_tables(whole)
    assert b"\xff\xc4" not in bare[: jpegs.codes(bare)]
    marked = bare[:2] + b"\xff\xe0\0\x10AVI1\0\0\0\0\0\0\0\0\0\0" + bare[2:]
    rows = decoded(tmp_path, [whole, bare, marked], pixels=True)
    assert all("refused" not in row for row in rows), rows
    shown = [(tmp_path / f"{number}.ppm").read_bytes() for number in range(3)]
    assert shown[0] == shown[1] == shown[2]


@pytest.mark.parametrize("options", [["-arithmetic"], ["-arithmetic", "-progressive"]])
def test_arithmetic_coding_is_refused_by_its_name(tmp_path, options):
    file = jpegs.cjpeg(jpegs.ppm(faces.head_and_shoulders(OBAMA, 96)), *options)
    assert "an arithmetic-coded JPEG" in decoded(tmp_path, [file])[0]["refused"]


def test_what_libjpeg_turbo_warns_of_is_refused(tmp_path):
    """Twenty pictures, cut, with bytes lost, zeroed and inverted, with restart markers swapped."""
    chance = random.Random(19)
    pictures = jpegs.twenty_pictures(96)
    damaged = [made for picture in pictures for made in jpegs.damage(picture, chance)]
    opinions = jpegs.side_by_side(lambda made: jpegs.djpeg(made[1])[0], damaged)
    rows = decoded(tmp_path, pictures + [file for _, file in damaged])
    assert not [row for row in rows[: len(pictures)] if "refused" in row]
    warned = collections.Counter()
    for number, ((kind, file), whole) in enumerate(zip(damaged, opinions, strict=True)):
        if not whole:
            warned[kind] += 1
            refused = rows[len(pictures) + number].get("refused")
            assert refused, f"{kind}, picture {len(pictures) + number}: libjpeg-turbo warns, and it is taken"
    # The damage is damage.
    assert warned["cut"] == 160 and warned["bytes lost"] >= 100 and warned["restart markers swapped"] >= 10
    assert warned["bytes zeroed"] >= 80 and warned["byte inverted"] >= 200


@pytest.mark.parametrize("path", ["/face/detect", "/face/feature", "/face/search", "/face/compare"])
def test_a_damaged_picture_is_refused_by_every_endpoint(daemon, collection, path):
    image = "face_image1" if path == "/face/compare" else "face_image"
    fields = {image: damaged_portrait(), "collection_name": collection, "top_k": 1, "face_image2": portrait(BIDEN)}
    answer = daemon.ask(path, **fields)
    assert answer["err_code"] == 1010
    assert answer["detail"].startswith(f"{image}: the JPEG is damaged: "), answer


def test_a_damaged_picture_is_not_enrolled(daemon, collection):
    for change in (daemon.insert, daemon.update):
        assert daemon.insert(collection, ("biden", portrait(BIDEN)))["err_code"] == 0
        answer = change(collection, ("biden", damaged_portrait()))
        assert answer["err_code"] == 1010, answer
        assert "the JPEG is damaged: " in json.dumps(answer)


def damaged_portrait() -> str:
    """A thousand bytes of the middle were lost."""
    whole = faces.file_bytes(OBAMA)
    start = jpegs.codes(whole)
    middle = start + (len(whole) - start) // 2
    return base64.b64encode(whole[:middle] + whole[middle + 1000 :]).decode()


def test_what_lies_behind_the_picture_does_not_count(daemon, collection):
    """Motion photos, second pictures, trailers of phones: cut or not."""
    whole = faces.file_bytes(OBAMA)
    assert daemon.insert(collection, ("obama", portrait(OBAMA)))["err_code"] == 0
    expected = daemon.search(collection, base64.b64encode(whole).decode())
    for trailer in (b"\xff\xda", b"\0\0\0\x18ftypmp42" + bytes(500), whole[: len(whole) // 2], b"SEFT"):
        assert daemon.search(collection, base64.b64encode(whole + trailer).decode()) == expected


def test_damage_outside_the_picture_does_not_count(daemon, collection):
    whole = faces.file_bytes(OBAMA)
    assert daemon.insert(collection, ("obama", portrait(OBAMA)))["err_code"] == 0
    expected = daemon.search(collection, base64.b64encode(whole).decode())
    thumbnail = b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + whole[:300]
    for marker, body in ((0xE1, thumbnail), (0xE2, b"MPF\0MM\0*\xff"), (0xED, b"Photoshop 3.0\0"), (0xFE, b"\xff\xd9")):
        segment = bytes([0xFF, marker]) + (len(body) + 2).to_bytes(2) + body
        picture = whole[:2] + segment + whole[2:]
        assert daemon.search(collection, base64.b64encode(picture).decode()) == expected
