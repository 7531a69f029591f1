"""recocomp collection and upgrade: looking at collections, carrying one to another device, the files of earlier releases."""

import json
import signal
import subprocess

import pytest

from daemon import Daemon, run
from faces import ASTRONAUT, BIDEN, OBAMA, portrait
from galleries import PASSPHRASE, PEOPLE, assert_refused, at_most, fill, fingerprint, names, numbers, sample, show

V1 = {
    "staff": {"anna": 2, "ben": 3, "carla": 1, "Zoë": 1},
    "visitors": {"guest-1": 1, "guest-3": 1},
    "empty": {},
}


@pytest.fixture(scope="module")
def serving(tmp_path_factory):
    """A running daemon with three collections; not to be changed."""
    daemon = Daemon(tmp_path_factory.mktemp("serving")).start()
    fill(daemon)
    yield daemon
    daemon.stop()


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "passphrase"
    path.write_text(PASSPHRASE)
    return ["--passphrase-file", path]


# list, show


def test_list_says_what_the_daemon_says(serving):
    ended = run("collection", "list", "--json", "--data", serving.data)
    assert ended.returncode == 0 and len(ended.stdout.splitlines()) == 1
    listed = json.loads(ended.stdout)["collections"]
    assert [(c["name"], c["features"]) for c in listed] == [
        (row["collection_name"], row["feature_num"]) for row in serving.status()
    ]
    assert [c["people"] for c in listed] == [len(PEOPLE[c["name"]]) for c in listed]
    assert all(c["findings"] == [] and c["bytes"] > 0 for c in listed)
    for_people = run("collection", "list", "--data", serving.data).stdout
    assert "staff: 3 people, 5 features" in for_people and "3 collections" in for_people


def test_show(serving):
    shown = show(serving.data, "staff")
    assert shown["everyone"] == numbers("staff")
    assert (serving.data / "gallery" / shown["uuid"]).is_dir()
    assert shown["name"] == "staff" and shown["people"] == 3 and shown["features"] == 5
    ended = run("collection", "show", "staff", "--data", serving.data)
    assert ended.returncode == 0
    for word in (shown["uuid"], shown["model"], shown["created"], shown["updated"]):
        assert word in ended.stdout
    assert "Zoë" not in ended.stdout, "who is in it only if asked"
    assert "Zoë" in run("collection", "show", "staff", "--people", "--data", serving.data).stdout
    without = json.loads(run("collection", "show", "staff", "--json", "--data", serving.data).stdout)
    assert "everyone" not in without


def test_show_what_is_not_there(serving, tmp_path):
    assert_refused(run("collection", "show", "nobody", "--data", serving.data), '"nobody"')
    assert_refused(run("collection", "list", "--data", tmp_path / "nothing"), "no gallery")
    assert not (tmp_path / "nothing").exists()


def test_the_files_of_the_first_release_can_be_read(tmp_path):
    data = sample("gallery-v1", tmp_path / "data")
    before = fingerprint(data)
    assert names(data) == list(V1)
    for name, people in V1.items():
        assert show(data, name)["everyone"] == people
        assert show(data, name)["model"] == "test-model-1"
    assert fingerprint(data) == before


# export, import


def test_from_one_daemon_to_another(serving, tmp_path, secret, start_daemon):
    """Exported while the one serves, imported under another name while the other is stopped: the same scores."""
    ended = run("collection", "export", "staff", tmp_path / "file", *secret, "--data", serving.data)
    assert ended.returncode == 0, ended.stderr
    assert "1 collections, 3 people, 5 features" in ended.stdout
    other = start_daemon()
    other.ask("/create/collection", collection_name="staff")
    other.insert("staff", ("own", portrait(ASTRONAUT)))
    ended = run("collection", "import", tmp_path / "file", *secret, "--name", "branch", "--data", other.data)
    assert_refused(ended, "stop the daemon")
    other.stop()
    ended = run("collection", "import", tmp_path / "file", *secret, "--data", other.data)
    assert_refused(ended, '"staff" exists already', "--name")
    assert names(other.data) == ["staff"] and show(other.data, "staff")["everyone"] == {"own": 1}
    ended = run("collection", "import", tmp_path / "file", *secret, "--name", "branch", "--data", other.data)
    assert ended.returncode == 0 and "branch: 3 people, 5 features" in ended.stdout, ended.stderr
    other.start()
    for picture in (OBAMA, BIDEN, ASTRONAUT):
        assert other.search("branch", portrait(picture)) == serving.search("staff", portrait(picture))
    assert set(other.search("staff", portrait(ASTRONAUT))) == {"own"}


