"""Enrolment: /face/insert."""

import json

import pytest

import faces
from contract import assert_batch, assert_error
from faces import ASTRONAUT, BIDEN, NOT_A_PICTURE, OBAMA, OBAMA_2, portrait, scenery

INSERTED = "Add vectors successfully!"
MISSING = object()


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_enrol_one_person_and_find_her(daemon, collection, method):
    """The answer is the documented one, field by field, and the person is found."""
    answer = daemon.ask(
        "/face/insert", method, collection_name=collection, face_image=[portrait(ASTRONAUT)], target_id=["eileen"]
    )
    assert answer == {
        "err_code": 0,
        "status": INSERTED,
        "success_num": 1,
        "quota_exceeded_target_id": [],
        "invalid": {"invalid_num": 0, "message": {"invalid_id": [], "invalid_index": []}},
    }
    assert daemon.search(collection, portrait(ASTRONAUT))["eileen"] >= 0.999
    assert daemon.features(collection) == 1


def test_a_batch_of_several_people_with_several_pictures(daemon, collection):
    """As in the documented example: two pictures of one person, one of another, in one request."""
    answer = daemon.insert(
        collection, ("obama", portrait(OBAMA)), ("obama", portrait(OBAMA_2)), ("biden", portrait(BIDEN))
    )
    assert answer["err_code"] == 0
    assert_batch(answer, stored=3)
    assert daemon.features(collection) == 3
    assert set(daemon.search(collection, portrait(OBAMA))) == {"obama", "biden"}


def test_pictures_that_cannot_be_used_are_named_and_the_rest_is_stored(daemon, collection):
    """Each refused item is reported by its id and its place in the batch; both lists stay aligned."""
    answer = daemon.insert(
        collection,
        ("words", NOT_A_PICTURE),
        ("obama", portrait(OBAMA)),
        ("curtain", scenery()),
        ("words", "%%%"),
        ("biden", portrait(BIDEN)),
        ("empty", ""),
    )
    assert answer["err_code"] == 0
    assert answer["status"] == INSERTED
    assert_batch(answer, stored=2, invalid={0: "words", 2: "curtain", 3: "words", 5: "empty"})
    assert answer["invalid"]["message"]["invalid_index"] == [0, 2, 3, 5]
    assert set(daemon.search(collection, portrait(OBAMA))) == {"obama", "biden"}


def test_a_person_has_five_features_at_most(daemon, collection):
    """Of seven pictures in one batch the first five are stored and the id is listed once."""
    answer = daemon.insert(collection, *[("obama", portrait(OBAMA))] * 7)
    assert answer["err_code"] == 0
    assert_batch(answer, stored=5, over_quota=["obama"])
    assert daemon.features(collection) == 5


def test_the_five_are_counted_over_all_requests(daemon, collection):
    """Three are there, four come: two are stored, and the others of the batch are not affected."""
    daemon.insert(collection, *[("obama", portrait(OBAMA))] * 3)
    answer = daemon.insert(collection, *[("obama", portrait(OBAMA))] * 4, ("biden", portrait(BIDEN)))
    assert answer["err_code"] == 0
    assert_batch(answer, stored=3, over_quota=["obama"])
    assert daemon.features(collection) == 6


def test_pictures_are_taken_in_order_when_only_some_fit(daemon, collection):
    """The fifth place goes to the first picture of the batch, not to any other."""
    daemon.insert(collection, *[("someone", portrait(OBAMA))] * 4)
    answer = daemon.insert(collection, ("someone", portrait(BIDEN)), ("someone", portrait(ASTRONAUT)))
    assert_batch(answer, stored=1, over_quota=["someone"])
    assert daemon.search(collection, portrait(BIDEN))["someone"] >= 0.999
    assert daemon.search(collection, portrait(ASTRONAUT))["someone"] < 0.5


def test_refused_pictures_take_no_place_of_the_five(daemon, collection):
    """Pictures without a face do not count against the quota."""
    answer = daemon.insert(
        collection, ("obama", scenery()), ("obama", NOT_A_PICTURE), *[("obama", portrait(OBAMA))] * 5
    )
    assert answer["err_code"] == 0
    assert_batch(answer, stored=5, invalid={0: "obama", 1: "obama"})


def test_a_full_person_is_refused_with_1007(daemon, collection):
    """Nothing stored and a person over five: the answer says 1007, keeps its lists, and the old features stay."""
    daemon.insert(collection, *[("obama", portrait(OBAMA))] * 5)
    answer = daemon.insert(collection, ("obama", portrait(OBAMA_2)), ("obama", portrait(OBAMA_2)))
    assert_error(answer, 1007)
    assert_batch(answer, stored=0, over_quota=["obama"])
    assert daemon.features(collection) == 5


def test_a_batch_without_any_face_is_refused_with_1009(daemon, collection):
    """Good pictures, no face: 1009, each item listed."""
    answer = daemon.insert(collection, ("a", scenery()), ("b", scenery()))
    assert_error(answer, 1009)
    assert_batch(answer, stored=0, invalid={0: "a", 1: "b"})
    assert daemon.features(collection) == 0


