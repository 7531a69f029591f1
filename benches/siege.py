#!/usr/bin/env python3
"""The worst that one client can do to another: a real daemon, attackers and a victim on addresses of their own (127.0.0.x).

    benches/siege.py --binary recocomp [--before older-recocomp] [--cpu 0.25] [--memory 384] [--seconds 15] [--only NAME]

For every attack: a person's search and an opening from another address, before and during it, and the most memory that the daemon took.
--cpu and --memory (MiB) put the daemon, and only it, into a control group; that needs root. Without --memory the daemon sees the whole machine's.
Needs Python with Pillow and numpy (tests/requirements.txt). Prints a table in Markdown.
"""

import argparse
import http.client
import io
import json
import multiprocessing
import os
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

import faces  # noqa: E402
from PIL import Image  # noqa: E402

PREFIX = "/api/v1/engine/recocomp"
TOKEN = "siege-token-0123456789abcdef"
VICTIM = "127.0.0.9"
DOOR = "127.0.0.10"
ATTACKERS = ["127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5"]
SIDE = 6324  # 40 megapixels
CONFIG = """
[door]
enabled = true
board = "simulated"
collection = "staff"
token_file = "{token}"
cooldown_ms = 500
liveness = "off"
"""


# Requests


def request(path: str, body: bytes, headers: str = "") -> bytes:
    head = f"POST {PREFIX}{path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
    return head.encode() + body


def search(picture: str, **more) -> bytes:
    return json.dumps({"collection_name": "staff", "face_image": picture, "top_k": 1, **more}).encode()


def ask(port: int, source: str, data: bytes, timeout: float = 60) -> dict:
    """One request on a connection of its own; raises OSError where there is no answer."""
    with socket.create_connection(("127.0.0.1", port), timeout, (source, 0)) as connection:
        connection.sendall(data)
        response = http.client.HTTPResponse(connection)
        response.begin()
        return json.loads(response.read())


# Pictures


def large_jpeg() -> str:
    picture = faces.image(faces.OBAMA).resize((SIDE, SIDE))
    return faces.base64_of(faces.encoded(picture))


def one_colour_webp() -> str:
    out = io.BytesIO()
    Image.new("RGB", (SIDE, SIDE), (90, 120, 150)).save(out, "WEBP", lossless=True)
    return faces.base64_of(out.getvalue())


def lossy_webp_with_alpha() -> str:
    """40 megapixels, to be turned, in some 70 kB."""
    picture = Image.new("RGBA", (SIDE, SIDE), (90, 120, 150, 128))
    exif = Image.Exif()
    exif[0x0112] = 6
    out = io.BytesIO()
    picture.save(out, "WEBP", quality=10, exif=exif.tobytes())
    return faces.base64_of(out.getvalue())


# Attacks: each runs in processes of its own until it is killed.


def again_and_again(port: int, source: str, data: bytes) -> None:
    while True:
        try:
            ask(port, source, data, 600)
        except OSError:
            time.sleep(0.05)


def hold(port: int, source: str, beginnings: list[bytes], drip: bytes = b"", pause: float = 1.0) -> None:
    """Keeps as many connections open as there are beginnings, each sent as far as that; drips on all of them."""
    connections: list = [None] * len(beginnings)
    while True:
        for index, beginning in enumerate(beginnings):
            try:
                if connections[index] is None:
                    connections[index] = socket.create_connection(("127.0.0.1", port), 60, (source, 0))
                    connections[index].sendall(beginning)
                elif drip:
                    connections[index].sendall(drip)
            except OSError:
                connections[index] = None
        time.sleep(pause)


def flood(count: int, data: bytes, sources: list[str]) -> list[tuple]:
    return [(again_and_again, source, data) for source in sources for _ in range(count)]


