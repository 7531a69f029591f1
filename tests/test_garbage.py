"""Garbage: ten thousand random and damaged bodies and pictures get coded errors, and the daemon is as well as before."""

import base64
import http.client
import json
import random
import socket
from pathlib import Path

import pytest

import faces
from contract import BATCH_FIELDS, ENDPOINTS, MESSAGES, PREFIX
from daemon import Daemon
from faces import BIDEN, OBAMA, OBAMA_2, encoded, portrait

BODIES = 3000
PICTURES = 6800
CONVERSATIONS = 200
FEATURES = 1000
BATCH = 50
WORKERS = 2

HTTP_STATUSES = {200, 400, 404, 405, 408, 413, 503}
HARMLESS_CODES = (set(MESSAGES) | {0, 404, 405, 408, 413}) - {500, 1001, 1008, 1012}


@pytest.fixture(scope="module")
def victim(tmp_path_factory):
    """One daemon takes all the garbage of this file."""
    daemon = Daemon(tmp_path_factory.mktemp("victim"), config=f"[recognition]\nworkers = {WORKERS}\n").start()
    daemon.ask("/create/collection", collection_name="face_col")
    daemon.ask("/create/collection", collection_name="garbage_col")
    assert daemon.insert("face_col", ("obama", portrait(OBAMA)), ("biden", portrait(BIDEN)))["success_num"] == 2
    daemon.expected = daemon.search("face_col", portrait(OBAMA_2))
    yield daemon
    daemon.stop()


def assert_well(daemon):
    """It lives, all its recognisers are there, and it answers as it did before."""
    assert daemon.alive()
    names = [path.read_text().strip() for path in Path(f"/proc/{daemon.process.pid}/task").glob("*/comm")]
    # Beside those of two workers the one for large pictures; the kernel keeps 15 letters.
    workers = {f"recognizer-{number}" for number in range(WORKERS)}
    assert {name for name in names if name.startswith("recognizer-")} == workers | {"recognizer-larg"}, names
    for _ in range(2 * WORKERS):
        assert daemon.search("face_col", portrait(OBAMA_2)) == daemon.expected
    daemon.assert_no_panic()


def damaged(data: bytes, chance: random.Random) -> bytes:
    """Cut off, some bits flipped, a piece doubled, zeroed or swapped for noise."""
    data = bytearray(data)
    kind = chance.choice(["cut", "cut", "flip", "flip head", "double", "zero", "noise"])
    at = chance.randrange(len(data))
    length = chance.randint(1, 64)
    if kind == "cut":
        del data[at:]
    elif kind == "flip":
        for _ in range(chance.randint(1, 20)):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    elif kind == "flip head":
        for _ in range(chance.randint(1, 4)):
            data[chance.randrange(min(len(data), 80))] = chance.randrange(256)
    elif kind == "double":
        data[at:at] = data[at : at + length]
    elif kind == "zero":
        data[at : at + length] = bytes(length)
    else:
        data[at : at + length] = chance.randbytes(length)
    return bytes(data)


# Bodies


def anything(chance: random.Random, depth: int = 0):
    """A random JSON value."""
    kind = chance.randrange(12 if depth < 3 else 9)
    return [
        lambda: None,
        lambda: True,
        lambda: chance.randint(-3, 3),
        lambda: chance.uniform(-1e9, 1e9),
        lambda: 10 ** chance.randint(9, 40),
        lambda: "",
        lambda: "face_col",
        lambda: "".join(chr(chance.choice([0, 10, 65, 233, 0x4EBA, 0x1F600, 0x202E])) for _ in range(9)),
        lambda: "A" * chance.choice([255, 256, 70000]),
        lambda: [anything(chance, depth + 1) for _ in range(chance.randrange(4))],
        lambda: {chance.choice(["collection_name", "x", ""]): anything(chance, depth + 1)},
        lambda: ["obama"] * chance.randrange(3),
    ][kind]()


GOOD = {
    "collection_name": "garbage_col",
    "face_image": ["x"],
    "target_id": ["obama"],
    "top_k": 1,
    "face_image1": "x",
    "face_image2": "y",
    "after": "a",
    "limit": 2,
    "feature": "AAAA",
    "template_space": "mobilefacenet-ms1m-192",
    "duplicates": True,
    "disagreements": True,
}
FIELDS = list(GOOD)


