"""Collections: create, clear, delete, status."""

import json
import time

import pytest

import faces
from contract import assert_error

DOCUMENTED_TIME = "%a %b %d %H:%M:%S %Y"  # Tue Jun 22 15:55:43 2021


def seconds(text: str) -> float:
    return time.mktime(time.strptime(text, DOCUMENTED_TIME))


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_create_clear_delete_answer_as_documented(daemon, fresh_name, method):
    """The life of a collection, with the very sentences of the document."""
    assert daemon.ask("/create/collection", method, collection_name=fresh_name) == {
        "err_code": 0,
        "status": "Create collection successfully!",
    }
    assert daemon.ask("/clear/collection", method, collection_name=fresh_name) == {
        "err_code": 0,
        "status": "Clear collection successfully!",
    }
    assert daemon.ask("/delete/collection", method, collection_name=fresh_name) == {
        "err_code": 0,
        "status": "Delete collection successfully!",
    }


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_status_of_a_new_collection(daemon, fresh_name, method):
    """A new collection holds nothing and was created and updated now, in local time."""
    before = int(time.time())
    daemon.ask("/create/collection", collection_name=fresh_name)
    answer = daemon.ask("/collection/status", method, collection_name=[fresh_name])
    after = time.time()
    daemon.ask("/delete/collection", collection_name=fresh_name)
    assert answer["err_code"] == 0
    assert len(answer["status"]) == 1
    row = answer["status"][0]
    assert set(row) == {"collection_name", "create_time", "feature_num", "update_time"}
    assert row["collection_name"] == fresh_name
    assert row["feature_num"] == 0
    assert before <= seconds(row["create_time"]) <= after
    assert row["update_time"] == row["create_time"]


def test_times_are_in_the_local_time_zone(start_daemon):
    """A board set to Chinese time shows Chinese time."""
    daemon = start_daemon(environment={"TZ": "CST-8"})
    daemon.ask("/create/collection", collection_name="face_col")
    shown = time.strptime(daemon.status("face_col")[0]["create_time"], DOCUMENTED_TIME)
    eight_hours_east = time.gmtime(time.time() + 8 * 3600)
    assert abs(time.mktime(shown) - time.mktime(eight_hours_east)) < 60


def test_update_time_moves_with_every_change_and_create_time_stays(daemon, collection):
    """Enrolling, deleting a person and clearing each count as an update."""
    created = daemon.status(collection)[0]["create_time"]
    last = created
    changes = [
        lambda: daemon.insert(collection, ("huge", faces.portrait(faces.OBAMA))),
        lambda: daemon.update(collection, ("huge", faces.portrait(faces.OBAMA_2))),
        lambda: daemon.ask("/delete/id", collection_name=collection, target_id="huge"),
        lambda: daemon.ask("/clear/collection", collection_name=collection),
    ]
    for change in changes:
        time.sleep(1.1)  # the documented times have a resolution of one second
        assert change()["err_code"] == 0
        row = daemon.status(collection)[0]
        assert row["create_time"] == created
        assert seconds(row["update_time"]) > seconds(last)
        last = row["update_time"]


def test_status_of_several_and_of_all(daemon, collection, fresh_name):
    """A list names the collections to show; an empty list shows all; a plain string is a list of one."""
    other = fresh_name + "_other"
    daemon.ask("/create/collection", collection_name=other)
    try:
        assert {row["collection_name"] for row in daemon.status(collection, other)} == {collection, other}
        assert {collection, other} <= {row["collection_name"] for row in daemon.status()}
        as_string = daemon.ask("/collection/status", collection_name=other)
        assert [row["collection_name"] for row in as_string["status"]] == [other]
    finally:
        daemon.ask("/delete/collection", collection_name=other)


def test_status_names_each_collection_once(daemon, collection, fresh_name):
    """A name given again shows no second row; rows stand in the order in which the names came first."""
    other = fresh_name + "_other"
    daemon.ask("/create/collection", collection_name=other)
    try:
        names = [other, collection, other, other, collection]
        assert [row["collection_name"] for row in daemon.status(*names)] == [other, collection]
        assert [row["collection_name"] for row in daemon.status(collection, other, collection)] == [collection, other]
        assert len(daemon.status(*[collection] * 1000)) == 1
    finally:
        daemon.ask("/delete/collection", collection_name=other)


