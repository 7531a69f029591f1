"""The audit log: what a start leaves in it, and what whoever changes it leaves."""

import hashlib
import json

import pytest

from daemon import run, wait_until
from test_door import SECONDS, config


def audit_file(data):
    (file,) = (data / "logs" / "audit").glob("*.jsonl")
    return file


def records(data) -> list[dict]:
    shown = run("audit", "show", "--json", "--data", data)
    assert shown.returncode == 0, shown.stderr
    return [json.loads(line) for line in shown.stdout.splitlines()]


def wait_for_records(data, count: int) -> list[dict]:
    wait_until(lambda: len(records(data)) >= count, SECONDS, f"{count} records")
    return records(data)


def verify(data, *more):
    return run("audit", "verify", "--data", data, *more)


def test_a_start_and_a_changed_door_are_written_down(start_daemon, tmp_path):
    """The door's configuration once, and again when it is another; each record with the hash of the line before."""
    data = tmp_path / "data"
    for number, more in enumerate(("", "", "held_open_s = 9\n")):
        daemon = start_daemon(config=config(more), data=data)
        wait_for_records(data, (2, 3, 5)[number])
        daemon.stop()
    written = records(data)
    assert [record["type"] for record in written] == [
        "system.started",
        "door.configured",
        "system.started",
        "system.started",
        "door.configured",
    ]
    assert [record["seq"] for record in written] == [1, 2, 3, 4, 5]
    assert all(record["actor"] == {"by": "system"} for record in written)
    assert written[0]["data"]["version"].startswith("V")
    held = [record["data"]["held_open_s"] for record in written if record["type"] == "door.configured"]
    assert held == [1, 9]
    lines = audit_file(data).read_bytes().splitlines()
    expected = ["0" * 64] + [hashlib.sha256(line).hexdigest() for line in lines[:-1]]
    assert [record["prev"] for record in written] == expected
    assert audit_file(data).stat().st_mode & 0o077 == 0
    whole = verify(data)
    assert whole.returncode == 0 and "5 records, 1 to 5: the chain is whole" in whole.stdout


@pytest.fixture
def chain(start_daemon, tmp_path):
    """A data folder with a chain of four records, and its head."""
    data = tmp_path / "data"
    daemon = start_daemon(data=data)
    wait_for_records(data, 2)
    daemon.restart()
    wait_for_records(data, 3)
    daemon.restart()
    wait_for_records(data, 4)
    daemon.stop()
    return data, run("audit", "head", "--data", data).stdout.strip()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda lines: [lines[0], lines[1].replace(b"true", b"null").replace(b"false", b"true"), *lines[2:]], "record 3: "),
        (lambda lines: [lines[0], *lines[2:]], "records 2 to 2 are missing"),
        (lambda lines: [lines[0], lines[2], lines[1], lines[3]], "out of order"),
        (lambda lines: lines[1:], "the chain begins here"),
        (lambda lines: [*lines[:2], b"\0" * 100, *lines[3:]], "this line is no record"),
    ],
)
def test_a_changed_chain_is_told_at_its_place(chain, change, says):
    data, _ = chain
    file = audit_file(data)
    file.write_bytes(b"\n".join(change(file.read_bytes().splitlines())) + b"\n")
    found = verify(data)
    assert found.returncode == 1 and says in found.stdout and file.name in found.stdout, found
    assert "the audit log was changed" in found.stderr
    doctor = json.loads(run("doctor", "--json", "--data", data).stdout)
    assert any(f["check"] == "data" and "the audit log was changed" in f["found"] and f["level"] == "problem" for f in doctor["findings"]), doctor


def test_a_cut_end_is_found_by_a_head_that_was_kept(chain):
    data, head = chain
    assert head.startswith("4:")
    assert verify(data, "--head", head).returncode == 0
    file = audit_file(data)
    file.write_bytes(b"\n".join(file.read_bytes().splitlines()[:3]) + b"\n")
    assert verify(data).returncode == 0
    found = verify(data, "--head", head)
    assert found.returncode == 1 and "record 4: " in found.stdout and "cut off" in found.stdout
    wrong = verify(data, "--head", "4")
    assert wrong.returncode == 2 and "SEQ:HASH" in wrong.stderr
