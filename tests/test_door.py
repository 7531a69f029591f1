"""The door, on the simulated board: what opens it, what does not, and what is left when the daemon dies.

The pins' timeline of every test is printed (`pytest -s`).
"""

import json
import os
import socket
import subprocess

import pytest

import attacks
from contract import assert_error
from daemon import Daemon, binary, run, wait_until
from faces import ASTRONAUT, BIDEN, OBAMA, OBAMA_3, base64_of, portrait, without_face

SECONDS = 30  # how long anything may take that must happen
DOOR = '[door]\nenabled = true\nboard = "simulated"\ncollection = "staff"\npulse_ms = 500\nheld_open_s = 1\n'
ANYONE_HERE = 'clients = ["127.0.0.1"]\n'
FOR_LONG = "pulse_ms = 60000\n"


def config(*more: str) -> str:
    keys = {line.split(" = ")[0]: line for text in (DOOR, ANYONE_HERE, *more) for line in text.splitlines()}
    return "\n".join(keys.values()) + "\n"


class Board:
    """The simulated board in a daemon's data folder."""

    def __init__(self, data):
        self.folder = data / "door" / "simulated"

    def inputs(self, *names: str) -> None:
        new = self.folder / "inputs.new"
        new.write_text(" ".join(names))
        new.rename(self.folder / "inputs")

    def timeline(self) -> list[dict]:
        return [json.loads(line) for line in (self.folder / "pins.jsonl").read_text().splitlines()]

    def changes(self, pin: str) -> list[bool]:
        """How an output changed since the start. Whoever takes the pins releases them once more; that is no change."""
        states = [change["on"] for change in self.timeline() if change["pin"] == pin]
        return [state for before, state in zip(states, states[1:]) if state != before]

    def is_on(self, pin: str) -> bool:
        return self.changes(pin)[-1:] == [True]

    def wait_for(self, pin: str, *changes: bool) -> None:
        wait_until(lambda: self.changes(pin) == list(changes), SECONDS, f"{pin} {changes}, is {self.changes(pin)}")

    def show(self, title: str) -> None:
        start = None
        print(f"\n{title}")
        for change in self.timeline():
            start = change["ms"] if start is None else start
            print(f"  {change['ms'] - start:>7.0f} ms  {change['pin']:<6} {'on' if change['on'] else 'off'}")


def events(data, *names: str) -> list[dict]:
    """The event log as `recocomp door events` prints it; only those of these names, if there are any."""
    listed = run("door", "events", "--last", 0, "--json", "--data", data)
    assert listed.returncode == 0, listed.stderr
    records = [json.loads(line) for line in listed.stdout.splitlines()]
    return [record for record in records if not names or record["event"] in names]


def wait_for_event(data, name: str, count: int = 1) -> dict:
    wait_until(lambda: len(events(data, name)) >= count, SECONDS, f"{count} x {name} among the events")
    return events(data, name)[count - 1]


def newest_log_file(data):
    return max((data / "logs" / "events").glob("*.jsonl"))


def board_of(daemon: Daemon) -> Board:
    return Board(daemon.data)


@pytest.fixture
def start_door(start_daemon, request):
    """Starts a daemon with a door and two people; prints the timeline in the end."""
    started = []

    def start(*more: str, enrolled: bool = True, **options) -> tuple[Daemon, Board]:
        daemon = start_daemon(config=config(*more), **options)
        board = board_of(daemon)
        started.append(board)
        if enrolled and not options.get("data"):
            assert daemon.ask("/create/collection", collection_name="staff")["err_code"] == 0
            stored = daemon.insert("staff", ("obama", portrait(OBAMA)), ("biden", portrait(BIDEN)))
            assert stored["success_num"] == 2
        return daemon, board

    yield start
    for board in started:
        board.show(request.node.name)


def ask_to_open(daemon: Daemon, picture: str, collection: str = "staff", **more):
    return daemon.ask("/face/search", collection_name=collection, face_image=picture, top_k=1, open=True, **more)


