"""As a service of systemd: ready, watchdog, stopping, a socket that is passed in, priorities for the journal, and the unit itself.

The service manager is this test: it listens on NOTIFY_SOCKET, passes sockets, and reads what the journal would."""

import ctypes
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from contract import PREFIX
from daemon import ROOT, binary, wait_until
from faces import OBAMA, portrait

UNITS = ROOT / "systemd"
PATIENCE_US = 2_000_000


class Manager:
    """A service manager's end of NOTIFY_SOCKET; every message with the moment it came."""

    def __init__(self, folder: Path):
        self.path = folder / "notify"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.path))
        self.messages: list[tuple[float, list[str]]] = []
        self.on_ready = None
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            lines = self.socket.recv(65536).decode().splitlines()
            if "READY=1" in lines and self.on_ready:
                self.on_ready()
            self.messages.append((time.monotonic(), lines))

    def environment(self) -> dict[str, str]:
        return {"NOTIFY_SOCKET": str(self.path)}

    def times(self, line: str) -> list[float]:
        return [when for when, lines in list(self.messages) if line in lines]

    def statuses(self) -> list[str]:
        lines = [line for _, lines in list(self.messages) for line in lines]
        return [line.removeprefix("STATUS=") for line in lines if line.startswith("STATUS=")]


@pytest.fixture
def manager(tmp_path):
    return Manager(tmp_path)


@pytest.fixture
def watched(start_daemon, manager):
    """A daemon whose watchdog bites after two seconds."""
    daemon = start_daemon(environment={**manager.environment(), "WATCHDOG_USEC": str(PATIENCE_US)})
    wait_until(lambda: manager.times("WATCHDOG=1"), 30, "the watchdog is fed")
    return daemon


def search(port: int, collection: str = "face_col") -> dict:
    """A search on a connection of its own, as the first client would make it."""
    body = json.dumps({"collection_name": collection, "face_image": portrait(OBAMA), "top_k": 1}).encode()
    head = f"POST {PREFIX}/face/search HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), 60) as connection:
        connection.sendall(head.encode() + body)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    return json.loads(answer.split(b"\r\n\r\n", 1)[1])


def passed(listener: socket.socket) -> dict:
    """For Popen: the socket as descriptor 3, the first that systemd passes, and LISTEN_PID of the process itself."""
    launcher = (
        "import os, sys; fd = int(sys.argv[1]); os.dup2(fd, 3); os.set_inheritable(3, True); "
        "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1'); os.execvp(sys.argv[2], sys.argv[2:])"
    )
    return {"command": [sys.executable, "-S", "-E", "-c", launcher, str(listener.fileno())], "pass_fds": (listener.fileno(),)}


# Ready and stopping


