"""Starting: configuration, address and data folder. What cannot work is refused with a sentence, before anything is served."""

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from daemon import STOP_SECONDS, binary, run, wait_until
from faces import BIDEN, OBAMA, portrait


def refused_start(tmp_path, config: str | None = None, arguments: tuple = ()) -> str:
    """Starts a daemon that must not start; what it said."""
    command = ["serve", "--development", "--data", tmp_path / "data"]
    if config is not None:
        (tmp_path / "recocomp.toml").write_text(config)
        command += ["--config", tmp_path / "recocomp.toml"]
    if "--listen" not in arguments:
        command += ["--listen", "127.0.0.1:0"]
    ended = run(*command, *arguments, timeout=30)
    assert ended.returncode not in (0, 101), f"{ended.returncode}: {ended.stderr}"
    assert "panicked" not in ended.stderr
    assert "listening on" not in ended.stdout
    return ended.stderr


@pytest.mark.parametrize(
    "config, wrong, right",
    [
        ('[server]\nlisen = "127.0.0.1:1"\n', "lisen", "listen"),
        ("[limits]\nmax_bodybytes = 5\n", "max_bodybytes", "max_body_bytes"),
        ("[recogntion]\nworkers = 1\n", "recogntion", "recognition"),
        ("[recognition]\nworker = 1\n", "worker", "workers"),
    ],
)
def test_an_unknown_key_is_refused_and_the_nearest_known_one_named(tmp_path, config, wrong, right):
    """A misspelt setting must not be silently without effect."""
    said = refused_start(tmp_path, config)
    assert wrong in said and right in said, said


@pytest.mark.parametrize(
    "config",
    [
        "[server\n",
        "[limits]\nmax_batch = 0\n",
        "[limits]\nqueue = -1\n",
        '[limits]\nqueue = "many"\n',
        "[recognition]\nworkers = 1.5\n",
        "[limits]\nmax_body_bytes = 99999999999999999999\n",
        '[server]\nlisten = "nonsense"\n',
        "\x00\x01",
    ],
)
def test_a_wrong_value_is_refused(tmp_path, config):
    """With a sentence that names the file, before anything is listened on."""
    assert "recocomp.toml" in refused_start(tmp_path, config)


def test_a_config_file_that_is_not_there(tmp_path):
    """Named in the message."""
    assert "missing.toml" in refused_start(tmp_path, arguments=("--config", tmp_path / "missing.toml"))


@pytest.mark.parametrize("address", ["nonsense", "127.0.0.1:99999", "127.0.0.1", "192.0.2.1:8080", ""])
def test_an_address_that_cannot_be_listened_on(tmp_path, address):
    """Malformed, or not of this machine."""
    assert address in refused_start(tmp_path, arguments=("--listen", address))


def test_a_port_in_use(tmp_path, daemon):
    """Two daemons on one port: the second says which address it wanted."""
    assert str(daemon.port) in refused_start(tmp_path, arguments=("--listen", f"127.0.0.1:{daemon.port}"))


def test_a_second_daemon_on_the_same_data(start_daemon):
    """Refused with a sentence; the first goes on unharmed."""
    first = start_daemon()
    first.ask("/create/collection", collection_name="face_col")
    second = run("serve", "--development", "--listen", "127.0.0.1:0", "--data", first.data, timeout=30)
    assert second.returncode not in (0, 101)
    assert str(first.data) in second.stderr
    assert first.ask("/collection/status", collection_name=["face_col"])["err_code"] == 0
    first.restart()
    assert first.features("face_col") == 0


def test_a_data_folder_that_cannot_be_made(tmp_path):
    """A file stands where the folder should be, or no folder can be made there."""
    (tmp_path / "data").write_text("in the way")
    assert str(tmp_path / "data") in refused_start(tmp_path)
    ended = run("serve", "--development", "--listen", "127.0.0.1:0", "--data", "/proc/recocomp", timeout=30)
    assert ended.returncode not in (0, 101)
    assert "/proc/recocomp" in ended.stderr


def test_the_command_line_wins_over_the_config_file(start_daemon):
    """Port 0 of the command line, not the one of the file."""
    assert start_daemon(config='[server]\nlisten = "127.0.0.1:1"\n').port != 1


# What is no regular file


@pytest.mark.parametrize("name", ["gallery/LOCK", "gallery/SALT"])
def test_a_pipe_in_place_of_a_file_is_refused_and_waited_for_by_nobody(tmp_path, name):
    """With its path."""
    pipe = tmp_path / "data" / name
    pipe.parent.mkdir(parents=True)
    os.mkfifo(pipe)
    said = refused_start(tmp_path)
    assert str(pipe) in said and "not a regular file" in said, said


def test_a_pipe_in_place_of_the_configuration_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.toml")
    said = refused_start(tmp_path, arguments=("--config", tmp_path / "pipe.toml"))
    assert "pipe.toml" in said and "not a regular file" in said, said


