"""Slow, silent and too many clients: they are let go, and others are served meanwhile."""

import time

import pytest

from contract import PREFIX, assert_error
from daemon import wait_until

IMPATIENT = """
[server]
header_timeout_s = 1
body_idle_timeout_s = 1
max_connections = 12
max_connections_per_ip = 8
"""
HEAD = f"POST {PREFIX}/collection/status HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n".encode()


def read_to_end(connection, seconds: float) -> bytes:
    """What comes until the daemon closes; fails if it does not close in time."""
    connection.settimeout(seconds)
    received = b""
    try:
        while more := connection.recv(65536):
            received += more
    except ConnectionResetError:
        pass
    return received


@pytest.mark.parametrize(
    "beginning",
    [b"", b"G", b"POST / HTTP/1.1\r\nHost: x\r\nX-Slow: ", HEAD, HEAD + b"{"],
    ids=["says nothing", "one letter", "half a header", "no body", "half a body"],
)
def test_a_client_that_stalls_is_let_go(start_daemon, beginning):
    """Wherever it stops, the connection ends by itself (408 if anything is said) and others are served meanwhile."""
    daemon = start_daemon(config=IMPATIENT)
    with daemon.connect() as connection:
        connection.sendall(beginning)
        assert daemon.ask("/version")["err_code"] == 0
        received = read_to_end(connection, 30)
    assert received == b"" or received.startswith(b"HTTP/1.1 408"), received


def test_a_client_that_drips_its_header(start_daemon):
    """A byte now and then does not keep a connection open: the header as a whole has its time."""
    daemon = start_daemon(config=IMPATIENT)
    with daemon.connect() as connection:
        began = time.monotonic()
        try:
            for byte in b"POST / HTTP/1.1\r\nX-Drip: " + b"x" * 200:
                connection.sendall(bytes([byte]))
                time.sleep(0.1)
        except OSError:
            pass
        assert time.monotonic() - began < 15
    assert daemon.ask("/version")["err_code"] == 0


def test_idle_keep_alive_connections_are_closed(start_daemon):
    """After an answer the connection waits a moment for more and then goes."""
    daemon = start_daemon(config=IMPATIENT)
    with daemon.connect() as connection:
        connection.sendall(f"GET {PREFIX}/version HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        received = read_to_end(connection, 30)
    assert received.startswith(b"HTTP/1.1 200")


def test_many_stalled_connections_do_not_lock_others_out(start_daemon):
    """An attacker opens far more connections than are allowed and says nothing; shortly after, a client is served."""
    daemon = start_daemon(config=IMPATIENT)
    stalled = [daemon.connect() for _ in range(60)]
    wait_until(lambda: daemon.ask("/version")["err_code"] == 0, 30, "a client is served again")
    for connection in stalled:
        connection.close()


@pytest.mark.parametrize("setting, code", [("max_connections_per_ip", 429), ("max_connections", 1014)])
def test_the_number_of_connections_is_capped(start_daemon, setting, code):
    """With all eight places taken by clients that keep their connection, a ninth is told so until one of them leaves."""
    daemon = start_daemon(config=f"[server]\n{setting} = 8\n")
    request = f"GET {PREFIX}/version HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    open_connections = []
    for _ in range(8):
        connection = daemon.connect()
        connection.sendall(request)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        open_connections.append(connection)
    refusal = daemon.ask("/version")
    assert_error(refusal, code)
    assert code == 429 or int(refusal.headers["Retry-After"]) >= 1
    open_connections.pop().close()
    wait_until(lambda: daemon.ask("/version")["err_code"] == 0, 10, "the place that became free is given to the next")
    for connection in open_connections:
        connection.sendall(request)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        connection.close()


def test_uploads_of_all_clients_share_a_bounded_memory(start_daemon):
    """While one client's upload takes the memory set aside for bodies, another large one is told to come back (1014)."""
    daemon = start_daemon(config="[limits]\nmax_body_bytes = 1000000\nmax_body_memory = 1000000\n")
    large = b'{"collection_name": []}'.ljust(900_000)
    with daemon.connect() as slow:
        slow.sendall(
            f"POST {PREFIX}/collection/status HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n".encode()
            + large[:1000]
        )
        wait_until(
            lambda: daemon.send("/collection/status", large)["err_code"] == 1014, 10, "the second upload is sent away"
        )
        assert_error(daemon.send("/collection/status", large), 1014)
        assert daemon.ask("/collection/status", collection_name=[])["err_code"] == 0
        slow.sendall(large[1000:])
        assert slow.recv(65536).startswith(b"HTTP/1.1 200")
    assert daemon.send("/collection/status", large)["err_code"] == 0
