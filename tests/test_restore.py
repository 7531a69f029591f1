"""restore: files that are damaged, locked or of another model, and what is there already. Nothing is lost."""

import random
import signal

import pytest

from daemon import Daemon, run
from faces import ASTRONAUT, OBAMA, portrait
from galleries import (
    PASSPHRASE,
    PEOPLE,
    assert_everyone,
    assert_refused,
    at_most,
    backup,
    copy,
    fill,
    fingerprint,
    flip,
    kill_after,
    names,
    numbers,
    restore,
    sample,
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


@pytest.fixture(scope="module")
def sealed(filled, tmp_path_factory):
    """A backup of `filled`; not to be changed."""
    folder = tmp_path_factory.mktemp("sealed")
    (folder / "passphrase").write_text(PASSPHRASE)
    backup(folder / "backup", ["--passphrase-file", folder / "passphrase"], filled)
    return folder / "backup"


# Files that are not what they should be


def assert_nothing_restored(ended, board, *words):
    assert_refused(ended, *words)
    assert not (board / "gallery").exists() or names(board) == []


@pytest.mark.parametrize("part", [0, 0.01, 0.3, 0.6, 0.999])
def test_a_file_that_is_cut_off(sealed, tmp_path, secret, part):
    """Refused, with how far it goes; nothing is restored."""
    whole = sealed.read_bytes()
    (tmp_path / "cut").write_bytes(whole[: int(len(whole) * part)])
    ended = run("restore", tmp_path / "cut", *secret, "--data", tmp_path / "board")
    count = {0: 0, 0.01: 0, 0.3: 0, 0.6: 1, 0.999: 3}[part]
    assert_nothing_restored(ended, tmp_path / "board", "incomplete", f"{count} whole collections")


def test_what_is_whole_of_a_file_that_is_cut_off(sealed, tmp_path, secret):
    """Only if asked, and with a warning."""
    whole = sealed.read_bytes()
    (tmp_path / "cut").write_bytes(whole[: int(len(whole) * 0.6)])
    ended = restore(tmp_path / "cut", secret, tmp_path / "board", "--incomplete")
    assert "warning" in ended.stderr
    assert_everyone(tmp_path / "board", ["staff"])


@pytest.mark.parametrize("part", [0, 0.005, 0.03, 0.2, 0.5, 0.7, 0.9, 0.9999])
def test_a_file_in_which_one_bit_is_wrong(sealed, tmp_path, secret, part):
    """Wherever it is: refused, nothing is restored, of no collection."""
    (tmp_path / "bad").write_bytes(sealed.read_bytes())
    flip(tmp_path / "bad", int(sealed.stat().st_size * part), 3)
    ended = run("restore", tmp_path / "bad", *secret, "--data", tmp_path / "board")
    assert_nothing_restored(ended, tmp_path / "board", str(tmp_path / "bad"))


def test_wrong_keys(sealed, tmp_path, secret):
    """Each is told apart in words, and nothing is restored."""
    board = tmp_path / "board"
    (tmp_path / "wrong").write_text("quite another passphrase")
    ended = run("restore", sealed, "--passphrase-file", tmp_path / "wrong", "--data", board)
    assert_nothing_restored(ended, board, "the passphrase is not the one")
    recipient = run("backup-key", tmp_path / "key").stdout.strip()
    run("backup-key", tmp_path / "other_key")
    ended = run("restore", sealed, "--identity", tmp_path / "key", "--data", board)
    assert_nothing_restored(ended, board, "sealed with a passphrase")
    data = sample("gallery-v1", tmp_path / "sample")
    backup(tmp_path / "for_key", ["--recipient", recipient], data)
    ended = run("restore", tmp_path / "for_key", "--identity", tmp_path / "other_key", "--data", board)
    assert_nothing_restored(ended, board, "the secret key given is not one")
    ended = run("restore", tmp_path / "for_key", *secret, "--data", board)
    assert_nothing_restored(ended, board, "sealed for a secret key")


def test_a_file_that_is_no_backup(tmp_path, secret):
    (tmp_path / "letters").write_text("dear letters\n" * 100)
    ended = run("restore", tmp_path / "letters", *secret, "--data", tmp_path / "board")
    assert_nothing_restored(ended, tmp_path / "board", "is not a recocomp backup")
    ended = run("restore", tmp_path / "missing", *secret, "--data", tmp_path / "board")
    assert_nothing_restored(ended, tmp_path / "board", "missing")


def test_templates_of_another_model_are_not_restored(tmp_path, secret):
    data = sample("gallery-v1", tmp_path / "sample")
    backup(tmp_path / "backup", secret, data)
    ended = run("restore", tmp_path / "backup", *secret, "--data", tmp_path / "board")
    assert_nothing_restored(ended, tmp_path / "board", "test-model-1", "matching model")


# What is there already


def test_a_running_daemon_is_not_restored_into(sealed, secret, start_daemon):
    daemon = start_daemon()
    ended = run("restore", sealed, *secret, "--data", daemon.data)
    assert_refused(ended, "in use", "stop the daemon")
    assert daemon.status() == []


def test_collections_that_exist_are_replaced_only_if_asked(sealed, tmp_path, secret, start_daemon):
    """Without --replace nothing at all is restored; with it those of the file are as in the file, others as they were."""
    daemon = start_daemon()
    for name in ("staff", "own"):
        daemon.ask("/create/collection", collection_name=name)
        daemon.insert(name, ("newcomer", portrait(ASTRONAUT)))
    daemon.stop()
    before = fingerprint(daemon.data)
    ended = run("restore", sealed, *secret, "--data", daemon.data)
    assert_refused(ended, '"staff" exists already', "--replace")
    after = fingerprint(daemon.data)
    assert {k: v for k, v in after.items() if "LOCK" not in k} == {k: v for k, v in before.items() if "LOCK" not in k}
    restore(sealed, secret, daemon.data, "--replace")
    assert sorted(names(daemon.data)) == sorted([*PEOPLE, "own"])
    assert show(daemon.data, "staff")["everyone"] == numbers("staff")
    assert show(daemon.data, "own")["everyone"] == {"newcomer": 1}
    assert set(daemon.start().search("staff", portrait(OBAMA))) == set(PEOPLE["staff"])


def test_more_collections_than_a_gallery_holds(sealed, secret, start_daemon):
    """30 is the limit: nothing is restored."""
    daemon = start_daemon()
    for number in range(28):
        assert daemon.ask("/create/collection", collection_name=f"c{number}")["err_code"] == 0
    daemon.stop()
    ended = run("restore", sealed, *secret, "--data", daemon.data)
    assert_refused(ended, "30 collections")
    assert len(names(daemon.data)) == 28
    restore(sealed, secret, daemon.data, "--collection", "staff", "--collection", "visitors")
    restore(sealed, secret, daemon.data, "--collection", "staff", "--replace")
    assert len(names(daemon.data)) == 30


def test_replacing_killed_while_the_new_one_is_written(filled, tmp_path, secret, sealed):
    """The old one is there as it was."""
    data = copy(filled, tmp_path / "data")
    restore_staff = ["restore", sealed, *secret, "--replace", "--collection", "staff", "--data", data]
    ended = run(*restore_staff, preexec_fn=at_most(2000))
    assert ended.returncode == -signal.SIGXFSZ, ended.stderr
    assert_everyone(data)
    restore(sealed, secret, data, "--replace")
    assert_everyone(data)


def test_replacing_killed_at_any_moment(filled, tmp_path, secret, sealed):
    """Everyone of `staff` is on the disk at any moment, and the same command puts everything right."""
    data = copy(filled, tmp_path / "data")
    dice = random.Random(2)
    for _ in range(8):
        kill_after(dice.uniform(0.1, 0.5), "restore", sealed, *secret, "--replace", "--data", data)
        there = set(names(data)) & {"staff", "staff.restoring"}
        assert there and all(show(data, name)["everyone"] == numbers("staff") for name in there)
    restore(sealed, secret, data, "--replace")
    assert_everyone(data)
