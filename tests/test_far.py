"""`"far": true` and `recognition.far`: faces far away, near, tilted, dark, backlit, and what they cost those who do not ask: nothing."""

import functools
import math

import pytest
from PIL import Image

import faces
from contract import assert_error
from faces import ASTRONAUT, BIDEN, HEADS, OBAMA, OBAMA_2, OBAMA_3, base64_of, photograph, portrait, scenery

PEOPLE = [OBAMA, OBAMA_2, OBAMA_3, BIDEN, ASTRONAUT]
GREY = (128, 128, 128)
# Pixels of the detector's box in the stored pictures.
WIDTHS = {OBAMA: 280, OBAMA_2: 358, OBAMA_3: 127, BIDEN: 158, ASTRONAUT: 111}


@functools.cache
def bust(name: str, width: int) -> Image.Image:
    """Head and shoulders, the face some `width` pixels wide."""
    left, _, right, _ = HEADS[name]
    return faces.head_and_shoulders(name, round(2 * (right - left) * width / WIDTHS[name]))


def scene(size: tuple[int, int], *people: tuple[Image.Image, float, float]) -> Image.Image:
    """A grey room with people in it, each around a place given in shares of its sides."""
    room = Image.new("RGB", size, GREY)
    for person, x, y in people:
        room.paste(person, (round(size[0] * x - person.width / 2), round(size[1] * y - person.height / 2)))
    return room


def detect(daemon, picture: Image.Image, **extra) -> list:
    answer = daemon.ask("/face/detect", face_image=base64_of(picture), **extra)
    assert answer["err_code"] == 0, answer
    return answer["status"]


def lies_at(face: dict, x: float, y: float, width: float) -> bool:
    """Whether a row is of the face of this width around this place."""
    left, top, wide, high = face["box"]
    return (
        abs(left + wide / 2 - x) < 0.6 * width and abs(top + high / 2 - y) < 0.6 * width and 0.6 < wide / width < 1.6
    )


@pytest.mark.parametrize("name", PEOPLE)
def test_a_small_face_is_found_by_a_far_look_alone(daemon, name):
    """48 pixels of 1920, which one pass of the detector sees as 5 of 192."""
    room = scene((1920, 1080), (bust(name, 48), 0.625, 0.375))
    assert detect(daemon, room) == []
    (face,) = detect(daemon, room, far=True)
    assert lies_at(face, 1200, 405, 48)
    assert face["quality"] is not None


@pytest.mark.parametrize("width", [20, 40, 80, 160, 320, 640])
def test_every_width_in_a_frame_of_a_camera(daemon, width):
    """Also at the borders of tiles, and each face once."""
    for x, y in [(0.5, 0.5), (0.33, 0.62), (0.675, 0.4)]:
        room = scene((max(640, width * 3), max(480, width * 3)), (bust(OBAMA, width), x, y))
        (face,) = detect(daemon, room, far=True)
        assert lies_at(face, room.width * x, room.height * y, width), (width, x, y, face["box"])


