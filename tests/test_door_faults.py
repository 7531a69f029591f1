"""The door when something of its own fails: the configuration, the data folder, its thread, its log. On the simulated board."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from daemon import run, wait_until
from faces import ASTRONAUT, BIDEN, OBAMA, OBAMA_3, portrait
from test_door import (  # noqa: F401 - start_door is a fixture
    FOR_LONG,
    SECONDS,
    Board,
    ask_to_open,
    config,
    events,
    start_door,
    wait_for_event,
)
from test_service import Frozen, Manager
from test_system import metrics

BOARD_OF_REGISTERS = 'name = "pi"\ntitle = "t"\ndriver = "rppal"\n[relay]\nline = 17\nactive = "high"\nsafe = "locked"\npulse_ms = 500\n'


def wait_for_fault(daemon, what):
    wait_until(lambda: any(what in fault["what"] for fault in events(daemon.data, "fault")), SECONDS, f"the fault: {what}")


def opened_and_killed(start_door, **options):
    daemon, board = start_door(FOR_LONG, **options)
    assert ask_to_open(daemon, portrait(OBAMA))["door"]["opened"] is True
    daemon.kill()
    assert board.is_on("relay"), "a killed program cannot switch anything"
    return daemon, board


# `recocomp door safe`


@pytest.mark.parametrize(
    "text",
    [
        "[door\nboard = ",
        '[door]\nenabled = true\nbord = "simulated"\n',
        "[door]\nenabled = false\n",
        '[door]\nenabled = true\nboard = "rpi5"\ncollection = "staff"\nclients = ["127.0.0.1"]\n',
        None,
    ],
)
def test_door_safe_needs_no_configuration(start_door, text):
    """It was broken or changed while the daemon ran, or is gone: what counts is the board whose pins were taken. The data folder is
    found in what can be read of it."""
    daemon, board = opened_and_killed(start_door)
    path = daemon.folder / "changed.toml"
    arguments = ["door", "safe", "--config", path]
    if text is None:
        arguments += ["--data", daemon.data]
    else:
        path.write_text(f'[storage]\ndata = "{daemon.data}"\n{text}')
    done = run(*arguments)
    assert done.returncode == 0 and "released" in done.stdout and "SIMULATED" in done.stdout, done
    assert board.changes("relay") == [True, False]


def test_a_board_in_use_that_cannot_be_read(start_door):
    """Then the configuration's counts."""
    daemon, board = opened_and_killed(start_door)
    (daemon.data / "door" / "board.toml").write_text("name = ")
    done = run("door", "safe", "--config", daemon.folder / "recocomp.toml", "--data", daemon.data)
    assert done.returncode == 0 and "board.toml" in done.stderr, done
    assert board.changes("relay") == [True, False]


def test_a_door_that_is_no_more_is_left_alone(start_door):
    """Its pins may have another use by now."""
    daemon, _ = start_door()
    assert (daemon.data / "door" / "board.toml").exists()
    (daemon.folder / "recocomp.toml").write_text("[door]\nenabled = false\n")
    daemon.restart()
    daemon.stop()
    done = run("door", "safe", "--config", daemon.folder / "recocomp.toml", "--data", daemon.data)
    assert done.returncode == 0 and "there is no door" in done.stdout, done


def test_a_second_daemon_without_a_door_forgets_nothing(start_door, tmp_path):
    """Started by mistake on the same data: it is refused, and the board of the first stays known."""
    daemon, board = start_door(FOR_LONG)
    assert ask_to_open(daemon, portrait(OBAMA))["door"]["opened"] is True
    (tmp_path / "none.toml").write_text("[door]\nenabled = false\n")
    refused = run("serve", "--listen", "127.0.0.1:0", "--data", daemon.data, "--config", tmp_path / "none.toml")
    assert refused.returncode != 0
    daemon.kill()
    assert run("door", "safe", "--config", tmp_path / "none.toml", "--data", daemon.data).returncode == 0
    assert board.changes("relay") == [True, False]


@pytest.mark.parametrize("verb", [["safe"], ["test", "--seconds", "1"]])
def test_beside_a_daemon_registers_stay_untouched(start_door, tmp_path, verb):
    """The driver of the registers takes pins from whoever has them, so the daemon's lock is looked at first."""
    daemon, board = start_door(FOR_LONG)
    assert ask_to_open(daemon, portrait(OBAMA))["door"]["opened"] is True
    registers = tmp_path / "pi.toml"
    registers.write_text(BOARD_OF_REGISTERS)
    refused = run("door", *verb, "--board", registers, "--data", daemon.data)
    assert refused.returncode == 1 and "in use" in refused.stderr, refused
    assert board.is_on("relay")
    daemon.stop()
    refused = run("door", *verb, "--board", registers, "--data", daemon.data)
    assert refused.returncode == 1 and "in use" not in refused.stderr, refused