# What opens


def test_a_match_opens_for_the_pulse(start_door):
    """Relay and green LED together; the answer and the event log say so, and that no door moved."""
    daemon, board = start_door("pulse_ms = 2000\n")
    answer = ask_to_open(daemon, portrait(OBAMA_3))
    assert answer["err_code"] == 0 and answer["status"][0]["result"] == "obama"
    assert answer["door"] == {"opened": True, "reason": "matched", "simulated": True}
    for pin in ("relay", "green"):
        board.wait_for(pin, True, False)
    opened_at, closed_at = [change["ms"] for change in board.timeline() if change["pin"] == "relay"][-2:]
    assert closed_at - opened_at >= 1900, "the pulse was cut short"
    assert board.changes("red") == board.changes("buzzer") == []
    event = wait_for_event(daemon.data, "opened")
    assert (event["by"], event["person"], event["collection"], event["client"]) == ("face", "obama", "staff", "127.0.0.1")
    assert event["cosine"] >= event["threshold"] > 0.3 and "extrapolated" not in event
    assert event["simulated"] is True
    assert event["request_id"] == answer.headers["X-Request-Id"]
    wait_for_event(daemon.data, "relocked")
    assert "SIMULATED" in daemon.log()


def test_a_search_that_does_not_ask_opens_nothing(start_door):
    """Absent or false: the answer of the plain API, and no pin moves."""
    daemon, board = start_door()
    for more in ({}, {"open": False}):
        answer = daemon.ask("/face/search", collection_name="staff", face_image=portrait(OBAMA), top_k=1, **more)
        assert answer["err_code"] == 0 and "door" not in answer
    daemon.stop()
    assert board.changes("relay") == board.changes("green") == board.changes("red") == []


def test_a_stranger_gets_red_and_the_buzzer(start_door):
    """And is not written down as whoever they resemble most."""
    daemon, board = start_door()
    answer = ask_to_open(daemon, portrait(ASTRONAUT))
    assert answer["err_code"] == 0
    assert answer["door"]["opened"] is False and answer["door"]["reason"] == "no_match"
    for pin in ("red", "buzzer"):
        board.wait_for(pin, True, False)
    assert board.changes("relay") == board.changes("green") == []
    event = wait_for_event(daemon.data, "denied")
    assert event["reason"] == "no_match" and "person" not in event


@pytest.mark.parametrize("attack", [attacks.print_held_up, attacks.screen_held_up])
def test_a_picture_of_a_person_does_not_open(start_door, attack):
    """Liveness is enforced at the door though `[liveness]` enforces nothing."""
    daemon, board = start_door()
    answer = ask_to_open(daemon, base64_of(attack(OBAMA)))
    assert_error(answer, 1016)
    assert answer["door"]["opened"] is False and answer["door"]["reason"] == "liveness"
    board.wait_for("red", True, False)
    assert board.changes("relay") == []
    assert wait_for_event(daemon.data, "denied")["reason"] == "liveness"


def test_a_picture_without_a_face_is_nobody(start_door):
    """No light, no event: the terminal may see an empty corridor all day."""
    daemon, board = start_door()
    answer = ask_to_open(daemon, base64_of(without_face()))
    assert_error(answer, 1009)
    assert answer["door"]["reason"] == "not_searched"
    daemon.stop()
    assert board.changes("red") == board.changes("relay") == []
    assert events(daemon.data, "denied") == []


def test_people_of_another_collection_stay_outside(start_door):
    daemon, board = start_door()
    assert daemon.ask("/create/collection", collection_name="visitors")["err_code"] == 0
    assert daemon.insert("visitors", ("eileen", portrait(ASTRONAUT)))["success_num"] == 1
    answer = ask_to_open(daemon, portrait(ASTRONAUT), "visitors")
    assert answer["status"][0]["result"] == "eileen"
    assert answer["door"]["opened"] is False and answer["door"]["reason"] == "other_collection"
    board.wait_for("red", True, False)
    assert board.changes("relay") == []