def test_one_decodable_picture_without_a_face_makes_it_1009(daemon, collection):
    """1010 is for batches in which nothing could be decoded; here one picture could."""
    answer = daemon.insert(collection, ("a", NOT_A_PICTURE), ("b", scenery()))
    assert_error(answer, 1009)
    assert_batch(answer, stored=0, invalid={0: "a", 1: "b"})


def test_a_batch_without_any_picture_is_refused_with_1010(daemon, collection):
    """Base64 of words, characters that are no base64, nothing at all: 1010, each item listed."""
    answer = daemon.insert(collection, ("a", NOT_A_PICTURE), ("b", "!!not base64!!"), ("c", ""))
    assert_error(answer, 1010)
    assert_batch(answer, stored=0, invalid={0: "a", 1: "b", 2: "c"})


def test_unknown_collection(daemon, fresh_name):
    """1006, with all list fields."""
    answer = daemon.insert(fresh_name, ("obama", portrait(OBAMA)))
    assert_error(answer, 1006)
    assert_batch(answer, stored=0)


@pytest.mark.parametrize(
    "field, value",
    [
        ("collection_name", MISSING),
        ("collection_name", 5),
        ("collection_name", None),
        ("face_image", MISSING),
        ("face_image", "a string"),
        ("face_image", None),
        ("face_image", [5]),
        ("face_image", [None]),
        ("face_image", {"0": "x"}),
        ("face_image", [["nested"]]),
        ("target_id", MISSING),
        ("target_id", "obama"),
        ("target_id", None),
        ("target_id", [5]),
        ("target_id", [None]),
        ("target_id", [True]),
    ],
    ids=lambda value: "missing" if value is MISSING else json.dumps(value),
)
def test_missing_and_mistyped_fields(daemon, collection, field, value):
    """1011 with HTTP 400, with all list fields, and nothing stored."""
    fields = {"collection_name": collection, "face_image": [portrait(OBAMA)], "target_id": ["obama"], field: value}
    if value is MISSING:
        del fields[field]
    answer = daemon.ask("/face/insert", **fields)
    assert_error(answer, 1011)
    assert_batch(answer, stored=0)
    assert daemon.features(collection) == 0


@pytest.mark.parametrize("pictures, ids", [(1, 2), (2, 1), (0, 1), (1, 0)])
def test_lists_of_different_lengths(daemon, collection, pictures, ids):
    """1011: it would be a guess whose picture is whose."""
    answer = daemon.ask(
        "/face/insert", collection_name=collection, face_image=[portrait(OBAMA)] * pictures, target_id=["obama"] * ids
    )
    assert_error(answer, 1011)
    assert_batch(answer, stored=0)


GOOD_IDS = [
    "1",
    "spaced name",
    "人" * 85,
    "é" * 127,
    "x" * 255,
    'O\'Neil "the" <b>&amp;',
    "../../etc",
    "\U0001f600",
    "null",
]


@pytest.mark.parametrize("target", GOOD_IDS, ids=lambda target: json.dumps(target)[:24])
def test_any_text_of_255_bytes_is_a_target_id(daemon, collection, target):
    """The id comes back from a search exactly as it went in."""
    assert daemon.insert(collection, (target, portrait(OBAMA)))["err_code"] == 0
    assert list(daemon.search(collection, portrait(OBAMA))) == [target]


BAD_IDS = ["", "x" * 256, "é" * 128, "人" * 86, "line\nbreak", "tab\t", "zero\0", "\x1b[31m", "delete\x7f"]


@pytest.mark.parametrize("target", BAD_IDS, ids=lambda target: json.dumps(target)[:24])
def test_target_ids_that_break_the_rule(daemon, collection, target):
    """Empty, longer than 255 bytes of UTF-8, or with control characters: 1011, and nothing of the batch is stored."""
    answer = daemon.insert(collection, ("good", portrait(BIDEN)), (target, portrait(OBAMA)))
    assert_error(answer, 1011)
    assert_batch(answer, stored=0)
    assert daemon.features(collection) == 0


def test_more_than_500_pictures_in_a_batch(daemon, collection):
    """1011 before any picture is looked at."""
    answer = daemon.insert(collection, *[("obama", portrait(OBAMA))] * 501)
    assert_error(answer, 1011)
    assert_batch(answer, stored=0)
    assert daemon.features(collection) == 0


def test_unknown_fields_are_ignored(daemon, collection):
    """A field that this release does not know changes nothing."""
    answer = daemon.ask(
        "/face/insert",
        collection_name=collection,
        face_image=[portrait(OBAMA)],
        target_id=["obama"],
        camera="north gate",
        quality=None,
    )
    assert_batch(answer, stored=1)


def test_detail_says_that_more_than_one_face_was_seen(daemon, collection):
    """Whoever enrols a group picture is told so; the largest face is the one enrolled."""
    both = faces.side_by_side(faces.head_and_shoulders(OBAMA), faces.head_and_shoulders(BIDEN))
    answer = daemon.insert(collection, ("obama", faces.base64_of(both)))
    assert answer["err_code"] == 0
    assert answer["detail"].strip()
    assert daemon.search(collection, portrait(OBAMA_2))["obama"] > 0.9
    assert daemon.search(collection, portrait(BIDEN))["obama"] < 0.5
