"""backup and backup-key: what was enrolled is found on another board; interruptions, passphrases and keys."""

import os
import pty
import random
import re
import signal
import stat
import subprocess
import termios
import threading
import time

import pytest

from daemon import Daemon, binary, run, wait_until
from faces import ASTRONAUT, BIDEN, OBAMA, base64_of, brightness, head_and_shoulders, portrait
from galleries import (
    PASSPHRASE,
    PEOPLE,
    assert_everyone,
    assert_refused,
    at_most,
    backup,
    copy,
    fill,
    flip,
    kill_after,
    numbers,
    restore,
    show,
)


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """The data folder of a stopped daemon with three collections; not to be changed."""
    folder = tmp_path_factory.mktemp("filled")
    daemon = Daemon(folder).start()
    fill(daemon)
    daemon.stop()
    return daemon.data


@pytest.fixture
def secret(tmp_path):
    """Options that seal and open with a passphrase."""
    path = tmp_path / "passphrase"
    path.write_text(PASSPHRASE + "\n")
    return ["--passphrase-file", path]


@pytest.fixture(params=["passphrase", "recipient"])
def either(request, tmp_path, secret):
    """Options to seal, options to open."""
    if request.param == "passphrase":
        return secret, secret
    ended = run("backup-key", tmp_path / "key")
    assert ended.returncode == 0, ended.stderr
    return ["--recipient", ended.stdout.strip()], ["--identity", tmp_path / "key"]


@pytest.fixture(scope="module")
def sealed(filled, tmp_path_factory):
    """A backup of `filled`; not to be changed."""
    folder = tmp_path_factory.mktemp("sealed")
    (folder / "passphrase").write_text(PASSPHRASE)
    backup(folder / "backup", ["--passphrase-file", folder / "passphrase"], filled)
    return folder / "backup"


# There and back


def test_another_board_finds_everyone(filled, tmp_path, start_daemon, either):
    """The same people, features, times and scores; exit code 0 and a summary."""
    lock, key = either
    ended = backup(tmp_path / "backup", lock, filled)
    assert "3 collections, 6 people, 8 features" in ended.stdout and "read back" in ended.stdout
    assert not (tmp_path / "backup.partial").exists()
    restore(tmp_path / "backup", key, tmp_path / "board")
    assert_everyone(tmp_path / "board")
    for name in PEOPLE:
        before, after = show(filled, name), show(tmp_path / "board", name)
        assert before["uuid"] != after["uuid"]
        assert [before[k] for k in ("created", "updated", "model")] == [
            after[k] for k in ("created", "updated", "model")
        ]
    first, second = start_daemon(data=copy(filled, tmp_path / "copy")), start_daemon(data=tmp_path / "board")
    for name in PEOPLE:
        for picture in (OBAMA, BIDEN, ASTRONAUT):
            found = second.search(name, portrait(picture))
            assert found == first.search(name, portrait(picture)) and set(found) == set(PEOPLE[name])
    assert second.insert("staff", ("later", portrait(ASTRONAUT)))["success_num"] == 1


def test_backup_while_the_daemon_enrols(tmp_path, start_daemon, secret):
    """Whoever was acknowledged before the backup began is in it, nobody who was not sent yet when it ended."""
    daemon = start_daemon()
    daemon.ask("/create/collection", collection_name="staff")
    acknowledged, sent, stop = [], [], threading.Event()

    def client():
        for number in range(1000):
            if stop.is_set():
                return
            picture = brightness(head_and_shoulders(BIDEN, 160), 0.7 + number % 50 / 100)
            sent.append(f"person_{number}")
            assert daemon.insert("staff", (sent[-1], base64_of(picture)))["success_num"] == 1
            acknowledged.append(sent[-1])

    thread = threading.Thread(target=client)
    thread.start()
    try:
        for attempt in range(3):
            time.sleep(0.5)
            before = set(acknowledged)
            backup(tmp_path / f"backup{attempt}", secret, daemon.data)
            after = set(sent)
            restore(tmp_path / f"backup{attempt}", secret, tmp_path / f"board{attempt}")
            kept = set(show(tmp_path / f"board{attempt}", "staff")["everyone"])
            assert before <= kept <= after
    finally:
        stop.set()
        thread.join()
    assert len(before) >= 3 and acknowledged == sent
    found = set(start_daemon(data=tmp_path / "board2").search("staff", portrait(BIDEN)))
    # One search answers with 100 people at most.
    assert found <= kept and len(found) == min(len(kept), 100)


def test_the_file_shows_nothing(sealed):
    """No name, no target_id; readable by its owner alone."""
    contents = sealed.read_bytes()
    for word in [*PEOPLE, "obama", "biden", "eileen", "Zoë", "mobilefacenet"]:
        assert word.encode() not in contents
    assert stat.S_IMODE(sealed.stat().st_mode) == 0o600