def test_one_opening_a_cool_down(start_door):
    """A terminal sends several pictures of who enters."""
    daemon, board = start_door("cooldown_ms = 600000\n")
    assert ask_to_open(daemon, portrait(OBAMA))["door"]["reason"] == "matched"
    board.wait_for("relay", True, False)
    again = ask_to_open(daemon, portrait(OBAMA_3))
    assert again["err_code"] == 0
    assert again["door"]["opened"] is False and again["door"]["reason"] == "cool_down"
    daemon.stop()
    assert board.changes("relay") == [True, False]


def test_no_cool_down_lets_the_next_one_in(start_door):
    daemon, board = start_door("cooldown_ms = 0\n")
    for number, (name, picture) in enumerate((("obama", OBAMA), ("biden", BIDEN)), 1):
        assert ask_to_open(daemon, portrait(picture))["door"]["opened"] is True
        wait_until(lambda: not board.is_on("relay"), SECONDS, "locked again")
        assert wait_for_event(daemon.data, "opened", number)["person"] == name


def test_a_threshold_that_nobody_measured_is_marked(start_door):
    """Two faces and one stranger in 200,000: rarer than the pairs of LFW can show. The event log says so."""
    daemon, _ = start_door("target_fpir = 0.000005\n")
    assert ask_to_open(daemon, portrait(OBAMA))["door"]["opened"] is True
    assert wait_for_event(daemon.data, "opened")["extrapolated"] is True


def test_beyond_what_was_measured_nothing_opens(start_door):
    """Two enrolled faces and one stranger in a million: a rate that no data supports. The reason says what would do."""
    daemon, board = start_door("target_fpir = 0.000001\n")
    answer = ask_to_open(daemon, portrait(OBAMA))
    assert answer["door"]["reason"] == "undecidable"
    assert "target_fpir" in answer["door"]["detail"] and "faces" in answer["door"]["detail"]
    board.wait_for("red", True, False)
    assert board.changes("relay") == []


def test_the_more_faces_the_higher_the_threshold(start_door):
    daemon, board = start_door("cooldown_ms = 0\n")
    assert ask_to_open(daemon, portrait(OBAMA))["door"]["opened"] is True
    few = wait_for_event(daemon.data, "opened", 1)["threshold"]
    assert daemon.insert("staff", *[("eileen", portrait(ASTRONAUT))] * 5)["success_num"] == 5
    assert ask_to_open(daemon, portrait(OBAMA_3))["door"]["opened"] is True
    assert wait_for_event(daemon.data, "opened", 2)["threshold"] > few


def test_a_schedule_holds_in_local_time(start_door, tmp_path):
    """The same hours of the same day, in two time zones twelve hours apart."""
    clock = {"RECOCOMP_TEST_CLOCK": str(tmp_path / "clock")}
    (tmp_path / "clock").write_text("2040-01-02T12:00:00Z synchronised")
    schedule = 'schedule = ["daily 10:00-15:00"]\n'
    daemon, board = start_door(schedule, environment={"TZ": "UTC0", **clock})
    assert ask_to_open(daemon, portrait(OBAMA))["door"]["opened"] is True
    elsewhere, board = start_door(schedule, environment={"TZ": "FAR-12", **clock})
    answer = ask_to_open(elsewhere, portrait(OBAMA))
    assert answer["err_code"] == 0 and answer["status"][0]["result"] == "obama"
    assert answer["door"]["opened"] is False and answer["door"]["reason"] == "schedule"
    board.wait_for("red", True, False)
    assert board.changes("relay") == []
    board.inputs("button")
    board.wait_for("relay", True, False)