def attacks() -> dict[str, list[tuple]]:
    """Name to the processes of it: function, source address, and what it needs."""
    one = ATTACKERS[:1]
    portrait = faces.portrait(faces.OBAMA)
    forty = request("/face/search", search(large_jpeg()))
    bomb = one_colour_webp()
    batch = {"collection_name": "guests", "target_id": [f"p{n}" for n in range(500)], "face_image": [bomb] * 500}
    bombs = request("/face/insert", json.dumps(batch).encode())
    big = b'{"collection_name": "' + b" " * (126 << 20)
    held_big = request("/face/search", b"")[:-2].replace(b"Content-Length: 0", b"Content-Length: %d" % (127 << 20)) + b"\r\n" + big
    half = f"POST {PREFIX}/face/search HTTP/1.1\r\nHost: x\r\nContent-Length: 540000\r\n\r\n".encode() + b" " * 500_000
    webp = request("/face/search", search(lossy_webp_with_alpha()))
    slow_head = b"POST / HTTP/1.1\r\nHost: x\r\nX-Slow: "
    long_head = slow_head + b"x" * (390 << 10)
    return {
        "2 connections, 40-megapixel JPEG": flood(2, forty, one),
        "4 connections, 40-megapixel JPEG": flood(4, forty, one),
        "6 inserts of 500 one-colour WebP of 40 megapixels": flood(6, bombs, one),
        "40 connections of one address, searches": flood(40, request("/face/search", search(portrait)), one),
        "4 addresses, 64 slow heads each": [(hold, source, [slow_head] * 64, b"x") for source in ATTACKERS],
        "that WebP alone: lossy, alpha, turned, 40 megapixels": flood(1, webp, one),
        "2 held uploads of 126 MB, 60 of 0.5 MB, that WebP": [(hold, one[0], [held_big], b"x")] * 2
        + [(hold, one[0], [half] * 60, b"x")]
        + flood(1, webp, one),
        "2 uploads of 126 MB that drip 1 kB/s": [(hold, source, [held_big], b"x" * 1000) for source in ATTACKERS[:2]],
        "256 connections with heads of 390 KiB": [(hold, source, [long_head] * 64, b"x") for source in ATTACKERS],
    }


def start_attack(port: int, processes: list[tuple]) -> list:
    running = []
    for work, source, *rest in processes:
        process = multiprocessing.Process(target=work, args=(port, source, *rest), daemon=True)
        process.start()
        running.append(process)
    return running


# The daemon


class Group:
    """Control groups of version 1 or 2 for one process."""

    def __init__(self, cpu: float | None, memory: int | None):
        self.folders, name = [], f"siege-{os.getpid()}"
        unified = Path("/sys/fs/cgroup/cgroup.controllers").exists()
        period = 100_000
        settings = []
        if cpu:
            quota = int(cpu * period)
            settings += [("", "cpu.max", f"{quota} {period}")] if unified else [("cpu", "cpu.cfs_quota_us", quota)]
        if memory:
            bytes_ = memory << 20
            settings += [("", "memory.max", bytes_)] if unified else [("memory", "memory.limit_in_bytes", bytes_)]
        for controller, file, value in settings:
            folder = Path("/sys/fs/cgroup") / controller / name
            folder.mkdir(exist_ok=True)
            (folder / file).write_text(str(value))
            self.folders.append(folder)

    def enter(self) -> None:
        for folder in self.folders:
            (folder / "cgroup.procs").write_text(str(os.getpid()))

    def remove(self) -> None:
        for folder in set(self.folders):
            folder.rmdir()


class Daemon:
    def __init__(self, binary: str, group: Group):
        self.folder = tempfile.TemporaryDirectory(prefix="siege-")
        folder = Path(self.folder.name)
        (folder / "token").write_text(TOKEN)
        (folder / "token").chmod(0o600)
        (folder / "recocomp.toml").write_text(CONFIG.format(token=folder / "token"))
        command = [binary, "serve", "--development", "--listen", "127.0.0.1:0", "--data", str(folder / "data")]
        self.process = subprocess.Popen(
            [*command, "--config", str(folder / "recocomp.toml")],
            stdout=subprocess.PIPE,
            stderr=open(folder / "log", "wb"),
            preexec_fn=group.enter,
        )
        self.log = folder / "log"
        line = self.process.stdout.readline().decode()
        if "http://" not in line:
            raise SystemExit(f"the daemon does not start:\n{self.log.read_text()}")
        self.port = int(line.strip().rsplit(":", 1)[1])
        token = f"Authorization: Bearer {TOKEN}\r\n"
        for name in ("staff", "guests"):
            body = json.dumps({"collection_name": name}).encode()
            ask(self.port, VICTIM, request("/create/collection", body, token))
        body = json.dumps({"collection_name": "staff", "target_id": ["obama"], "face_image": [faces.portrait(faces.OBAMA)]})
        answer = ask(self.port, VICTIM, request("/face/insert", body.encode(), token))
        assert answer["success_num"] == 1, answer

    def peak_mib(self) -> int | None:
        try:
            status = Path(f"/proc/{self.process.pid}/status").read_text()
            return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")) >> 10
        except (OSError, StopIteration):
            return None

    def forget_peak(self) -> None:
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def end(self) -> str:
        """How it ended: still alive, or killed."""
        alive = self.process.poll() is None
        if alive:
            self.process.kill()
        self.process.wait()
        self.folder.cleanup()
        return "alive" if alive else f"killed ({self.process.returncode})"


