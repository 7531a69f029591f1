"""Names that look the same are the same: Unicode forms, invisible characters, blanks; and what earlier releases stored."""

import shutil
import unicodedata

import pytest

from contract import assert_error
from daemon import run
from faces import ASTRONAUT, BIDEN, OBAMA, portrait
from frozen import FROZEN, HIDDEN, JOSE, ZOE, copy, daemon_on, environment

COMPOSED, DECOMPOSED = JOSE


def people(daemon, collection: str) -> dict[str, int]:
    answer = daemon.ask("/person/list", collection_name=collection)
    assert answer["err_code"] == 0, answer
    return {row["target_id"]: row["feature_num"] for row in answer["status"]}


@pytest.fixture
def old(tmp_path):
    """A daemon on a copy of the folder that V1.0.0 left."""
    daemon = daemon_on(copy(tmp_path / "old"), tmp_path / "daemon").start()
    yield daemon
    if daemon.alive():
        daemon.stop()


def test_both_forms_of_a_name_are_one_person_everywhere(daemon, collection):
    """Insert, update, get, list, rename and delete take either; what is stored is the composed form."""
    for name in (DECOMPOSED, COMPOSED):
        assert daemon.insert(collection, (name, portrait(OBAMA)))["success_num"] == 1
    assert people(daemon, collection) == {COMPOSED: 2}
    assert daemon.update(collection, (DECOMPOSED, portrait(BIDEN)))["success_num"] == 1
    assert people(daemon, collection) == {COMPOSED: 1}
    got = daemon.ask("/person/get", collection_name=collection, target_id=DECOMPOSED)["status"]
    assert (got["target_id"], got["feature_num"]) == (COMPOSED, 1)
    assert daemon.ask("/person/list", collection_name=collection, after=DECOMPOSED)["status"] == []
    assert set(daemon.search(collection, portrait(BIDEN))) == {COMPOSED}
    renamed = daemon.ask("/person/rename", collection_name=collection, target_id=DECOMPOSED, new_target_id="Re\u0301my")
    assert (renamed["err_code"], renamed["target_id"]) == (0, "R\u00e9my")
    assert daemon.ask("/delete/id", collection_name=collection, target_id="Re\u0301my")["err_code"] == 0
    assert daemon.search(collection, portrait(BIDEN)) == {}


@pytest.mark.parametrize(
    "name, said",
    [
        ("ada ", "ends with a blank (U+0020)"),
        ("\u00a0ada", "begins with a blank (U+00A0)"),
        ("\u200bada", "U+200B, character 1"),
        ("\ufeffada", "U+FEFF, character 1"),
        ("ad\u202ea", "U+202E, character 3"),
        ("ad\u2066a", "U+2066, character 3"),
        ("ad\u00ada", "U+00AD, character 3"),
        ("ad\u200da", "U+200D, character 3"),
        ("ad\u3164a", "U+3164, character 3"),
    ],
    ids=repr,
)
def test_a_new_name_has_nothing_that_cannot_be_seen(daemon, collection, name, said):
    """1011 with the character, of an insert and of a rename; looking for such a name is no error."""
    answer = daemon.insert(collection, ("ben", portrait(OBAMA)), (name, portrait(BIDEN)))
    assert_error(answer, 1011)
    assert said in answer["detail"] and "target_id[1]" in answer["detail"]
    assert daemon.features(collection) == 0
    daemon.insert(collection, ("ben", portrait(OBAMA)))
    answer = daemon.ask("/person/rename", collection_name=collection, target_id="ben", new_target_id=name)
    assert_error(answer, 1011)
    assert said in answer["detail"] and "new_target_id" in answer["detail"]
    answer = daemon.ask("/delete/id", collection_name=collection, target_id=name)
    assert_error(answer, 1013)
    assert said in answer["detail"]
    assert daemon.update(collection, (name, portrait(BIDEN)))["target_invalid"] == [name]
    assert people(daemon, collection) == {"ben": 1}


@pytest.mark.parametrize("name", ["علی\u200cرضا", "ශ\u0dca\u200dරී", "山田\u3000太郎", "O'Brien, Ada 3"], ids=ascii)
def test_what_a_script_needs_is_taken(daemon, collection, name):
    """Joiners where they change how a word is written, the ideographic space, blanks inside."""
    assert daemon.insert(collection, (name, portrait(OBAMA)))["success_num"] == 1
    assert people(daemon, collection) == {unicodedata.normalize("NFC", name): 1}


