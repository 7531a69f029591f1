"""`recocomp doctor` in the situations that an installer meets: each is told, with what to do, and by the exit code."""

import http.server
import json
import os
import shutil
import socket
import subprocess
import threading

import pytest

from daemon import binary, run
from faces import ASTRONAUT, OBAMA, portrait
from test_license import OWN, day, signed, text

# What a data folder of a test cannot help: this machine's clock, power, watchdog and systemd.
OF_THE_MACHINE = {"clock", "power", "watchdog", "gpio", "service", "processor", "memory", "medium", "disk"}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


class Examined:
    """Findings by the name of their check."""

    def __init__(self, data, config: str | None = None, port: int | None = None, folder=None, **environment):
        file = (folder or data.parent) / "doctor.toml"
        file.write_text(config or f'[server]\nlisten = "127.0.0.1:{port or free_port()}"\n')
        ended = run("doctor", "--json", "--data", data, "--config", file, env={**os.environ, **environment})
        assert "panicked" not in ended.stderr and ended.stdout, ended.stderr
        report = json.loads(ended.stdout)
        self.findings = report["findings"]
        worst = max((("ok", "warning", "problem").index(finding["level"]) for finding in self.findings))
        assert ended.returncode == worst and report["verdict"] == ("ok", "warning", "problem")[worst]
        for finding in self.findings:
            assert finding["found"]
            assert (finding["advice"] is None) == (finding["level"] == "ok"), finding

    def __getitem__(self, check: str) -> tuple[str, str]:
        """The worst finding of a check: level and text with advice."""
        of_check = [finding for finding in self.findings if finding["check"] == check]
        worst = max(of_check, key=lambda finding: ("ok", "warning", "problem").index(finding["level"]))
        return worst["level"], worst["found"] + " | " + (worst["advice"] or "")


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    return folder


def test_a_folder_in_order(data, tmp_path):
    """License, models, data and port are well; every check has a finding."""
    clock = tmp_path / "clock"
    clock.write_text(day(0) + " synchronised")
    (data / "recocomp.license").write_bytes(signed(text()))
    examined = Examined(data, RECOCOMP_TEST_CLOCK=str(clock), **OWN)
    assert {"configuration", "data", "license", "models", "port", "door", *OF_THE_MACHINE} == {
        finding["check"] for finding in examined.findings
    }
    for check in ("configuration", "data", "license", "models", "port", "processor", "door"):
        assert examined[check][0] == "ok", examined[check]
    assert "Authorized" in examined["license"][1]
    assert "run in" in examined["models"][1]
    assert "pages of" in examined["processor"][1]
    assert not list(data.glob(".doctor*")), "nothing is left behind"


def test_beside_a_running_daemon(start_daemon):
    """It neither disturbs the daemon nor takes its port for a stranger's."""
    daemon = start_daemon()
    daemon.ask("/create/collection", collection_name="face_col")
    before = sorted(path for path in daemon.data.rglob("*"))
    examined = Examined(daemon.data)
    assert examined["port"] == ("ok", f"the daemon answers on 127.0.0.1:{daemon.port} | ")
    assert examined["data"][0] == "ok", examined["data"]
    assert sorted(path for path in daemon.data.rglob("*")) == before
    assert daemon.features("face_col") == 0


