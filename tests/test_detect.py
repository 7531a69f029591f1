"""/face/detect: every face of a picture with its place, quality and, if asked for, liveness."""

import pytest
from PIL import Image

import attacks
import faces
from contract import assert_error
from faces import ASTRONAUT, BIDEN, HEADS, NOT_A_PICTURE, OBAMA, OBAMA_2, base64_of, head_and_shoulders, portrait, scenery

KEYPOINTS = {"right_eye", "left_eye", "nose", "mouth", "right_ear", "left_ear"}
MISSING = object()


def detect(daemon, picture, **extra):
    answer = daemon.ask("/face/detect", face_image=picture, **extra)
    assert answer["err_code"] == 0, answer
    return answer["status"]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_face_has_a_box_a_score_keypoints_and_quality(daemon, method):
    """The documented answer, by both methods."""
    answer = daemon.ask("/face/detect", method, face_image=portrait(OBAMA))
    assert answer["err_code"] == 0
    (face,) = answer["status"]
    assert set(face) == {"box", "score", "keypoints", "quality"}
    assert len(face["box"]) == 4 and all(isinstance(side, float) for side in face["box"])
    assert 0.5 <= face["score"] <= 1
    assert set(face["keypoints"]) == KEYPOINTS
    assert face["quality"] and all(0 <= value <= 100 for value in face["quality"].values())


@pytest.mark.parametrize("name", HEADS)
def test_the_box_lies_on_the_head(daemon, name):
    """In pixels of the picture: inside the head, hair to chin, and its keypoints in the order of a face."""
    (face,) = detect(daemon, faces.photograph(name))
    left, top, right, bottom = HEADS[name]
    x, y, width, height = face["box"]
    assert left <= x + width / 2 <= right and top <= y + height / 2 <= bottom
    assert 0.3 < width / (right - left) < 1.3
    points = face["keypoints"]
    # The person's own right is on the left of the picture.
    assert points["right_eye"][0] < points["nose"][0] < points["left_eye"][0]
    assert points["right_eye"][1] < points["nose"][1] < points["mouth"][1]


def test_several_faces_come_largest_first(daemon):
    """Both people, each where they are."""
    both = faces.side_by_side(head_and_shoulders(OBAMA_2), head_and_shoulders(BIDEN))
    large, small = detect(daemon, base64_of(both))
    assert large["box"][2] * large["box"][3] > small["box"][2] * small["box"][3]
    assert large["box"][0] < 320 < small["box"][0]


def test_a_face_that_fills_the_frame_is_found(daemon):
    """As when a person stands right before a terminal."""
    assert len(detect(daemon, base64_of(faces.close_up(OBAMA)))) == 1


@pytest.mark.parametrize(
    "picture", [scenery(), base64_of(Image.new("RGB", (320, 240), (128, 128, 128)))], ids=["curtains", "grey"]
)
def test_no_face_is_an_empty_list(daemon, picture):
    """Not an error: asking what is there is answered with nothing."""
    answer = daemon.ask("/face/detect", face_image=picture, liveness=True)
    assert answer["err_code"] == 0 and answer["status"] == []


def test_liveness_of_every_face_if_asked_for(daemon):
    """A portrait is live, a screen with one is not; without asking there is no word of it."""
    (live,) = detect(daemon, portrait(OBAMA), liveness=True)
    (attack,) = detect(daemon, base64_of(attacks.screen_held_up(OBAMA)), liveness=True)
    assert live["liveness"]["live"] is True and attack["liveness"]["live"] is False
    assert live["liveness"]["score"] > attack["liveness"]["score"]
    (silent,) = detect(daemon, portrait(OBAMA), liveness=False)
    assert "liveness" not in silent


def test_nothing_is_refused_where_liveness_and_quality_are_enforced(start_daemon):
    """This endpoint says what the others would say."""
    daemon = start_daemon(config='[liveness]\nmode = "enforce"\n[quality.search]\nsharpness = 100\n')
    (attack,) = detect(daemon, base64_of(attacks.screen_held_up(ASTRONAUT)), liveness=True)
    assert attack["liveness"]["live"] is False
    assert attack["quality"]["sharpness"] < 100


def test_liveness_that_is_switched_off_is_refused(start_daemon):
    """1011 with the reason, and without asking all is well."""
    daemon = start_daemon(config='[liveness]\nmode = "off"\n')
    assert_error(daemon.ask("/face/detect", face_image=portrait(OBAMA), liveness=True), 1011)
    assert len(detect(daemon, portrait(OBAMA))) == 1


@pytest.mark.parametrize("value", [MISSING, None, 7, ["x"], {}])
def test_a_missing_or_wrong_picture_names_the_field(daemon, value):
    """1011 with HTTP 400."""
    fields = {} if value is MISSING else {"face_image": value}
    answer = daemon.ask("/face/detect", **fields)
    assert_error(answer, 1011)
    assert "face_image" in answer["detail"]


@pytest.mark.parametrize("picture", [NOT_A_PICTURE, "", "?"])
def test_what_is_no_picture_is_1010(daemon, picture):
    """Also where no face would be no error."""
    assert_error(daemon.ask("/face/detect", face_image=picture), 1010)


def test_the_same_picture_gives_the_same_answer(daemon):
    """To the last digit."""
    assert detect(daemon, portrait(OBAMA), liveness=True) == detect(daemon, portrait(OBAMA), liveness=True)
