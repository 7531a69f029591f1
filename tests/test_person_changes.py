"""/delete/face and /person/rename: one face taken back, another name, two people made one."""

import pytest

from contract import assert_error
from faces import ASTRONAUT, BIDEN, OBAMA, OBAMA_2, OBAMA_3, portrait

WITH_TOKEN = '[door]\nenabled = true\nboard = "simulated"\ncollection = "staff"\ntoken_file = "{}"\n'
TOKEN = "0123456789abcdef0123"


def agreements(daemon, collection: str, who: str) -> list:
    person = daemon.ask("/person/get", collection_name=collection, target_id=who)["status"]
    return [feature["agreement"] for feature in person["features"]]


def listed(daemon, collection: str) -> dict[str, int]:
    return {row["target_id"]: row["feature_num"] for row in daemon.ask("/person/list", collection_name=collection)["status"]}


# One face


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_face_that_does_not_belong_is_taken_back(daemon, collection, method):
    """/person/get shows it, /delete/face removes it, the others stay in their order."""
    daemon.insert(collection, *[("obama", portrait(face)) for face in (OBAMA, BIDEN, OBAMA_2, OBAMA_3)])
    before = agreements(daemon, collection, "obama")
    assert before[1] < 0.3
    answer = daemon.ask("/delete/face", method, collection_name=collection, target_id="obama", index=1)
    assert answer == {"err_code": 0, "status": "Delete face successfully!", "feature_num": 3}
    assert agreements(daemon, collection, "obama") == [before[0], before[2], before[3]]
    assert daemon.search(collection, portrait(BIDEN))["obama"] < 0.3
    assert daemon.search(collection, portrait(OBAMA_2))["obama"] > 0.99


def test_without_a_face_the_person_is_gone(start_daemon):
    """The last face; the answer says that none is left, and so does the next start."""
    daemon = start_daemon()
    daemon.ask("/create/collection", collection_name="staff")
    daemon.insert("staff", ("obama", portrait(OBAMA)), ("biden", portrait(BIDEN)))
    assert daemon.ask("/delete/face", collection_name="staff", target_id="obama", index=0)["feature_num"] == 0
    assert_error(daemon.ask("/person/get", collection_name="staff", target_id="obama"), 1013)
    daemon.restart()
    assert listed(daemon, "staff") == {"biden": 1}


def test_an_index_that_is_not_there_says_how_many_there_are(daemon, collection):
    """1011, and nothing is deleted."""
    daemon.insert(collection, ("obama", portrait(OBAMA)), ("obama", portrait(OBAMA_2)))
    for index in (2, 99, 10**30):
        answer = daemon.ask("/delete/face", collection_name=collection, target_id="obama", index=index)
        assert_error(answer, 1011)
        assert answer["detail"].startswith("index: ") and "2 faces" in answer["detail"]
    for index in (-1, 1.5, "0", None, [0], True):
        answer = daemon.ask("/delete/face", collection_name=collection, target_id="obama", index=index)
        assert_error(answer, 1011)
        assert "index: a whole number from 0" in answer["detail"]
    assert_error(daemon.ask("/delete/face", collection_name=collection, target_id="obama"), 1011)
    assert listed(daemon, collection) == {"obama": 2}


@pytest.mark.parametrize("field", ["index", "face_index", "feature_id"])
@pytest.mark.parametrize("value", [0, "2", None])
def test_delete_id_refuses_whoever_means_a_single_face(daemon, collection, field, value):
    """1011 that names /delete/face; other unknown fields are ignored, as ever."""
    daemon.insert(collection, ("obama", portrait(OBAMA)), ("obama", portrait(OBAMA_2)))
    answer = daemon.ask("/delete/id", collection_name=collection, target_id="obama", **{field: value})
    assert_error(answer, 1011)
    assert answer["detail"].startswith(f"{field}: that is /delete/face")
    assert listed(daemon, collection) == {"obama": 2}
    assert daemon.ask("/delete/id", collection_name=collection, target_id="obama", face=0, reason="left")["err_code"] == 0


