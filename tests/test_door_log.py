"""The log of a door: no opening without its record, or without a gap; a medium that is slow, full or broken; what is written once for many."""

import json
import os
import shutil
from contextlib import contextmanager

import pytest

from daemon import Daemon, binary, run, wait_until
from faces import BIDEN, OBAMA, frame, portrait
from test_door import SECONDS, Board, ask_to_open, config, events, newest_log_file, wait_for_event
from test_system import metrics

# Kills of the loop: a few by default, more for a night.
KILLS = int(os.environ.get("RECOCOMP_OPENING_KILLS", "4"))
SLOW = "fdatasync:delay_enter=500000"
BROKEN = "fdatasync:error=EIO"
AT_ONCE = "cooldown_ms = 0\n"
REQUIRED = 'log = "required"\n'


@pytest.fixture(scope="module")
def staff(tmp_path_factory):
    """A data folder with two people, made once."""
    daemon = Daemon(tmp_path_factory.mktemp("staff"), config=config()).start()
    assert daemon.ask("/create/collection", collection_name="staff")["err_code"] == 0
    assert daemon.insert("staff", ("obama", portrait(OBAMA)), ("biden", portrait(BIDEN)))["success_num"] == 2
    daemon.stop()
    return daemon.data


@contextmanager
def injected(what: str, only=None):
    """Daemons that are started meanwhile have a kernel that does `what` to them (strace), or to the file `only`."""
    # What is picked by its path cannot be picked by the filter, too.
    pick = f"-P {only}" if only else "--seccomp-bpf"
    # -D: strace watches as a grandchild, so that signals go to the daemon.
    strace = f"strace -D -f {pick} -o /dev/null -e trace={what.split(':')[0]} -e inject={what}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECOCOMP_BIN", f"{strace} {' '.join(binary())}")
        yield


@pytest.fixture
def start_on(start_daemon, staff, tmp_path):
    """Starts a daemon on a copy of that folder."""

    def start(*more: str) -> tuple[Daemon, Board]:
        data = tmp_path / "data"
        if not data.exists():
            shutil.copytree(staff, data)
        return start_daemon(config=config(AT_ONCE, *more), data=data), Board(data)

    return start


def button_opens(board: Board) -> None:
    wait_until(lambda: not board.is_on("relay"), SECONDS, "the lock is locked")
    before = len(board.changes("relay"))
    board.inputs("button")
    wait_until(lambda: board.changes("relay")[before : before + 1] == [True], SECONDS, "the button opens")
    board.inputs()
    wait_until(lambda: board.changes("relay")[before:] == [True, False], SECONDS, "and the lock locks again")


def test_no_opening_is_missing_without_a_gap(start_on):
    """SIGKILL right after the answer, on a medium that takes half a second: the record is there, or the numbers have a gap where it is
    missing, which a record of its own tells."""
    daemon, answered = None, []
    for number in range(KILLS):
        with injected(SLOW):
            daemon = daemon.start() if daemon else start_on()[0]
        answer = ask_to_open(daemon, frame(OBAMA, number))
        assert answer["door"]["opened"] is True, answer
        daemon.kill()
        answered.append(answer.headers["X-Request-Id"])
    daemon.start()
    daemon.stop()
    records = events(daemon.data)
    gaps = [record for record in records if record["event"] == "gap"]
    assert len(gaps) == KILLS, "after each kill something may be missing"
    numbers = [record["seq"] for record in records]
    assert numbers == sorted(set(numbers)), "no number is given twice"
    told = {number for gap in gaps for number in range(gap["from"], gap["to"] + 1)}
    assert set(range(1, numbers[-1] + 1)) - set(numbers) == told, "each gap is told, and nothing else"
    there = {record.get("request_id") for record in records if record["event"] == "opened"}
    missing = [number for number, request in enumerate(answered) if request not in there]
    print(f"\n{KILLS} openings and kills: {len(missing)} without a record, {len(gaps)} gaps")


