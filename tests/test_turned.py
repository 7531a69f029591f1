"""Pictures that lie on their side or upside down and have no EXIF orientation that says so."""

import pytest
from PIL import Image

import faces

TURNS = {90: Image.Transpose.ROTATE_270, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_90}
PEOPLE = ("obama", "biden", "astronaut")
# One person for certain: the same picture gives some 0.9999.
ALIKE = 0.99


def turned(name: str, degrees: int) -> Image.Image:
    """The picture turned clockwise."""
    return faces.head_and_shoulders(name).transpose(TURNS[degrees])


@pytest.mark.parametrize("degrees", TURNS)
def test_a_turned_picture_enrols_its_person(daemon, degrees):
    daemon.ask("/create/collection", collection_name="staff")
    enrolled = daemon.insert("staff", *((name, faces.base64_of(turned(name, degrees))) for name in PEOPLE))
    assert enrolled["success_num"] == len(PEOPLE), enrolled
    for name in PEOPLE:
        scores = daemon.search("staff", faces.portrait(name))
        assert max(scores, key=scores.get) == name and scores[name] > ALIKE, scores


@pytest.mark.parametrize("degrees", TURNS)
def test_a_turned_picture_is_found(daemon, degrees):
    daemon.ask("/create/collection", collection_name="staff")
    daemon.insert("staff", *((name, faces.portrait(name)) for name in PEOPLE))
    for name in PEOPLE:
        scores = daemon.search("staff", faces.base64_of(turned(name, degrees)))
        assert max(scores, key=scores.get) == name and scores[name] > ALIKE, scores


@pytest.mark.parametrize("degrees", TURNS)
def test_boxes_are_of_the_picture_as_it_is(daemon, degrees):
    picture = turned("obama", degrees)
    upright = daemon.ask("/face/detect", face_image=faces.portrait("obama"))["status"][0]
    [face] = daemon.ask("/face/detect", face_image=faces.base64_of(picture))["status"]
    left, top, width, height = upright["box"]
    x, y = left + width / 2, top + height / 2
    w, h = faces.head_and_shoulders("obama").size
    expected = {90: (h - y, x), 180: (w - x, h - y), 270: (y, w - x)}[degrees]
    left, top, width, height = face["box"]
    centre = (left + width / 2, top + height / 2)
    near = 0.15 * upright["box"][2]
    assert all(abs(a - b) < near for a, b in zip(centre, expected)), (centre, expected)
    # The person's own right eye stays where it is in the picture.
    right, left = (face["keypoints"][eye] for eye in ("right_eye", "left_eye"))
    across, down = left[0] - right[0], left[1] - right[1]
    along = {90: down, 180: -across, 270: -down}[degrees]
    assert along > 0.9 * (abs(across) + abs(down)) / 2 ** 0.5, face


@pytest.mark.parametrize("degrees", TURNS)
def test_liveness_of_a_turned_picture_is_that_of_the_upright_one(daemon, degrees):
    def live(picture) -> float:
        answer = daemon.ask("/face/detect", face_image=picture, liveness=True)
        return answer["status"][0]["liveness"]["score"]

    upright = live(faces.base64_of(faces.head_and_shoulders("obama")))
    assert abs(live(faces.base64_of(turned("obama", degrees))) - upright) < 0.1


def test_a_picture_without_a_face_has_none_at_any_turn(daemon):
    answer = daemon.ask("/face/detect", face_image=faces.base64_of(faces.without_face()))
    assert answer["status"] == []
