"""While one client does its worst, another is served. Clients are addresses: those of 127.0.0.0/8 are enough for a siege."""

import io
import json
import select
import threading

import pytest
from PIL import Image

import faces
from contract import PREFIX, assert_batch, assert_error
from daemon import read_answer, wait_until
from faces import BIDEN, OBAMA, OBAMA_2, base64_of, encoded, portrait

ATTACKER, OTHER_ATTACKER, VICTIM = "127.0.0.2", "127.0.0.3", "127.0.0.9"
ONE_WORKER = "[recognition]\nworkers = 1\n"


def one_colour(side: int) -> str:
    """A lossless WebP of side x side pixels in some hundred bytes."""
    out = io.BytesIO()
    Image.new("RGB", (side, side), (90, 120, 150)).save(out, "WEBP", lossless=True)
    return base64_of(out.getvalue())


def begin(daemon, source: str, path: str, **fields):
    """Sends a request and does not wait for its answer."""
    body = json.dumps(fields).encode()
    connection = daemon.connect(source=source)
    head = f"POST {PREFIX}{path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    connection.sendall(head.encode() + body)
    return connection


@pytest.fixture
def daemon(start_daemon):
    """One worker, four places, and somebody who is enrolled."""
    daemon = start_daemon(config=ONE_WORKER + "[limits]\nqueue = 3\n")
    daemon.ask("/create/collection", collection_name="face_col")
    daemon.ask("/create/collection", collection_name="other")
    assert daemon.insert("face_col", (OBAMA, portrait(OBAMA)))["success_num"] == 1
    return daemon


def search_from(daemon, source: str):
    return daemon.ask_from(source, "/face/search", collection_name="face_col", face_image=portrait(OBAMA_2), top_k=1)


def fill_the_queue(daemon, source: str, pictures: list[str]) -> list:
    """Long batches of one address until it is refused; their connections."""
    fields = {"collection_name": "other", "target_id": [f"p{n}" for n in range(len(pictures))], "face_image": pictures}
    batches = []

    def is_full():
        if search_from(daemon, source)["err_code"] == 1014:
            return True
        batches.append(begin(daemon, source, "/face/insert", **fields))
        # It is refused at once, or has its place before the next search comes.
        select.select(batches[-1:], [], [], 1)
        return False

    wait_until(is_full, 60, "the attacker has all places that it may")
    return batches


@pytest.mark.parametrize("what", ["portraits", "40 megapixels in 2 kB"])
def test_a_full_queue_of_one_client_keeps_nobody_else_out(daemon, what):
    """Its four places are taken by batches of 200; other addresses are served, and all the batches are far from done."""
    pictures = [portrait(BIDEN)] * 200 if what == "portraits" else [one_colour(6324)] * 200
    batches = fill_the_queue(daemon, ATTACKER, pictures)
    assert len(batches) >= 4
    for _ in range(3):
        assert search_from(daemon, VICTIM)["status"][0]["result"] == OBAMA
    assert_error(search_from(daemon, ATTACKER), 1014)
    assert search_from(daemon, OTHER_ATTACKER)["err_code"] == 0
    assert daemon.features("other") == 0
    for connection in batches:
        connection.close()
    wait_until(lambda: search_from(daemon, ATTACKER)["err_code"] == 0, 30, "the places of those who left are free")


def test_a_large_picture_waits_for_no_worker(daemon):
    """One of 40 megapixels is decoded beside the only worker: while it takes its time, many searches are served."""
    large = encoded(faces.image(OBAMA).resize((6324, 6324)))
    waiting = begin(daemon, ATTACKER, "/face/search", collection_name="face_col", face_image=base64_of(large), top_k=1)
    served = []

    def searches():
        for _ in range(200):
            if served and served[-1] is None:
                return
            served.append(search_from(daemon, VICTIM)["err_code"])

    others = threading.Thread(target=searches)
    others.start()
    assert read_answer(waiting)["err_code"] == 0
    during = len(served)
    served.append(None)
    others.join()
    assert during >= 2 and not any(served[:during])


def test_the_megapixels_of_a_batch_are_bounded(start_daemon):
    """Each picture may be as large as this, and all together are too much: the batch is refused before any is decoded."""
    daemon = start_daemon(config="[limits]\nmax_batch = 50\nmax_picture_megapixels = 40.0\n")
    daemon.ask("/create/collection", collection_name="face_col")
    answer = daemon.insert("face_col", *[("nobody", one_colour(6324))] * 50)
    assert_error(answer, 1011)
    assert_batch(answer, stored=0)
    assert "megapixels" in answer["detail"] and "800" in answer["detail"]


