"""Limits: what is too large and what is too much at once."""

import json
import re
import select
import socket
import struct
import threading
import time
import zlib

import pytest

import faces
from contract import PREFIX, assert_batch, assert_error
from daemon import wait_until
from faces import BIDEN, OBAMA, OBAMA_2, base64_of, encoded, png_chunk, portrait

# Size


def test_a_body_over_the_limit(start_daemon):
    """413 for a body one byte too long; the longest allowed body is served."""
    daemon = start_daemon(config="[limits]\nmax_body_bytes = 100000\n")
    body = b'{"collection_name": []}'
    assert daemon.send("/collection/status", body.ljust(100000))["err_code"] == 0
    assert_error(daemon.send("/collection/status", body.ljust(100001)), 413)
    assert daemon.send("/collection/status", body)["err_code"] == 0


def test_a_batch_over_the_limit(start_daemon):
    """1011 for one picture too many; the largest allowed batch is stored."""
    daemon = start_daemon(config="[limits]\nmax_batch = 3\n")
    daemon.ask("/create/collection", collection_name="face_col")
    answer = daemon.insert("face_col", *[("obama", portrait(OBAMA))] * 4)
    assert_error(answer, 1011)
    assert_batch(answer, stored=0)
    assert daemon.insert("face_col", *[("obama", portrait(OBAMA))] * 3)["success_num"] == 3


def test_a_picture_file_over_the_limit(start_daemon):
    """A picture with too many bytes is an invalid image; the others of its batch are stored."""
    small = encoded(faces.head_and_shoulders(OBAMA))
    daemon = start_daemon(config=f"[limits]\nmax_picture_bytes = {len(small)}\n")
    daemon.ask("/create/collection", collection_name="face_col")
    answer = daemon.insert("face_col", ("obama", base64_of(small)), ("big", base64_of(small + b"\0")))
    assert answer["err_code"] == 0
    assert_batch(answer, stored=1, invalid={1: "big"})
    assert_error(daemon.ask("/face/compare", face_image1=base64_of(small + b"\0"), face_image2=base64_of(small)), 1010)


def test_a_picture_with_too_many_pixels(start_daemon):
    """A quarter of a megapixel allowed: 500 x 500 is decoded, 501 x 500 is not."""
    daemon = start_daemon(config="[limits]\nmax_picture_megapixels = 0.25\n")
    head = faces.head_and_shoulders(OBAMA)
    fits, too_large = (base64_of(head.resize(size)) for size in ((500, 500), (501, 500)))
    assert daemon.compare(fits, fits) >= 0.999
    answer = daemon.ask("/face/compare", face_image1=too_large, face_image2=fits)
    assert_error(answer, 1010)
    assert "501" in answer["detail"]


def test_a_picture_with_deep_colours_costs_twice_the_memory(start_daemon):
    """16 bits a channel: as many pixels as others may have can be too many, and the answer says that it is the memory."""
    daemon = start_daemon(config="[limits]\nmax_picture_megapixels = 20\n")
    head = faces.head_and_shoulders(OBAMA)
    assert daemon.compare(base64_of(faces.rgba_16_bit_png(head)), portrait(OBAMA)) > 0.95
    flat = faces.Image.new("RGB", (4000, 3000), (90, 120, 150))
    twelve_megapixels = base64_of(faces.rgba_16_bit_png(flat))
    answer = daemon.ask("/face/compare", face_image1=base64_of(encoded(flat)), face_image2=portrait(OBAMA))
    assert_error(answer, 1009)
    daemon.forget_peak_memory()
    before = daemon.peak_memory_kib()
    answer = daemon.ask("/face/compare", face_image1=twelve_megapixels, face_image2=portrait(OBAMA))
    assert_error(answer, 1010)
    assert re.search("memory|bytes|MiB|MB", answer["detail"]), answer
    assert daemon.peak_memory_kib() - before < 60 * 1024


def bomb_png(width: int, height: int) -> bytes:
    """A few kilobytes that promise an enormous picture."""
    rows = zlib.compress(bytes(1 << 20), 9)
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        + png_chunk(b"IDAT", rows)
        + png_chunk(b"IEND", b"")
    )


def bomb_bmp(width: int, height: int) -> bytes:
    return (
        b"BM"
        + struct.pack("<IHHI", 2**31 - 1, 0, 0, 54)
        + struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    )


