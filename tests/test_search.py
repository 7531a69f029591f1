"""Identification: /face/search."""

import json

import pytest

import faces
from contract import assert_error
from faces import ASTRONAUT, BIDEN, NOT_A_PICTURE, OBAMA, OBAMA_2, OBAMA_3, portrait, scenery

MISSING = object()


@pytest.fixture(scope="module")
def people(shared_daemon):
    """A collection with obama, biden and eileen, one feature each. Tests only search in it."""
    name = "search_people"
    shared_daemon.ask("/create/collection", collection_name=name)
    answer = shared_daemon.insert(
        name, ("obama", portrait(OBAMA)), ("biden", portrait(BIDEN)), ("eileen", portrait(ASTRONAUT))
    )
    assert answer["success_num"] == 3
    yield name
    shared_daemon.ask("/delete/collection", collection_name=name)


@pytest.fixture(scope="module")
def crowd(shared_daemon):
    """A collection of 105 people."""
    name = "search_crowd"
    shared_daemon.ask("/create/collection", collection_name=name)
    answer = shared_daemon.insert(name, *[(f"person_{number}", portrait(OBAMA)) for number in range(105)])
    assert answer["success_num"] == 105
    yield name
    shared_daemon.ask("/delete/collection", collection_name=name)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_person_is_found_in_another_picture(daemon, people, method):
    """The documented answer: the id and a score above 0.9."""
    answer = daemon.ask("/face/search", method, collection_name=people, face_image=portrait(OBAMA_2), top_k=1)
    assert set(answer) <= {"err_code", "status", "detail"}
    assert answer["err_code"] == 0
    assert len(answer["status"]) == 1
    assert set(answer["status"][0]) == {"result", "score"}
    assert answer["status"][0]["result"] == "obama"
    assert 0.9 < answer["status"][0]["score"] <= 1


@pytest.mark.parametrize(
    "name, expected", [(OBAMA_2, "obama"), (OBAMA_3, "obama"), (BIDEN, "biden"), (ASTRONAUT, "eileen")]
)
def test_everybody_is_told_apart(daemon, people, name, expected):
    """The right person scores above 0.9, all others below 0.5, best first."""
    found = daemon.search(people, portrait(name))
    assert list(found)[0] == expected
    assert found.pop(expected) > 0.9
    assert len(found) == 2
    assert all(0 <= score < 0.5 for score in found.values()), found


def test_the_enrolled_picture_itself(daemon, people):
    """The same picture twice scores 0.999 or more."""
    for name, target in ((OBAMA, "obama"), (BIDEN, "biden"), (ASTRONAUT, "eileen")):
        assert daemon.search(people, portrait(name))[target] >= 0.999


def test_the_whole_photograph_finds_the_same_person(daemon, people):
    """A large picture with a small head in it is as good as the portrait cut from it."""
    for name, target in ((OBAMA_3, "obama"), (BIDEN, "biden")):
        found = daemon.search(people, faces.photograph(name))
        assert list(found)[0] == target
        assert found[target] > 0.9


def test_rows_come_best_first(daemon, people):
    """Scores never rise down the list."""
    scores = list(daemon.search(people, portrait(OBAMA_2)).values())
    assert scores == sorted(scores, reverse=True)


def test_one_row_a_person_with_the_best_of_the_features(daemon, collection):
    """Someone with three features appears once, with the score of the most similar one."""
    daemon.insert(
        collection,
        ("obama", portrait(OBAMA_3)),
        ("obama", portrait(OBAMA)),
        ("obama", portrait(OBAMA_2)),
        ("biden", portrait(BIDEN)),
    )
    answer = daemon.ask("/face/search", collection_name=collection, face_image=portrait(OBAMA), top_k=10)
    assert [row["result"] for row in answer["status"]] == ["obama", "biden"]
    assert answer["status"][0]["score"] >= 0.999


@pytest.mark.parametrize("top_k, rows", [(1, 1), (2, 2), (3, 3), (4, 3), (100, 3)])
def test_top_k_bounds_the_rows(daemon, people, top_k, rows):
    """As many as asked for, or as many as there are."""
    assert len(daemon.search(people, portrait(OBAMA), top_k)) == rows


@pytest.mark.parametrize("top_k", [100, 101, 1000, 2**31, 2**32 + 1, 2**53])
def test_top_k_above_100_is_100(daemon, crowd, top_k):
    """Never more than 100 rows, and a huge number is no error."""
    assert len(daemon.search(crowd, portrait(OBAMA), top_k)) == 100


