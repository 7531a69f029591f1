"""What V1.0.0 left is opened, answered, restored and guarded as V1.0.0 did it, also when the update is interrupted.

data/v1.0.0 is its folder and what it answered; frozen.py asks the questions.
"""

import os
import re
import shutil
import signal
import subprocess

import pytest

from daemon import ROOT, Daemon, binary, run, wait_until
from faces import ASTRONAUT, BIDEN, OBAMA, OBAMA_3, portrait
from frozen import FROZEN, answers, ask_offline, copy, daemon_on, environment, events, expected, nfc
from galleries import fingerprint

# Scores of one picture on two processors.
ALIKE = 0.002
# How long anything may take that must happen.
SECONDS = 30


@pytest.fixture
def open_frozen(tmp_path):
    """Starts a daemon on a copy of the frozen folder, or on `data`."""
    started: list[Daemon] = []

    def start(data=None, **options) -> Daemon:
        number = len(started)
        data = data or copy(tmp_path / f"data{number}")
        started.append(daemon_on(data, tmp_path / f"daemon{number}", **options))
        return started[-1].start()

    yield start
    for daemon in started:
        if daemon.alive():
            daemon.stop()


@pytest.fixture(params=["passphrase", "key"])
def backup(request, tmp_path):
    """A backup that V1.0.0 wrote, and the options that open it. What git checks out may be read by others, which no key file may."""
    file, option = {"passphrase": ("passphrase", "--passphrase-file"), "key": ("backup.key", "--identity")}[request.param]
    secret = tmp_path / file
    shutil.copyfile(FROZEN / file, secret)
    secret.chmod(0o600)
    return FROZEN / f"{request.param}.backup", [option, secret]


def assert_as_before(said: dict) -> None:
    """As V1.0.0 answered; the forms of one name may have become one person with all features."""
    before = expected()
    assert [row["collection_name"] for row in said["status"]] == [row["collection_name"] for row in before["status"]]
    for name, people in before["people"].items():
        assert together(said["people"][name]) == together(people), name
        for picture, found in before["searches"][name].items():
            assert best(said["searches"][name][picture]) == pytest.approx(best(found), abs=ALIKE), (name, picture)


def together(people: dict[str, int]) -> dict[str, int]:
    """Features by name, whichever form it is written in."""
    sums: dict[str, int] = {}
    for who, features in people.items():
        sums[nfc(who)] = sums.get(nfc(who), 0) + features
    return sums


def best(found: dict[str, float]) -> dict[str, float]:
    """The best score of each name, whichever form it is written in."""
    scores: dict[str, float] = {}
    for who, score in found.items():
        scores[nfc(who)] = max(scores.get(nfc(who), 0), score)
    return scores


def is_upgraded(data) -> bool:
    """No file is left that the update writes anew: of the first format, or in plain though sealing is on."""
    headers = [path.read_bytes()[:16] for path in (data / "gallery").glob("*/journal-*")]
    return all(header[8] >= 2 and header[12] & 1 for header in headers)


def test_the_folder_opens_and_answers_as_before(open_frozen):
    """At once, when the daemon has written the older files anew, and after the next start."""
    daemon = open_frozen()
    said = answers(daemon)
    assert_as_before(said)
    assert said["license"] == expected()["license"]
    assert said["status"] == expected()["status"], "with its times"
    wait_until(lambda: is_upgraded(daemon.data), SECONDS, "the older files are written anew")
    assert_as_before(answers(daemon))
    daemon.restart()
    assert_as_before(answers(daemon))
    assert not list(daemon.data.rglob("quarantine"))


def test_the_folder_takes_changes(open_frozen):
    """Enrolling, updating and deleting in each of its collections."""
    daemon = open_frozen()
    for collection in ("first_format", "plain", "journal_only", "staff", "hidden_names", "names", "empty"):
        people = answers(daemon)["people"][collection]
        assert daemon.insert(collection, ("newcomer", portrait(OBAMA)))["success_num"] == 1
        assert daemon.update(collection, ("newcomer", portrait(BIDEN)))["success_num"] == 1
        assert daemon.search(collection, portrait(BIDEN))["newcomer"] > 0.99
        assert daemon.ask("/delete/id", collection_name=collection, target_id="newcomer")["err_code"] == 0
        assert answers(daemon)["people"][collection] == people
    daemon.restart()
    assert_as_before(answers(daemon))


def test_names_that_hide_something_are_found_and_deleted_by_their_bytes(open_frozen):
    """Whatever may be entered today, who is enrolled under such a name can be taken out."""
    daemon = open_frozen()
    for name in expected()["people"]["hidden_names"]:
        assert daemon.ask("/person/get", collection_name="hidden_names", target_id=name)["err_code"] == 0, repr(name)
        assert daemon.ask("/delete/id", collection_name="hidden_names", target_id=name)["err_code"] == 0, repr(name)
    assert daemon.features("hidden_names") == 0