def garbage_body(chance: random.Random) -> bytes:
    kind = chance.randrange(8)
    if kind == 0:
        return chance.randbytes(chance.choice([0, 1, 10, 1000, 20000]))
    if kind == 1:
        text = json.dumps(GOOD).encode()
        return text[: chance.randrange(len(text))]
    if kind == 2:
        name = chance.choice(["garbage_col", "not_there"])
        wrong = {field: anything(chance) for field in chance.sample(FIELDS, chance.randint(0, 3))}
        return json.dumps({**GOOD, "collection_name": name, **wrong}).encode()
    if kind == 3:
        deep, letter = chance.choice([10, 127, 128, 129, 5000, 50000]), chance.choice(["[", '{"a":', '[{"a":'])
        return b'{"collection_name": ' + (letter * deep).encode() + chance.choice([b"", b"1", b"]" * deep])
    if kind == 4:
        number = chance.choice(
            [
                "1e999",
                "-1e999",
                "9" * 5000,
                "0x10",
                "01",
                "1.",
                ".5",
                "-",
                "NaN",
                "Infinity",
                "1e-999",
                "+1",
                "1" + "0" * 400,
            ]
        )
        return ('{"collection_name": "face_col", "face_image": "x", "top_k": %s}' % number).encode()
    if kind == 5:
        return (
            b'{"collection_name": "'
            + chance.choice([b"\xff", b"\xc3", b"\xed\xa0\x80", b"\\ud800", b"\\u12", b"\\x", b"\0", b"\n"])
            + b'"}'
        )
    if kind == 6:
        return damaged(json.dumps(GOOD).encode(), chance)
    return json.dumps({field: chance.choice(list(GOOD.values())) for field in FIELDS}).encode() + chance.choice(
        [b"", b" ", b"{}", b"\0"]
    )