# The victim


def watch(daemon: Daemon, seconds: float) -> dict:
    """Searches of one address and openings of another, one after another; what became of them."""
    picture = faces.portrait(faces.OBAMA_2)
    plain = request("/face/search", search(picture))
    # A batch of a few photographs as clients send it: larger than what is set aside for small bodies.
    large = request("/face/search", search(picture).ljust(2_000_000))
    token = f"Authorization: Bearer {TOKEN}\r\n"
    opening = request("/face/search", search(picture, open=True), token)
    seen = {"search": [], "opening": [], "large": [], "refused": 0, "no answer": 0, "too late": 0}
    deadline = time.monotonic() + seconds
    turn = 0
    while time.monotonic() < deadline and daemon.process.poll() is None:
        what, source, data = ("search", VICTIM, plain)
        if turn % 5 == 3:
            what, source, data = ("opening", DOOR, opening)
        elif turn % 10 == 9:
            what, source, data = ("large", VICTIM, large)
        turn += 1
        began = time.monotonic()
        try:
            answer = ask(daemon.port, source, data)
        except OSError:
            seen["no answer"] += 1
            time.sleep(0.05)
            continue
        took = (time.monotonic() - began) * 1000
        if answer["err_code"] in (1014, 429):
            seen["refused"] += 1
            time.sleep(0.05)
            continue
        assert answer["err_code"] == 0, answer
        seen[what].append(took)
        if what == "opening" and answer["door"]["reason"] == "too_late":
            seen["too late"] += 1
    return seen


def quantile(times: list[float], share: float) -> float:
    return statistics.quantiles(times, n=100, method="inclusive")[round(share * 100) - 1] if len(times) > 1 else (times or [float("nan")])[0]


def row(name: str, which: str, idle: dict, seen: dict, peak, end: str) -> str:
    ratio = quantile(seen["search"], 0.5) / quantile(idle["search"], 0.5)
    cells = [
        name,
        which,
        f"{quantile(idle['search'], 0.5):.0f} / {quantile(idle['search'], 0.99):.0f}",
        f"{quantile(seen['search'], 0.5):.0f} / {quantile(seen['search'], 0.99):.0f} ({len(seen['search'])})",
        f"{ratio:.1f}",
        f"{max(seen['opening'], default=float('nan')):.0f} ({len(seen['opening'])})",
        str(seen["too late"]),
        f"{len(seen['large'])}",
        f"{seen['refused']} / {seen['no answer']}",
        f"{peak}",
        end,
    ]
    return "| " + " | ".join(cells) + " |"


HEADER = """| attack | program | search idle, p50 / p99 ms | during (count) | times idle | opening, longest ms (count) | too late | large bodies served | refused / no answer | peak MiB | daemon |
|---|---|---|---|---|---|---|---|---|---|---|"""


def besiege(binary: str, which: str, name: str, processes: list[tuple], options) -> str:
    group = Group(options.cpu, options.memory)
    daemon = Daemon(binary, group)
    attackers = []
    try:
        watch(daemon, 2)
        idle = watch(daemon, options.seconds / 2)
        daemon.forget_peak()
        attackers = start_attack(daemon.port, processes)
        time.sleep(3)
        seen = watch(daemon, options.seconds)
        peak = daemon.peak_mib()
    finally:
        for attacker in attackers:
            attacker.kill()
        for attacker in attackers:
            attacker.join()
        end = daemon.end()
        group.remove()
    return row(name, which, idle, seen, peak, end)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--before", help="an older program, for comparison")
    parser.add_argument("--cpu", type=float, help="processors that the daemon may use, e.g. 0.25")
    parser.add_argument("--memory", type=int, help="MiB that the daemon may use")
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--only", help="attacks whose names hold this")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    chosen = {name: work for name, work in attacks().items() if not options.only or options.only in name}
    print(HEADER, flush=True)
    for name, processes in chosen.items():
        for which, binary in (("before", options.before), ("now", options.binary)):
            if binary:
                print(besiege(binary, which, name, processes, options), flush=True)


if __name__ == "__main__":
    main()