# The thread


def test_what_the_guard_closed_stays_shut(start_door):
    """The door's thread stands still (a debugger holds it) while the lock is open. Once it goes on, neither the opening comes back nor
    does a face open that came meanwhile, whose search was told that the door does not answer."""
    daemon, board = start_door(FOR_LONG, "cooldown_ms = 0\n")
    assert ask_to_open(daemon, portrait(OBAMA))["door"]["opened"] is True
    with Frozen(daemon.process.pid, "door\n"):
        board.wait_for("relay", True, False)
        assert ask_to_open(daemon, portrait(OBAMA_3))["door"]["reason"] == "fault"
    wait_for_event(daemon.data, "started", 2)
    assert board.changes("relay") == [True, False]
    assert [event["person"] for event in events(daemon.data, "opened")] == ["obama"]
    board.inputs("button")
    wait_until(lambda: board.is_on("relay"), SECONDS, "the button opens")


def test_a_panic_while_the_pins_are_taken_is_no_end(start_door):
    """A driver that panics on its second start, too, ends neither the thread nor the button for good, nor the guard."""
    daemon, board = start_door(FOR_LONG)
    board.inputs("fail", "panic-taking")
    wait_until(lambda: any("panicked" in fault["what"] for fault in events(daemon.data, "fault")), SECONDS, "the panic")
    daemon.log_checked = len(daemon.log())  # this panic was meant
    board.inputs()
    wait_for_event(daemon.data, "started", 2)
    daemon.log_checked = len(daemon.log())
    board.inputs("button")
    wait_until(lambda: board.is_on("relay"), SECONDS, "the button opens")
    board.inputs("hang")
    wait_for_fault(daemon, "stands still, its relay was released")
    wait_until(lambda: not board.is_on("relay"), SECONDS, "the guard releases the relay")


def test_a_face_that_was_shown_long_ago_opens_nothing(start_door):
    """The search waited for a worker; meanwhile somebody else may stand at the door. The next one opens."""
    daemon, board = start_door()
    with ThreadPoolExecutor() as clients:
        with Frozen(daemon.process.pid, "recognizer-"):
            asked = clients.submit(ask_to_open, daemon, portrait(OBAMA))
            time.sleep(15)
            assert not asked.done()
        late = asked.result()
    assert late["err_code"] == 0 and late["status"][0]["result"] == "obama"
    assert (late["door"]["opened"], late["door"]["reason"]) == (False, "too_late")
    denied = wait_for_event(daemon.data, "denied")
    assert (denied["reason"], denied["person"]) == ("too_late", "obama")
    assert board.changes("relay") == [] and events(daemon.data, "opened") == []
    assert ask_to_open(daemon, portrait(OBAMA))["door"]["opened"] is True


@pytest.mark.parametrize("broken", ["green", "red", "buzzer"])
def test_a_broken_led_keeps_no_door_shut(start_door, broken):
    """Nor its opening out of the log. It is told once."""
    daemon, board = start_door("cooldown_ms = 0\n")
    board.inputs(f"fail-{broken}")
    for number, (person, picture) in enumerate((("obama", OBAMA), ("biden", BIDEN)), 1):
        assert ask_to_open(daemon, portrait(ASTRONAUT))["door"]["reason"] == "no_match"
        before = len(board.changes("relay"))
        answer = ask_to_open(daemon, portrait(picture))
        assert answer["door"]["opened"] is True
        wait_until(lambda: board.changes("relay")[before:] == [True, False], SECONDS, "it opens and locks")
        assert wait_for_event(daemon.data, "opened", number)["person"] == person
    wait_for_fault(daemon, f"{broken} (simulated): told to fail; the door goes on without")
    assert len(events(daemon.data, "fault")) == len(events(daemon.data, "started")) == 1
    assert board.changes(broken) == []


def test_the_end_of_a_lasting_fault_is_told(start_door):
    """Which is told once, however often the pins are tried meanwhile: the log does not end with a fault that is over."""
    daemon, board = start_door()
    board.inputs("fail")
    wait_for_event(daemon.data, "fault")
    time.sleep(3)  # two or three more attempts
    assert len(events(daemon.data, "fault")) == 1
    board.inputs()
    wait_for_event(daemon.data, "started", 2)
    assert events(daemon.data)[-1]["event"] == "started"


