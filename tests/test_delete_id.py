"""Removing a person: /delete/id."""

import json

import pytest

from contract import assert_error
from faces import BIDEN, OBAMA, OBAMA_2, portrait


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_deleted_person_is_found_no_more(daemon, collection, method):
    """All features of the person go, nobody else's."""
    daemon.insert(collection, ("obama", portrait(OBAMA)), ("obama", portrait(OBAMA_2)), ("biden", portrait(BIDEN)))
    answer = daemon.ask("/delete/id", method, collection_name=collection, target_id="obama")
    assert answer == {"err_code": 0, "status": "Delete target_id successfully!"}
    assert answer.headers["X-Erased-Within"] == "60"
    assert daemon.features(collection) == 1
    assert set(daemon.search(collection, portrait(OBAMA))) == {"biden"}


def test_the_freed_id_can_be_enrolled_again(daemon, collection):
    """A full person is deleted and has room for five again."""
    daemon.insert(collection, *[("obama", portrait(OBAMA))] * 5)
    daemon.ask("/delete/id", collection_name=collection, target_id="obama")
    assert daemon.insert(collection, *[("obama", portrait(OBAMA_2))] * 5)["success_num"] == 5


def test_an_id_that_is_not_there(daemon, collection):
    """1013; an id matches whole and by case."""
    daemon.insert(collection, ("obama", portrait(OBAMA)))
    for target in ("biden", "Obama", "oba", "obama "):
        assert_error(daemon.ask("/delete/id", collection_name=collection, target_id=target), 1013)
    assert daemon.features(collection) == 1


def test_deleting_twice(daemon, collection):
    """The second time there is nobody to delete."""
    daemon.insert(collection, ("obama", portrait(OBAMA)))
    assert daemon.ask("/delete/id", collection_name=collection, target_id="obama")["err_code"] == 0
    assert_error(daemon.ask("/delete/id", collection_name=collection, target_id="obama"), 1013)


def test_unknown_collection(daemon, fresh_name):
    """1006."""
    assert_error(daemon.ask("/delete/id", collection_name=fresh_name, target_id="obama"), 1006)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"target_id": None},
        {"target_id": 5},
        {"target_id": ["obama"]},
        {"target_id": ""},
    ],
    ids=json.dumps,
)
def test_missing_and_mistyped_fields(daemon, collection, fields):
    """1011 with HTTP 400: the id is one string, not a list and not empty."""
    assert_error(daemon.ask("/delete/id", collection_name=collection, **fields), 1011)
    assert_error(daemon.ask("/delete/id", target_id="obama"), 1011)
