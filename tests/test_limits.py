"""Limits: what is too large and what is too much at once."""

import struct
import threading
import time
import zlib

import pytest

import faces
from contract import assert_batch, assert_error
from faces import BIDEN, OBAMA, OBAMA_2, base64_of, encoded, portrait

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


def bomb_png(width: int, height: int) -> bytes:
    """A few kilobytes that promise an enormous picture."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress(bytes(1 << 20), 9)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        + chunk(b"IDAT", rows)
        + chunk(b"IEND", b"")
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
    data = b"Comment\0\0" + text
    chunk = struct.pack(">I", len(data)) + b"zTXt" + data + struct.pack(">I", zlib.crc32(b"zTXt" + data))
    png = encoded(faces.head_and_shoulders(OBAMA), "PNG")
    picture = base64_of(png[:33] + chunk + png[33:])
    before = daemon.memory_kib()
    answer = daemon.ask("/face/compare", face_image1=picture, face_image2=portrait(OBAMA))
    assert answer["err_code"] in (0, 1010)
    assert daemon.memory_kib() - before < 150 * 1024


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