def test_status_of_more_than_1000_names_is_an_invalid_parameter(daemon, collection):
    """Also when it is one name again and again."""
    assert_error(daemon.ask("/collection/status", collection_name=[collection] * 1001), 1011)
    assert_error(daemon.ask("/collection/status", collection_name=[f"a{number}" for number in range(1001)]), 1011)


def test_status_of_one_name_a_hundred_thousand_times(start_daemon):
    """A body of 2 MB is answered with a refusal, not with a hundred thousand rows, and takes little memory."""
    daemon = start_daemon()
    daemon.ask("/create/collection", collection_name="face_collection")
    body = json.dumps({"collection_name": ["face_collection"] * 110_000})
    assert len(body) > 2_000_000
    daemon.forget_peak_memory()
    before = daemon.peak_memory_kib()
    answer = daemon.send("/collection/status", body)
    assert_error(answer, 1011)
    assert daemon.peak_memory_kib() - before < 30 * 1024
    assert daemon.features("face_collection") == 0


def test_status_of_no_collection_at_all_is_an_empty_list(start_daemon):
    """A fresh appliance has nothing to show, and that is no error."""
    answer = start_daemon().ask("/collection/status", collection_name=[])
    assert answer == {"err_code": 0, "status": []}


def test_clear_removes_all_faces_and_keeps_the_collection(daemon, collection):
    """After clear nobody is found; enrolling again works."""
    assert daemon.insert(collection, ("huge", faces.portrait(faces.OBAMA)))["err_code"] == 0
    assert daemon.features(collection) == 1
    daemon.ask("/clear/collection", collection_name=collection)
    assert daemon.features(collection) == 0
    assert daemon.search(collection, faces.portrait(faces.OBAMA)) == {}
    assert daemon.insert(collection, ("huge", faces.portrait(faces.OBAMA)))["success_num"] == 1


def test_a_deleted_collection_is_gone_and_its_name_free(daemon, fresh_name):
    """Delete takes the faces along: the same name starts empty."""
    daemon.ask("/create/collection", collection_name=fresh_name)
    daemon.insert(fresh_name, ("huge", faces.portrait(faces.OBAMA)))
    daemon.ask("/delete/collection", collection_name=fresh_name)
    assert_error(daemon.ask("/collection/status", collection_name=[fresh_name]), 1005)
    assert_error(
        daemon.ask("/face/search", collection_name=fresh_name, face_image=faces.portrait(faces.OBAMA), top_k=1), 1006
    )
    daemon.ask("/create/collection", collection_name=fresh_name)
    assert daemon.features(fresh_name) == 0
    daemon.ask("/delete/collection", collection_name=fresh_name)


def test_collections_do_not_see_each_other(daemon, collection, fresh_name):
    """A person enrolled in one collection is not found in another."""
    other = fresh_name + "_other"
    daemon.ask("/create/collection", collection_name=other)
    try:
        daemon.insert(collection, ("huge", faces.portrait(faces.OBAMA)))
        assert list(daemon.search(collection, faces.portrait(faces.OBAMA))) == ["huge"]
        assert daemon.search(other, faces.portrait(faces.OBAMA)) == {}
    finally:
        daemon.ask("/delete/collection", collection_name=other)


def test_creating_twice_is_refused_and_harms_nothing(daemon, collection):
    """1004 for a name in use; its faces stay."""
    daemon.insert(collection, ("huge", faces.portrait(faces.OBAMA)))
    assert_error(daemon.ask("/create/collection", collection_name=collection), 1004)
    assert daemon.features(collection) == 1


@pytest.mark.parametrize("path", ["/clear/collection", "/delete/collection"])
def test_clear_and_delete_of_an_unknown_collection(daemon, fresh_name, path):
    """1005: please check the name."""
    assert_error(daemon.ask(path, collection_name=fresh_name), 1005)


def test_status_naming_one_unknown_collection_is_refused(daemon, collection, fresh_name):
    """1005 even when the other names are right."""
    assert_error(daemon.ask("/collection/status", collection_name=[collection, fresh_name + "_not_there"]), 1005)


