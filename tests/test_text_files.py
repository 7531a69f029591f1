"""Files that people write for the program, made with any editor of any system: tokens, passphrases, keys, licenses, configuration."""

import json
import subprocess

import pytest

from contract import assert_error
from daemon import binary, run, wait_until
from faces import OBAMA, file_bytes
from galleries import PASSPHRASE, assert_refused

TOKEN = "a-token-of-the-terminal-at-the-door"
MARK = b"\xef\xbb\xbf"
DOOR = '[door]\nenabled = true\nboard = "simulated"\ncollection = "staff"\ntoken_file = "{}"\n'

# What is in the file, its mode, what is said.
REFUSED = {
    "UTF-16": (TOKEN.encode("utf-16"), 0o600, ["UTF-16", "save it as UTF-8"]),
    "UTF-16 without a mark": (TOKEN.encode("utf-16-be"), 0o600, ["UTF-16"]),
    "ANSI": ("schlüssel-der-tür-von-müller".encode("cp1252"), 0o600, ["line 1", "UTF-8"]),
    "a NUL": (TOKEN.encode() + b"\0", 0o600, ["NUL"]),
    "two lines": ((TOKEN + "\n" + TOKEN + "\n").encode(), 0o600, ["one line"]),
    "letters that no client can send": ("schlüssel-der-tür-von-müller".encode(), 0o600, ["ASCII"]),
    "writable by all": (TOKEN.encode(), 0o666, ["0666", "chmod 600"]),
    "writable by a group": (TOKEN.encode(), 0o660, ["0660", "chmod 600"]),
}


@pytest.fixture
def token(tmp_path):
    """Makes the token file."""

    def make(contents: bytes, mode: int = 0o600):
        path = tmp_path / "token"
        path.write_bytes(contents)
        path.chmod(mode)
        return path

    return make


@pytest.fixture
def album(tmp_path):
    (tmp_path / "album" / "obama").mkdir(parents=True)
    (tmp_path / "album" / "obama" / "1.jpg").write_bytes(file_bytes(OBAMA))
    return tmp_path / "album"


def log_until(tmp_path, config: str, expected: str) -> str:
    """The log of a daemon that cannot start, up to a word; it would look after the exit button for a minute."""
    (tmp_path / "recocomp.toml").write_text(config)
    arguments = ["serve", "--development", "--listen", "127.0.0.1:0", "--data", str(tmp_path / "data"), "--config", str(tmp_path / "recocomp.toml")]
    log = tmp_path / "log"
    with log.open("wb") as file:
        process = subprocess.Popen([*binary(), *arguments], stdout=subprocess.PIPE, stderr=file)
        try:
            wait_until(lambda: expected in log.read_text(), 60, f"{expected} in the log")
        finally:
            process.terminate()
            out, _ = process.communicate(timeout=60)
    assert b"listening" not in out and process.returncode != 0
    return log.read_text()


@pytest.mark.parametrize("what", REFUSED)
def test_a_token_that_nobody_could_send_or_anybody_have_made(tmp_path, token, album, what):
    """Start, doctor and enroll refuse it with the same reason, and with what to do."""
    contents, mode, expected = REFUSED[what]
    path = token(contents, mode)
    config = DOOR.format(path)
    log = log_until(tmp_path, config, "door.token_file")
    looked = run("doctor", "--json", "--data", tmp_path / "data", "--config", tmp_path / "recocomp.toml")
    found = [f["found"] for f in json.loads(looked.stdout)["findings"] if f["level"] == "problem" and "door.token_file" in f["found"]]
    assert looked.returncode == 2 and len(found) == 1, looked.stdout
    given = run("enroll", album, "--collection", "staff", "--server", "127.0.0.1:1", "--token-file", path)
    assert given.returncode == 1
    for word in expected:
        assert word in log and word in found[0] and word in given.stderr, (log, found, given.stderr)
    assert TOKEN not in log + looked.stdout + given.stderr


def test_a_token_file_made_by_notepad_opens_for_the_token(start_daemon, token):
    """A byte order mark before it and Windows line ends behind it do not count."""
    daemon = start_daemon(config=DOOR.format(token(MARK + TOKEN.encode() + b"\r\n")))
    body = json.dumps({"collection_name": "staff"})
    for header, code in ((f"Bearer {TOKEN}", 0), ("Bearer wrong", 1015)):
        answer = daemon.send("/create/collection", body, headers={"Authorization": header, "Content-Type": "application/json"})
        assert answer["err_code"] == code, answer


def test_a_token_that_every_user_can_read_is_warned_of(start_daemon, token):
    """A door that was set up with the usual umask goes on working; start and doctor say what to do."""
    path = token(TOKEN.encode(), 0o644)
    daemon = start_daemon(config=DOOR.format(path))
    assert f"chmod 600 {path}" in daemon.log()
    looked = run("doctor", "--json", "--data", daemon.data, "--config", daemon.folder / "recocomp.toml")
    found = [f for f in json.loads(looked.stdout)["findings"] if "door.token_file" in f["found"]]
    assert [f["level"] for f in found] == ["warning"] and f"chmod 600 {path}" in found[0]["found"]
    path.chmod(0o640)
    looked = run("doctor", "--json", "--data", daemon.data, "--config", daemon.folder / "recocomp.toml")
    assert "door.token_file" not in looked.stdout