def test_some_of_the_collections(filled, tmp_path, secret, sealed):
    """--collection picks, when writing and when restoring; --list shows; a name that is not there is refused."""
    listed = restore(sealed, secret, tmp_path / "none", "--list").stdout
    assert all(f"{name}: {len(PEOPLE[name])} people" in listed for name in PEOPLE)
    assert not (tmp_path / "none").exists()
    restore(sealed, secret, tmp_path / "two", "--collection", "staff", "--collection", "visitors")
    assert_everyone(tmp_path / "two", ["staff", "visitors"])
    backup(tmp_path / "one", secret, filled, "--collection", "visitors")
    restore(tmp_path / "one", secret, tmp_path / "one_board")
    assert_everyone(tmp_path / "one_board", ["visitors"])
    for ended in (
        run("backup", tmp_path / "no", *secret, "--data", filled, "--collection", "nobody"),
        run("restore", sealed, *secret, "--data", tmp_path / "no", "--collection", "nobody"),
    ):
        assert_refused(ended, '"nobody"')
    assert not (tmp_path / "no").exists()


def test_an_existing_file_is_replaced_only_if_asked(filled, tmp_path, secret):
    (tmp_path / "backup").write_text("dear letters")
    ended = run("backup", tmp_path / "backup", *secret, "--data", filled)
    assert_refused(ended, "exists already")
    assert (tmp_path / "backup").read_text() == "dear letters"
    backup(tmp_path / "backup", secret, filled, "--force")
    restore(tmp_path / "backup", secret, tmp_path / "board")
    assert_everyone(tmp_path / "board")


# Interruptions


@pytest.mark.parametrize("part", [0.15, 0.6, 0.97])
def test_an_interrupted_backup_goes_on(filled, tmp_path, either, part):
    """Killed in the middle of a write: FILE is not there; the same command keeps what was whole, and says so."""
    lock, key = either
    size = backup_size(filled, lock, tmp_path)
    limit = int(size * part)
    ended = run("backup", tmp_path / "backup", *lock, "--data", filled, preexec_fn=at_most(limit))
    assert ended.returncode == -signal.SIGXFSZ, ended.stderr
    assert not (tmp_path / "backup").exists()
    assert 0 < (tmp_path / "backup.partial").stat().st_size <= limit
    ended = backup(tmp_path / "backup", lock, filled)
    kept = int(re.search(r"in which (\d) of 3 collections are whole", ended.stderr).group(1))
    assert kept == {0.15: 0, 0.6: 1, 0.97: 3}[part]
    restore(tmp_path / "backup", key, tmp_path / "board")
    assert_everyone(tmp_path / "board")


def backup_size(data, lock, folder) -> int:
    backup(folder / "measure", lock, data)
    return (folder / "measure").stat().st_size


def test_a_collection_that_changed_since_the_interruption_is_written_again(filled, tmp_path, secret, start_daemon):
    """What the file has of an earlier state does not count."""
    data = copy(filled, tmp_path / "data")
    limit = int(backup_size(data, secret, tmp_path) * 0.97)
    ended = run("backup", tmp_path / "backup", *secret, "--data", data, preexec_fn=at_most(limit))
    assert ended.returncode == -signal.SIGXFSZ, ended.stderr
    daemon = start_daemon(data=data)
    assert daemon.ask("/delete/id", collection_name="staff", target_id="biden")["err_code"] == 0
    assert daemon.insert("staff", ("late", portrait(BIDEN)))["success_num"] == 1
    ended = backup(tmp_path / "backup", secret, data)
    assert "in which 2 of 3 collections are whole" in ended.stderr
    restore(tmp_path / "backup", secret, tmp_path / "board")
    assert set(show(tmp_path / "board", "staff")["everyone"]) == {"obama", "Zoë", "late"}


def test_an_unfinished_file_of_another_passphrase_is_left_alone(filled, tmp_path, secret):
    limit = int(backup_size(filled, secret, tmp_path) * 0.97)
    run("backup", tmp_path / "backup", *secret, "--data", filled, preexec_fn=at_most(limit))
    partial = (tmp_path / "backup.partial").read_bytes()
    (tmp_path / "other").write_text("another passphrase")
    ended = run("backup", tmp_path / "backup", "--passphrase-file", tmp_path / "other", "--data", filled)
    assert_refused(ended, "another passphrase", "delete it")
    assert (tmp_path / "backup.partial").read_bytes() == partial