def test_ready_means_that_a_search_is_answered(tmp_path, start_daemon, manager):
    """The very moment that READY=1 comes, a search of the gallery gets its answer; before, nothing says so."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    daemon = start_daemon(data=tmp_path / "data")
    daemon.ask("/create/collection", collection_name="face_col")
    assert daemon.insert("face_col", ("obama", portrait(OBAMA)))["success_num"] == 1
    daemon.stop()
    daemon.arguments[daemon.arguments.index("--listen") + 1] = f"127.0.0.1:{port}"
    daemon.environment = manager.environment()
    found = []
    manager.on_ready = lambda: found.append(search(port))
    daemon.start()
    wait_until(lambda: found and manager.times("READY=1"), 60, "READY=1")
    assert found[0]["err_code"] == 0 and found[0]["status"][0]["result"] == "obama", found
    assert len(manager.times("READY=1")) == 1
    assert not manager.times("WATCHDOG=1"), "no watchdog was asked for"
    assert manager.statuses()[0].startswith("opening the gallery")
    assert f"serving 1 people in 1 collections on 127.0.0.1:{port}, license Authorized" in manager.statuses()


def test_a_door_says_at_every_start_what_a_picture_can_do(start_daemon, manager):
    """In the log, with the figures and what to do, and in the status of the unit, where it stays."""
    door = '[door]\nenabled = true\nboard = "simulated"\ncollection = "staff"\nclients = ["127.0.0.1"]\n'
    daemon = start_daemon(config=door, environment=manager.environment())
    for starts in (1, 2):
        if starts == 2:
            daemon.restart()
        wait_until(lambda: len(manager.times("READY=1")) == starts, 60, "READY=1")
        assert manager.statuses()[-1].endswith("; door: relies on still pictures, a telephone held up can open it")
        wait_until(lambda: daemon.log().count("it relies on still pictures") == starts, 10, "the warning of this start")
        warnings = [line for line in daemon.log().splitlines() if "relies on still pictures" in line]
        assert "100 of 100" in warnings[-1] and "second factor" in warnings[-1]
    assert "relies on still" not in start_daemon().log()


def test_stopping_is_told_with_the_time_it_may_take(start_daemon, manager):
    """STOPPING=1 at SIGTERM, and as much time as running requests may have, with some for the gallery."""
    daemon = start_daemon(config="[server]\ndrain_timeout_s = 100\n", environment=manager.environment())
    assert not manager.times("STOPPING=1")
    daemon.stop()
    wait_until(lambda: manager.times("STOPPING=1"), 10, "STOPPING=1")
    lines = next(lines for _, lines in manager.messages if "STOPPING=1" in lines)
    assert "EXTEND_TIMEOUT_USEC=130000000" in lines


@pytest.mark.parametrize("level", ["warn", "error", "off"])
def test_a_quiet_log_does_not_stop_the_daemon(start_daemon, manager, level):
    """Waiting for SIGTERM once stood among the arguments of a log line, which are not looked at when the filter leaves the line
    out: with RECOCOMP_LOG=warn the daemon stopped as soon as it was ready."""
    daemon = start_daemon(environment={**manager.environment(), "RECOCOMP_LOG": level})
    for _ in range(3):
        assert daemon.ask("/version")["err_code"] == 0
    assert not manager.times("STOPPING=1")
    daemon.stop()
    wait_until(lambda: manager.times("STOPPING=1"), 10, "STOPPING=1")


def test_a_start_that_fails_is_never_ready(tmp_path, daemon, manager):
    """A port that is taken: no READY=1, and an exit status that makes systemd try again."""
    arguments = ["serve", "--development", "--data", tmp_path / "data", "--listen", f"127.0.0.1:{daemon.port}"]
    ended = subprocess.run(
        [*binary(), *map(str, arguments)], capture_output=True, env={**os.environ, **manager.environment()}, timeout=60
    )
    assert ended.returncode == 1
    assert not manager.times("READY=1")


def test_nobody_listens_on_the_notify_socket(start_daemon, tmp_path):
    """A service manager that is gone costs a line of the log."""
    daemon = start_daemon(environment={"NOTIFY_SOCKET": str(tmp_path / "gone")})
    assert daemon.ask("/version")["err_code"] == 0
    assert "service manager" in daemon.log()


# The watchdog


def test_the_watchdog_is_fed_at_half_the_time(watched, manager):
    """Regularly, and often enough that one lost message costs nothing."""
    wait_until(lambda: len(manager.times("WATCHDOG=1")) >= 6, 60, "six meals")
    meals = manager.times("WATCHDOG=1")
    middle = sorted(after - before for before, after in zip(meals, meals[1:]))[len(meals) // 2 - 1]
    assert PATIENCE_US / 1e6 * 0.4 < middle < PATIENCE_US / 1e6 * 0.9, meals


def test_a_full_queue_does_not_starve_the_watchdog(start_daemon, manager):
    """More batches than there are places: clients are told 503, the watchdog is fed all the same."""
    config = "[recognition]\nworkers = 1\n[limits]\nqueue = 1\n"
    daemon = start_daemon(config=config, environment={**manager.environment(), "WATCHDOG_USEC": str(10 * PATIENCE_US)})
    daemon.ask("/create/collection", collection_name="face_col")
    answers = []
    stop = threading.Event()

    def load(number: int) -> None:
        while not stop.is_set():
            answers.append(daemon.insert("face_col", *[(f"person_{number}", portrait(OBAMA))] * 20).http)

    clients = [threading.Thread(target=load, args=(number,)) for number in range(4)]
    for client in clients:
        client.start()
    try:
        wait_until(lambda: 503 in answers, 60, "the queue is full")
        before, refused = len(manager.times("WATCHDOG=1")), answers.count(503)
        wait_until(lambda: len(manager.times("WATCHDOG=1")) >= before + 3, 60, "the watchdog is fed under load")
        assert answers.count(503) > refused, "the queue is full all the time"
    finally:
        stop.set()
        for client in clients:
            client.join()
    assert "not fed" not in daemon.log()


class Frozen:
    """Threads of a daemon that stand still, as in a deadlock: a debugger holds them, the others go on."""

    SEIZE, INTERRUPT, DETACH, WALL = 0x4206, 0x4207, 17, 0x40000000

    def __init__(self, pid: int, name: str):
        tasks = Path(f"/proc/{pid}/task")
        self.threads = [int(task.name) for task in tasks.iterdir() if (task / "comm").read_text().startswith(name)]
        assert self.threads, f"no thread {name}"
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]

    def _ptrace(self, request: int, thread: int) -> None:
        if self.libc.ptrace(request, thread, None, None) == -1:
            raise OSError(ctypes.get_errno(), f"ptrace({request:#x}, {thread})")

    def __enter__(self):
        for thread in self.threads:
            self._ptrace(self.SEIZE, thread)
            self._ptrace(self.INTERRUPT, thread)
            os.waitpid(thread, self.WALL)
        return self

    def __exit__(self, *_):
        for thread in self.threads:
            self._ptrace(self.DETACH, thread)


@pytest.mark.parametrize("threads, said", [("recognizer-", "no recognition worker answered"), ("tokio", "no request would be taken")])
def test_a_daemon_that_stands_still_is_not_fed(watched, manager, threads, said):
    """All workers, or all threads that take requests, hang: the watchdog is let starve, status and log say why. Once they go on,
    so does the feeding."""
    with Frozen(watched.process.pid, threads):
        wait_until(lambda: any("not working: " + said in status for status in manager.statuses()), 60, said)
        before = len(manager.times("WATCHDOG=1"))
        time.sleep(1.5 * PATIENCE_US / 1e6)
        assert len(manager.times("WATCHDOG=1")) == before
    assert f"the watchdog is not fed: {said}" in watched.log()
    wait_until(lambda: len(manager.times("WATCHDOG=1")) > before, 60, "fed again")
    wait_until(lambda: manager.statuses()[-1].startswith("serving"), 60, "the status is good again")


def test_a_gallery_that_cannot_be_read_starves_the_watchdog(watched, manager):
    """The folder is gone, as after a card that was pulled out."""
    gallery = watched.data / "gallery"
    gallery.rename(watched.data / "elsewhere")
    wait_until(lambda: any("the gallery cannot be read" in status for status in manager.statuses()), 60, "the status")
    before = len(manager.times("WATCHDOG=1"))
    time.sleep(1.5 * PATIENCE_US / 1e6)
    assert len(manager.times("WATCHDOG=1")) == before
    (watched.data / "elsewhere").rename(gallery)
    wait_until(lambda: len(manager.times("WATCHDOG=1")) > before, 60, "fed again")


# A socket of the service manager's


def test_a_socket_that_is_passed(tmp_path, start_daemon, monkeypatch):
    """The daemon takes the socket it is given in place of its address. It stays open when the daemon goes: a client that comes
    in between waits, and is served by the next one."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    how = passed(listener)
    command = [*how["command"], *binary(), "serve", "--development", "--data", tmp_path / "data", "--listen", "127.0.0.1:1"]

    def start() -> subprocess.Popen:
        process = subprocess.Popen(
            [str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, pass_fds=how["pass_fds"]
        )
        assert process.stdout.readline() == f"listening on http://127.0.0.1:{port}\n", process.stderr.read()
        return process

    first = start()
    first.send_signal(signal.SIGTERM)
    assert first.wait(30) == 0
    waiting = socket.create_connection(("127.0.0.1", port), 60)
    waiting.sendall(f"GET {PREFIX}/version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    second = start()
    assert b'"err_code":0' in b"".join(iter(lambda: waiting.recv(65536), b"")).replace(b" ", b"")
    second.send_signal(signal.SIGTERM)
    assert second.wait(30) == 0
    listener.close()


def test_a_socket_that_is_no_tcp_socket(tmp_path):
    """Refused with a sentence: the daemon would never be reached."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        listener.listen()
        how = passed(listener)
        ended = subprocess.run(
            [*how["command"], *binary(), "serve", "--development", "--data", str(tmp_path / "data")],
            capture_output=True,
            text=True,
            pass_fds=how["pass_fds"],
            timeout=60,
        )
    assert ended.returncode == 1 and "socket of the service manager" in ended.stderr, ended.stderr


# The journal


def log_of_a_start(tmp_path, connected: str | None) -> list[str]:
    """What a daemon writes to stderr, a file, when JOURNAL_STREAM says that `connected` is the journal."""
    log = tmp_path / "stderr"
    with open(log, "wb") as stderr:
        file = os.fstat(stderr.fileno())
        environment = {**os.environ, "RECOCOMP_LOG": "info"}
        if connected is not None:
            environment["JOURNAL_STREAM"] = connected.format(device=file.st_dev, inode=file.st_ino)
        command = [*binary(), "serve", "--development", "--listen", "127.0.0.1:0", "--data", str(tmp_path / "data")]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True, env=environment)
        port = int(process.stdout.readline().strip().rsplit(":", 1)[1])
        with socket.create_connection(("127.0.0.1", port), 60) as client:
            client.sendall(f"GET {PREFIX}/version HTTP/1.1\r\nHost: x\r\nX-Request-Id: door-7\r\nConnection: close\r\n\r\n".encode())
            assert b"door-7" in b"".join(iter(lambda: client.recv(65536), b""))
        process.terminate()
        assert process.wait(60) == 0
    return log.read_text().splitlines()


def test_lines_for_the_journal_have_a_priority(tmp_path):
    """Each line starts with <6> (informational) and so on, without a time of its own; the request's id is on its line."""
    lines = log_of_a_start(tmp_path, "{device}:{inode}")
    assert lines and all(re.match(r"<[3467]>[^<]", line) for line in lines), lines
    assert not any(re.search(r"\d\d:\d\d:\d\d\.\d", line) for line in lines)
    assert any("door-7" in line and line.startswith("<6>") for line in lines), lines


@pytest.mark.parametrize("connected", [None, "1:2", "nonsense"])
def test_lines_for_people_have_none(tmp_path, connected):
    """stderr is no journal, or was redirected away from it."""
    lines = log_of_a_start(tmp_path, connected)
    assert lines and not any(line.startswith("<") for line in lines)
    assert any(" INFO " in line and "door-7" in line for line in lines)


# The unit


def test_the_units_are_understood(tmp_path):
    """systemd-analyze verify has nothing to say, with the program where the package puts it."""
    program = tmp_path / "usr/bin/recocomp"
    program.parent.mkdir(parents=True)
    program.symlink_to(binary()[-1])
    for unit in ("recocomp.service", "recocomp.socket"):
        text = (UNITS / unit).read_text()
        (tmp_path / unit).write_text(text.replace("/usr/bin/recocomp", str(program)))
    checked = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", tmp_path / "recocomp.service", tmp_path / "recocomp.socket"],
        capture_output=True,
        text=True,
    )
    ours = [line for line in checked.stderr.splitlines() if "recocomp" in line]
    assert checked.returncode == 0 and not ours, checked.stderr


def test_the_drop_in_for_the_token_of_a_door(tmp_path):
    """systemd understands it, takes the credential from it, and the path that it says for the configuration is the one it gives."""
    program = tmp_path / "usr/bin/recocomp"
    program.parent.mkdir(parents=True)
    program.symlink_to(binary()[-1])
    unit = (UNITS / "recocomp.service").read_text().replace("/usr/bin/recocomp", str(program))
    (tmp_path / "recocomp.service").write_text(unit)
    drop_in = tmp_path / "recocomp.service.d" / "door-token.conf"
    drop_in.parent.mkdir()
    text = (UNITS / "door-token.conf").read_text()

    def verified(contents: str) -> tuple[int, list[str]]:
        drop_in.write_text(contents)
        checked = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", tmp_path / "recocomp.service"], capture_output=True, text=True
        )
        return checked.returncode, [line for line in checked.stderr.splitlines() if "recocomp" in line]

    assert verified(text) == (0, [])
    # It was looked at: a mistake in it is found.
    assert any("LoadCredental" in line for line in verified(text.replace("LoadCredential", "LoadCredental"))[1])
    name = re.search(r"^LoadCredential=([^:]+):/etc/recocomp/door\.token$", text, re.MULTILINE).group(1)
    assert f'token_file = "/run/credentials/recocomp.service/{name}"' in text
    assert "systemd/door-token.conf" in (ROOT / "Cargo.toml").read_text()


