"""Faces that their person has already: skipped for whoever asks, so that a batch or an import can be run again."""

import shutil

import pytest

from contract import assert_error
from daemon import Daemon, run
from faces import BIDEN, FOLDER, OBAMA, OBAMA_2, OBAMA_3, portrait, scenery


def insert(daemon, collection, *faces, **more):
    return daemon.ask(
        "/face/insert",
        collection_name=collection,
        target_id=[who for who, _ in faces],
        face_image=[picture for _, picture in faces],
        **more,
    )


def test_a_plain_insert_counts_every_picture(daemon, collection):
    """As the document has it: the same one five times, and the sixth is too many."""
    same = [("obama", portrait(OBAMA))]
    answer = insert(daemon, collection, *same * 5)
    assert answer["success_num"] == 5 and "already_enrolled" not in answer
    assert_error(insert(daemon, collection, *same), 1007)
    assert daemon.features(collection) == 5


def test_a_batch_that_is_sent_again_stores_nothing_and_is_a_success(daemon, collection):
    """Also for a person who has five faces; what is new is stored, and what shows no face is told."""
    batch = [("obama", portrait(OBAMA)), ("biden", portrait(BIDEN))]
    assert insert(daemon, collection, *batch, skip_identical=True)["already_enrolled"] == []
    again = insert(daemon, collection, *batch, skip_identical=True)
    assert (again["err_code"], again["success_num"]) == (0, 2)
    assert again["already_enrolled"] == [{"index": 0, "target_id": "obama"}, {"index": 1, "target_id": "biden"}]
    assert daemon.features(collection) == 2
    mixed = insert(
        daemon,
        collection,
        ("obama", scenery()),
        ("obama", portrait(OBAMA)),
        ("obama", portrait(OBAMA_2)),
        ("obama", portrait(OBAMA_2)),
        skip_identical=True,
    )
    assert mixed["success_num"] == 3 and mixed["invalid"]["message"]["invalid_index"] == [0]
    assert [row["index"] for row in mixed["already_enrolled"]] == [1, 3]
    insert(daemon, collection, *[("obama", portrait(OBAMA_3))] * 3)
    assert daemon.features(collection) == 6
    full = insert(daemon, collection, ("obama", portrait(OBAMA)), ("obama", portrait(BIDEN)), skip_identical=True)
    assert full["success_num"] == 1 and full["quota_exceeded_target_id"] == ["obama"]
    assert insert(daemon, collection, ("obama", portrait(OBAMA)), skip_identical=True)["err_code"] == 0
    assert_error(insert(daemon, collection, ("obama", portrait(BIDEN)), skip_identical=True), 1007)


def test_the_same_face_of_somebody_else_is_no_copy(daemon, collection):
    """Who it is of decides: two people with one picture are two people."""
    insert(daemon, collection, ("obama", portrait(OBAMA)))
    answer = insert(daemon, collection, ("barack", portrait(OBAMA)), skip_identical=True)
    assert answer["already_enrolled"] == [] and answer["success_num"] == 1
    assert daemon.features(collection) == 2


def test_updates_replace_as_ever(daemon, collection):
    """skip_identical is not of an update."""
    insert(daemon, collection, ("obama", portrait(OBAMA)), ("obama", portrait(OBAMA_2)))
    answer = daemon.ask(
        "/face/update",
        collection_name=collection,
        target_id=["obama"] * 2,
        face_image=[portrait(OBAMA)] * 2,
        skip_identical=True,
    )
    assert answer["success_num"] == 2 and "already_enrolled" not in answer
    assert daemon.features(collection) == 2


@pytest.mark.parametrize("value", [1, "true", None, []])
def test_a_wrong_value_names_the_field(daemon, collection, value):
    """1011."""
    answer = insert(daemon, collection, ("obama", portrait(OBAMA)), skip_identical=value)
    assert_error(answer, 1011)
    assert "skip_identical" in answer["detail"]
    assert daemon.features(collection) == 0


def test_the_configuration_can_ask_for_every_client(start_daemon):
    """identical = "skip"; a duplicate that its own person has is no duplicate to refuse."""
    daemon = start_daemon(config='[enrolment]\nidentical = "skip"\nduplicates = "refuse"\n')
    daemon.ask("/create/collection", collection_name="staff")
    for already in ([], [{"index": 0, "target_id": "obama"}]):
        answer = insert(daemon, "staff", ("obama", portrait(OBAMA)))
        assert (answer["success_num"], answer["already_enrolled"], answer["duplicates"]) == (1, already, [])
    refused = insert(daemon, "staff", ("barack", portrait(OBAMA)))
    assert_error(refused, 1018)
    assert refused["already_enrolled"] == [] and daemon.features("staff") == 1


def folder_of_two(folder):
    for who, picture in (("obama", OBAMA), ("obama", OBAMA_2), ("biden", BIDEN)):
        (folder / who).mkdir(parents=True, exist_ok=True)
        shutil.copyfile(FOLDER / f"{picture}.jpg", folder / who / f"{picture}.jpg")
    return folder


def test_an_import_is_repeated_and_resumed_through_a_daemon(start_daemon, tmp_path):
    """The second run adds what was missing after an interruption and nothing else, and says so."""
    daemon = start_daemon()
    folder = folder_of_two(tmp_path / "people")
    command = ["enroll", folder, "--collection", "staff", "--server", f"127.0.0.1:{daemon.port}"]
    first = run(*command)
    assert first.returncode == 0 and "enrolled 3 pictures of 2 people, refused 0\n" in first.stdout, first
    daemon.ask("/delete/face", collection_name="staff", target_id="obama", index=1)
    second = run(*command)
    assert second.returncode == 0 and "enrolled 1 pictures of 1 people, refused 0, enrolled already 2\n" in second.stdout, second
    assert daemon.features("staff") == 3


def test_an_import_into_a_data_folder_is_repeated(tmp_path):
    """Without a daemon, twice: the second run adds nothing."""
    data = tmp_path / "data"
    daemon = Daemon(tmp_path / "daemon", data=data).start()
    daemon.stop()
    folder = folder_of_two(tmp_path / "people")
    for said in ("enrolled 3 pictures of 2 people, refused 0\n", "enrolled 0 pictures of 0 people, refused 0, enrolled already 3\n"):
        ended = run("enroll", folder, "--collection", "staff", "--data", data)
        assert ended.returncode == 0 and said in ended.stdout, ended
