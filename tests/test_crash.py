"""Power cuts and orderly ends in the middle of an enrolment: what was acknowledged is there, and no half batch."""

import json
import random
import signal
import threading
import time

import pytest
import requests

import faces
from contract import PREFIX, assert_batch
from daemon import read_answer, wait_until
from faces import ASTRONAUT, BIDEN, OBAMA, OBAMA_2, OBAMA_3, base64_of, head_and_shoulders, portrait

PEOPLE = 40
FEATURES = 5
LOST = (requests.ConnectionError, requests.exceptions.ChunkedEncodingError)


@pytest.fixture(scope="module")
def album() -> list[tuple[str, str]]:
    """200 pictures, no two alike: 40 ids with five pictures each, of five real people in varying light."""
    names = [OBAMA, OBAMA_2, OBAMA_3, BIDEN, ASTRONAUT]
    pictures = []
    for person in range(PEOPLE):
        portrait = head_and_shoulders(names[person % len(names)], 200)
        for number in range(FEATURES):
            light = 0.7 + 0.6 * (person * FEATURES + number) / (PEOPLE * FEATURES)
            pictures.append((f"person_{person}", base64_of(faces.brightness(portrait, light))))
    return pictures


def present(daemon, album) -> set[str]:
    """Who is in the collection: a search lists everybody, one row a person, up to 100."""
    return set(daemon.search("face_col", album[0][1]))


@pytest.mark.parametrize("seed", range(5))
def test_power_cut_during_one_batch_of_200(start_daemon, album, seed):
    """After SIGKILL at a random moment the batch is there as a whole or not at all; if it was acknowledged it is there."""
    daemon = start_daemon()
    daemon.ask("/create/collection", collection_name="face_col")
    acknowledged = []

    def client():
        try:
            acknowledged.append(daemon.insert("face_col", *album))
        except LOST:
            pass

    # An undisturbed batch takes about as long as 200 single enrolments: measure one small batch for the random moment.
    began = time.monotonic()
    daemon.update("face_col", ("nobody", album[0][1]))
    daemon.insert("face_col", *album[:10])
    whole_batch = (time.monotonic() - began) * len(album) / 10
    daemon.ask("/clear/collection", collection_name="face_col")
    thread = threading.Thread(target=client)
    thread.start()
    thread.join(whole_batch * random.Random(seed).uniform(0.3, 1.3))
    daemon.kill()
    thread.join()
    daemon.start()
    stored = daemon.features("face_col")
    if acknowledged:
        assert_batch(acknowledged[0], stored=len(album))
        assert stored == len(album)
    assert stored in (0, len(album))
    assert present(daemon, album) == ({who for who, _ in album} if stored else set())


