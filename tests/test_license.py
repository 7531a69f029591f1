"""The license: who may work, until when, and the attacks on it. Each attack prints its state: `pytest test_license.py -s`.

The licenses are made by the development key and signed here, not by the product. Device and clock are made up by variables of the
environment that only development builds know."""

import json
import os
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import ed25519
from contract import ENDPOINTS, assert_error
from daemon import ROOT, Daemon, binary, run, wait_until
from faces import BIDEN, OBAMA, file_bytes, portrait

KEY_FILE = ROOT / "tests/data/development-license.key"
SECRET = bytes.fromhex(KEY_FILE.read_text().split("secret: ")[1].split()[0])
# Some day after the program was built, whatever today is.
TODAY = datetime(2030, 6, 1, tzinfo=UTC)
OWN, OTHER = {"RECOCOMP_TEST_DEVICE": "1"}, {"RECOCOMP_TEST_DEVICE": "2"}
table: list[tuple[str, str, str]] = []


def day(days: float) -> str:
    return (TODAY + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")


def fingerprint(device=OWN) -> str:
    return run("device-id", env={**os.environ, **device}).stdout.strip()


def text(**changes: str) -> str:
    """The signed lines of a license that is in order, but for the changes."""
    fields = {
        "license": "L-1",
        "device": fingerprint(),
        "customer": "Café",
        "issued": day(-10),
        "expires": day(90),
        "grace-days": "14",
        "collections": "unlimited",
        "people": "unlimited",
        "features": "none",
        "clock-reset": "no",
    } | {key.replace("_", "-"): value for key, value in changes.items()}
    return "recocomp license 1\n" + "".join(f"{key}: {value}\n" for key, value in fields.items())


def signed(lines: str, secret: bytes = SECRET) -> bytes:
    return lines.encode() + b"signature: " + ed25519.sign(secret, lines.encode()).hex().encode() + b"\n"


class Terminal:
    """A daemon without --development, on a day of the test's choice."""

    def __init__(self, start_daemon, tmp_path: Path, device=OWN):
        self.clock = tmp_path / "clock"
        self.set_clock()
        environment = {"RECOCOMP_TEST_CLOCK": str(self.clock), **device}
        self.daemon: Daemon = start_daemon(development=False, environment=environment)
        self.file = self.daemon.data / "recocomp.license"
        self.mark = self.daemon.data / "license.mark"

    def set_clock(self, days: float = 0, synchronised: bool = True) -> None:
        staged = self.clock.with_suffix(".new")
        staged.write_text(day(days) + (" synchronised" if synchronised else ""))
        staged.replace(self.clock)

    def install(self, license: bytes) -> None:
        staged = self.file.with_suffix(".staged")
        staged.write_bytes(license)
        staged.replace(self.file)

    def state(self) -> str:
        answer = self.daemon.ask("/license")
        assert answer["err_code"] == 0 and answer["detail"], answer
        return answer["status"]

    def comes_to(self, state: str, attack: str | None = None) -> str:
        """Waits for the state, and that the business endpoints agree with it; the detail."""
        wait_until(lambda: self.state() == state, 10, f"{attack}: {state}, not {self.state()}")
        time.sleep(0.3)  # and it stays so at the next checks
        answer = self.daemon.ask("/license")
        assert answer["status"] == state, answer
        listed = self.daemon.ask("/collection/status", collection_name=[])
        if state == "Authorized":
            assert listed["err_code"] == 0, listed
        else:
            assert_error(listed, 1012)
            assert listed["detail"] == answer["detail"]
        if attack:
            table.append((attack, state, answer["detail"]))
        return answer["detail"]


@pytest.fixture
def terminal(start_daemon, tmp_path):
    return Terminal(start_daemon, tmp_path)


@pytest.fixture(scope="module", autouse=True)
def print_table():
    yield
    for attack, state, detail in table:
        print(f"\n{attack:<42} {state:<14} {detail}", end="")
    print()


def authorised(terminal: Terminal) -> Terminal:
    terminal.install(signed(text()))
    terminal.comes_to("Authorized")
    return terminal


def test_a_license_opens_the_endpoints_while_the_daemon_runs(terminal):
    """Nothing need be restarted: neither when it is installed, nor when it is taken away."""
    terminal.comes_to("Unauthorized")
    for path in ENDPOINTS:
        answer = terminal.daemon.ask(path, collection_name="face_col")
        if path in ("/version", "/license"):
            assert answer["err_code"] == 0
        else:
            assert_error(answer, 1012)
    authorised(terminal)
    terminal.file.unlink()
    terminal.comes_to("Unauthorized", "license file deleted")


# The attacks


def test_attack_the_license_of_another_device(start_daemon, tmp_path):
    terminal = Terminal(start_daemon, tmp_path, OTHER)
    terminal.install(signed(text()))
    terminal.comes_to("DeviceMismatch", "1 license of another device")
    terminal.install(signed(text(device=fingerprint(OTHER))))
    terminal.comes_to("Authorized")


def test_attack_one_byte_edited(terminal):
    authorised(terminal)
    license = signed(text())
    for at in [*range(0, len(license), 23), len(license) - 1]:
        edited = bytearray(license)
        edited[at] ^= 1 + at % 3
        terminal.install(bytes(edited))
        terminal.comes_to("Invalid", "2 one byte edited" if at == 230 else None)
        terminal.install(license)
        wait_until(lambda: terminal.state() == "Authorized", 10, "the whole license counts again")


def test_attack_the_file_is_cut_off_or_grown(terminal):
    license = signed(text())
    for wrong in (license[: len(license) // 2], license[:-1], license + b"\n", b"", license * 2, license * 20, b"\0" * 5000):
        terminal.install(license)
        wait_until(lambda: terminal.state() == "Authorized", 10, "the whole license counts")
        terminal.install(wrong)
        terminal.comes_to("Invalid", "3 cut off" if wrong == license[:-1] else None)


def test_attack_expired(terminal):
    terminal.install(signed(text(issued=day(-400), expires=day(-20))))
    terminal.comes_to("Expired", "4 expired")


def test_attack_issued_in_the_future(terminal):
    for expires in (day(90), "never"):
        terminal.install(signed(text(issued=day(2), expires=expires)))
        terminal.comes_to("Invalid", "5 issued in the future")
        authorised(terminal)


def test_attack_the_clock_is_set_back(terminal):
    """The mark that an earlier run wrote is what the clock is measured by, also after a start."""
    authorised(terminal)
    terminal.daemon.stop()
    terminal.set_clock(-5)
    terminal.daemon.start()
    terminal.comes_to("ClockRollback", "6 clock set back, synchronised")
    terminal.set_clock(0)
    terminal.comes_to("Authorized")


def test_attack_the_clock_is_set_back_after_the_end(terminal):
    """Without time servers nobody can tell that the clock is wrong, but it gains nothing: license time does not go back."""
    authorised(terminal)
    terminal.set_clock(120, synchronised=False)
    terminal.comes_to("Expired")
    terminal.set_clock(0, synchronised=False)
    terminal.comes_to("Expired", "7 clock set back after the end")
    terminal.daemon.kill()
    terminal.daemon.start()
    terminal.comes_to("Expired")


def test_attack_the_signature_of_another_license(terminal):
    signature = signed(text(collections="1")).splitlines()[-1]
    terminal.install(text().encode() + signature + b"\n")
    terminal.comes_to("Invalid", "8 signature of another license")


def test_attack_another_vendors_key(terminal):
    terminal.install(signed(text(), bytes(range(32))))
    terminal.comes_to("Invalid", "9 key of another vendor")


def test_attack_limits_edited(terminal):
    license = signed(text(people="100"))
    terminal.install(license)
    terminal.comes_to("Authorized")
    terminal.install(license.replace(b"people: 100\n", b"people: 999\n"))
    terminal.comes_to("Invalid", "10 limits edited")


def test_attack_fields_twice_or_unknown(terminal):
    """Even with the right signature, as a tool of the vendor's with a fault would make it."""
    twice = text().replace("people: ", "people: 5\npeople: ")
    unknown = text().replace("clock-reset: no\n", "clock-reset: no\nseats: 5\n")
    for lines in (twice, unknown, text(grace_days="-1"), text(expires=day(-30)), text(customer="")):
        terminal.install(signed(lines))
        terminal.comes_to("Invalid", "11 field twice" if lines == twice else None)
        authorised(terminal)


def test_attack_unknown_version(terminal):
    terminal.install(signed(text().replace("license 1\n", "license 2\n", 1)))
    assert "version" in terminal.comes_to("Invalid", "12 unknown version")


def test_attack_the_mark_deleted_or_damaged(terminal):
    """The newest change of the gallery tells the time then, as far as it goes."""
    authorised(terminal)
    assert terminal.daemon.ask("/create/collection", collection_name="face_col")["err_code"] == 0
    terminal.daemon.stop()
    mark = terminal.mark.read_bytes()
    edited = mark.replace(b"time: 1", b"time: 0")
    assert edited != mark
    for damaged in (None, b"", mark[:-1], edited, b"\xff" * 9999):
        if damaged is None:
            terminal.mark.unlink()
        else:
            terminal.mark.write_bytes(damaged)
        terminal.daemon.start()
        # It is the real clock that the gallery goes by: the license's own date is later.
        terminal.comes_to("Authorized", "13 mark deleted" if damaged is None else "14 mark edited" if damaged == edited else None)
        terminal.daemon.stop()
        assert terminal.mark.read_bytes().startswith(b"recocomp license mark 1\n")


# What must go on working


def test_a_board_without_a_clock_still_works_after_a_power_cut(terminal):
    authorised(terminal)
    terminal.daemon.kill()
    terminal.clock.write_text("1970-01-01T00:00:07Z")
    terminal.daemon.start()
    terminal.comes_to("Authorized")


def test_a_perpetual_license_does_not_mind_the_clock(terminal):
    terminal.install(signed(text(expires="never")))
    terminal.comes_to("Authorized")
    terminal.set_clock(-300)
    terminal.comes_to("Authorized")
    terminal.clock.write_text("2199-01-01T00:00:00Z synchronised")
    terminal.comes_to("Authorized")


def test_grace_is_authorised_and_says_so(terminal):
    authorised(terminal)
    terminal.set_clock(91)
    wait_until(lambda: "expired" in terminal.daemon.ask("/license")["detail"], 10, "the detail speaks of the end")
    assert "13 days" in terminal.comes_to("Authorized")


def test_the_vendor_can_reset_a_device_whose_clock_was_wrong_once(terminal):
    authorised(terminal)
    terminal.set_clock(5000)
    terminal.comes_to("Expired")
    terminal.set_clock(1)
    terminal.comes_to("ClockRollback")
    terminal.install(signed(text(issued=day(1), clock_reset="yes")))
    terminal.comes_to("Authorized")
    terminal.daemon.restart()
    terminal.comes_to("Authorized")


def test_limits_on_collections_and_people(terminal):
    """What passes them is refused with a reason; searching and what is there go on."""
    terminal.install(signed(text(collections="1", people="1")))
    terminal.comes_to("Authorized")
    daemon = terminal.daemon
    assert daemon.ask("/create/collection", collection_name="first")["err_code"] == 0
    refused = daemon.ask("/create/collection", collection_name="second")
    assert_error(refused, 1012)
    assert "1 collection" in refused["detail"], refused
    assert_error(daemon.ask("/create/collection", collection_name="first"), 1004)
    picture = portrait(OBAMA)
    assert daemon.insert("first", ("ada", picture))["success_num"] == 1
    refused = daemon.insert("first", ("bob", picture))
    assert_error(refused, 1012)
    assert "1 person" in refused["detail"], refused
    # Another picture of somebody who is there is no other person.
    assert daemon.insert("first", ("ada", picture))["success_num"] == 1
    assert daemon.update("first", ("ada", picture))["success_num"] == 1
    assert list(daemon.search("first", picture)) == ["ada"]
    assert_error(daemon.insert("first", ("ada", picture), ("bob", picture)), 1012)
    assert daemon.features("first") == 1, "nothing of a refused batch is stored"
    terminal.install(signed(text(people="2")))
    wait_until(lambda: daemon.insert("first", ("bob", picture))["err_code"] == 0, 10, "the new license is in force")
    assert sorted(daemon.search("first", picture)) == ["ada", "bob"]


def test_the_limits_hold_for_commands_on_the_files(terminal, tmp_path):
    """enroll, restore and import while the daemon is stopped: not more than the daemon would take, and nothing in part. What replaces as
    many may come; with a wider license, everything."""
    daemon = terminal.daemon
    environment = {**os.environ, **daemon.environment}
    passphrase = tmp_path / "passphrase"
    passphrase.write_text("five words that nobody guesses")
    secret = ["--passphrase-file", passphrase, "--data", daemon.data]
    album = tmp_path / "album"
    album.mkdir()
    for name, picture in (("obama", OBAMA), ("biden", BIDEN)):
        (album / f"{name}.jpg").write_bytes(file_bytes(picture))
    terminal.install(signed(text(people="2", collections="2")))
    terminal.comes_to("Authorized")
    daemon.stop()

    def command(*arguments):
        return run(*arguments, env=environment)

    def people() -> dict[str, int]:
        listed = json.loads(run("collection", "list", "--json", "--data", daemon.data).stdout)["collections"]
        return {collection["name"]: collection["people"] for collection in listed}

    assert command("enroll", album, "--collection", "first", "--data", daemon.data).returncode == 0
    assert command("backup", tmp_path / "two", *secret).returncode == 0
    assert command("collection", "export", "first", tmp_path / "first", *secret).returncode == 0
    refused = command("enroll", album, "--collection", "second", "--data", daemon.data)
    assert refused.returncode == 1 and "the license allows 2 people" in refused.stderr, refused
    assert people() == {"first": 2, "second": 0}
    refused = command("collection", "import", tmp_path / "first", "--name", "third", *secret)
    assert refused.returncode == 1 and "the limit of the license is 2 people; there are 2 and would be 4" in refused.stderr, refused
    assert command("restore", tmp_path / "two", "--replace", *secret).returncode == 0
    terminal.install(signed(text(people="1", collections="2")))
    assert command("restore", tmp_path / "two", "--replace", *secret).returncode == 0, "it adds nobody"
    empty = [*secret[:2], "--data", tmp_path / "empty"]
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "recocomp.license").write_bytes(signed(text(people="1")))
    refused = command("restore", tmp_path / "two", *empty)
    assert refused.returncode == 1 and "the limit of the license is 1 people; there are 0 and would be 2" in refused.stderr, refused
    (tmp_path / "empty" / "recocomp.license").write_bytes(b"nothing of the kind")
    for refused in (
        command("restore", tmp_path / "two", *empty),
        command("collection", "import", tmp_path / "first", *empty),
        command("enroll", album, "--collection", "first", "--data", tmp_path / "empty"),
    ):
        assert refused.returncode == 1 and "its license is Invalid" in refused.stderr, refused
    (tmp_path / "empty" / "recocomp.license").write_bytes(signed(text(people="2")))
    assert command("restore", tmp_path / "two", *empty).returncode == 0
    terminal.install(signed(text(people="4", collections="3")))
    assert command("collection", "import", tmp_path / "first", "--name", "third", *secret).returncode == 0
    assert people() == {"first": 2, "second": 0, "third": 2}


# The commands


def license_tool(*arguments) -> subprocess.CompletedProcess:
    tool = Path(binary()[-1]).with_name("recocomp-license")
    if not tool.exists():
        pytest.skip("recocomp-license was not built")
    command = [*binary()[:-1], str(tool), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def test_from_the_request_to_the_door(terminal, tmp_path):
    """device-id, request, issue, inspect, install, show: as an installer and a vendor do it."""
    environment = {**os.environ, **terminal.daemon.environment}
    data = ("--data", terminal.daemon.data)
    request = run("license", "request", "--customer", "Café", "--output", tmp_path / "request.txt", env=environment)
    assert request.returncode == 0, request.stderr
    license, now = tmp_path / "new.license", ("--issued", day(0))
    issued = license_tool(
        "issue", "--key", KEY_FILE, "--request", tmp_path / "request.txt", "--expires", "365d", *now, "--output", license
    )
    assert issued.returncode == 0, issued.stderr
    seen = license_tool("inspect", license)
    assert seen.returncode == 0 and fingerprint() in seen.stdout and "Café" in seen.stdout, seen
    assert run("license", "show", *data, env=environment).returncode == 1
    # Mail changes the ends of lines.
    license.write_bytes(license.read_bytes().replace(b"\n", b"\r\n"))
    installed = run("license", "install", license, *data, env=environment)
    assert installed.returncode == 0, installed.stderr
    terminal.comes_to("Authorized")
    shown = run("license", "show", *data, env=environment)
    assert shown.returncode == 0 and "Authorized" in shown.stdout and "Café" in shown.stdout, shown
    # A worse one does not replace it.
    license_tool("issue", "--key", KEY_FILE, "--device", fingerprint(OTHER), "--customer", "x", "--expires", "never", *now, "--output", tmp_path / "b")
    refused = run("license", "install", tmp_path / "b", *data, env=environment)
    assert refused.returncode == 1 and "DeviceMismatch" in refused.stderr, refused
    terminal.comes_to("Authorized")
    assert {path.name for path in terminal.daemon.data.iterdir() if "license" in path.name} == {"recocomp.license", "license.mark"}


def test_a_key_of_the_vendors_own(tmp_path):
    """Not readable by others, never written over; a build that was not made with it does not believe it."""
    key = tmp_path / "vendor.key"
    public = license_tool("keygen", key).stdout.strip()
    assert len(bytes.fromhex(public)) == 32
    assert key.stat().st_mode & 0o777 == 0o600
    assert license_tool("keygen", key).returncode == 1
    license = tmp_path / "a.license"
    arguments = ("issue", "--key", key, "--device", fingerprint(), "--customer", "x", "--expires", "never", "--output", license)
    assert license_tool(*arguments).returncode == 0
    assert license_tool("inspect", license).returncode == 1
    assert license_tool("inspect", license, "--key", public).returncode == 0
    license.unlink()
    key.chmod(0o644)
    assert "chmod" in license_tool(*arguments).stderr


def test_the_device_id_as_a_qr_code():
    """Drawn when asked for; a script that reads the output gets the digits alone."""
    drawn = run("device-id", "--qr", env={**os.environ, **OWN}).stdout.splitlines()
    assert drawn[0] == fingerprint()
    code = drawn[2:]
    assert len({len(line) for line in code}) == 1 and len(code[0]) < 60, code
    assert run("device-id", env={**os.environ, **OWN}).stdout == fingerprint() + "\n"