def test_the_record_of_the_time_is_believed(open_frozen):
    """V1.0.0 has seen that day already: a clock before it is told, as V1.0.0 told it."""
    daemon = open_frozen(today="2030-05-01T12:00:00Z synchronised")
    wait_until(lambda: daemon.ask("/license")["status"] == "ClockRollback", 10, "the clock was set back")


# The door


def test_the_door_opens_for_the_same_people_and_its_events_go_on(open_frozen):
    """With the configuration of V1.0.0. Its events are read as they are; the next ones have higher numbers, also after a restart."""
    daemon = open_frozen()

    def ask(picture: str) -> dict:
        answer = daemon.ask("/face/search", collection_name="staff", face_image=portrait(picture), top_k=1, open=True)
        return answer["door"]

    assert not ask(ASTRONAUT)["opened"]
    assert ask(OBAMA_3)["opened"]
    wait_until(lambda: ask(BIDEN)["opened"], SECONDS, "the next person opens after the cool-down")
    before = expected()["events"]

    def opened() -> list[str]:
        fresh = events(daemon.data, daemon.folder)[len(before) :]
        return [event["person"] for event in fresh if event["event"] == "opened"]

    wait_until(lambda: opened() == ["obama", "biden"], SECONDS, "both are among the events")
    daemon.restart()
    listed = events(daemon.data, daemon.folder)
    for event, was in zip(listed, before):
        assert {key: event.get(key) for key in ("seq", "time", "event", "by", "person")} == {
            key: was.get(key) for key in ("seq", "time", "event", "by", "person")
        }
    numbers = [event["seq"] for event in listed]
    assert len(numbers) > len(before) and numbers == sorted(set(numbers)), numbers


# Backups


def test_a_backup_of_the_folder_restores(backup, tmp_path, open_frozen):
    """On another device: everyone, and the same scores."""
    file, key = backup
    data = tmp_path / "board"
    ended = run("restore", file, *key, "--data", data)
    assert ended.returncode == 0, ended.stderr
    shutil.copyfile(FROZEN / "data/recocomp.license", data / "recocomp.license")
    assert_as_before(answers(open_frozen(data)))


def test_the_files_are_checked_and_listed_without_starting_a_daemon(tmp_path):
    """check finds nothing, collection list counts everyone; neither writes."""
    data = copy(tmp_path / "data")
    surroundings = {**os.environ, **environment(tmp_path)}
    ended = run("check", "--data", data, env=surroundings)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    (listed,) = ask_offline(tmp_path, "collection", "list", "--json", "--data", data)
    counted = {row["name"]: row["features"] for row in listed["collections"]}
    assert counted == {row["collection_name"]: row["feature_num"] for row in expected()["status"]}


# An update that is killed

STORAGE_CALLS = "?rename,?renameat,renameat2,fsync,fdatasync,?unlink,unlinkat,pwrite64,ftruncate"
KILLS_OF_THE_VERB, KILLS_OF_THE_DAEMON = 14, 6


def traced(calls, *command, kill: tuple[str, int] | None = None) -> list[str]:
    """The command under strace, which notes what is asked of the medium, and kills at one of these calls."""
    inject = ["-e", f"inject={kill[0]}:signal=SIGKILL:when={kill[1]}"] if kill else []
    return ["strace", "-D", "-f", "-qq", "-o", str(calls), "-e", f"trace={STORAGE_CALLS}", *inject, *map(str, command)]