def bomb_jpeg(width: int, height: int) -> bytes:
    small = encoded(faces.head_and_shoulders(OBAMA))
    at = small.index(b"\xff\xc0") + 5
    return small[:at] + struct.pack(">HH", height, width) + small[at + 4 :]


@pytest.mark.parametrize(
    "bomb",
    [
        bomb_png(50_000, 50_000),
        bomb_png(2**31 - 1, 2**31 - 1),
        bomb_png(2**31 - 1, 1),
        bomb_png(0, 0),
        bomb_bmp(100_000, 100_000),
        bomb_bmp(2**31 - 1, -(2**31)),
        bomb_jpeg(65_500, 65_500),
        bomb_jpeg(0, 0),
    ],
    ids=[
        "png 2.5 gigapixels",
        "png largest",
        "png one line",
        "png empty",
        "bmp 10 gigapixels",
        "bmp largest",
        "jpeg 4 gigapixels",
        "jpeg empty",
    ],
)
def test_a_small_file_that_unpacks_to_a_huge_picture(daemon, bomb):
    """Refused by its header, before memory is taken for its pixels."""
    assert len(bomb) < 50_000
    before = daemon.memory_kib()
    for _ in range(20):
        assert_error(daemon.ask("/face/compare", face_image1=base64_of(bomb), face_image2=portrait(OBAMA)), 1010)
    assert daemon.memory_kib() - before < 150 * 1024


def test_a_compressed_text_chunk_that_unpacks_to_a_gigabyte(daemon):
    """The same trick in the metadata of a good picture: it is refused or ignored, memory stays."""
    packed = zlib.compressobj(9)
    text = b"".join([packed.compress(bytes(1 << 20)) for _ in range(1024)]) + packed.flush()
    chunk = png_chunk(b"zTXt", b"Comment\0\0" + text)
    png = encoded(faces.head_and_shoulders(OBAMA), "PNG")
    picture = base64_of(png[:33] + chunk + png[33:])
    before = daemon.memory_kib()
    answer = daemon.ask("/face/compare", face_image1=picture, face_image2=portrait(OBAMA))
    assert answer["err_code"] in (0, 1010)
    assert daemon.memory_kib() - before < 150 * 1024


BODY_BYTES = 20_000_000


def body_of_unknown_keys() -> bytes:
    keys = []
    size = 0
    while size < BODY_BYTES:
        keys.append(f'"{len(keys):x}":0')
        size += len(keys[-1]) + 1
    return (
        b'{"collection_name":"face_col","face_image":["%s"],"target_id":["obama"],' % portrait(OBAMA).encode()
        + ",".join(keys).encode()
        + b"}"
    )


