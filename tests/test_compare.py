"""Verification: /face/compare, and what the pictures in any request may look like."""

import base64

import pytest

import faces
from contract import assert_batch, assert_error
from faces import (
    ASTRONAUT,
    BIDEN,
    NOT_A_PICTURE,
    OBAMA,
    OBAMA_2,
    OBAMA_3,
    base64_of,
    encoded,
    head_and_shoulders,
    portrait,
    scenery,
)

MISSING = object()


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_documented_answer(daemon, method):
    """Two pictures of one person: a score from 0 to 1 and nothing else."""
    answer = daemon.ask("/face/compare", method, face_image1=portrait(OBAMA), face_image2=portrait(OBAMA_2))
    assert set(answer) == {"err_code", "score"}
    assert answer["err_code"] == 0
    assert 0.9 < answer["score"] <= 1


@pytest.mark.parametrize("name", [OBAMA, OBAMA_2, OBAMA_3, BIDEN, ASTRONAUT])
def test_the_same_picture_twice(daemon, name):
    """0.999 or more, portrait or whole photograph."""
    assert daemon.compare(portrait(name), portrait(name)) >= 0.999
    assert daemon.compare(faces.photograph(name), faces.photograph(name)) >= 0.999


@pytest.mark.parametrize("first, second", [(OBAMA, OBAMA_2), (OBAMA, OBAMA_3), (OBAMA_2, OBAMA_3)])
def test_one_person_in_two_pictures(daemon, first, second):
    """Above 0.9, whichever comes first."""
    score = daemon.compare(faces.photograph(first), faces.photograph(second))
    assert score > 0.9
    assert daemon.compare(faces.photograph(second), faces.photograph(first)) == score


@pytest.mark.parametrize(
    "first, second",
    [(OBAMA, BIDEN), (OBAMA_2, BIDEN), (OBAMA_3, BIDEN), (OBAMA, ASTRONAUT), (OBAMA_2, ASTRONAUT), (BIDEN, ASTRONAUT)],
)
def test_two_people(daemon, first, second):
    """Below 0.5, also for two men in one room under one light."""
    assert 0 <= daemon.compare(faces.photograph(first), faces.photograph(second)) < 0.5