def test_a_relay_that_fails_opened_nothing(start_door):
    daemon, board = start_door()
    board.inputs("fail-relay")
    assert ask_to_open(daemon, portrait(OBAMA))["door"]["reason"] == "fault"
    denied = wait_for_event(daemon.data, "denied")
    assert (denied["reason"], denied["person"]) == ("fault", "obama")
    # Its record came before the relay, as always.
    (opened,) = events(daemon.data, "opened")
    assert denied["retracts"] == opened["seq"]
    wait_for_fault(daemon, "relay (simulated): told to fail")
    assert board.changes("relay") == []
    board.inputs()
    wait_for_event(daemon.data, "started", 2)
    assert ask_to_open(daemon, portrait(OBAMA))["door"]["opened"] is True


def test_a_door_that_stands_still_starves_the_watchdog(start_door, tmp_path):
    """So that systemd starts the daemon anew. Pins that fail do not: the API goes on, which a new start would end."""
    manager = Manager(tmp_path)
    daemon, board = start_door(environment={**manager.environment(), "WATCHDOG_USEC": "2000000"})
    wait_until(lambda: manager.times("WATCHDOG=1"), SECONDS, "the watchdog is fed")
    board.inputs("fail")
    wait_for_event(daemon.data, "fault")
    before = len(manager.times("WATCHDOG=1"))
    wait_until(lambda: len(manager.times("WATCHDOG=1")) >= before + 3, SECONDS, "it is fed all the same")
    assert any("its pins cannot be used" in status for status in manager.statuses())
    board.inputs()
    with Frozen(daemon.process.pid, "door\n"):
        wait_until(lambda: any("not working: the door" in status for status in manager.statuses()), SECONDS, "the status")
        before = len(manager.times("WATCHDOG=1"))
        wait_until(lambda: daemon.log().count("the watchdog is not fed: the door") >= 3, SECONDS, "it is not fed")
        assert len(manager.times("WATCHDOG=1")) == before
    wait_until(lambda: len(manager.times("WATCHDOG=1")) > before, SECONDS, "fed again")


# The event log


def test_the_door_works_without_its_event_log(start_door, tmp_path):
    """Faces and the button open; the log, the metrics and the doctor say what is wrong; later it is written again, with a count of what
    is missing."""
    in_the_way = tmp_path / "data" / "logs" / "events"
    in_the_way.parent.mkdir(parents=True)
    in_the_way.write_text("")
    daemon, board = start_door("cooldown_ms = 0\n", data=tmp_path / "data")
    board.inputs("button")
    board.wait_for("relay", True, False)
    wait_until(lambda: "ERROR" in daemon.log() and "the event log cannot be written" in daemon.log(), SECONDS, "the log's error")
    assert metrics(daemon)["recocomp_door_audit_log"] == 0
    doctor = json.loads(run("doctor", "--json", "--data", daemon.data, "--config", daemon.folder / "recocomp.toml").stdout)
    assert any(f["check"] == "door" and "event log" in f["found"] and f["level"] == "problem" for f in doctor["findings"]), doctor
    in_the_way.unlink()
    assert wait_for_event(daemon.data, "lost")["count"] >= 2
    assert metrics(daemon)["recocomp_door_audit_log"] == 1
    assert metrics(daemon)["recocomp_door_events_lost_total"] >= 2
    board.inputs()
    board.inputs("tamper")
    wait_for_event(daemon.data, "tamper")


def test_too_many_faces_are_told_before_somebody_stands_outside(start_door):
    """The third face leaves a rate of mistakes that is beyond the table: from then on nobody is let in, which log and metrics say at
    once."""
    daemon, board = start_door("target_fpir = 0.0000021\n")
    assert metrics(daemon)["recocomp_door_decides"] == 1
    assert "nobody is let in" not in daemon.log()
    assert daemon.insert("staff", ("eileen", portrait(ASTRONAUT)))["success_num"] == 1
    wait_until(lambda: "nobody is let in" in daemon.log(), SECONDS, "the log's error")
    assert metrics(daemon)["recocomp_door_decides"] == 0
    assert ask_to_open(daemon, portrait(OBAMA))["door"]["reason"] == "undecidable"
    assert daemon.ask("/delete/id", collection_name="staff", target_id="eileen")["err_code"] == 0
    assert metrics(daemon)["recocomp_door_decides"] == 1
    assert ask_to_open(daemon, portrait(OBAMA))["door"]["opened"] is True