@pytest.mark.parametrize("seed", range(5))
def test_power_cut_during_many_small_batches(start_daemon, album, seed):
    """Two clients enrol one person (five pictures) a request. After SIGKILL every acknowledged person is found with all
    five features, nobody is there with fewer, and at most the two requests under way are there unacknowledged."""
    daemon = start_daemon()
    daemon.ask("/create/collection", collection_name="face_col")
    acknowledged, sent = [], []
    people = [album[at : at + FEATURES] for at in range(0, len(album), FEATURES)]
    next_person = iter(people)
    lock = threading.Lock()

    def client():
        while True:
            with lock:
                batch = next(next_person, None)
            if batch is None:
                return
            sent.append(batch[0][0])
            try:
                answer = daemon.insert("face_col", *batch)
            except LOST:
                return
            assert_batch(answer, stored=FEATURES)
            acknowledged.append(batch[0][0])

    clients = [threading.Thread(target=client) for _ in range(2)]
    for thread in clients:
        thread.start()
    moment = random.Random(seed).randint(1, PEOPLE - 5)
    deadline = time.monotonic() + 120
    while len(acknowledged) < moment and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(random.Random(seed + 100).uniform(0, 0.2))
    daemon.kill()
    for thread in clients:
        thread.join()
    assert len(acknowledged) >= moment
    daemon.start()
    there = present(daemon, album)
    assert set(acknowledged) <= there <= set(sent)
    assert len(there) - len(acknowledged) <= len(clients)
    assert daemon.features("face_col") == FEATURES * len(there)
    by_person = {batch[0][0]: batch for batch in people}
    for who in acknowledged[:: max(1, len(acknowledged) // 5)]:
        assert daemon.search("face_col", by_person[who][-1][1])[who] >= 0.999


def test_power_cuts_one_after_the_other(start_daemon, album):
    """Ten times killed and started again, with changes of every kind in between: nothing acknowledged is ever undone."""
    daemon = start_daemon()
    daemon.ask("/create/collection", collection_name="face_col")
    expected = {}
    chance = random.Random(7)
    for number in range(10):
        who = f"person_{number}"
        assert daemon.insert("face_col", *((who, picture) for _, picture in album[:3]))["success_num"] == 3
        expected[who] = 3
        if number % 3 == 1:
            gone = chance.choice(sorted(expected))
            assert daemon.ask("/delete/id", collection_name="face_col", target_id=gone)["err_code"] == 0
            del expected[gone]
        if number % 3 == 2:
            changed = chance.choice(sorted(expected))
            assert daemon.update("face_col", (changed, album[5][1]))["success_num"] == 1
            expected[changed] = 1
        if number == 5:
            assert daemon.ask("/clear/collection", collection_name="face_col")["err_code"] == 0
            expected.clear()
        daemon.ask("/create/collection", collection_name=f"col_{number}")
        daemon.kill()
        daemon.start()
        assert present(daemon, album) == set(expected)
        assert daemon.features("face_col") == sum(expected.values())
        assert len(daemon.status()) == number + 2


def test_power_cut_during_start(start_daemon, album):
    """Killed before it is ready, several times: the data is as it was."""
    daemon = start_daemon()
    daemon.ask("/create/collection", collection_name="face_col")
    daemon.insert("face_col", *album[:10])
    daemon.kill()
    for number in range(5):
        killer = threading.Timer(0.01 * number, lambda: daemon.process and daemon.process.kill())
        killer.start()
        try:
            daemon.start()
        except AssertionError:
            pass  # killed before it said that it listens
        killer.join()
        daemon.kill()
    daemon.start()
    assert daemon.features("face_col") == 10


@pytest.mark.parametrize("missing", [0, 1], ids=["recognising", "uploading"])
def test_an_orderly_end_answers_what_is_under_way(start_daemon, album, missing):
    """SIGTERM in the middle of a request: it is finished, answered and kept; then the daemon exits with 0."""
    daemon = start_daemon(config="[recognition]\nworkers = 1\n")
    daemon.ask("/create/collection", collection_name="face_col")
    fields = {
        "collection_name": "face_col",
        "target_id": [who for who, _ in album[:20]],
        "face_image": [picture for _, picture in album[:20]],
    }
    body = json.dumps(fields).encode()
    with daemon.connect(timeout=120) as connection:
        head = f"POST {PREFIX}/face/insert HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode())
        assert connection.recv(65536).startswith(b"HTTP/1.1 100"), "the daemon has begun to read"
        connection.sendall(body[: len(body) - missing])
        daemon.terminate()
        time.sleep(0.1)
        connection.sendall(body[len(body) - missing :])
        assert_batch(read_answer(connection), stored=20)
    daemon.expect_exit()
    daemon.start()
    assert daemon.features("face_col") == 20


def test_an_orderly_end_with_idle_and_stalled_clients(start_daemon):
    """Clients that keep a connection open and say nothing, or stop half-way, do not hold the daemon back."""
    daemon = start_daemon(config="[server]\nbody_idle_timeout_s = 2\n")
    idle, stalled = daemon.connect(), daemon.connect()
    stalled.sendall(b"POST /api/v1/engine/recocomp/version HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{")
    assert daemon.ask("/version")["err_code"] == 0
    daemon.stop()
    idle.close()
    stalled.close()


def test_sigint_is_an_orderly_end_too(start_daemon):
    """Ctrl-C in a terminal."""
    daemon = start_daemon()
    daemon.process.send_signal(2)
    daemon.expect_exit()


@pytest.mark.parametrize(
    "first, second",
    [(signal.SIGTERM, signal.SIGTERM), (signal.SIGINT, signal.SIGINT), (signal.SIGTERM, signal.SIGINT)],
    ids=lambda number: number.name,
)
def test_a_second_signal_ends_the_wait_for_running_requests(start_daemon, first, second):
    """Whoever presses Ctrl-C again does not want to wait for a half-sent upload; what was acknowledged is kept."""
    daemon = start_daemon(config="[server]\ndrain_timeout_s = 600\nbody_idle_timeout_s = 600\n")
    daemon.ask("/create/collection", collection_name="face_col")
    assert daemon.insert("face_col", ("obama", portrait(OBAMA)))["success_num"] == 1
    with daemon.connect() as half:
        half.sendall(
            f"POST {PREFIX}/collection/status HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 100\r\n\r\n".encode()
        )
        assert half.recv(65536).startswith(b"HTTP/1.1 100"), "the daemon has begun to read"
        half.sendall(b"{")
        daemon.process.send_signal(first)

        def refuses_clients() -> bool:
            try:
                daemon.connect().close()
            except ConnectionRefusedError:
                return True
            return False

        wait_until(refuses_clients, 10, "the daemon takes no more clients")
        time.sleep(1)
        assert daemon.alive(), "it waits for the upload"
        daemon.process.send_signal(second)
        wait_until(lambda: not daemon.alive(), 5, "the daemon ends at once")
    daemon.start()
    assert daemon.features("face_col") == 1
