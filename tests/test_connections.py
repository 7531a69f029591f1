"""Slow, silent and too many clients: they are let go, and others are served meanwhile."""

import json
import select
import time

import pytest

from contract import PREFIX, assert_error
from daemon import Answer, read_answer, wait_until
from faces import OBAMA, portrait

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
    if beginning:
        assert received.startswith(b"HTTP/1.1 408"), received
        assert json.loads(received.partition(b"\r\n\r\n")[2])["err_code"] == 408
    else:
        assert received == b""


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
        else:
            raise AssertionError("the daemon waits for ever")
        assert time.monotonic() - began < 15
    assert daemon.ask("/version")["err_code"] == 0


def test_idle_keep_alive_connections_are_closed(start_daemon):
    """After an answer the connection waits a moment for more and then goes."""
    daemon = start_daemon(config=IMPATIENT)
    with daemon.connect() as connection:
        connection.sendall(f"GET {PREFIX}/version HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        received = read_to_end(connection, 30)
    assert received.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("at_the_door", [False, True])
def test_a_refused_client_may_send_on_before_it_reads(start_daemon, at_the_door):
    """Most read only after they have sent everything: what comes late is thrown away, not answered by a reset."""
    daemon = start_daemon(config=f"[server]\nmax_connections_per_ip = {2 - at_the_door}\n")
    head = (UPLOAD % 500_000) if at_the_door else "HELO\r\n\r\n"
    with daemon.connect() as only, daemon.connect() as refused:
        only.sendall(f"GET {PREFIX}/version HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert read_answer(only)["err_code"] == 0
        refused.sendall(head.encode())
        select.select([refused], [], [], 30)
        refused.sendall(b" " * 500_000)
        assert read_answer(refused)["err_code"] == (429 if at_the_door else 400)


def test_stopping_does_not_wait_for_refused_clients(start_daemon):
    """One that was refused and stays is cut off."""
    daemon = start_daemon()
    with daemon.connect() as refused:
        refused.sendall(b"HELO\r\n\r\n")
        assert refused.recv(65536).startswith(b"HTTP/1.1 400")
        daemon.stop(5)


def test_many_stalled_connections_do_not_lock_others_out(start_daemon):
    """An attacker opens far more connections than are allowed and says nothing; shortly after, a client is served."""
    daemon = start_daemon(config=IMPATIENT)
    stalled = [daemon.connect() for _ in range(60)]
    wait_until(lambda: daemon.ask("/version")["err_code"] == 0, 30, "a client is served again")
    for connection in stalled:
        connection.close()


def test_the_connections_of_one_address_are_capped(start_daemon):
    """With all eight places taken by clients that keep their connection, a ninth is told so until one of them leaves."""
    daemon = start_daemon(config="[server]\nmax_connections_per_ip = 8\n")
    request = f"GET {PREFIX}/version HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    open_connections = []
    for _ in range(8):
        connection = daemon.connect()
        connection.sendall(request)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        open_connections.append(connection)
    assert_error(daemon.ask("/version"), 429)
    open_connections.pop().close()
    wait_until(lambda: daemon.ask("/version")["err_code"] == 0, 10, "the place that became free is given to the next")
    for connection in open_connections:
        connection.sendall(request)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        connection.close()


def test_a_newcomer_gets_the_place_of_the_connection_that_has_waited_longest(start_daemon):
    """All eight connections are kept for later: the ninth is served, and the first of them is closed."""
    daemon = start_daemon(config="[server]\nmax_connections = 8\n")
    request = f"GET {PREFIX}/version HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    kept = [daemon.connect() for _ in range(8)]
    for connection in kept:
        connection.sendall(request)
        assert read_answer(connection)["err_code"] == 0
    with daemon.connect() as newcomer:
        newcomer.sendall(request)
        assert read_answer(newcomer)["err_code"] == 0
        assert read_to_end(kept[0], 30) == b""
        for connection in kept[1:]:
            connection.sendall(request)
            assert read_answer(connection)["err_code"] == 0
            connection.close()


# Addresses of one device are clients of their own: 127.0.0.0/8 has enough of them.
GREEDY = ["127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5"]


def test_one_address_with_all_connections_shuts_nobody_out(start_daemon):
    """It begins heads and bodies and never ends them, on as many connections as there may be: another address is served each time."""
    daemon = start_daemon(config="[server]\nmax_connections = 8\nmax_connections_per_ip = 8\n")
    for beginning in (b"", b"POST / HTTP/1.1\r\nX-Slow: ", HEAD, HEAD + b"{"):
        greedy = [daemon.connect(source=GREEDY[0]) for _ in range(8)]
        for connection in greedy:
            connection.sendall(beginning)
        for _ in range(3):
            assert daemon.ask("/version")["err_code"] == 0
        for connection in greedy:
            connection.close()


def test_four_addresses_with_slow_heads_shut_nobody_out(start_daemon):
    """Each holds as many connections as one may, together all there are: four others are served meanwhile, and keep their connection."""
    daemon = start_daemon(config="[server]\nmax_connections = 32\nmax_connections_per_ip = 8\n")
    slow = [daemon.connect(source=source) for source in GREEDY for _ in range(8)]
    for connection in slow:
        connection.sendall(b"POST / HTTP/1.1\r\nX-Slow: ")
    others = [daemon.connect(source=f"127.0.1.{number}") for number in range(1, 5)]
    for _ in range(2):
        for connection in others:
            connection.sendall(f"GET {PREFIX}/version HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert read_answer(connection)["err_code"] == 0
    for connection in slow + others:
        connection.close()


@pytest.mark.parametrize("pieces", [1, 40])
def test_a_head_of_more_than_16_kib_is_refused(start_daemon, pieces):
    """However it comes; one a little shorter is served."""
    daemon = start_daemon()
    for length, code in ((15_000, 0), (17_000, 431), (300_000, 431)):
        head = f"GET {PREFIX}/version HTTP/1.1\r\nHost: x\r\nX-Long: {'x' * length}\r\n\r\n".encode()
        with daemon.connect() as connection:
            step = len(head) // pieces + 1
            for start in range(0, len(head), step):
                try:
                    connection.sendall(head[start : start + step])
                except OSError:
                    break  # refused already
            assert read_answer(connection)["err_code"] == code


def test_heads_take_little_memory(start_daemon):
    """A hundred connections that never end a long head: 16 KiB each, and what a connection takes anyway."""
    daemon = start_daemon(config="[server]\nmax_connections_per_ip = 100\n")
    before = daemon.memory_kib()
    connections = [daemon.connect() for _ in range(100)]
    for connection in connections:
        connection.sendall(b"GET / HTTP/1.1\r\nX-Long: " + b"x" * 15_000)
    assert daemon.ask("/version")["err_code"] == 429
    assert daemon.memory_kib() - before < 10 * 1024
    for connection in connections:
        connection.close()


def test_a_body_that_came_fast_and_then_drips_is_given_up(start_daemon):
    """Most of it at once, then a byte now and then: its time is not that of all its bytes."""
    daemon = start_daemon(config=IMPATIENT)
    with daemon.connect() as connection:
        connection.sendall((UPLOAD % 4_000_000).encode() + b" " * 3_900_000)

        def is_given_up():
            try:
                connection.sendall(b" ")
            except OSError:
                return True
            return bool(select.select([connection], [], [], 0.2)[0])

        wait_until(is_given_up, 20, "the body is given up, long before the minute that its bytes would be good for")
        assert_error(read_answer(connection), 408)


UPLOAD = f"POST {PREFIX}/collection/status HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
EMPTY_LIST = b'{"collection_name": []}'


def test_announcing_large_uploads_takes_no_memory_from_others(start_daemon):
    """Fifty clients announce 128 MiB each and send one byte of it: searches with large bodies are served all the same."""
    daemon = start_daemon()
    daemon.ask("/create/collection", collection_name="face_col")
    daemon.insert("face_col", ("obama", portrait(OBAMA)))
    before = daemon.memory_kib()
    idle = [daemon.connect() for _ in range(50)]
    for connection in idle:
        connection.sendall((UPLOAD % (128 << 20)).encode() + b"{")
    fields = {"collection_name": "face_col", "face_image": portrait(OBAMA), "top_k": 1}
    search = json.dumps(fields).encode().ljust(4_000_000)
    for _ in range(5):
        answer = daemon.send("/face/search", search)
        assert answer["err_code"] == 0, answer
        time.sleep(0.2)
    assert daemon.memory_kib() - before < 60 * 1024
    for connection in idle:
        connection.close()


# The first 512 KiB of a body have memory of their own, and the rest is taken as the buffer doubles: an upload of this size asks for
# the shared memory once, and has then all that it will ever need.
LARGE = EMPTY_LIST.ljust(1_000_000)
LIMITED_UPLOADS = """
[server]
body_idle_timeout_s = 120
[limits]
max_body_bytes = 1048576
max_body_memory = %d
"""


def fill_the_upload_memory(daemon) -> tuple[list, Answer]:
    """Stalls large uploads until one more is refused: the connections, and the refusal.

    Which of them were refused themselves is chance: while one asks for memory another may have it that soon leaves.
    """
    stalled = []

    def another_is_refused():
        answer = daemon.send("/collection/status", LARGE)
        if answer["err_code"] == 0:
            stalled.append(daemon.connect())
            stalled[-1].sendall((UPLOAD % len(LARGE)).encode() + LARGE[:-50_000])
            return None
        return answer

    return stalled, wait_until(another_is_refused, 10, "another large upload is refused")


def test_uploads_of_all_clients_share_a_bounded_memory(start_daemon):
    """While others' uploads fill the memory for bodies a large one is told to come back (1014); small ones are served."""
    daemon = start_daemon(config=LIMITED_UPLOADS % (2 << 20))
    stalled, refusal = fill_the_upload_memory(daemon)
    assert_error(refusal, 1014)
    assert int(refusal.headers["Retry-After"]) >= 1
    # One client has three quarters of it.
    assert len(stalled) >= 3
    assert_error(daemon.send("/collection/status", LARGE), 1014)
    for _ in range(5):
        assert daemon.send("/collection/status", EMPTY_LIST.ljust(500_000))["err_code"] == 0
    for connection in stalled:
        connection.close()
    wait_until(
        lambda: daemon.send("/collection/status", LARGE)["err_code"] == 0, 10, "large uploads are served once they left"
    )


def test_an_upload_that_got_its_memory_is_served_to_its_end(start_daemon):
    """Refusals of others do it no harm: the two that fill the memory are answered, whatever was refused beside them."""
    daemon = start_daemon(config=LIMITED_UPLOADS % (1 << 20))
    stalled, refusal = fill_the_upload_memory(daemon)
    for _ in range(5):
        assert_error(refusal, 1014)
        refusal = daemon.send("/collection/status", LARGE)

    def finish(connection):
        try:
            connection.sendall(LARGE[-50_000:])
            return read_answer(connection)["err_code"]
        except OSError:
            return "refused so long ago that it was dropped"

    codes = [finish(connection) for connection in stalled]
    assert codes.count(0) >= 2, codes
    assert daemon.send("/collection/status", LARGE)["err_code"] == 0


def test_a_client_that_never_reads_its_answers_is_dropped(start_daemon):
    """It asks until the daemon takes no more; its place, the only one of its address, is soon another client's."""
    config = """
[server]
header_timeout_s = 300
body_idle_timeout_s = 300
write_timeout_s = 15
max_connections_per_ip = 1
"""
    daemon = start_daemon(config=config)
    with daemon.connect() as setup:
        for number in range(30):
            body = json.dumps({"collection_name": f"a_collection_with_a_long_name_{number}"})
            setup.sendall(
                f"POST {PREFIX}/create/collection HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
            )
            assert read_answer(setup)["err_code"] == 0
    wait_until(lambda: daemon.ask("/version")["err_code"] == 0, 10, "the first client has left")
    request = (UPLOAD % len(EMPTY_LIST)).encode() + EMPTY_LIST

    def the_only_client():
        """Once the one before has left, too."""
        connection = daemon.connect(timeout=5)
        connection.sendall(request)
        if read_answer(connection)["err_code"] == 0:
            return connection
        connection.close()
        return None

    with wait_until(the_only_client, 10, "the place is free") as deaf:
        try:
            for _ in range(2000):
                deaf.sendall(request * 100)
        except TimeoutError:
            pass
        except OSError as error:
            raise AssertionError("dropped before it was stuck") from error
        else:
            raise AssertionError("the daemon reads on, whether its answers are read or not")
        assert_error(daemon.ask("/version"), 429)
        wait_until(lambda: daemon.ask("/version")["err_code"] == 0, 60, "the deaf client is dropped")