@pytest.mark.parametrize("name", ["a", "_", "_9", "Face_Col_2", "A" * 255])
def test_allowed_names(daemon, name):
    """A letter or underscore first, then letters, digits, underscores; 255 characters at most."""
    assert daemon.ask("/create/collection", collection_name=name)["err_code"] == 0
    assert daemon.status(name)[0]["collection_name"] == name
    assert daemon.ask("/delete/collection", collection_name=name)["err_code"] == 0


BAD_NAMES = [
    "",
    " ",
    "9lives",
    "face-col",
    "face col",
    "face.col",
    "a/b",
    "../up",
    "人脸",
    "é",
    "a\n",
    "a\0",
    "A" * 256,
]


@pytest.mark.parametrize("name", BAD_NAMES, ids=lambda name: json.dumps(name)[:20])
def test_names_that_break_the_rule_are_refused(daemon, name):
    """1003, and nothing was created."""
    before = len(daemon.status())
    assert_error(daemon.ask("/create/collection", collection_name=name), 1003)
    assert len(daemon.status()) == before


def test_names_differ_by_case(daemon, fresh_name):
    """`Lobby` and `lobby` are two collections, also on disk."""
    upper = fresh_name.upper()
    for name in (fresh_name, upper):
        assert daemon.ask("/create/collection", collection_name=name)["err_code"] == 0
    for name in (fresh_name, upper):
        assert daemon.ask("/delete/collection", collection_name=name)["err_code"] == 0


@pytest.mark.parametrize("path", ["/create/collection", "/clear/collection", "/delete/collection"])
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"name": "face_col"},
        {"collection_name": None},
        {"collection_name": 7},
        {"collection_name": ["face_col"]},
        {"collection_name": {"name": "face_col"}},
        {"collection_name": True},
    ],
    ids=json.dumps,
)
def test_a_missing_or_mistyped_name_is_an_invalid_parameter(daemon, path, fields):
    """1011 with HTTP 400."""
    assert_error(daemon.ask(path, **fields), 1011)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"collection_name": None},
        {"collection_name": 7},
        {"collection_name": [7]},
        {"collection_name": [["a"]]},
        {"collection_name": {}},
    ],
    ids=json.dumps,
)
def test_a_missing_or_mistyped_list_of_names_is_an_invalid_parameter(daemon, fields):
    """Status takes a list of strings; asking for all is done with [] and nothing else."""
    assert_error(daemon.ask("/collection/status", **fields), 1011)


def test_unknown_fields_are_ignored(daemon, fresh_name):
    """Clients written for a later or a customised release keep working."""
    assert (
        daemon.ask("/create/collection", collection_name=fresh_name, comment="lobby", shards={"n": 3})["err_code"] == 0
    )
    assert daemon.ask("/delete/collection", collection_name=fresh_name, force=True)["err_code"] == 0


def test_thirty_collections_and_no_more(start_daemon):
    """The thirty-first is refused with 1002; deleting one makes room; a restart does not change the count."""
    daemon = start_daemon()
    for number in range(30):
        assert daemon.ask("/create/collection", collection_name=f"col_{number}")["err_code"] == 0
    assert_error(daemon.ask("/create/collection", collection_name="one_more"), 1002)
    daemon.restart()
    assert len(daemon.status()) == 30
    assert_error(daemon.ask("/create/collection", collection_name="one_more"), 1002)
    assert daemon.ask("/delete/collection", collection_name="col_7")["err_code"] == 0
    assert daemon.ask("/create/collection", collection_name="one_more")["err_code"] == 0
    assert {row["collection_name"] for row in daemon.status()} == {
        *(f"col_{number}" for number in range(30) if number != 7),
        "one_more",
    }


@pytest.mark.parametrize(
    "path, fields",
    [
        ("/clear/collection", {}),
        ("/delete/collection", {}),
        ("/delete/id", {"target_id": "obama"}),
        ("/face/search", {"face_image": "x", "top_k": 1}),
        ("/face/insert", {"face_image": ["x"], "target_id": ["obama"]}),
        ("/face/update", {"face_image": ["x"], "target_id": ["obama"]}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_name_that_breaks_the_rule_is_1003_everywhere(daemon, path, fields):
    """Not 'does not exist': such a collection could never exist."""
    assert_error(daemon.ask(path, collection_name="face-col", **fields), 1003)
    assert_error(daemon.ask("/collection/status", collection_name=["face-col"]), 1003)