@pytest.mark.parametrize("confirmed", ["synchronised", "hardware"])
def test_a_schedule_needs_a_clock_that_something_confirms(start_door, tmp_path, confirmed):
    """Whoever pulls the plug of a board without a battery must not choose the hour. Without a confirmation no face opens; the button
    does, and once there is one, faces do."""
    clock = tmp_path / "clock"
    clock.write_text("2040-01-02T12:00:00Z")
    daemon, board = start_door('schedule = ["daily 10:00-15:00"]\n', environment={"TZ": "UTC0", "RECOCOMP_TEST_CLOCK": str(clock)})
    answer = ask_to_open(daemon, portrait(OBAMA))
    assert answer["door"]["opened"] is False and answer["door"]["reason"] == "clock_not_set"
    assert "clock" in answer["door"]["detail"]
    board.inputs("button")
    board.wait_for("relay", True, False)
    clock.write_text(f"2040-01-02T12:00:00Z {confirmed}")
    wait_until(lambda: ask_to_open(daemon, portrait(OBAMA))["door"]["opened"], SECONDS, "the clock is believed")
    clock.write_text("2040-01-02T16:00:00Z")
    assert ask_to_open(daemon, portrait(BIDEN))["door"]["reason"] == "schedule"


# Who may ask


def test_the_token_opens_and_only_it(start_door, tmp_path):
    """1015 before anything is looked at; the door's people are protected like the door, other collections are not."""
    token = tmp_path / "token"
    token.write_text("a-token-of-the-terminal-at-the-door\n")
    daemon, board = start_door(f'token_file = "{token}"\nclients = []\n', enrolled=False)
    right = {"Authorization": f"Bearer {token.read_text().strip()}"}

    def send(path, headers, **fields):
        return daemon.send(path, json.dumps(fields), headers=headers)

    enrol = {"collection_name": "staff", "target_id": ["obama"], "face_image": [portrait(OBAMA)]}
    assert send("/create/collection", right, collection_name="staff")["err_code"] == 0
    assert send("/face/insert", right, **enrol)["success_num"] == 1
    search = {"collection_name": "staff", "face_image": portrait(OBAMA), "top_k": 1}
    wrongs = ({}, {"Authorization": "Bearer "}, {"Authorization": "Bearer a-token-of-the-terminal-at-the-doos"})
    for wrong in wrongs:
        refused = send("/face/search", wrong, open=True, **search)
        assert_error(refused, 1015)
        assert refused.http == 401 and "status" in refused and refused.headers["WWW-Authenticate"] == "Bearer"
        for path, fields in (
            ("/face/insert", enrol),
            ("/face/update", enrol),
            ("/delete/id", {"collection_name": "staff", "target_id": "obama"}),
            ("/clear/collection", {"collection_name": "staff"}),
            ("/delete/collection", {"collection_name": "staff"}),
        ):
            assert_error(send(path, wrong, **fields), 1015)
        assert send("/face/search", wrong, **search)["err_code"] == 0
    assert board.changes("relay") == []
    assert daemon.features("staff") == 1
    assert send("/create/collection", {}, collection_name="visitors")["err_code"] == 0
    assert send("/face/insert", {}, **{**enrol, "collection_name": "visitors"})["success_num"] == 1
    assert send("/face/search", right, open=True, **search)["door"]["opened"] is True
    board.wait_for("relay", True, False)
    assert token.read_text().strip() not in daemon.log()


def test_another_address_opens_nothing(start_door):
    daemon, board = start_door('clients = ["192.0.2.0/24"]\n', enrolled=False)
    assert daemon.ask("/create/collection", collection_name="visitors")["err_code"] == 0
    refused = ask_to_open(daemon, portrait(OBAMA))
    assert_error(refused, 1015)
    assert refused.http == 403
    assert_error(daemon.ask("/create/collection", collection_name="staff"), 1015)
    assert board.changes("relay") == []


def test_without_a_door_the_answer_says_so(daemon, collection):
    answer = ask_to_open(daemon, portrait(OBAMA), collection)
    assert answer["err_code"] == 0
    assert answer["door"]["opened"] is False and answer["door"]["reason"] == "no_door"