@pytest.mark.parametrize(
    "top_k",
    [MISSING, None, 0, -1, -(2**40), True, False, 1.5, "1", [1], {}],
    ids=lambda value: "missing" if value is MISSING else json.dumps(value),
)
def test_a_bad_top_k(daemon, people, top_k):
    """1011: missing, below 1, or not a whole number. `true` is not 1."""
    fields = {} if top_k is MISSING else {"top_k": top_k}
    assert_error(daemon.ask("/face/search", collection_name=people, face_image=portrait(OBAMA), **fields), 1011)


@pytest.mark.parametrize(
    "fields",
    [
        {"face_image": "x"},
        {"collection_name": "face_col"},
        {"collection_name": 1, "face_image": "x"},
        {"collection_name": "face_col", "face_image": ["x"]},
        {"collection_name": "face_col", "face_image": None},
        {"collection_name": "face_col", "face_image": 3},
    ],
    ids=json.dumps,
)
def test_missing_and_mistyped_fields(daemon, fields):
    """1011 with HTTP 400."""
    assert_error(daemon.ask("/face/search", top_k=1, **fields), 1011)


def test_an_empty_collection_finds_nobody(daemon, collection):
    """No error: an empty list."""
    answer = daemon.ask("/face/search", collection_name=collection, face_image=portrait(OBAMA), top_k=5)
    assert answer["err_code"] == 0
    assert answer["status"] == []


def test_unknown_collection(daemon, fresh_name):
    """1006."""
    assert_error(daemon.ask("/face/search", collection_name=fresh_name, face_image=portrait(OBAMA), top_k=1), 1006)


def test_no_face_in_the_picture(daemon, people):
    """1009: nobody to look for."""
    assert_error(daemon.ask("/face/search", collection_name=people, face_image=scenery(), top_k=1), 1009)


@pytest.mark.parametrize("picture", ["", "====", "%%%%", NOT_A_PICTURE, "data:image/jpeg;base64,"])
def test_no_picture(daemon, people, picture):
    """1010: neither base64 of words nor something that is no base64 is a picture."""
    assert_error(daemon.ask("/face/search", collection_name=people, face_image=picture, top_k=1), 1010)


def test_the_largest_of_several_faces_is_used_and_detail_says_so(daemon, people):
    """With two people before the camera the nearer one is identified."""
    obama, biden = faces.head_and_shoulders(OBAMA_2), faces.head_and_shoulders(BIDEN)
    for larger, smaller, expected in ((obama, biden, "obama"), (biden, obama, "biden")):
        both = faces.base64_of(faces.side_by_side(larger, smaller))
        answer = daemon.ask("/face/search", collection_name=people, face_image=both, top_k=1)
        assert answer["status"][0]["result"] == expected
        assert answer["status"][0]["score"] > 0.9
        assert answer["detail"].strip()


def test_a_single_face_needs_no_detail(daemon, people):
    """The answer is exactly the documented one when there is nothing to remark."""
    answer = daemon.ask("/face/search", collection_name=people, face_image=portrait(ASTRONAUT), top_k=1)
    assert set(answer) == {"err_code", "status"}


def test_answers_survive_a_restart_to_the_last_bit(start_daemon):
    """After a restart the same people are found with the very same scores, features and times."""
    daemon = start_daemon()
    daemon.ask("/create/collection", collection_name="face_col")
    daemon.ask("/create/collection", collection_name="empty_col")
    daemon.insert("face_col", ("obama", portrait(OBAMA)), ("obama", portrait(OBAMA_3)), ("biden", portrait(BIDEN)))
    daemon.insert("face_col", ("gone", portrait(ASTRONAUT)))
    daemon.update("face_col", ("biden", portrait(BIDEN)))
    daemon.ask("/delete/id", collection_name="face_col", target_id="gone")
    probes = [portrait(name) for name in (OBAMA, OBAMA_2, BIDEN, ASTRONAUT)]
    before = [daemon.search("face_col", probe) for probe in probes], sorted(daemon.status(), key=json.dumps)
    for end in (daemon.stop, daemon.kill):
        end()
        daemon.start()
        assert (
            [daemon.search("face_col", probe) for probe in probes],
            sorted(daemon.status(), key=json.dumps),
        ) == before