@pytest.mark.parametrize("inject", [SLOW, BROKEN])
def test_a_medium_that_does_not_answer_keeps_nobody_out(start_on, inject):
    """The door opens for faces and for the button; metrics and log say that there was no record in time."""
    with injected(inject):
        daemon, board = start_on()
    for number in (1, 2):
        before = len(board.changes("relay"))
        answer = ask_to_open(daemon, frame(OBAMA, number))
        assert answer["door"] == {"opened": True, "reason": "matched", "simulated": True}
        wait_until(lambda: board.changes("relay")[before:] == [True, False], SECONDS, "it opens and locks")
        assert metrics(daemon)["recocomp_door_openings_unrecorded_total"] == number
    button_opens(board)
    if inject == SLOW:
        wait_for_event(daemon.data, "opened", 3)
        (fault,) = events(daemon.data, "fault")
        assert "the door goes on without" in fault["what"]
    else:
        assert metrics(daemon)["recocomp_door_audit_log"] == 0
        assert metrics(daemon)["recocomp_door_events_lost_total"] >= 3
        assert "the event log cannot be written: Input/output error" in daemon.log()


@pytest.mark.parametrize("inject", [SLOW, BROKEN])
def test_a_record_that_is_required_keeps_the_door_shut(start_on, inject):
    """The answer says why; the button asks for no record. What was written all the same is retracted."""
    with injected(inject):
        daemon, board = start_on(REQUIRED)
    answer = ask_to_open(daemon, portrait(OBAMA))
    assert answer["err_code"] == 0 and answer["status"][0]["result"] == "obama"
    assert (answer["door"]["opened"], answer["door"]["reason"]) == (False, "log")
    assert "door.log" in answer["door"]["detail"]
    assert board.changes("relay") == []
    button_opens(board)
    if inject == SLOW:
        denied = wait_for_event(daemon.data, "denied")
        assert (denied["reason"], denied["person"]) == ("log", "obama")
        by_face = [opened["seq"] for opened in events(daemon.data, "opened") if opened["by"] == "face"]
        assert by_face == ([denied["retracts"]] if "retracts" in denied else [])


def test_a_record_that_is_required_and_written_opens(start_on):
    daemon, board = start_on(REQUIRED)
    answer = ask_to_open(daemon, portrait(OBAMA))
    assert answer["door"]["opened"] is True
    board.wait_for("relay", True, False)
    assert wait_for_event(daemon.data, "opened")["request_id"] == answer.headers["X-Request-Id"]
    assert metrics(daemon)["recocomp_door_openings_unrecorded_total"] == 0


def test_on_a_full_medium_the_door_opens_and_what_is_missing_is_a_gap(start_on):
    """The file is full, as far as the kernel says; later it is not."""
    daemon, board = start_on()
    daemon.stop()
    with injected("write:error=ENOSPC", only=newest_log_file(daemon.data)):
        daemon.start()
    assert ask_to_open(daemon, frame(OBAMA, 0))["door"]["opened"] is True
    button_opens(board)
    assert "No space left on device" in daemon.log()
    daemon.stop()
    before = events(daemon.data)
    daemon.start()
    assert ask_to_open(daemon, frame(OBAMA, 1))["door"]["opened"] is True
    daemon.stop()
    after = events(daemon.data)[len(before) :]
    assert (after[0]["event"], after[-1]["event"]) == ("gap", "stopped")
    assert after[0]["to"] - after[0]["from"] >= 3, "an opening, another, and the rest of that day"
    assert [event["by"] for event in after if event["event"] == "opened"] == ["face"]


