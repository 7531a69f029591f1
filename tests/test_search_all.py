"""/face/search with "all": everybody in a picture, each as a search of that face alone would find them."""

import pytest
from PIL import Image

from contract import assert_error
from faces import (
    ASTRONAUT,
    BIDEN,
    OBAMA,
    base64_of,
    blurred,
    encoded,
    head_and_shoulders,
    portrait,
    scenery,
)

WIDTHS = {OBAMA: 360, ASTRONAUT: 320, BIDEN: 280}


def row_of(*pictures: Image.Image) -> tuple[Image.Image, list[tuple[int, int, int, int]]]:
    """The pictures side by side on grey, and where each one is."""
    gap, height = 40, max(picture.height for picture in pictures)
    canvas = Image.new("RGB", (sum(picture.width + gap for picture in pictures) + gap, height + 2 * gap), (128, 128, 128))
    places, left = [], gap
    for picture in pictures:
        canvas.paste(picture, (left, gap))
        places.append((left, gap, left + picture.width, gap + picture.height))
        left += picture.width + gap
    return canvas, places


@pytest.fixture(scope="module")
def group():
    """Three people of three sizes in one picture."""
    return row_of(*[head_and_shoulders(who, width) for who, width in WIDTHS.items()])


@pytest.fixture(scope="module")
def staff(shared_daemon):
    name = "search_all_staff"
    shared_daemon.ask("/create/collection", collection_name=name)
    shared_daemon.insert(name, *[(who, portrait(who)) for who in WIDTHS])
    yield name
    shared_daemon.ask("/delete/collection", collection_name=name)


def search(daemon, collection, picture, **more):
    return daemon.ask("/face/search", collection_name=collection, face_image=picture, **{"top_k": 1, **more})


def who_is_where(answer, places) -> dict[int, dict]:
    """The rows by the place in which the middle of their box lies."""
    found = {}
    for row in answer["status"]:
        left, top, width, height = row["box"]
        x, y = left + width / 2, top + height / 2
        (place,) = [n for n, box in enumerate(places) if box[0] <= x <= box[2] and box[1] <= y <= box[3]]
        assert place not in found, answer
        found[place] = row
    return found


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_everybody_is_named_as_by_a_search_of_each_alone(daemon, staff, group, method):
    """Largest first, with box and matches; the score is that of the crop, within what another frame changes."""
    picture, places = group
    body = {"collection_name": staff, "face_image": base64_of(encoded(picture)), "top_k": 3, "all": True}
    answer = daemon.ask("/face/search", method, **body)
    assert set(answer) == {"err_code", "status"} and answer["err_code"] == 0, answer
    sizes = [row["box"][2] * row["box"][3] for row in answer["status"]]
    assert len(sizes) == 3 and sizes == sorted(sizes, reverse=True)
    rows = who_is_where(answer, places)
    for place, who in enumerate(WIDTHS):
        assert set(rows[place]) == {"box", "matches"}
        matches = rows[place]["matches"]
        assert [match["result"] for match in matches][0] == who and len(matches) == 3
        alone = search(daemon, staff, base64_of(encoded(picture.crop(places[place]))))["status"][0]
        assert alone["result"] == who
        assert matches[0]["score"] == pytest.approx(alone["score"], abs=0.02)


def test_the_answer_without_all_is_what_it_was(daemon, staff, group):
    """One row a person for the largest face, and the remark."""
    picture = base64_of(encoded(group[0]))
    for more in ({}, {"all": False}):
        answer = search(daemon, staff, picture, **more)
        assert [row["result"] for row in answer["status"]] == [OBAMA]
        assert "3 faces were seen" in answer["detail"]


def test_a_face_below_the_gate_is_listed_with_its_reason(daemon, staff):
    """1017 in its row; the others are found."""
    picture, places = row_of(head_and_shoulders(OBAMA, 320), blurred(head_and_shoulders(BIDEN, 320), 6.0))
    rows = who_is_where(search(daemon, staff, base64_of(encoded(picture)), all=True), places)
    assert rows[0]["matches"][0]["result"] == OBAMA
    assert rows[1]["matches"] == [] and rows[1]["err_code"] == 1017
    assert "sharpness" in rows[1]["detail"]


def test_each_face_is_judged_for_liveness_where_that_is_asked(daemon, staff, group):
    """A judgement a row."""
    answer = search(daemon, staff, base64_of(encoded(group[0])), all=True, liveness=True)
    assert len(answer["status"]) == 3
    for row in answer["status"]:
        assert 0 <= row["liveness"]["score"] <= 1 and isinstance(row["liveness"]["live"], bool)


def test_the_door_is_left_alone(daemon, staff, group):
    """With `open` it is 1011, with or without a door."""
    answer = search(daemon, staff, base64_of(encoded(group[0])), all=True, open=True)
    assert_error(answer, 1011)
    assert answer["detail"].startswith("all: ") and "door" not in answer


def test_mistakes_are_those_of_a_search(daemon, staff):
    """Nobody in the picture, no such collection, wrong values."""
    assert_error(search(daemon, staff, scenery(), all=True), 1009)
    assert_error(search(daemon, "not_there", portrait(OBAMA), all=True), 1006)
    assert_error(search(daemon, staff, portrait(OBAMA), all=True, top_k=0), 1011)
    for value in (1, "true", None):
        answer = search(daemon, staff, portrait(OBAMA), all=value)
        assert_error(answer, 1011)
        assert "all" in answer["detail"]