def test_passphrases_and_keys_of_any_editor(tmp_path, album):
    """What was sealed with the passphrase opens with a file that has a mark before it and CR LF behind it; what others can write does not."""
    data, backup = tmp_path / "data", tmp_path / "backup"
    assert run("enroll", album, "--collection", "staff", "--data", data).returncode == 0
    secret = tmp_path / "passphrase"
    secret.write_bytes(PASSPHRASE.encode() + b"\n")
    secret.chmod(0o600)
    sealed = run("backup", backup, "--passphrase-file", secret, "--data", data)
    assert sealed.returncode == 0 and "chmod" not in sealed.stderr, sealed.stderr
    secret.write_bytes(MARK + PASSPHRASE.encode() + b"\r\n")
    listed = run("restore", backup, "--list", "--passphrase-file", secret, "--data", data)
    assert listed.returncode == 0 and "staff" in listed.stdout, listed.stderr
    for contents, mode, words in (
        (PASSPHRASE.encode("utf-16"), 0o600, ["UTF-16", "UTF-8"]),
        (PASSPHRASE.encode(), 0o666, ["0666", f"chmod 600 {secret}"]),
    ):
        secret.write_bytes(contents)
        secret.chmod(mode)
        assert_refused(run("restore", backup, "--list", "--passphrase-file", secret, "--data", data), *words)
        assert_refused(run("backup", tmp_path / "second", "--passphrase-file", secret, "--data", data), *words)
    key = tmp_path / "key"
    assert run("backup-key", key).returncode == 0
    recipient = next(line for line in key.read_text().splitlines() if "recipient" in line).split()[-1]
    assert run("backup", tmp_path / "third", "--recipient", recipient, "--data", data).returncode == 0
    key.write_bytes(MARK + key.read_bytes().replace(b"\n", b"\r\n"))
    listed = run("restore", tmp_path / "third", "--list", "--identity", key, "--data", data)
    assert listed.returncode == 0, listed.stderr
    key.chmod(0o622)
    assert_refused(run("restore", tmp_path / "third", "--list", "--identity", key, "--data", data), "0622", f"chmod 600 {key}")


def test_a_passphrase_out_of_a_pipe(tmp_path, album):
    """As a shell makes of <(...): read to its end. A pipe into which nobody writes is not waited for."""
    data = tmp_path / "data"
    assert run("enroll", album, "--collection", "staff", "--data", data).returncode == 0
    command = f'exec "$0" backup "$1" --passphrase-file <(sleep 0.2; printf "%s" "{PASSPHRASE}") --data "$2"'
    piped = subprocess.run(["bash", "-c", command, *binary(), tmp_path / "backup", data], capture_output=True, text=True, timeout=120)
    assert piped.returncode == 0, piped.stderr
    subprocess.run(["mkfifo", tmp_path / "pipe"], check=True)
    assert_refused(run("backup", tmp_path / "second", "--passphrase-file", tmp_path / "pipe", "--data", data), "pipe")


def test_a_configuration_made_by_notepad(tmp_path):
    """A mark and CR LF do not count; UTF-16 and ANSI are refused by name, by every verb, board files and tables of models too."""
    config = tmp_path / "made.toml"
    config.write_bytes(MARK + b'[recognition]\r\nfar = "off"\r\n')
    looked = run("doctor", "--json", "--data", tmp_path, "--config", config)
    assert {"check": "configuration", "level": "ok"}.items() <= json.loads(looked.stdout)["findings"][0].items(), looked.stdout
    for contents, word in (('[recognition]\r\n'.encode("utf-16"), "UTF-16"), ("# für alle\n".encode("cp1252"), "line 1 is not UTF-8")):
        config.write_bytes(contents)
        for verb in (["serve"], ["collection", "list"]):
            assert_refused(run(*verb, "--data", tmp_path, "--config", config), str(config), word)
        board = tmp_path / "board.toml"
        board.write_bytes(contents)
        config.write_text(f'[door]\nenabled = true\nboard = "{board}"\ncollection = "staff"\nclients = ["127.0.0.1"]\n')
        config_of_models = tmp_path / "models.toml"
        config_of_models.write_text(f'[models]\ntable = "{board}"\n')
        for chosen in (config, config_of_models):
            ended = run("serve", "--development", "--data", tmp_path, "--config", chosen)
            assert ended.returncode == 1 and str(board) in ended.stderr and word in ended.stderr, ended.stderr


def test_a_license_that_an_editor_changed(start_daemon, tmp_path):
    """The daemon and doctor say what happened to the file; installing it says so, too."""
    data = tmp_path / "data"
    data.mkdir()
    text = "recocomp license 1\nlicense: x\n"
    (data / "recocomp.license").write_bytes(text.encode("utf-16"))
    daemon = start_daemon(development=False, data=data)
    answer = daemon.ask("/collection/status", collection_name=[])
    assert_error(answer, 1012)
    assert "UTF-16" in answer["detail"]
    looked = run("doctor", "--json", "--data", data)
    assert any(f["check"] == "license" and "UTF-16" in f["found"] for f in json.loads(looked.stdout)["findings"]), looked.stdout
    assert_refused(run("license", "install", data / "recocomp.license", "--data", data), "UTF-16", "UTF-8")