def test_a_port_that_is_taken(data):
    """By something else."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        level, said = Examined(data, port=taken.getsockname()[1])["port"]
    assert level == "problem" and "is taken" in said and "ss -ltnp" in said


def test_something_else_listens_where_the_daemon_was(data):
    """The address that a killed daemon left, where now somebody else answers."""
    class Other(http.server.SimpleHTTPRequestHandler):
        def do_GET(self):
            self.send_response(404)
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Other) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        (data / "daemon.address").write_text(f"127.0.0.1:{other.server_port}")
        level, said = Examined(data)["port"]
        other.shutdown()
    assert level == "problem" and "no recocomp" in said


def test_an_address_that_is_not_ours(data):
    level, said = Examined(data, config='[server]\nlisten = "192.0.2.1:8080"\n')["port"]
    assert level == "problem" and "0.0.0.0" in said


def test_no_license(data):
    level, said = Examined(data, **OWN)["license"]
    assert level == "problem" and "Unauthorized" in said and "license request" in said


def test_a_clock_that_was_ahead(data, tmp_path, start_daemon):
    """The mark says a later time than a clock that is synchronised now: ClockRollback, as the daemon would say."""
    clock = tmp_path / "clock"
    clock.write_text(day(60) + " synchronised")
    environment = {"RECOCOMP_TEST_CLOCK": str(clock), **OWN}
    (data / "recocomp.license").write_bytes(signed(text()))
    start_daemon(development=False, data=data, environment=environment).stop()
    assert Examined(data, **environment)["license"][0] == "ok"
    clock.write_text(day(0) + " synchronised")
    level, said = Examined(data, **environment)["license"]
    assert level == "problem" and "ClockRollback" in said


def test_a_configuration_that_cannot_be_used(data):
    """It is said where, and the other checks go on."""
    examined = Examined(data, config="[limits]\nmax_batsch = 5\n")
    assert examined["configuration"][0] == "problem" and "max_batch" in examined["configuration"][1]
    assert examined["models"][0] == "ok"


def test_networks_that_are_not_known(data):
    """A file of [models] that is damaged or of another release."""
    network = data.parent / "embedder.tflite"
    network.write_bytes(b"nothing of the kind")
    level, said = Examined(data, config=f'[models]\nembedder = "{network}"\n')["models"]
    assert level == "problem" and "SHA-256" in said and "[models]" in said


def test_a_folder_that_is_not_there(tmp_path):
    level, said = Examined(tmp_path / "data")["data"]
    assert level == "warning" and "first start" in said


def test_a_file_where_the_folder_should_be(tmp_path):
    (tmp_path / "data").write_text("in the way")
    level, said = Examined(tmp_path / "data")["data"]
    assert level == "problem" and "no folder" in said


def test_faces_that_others_may_read(data):
    (data / "gallery").mkdir()
    (data / "gallery").chmod(0o755)
    level, said = Examined(data)["data"]
    assert level == "problem" and "chmod 0700" in said
    (data / "gallery").chmod(0o700)
    assert Examined(data)["data"][0] == "ok"


def as_nobody(data, tmp_path) -> dict:
    """The doctor as a user without any rights; root may write everywhere."""
    program = tmp_path / "recocomp"
    shutil.copy(binary()[-1], program)
    program.chmod(0o755)
    folder = tmp_path
    while folder.stat().st_mode & 0o005 != 0o005 and folder != folder.parent:
        folder.chmod(folder.stat().st_mode | 0o055)
        folder = folder.parent
    ended = subprocess.run(
        [program, "doctor", "--json", "--data", data], capture_output=True, text=True, user=65534, group=65534, extra_groups=[]
    )
    return next(finding for finding in json.loads(ended.stdout)["findings"] if finding["check"] == "data")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_folder_without_the_right_to_write(data, tmp_path):
    """Root's folder and somebody else: told to be the daemon's user."""
    data.chmod(0o755)
    finding = as_nobody(data, tmp_path)
    assert finding["level"] == "problem" and "may not write" in finding["found"] and "sudo -u recocomp" in finding["advice"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_files_that_root_made(start_daemon):
    """A command that was run as root leaves files which the daemon's user cannot open."""
    daemon = start_daemon()
    daemon.ask("/create/collection", collection_name="face_col")
    daemon.stop()
    for path in [daemon.data, *daemon.data.rglob("*")]:
        os.chown(path, 65534, 65534)
    collection = next(path for path in (daemon.data / "gallery").iterdir() if path.is_dir())
    os.chown(collection, 0, 0)
    level, said = Examined(daemon.data)["data"]
    assert level == "problem" and collection.name in said and "chown" in said


@pytest.fixture
def mounted(tmp_path):
    """Mounts a tmpfs of 20 MB, where this machine lets us."""
    folder = tmp_path / "mounted"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", folder], capture_output=True).returncode != 0:
        pytest.skip("mounting is not permitted here; src/cli/doctor/storage.rs tests the same on made-up mounts")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_data_in_memory(mounted):
    """A tmpfs forgets everything with the power."""
    (mounted / "data").mkdir(mode=0o700)
    examined = Examined(mounted / "data")
    assert examined["medium"][0] == "problem" and "lost with the power" in examined["medium"][1]
    assert examined["disk"][0] == "warning" and "free of 20 |" in examined["disk"][1]


def test_a_full_disk(mounted, tmp_path):
    """So full that not even one block can be written."""
    (mounted / "data").mkdir(mode=0o700)
    with open(mounted / "ballast", "wb", buffering=0) as ballast:
        try:
            while True:
                ballast.write(bytes(4096))
        except OSError:
            pass
    examined = Examined(mounted / "data", folder=tmp_path)
    assert examined["data"][0] == "problem" and "no room" in examined["data"][1]
    assert examined["disk"][0] == "problem" and "make room" in examined["disk"][1]


def test_a_read_only_disk(mounted):
    """As the kernel leaves it when it finds a damaged medium (errors=remount-ro)."""
    (mounted / "data").mkdir(mode=0o700)
    (mounted / "doctor.toml").touch()
    subprocess.run(["mount", "-o", "remount,ro", mounted], check=True)
    ended = run("doctor", "--json", "--data", mounted / "data", "--config", mounted / "doctor.toml")
    finding = next(finding for finding in json.loads(ended.stdout)["findings"] if finding["check"] == "data")
    assert ended.returncode == 2
    assert finding["level"] == "problem" and "can only be read" in finding["found"] and finding["advice"]


