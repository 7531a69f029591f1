"""Starts, asks, stops and kills the real recocomp binary."""

import http.client
import json
import os
import queue
import shlex
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import requests

from contract import PREFIX

ROOT = Path(__file__).resolve().parent.parent
# How many times longer everything may take: under an emulator a recognition is some 20 times slower.
PATIENCE = int(os.environ.get("RECOCOMP_TEST_PATIENCE", "1"))
START_SECONDS = 60 * PATIENCE
STOP_SECONDS = 10 * PATIENCE
ANSWER_SECONDS = 120 * PATIENCE


def binary() -> list[str]:
    """The command under test: RECOCOMP_BIN (it may start with an emulator), else the newest release build."""
    if os.environ.get("RECOCOMP_BIN"):
        return shlex.split(os.environ["RECOCOMP_BIN"])
    built = [*ROOT.glob("target/release/recocomp"), *ROOT.glob("target/*/release/recocomp")]
    if not built:
        raise FileNotFoundError("no recocomp binary: run `make build` or set RECOCOMP_BIN")
    return [str(max(built, key=lambda path: path.stat().st_mtime))]


def run(*arguments, timeout: float = 120, **options) -> subprocess.CompletedProcess:
    """Runs one recocomp command to its end."""
    command = [*binary(), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout * PATIENCE, **options)


class Answer(dict):
    """The JSON object of an answer, with the HTTP status and headers it came with."""

    def __init__(self, status: int, headers, text: bytes | str):
        body = json.loads(text)
        assert isinstance(body, dict), f"an answer is a JSON object, got {body!r}"
        super().__init__(body)
        self.http = status
        self.headers = headers
        self.content_type = headers.get("Content-Type", "")


def read_answer(connection: socket.socket) -> Answer:
    """Reads one answer from a bare connection; the connection may go on."""
    response = http.client.HTTPResponse(connection)
    response.begin()
    return Answer(response.status, response.headers, response.read())


