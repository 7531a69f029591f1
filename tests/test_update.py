"""Replacing a person's features: /face/update."""

import json

import pytest

from contract import assert_batch, assert_error
from faces import ASTRONAUT, BIDEN, NOT_A_PICTURE, OBAMA, OBAMA_2, portrait, scenery

UPDATED = "Update vectors successfully!"


@pytest.fixture
def enrolled(daemon, collection):
    """A collection with obama (two features) and biden (one)."""
    answer = daemon.insert(
        collection, ("obama", portrait(OBAMA)), ("obama", portrait(OBAMA_2)), ("biden", portrait(BIDEN))
    )
    assert answer["success_num"] == 3
    return collection


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_new_picture_replaces_all_old_ones(daemon, enrolled, method):
    """The documented answer; afterwards only the new face answers to the id."""
    answer = daemon.ask(
        "/face/update", method, collection_name=enrolled, face_image=[portrait(ASTRONAUT)], target_id=["obama"]
    )
    assert answer == {
        "err_code": 0,
        "status": UPDATED,
        "success_num": 1,
        "quota_exceeded_target_id": [],
        "target_invalid": [],
        "invalid": {"invalid_num": 0, "message": {"invalid_id": [], "invalid_index": []}},
    }
    assert daemon.features(enrolled) == 2
    assert daemon.search(enrolled, portrait(ASTRONAUT))["obama"] >= 0.999
    assert daemon.search(enrolled, portrait(OBAMA))["obama"] < 0.5


def test_all_valid_pictures_of_a_batch_become_the_new_features(daemon, enrolled):
    """Five pictures for one person, one for another, in one request."""
    answer = daemon.update(enrolled, *[("obama", portrait(OBAMA))] * 5, ("biden", portrait(BIDEN)))
    assert answer["err_code"] == 0
    assert_batch(answer, stored=6)
    assert answer["target_invalid"] == []
    assert daemon.features(enrolled) == 6


def test_a_person_without_a_valid_picture_keeps_the_old_features(daemon, enrolled):
    """A bad picture never costs an enrolment; the other person of the batch is updated."""
    answer = daemon.update(enrolled, ("obama", scenery()), ("obama", NOT_A_PICTURE), ("biden", portrait(ASTRONAUT)))
    assert answer["err_code"] == 0
    assert_batch(answer, stored=1, invalid={0: "obama", 1: "obama"})
    assert daemon.features(enrolled) == 3
    assert daemon.search(enrolled, portrait(OBAMA))["obama"] >= 0.999
    assert daemon.search(enrolled, portrait(ASTRONAUT))["biden"] >= 0.999


def test_one_valid_picture_among_bad_ones_replaces(daemon, enrolled):
    """The valid ones replace, the bad ones are listed."""
    answer = daemon.update(enrolled, ("obama", scenery()), ("obama", portrait(ASTRONAUT)))
    assert answer["err_code"] == 0
    assert_batch(answer, stored=1, invalid={0: "obama"})
    assert daemon.features(enrolled) == 2


def test_more_than_five_pictures_for_one_person_keep_the_old_ones(daemon, enrolled):
    """Over quota: the person is listed and nothing of hers changes, unlike at insert; the others are updated."""
    answer = daemon.update(enrolled, *[("obama", portrait(ASTRONAUT))] * 6, ("biden", portrait(ASTRONAUT)))
    assert answer["err_code"] == 0
    assert_batch(answer, stored=1, over_quota=["obama"])
    assert daemon.features(enrolled) == 3
    assert daemon.search(enrolled, portrait(OBAMA))["obama"] >= 0.999
    assert daemon.search(enrolled, portrait(ASTRONAUT))["obama"] < 0.5


def test_nothing_stored_and_over_quota_is_1007(daemon, enrolled):
    """Six pictures for the only person of the batch."""
    answer = daemon.update(enrolled, *[("obama", portrait(ASTRONAUT))] * 6)
    assert_error(answer, 1007)
    assert_batch(answer, stored=0, over_quota=["obama"])
    assert answer["target_invalid"] == []
    assert daemon.features(enrolled) == 3


def test_unknown_people_are_listed_and_not_created(daemon, enrolled):
    """An id that is not in the collection goes to target_invalid; the others are updated."""
    answer = daemon.update(enrolled, ("nobody", portrait(ASTRONAUT)), ("biden", portrait(BIDEN)))
    assert answer["err_code"] == 0
    assert_batch(answer, stored=1)
    assert answer["target_invalid"] == ["nobody"]
    assert set(daemon.search(enrolled, portrait(OBAMA))) == {"obama", "biden"}


def test_only_unknown_people_is_no_error(daemon, enrolled):
    """err_code 0, nothing stored, each unknown id listed."""
    answer = daemon.update(enrolled, ("nobody", portrait(ASTRONAUT)), ("noone", portrait(ASTRONAUT)))
    assert answer["err_code"] == 0
    assert_batch(answer, stored=0)
    assert sorted(answer["target_invalid"]) == ["nobody", "noone"]
    assert daemon.features(enrolled) == 3


@pytest.mark.parametrize("picture, code", [(scenery(), 1009), (NOT_A_PICTURE, 1010)], ids=["no face", "no picture"])
def test_nothing_usable_says_why_and_keeps_all_lists(daemon, enrolled, picture, code):
    """1009 for pictures without a face, 1010 for what is no picture; the old features stay."""
    answer = daemon.update(enrolled, ("obama", picture))
    assert_error(answer, code)
    assert_batch(answer, stored=0, invalid={0: "obama"})
    assert answer["target_invalid"] == []
    assert daemon.features(enrolled) == 3


def test_unknown_collection(daemon, fresh_name):
    """1006, with all list fields."""
    answer = daemon.update(fresh_name, ("obama", portrait(OBAMA)))
    assert_error(answer, 1006)
    assert_batch(answer, stored=0)
    assert answer["target_invalid"] == []


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"face_image": ["x"]},
        {"target_id": ["obama"]},
        {"face_image": ["x"], "target_id": ["a", "b"]},
        {"face_image": "x", "target_id": "a"},
        {"face_image": ["x"], "target_id": [""]},
        {"face_image": [1], "target_id": [1]},
        {"face_image": ["x"] * 501, "target_id": ["obama"] * 501},
    ],
    ids=lambda fields: json.dumps(fields)[:40],
)
def test_missing_and_mistyped_fields(daemon, enrolled, fields):
    """1011 with HTTP 400; nothing changes."""
    answer = daemon.ask("/face/update", collection_name=enrolled, **fields)
    assert_error(answer, 1011)
    assert_batch(answer, stored=0)
    assert answer["target_invalid"] == []
    assert daemon.features(enrolled) == 3