def test_for_people(data):
    """A line a check, what to do below it, and an exit code for scripts."""
    ended = run("doctor", "--data", data, env={**os.environ, **OWN})
    assert ended.returncode == 2
    assert "PROBLEM license" in ended.stdout and "-> " in ended.stdout
    assert "\x1b" not in ended.stdout, "no colours in a pipe"


# The door

DOOR = '[door]\nenabled = true\nboard = "{board}"\ncollection = "staff"\nclients = ["127.0.0.1"]\n'


def of_door(examined) -> str:
    """All that is said of the door, a line each with its level."""
    of_check = [finding for finding in examined.findings if finding["check"] == "door"]
    return "\n".join(f"{f['level']}: {f['found']} | {f['advice'] or ''}" for f in of_check)


def test_a_door_on_a_machine_that_is_none(data):
    """A Raspberry Pi's board on another machine, a board file with a mistake, and one that is not there: what to do is said."""
    said = of_door(Examined(data, config=DOOR.format(board="rpi5")))
    assert 'problem: rpi5' in said and '"pinctrl-rp1"' in said and "gpiodetect" in said
    board = data.parent / "mine.toml"
    said = of_door(Examined(data, config=DOOR.format(board=board)))
    assert f"problem: cannot read the board file {board}" in said and "Wiring" in said
    board.write_text('name = "m"\ntitle = "t"\ndriver = "cdev"\n[relay]\nline = 1\n')
    assert "problem: the board" in of_door(Examined(data, config=DOOR.format(board=board)))
    board.write_text('name = "m"\ntitle = "t"\ndriver = "rppal"\n[relay]\nline = 1\nactive = "high"\nsafe = "locked"\npulse_ms = 500\n')
    said = of_door(Examined(data, config=DOOR.format(board=board)))
    assert "/dev/gpiomem" in said and "cdev" in said


def test_a_door_without_people_or_with_too_many(data, start_daemon):
    config = DOOR.format(board="simulated")
    said = of_door(Examined(data, config=config))
    assert 'problem: there is no collection "staff"' in said and "recocomp enroll DIR --collection staff" in said
    daemon = start_daemon(data=data)
    assert daemon.ask("/create/collection", collection_name="staff")["err_code"] == 0
    assert "warning: collection \"staff\": 0 people, 0 faces: nobody is let in" in of_door(Examined(data, config=config))
    assert daemon.insert("staff", ("obama", portrait(OBAMA)), ("eileen", portrait(ASTRONAUT)))["success_num"] == 2
    said = of_door(Examined(data, config=config))
    assert "ok: collection \"staff\": 2 people, 2 faces, cosine from 0." in said and "extrapolated" not in said
    said = of_door(Examined(data, config=config + "target_fpir = 0.00001\n"))
    assert "ok: collection" in said and "extrapolated from what was measured" in said
    assert "warning: collection" in of_door(Examined(data, config=config + "target_fpir = 0.0000021\n"))
    assert "problem: collection" in of_door(Examined(data, config=config + "target_fpir = 0.000001\n"))


def test_what_a_picture_can_do_at_the_door_is_said(data):
    """Whoever installs it learns what was measured and what to do. Without a door nothing is said of it."""
    config = DOOR.format(board="simulated")
    said = of_door(Examined(data, config=config))
    assert "warning: it relies on still pictures: a telephone" in said and "100 of 100" in said and "83 %" in said
    assert "second factor" in said and "door.schedule" in said and "docs/guide/door.md" in said
    said = of_door(Examined(data, config=config + 'liveness = "off"\n'))
    assert "any photo of an enrolled person opens it" in said
    assert "telephone" not in of_door(Examined(data))


def test_a_schedule_without_a_clock(data, tmp_path):
    clock = tmp_path / "clock"
    config = DOOR.format(board="simulated") + 'schedule = ["daily 07:00-19:00"]\n'
    for shown, confirmed in ((day(0), False), (day(0) + " synchronised", True), (day(0) + " hardware", True)):
        clock.write_text(shown)
        said = of_door(Examined(data, config=config, RECOCOMP_TEST_CLOCK=str(clock)))
        assert ("needs the time of day" in said) != confirmed, shown


def test_a_token_that_is_none(data, tmp_path):
    token = tmp_path / "token"
    config = DOOR.format(board="simulated") + f'token_file = "{token}"\n'
    assert "door.token_file" in of_door(Examined(data, config=config))
    token.write_text("short")
    assert "at least 16" in of_door(Examined(data, config=config))
    token.write_text("0123456789abcdef")
    token.chmod(0o600)
    assert "door.token_file" not in of_door(Examined(data, config=config))
