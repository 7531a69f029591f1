"""Where the daemon listens: names of this device, without a resolver."""

import platform
import re
import signal
import subprocess

import pytest
import requests

from contract import PREFIX
from daemon import START_SECONDS, STOP_SECONDS, binary, run
from faces import OBAMA, encoded, file_bytes, head_and_shoulders

NODE = platform.node().split(".")[0]


class Listening:
    """A daemon that listens where it is told, on the command line or in its configuration."""

    def __init__(self, folder, *arguments):
        self.process = subprocess.Popen(
            [*binary(), "serve", "--data", str(folder / "data"), "--development", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def __enter__(self) -> str:
        return self.process.stdout.readline().strip()

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(STOP_SECONDS)


@pytest.mark.parametrize(
    "host, listened",
    [("localhost", "127.0.0.1"), ("LOCALHOST", "127.0.0.1"), ("", "0.0.0.0"), ("*", "0.0.0.0"), (f"{NODE}.local", "0.0.0.0")],
)
def test_names_of_this_device_are_understood(tmp_path, host, listened):
    """On the command line; port 0 takes a free one."""
    with Listening(tmp_path, "--listen", f"{host}:0") as line:
        assert re.fullmatch(rf"listening on http://{re.escape(listened)}:\d+", line), line
        with requests.Session() as session:
            session.trust_env = False
            url = line.removeprefix("listening on ").replace("0.0.0.0", "127.0.0.1")
            assert session.get(f"{url}{PREFIX}/version", timeout=START_SECONDS).json()["err_code"] == 0


def test_the_configuration_understands_them_too(tmp_path):
    """And `enroll --server` finds that daemon by the device's name."""
    config = tmp_path / "recocomp.toml"
    config.write_text(f'[server]\nlisten = "{NODE}.local:0"\n')
    person = tmp_path / "people" / "ada"
    person.mkdir(parents=True)
    (person / "1.jpg").write_bytes(encoded(head_and_shoulders(OBAMA)))
    with Listening(tmp_path, "--config", str(config)) as line:
        port = line.rsplit(":", 1)[1]
        for server in (f"{NODE}.local:{port}", f"http://localhost:{port}/"):
            done = run("enroll", tmp_path / "people", "--collection", "staff", "--server", server)
            assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "listen, word",
    [
        ("8080", "an address and a port"),
        ("localhost", "an address and a port"),
        ("localhost:http", "the port"),
        ("::1:8080", "an address and a port"),
        ("no-such-device.example:8080", "no name of this device"),
    ],
)
def test_anything_else_is_refused_with_an_example(tmp_path, listen, word):
    """On the command line, in the configuration with its key, and by enroll."""
    config = tmp_path / "recocomp.toml"
    config.write_text(f'[server]\nlisten = "{listen}"\n')
    person = tmp_path / "photos" / "obama"
    person.mkdir(parents=True)
    (person / "1.jpg").write_bytes(file_bytes(OBAMA))
    for arguments in (
        ["serve", "--data", tmp_path, "--listen", listen],
        ["serve", "--data", tmp_path, "--config", config],
        ["enroll", person.parent, "--collection", "staff", "--server", listen],
    ):
        refused = run(*arguments)
        assert refused.returncode in (1, 2)
        assert word in refused.stderr and "0.0.0.0:8080" in refused.stderr, refused.stderr
        assert config not in arguments or "server.listen" in refused.stderr