def points(calls, count: int) -> list[tuple[str, int]]:
    """`count` of the calls, as evenly as they go: which, and how many of that kind the thread had made by then."""
    seen: dict[tuple[str, str], int] = {}
    found = []
    for line in calls.read_text("utf-8", "replace").splitlines():
        match = re.match(r"(\d+) +(\w+)\(", line)
        if match:
            seen[match.groups()] = seen.get(match.groups(), 0) + 1
            found.append((match.group(2), seen[match.groups()]))
    assert len(found) >= count, found
    return [found[at * (len(found) - 1) // (count - 1)] for at in range(count)]


def assert_nobody_is_lost(data, folder) -> None:
    """Read without a daemon, which would go on with the update."""
    before = expected()["people"]
    (listed,) = ask_offline(folder, "collection", "list", "--json", "--data", data)
    assert sorted(row["name"] for row in listed["collections"]) == sorted(before)
    assert not [row["findings"] for row in listed["collections"] if row["findings"]]
    for name, people in before.items():
        (shown,) = ask_offline(folder, "collection", "show", name, "--people", "--json", "--data", data)
        assert together({row["target_id"]: row["features"] for row in shown["everyone"]}) == together(people), name


def test_upgrade_killed_at_any_call_loses_nobody(tmp_path, open_frozen):
    """`recocomp upgrade`, killed at 14 of the calls that it makes to the medium, from the first to the last."""
    surroundings = {**os.environ, **environment(tmp_path)}
    whole = copy(tmp_path / "whole")
    command = traced(tmp_path / "calls", *binary(), "upgrade", "--data", whole)
    assert subprocess.run(command, env=surroundings, capture_output=True, timeout=120).returncode == 0
    assert is_upgraded(whole)
    for number, point in enumerate(points(tmp_path / "calls", KILLS_OF_THE_VERB)):
        data = copy(tmp_path / f"killed{number}")
        command = traced(tmp_path / "killed", *binary(), "upgrade", "--data", data, kill=point)
        ended = subprocess.run(command, env=surroundings, capture_output=True, timeout=120)
        assert ended.returncode == -signal.SIGKILL, (point, ended)
        assert_nobody_is_lost(data, tmp_path)
        ended = run("upgrade", "--data", data, env=surroundings)
        assert ended.returncode == 0, (point, ended.stderr)
        assert_nobody_is_lost(data, tmp_path)
        assert is_upgraded(data)
    assert_as_before(answers(open_frozen(data)))


def test_a_daemon_killed_while_it_upgrades_loses_nobody(tmp_path, open_frozen):
    """The daemon on the folder, door and all, killed at 6 of its calls to the medium until the older files are written anew."""
    point = None
    for number in range(1 + KILLS_OF_THE_DAEMON):
        data, folder, calls = copy(tmp_path / f"killed{number}"), tmp_path / f"strace{number}", tmp_path / f"calls{number}"
        daemon = daemon_on(data, folder)
        surroundings = {**os.environ, **daemon.environment}
        process = subprocess.Popen(
            traced(calls, *binary(), *daemon.arguments, kill=point),
            env=surroundings,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_until(lambda: process.poll() is not None or is_upgraded(data), 60, f"{point}: killed or upgraded")
        finally:
            process.kill()
            process.wait()
        if number == 0:
            wait_until(lambda: "killed by SIGKILL" in calls.read_text("utf-8", "replace"), 10, "strace has written it all")
            chosen = points(calls, KILLS_OF_THE_DAEMON)
        assert_nobody_is_lost(data, folder)
        assert [event["seq"] for event in events(data, folder)][: len(expected()["events"])] == [
            event["seq"] for event in expected()["events"]
        ]
        point = chosen[min(number, KILLS_OF_THE_DAEMON - 1)]
    assert_as_before(answers(open_frozen(data)))


# The way back


@pytest.fixture(scope="module")
def v1() -> str:
    """The program of V1.0.0, built from the history on first use."""
    built = subprocess.run([ROOT / "cross/v1.sh"], capture_output=True, text=True)
    if built.returncode != 0:
        pytest.fail(built.stderr)
    return built.stdout.strip()


@pytest.mark.timeout(3600)
def test_v1_refuses_what_this_release_wrote_and_harms_nothing(v1, open_frozen, tmp_path, monkeypatch):
    """Back on V1.0.0 nobody is served, each collection says why, and no byte of them changes: the newer release serves them again."""
    daemon = open_frozen()
    wait_until(lambda: is_present(daemon.data), SECONDS, "everything is written in the present form")
    daemon.stop()
    collections = [path for path in (daemon.data / "gallery").iterdir() if path.is_dir()]
    before = {path.name: fingerprint(path) for path in collections}
    monkeypatch.setenv("RECOCOMP_BIN", v1)
    old = open_frozen(daemon.data)
    wait_until(lambda: old.ask("/license")["status"] == "Authorized", 10, "licensed")
    assert old.status() == []
    assert old.log().count("was written in format 3 by a newer release") >= len(collections)
    door = old.ask("/face/search", collection_name="staff", face_image=portrait(OBAMA), top_k=1, open=True)
    assert door["err_code"] != 0, "it opens for nobody"
    old.stop()
    assert {path.name: fingerprint(path) for path in collections} == before
    monkeypatch.undo()
    assert_as_before(answers(open_frozen(daemon.data)))


def is_present(data) -> bool:
    """Every journal has the format that this release writes."""
    headers = [path.read_bytes()[:16] for path in (data / "gallery").glob("*/journal-*")]
    return all(header[8] == 3 and header[12] & 1 for header in headers)