# Another name


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_somebody_gets_another_name(daemon, collection, method):
    """All faces, in their order; the old name is nobody's."""
    daemon.insert(collection, ("obama", portrait(OBAMA)), ("obama", portrait(OBAMA_2)), ("biden", portrait(BIDEN)))
    answer = daemon.ask("/person/rename", method, collection_name=collection, target_id="obama", new_target_id="Barack O.")
    assert answer == {
        "err_code": 0,
        "status": "Rename target_id successfully!",
        "target_id": "Barack O.",
        "feature_num": 2,
        "merged": False,
    }
    assert listed(daemon, collection) == {"Barack O.": 2, "biden": 1}
    assert daemon.search(collection, portrait(OBAMA))["Barack O."] > 0.99
    assert_error(daemon.ask("/person/get", collection_name=collection, target_id="obama"), 1013)


def test_two_people_become_one_only_when_asked_and_only_if_they_fit(start_daemon):
    """1011 without `merge`, with the way; 1007 with the numbers beyond five; both leave everybody as they were."""
    daemon = start_daemon()
    daemon.ask("/create/collection", collection_name="staff")
    daemon.insert("staff", ("a", portrait(OBAMA)), ("a", portrait(OBAMA_2)), *[("b", portrait(OBAMA_3))] * 3, ("c", portrait(BIDEN)))

    def rename(who, to, **more):
        return daemon.ask("/person/rename", collection_name="staff", target_id=who, new_target_id=to, **more)

    for more in ({}, {"merge": False}):
        answer = rename("a", "b", **more)
        assert_error(answer, 1011)
        assert "new_target_id" in answer["detail"] and "3 faces" in answer["detail"] and '"merge": true' in answer["detail"]
    assert listed(daemon, "staff") == {"a": 2, "b": 3, "c": 1}
    answer = rename("a", "b", merge=True)
    assert (answer["err_code"], answer["merged"], answer["feature_num"]) == (0, True, 5)
    refused = rename("c", "b", merge=True)
    assert_error(refused, 1007)
    assert "6 faces (1 and 5), at most 5" in refused["detail"]
    daemon.restart()
    assert listed(daemon, "staff") == {"b": 5, "c": 1}
    assert daemon.search("staff", portrait(OBAMA))["b"] > 0.99


def test_nobody_is_renamed_who_is_not_there(daemon, collection):
    """1013, 1006, 1003, and 1011 for fields that are missing or wrong."""

    def rename(collection, who, to, **more):
        return daemon.ask("/person/rename", collection_name=collection, target_id=who, new_target_id=to, **more)

    assert_error(rename(collection, "nobody", "x"), 1013)
    assert_error(rename("not_there", "nobody", "x"), 1006)
    assert_error(rename("9", "nobody", "x"), 1003)
    daemon.insert(collection, ("ada", portrait(ASTRONAUT)))
    for to in ("", "a\nb", "x" * 256, 7, None, ["x"]):
        assert_error(rename(collection, "ada", to), 1011)
    assert_error(rename(collection, "ada", "x", merge="yes"), 1011)
    assert rename(collection, "ada", "ada")["err_code"] == 0
    assert listed(daemon, collection) == {"ada": 1}


def test_the_door_s_people_are_changed_by_bearers_of_its_token_alone(start_daemon, tmp_path):
    """1015 without it, for a face as for a name; other collections are anybody's."""
    token = tmp_path / "token"
    token.write_text(TOKEN)
    token.chmod(0o600)
    daemon = start_daemon(config=WITH_TOKEN.format(token))
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    for name in ("staff", "guests"):
        daemon.send("/create/collection", f'{{"collection_name": "{name}"}}', headers=bearer)
    for path, more in (("/delete/face", '"index": 0'), ("/person/rename", '"new_target_id": "x"')):
        body = f'{{"collection_name": "staff", "target_id": "nobody", {more}}}'
        assert_error(daemon.send(path, body), 1015)
        assert_error(daemon.send(path, body, headers=bearer), 1013)
        assert_error(daemon.send(path, body.replace("staff", "guests")), 1013)