def test_a_pipe_in_place_of_the_token_is_refused(tmp_path):
    """A daemon with a door waits before it ends, for the exit button; doctor says at once what is wrong."""
    os.mkfifo(tmp_path / "token")
    door = '[door]\nenabled = true\nboard = "simulated"\ncollection = "staff"\ntoken_file = "{}"\n'
    (tmp_path / "recocomp.toml").write_text(door.format(tmp_path / "token"))
    ended = run("doctor", "--config", tmp_path / "recocomp.toml", "--data", tmp_path / "data", timeout=30)
    said = ended.stdout + ended.stderr
    assert str(tmp_path / "token") in said and "not a regular file" in said, said


@pytest.mark.parametrize("name", ["license.mark", "recocomp.license", "daemon.address"])
def test_a_pipe_in_place_of_a_file_that_may_be_missing_hinders_no_start(start_daemon, tmp_path, name):
    """It is as if there were none; what is wrong is logged."""
    data = tmp_path / "data"
    data.mkdir()
    os.mkfifo(data / name)
    daemon = start_daemon(data=data, development=False)
    assert daemon.ask("/license")["status"] == "Unauthorized"


@pytest.mark.parametrize(
    "kind, name",
    [("empty", "journal-20261127"), ("pipe", "journal-1000000000000"), ("directory", "gen-18446744073709551615.rkyv")],
)
def test_a_stray_file_beside_a_journal_costs_nobody_anything(start_daemon, kind, name):
    """Everyone is served; one sentence names it, at the start, in check and in the list of collections."""
    daemon = start_daemon()
    for collection in ("staff", "guests"):
        daemon.ask("/create/collection", collection_name=collection)
        assert daemon.insert(collection, ("obama", portrait(OBAMA)))["success_num"] == 1
    daemon.stop()
    (listed,) = [row for row in listed_collections(daemon.data) if row["name"] == "staff"]
    stray = daemon.data / "gallery" / listed["uuid"] / name
    {"pipe": os.mkfifo, "directory": os.mkdir, "empty": lambda path: path.write_bytes(b"")}[kind](stray)
    checked = run("check", "--data", daemon.data, timeout=30)
    assert checked.returncode == 1 and checked.stdout.count(name) == 1, checked.stdout
    (listed,) = [row for row in listed_collections(daemon.data) if row["name"] == "staff"]
    assert len(listed["findings"]) == 1 and name in listed["findings"][0]
    daemon.start()
    for collection in ("staff", "guests"):
        assert set(daemon.search(collection, portrait(OBAMA))) == {"obama"}
        assert daemon.insert(collection, ("biden", portrait(BIDEN)))["success_num"] == 1
    assert len([line for line in daemon.log().splitlines() if name in line]) <= 2
    assert stray.exists()


def listed_collections(data) -> list[dict]:
    ended = run("collection", "list", "--json", "--data", data, timeout=30)
    return json.loads(ended.stdout)["collections"]


# Told to stop while it starts


def test_a_signal_is_obeyed_while_the_gallery_opens(start_daemon, tmp_path, monkeypatch):
    """On a medium on which every sync takes half a minute: the daemon ends at once, in order, and loses nothing."""
    daemon = start_daemon()
    daemon.ask("/create/collection", collection_name="staff")
    assert daemon.insert("staff", ("obama", portrait(OBAMA)))["success_num"] == 1
    daemon.stop()
    # -D: strace watches as a grandchild, so that signals go to the daemon.
    slow = ["strace", "-D", "-f", "-o", os.devnull, "-e", "trace=fsync", "-e", "inject=fsync:delay_enter=30000000"]
    process = subprocess.Popen([*slow, *binary(), *daemon.arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        threads = Path(f"/proc/{process.pid}/task")
        wait_until(lambda: "start" in [name(thread) for thread in threads.iterdir()], 20, "the thread that opens the gallery")
        strace = int(status_of(process, "TracerPid"))
        process.terminate()
        wait_until(lambda: status_of(process, "State").startswith("Z"), STOP_SECONDS, "the daemon ends")
        # A thread that it delays strace lets go only when the delay is over, also out of a process that has ended.
        os.kill(strace, signal.SIGKILL)
        assert process.wait(STOP_SECONDS) == 0
    finally:
        process.kill()
    assert b"listening" not in process.stdout.read()
    daemon.start()
    assert set(daemon.search("staff", portrait(OBAMA))) == {"obama"}


def status_of(process: subprocess.Popen, field: str) -> str:
    status = Path(f"/proc/{process.pid}/status").read_text()
    return re.search(rf"^{field}:\t(.*)$", status, re.MULTILINE)[1]


def name(thread: Path) -> str:
    try:
        return (thread / "comm").read_text().strip()
    except FileNotFoundError:
        return ""