@pytest.mark.parametrize("mode", ["score", "off"])
def test_without_a_door_a_picture_of_a_person_is_refused_too(start_daemon, mode):
    """Whoever asks to open acts on the answer. A search that does not ask is judged by `[liveness]` alone."""
    daemon = start_daemon(config=f'[liveness]\nmode = "{mode}"\n')
    assert daemon.ask("/create/collection", collection_name="staff")["err_code"] == 0
    assert daemon.insert("staff", ("obama", portrait(OBAMA)))["success_num"] == 1
    held_up = base64_of(attacks.print_held_up(OBAMA))
    answer = ask_to_open(daemon, held_up)
    assert_error(answer, 1016)
    assert answer["door"]["opened"] is False and answer["door"]["reason"] == "no_door"
    assert daemon.search("staff", held_up, 1)


def test_open_is_true_or_false(daemon, collection):
    for wrong in ("yes", 1, None, []):
        answer = daemon.ask("/face/search", collection_name=collection, face_image=portrait(OBAMA), top_k=1, open=wrong)
        assert_error(answer, 1011)
        assert "open" in answer["detail"]


# The button and the contacts


def test_the_exit_button_works_without_a_license(start_door):
    """It asks nobody."""
    daemon, board = start_door(enrolled=False, development=False)
    assert_error(ask_to_open(daemon, portrait(OBAMA)), 1012)
    board.inputs("button")
    board.wait_for("relay", True, False)
    assert board.changes("green") == [True, False]
    event = wait_for_event(daemon.data, "opened")
    assert event["by"] == "button" and "person" not in event