def test_backup_killed_at_any_moment(filled, tmp_path, secret):
    """SIGKILL again and again; whenever FILE is there it is whole, and in the end it is."""
    dice = random.Random(1)
    for _ in range(8):
        kill_after(dice.uniform(0, 0.4), "backup", tmp_path / "backup", *secret, "--data", filled, "--force")
        if (tmp_path / "backup").exists():
            assert restore(tmp_path / "backup", secret, tmp_path / "unused", "--list").stdout.count("model") == 3
    backup(tmp_path / "backup", secret, filled, "--force")
    restore(tmp_path / "backup", secret, tmp_path / "board")
    assert_everyone(tmp_path / "board")


def test_damage_is_not_backed_up_in_silence(filled, tmp_path, secret):
    """A collection that cannot be read: refused, unless others are named. One that lost a change: exit code 2 and a warning."""
    data = copy(filled, tmp_path / "data")
    folder = data / "gallery" / show(data, "staff")["uuid"]
    for path in folder.iterdir():
        path.write_bytes(b"")
    ended = run("backup", tmp_path / "backup", *secret, "--data", data)
    assert_refused(ended, "cannot be read", "--collection")
    assert not (tmp_path / "backup").exists()
    backup(tmp_path / "others", secret, data, "--collection", "visitors")
    data = copy(filled, tmp_path / "data2")
    flip(data / "gallery" / show(data, "visitors")["uuid"] / "journal-1", -600)
    ended = run("backup", tmp_path / "backup", *secret, "--data", data)
    assert ended.returncode == 2 and "warning: visitors: " in ended.stderr, ended.stderr
    restore(tmp_path / "backup", secret, tmp_path / "board")
    assert show(tmp_path / "board", "staff")["everyone"] == numbers("staff")


# Secrets


def test_passphrase_from_standard_input_or_not_at_all(filled, tmp_path, secret):
    ended = run("backup", tmp_path / "backup", "--passphrase-file", "-", "--data", filled, input=PASSPHRASE + "\n")
    assert ended.returncode == 0, ended.stderr
    restore(tmp_path / "backup", secret, tmp_path / "board")
    ended = run("backup", tmp_path / "second", "--data", filled, stdin=subprocess.DEVNULL)
    assert_refused(ended, "--passphrase-file", "--recipient")
    (tmp_path / "short").write_text("1234567\n")
    ended = run("backup", tmp_path / "second", "--passphrase-file", tmp_path / "short", "--data", filled)
    assert_refused(ended, "too short")
    (tmp_path / "lines").write_text("first line\nsecond line\n")
    ended = run("backup", tmp_path / "second", "--passphrase-file", tmp_path / "lines", "--data", filled)
    assert_refused(ended, "one line")
    assert not (tmp_path / "second").exists() and not (tmp_path / "second.partial").exists()


@pytest.mark.parametrize("again", [PASSPHRASE, "something else"])
def test_passphrase_at_the_terminal(filled, tmp_path, secret, again):
    """Asked for twice, never shown, and only taken if both are the same."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*binary(), "backup", tmp_path / "backup", "--data", filled], stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    shown = b""
    for question, answer in ((b"Passphrase: ", PASSPHRASE), (b"again: ", again)):
        while question not in shown:
            shown += os.read(ours, 1000)
        # The question comes before the terminal is told not to echo.
        wait_until(lambda: not termios.tcgetattr(ours)[3] & termios.ECHO, 10, "no echo")
        os.write(ours, answer.encode() + b"\n")
    try:
        while more := os.read(ours, 1000):
            shown += more
    except OSError:
        pass  # the other end is closed
    os.close(ours)
    assert PASSPHRASE.encode() not in shown and b"something" not in shown
    if again == PASSPHRASE:
        assert process.wait(20) == 0, shown
        assert_everyone(restored(tmp_path, secret))
    else:
        assert process.wait(20) == 1 and b"not the same" in shown


def restored(folder, key):
    restore(folder / "backup", key, folder / "board")
    return folder / "board"


def test_backup_key(tmp_path):
    """A file for its owner alone, never over another one; without a file both keys on standard output."""
    ended = run("backup-key", tmp_path / "key")
    assert re.fullmatch(r"age1[0-9a-z]{58}\n", ended.stdout), ended.stdout
    text = (tmp_path / "key").read_text()
    assert re.search(r"^AGE-SECRET-KEY-1[0-9A-Z]{58}$", text, re.MULTILINE) and ended.stdout.strip() in text
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    assert_refused(run("backup-key", tmp_path / "key"), str(tmp_path / "key"))
    assert (tmp_path / "key").read_text() == text
    printed = run("backup-key").stdout
    assert "AGE-SECRET-KEY-1" in printed and "age1" in printed and printed != text
    ended = run("backup", tmp_path / "backup", "--recipient", "age1nonsense", "--data", tmp_path)
    assert ended.returncode == 2 and "age1" in ended.stderr and not (tmp_path / "backup.partial").exists()