def body_of_empty_strings(field: str) -> bytes:
    fields = {
        "collection_name": '"face_col"',
        "face_image": '["%s"]' % portrait(OBAMA),
        "target_id": '["obama"]',
        field: "[" + '"",' * (BODY_BYTES // 3) + '""]',
    }
    return ("{" + ",".join(f'"{name}":{value}' for name, value in fields.items()) + "}").encode()


@pytest.mark.parametrize("path", ["/face/insert", "/face/update"])
@pytest.mark.parametrize(
    "what, code",
    [("unknown keys", 0), ("face_image", 1011), ("target_id", 1011)],
    ids=["unknown keys", "empty pictures", "empty target_ids"],
)
def test_a_body_of_millions_of_small_things(start_daemon, path, what, code):
    """Unknown keys are ignored and too long lists refused, at a cost in memory of less than three times the body."""
    daemon = start_daemon()
    daemon.ask("/create/collection", collection_name="face_col")
    assert daemon.insert("face_col", ("obama", portrait(OBAMA)))["success_num"] == 1
    body = body_of_unknown_keys() if what == "unknown keys" else body_of_empty_strings(what)
    daemon.forget_peak_memory()
    before = daemon.peak_memory_kib()
    answer = daemon.send(path, body)
    grown = daemon.peak_memory_kib() - before
    if code:
        assert_error(answer, code)
        assert_batch(answer, stored=0)
    else:
        assert_batch(answer, stored=1)
    assert grown * 1024 < 3 * len(body), f"{grown} KiB for a body of {len(body) >> 10} KiB"
    assert daemon.features("face_col") in (1, 2)


# The queue


# One worker, and nobody may wait for it.
ONE_PLACE = "[recognition]\nworkers = 1\n[limits]\nqueue = 0\n"


def in_parallel(count: int, work) -> list:
    """Runs work(0) ... work(count - 1) in threads of their own; the results in order."""
    results = [None] * count

    def one(number):
        try:
            results[number] = work(number)
        except Exception as error:  # noqa: BLE001 - shown by the assertion that reads the results
            results[number] = error

    threads = [threading.Thread(target=one, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_many_clients_and_one_place(start_daemon):
    """Each of 40 requests is answered: served, or sent away with 1014; those served got the right answer."""
    daemon = start_daemon(config=ONE_PLACE)
    expected = daemon.compare(portrait(OBAMA), portrait(OBAMA_2))
    answers = in_parallel(
        10,
        lambda _: [
            daemon.ask("/face/compare", face_image1=portrait(OBAMA), face_image2=portrait(OBAMA_2)) for _ in range(4)
        ],
    )
    answers = [answer for of_client in answers for answer in of_client]
    assert len(answers) == 40
    served = [answer for answer in answers if answer["err_code"] == 0]
    assert 0 < len(served) < 40
    assert {answer["score"] for answer in served} == {expected}
    for answer in answers:
        if answer["err_code"] != 0:
            assert_error(answer, 1014)
            assert int(answer.headers["Retry-After"]) >= 1


def test_a_batch_takes_one_place_however_many_pictures_it_has(start_daemon):
    """Fifty pictures where only one request is let in: a batch is never too much by itself."""
    daemon = start_daemon(config=ONE_PLACE)
    daemon.ask("/create/collection", collection_name="face_col")
    answer = daemon.insert("face_col", *[(f"person_{number // 5}", portrait(OBAMA)) for number in range(50)])
    assert answer["err_code"] == 0
    assert_batch(answer, stored=50)


@pytest.mark.parametrize("goodbye", ["closes", "resets"])
def test_clients_that_leave_in_the_middle_of_a_batch_free_their_places(start_daemon, goodbye):
    """Long batches fill the queue and their clients are gone: others are served soon, and no half of a batch is kept."""
    daemon = start_daemon(config="[recognition]\nworkers = 1\n[limits]\nqueue = 2\n")
    daemon.ask("/create/collection", collection_name="face_col")
    pictures = [portrait(BIDEN)] * 300
    connections = []

    def begin_batch():
        client = len(connections)
        fields = {
            "collection_name": "face_col",
            "target_id": [f"person_{client}_{number}" for number in range(len(pictures))],
            "face_image": pictures,
        }
        body = json.dumps(fields).encode()
        connections.append(daemon.connect())
        head = f"POST {PREFIX}/face/insert HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        connections[-1].sendall(head.encode() + body)
        # It is refused at once, or has its place before the next search comes.
        select.select(connections[-1:], [], [], 1)

    def search():
        return daemon.ask("/face/search", collection_name="face_col", face_image=portrait(OBAMA), top_k=1)

    def is_full():
        """One more batch where a search found a place: one that came while another search had it was refused."""
        refused = search()["err_code"] == 1014
        if not refused:
            begin_batch()
        return refused

    wait_until(is_full, 60, "the queue is full")
    for connection in connections:
        if goodbye == "resets":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
    wait_until(lambda: search()["err_code"] == 0, 20, "a search is served after the clients have left")
    assert daemon.features("face_col") % len(pictures) == 0


def test_what_needs_no_recognition_needs_no_place(start_daemon):
    """While the only place is taken by a long batch, version, status and management answer at once."""
    daemon = start_daemon(config=ONE_PLACE)
    daemon.ask("/create/collection", collection_name="face_col")
    people = [(f"person_{number}", portrait(BIDEN)) for number in range(100)]
    answers = []

    def client():
        """Comes again, as a client should, while the place is taken by the comparison below."""
        for _ in range(50):
            answers.append(daemon.insert("face_col", *people))
            if answers[-1]["err_code"] != 1014:
                return

    batch = threading.Thread(target=client)
    batch.start()
    busy = 0
    while batch.is_alive():
        assert daemon.ask("/version")["err_code"] == 0
        assert daemon.features("face_col") in (0, 100)
        comparison = daemon.ask("/face/compare", face_image1=portrait(OBAMA), face_image2=portrait(OBAMA))
        busy += comparison["err_code"] == 1014
        time.sleep(0.05)
    assert busy > 0
    assert_batch(answers[-1], stored=100)
    assert daemon.ask("/delete/collection", collection_name="face_col")["err_code"] == 0