class Daemon:
    """One daemon on a free port of 127.0.0.1 with its own data folder."""

    started: list["Daemon"] = []

    def __init__(
        self,
        folder: Path,
        config: str = "",
        data: Path | None = None,
        development: bool = True,
        environment: dict[str, str] | None = None,
    ):
        self.folder = folder
        self.data = data or folder / "data"
        self.log_file = folder / "log.txt"
        folder.mkdir(parents=True, exist_ok=True)
        self.environment = environment or {}
        self.process: subprocess.Popen | None = None
        self.log_checked = 0
        self.arguments = ["serve", "--listen", "127.0.0.1:0", "--data", str(self.data)]
        if development:
            self.arguments.append("--development")
        if config:
            path = folder / "recocomp.toml"
            path.write_text(config, "utf-8")
            self.arguments += ["--config", str(path)]

    # Life and death

    def start(self) -> "Daemon":
        assert not self.alive(), "already started"
        # restore_signals=False keeps SIGXFSZ ignored, so that a file size limit shows as a failed write, as on a full disk.
        self.process = subprocess.Popen(
            [*binary(), *self.arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "RECOCOMP_LOG": "info", **self.environment},
            restore_signals=False,
        )
        lines: queue.Queue[bytes] = queue.Queue()
        self.readers = [
            threading.Thread(target=self._read_stdout, args=(self.process.stdout, lines), daemon=True),
            threading.Thread(target=self._read_log, args=(self.process.stderr,), daemon=True),
        ]
        for reader in self.readers:
            reader.start()
        Daemon.started.append(self)
        try:
            line = lines.get(timeout=START_SECONDS).decode()
        except queue.Empty:
            self.kill()
            raise AssertionError(f"not ready within {START_SECONDS} s:\n{self.log()}") from None
        if not line.startswith("listening on http://127.0.0.1:"):
            self.process.wait(STOP_SECONDS)
            self._join_readers()
            raise AssertionError(f"expected 'listening on http://127.0.0.1:PORT', got {line!r}:\n{self.log()}")
        self.port = int(line.strip().rsplit(":", 1)[1])
        return self

    @staticmethod
    def _read_stdout(stream, lines: queue.Queue) -> None:
        for line in stream:
            lines.put(line)
        lines.put(b"")

    def _read_log(self, stream) -> None:
        with open(self.log_file, "ab", buffering=0) as log:
            for line in stream:
                log.write(line)

    def _join_readers(self) -> None:
        for reader in self.readers:
            reader.join(5)

    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def terminate(self) -> None:
        """Asks for an orderly end (SIGTERM) and does not wait for it."""
        self.process.send_signal(signal.SIGTERM)

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """An orderly end: exit status 0 in time."""
        self.terminate()
        self.expect_exit(seconds)

    def expect_exit(self, seconds: float = STOP_SECONDS) -> None:
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"did not end within {seconds} s of SIGTERM:\n{self.log()[-3000:]}") from None
        self._join_readers()
        assert status == 0, f"exit status {status} after SIGTERM:\n{self.log()[-3000:]}"

    def kill(self) -> None:
        """The power cut: SIGKILL."""
        if self.alive():
            self.process.kill()
        self.process.wait(STOP_SECONDS)
        self._join_readers()

    def restart(self) -> "Daemon":
        self.stop()
        return self.start()

    # The log

    def log(self) -> str:
        return self.log_file.read_text("utf-8", "replace") if self.log_file.exists() else ""

    def assert_no_panic(self) -> None:
        log = self.log()
        fresh, self.log_checked = log[self.log_checked :], len(log)
        assert "panicked" not in fresh, "the daemon panicked:\n" + fresh[max(0, fresh.index("panicked") - 500) :][:3000]

    def memory_kib(self) -> int:
        """Resident memory (VmRSS)."""
        return self._memory_kib("VmRSS")

    def own_memory_kib(self) -> int:
        """Resident memory that is no page of a mapped file: neither of the program nor of a collection."""
        return self._memory_kib("RssAnon")

    def peak_memory_kib(self) -> int:
        """The most resident memory since the start or since forget_peak_memory (VmHWM)."""
        return self._memory_kib("VmHWM")

    def forget_peak_memory(self) -> None:
        """The peak counts anew, from what is resident now."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def _memory_kib(self, kind: str) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line.split()[1] for line in status.splitlines() if line.startswith(f"{kind}:")))

    def threads(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/task"))

    # Talking to it

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{PREFIX}{path}"

    def send(
        self,
        path: str,
        data: bytes | str | None = None,
        method: str = "POST",
        headers: dict | None = None,
        timeout: float = ANSWER_SECONDS,
    ) -> Answer:
        """Sends a body as it is and returns the JSON answer, whatever its HTTP status."""
        with requests.Session() as session:
            session.trust_env = False  # a proxy in the environment is not for 127.0.0.1
            if headers is None:
                headers = {"Content-Type": "application/json"}
            response = session.request(method, self.url(path), data=data, headers=headers, timeout=timeout)
            return Answer(response.status_code, response.headers, response.content)

    def ask(self, path: str, /, method: str = "POST", **fields) -> Answer:
        """Sends the fields as a JSON object."""
        return self.send(path, json.dumps(fields), method)

    def connect(self, timeout: float = 30, source: str = "127.0.0.1") -> socket.socket:
        """A bare TCP connection, for clients that misbehave; from another address of 127.0.0.0/8 one of another client."""
        return socket.create_connection(("127.0.0.1", self.port), timeout, (source, 0))

    def ask_from(self, source: str, path: str, /, **fields) -> Answer:
        """Sends the fields as a JSON object from another address."""
        body = json.dumps(fields).encode()
        with self.connect(ANSWER_SECONDS, source) as connection:
            head = f"POST {PREFIX}{path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
            connection.sendall(head.encode() + body)
            return read_answer(connection)

    # Things that most tests need

    def insert(self, collection: str, *faces: tuple[str, str]) -> Answer:
        """Enrols (target_id, base64 picture) pairs."""
        return self.ask(
            "/face/insert",
            collection_name=collection,
            target_id=[who for who, _ in faces],
            face_image=[picture for _, picture in faces],
        )

    def update(self, collection: str, *faces: tuple[str, str]) -> Answer:
        return self.ask(
            "/face/update",
            collection_name=collection,
            target_id=[who for who, _ in faces],
            face_image=[picture for _, picture in faces],
        )

    def search(self, collection: str, picture: str, top_k: int = 100) -> dict[str, float]:
        """Score by target_id, best first."""
        answer = self.ask("/face/search", collection_name=collection, face_image=picture, top_k=top_k)
        assert answer["err_code"] == 0, answer
        rows = [(row["result"], row["score"]) for row in answer["status"]]
        assert len(dict(rows)) == len(rows), f"one row a person: {rows}"
        return dict(rows)

    def compare(self, picture1: str, picture2: str) -> float:
        answer = self.ask("/face/compare", face_image1=picture1, face_image2=picture2)
        assert answer["err_code"] == 0, answer
        return answer["score"]

    def status(self, *collections: str) -> list[dict]:
        answer = self.ask("/collection/status", collection_name=list(collections))
        assert answer["err_code"] == 0, answer
        return answer["status"]

    def features(self, collection: str) -> int:
        return self.status(collection)[0]["feature_num"]


def wait_until(condition, seconds: float, what: str):
    """Waits for something that must become true, and returns it; fails the test when it does not."""
    deadline = time.monotonic() + seconds * PATIENCE
    while not (result := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.05)
    return result