def test_the_record_comes_before_the_relay(start_on, tmp_path):
    """Watched at the border to the kernel: the sync of the log has ended before the relay's line is written."""
    daemon, board = start_on()
    daemon.stop()
    calls = tmp_path / "calls"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RECOCOMP_BIN", f"strace -D -f -y -s 128 -o {calls} -e trace=fdatasync,write {' '.join(binary())}")
        daemon.start()
    assert ask_to_open(daemon, portrait(OBAMA))["door"]["opened"] is True
    daemon.stop()
    lines = calls.read_text("utf-8", "replace").splitlines()
    written = next(i for i, line in enumerate(lines) if "/logs/events/" in line and '\\"door.opened\\"' in line)
    moved = next(i for i, line in enumerate(lines) if "pins.jsonl" in line and '\\"relay\\", \\"on\\": true' in line)
    thread = lines[written].split()[0]
    synced = next(
        i
        for i, line in enumerate(lines)
        if i > written and line.split()[0] == thread and "fdatasync" in line and line.rstrip().endswith("= 0")
    )
    assert written < synced < moved


def test_a_loose_contact_fills_no_log(start_on):
    """Every change is an alarm at the door, as before; the log has a handful of them and a count of the rest."""
    daemon, board = start_on()
    for _ in range(20):
        board.inputs("open")
        wait_until(lambda: board.is_on("buzzer"), SECONDS, "the alarm")
        board.inputs()
        wait_until(lambda: not board.is_on("buzzer"), SECONDS, "silence")
    daemon.stop()
    for name in ("door_opened", "door_closed", "forced"):
        written = events(daemon.data, name)
        assert sum(1 + event.get("more", 0) for event in written) == 20, written
        assert len(written) < 10, written


def line_of_version_1(seq: int, event: str = "door_opened") -> str:
    return json.dumps({"seq": seq, "time": "2026-01-02T03:04:05.678Z", "uptime": 7.5, "simulated": True, "event": event}) + "\n"


def test_what_a_door_of_version_1_0_0_wrote_is_read_and_gone_on_from(start_on, staff, tmp_path):
    """Five files of it. One sequence of numbers, without a gap; a reader goes on where it was."""
    data = tmp_path / "data"
    shutil.copytree(staff, data)
    shutil.rmtree(data / "logs")
    names = ["events.4.jsonl", "events.3.jsonl", "events.2.jsonl", "events.1.jsonl", "events.jsonl"]
    for number, name in enumerate(names):
        lines = (line_of_version_1(1000 + 100 * number + line) for line in range(100))
        (data / "door" / name).write_text("".join(lines))
    old = {name: (data / "door" / name).read_bytes() for name in names}
    daemon, _ = start_on()
    daemon.stop()
    records = events(data)
    assert [record["seq"] for record in records] == list(range(1000, 1502))
    assert [record["event"] for record in records[-3:]] == ["door_opened", "started", "stopped"]
    assert records[0] == json.loads(line_of_version_1(1000))
    assert {name: (data / "door" / name).read_bytes() for name in names} == old
    page = run("door", "events", "--json", "--after", 1498, "--limit", 2, "--data", data)
    assert [json.loads(line)["seq"] for line in page.stdout.splitlines()] == [1499, 1500]


@pytest.mark.parametrize("number", ["18446744073709551615", "9007199254740991", "-1", "1e400"])
def test_an_edited_number_is_damage_and_nothing_wraps(start_on, staff, tmp_path, number):
    """Of the newest event of version 1.0.0, of which the next number was made."""
    data = tmp_path / "data"
    shutil.copytree(staff, data)
    shutil.rmtree(data / "logs")
    text = line_of_version_1(7) + line_of_version_1(8).replace('"seq": 8', f'"seq": {number}')
    (data / "door" / "events.jsonl").write_text(text)
    daemon, _ = start_on()
    daemon.stop()
    listed = run("door", "events", "--last", 0, "--json", "--data", data)
    assert listed.returncode == 1 and "1 lines of the log cannot be read" in listed.stderr
    assert [json.loads(line)["seq"] for line in listed.stdout.splitlines()] == [7, 8, 9]
    assert (data / "door" / "events.jsonl").read_text() == text
    doctor = json.loads(run("doctor", "--json", "--data", data, "--config", daemon.folder / "recocomp.toml").stdout)
    assert any(f["check"] == "door" and "event log" in f["found"] and f["level"] == "warning" for f in doctor["findings"]), doctor
