"""recocomp check: what is sound passes, what is not is named, and nothing is changed."""

import json
import os
import random
import subprocess

import pytest

from daemon import Daemon, binary, run
from faces import BIDEN, portrait
from galleries import (
    PEOPLE,
    assert_refused,
    copy,
    fill,
    fingerprint,
    flip,
    numbers,
    sample,
    seal_on_another_device,
    show,
)


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """The data folder of a stopped daemon; `staff` has a generation and a journal, the others journals. Not to be changed."""
    folder = tmp_path_factory.mktemp("filled")
    daemon = Daemon(folder).start()
    fill(daemon)
    # Taking someone out writes the collection anew, as a generation.
    daemon.insert("staff", ("leaver", portrait(BIDEN)))
    assert daemon.ask("/delete/id", collection_name="staff", target_id="leaver")["err_code"] == 0
    daemon.insert("staff", ("late", portrait(BIDEN)))
    daemon.insert("staff", ("later", portrait(BIDEN)))
    daemon.stop()
    return daemon.data


@pytest.fixture
def data(filled, tmp_path):
    """A copy to be damaged."""
    return copy(filled, tmp_path / "data")


def check(data, *more, **options):
    """Exit code and JSON object; the folder is as it was before."""
    before = fingerprint(data)
    ended = run("check", "--json", "--data", data, *more, **options)
    assert fingerprint(data) == before, "a check changes nothing"
    assert "panicked" not in ended.stderr, ended.stderr
    assert len(ended.stdout.splitlines()) <= 1, "one object and nothing else"
    return ended.returncode, json.loads(ended.stdout) if ended.stdout else None


def findings(report) -> dict[str, list[str]]:
    return {collection["name"] or collection["uuid"]: collection["findings"] for collection in report["collections"]}


def file_of(data, collection, kind):
    return next((data / "gallery" / show(data, collection)["uuid"]).glob(f"{kind}-*"))


def test_everything_is_sound(data):
    """Exit code 0; each collection with its numbers."""
    code, report = check(data)
    assert code == 0 and report["sound"] is True
    assert findings(report) == {name: [] for name in PEOPLE}
    for collection in report["collections"]:
        people = numbers(collection["name"])
        if collection["name"] == "staff":
            people |= {"late": 1, "later": 1}
        assert collection["people"] == len(people) and collection["features"] == sum(people.values())
        folder = data / "gallery" / collection["uuid"]
        assert collection["bytes"] == sum(path.stat().st_size for path in folder.iterdir())
        assert collection["model"] and collection["created"] <= collection["updated"]
    assert file_of(data, "staff", "gen") and file_of(data, "staff", "journal")


def test_for_people(data):
    """Without --json: a line a collection and what is wrong below it."""
    ended = run("check", "--data", data)
    assert ended.returncode == 0
    assert "staff: 5 people, 7 features" in ended.stdout and "3 collections, all sound" in ended.stdout
    flip(file_of(data, "visitors", "journal"), -200)
    ended = run("check", "--data", data)
    assert ended.returncode == 1
    assert "visitors" in ended.stdout and "  - " in ended.stdout and "1 of 3 collections" in ended.stdout


def test_while_the_daemon_serves(data, start_daemon):
    """Sound at any moment, also while it enrols and deletes."""
    daemon = start_daemon(data=data)
    before = run("check", "--data", data)
    assert before.returncode == 0, before.stdout
    for number in range(6):
        daemon.insert("staff", (f"new_{number}", portrait(BIDEN)))
        checking = subprocess.Popen([*binary(), "check", "--data", str(data)], stdout=subprocess.PIPE, text=True)
        daemon.ask("/delete/id", collection_name="staff", target_id=f"new_{number}")
        daemon.ask("/create/collection", collection_name=f"c{number}")
        daemon.ask("/delete/collection", collection_name=f"c{number}")
        assert checking.wait(60) == 0, checking.stdout.read()
        checking.stdout.close()


@pytest.mark.parametrize("kind", ["gen", "journal"])
@pytest.mark.parametrize("part", [0, 0.3, 0.7, 1])
def test_wrong_bytes(data, kind, part):
    """Anywhere in a generation or a journal: exit code 1, and the file is named. 64 bytes, since what fills up a line is empty."""
    path = file_of(data, "staff", kind)
    contents = bytearray(path.read_bytes())
    at = int((len(contents) - 64) * part)
    contents[at : at + 64] = random.Random(0).randbytes(64)
    path.write_bytes(contents)
    code, report = check(data)
    assert code == 1 and report["sound"] is False
    found = findings(report)
    damaged = [name for name, what in found.items() if what]
    assert len(damaged) == 1, found
    assert path.name in " ".join(found[damaged[0]]), found