def test_random_bodies(victim):
    """Random bytes, cut JSON, wrong types, deep nesting, huge numbers, broken UTF-8: always a JSON code."""
    chance = random.Random(1)
    connection = http.client.HTTPConnection("127.0.0.1", victim.port, timeout=60)
    seen = set()
    for number in range(BODIES):
        path = chance.choice(
            [path for path in ENDPOINTS if path not in ("/clear/collection", "/delete/collection", "/delete/id")]
        )
        body = garbage_body(chance)
        connection.request(chance.choice(["GET", "POST"]), PREFIX + path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        answer = json.loads(response.read())
        assert response.status in HTTP_STATUSES, (number, path, body[:200], response.status)
        assert answer["err_code"] in HARMLESS_CODES, (number, path, body[:200], answer)
        assert answer["err_code"] == 0 or answer["status"], answer
        seen.add(answer["err_code"])
    connection.close()
    assert {0, 1003, 1006, 1010, 1011} <= seen, "the garbage is varied enough to reach behind the parser"
    victim.ask("/clear/collection", collection_name="garbage_col")
    for row in victim.status():
        if row["collection_name"] not in ("face_col", "garbage_col"):
            victim.ask("/delete/collection", collection_name=row["collection_name"])
    assert_well(victim)


def test_random_features(victim):
    """Noise, damaged bytes, damaged text: a refusal that says why, or rows. No number that is not finite gets out."""
    chance = random.Random(4)
    made = victim.ask("/face/feature", face_image=portrait(OBAMA_2))["status"]
    good = base64.b64decode(made["feature"])
    answered = set()
    for number in range(FEATURES):
        kind = chance.randrange(4)
        noise = chance.randbytes(chance.choice([0, 1, 767, 768, 768, 768, 769, 1536]))
        text = base64.b64encode([good, noise, damaged(good, chance), damaged(good, chance)][kind]).decode()
        if kind == 3:
            text = damaged(text.encode() or b"A", chance).decode("latin-1")
        answer = victim.ask(
            "/face/search/feature", collection_name="face_col", feature=text, template_space=made["template_space"], top_k=2
        )
        assert answer["err_code"] in (0, 1011), (number, answer)
        answered.add(answer["err_code"])
        if answer["err_code"] == 0:
            assert len(answer["status"]) == 2 and all(0 <= row["score"] <= 1 for row in answer["status"]), answer
        else:
            assert "feature" in answer["detail"], answer
    assert answered == {0, 1011}
    assert_well(victim)


# Pictures


def small_pictures() -> list[bytes]:
    """One of each kind of file, 48 pixels wide: few bytes, so that damage hits every part."""
    curtains = faces.without_face().resize((48, 48))
    head = faces.head_and_shoulders(OBAMA).resize((64, 61))
    return [
        encoded(curtains, quality=60),
        encoded(curtains, quality=60, progressive=True),
        encoded(curtains.convert("CMYK")),
        encoded(curtains.convert("L")),
        encoded(head, orientation=6),
        encoded(curtains, "PNG"),
        encoded(curtains.quantize(16), "PNG"),
        encoded(faces.transparent(curtains), "PNG"),
        faces.grey_16_bit_png(curtains),
        encoded(head, "PNG", orientation=8),
        encoded(curtains, "BMP"),
        encoded(curtains.quantize(16), "BMP"),
        encoded(curtains.convert("1"), "BMP"),
        encoded(faces.transparent(curtains), "BMP"),
        encoded(curtains, "WEBP"),
        encoded(curtains, "WEBP", lossless=False, quality=50),
        encoded(faces.transparent(curtains), "WEBP"),
        encoded(head, "WEBP", orientation=3),
        encoded(curtains, "WEBP", save_all=True, append_images=[curtains.rotate(90)]),
    ]


def test_random_pictures(victim):
    """Random bytes, and every kind of picture cut, flipped and patched: each is stored or reported, none is lost."""
    chance = random.Random(2)
    originals = small_pictures()
    reported = 0
    for at in range(0, PICTURES, BATCH):
        pictures = []
        for _ in range(BATCH):
            data = (
                chance.randbytes(chance.randint(0, 2000))
                if chance.random() < 0.1
                else damaged(chance.choice(originals), chance)
            )
            text = base64.b64encode(data).decode()
            if chance.random() < 0.05:
                text = damaged(text.encode() or b"x", chance).decode("latin-1")
            pictures.append(text)
        answer = victim.insert("garbage_col", *((f"t{at + index}", picture) for index, picture in enumerate(pictures)))
        assert answer["err_code"] in (0, 1009, 1010), answer
        assert BATCH_FIELDS <= set(answer)
        assert answer["success_num"] + answer["invalid"]["invalid_num"] == BATCH, answer
        reported += answer["invalid"]["invalid_num"]
    assert reported > PICTURES // 2, "most of the pictures were really damaged"
    victim.ask("/clear/collection", collection_name="garbage_col")
    assert_well(victim)


# Conversations


GOOD_REQUEST = (
    f"POST {PREFIX}/collection/status HTTP/1.1\r\nHost: x\r\nContent-Length: 23\r\n\r\n".encode()
    + b'{"collection_name": []}'
)
CHUNKED = f"POST {PREFIX}/collection/status HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
HEAD = f"POST {PREFIX}/collection/status HTTP/1.1\r\nHost: x\r\n".encode()
MISTAKES = [
    HEAD + b"Content-Length: -1\r\n\r\n{}",
    HEAD + b"Content-Length: abc\r\n\r\n{}",
    HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n{}",
    HEAD + b"Content-Length: " + b"9" * 40 + b"\r\n\r\n{}",
    HEAD + b"Content-Length: 1000\r\n\r\n{}",
    HEAD + b"Content-Length:\r\n\r\n{}",
    HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    HEAD + b"Transfer-Encoding: gzip\r\n\r\n{}",
    CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n",
    CHUNKED + b"FFFFFFFFFFFFFFFFFF\r\n{}",
    CHUNKED + b"2\r\n{}",
    CHUNKED + b"2\r\n{}XX0\r\n\r\n",
    CHUNKED + b"-2\r\n{}\r\n",
    CHUNKED + b"2;" + b"x" * 100_000 + b"\r\n{}\r\n0\r\n\r\n",
    CHUNKED + b"1\r\n{\r\n" * 1 + b"0\r\nTrailer: x",
    CHUNKED + b"\r\n\r\n",
    HEAD + b"".join(b"X-%d: y\r\n" % number for number in range(5000)) + b"\r\n",
    HEAD + b"X-Long: " + b"y" * 1_000_000 + b"\r\n\r\n",
    b"GET /" + b"x" * 200_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    HEAD + b"Bad\0Header: x\r\n\r\n",
    HEAD + b"No colon\r\n\r\n",
    b"POST  HTTP/1.1\r\n\r\n",
    b"post / http/1.1\r\n\r\n",
    b"GET / HTTP/1.0\r\n\r\n",
    b"GET /\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\0" * 1000,
    b"CONNECT 127.0.0.1:1 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET http://[::1 HTTP/1.1\r\nHost: x\r\n\r\n",
    GOOD_REQUEST * 50,
    GOOD_REQUEST[:-1],
    GOOD_REQUEST + b"garbage behind it",
]


def converse(daemon, request: bytes, hang_up: bool = True) -> bytes:
    """Sends it all, closes the sending half (unless told not to), reads until the daemon closes."""
    received = b""
    with daemon.connect(timeout=60) as connection:
        try:
            connection.sendall(request)
            if hang_up:
                connection.shutdown(socket.SHUT_WR)
            while more := connection.recv(65536):
                received += more
        except OSError:
            pass  # hung up on
    return received


def test_broken_http(victim):
    """Wrong lengths, broken chunks, endless headers, cut and patched requests: refused or hung up on, one client at a time."""
    chance = random.Random(3)
    requests = MISTAKES + [damaged(GOOD_REQUEST, chance) for _ in range(CONVERSATIONS - len(MISTAKES))]
    answered = 0
    for request in requests:
        received = converse(victim, request)
        assert received == b"" or received.startswith(b"HTTP/1."), (request[:300], received[:300])
        assert not received.startswith(b"HTTP/1.1 500"), (request[:300], received[:300])
        answered += received != b""
    assert answered > len(requests) // 2
    last = GOOD_REQUEST.replace(b"Host: x", b"Host: x\r\nConnection: close")
    pipelined = converse(victim, GOOD_REQUEST * 49 + last, hang_up=False)
    assert pipelined.count(b'"err_code":0') == 50, "requests sent one behind the other are all answered"
    assert_well(victim)
    assert len(requests) + BODIES + PICTURES == 10_000