def test_the_exposure_of_the_service():
    """At most 1.5 of 10 by systemd's own measure."""
    said = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", UNITS / "recocomp.service"],
        capture_output=True,
        text=True,
    )
    exposure = re.search(r"Overall exposure level for recocomp.service: ([0-9.]+)", said.stdout)
    assert exposure, said.stdout + said.stderr
    print(exposure.group(0))
    assert float(exposure.group(1)) <= 1.5


def filtered(unit: Path) -> set[str]:
    """The system calls that the unit's SystemCallFilter lets through."""
    allowed: set[str] = set()
    for line in unit.read_text().splitlines():
        key, _, value = line.partition("=")
        if key == "SystemCallFilter":
            named = set().union(*map(members, value.removeprefix("~").split()))
            allowed = allowed - named if value.startswith("~") else allowed | named
    # systemd always allows these: without them no program starts.
    return allowed | members("@default")


def members(name: str) -> set[str]:
    if not name.startswith("@"):
        return {name}
    listed = subprocess.run(["systemd-analyze", "syscall-filter", "--no-pager", name], capture_output=True, text=True, check=True)
    lines = [line.strip() for line in listed.stdout.splitlines()[1:]]
    return set().union(*(members(line) for line in lines if line and not line.startswith("#")))


def test_the_daemon_needs_no_system_call_that_the_unit_forbids(start_daemon, tmp_path, monkeypatch):
    """A whole life under strace: start, enrol, search, refuse, stop. Nor any memory that is writable and executable."""
    log = tmp_path / "strace"
    monkeypatch.setenv("RECOCOMP_BIN", f"strace -D -f -y -s 24 -o {log} {' '.join(binary())}")
    daemon = start_daemon()
    daemon.ask("/create/collection", collection_name="face_col")
    assert daemon.insert("face_col", ("obama", portrait(OBAMA)))["success_num"] == 1
    assert daemon.search("face_col", portrait(OBAMA))
    assert daemon.ask("/face/search", collection_name="face_col", face_image="!", top_k=1)["err_code"] != 0
    assert daemon.ask("/delete/collection", collection_name="face_col")["err_code"] == 0
    daemon.stop()
    wait_until(lambda: "+++ exited with 0 +++" in log.read_text(), 30, "strace has written it all")
    lines = log.read_text().splitlines()
    used = {match.group(1) for line in lines if (match := re.match(r"\d+ +(\w+)\(", line))}
    assert {"fdatasync", "accept4", "execve"} <= used
    assert used - filtered(UNITS / "recocomp.service") == set()
    assert not [line for line in lines if re.search(r"(mmap|mprotect)\(.*PROT_WRITE\|PROT_EXEC", line)]
    families = {match.group(1) for line in lines if (match := re.search(r"\bsocket\((AF_\w+)", line))}
    allowed = next(
        line.split("=")[1].split()
        for line in (UNITS / "recocomp.service").read_text().splitlines()
        if line.startswith("RestrictAddressFamilies=")
    )
    assert families <= set(allowed)