@pytest.mark.parametrize("missing", ["gallery", "port", "token"])
def test_the_exit_button_works_while_the_daemon_cannot(tmp_path, missing):
    """The daemon cannot start; until it ends and is started anew, one can leave."""
    data = tmp_path / "data"
    data.mkdir()
    taken = socket.create_server(("127.0.0.1", 0))
    if missing == "gallery":
        (data / "gallery").write_text("this is no folder")
    path = tmp_path / "recocomp.toml"
    path.write_text(config(f'token_file = "{tmp_path}/nothing"\n' if missing == "token" else ""))
    daemon = Daemon(tmp_path / "d", data=data)
    if missing == "port":
        daemon.arguments[daemon.arguments.index("--listen") + 1] = "127.0.0.1:%d" % taken.getsockname()[1]
    daemon.arguments += ["--config", str(path)]
    process = subprocess.Popen([*binary(), *daemon.arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    board = Board(data)
    try:
        wait_until((board.folder / "pins.jsonl").exists, SECONDS, "the pins are taken")
        board.inputs()
        wait_for_event(data, "started")
        board.inputs("button")
        board.wait_for("relay", True, False)
    finally:
        process.terminate()
        _, log = process.communicate(timeout=SECONDS)
        taken.close()
    assert process.returncode != 0 and "exit button" in log
    assert {"gallery": "gallery", "port": "cannot listen", "token": "door.token_file"}[missing] in log
    board.show(f"without {missing}")


def test_a_door_held_open_is_an_alarm_until_it_closes(start_door):
    daemon, board = start_door(FOR_LONG)
    board.inputs("button")
    wait_for_event(daemon.data, "opened")
    board.inputs("open")
    wait_for_event(daemon.data, "held_open")
    wait_until(lambda: board.is_on("buzzer"), SECONDS, "the alarm")
    board.inputs()
    wait_for_event(daemon.data, "door_closed")
    wait_until(lambda: not board.is_on("buzzer"), SECONDS, "silence")
    assert events(daemon.data, "forced") == []


def test_a_forced_door_is_an_alarm(start_door):
    daemon, board = start_door()
    board.inputs("open")
    wait_for_event(daemon.data, "forced")
    wait_until(lambda: board.is_on("buzzer") and board.is_on("red"), SECONDS, "the alarm")
    assert board.changes("relay") == []
    board.inputs()
    wait_until(lambda: not board.is_on("buzzer"), SECONDS, "silence")


def test_tampering_is_written_down(start_door):
    daemon, board = start_door()
    board.inputs("tamper")
    wait_for_event(daemon.data, "tamper")
    board.inputs()
    wait_for_event(daemon.data, "tamper_ended")
    assert board.changes("relay") == []
    assert "WARN" in daemon.log() and "tamper" in daemon.log()


# What is left when something dies


def test_sigterm_releases_the_relay(start_door):
    daemon, board = start_door(FOR_LONG)
    assert ask_to_open(daemon, portrait(OBAMA))["door"]["opened"] is True
    assert board.is_on("relay")
    daemon.stop()
    assert board.changes("relay") == [True, False]
    assert events(daemon.data)[-1]["event"] == "stopped"


def test_after_sigkill_door_safe_releases_the_relay(start_door):
    """What the unit's ExecStopPost runs. While the daemon lives it keeps its hands off."""
    daemon, board = start_door(FOR_LONG)
    assert ask_to_open(daemon, portrait(OBAMA))["door"]["opened"] is True
    arguments = ["door", "safe", "--config", daemon.folder / "recocomp.toml", "--data", daemon.data]
    refused = run(*arguments)
    assert refused.returncode == 1 and "in use" in refused.stderr
    assert board.is_on("relay")
    daemon.kill()
    assert board.is_on("relay"), "a killed program cannot switch anything"
    done = run(*arguments)
    assert done.returncode == 0 and "released" in done.stdout and "SIMULATED" in done.stdout, done
    assert board.changes("relay")[-1] is False


def test_a_start_after_sigkill_releases_the_relay_too(start_door):
    daemon, board = start_door(FOR_LONG)
    assert ask_to_open(daemon, portrait(OBAMA))["door"]["opened"] is True
    daemon.kill()
    daemon.start()
    assert board.changes("relay") == [True, False]
    daemon.stop()
    (gap,) = events(daemon.data, "gap")
    numbers = [event["seq"] for event in events(daemon.data)]
    missing = [number for number in range(1, numbers[-1] + 1) if number not in numbers]
    assert missing == list(range(gap["from"], gap["to"] + 1)), "what may be lost is told, and nothing else is missing"


def test_a_panic_of_the_doors_thread_releases_the_relay(start_door):
    """And a second later the exit button works again; searches were never disturbed."""
    daemon, board = start_door(FOR_LONG)
    assert ask_to_open(daemon, portrait(OBAMA))["door"]["opened"] is True
    board.inputs("panic")
    board.wait_for("relay", True, False)
    assert "panic" in wait_for_event(daemon.data, "fault")["what"]
    assert daemon.search("staff", portrait(OBAMA), 1)["obama"] > 0.9
    board.inputs()
    wait_for_event(daemon.data, "started", 2)
    daemon.log_checked = len(daemon.log())  # this panic was meant
    assert board.changes("relay")[-1] is False, "the opening does not come back"
    board.inputs("button")
    wait_until(lambda: board.is_on("relay"), SECONDS, "the button opens")


def test_a_door_that_stands_still_is_released_by_its_guard(start_door):
    """Within seconds, though the opening would have lasted a minute."""
    daemon, board = start_door(FOR_LONG)
    assert ask_to_open(daemon, portrait(OBAMA))["door"]["opened"] is True
    board.inputs("hang")
    board.wait_for("relay", True, False)
    wait_until(
        lambda: any("stands still" in event["what"] for event in events(daemon.data, "fault")), SECONDS, "the guard's event"
    )
    board.inputs()
    wait_for_event(daemon.data, "started", 2)
    board.inputs("button")
    wait_until(lambda: board.is_on("relay"), SECONDS, "the button opens")


def test_failing_pins_keep_the_door_shut_and_the_api_up(start_door):
    daemon, board = start_door()
    board.inputs("fail")
    wait_for_event(daemon.data, "fault")
    answer = ask_to_open(daemon, portrait(OBAMA))
    assert answer["err_code"] == 0 and answer["door"]["opened"] is False
    assert answer["door"]["reason"] == "fault"
    board.inputs()
    wait_until(lambda: ask_to_open(daemon, portrait(OBAMA))["door"]["opened"], SECONDS, "the pins are taken again")


# The command line and the configuration


def test_a_torn_event_is_told_and_the_rest_is_read(start_door):
    daemon, board = start_door()
    board.inputs("tamper")
    wait_for_event(daemon.data, "tamper")
    daemon.kill()
    log_file = newest_log_file(daemon.data)
    with open(log_file, "ab") as log:
        log.write(b'{"seq": 99, "ti')
    board.inputs()
    daemon.start()
    daemon.stop()
    listed = run("door", "events", "--last", 0, "--json", "--data", daemon.data)
    assert listed.returncode == 1 and "1 lines" in listed.stderr
    names = [json.loads(line)["event"] for line in listed.stdout.splitlines()]
    assert names == ["started", "tamper", "gap", "started", "stopped"]
    assert os.stat(log_file).st_mode & 0o077 == 0


def test_door_test_switches_every_output_once(tmp_path):
    done = run("door", "test", "--board", "simulated", "--data", tmp_path, "--seconds", 1)
    assert done.returncode == 0, done.stderr
    assert "SIMULATED" in done.stdout and "button not pressed" in done.stdout
    board = Board(tmp_path)
    for pin in ("relay", "green", "red", "buzzer"):
        assert board.changes(pin) == [True, False]
    assert events(tmp_path)[0]["by"] == "test"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[door]\nenabled = true\nclients = ["127.0.0.1"]\n', "door.collection"),
        ('[door]\nenabled = true\ncollection = "staff"\n', "door.token_file"),
        ('[door]\nenabled = true\ncollection = "staff"\nclients = ["127.0.0.1"]\n', "door.board"),
        (config('board = "rpi9"\n'), "rpi5"),
        (config('schedule = ["Monday"]\n'), "door.schedule"),
        (config('clients = ["everyone"]\n'), "door.clients"),
        (config("target_fpir = 1.5\n"), "door.target_fpir"),
        (config('liveness = "maybe"\n'), "liveness"),
        (config('board = "generic"\n'), "label-of-your-gpiochip"),
        (config("pulse = 5\n"), "door.pulse_ms"),
    ],
)
def test_a_wrong_door_refuses_to_start_and_names_the_key(tmp_path, text, says):
    path = tmp_path / "recocomp.toml"
    path.write_text(text)
    refused = run("serve", "--listen", "127.0.0.1:0", "--data", tmp_path / "data", "--config", path, timeout=SECONDS)
    assert refused.returncode != 0
    assert says in refused.stderr, refused.stderr


def test_a_board_file_of_ones_own(tmp_path, start_daemon):
    """Read by its path; an unknown key is refused with the nearest known one."""
    board = tmp_path / "my-board.toml"
    board.write_text('name = "mine"\ntitle = "t"\ndriver = "simulated"\n[relay]\nline = 1\nactive = "high"\nsafe = "unlocked"\npulse_ms = 500\n')
    daemon = start_daemon(config=config(f'board = "{board}"\n'))
    pins = board_of(daemon)
    # A fail-safe lock is held shut by current, from the start.
    pins.wait_for("relay", True)
    daemon.stop()
    assert pins.changes("relay") == [True, False]
    board.write_text(board.read_text().replace("[relay]", "[relay]\npuls_ms = 1"))
    refused = run("door", "safe", "--board", board, "--data", tmp_path / "data")
    assert refused.returncode == 1 and "did you mean `relay.pulse_ms`" in refused.stderr
