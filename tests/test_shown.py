"""What comes from outside is logged, printed and answered in one line, escaped and cut."""

import json
import shutil

import pytest

from contract import PREFIX
from daemon import read_answer, run, wait_until
from faces import OBAMA, file_bytes

HOSTILE = "\x1b[2Jmallory\x07\x9b31m\u202egpj.\u200b"
# What a terminal obeys or nobody sees.
UNSAFE = [chr(c) for c in (*range(0x20), *range(0x7F, 0xA0), 0x200B, 0x200E, 0x200F, *range(0x202A, 0x202F), 0x2028, 0x2029, 0xFEFF) if chr(c) != "\n"]


def assert_plain(text: str) -> None:
    assert [c for c in UNSAFE if c in text] == [], text


def send(daemon, head: bytes):
    with daemon.connect() as connection:
        connection.sendall(head)
        return read_answer(connection)


def test_a_method_of_any_length_is_a_short_line(start_daemon):
    """The log tells how long it was, and no more of it than a line has room for; so does the answer."""
    daemon = start_daemon()
    before = len(daemon.log())
    head = b"A" * 10_000 + b" /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    for _ in range(20):
        answer = send(daemon, head)
        assert answer["err_code"] in (404, 405) and len(json.dumps(answer)) < 1000, answer
    wait_until(lambda: daemon.log().count("(10000 bytes)") >= 20, 10, "twenty lines")
    assert len(daemon.log()) - before < 20 * 600


def test_a_path_of_any_length_is_a_short_line(start_daemon):
    daemon = start_daemon()
    before = len(daemon.log())
    path = b"/" + b"x" * 6000
    answer = send(daemon, b"POST " + path + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    assert answer["err_code"] == 404 and "(6001 bytes)" in answer["detail"] and len(answer["detail"]) < 600
    wait_until(lambda: "(6001 bytes)" in daemon.log(), 10, "the line")
    assert len(daemon.log()) - before < 1500


@pytest.mark.parametrize("header", ["X-Request-Id", "User-Agent", "Host", "Referer"])
def test_headers_never_reach_the_log_as_they_are(start_daemon, header):
    daemon = start_daemon()
    value = "\x9b31m\u202e mallory".encode() + b"y" * 4000
    names = {"Host": b"x", header: value}
    lines = b"".join(name.encode() + b": " + text + b"\r\n" for name, text in names.items())
    send(daemon, b"POST " + PREFIX.encode() + b"/version HTTP/1.1\r\n" + lines + b"Content-Length: 0\r\nConnection: close\r\n\r\n")
    wait_until(lambda: "/version" in daemon.log(), 10, "the line of the request")
    assert "mallory" not in daemon.log() and "yyyy" not in daemon.log()
    assert_plain(daemon.log())


def test_what_is_quoted_in_an_answer_is_escaped(daemon, collection):
    """A name in a sentence cannot turn it around."""
    answer = daemon.ask("/delete/id", collection_name=collection, target_id="a\u202eb\u200b")
    assert answer["err_code"] != 0
    assert_plain(answer.get("detail", ""))
    answer = daemon.ask("/delete/id", collection_name=collection, target_id=HOSTILE)
    assert answer["err_code"] == 1011
    assert_plain(answer["detail"])


def test_file_names_are_printed_escaped(tmp_path):
    """Escape sequences, bells, line breaks and marks of direction in names of folders and files, and bytes that are no text."""
    album = tmp_path / "album"
    hostile = album / "ada" / "\x1b[2J\x07a\nenrolled 9 pictures\u202e.jpg"
    hostile.parent.mkdir(parents=True)
    hostile.write_bytes(b"no picture")
    (album / "ada" / "\x1b]0;owned\x07.txt").write_bytes(b"text")
    (album / "ada" / "1.jpg").write_bytes(file_bytes(OBAMA))
    (album / "na\nme").mkdir()
    shutil.copy(album / "ada" / "1.jpg", album / "na\nme" / "1.jpg")
    with open(bytes(album / "ada") + b"/\xff\x1b.jpg", "wb") as file:
        file.write(b"no picture")
    ended = run("enroll", album, "--collection", "staff", "--data", tmp_path / "data")
    assert ended.returncode == 2, ended.stdout + ended.stderr
    assert_plain(ended.stdout)
    assert_plain(ended.stderr)
    lines = ended.stdout.splitlines()
    assert sum(line.startswith("enrolled ") for line in lines) == 1, ended.stdout
    assert "\\u{1b}[2J\\u{7}a\\nenrolled 9 pictures\\u{202e}.jpg" in ended.stdout
    assert "\\xff\\u{1b}.jpg" in ended.stdout and "na\\nme" in ended.stdout


@pytest.mark.parametrize("verb", [["enroll", "{}", "--collection", "x"], ["collection", "list", "--config", "{}"], ["license", "install", "{}"], ["restore", "{}", "--passphrase-file", "-"], ["doctor", "--config", "{}"], ["check", "--data", "{}"]])
def test_errors_name_files_escaped(tmp_path, verb):
    """Whatever the verb complains about."""
    name = str(tmp_path / f"no{HOSTILE}such")
    arguments = [part.format(name) for part in verb]
    if "--data" not in arguments:
        arguments += ["--data", str(tmp_path / "data")]
    ended = run(*arguments, input="passphrase\n")
    assert ended.returncode != 0
    assert_plain(ended.stderr + ended.stdout)
    assert "\\u{1b}[2Jmallory" in ended.stderr + ended.stdout