@pytest.mark.parametrize("far", [False, True])
@pytest.mark.parametrize("name", PEOPLE)
def test_a_face_2000_pixels_wide(daemon, name, far):
    """The head fills a frame of 2,000 pixels."""
    picture = faces.close_up(name)
    picture = picture.resize((2000, picture.height * 2000 // picture.width), Image.Resampling.LANCZOS)
    (face,) = detect(daemon, picture, far=far)
    assert face["box"][2] > 1000


@pytest.mark.parametrize("far", [False, True])
@pytest.mark.parametrize("degrees", [-45, -30, 30, 45])
@pytest.mark.parametrize("name", PEOPLE)
def test_a_tilted_head(daemon, name, degrees, far):
    """30 and 45 degrees to either shoulder; the line between the eyes is tilted as much."""
    straight = faces.head_and_shoulders(name)
    (before,) = detect(daemon, straight, far=far)
    (face,) = detect(daemon, straight.rotate(degrees, Image.Resampling.BICUBIC, fillcolor=GREY), far=far)
    assert abs(tilt(before) - tilt(face) - degrees) < 15


def tilt(face: dict) -> float:
    """Degrees by which the line between the eyes falls to the right of the picture."""
    (x1, y1), (x2, y2) = face["keypoints"]["right_eye"], face["keypoints"]["left_eye"]
    return math.degrees(math.atan2(y2 - y1, x2 - x1))


@pytest.mark.parametrize("far", [False, True])
@pytest.mark.parametrize("light", [0.35, 0.1])
@pytest.mark.parametrize("name", PEOPLE)
def test_a_dark_face(daemon, name, light, far):
    """With a third and a tenth of the light. What a far look takes for a face in the dark noise beside it has no quality."""
    found = detect(daemon, faces.brightness(faces.head_and_shoulders(name), light), far=far)
    assert [face["quality"] is not None for face in found].count(True) == 1
    assert found[0]["quality"] is not None


@pytest.mark.parametrize("far", [False, True])
@pytest.mark.parametrize("name", PEOPLE)
def test_a_face_before_a_bright_window(daemon, name, far):
    """A fifth of the light on the person, white around."""
    person = faces.brightness(faces.head_and_shoulders(name), 0.2)
    room = Image.new("RGB", (person.width * 2, person.height * 2), (255, 255, 255))
    room.paste(person, (person.width // 2, person.height))
    assert len(detect(daemon, room, far=far)) == 1


def test_people_of_every_size_are_each_listed_once_the_largest_first(daemon):
    """From 400 pixels, which no tile has whole, to 40."""
    places = [(OBAMA, 400, 0.25, 0.5), (BIDEN, 160, 0.6, 0.7), (ASTRONAUT, 80, 0.8, 0.2), (OBAMA_3, 40, 0.6, 0.15)]
    room = scene((1920, 1080), *((bust(name, width), x, y) for name, width, x, y in places))
    found = detect(daemon, room, far=True)
    assert len(found) == len(places)
    for face, (_, width, x, y) in zip(found, places, strict=True):
        assert lies_at(face, 1920 * x, 1080 * y, width)


def test_no_face_is_still_none(daemon):
    """Curtains and a grey wall."""
    assert daemon.ask("/face/detect", face_image=scenery(), far=True)["status"] == []
    assert detect(daemon, Image.new("RGB", (1280, 720), GREY), far=True) == []
    assert_error(daemon.ask("/face/compare", face_image1=scenery(), face_image2=scenery(), far=True), 1009)


def test_a_far_person_is_recognised_where_far_is_asked_for(daemon, collection):
    """Search, comparison and enrolment; without the field each says that there is no face."""
    daemon.insert(collection, (OBAMA, portrait(OBAMA)), (BIDEN, portrait(BIDEN)))
    room = base64_of(scene((1920, 1080), (bust(OBAMA_2, 60), 0.625, 0.375)))
    search = {"collection_name": collection, "face_image": room, "top_k": 1}
    assert_error(daemon.ask("/face/search", **search), 1009)
    found = daemon.ask("/face/search", **search, far=True)
    assert found["err_code"] == 0 and found["status"][0]["result"] == OBAMA

    pair = {"face_image1": room, "face_image2": portrait(OBAMA)}
    assert_error(daemon.ask("/face/compare", **pair, far=False), 1009)
    same = daemon.ask("/face/compare", **pair, far=True)
    other = daemon.ask("/face/compare", face_image1=room, face_image2=portrait(BIDEN), far=True)
    assert same["err_code"] == 0 and same["score"] > 0.9 > other["score"]

    row = {"collection_name": collection, "face_image": [room], "target_id": ["far"]}
    assert_error(daemon.ask("/face/insert", **row), 1009)
    assert daemon.ask("/face/insert", **row, far=True)["success_num"] == 1
    assert daemon.ask("/face/update", **row, far=True)["success_num"] == 1


def test_of_several_faces_the_largest_counts_from_afar_too(daemon, collection):
    """The rule is the same, whoever a tile shows better."""
    daemon.insert(collection, (OBAMA, portrait(OBAMA)), (BIDEN, portrait(BIDEN)))
    room = base64_of(scene((1920, 1080), (bust(BIDEN, 60), 0.2, 0.5), (bust(OBAMA_2, 100), 0.7, 0.5)))
    found = daemon.ask("/face/search", collection_name=collection, face_image=room, top_k=1, far=True)
    assert found["status"][0]["result"] == OBAMA
    assert "2 faces were seen" in found["detail"]


@functools.cache
def face_box(daemon, name: str) -> tuple[float, float, float, float]:
    """Left, top, width and height of the face in the stored picture."""
    return tuple(max(daemon.ask("/face/detect", face_image=photograph(name))["status"], key=lambda f: f["box"][2])["box"])


@pytest.mark.parametrize("far", [False, True])
@pytest.mark.parametrize("zoom, beside", [(1.0, False), (1.15, False), (1.3, False), (1.0, True)])
@pytest.mark.parametrize("name", [BIDEN, OBAMA_2, OBAMA_3, ASTRONAUT])
def test_a_bystander_never_stands_in_for_who_fills_the_frame(daemon, name, zoom, beside, far):
    """Behind their shoulder, within the box of the large face, or beside it: small faces are the ones a detector sees best."""
    x, y, width, height = face_box(daemon, name)
    centre, half = (x + width / 2, y + height / 2), max(width, height) * zoom / 2
    square = (centre[0] - half, centre[1] - half, centre[0] + half, centre[1] + half)
    near = faces.image(name).crop(tuple(map(round, square))).resize((600, 600), Image.Resampling.LANCZOS)
    frame = Image.new("RGB", (800 if beside else 600, 600), GREY)
    frame.paste(near, (0, 0))
    for side in (110, 150):
        picture = frame.copy()
        bystander = faces.head_and_shoulders(OBAMA, side)
        picture.paste(bystander, (frame.width - side, 0))
        largest = detect(daemon, picture, far=far)[0]
        assert lies_at(largest, 300, 300, 600 / zoom), (side, largest["box"])


@pytest.mark.parametrize("value", [1, "true", None, []])
@pytest.mark.parametrize("path", ["/face/detect", "/face/search", "/face/compare", "/face/feature", "/face/insert", "/face/update"])
def test_far_is_true_or_false(daemon, collection, path, value):
    """1011 that names the field."""
    picture = portrait(OBAMA)
    fields = {"face_image1": picture, "face_image2": picture} if path == "/face/compare" else {"face_image": picture}
    if path in ("/face/insert", "/face/update"):
        fields = {"face_image": [picture], "target_id": ["a"]}
    answer = daemon.ask(path, **fields, collection_name=collection, top_k=1, far=value)
    assert_error(answer, 1011)
    assert "far" in answer["detail"]


def test_far_that_is_false_is_as_if_it_were_not_there(daemon):
    """To the last digit."""
    for name in PEOPLE:
        picture = faces.image(name)
        assert detect(daemon, picture) == detect(daemon, picture, far=False)


def test_the_configuration_asks_for_far_where_nothing_else_finds_a_face(start_daemon, daemon):
    """A small face is found without the field; what was found at first is found as before."""
    mine = start_daemon(config="[recognition]\nfar = \"always\"\n")
    room = scene((1920, 1080), (bust(BIDEN, 48), 0.3, 0.6))
    (face,) = detect(mine, room)
    assert lies_at(face, 576, 648, 48)
    near = scene((640, 480), (bust(OBAMA, 120), 0.4, 0.5), (bust(ASTRONAUT, 20), 0.8, 0.2))
    assert detect(mine, near) == detect(daemon, near)
    assert len(detect(daemon, near)) == 1


def test_a_far_look_says_the_same_twice(daemon):
    """To the last digit."""
    room = scene((1920, 1080), (bust(OBAMA_2, 70), 0.625, 0.375), (bust(BIDEN, 200), 0.2, 0.6))
    assert detect(daemon, room, far=True, liveness=True) == detect(daemon, room, far=True, liveness=True)


def test_far_can_be_switched_off(start_daemon):
    """Who asks is told which key forbids it; who does not ask is served."""
    mine = start_daemon(config='[recognition]\nfar = "off"\n')
    answer = mine.ask("/face/detect", face_image=portrait(BIDEN), far=True)
    assert_error(answer, 1011)
    assert "recognition.far" in answer["detail"]
    assert len(mine.ask("/face/detect", face_image=portrait(BIDEN), far=False)["status"]) == 1


def test_a_batch_looked_at_from_afar_is_small(daemon, collection):
    """Seventeen are refused before any is looked at, sixteen are not."""
    row = {"collection_name": collection, "far": True}
    answer = daemon.ask("/face/insert", **row, face_image=[scenery()] * 17, target_id=["a"] * 17)
    assert_error(answer, 1011)
    assert "16" in answer["detail"]
    assert_error(daemon.ask("/face/insert", **row, face_image=[faces.NOT_A_PICTURE] * 16, target_id=["a"] * 16), 1010)