def test_import_takes_one_collection_with_a_good_name(serving, tmp_path, secret):
    run("backup", tmp_path / "three", *secret, "--data", serving.data)
    ended = run("collection", "import", tmp_path / "three", *secret, "--data", tmp_path / "board")
    assert_refused(ended, "holds 3 collections", "restore")
    run("collection", "export", "visitors", tmp_path / "one", *secret, "--data", serving.data)
    ended = run("collection", "import", tmp_path / "one", *secret, "--name", "../up", "--data", tmp_path / "board")
    assert_refused(ended, "letters")
    assert not (tmp_path / "board").exists()
    ended = run("collection", "import", tmp_path / "one", *secret, "--data", tmp_path / "board")
    assert ended.returncode == 0, ended.stderr
    assert names(tmp_path / "board") == ["visitors"]


def test_export_what_is_not_there(serving, tmp_path, secret):
    ended = run("collection", "export", "nobody", tmp_path / "file", *secret, "--data", serving.data)
    assert_refused(ended, '"nobody"')
    assert not (tmp_path / "file").exists() and not (tmp_path / "file.partial").exists()


# upgrade


def journals(data) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(data.glob("gallery/*/journal-*")))


def assert_upgraded(data):
    assert names(data) == list(V1)
    for name, people in V1.items():
        shown = show(data, name)
        assert shown["everyone"] == people and shown["findings"] == []
    assert b"carla" not in journals(data) and b"guest-1" not in journals(data)


def test_upgrade_of_the_first_release(tmp_path):
    """Everyone is there, nothing in a journal is in plain any more, and the second time nothing is written."""
    data = sample("gallery-v1", tmp_path / "data")
    before = {name: show(data, name) for name in V1}
    assert b"carla" in journals(data)
    ended = run("upgrade", "--data", data)
    assert ended.returncode == 0, ended.stderr
    assert all(f"{name}: " in ended.stdout for name in V1) and "upgraded 3" in ended.stdout
    assert_upgraded(data)
    for name in V1:
        after = show(data, name)
        assert all(after[key] == before[name][key] for key in ("uuid", "created", "updated", "model"))
    written = fingerprint(data)
    ended = run("upgrade", "--data", data)
    assert ended.returncode == 0 and "already" in ended.stdout
    after = fingerprint(data)
    assert {k: v for k, v in after.items() if "LOCK" not in k} == {k: v for k, v in written.items() if "LOCK" not in k}


@pytest.mark.parametrize("limit", [40, 100, 300, 1000, 4000])
def test_upgrade_interrupted(tmp_path, limit):
    """Killed at its first write beyond so many bytes of a file: nobody is lost, and a second run does it all."""
    data = sample("gallery-v1", tmp_path / "data")
    ended = run("upgrade", "--data", data, preexec_fn=at_most(limit))
    assert ended.returncode == -signal.SIGXFSZ, ended.stderr
    for name, people in V1.items():
        assert show(data, name)["everyone"] == people
    ended = run("upgrade", "--data", data)
    assert ended.returncode == 0, ended.stderr
    assert_upgraded(data)


def test_upgrade_seals_what_was_written_in_plain(tmp_path, start_daemon):
    """A gallery from before sealing was turned on."""
    daemon = start_daemon(config="[storage]\nseal = false\n")
    daemon.ask("/create/collection", collection_name="staff")
    daemon.insert("staff", ("plainly_legible", portrait(BIDEN)))
    daemon.stop()
    assert b"plainly_legible" in journals(daemon.data)
    ended = run("upgrade", "--data", daemon.data)
    assert ended.returncode == 0 and "staff: " in ended.stdout, ended.stderr
    assert b"plainly_legible" not in journals(daemon.data)
    assert set(start_daemon(data=daemon.data).search("staff", portrait(BIDEN))) == {"plainly_legible"}


def test_upgrade_that_cannot_start(serving, tmp_path):
    assert_refused(run("upgrade", "--data", serving.data), "stop the daemon")
    assert_refused(run("upgrade", "--data", tmp_path / "nothing"), "no gallery")
    assert not (tmp_path / "nothing").exists()


# Usage


@pytest.mark.parametrize(
    "arguments", [["collection"], ["collection", "show"], ["backup"], ["restore"], ["check", "file"], ["upgrade", "it"]]
)
def test_wrong_usage_is_explained(arguments):
    ended = run(*arguments, stdin=subprocess.DEVNULL)
    assert ended.returncode == 2 and "Usage" in ended.stderr and ended.stdout == ""


@pytest.mark.parametrize(
    "verb", [["check"], ["backup"], ["restore"], ["upgrade"], ["collection", "list"]], ids=" ".join
)
def test_help_tells_the_exit_codes(verb):
    ended = run(*verb, "--help")
    assert ended.returncode == 0 and "Exit code: 0" in " ".join(ended.stdout.split())