@pytest.mark.parametrize("picture", ["close up", "dark", "blurred", "small", "grey", "strongly compressed"])
def test_everyday_pictures_are_recognised(daemon, picture):
    """A face that fills the frame, little light, a bit of blur, a small picture: still the same person."""
    whole = head_and_shoulders(OBAMA_2)
    made = {
        "close up": lambda: base64_of(faces.close_up(OBAMA_2)),
        "dark": lambda: base64_of(faces.dark(whole)),
        "blurred": lambda: base64_of(faces.blurred(whole)),
        "small": lambda: base64_of(whole.resize((160, whole.height * 160 // whole.width))),
        "grey": lambda: base64_of(whole.convert("L")),
        "strongly compressed": lambda: base64_of(encoded(whole, quality=25)),
    }[picture]()
    assert daemon.compare(made, portrait(OBAMA)) > 0.9
    assert daemon.compare(made, portrait(BIDEN)) < 0.5


LOSSLESS = {
    "PNG": lambda image: encoded(image, "PNG"),
    "PNG, strongly compressed": lambda image: encoded(image, "PNG", compress_level=9),
    "BMP": lambda image: encoded(image, "BMP"),
    "WebP": lambda image: encoded(image, "WEBP"),
}


@pytest.mark.parametrize("kind", LOSSLESS)
def test_lossless_formats_give_the_very_same_score(daemon, kind):
    """PNG, BMP and WebP hold the same pixels, so the answer is the same to the last bit."""
    image = head_and_shoulders(OBAMA)
    reference = daemon.compare(base64_of(encoded(image, "PNG")), portrait(OBAMA_2))
    assert daemon.compare(base64_of(LOSSLESS[kind](image)), portrait(OBAMA_2)) == reference


OTHER_FORMATS = {
    "progressive JPEG": lambda image: encoded(image, progressive=True),
    "JPEG without chroma subsampling": lambda image: encoded(image, subsampling=0),
    "CMYK JPEG": lambda image: encoded(image.convert("CMYK")),
    "grey JPEG": lambda image: encoded(image.convert("L")),
    "lossy WebP": lambda image: encoded(image, "WEBP", lossless=False, quality=85),
    "WebP with transparency": lambda image: encoded(faces.transparent(image), "WEBP"),
    "PNG with transparency": lambda image: encoded(faces.transparent(image), "PNG"),
    "grey PNG": lambda image: encoded(image.convert("L"), "PNG"),
    "grey PNG with transparency": lambda image: encoded(image.convert("LA"), "PNG"),
    "palette PNG": lambda image: encoded(image.quantize(256), "PNG"),
    "16-bit PNG": faces.grey_16_bit_png,
    "palette BMP": lambda image: encoded(image.quantize(256), "BMP"),
    "BMP with alpha": lambda image: encoded(faces.transparent(image), "BMP"),
}


@pytest.mark.parametrize("kind", OTHER_FORMATS)
def test_every_common_kind_of_file_shows_the_same_person(daemon, kind):
    """Whatever a camera or a phone writes as JPEG, PNG, BMP or WebP."""
    picture = base64_of(OTHER_FORMATS[kind](head_and_shoulders(OBAMA)))
    assert daemon.compare(picture, portrait(OBAMA)) >= 0.99


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_obeyed_to_the_pixel(daemon, orientation, kind):
    """A picture stored lying or mirrored, with the tag that says so, is the same picture: the score is equal, not close."""
    image = head_and_shoulders(OBAMA)
    upright = daemon.compare(base64_of(encoded(image, "PNG")), portrait(OBAMA_2))
    turned = base64_of(encoded(image, kind, orientation))
    assert daemon.compare(turned, portrait(OBAMA_2)) == upright


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_of_jpeg(daemon, orientation):
    """What phones write: each of the eight orientations gives the same face, 0.99 or more."""
    turned = base64_of(encoded(head_and_shoulders(OBAMA), "JPEG", orientation, quality=95))
    assert daemon.compare(turned, portrait(OBAMA)) >= 0.99


STANDARD = base64.b64encode(faces.file_bytes(OBAMA_2)).decode()
URL_SAFE = base64.urlsafe_b64encode(faces.file_bytes(OBAMA_2)).decode()
SPELLINGS = {
    "standard": STANDARD,
    "URL-safe alphabet": URL_SAFE,
    "without padding": STANDARD.rstrip("="),
    "URL-safe without padding": URL_SAFE.rstrip("="),
    "broken into lines": "\r\n".join(STANDARD[at : at + 76] for at in range(0, len(STANDARD), 76)) + "\r\n",
    "with blanks around": f" \t\n{STANDARD}\n ",
    "with a data prefix": f"data:image/jpeg;base64,{STANDARD}",
    "with a data prefix of another kind": f"data:image/png;base64,{STANDARD}",
    "data prefix, URL-safe, no padding": f"data:image/jpeg;base64,{URL_SAFE.rstrip('=')}",
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_of_base64(daemon, spelling):
    """Browsers, shells and phones write base64 in their own ways; the picture is the same, so is the score."""
    assert "+" in STANDARD and "/" in STANDARD and STANDARD.endswith("=")
    reference = daemon.compare(STANDARD, portrait(OBAMA))
    assert daemon.compare(SPELLINGS[spelling], portrait(OBAMA)) == reference


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "ICO", "PPM"])
def test_other_formats_are_refused(daemon, kind):
    """1010: only JPEG, PNG, BMP and WebP are decoded."""
    image = head_and_shoulders(OBAMA)
    picture = base64_of(encoded(image.quantize(256) if kind == "GIF" else image, kind))
    assert_error(daemon.ask("/face/compare", face_image1=picture, face_image2=portrait(OBAMA)), 1010)


def jpeg(kind: str) -> bytes:
    """A JPEG file as programs and cameras write it."""
    head = head_and_shoulders(OBAMA_3)
    if kind == "with a thumbnail":
        return faces.with_thumbnail(encoded(head), encoded(head.resize((80, 100))))
    return encoded(head, progressive=kind == "progressive")


JPEG_KINDS = ["baseline", "progressive", "with a thumbnail"]


@pytest.mark.parametrize("part", [0.5, 0.95])
@pytest.mark.parametrize("kind", JPEG_KINDS)
def test_a_jpeg_cut_off_in_transit_is_refused(daemon, collection, kind, part):
    """What did arrive may show a face, but not the one that was sent: search and insert refuse it with a reason."""
    whole = jpeg(kind)
    cut = base64_of(whole[: int(len(whole) * part)])
    answer = daemon.ask("/face/search", collection_name=collection, face_image=cut, top_k=1)
    assert_error(answer, 1010)
    assert answer["detail"]
    answer = daemon.insert(collection, ("obama", cut))
    assert_error(answer, 1010)
    assert_batch(answer, stored=0, invalid={0: "obama"})
    assert answer["detail"]
    answer = daemon.insert(collection, ("biden", portrait(BIDEN)), ("obama", cut))
    assert answer["err_code"] == 0
    assert_batch(answer, stored=1, invalid={1: "obama"})


@pytest.mark.parametrize(
    "tail",
    [b"\0", b"\0" * 3000, b"words after the end", encoded(head_and_shoulders(BIDEN))],
    ids=["one zero", "zeros", "words", "a second picture"],
)
@pytest.mark.parametrize("kind", JPEG_KINDS)
def test_bytes_after_the_end_of_a_jpeg_are_ignored(daemon, kind, tail):
    """Cameras and phones append padding, previews and films: the picture before them counts."""
    whole = jpeg(kind)
    reference = daemon.compare(base64_of(whole), portrait(OBAMA))
    assert reference > 0.9
    assert daemon.compare(base64_of(whole + tail), portrait(OBAMA)) == reference


@pytest.mark.parametrize("which", ["face_image1", "face_image2"])
@pytest.mark.parametrize(
    "picture, code",
    [(scenery(), 1009), (NOT_A_PICTURE, 1010), ("", 1010), ("*", 1010)],
    ids=["no face", "words", "empty", "no base64"],
)
def test_either_picture_may_be_the_bad_one(daemon, which, picture, code):
    """The code says what is wrong and the detail says with which picture."""
    fields = {"face_image1": portrait(OBAMA), "face_image2": portrait(OBAMA), which: picture}
    answer = daemon.ask("/face/compare", **fields)
    assert_error(answer, code)
    assert which in answer["detail"]


@pytest.mark.parametrize("which", ["face_image1", "face_image2"])
@pytest.mark.parametrize(
    "value",
    [MISSING, None, 5, [portrait(OBAMA)], {}, False],
    ids=["missing", "null", "number", "list", "object", "bool"],
)
def test_missing_and_mistyped_fields(daemon, which, value):
    """1011 with HTTP 400, and the detail names the field."""
    fields = {"face_image1": portrait(OBAMA), "face_image2": portrait(OBAMA), which: value}
    if value is MISSING:
        del fields[which]
    answer = daemon.ask("/face/compare", **fields)
    assert_error(answer, 1011)
    assert which in answer["detail"]


def test_detail_says_that_more_than_one_face_was_seen(daemon):
    """The larger face is compared and the answer says that there was another."""
    both = base64_of(faces.side_by_side(head_and_shoulders(OBAMA_2), head_and_shoulders(BIDEN)))
    answer = daemon.ask("/face/compare", face_image1=both, face_image2=portrait(OBAMA))
    assert answer["score"] > 0.9
    assert answer["detail"].strip()