def test_a_picture_that_the_memory_does_not_suffice_for_is_refused_with_the_limit(start_daemon):
    """Not killed for it: its size is in its first bytes. Others of its batch are stored."""
    daemon = start_daemon(config="[limits]\nmax_picture_memory = 50000000\n")
    daemon.ask("/create/collection", collection_name="face_col")
    answer = daemon.insert("face_col", (OBAMA, portrait(OBAMA)), ("nobody", one_colour(4000)))
    assert_batch(answer, stored=1, invalid={1: "nobody"})
    assert "limits.max_picture_memory" in answer["detail"] and "50 MB" in answer["detail"]
    # As large, and it fits: four bytes a pixel are enough for a JPEG.
    fits = base64_of(encoded(faces.image(OBAMA).resize((3200, 3200))))
    assert daemon.search("face_col", fits)[OBAMA] > 0.9


def lossy_with_alpha(width: int, height: int) -> str:
    """A WebP that is stored as planes of colours and one of transparency, and to be turned by 90 degrees."""
    exif = Image.Exif()
    exif[0x0112] = 6
    out = io.BytesIO()
    Image.new("RGBA", (width, height), (90, 120, 150, 128)).save(out, "WEBP", quality=10, exif=exif.tobytes())
    return base64_of(out.getvalue())


@pytest.mark.parametrize(
    "picture, bytes_a_pixel",
    [
        (lambda: lossy_with_alpha(4000, 3000), 5),
        (lambda: one_colour(3464), 6),
        (lambda: base64_of(encoded(Image.new("RGB", (4000, 3000), (90, 120, 150)))), 4),
        (lambda: base64_of(encoded(Image.new("RGB", (4000, 3000), (90, 120, 150)), progressive=True)), 7),
        (lambda: base64_of(encoded(Image.new("RGBA", (4000, 3000), (90, 120, 150, 128)), "PNG")), 4.5),
    ],
    ids=["lossy WebP with alpha, turned", "lossless WebP", "JPEG", "progressive JPEG", "PNG with alpha"],
)
def test_a_large_picture_takes_the_memory_that_is_set_aside_for_it(start_daemon, picture, bytes_a_pixel):
    """Twelve megapixels: the most memory during it is what the manual says, and it is given back."""
    daemon = start_daemon(config=ONE_WORKER)
    text = picture()
    small = portrait(OBAMA)
    # What networks and their thread take is there before.
    assert daemon.compare(small, small) > 0.99
    assert_error(daemon.ask("/face/compare", face_image1=text, face_image2=small), 1009)
    wait_until(lambda: daemon.forget_peak_memory() is None, 1, "the peak is forgotten")
    before = daemon.memory_kib()
    assert_error(daemon.ask("/face/compare", face_image1=text, face_image2=small), 1009)
    assert daemon.peak_memory_kib() - before < bytes_a_pixel * 12_000_000 / 1024 + 16 * 1024


def test_a_picture_larger_than_its_file_says_is_refused(daemon):
    """A WebP of 16383x16383 inside one that says 64x64: nothing is decoded, and no memory taken."""
    inner = b"VP8 " + (10).to_bytes(4, "little") + b"\x30\0\0\x9d\x01\x2a" + b"\xff\x3f\xff\x3f"
    chunks = b"WEBPVP8X\x0a\0\0\0" + bytes([0, 0, 0, 0, 63, 0, 0, 63, 0, 0]) + inner
    daemon.forget_peak_memory()
    before = daemon.memory_kib()
    answer = search_with(daemon, base64_of(b"RIFF" + len(chunks).to_bytes(4, "little") + chunks))
    assert_error(answer, 1010)
    assert daemon.peak_memory_kib() - before < 50 * 1024


def search_with(daemon, picture: str):
    return daemon.ask("/face/search", collection_name="face_col", face_image=picture, top_k=1)


def test_large_uploads_of_one_client_leave_memory_for_another(start_daemon):
    """One address takes all that it may have for bodies and holds it; another's large body is served."""
    daemon = start_daemon(config="[server]\nbody_idle_timeout_s = 120\n[limits]\nmax_body_bytes = 4000000\nmax_body_memory = 8000000\n")
    head = f"POST {PREFIX}/collection/status HTTP/1.1\r\nHost: x\r\nContent-Length: 3900000\r\n\r\n".encode()
    held = [daemon.connect(source=ATTACKER) for _ in range(4)]
    for connection in held:
        try:
            connection.sendall(head + b" " * 3_500_000)
        except OSError:
            pass  # refused already

    def upload_from(source: str, size: int) -> int:
        return daemon.ask_from(source, "/collection/status", collection_name=[], padding=" " * size)["err_code"]

    wait_until(lambda: upload_from(ATTACKER, 3_800_000) == 1014, 30, "the attacker has all that it may")
    assert upload_from(VICTIM, 3_000_000) == 0
    for connection in held:
        connection.close()
