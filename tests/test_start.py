"""Starting: configuration, address and data folder. What cannot work is refused with a sentence, before anything is served."""

import pytest

from daemon import run


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