@pytest.mark.parametrize("kind", ["gen", "journal"])
def test_a_file_that_is_cut_off_or_gone(data, kind):
    """Half a generation, or none; a journal without its beginning, or none."""
    path = file_of(data, "staff", kind)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if kind == "gen" else whole[-100:])
    assert check(data)[0] == 1
    path.unlink()
    code, report = check(data)
    assert code == 1 and sum(map(bool, findings(report).values())) == 1


def test_a_collection_of_which_nothing_is_left(data):
    """It is named by its folder, the others are shown as ever."""
    folder = data / "gallery" / show(data, "visitors")["uuid"]
    for path in folder.iterdir():
        path.write_bytes(os.urandom(1000))
    code, report = check(data)
    assert code == 1
    found = findings(report)
    assert set(found) == {"staff", "night_shift", folder.name}
    assert found[folder.name] and not found["staff"]
    assert next(c for c in report["collections"] if c["uuid"] == folder.name)["name"] is None


def test_a_copy_of_a_collection_is_not_served_twice(data):
    """The folder of one under another UUID is no second collection."""
    folder = data / "gallery" / show(data, "staff")["uuid"]
    copy(folder, folder.with_name("01234567-89ab-4def-8123-456789abcdef"))
    code, report = check(data)
    assert code == 1 and findings(report)["staff"] == []


def test_damage_that_the_daemon_repairs(data, start_daemon):
    """A wrong bit among the people of a generation: after a start everyone is found; what was set aside is still told."""
    path = file_of(data, "staff", "gen")
    flip(path, 1000)
    code, report = check(data)
    assert code == 1 and any(path.name in " ".join(what) for what in findings(report).values())
    daemon = start_daemon(data=data)
    assert set(daemon.search("staff", portrait(BIDEN))) == {*PEOPLE["staff"], "late", "later"}
    daemon.stop()
    code, report = check(data)
    assert code == 1 and len(findings(report)["staff"]) == 1
    assert "quarantine" in findings(report)["staff"][0], findings(report)


def test_another_model(tmp_path):
    """The frozen sample of an earlier release can be read, but its templates are of another model."""
    code, report = check(sample("gallery-v1", tmp_path / "sample"))
    assert code == 1
    assert {c["name"]: (c["people"], c["features"]) for c in report["collections"]} == {
        "staff": (4, 7),
        "visitors": (2, 2),
        "empty": (0, 0),
    }
    assert all("test-model-1" in what[0] and len(what) == 1 for what in findings(report).values())


# What cannot be checked: exit code 2


def test_storage_of_another_device(data, start_daemon):
    seal_on_another_device(data)
    ended = run("check", "--data", data)
    assert_refused(ended, "sealed on another device", code=2)
    with pytest.raises(AssertionError, match="sealed on another device"):
        start_daemon(data=data)


@pytest.mark.parametrize("contents", [b"", b"recosalt" + bytes(56)], ids=["empty", "zeros"])
def test_a_damaged_salt(data, contents):
    (data / "gallery" / "SALT").write_bytes(contents)
    assert_refused(run("check", "--data", data), "SALT is damaged", code=2)


def test_the_salt_is_gone(data):
    """What is sealed cannot be opened; no other salt is made."""
    (data / "gallery" / "SALT").unlink()
    before = fingerprint(data)
    ended = run("check", "--json", "--data", data)
    assert ended.returncode in (1, 2) and "sealed" in ended.stdout + ended.stderr, (ended.stdout, ended.stderr)
    assert fingerprint(data) == before


def test_no_such_folder(tmp_path):
    assert_refused(run("check", "--data", tmp_path / "nothing"), "no gallery", "--data", code=2)
    assert not (tmp_path / "nothing").exists()
    (tmp_path / "wrong.toml").write_text("[storage]\ndate = 1\n")
    assert_refused(run("check", "--config", tmp_path / "wrong.toml"), "storage.data", code=2)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become someone else")
def test_without_rights(data):
    """As nobody: a sentence that says as whom to run it."""
    try:
        ended = run("check", "--data", data, preexec_fn=lambda: os.setuid(65534))
    except PermissionError:
        pytest.skip("the binary lies where nobody else may look")
    assert_refused(ended, "run this as the user", code=2)