def test_two_stored_forms_with_one_face_become_one_person_and_others_stay(old):
    """In the folder of V1.0.0: José twice with one face, Zoë twice with two. Nobody is lost, and the log says both names."""
    assert people(old, "names") == {JOSE[0]: 2, ZOE[0]: 1, ZOE[1]: 1}
    log = old.log()
    assert '"Jose\\u{301}" and "Jos\\u{e9}"' in log and "one person now" in log
    assert '"Zo\\u{eb}" and "Zoe\\u{308}"' in log and "both stay" in log
    answer = old.ask("/person/list", collection_name="names")
    others = {row["target_id"]: row.get("other_forms") for row in answer["status"]}
    assert others == {JOSE[0]: None, ZOE[0]: [ZOE[1]], ZOE[1]: [ZOE[0]]}
    assert "/person/rename" in answer["detail"]
    old.restart()
    assert people(old, "names") == {JOSE[0]: 2, ZOE[0]: 1, ZOE[1]: 1}


def test_the_doctor_tells_of_names_that_stayed_two(old, tmp_path):
    """Both names, so that they can be told apart, and the way out."""
    old.stop()
    ended = run("doctor", "--data", old.data, env=environment(tmp_path) | {"PATH": "/usr/bin:/bin"})
    assert '"Zo\\u{eb}" and "Zoe\\u{308}" are one name' in ended.stdout
    assert "/person/rename" in ended.stdout and "Jos" not in ended.stdout


def test_deleting_one_form_never_leaves_the_same_face_under_the_other(old, tmp_path):
    """Forms of different people go each by its bytes; the detail says that the other one stays."""
    answer = old.ask("/delete/id", collection_name="names", target_id=ZOE[0])
    assert answer["err_code"] == 0 and '"Zoe\\u{308}"' in answer["detail"]
    assert people(old, "names") == {JOSE[0]: 2, ZOE[1]: 1}
    # Alone it is found by either form, and is gone with either.
    answer = old.ask("/delete/id", collection_name="names", target_id=ZOE[0])
    assert answer == {"err_code": 0, "status": "Delete target_id successfully!"}
    assert people(old, "names") == {JOSE[0]: 2}


def test_hidden_names_of_before_are_read_renamed_and_deleted_by_their_bytes(old):
    """They stay who they are; only new ones are refused."""
    for name in HIDDEN:
        got = old.ask("/person/get", collection_name="hidden_names", target_id=name)
        assert got["err_code"] == 0 and got["status"]["target_id"] == name
    renamed = old.ask("/person/rename", collection_name="hidden_names", target_id=HIDDEN[1], new_target_id="ben")
    assert (renamed["err_code"], renamed["target_id"]) == (0, "ben")
    assert old.update("hidden_names", (HIDDEN[0], portrait(OBAMA)))["success_num"] == 1
    assert_error(old.insert("hidden_names", (HIDDEN[0], portrait(OBAMA))), 1011)
    assert old.ask("/delete/id", collection_name="hidden_names", target_id=HIDDEN[0])["err_code"] == 0
    assert HIDDEN[0] not in people(old, "hidden_names") and "ada" in people(old, "hidden_names")


def test_a_backup_with_two_forms_is_restored_and_united_at_the_start(tmp_path):
    """A backup of V1.0.0: the names come as they were, and the start makes José one person."""
    secret = tmp_path / "passphrase"
    shutil.copyfile(FROZEN / "passphrase", secret)
    secret.chmod(0o600)
    data = tmp_path / "board"
    ended = run("restore", FROZEN / "passphrase.backup", "--passphrase-file", secret, "--data", data)
    assert ended.returncode == 0, ended.stderr
    shutil.copyfile(FROZEN / "data/recocomp.license", data / "recocomp.license")
    daemon = daemon_on(data, tmp_path / "daemon").start()
    assert people(daemon, "names") == {JOSE[0]: 2, ZOE[0]: 1, ZOE[1]: 1}
    assert set(people(daemon, "hidden_names")) == set(HIDDEN)
    daemon.stop()


def test_a_name_that_is_stored_in_another_form_alone_is_found_by_either(old):
    """Whoever adds faces by the composed form adds them to that person, who keeps the stored name."""
    assert old.ask("/delete/id", collection_name="names", target_id=ZOE[0])["err_code"] == 0
    assert old.insert("names", (ZOE[0], portrait(ASTRONAUT)))["success_num"] == 1
    assert people(old, "names") == {JOSE[0]: 2, ZOE[1]: 2}
    assert old.ask("/person/get", collection_name="names", target_id=ZOE[0])["status"]["target_id"] == ZOE[1]
    assert old.ask("/delete/id", collection_name="names", target_id=ZOE[0])["err_code"] == 0
    assert people(old, "names") == {JOSE[0]: 2}
    assert ZOE[1] not in old.search("names", portrait(ASTRONAUT))
