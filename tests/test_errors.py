"""Every code and every HTTP status of the API, provoked on the real daemon, with the error object each must carry."""

import http.client
import json
import socket
import threading

import pytest
from requests.structures import CaseInsensitiveDict

from contract import ENDPOINTS, MESSAGES, PREFIX, assert_error, documented_messages
from daemon import Answer, Daemon, read_answer
from faces import NOT_A_PICTURE, OBAMA, portrait, scenery

# Codes that no client can provoke from outside, and where they are proven instead.
NOT_PROVOKED_HERE = {
    500: "an internal fault: no input may cause one, test_garbage.py looks for it",
    1001: "test_storage_faults.py",
    1008: "an internal fault during an update",
    415: "test_bodies.py",
    1016: "test_liveness.py",
    1017: "test_quality.py",
    1018: "test_doubts.py",
    1015: "this release has no accounts",
}
PROVOKED = {}


def provokes(code):
    def register(test):
        PROVOKED[code] = test
        return test

    return register


@provokes(1002)
def test_1002_the_thirty_first_collection(start_daemon):
    """Thirty collections fit."""
    daemon = start_daemon()
    for number in range(30):
        assert daemon.ask("/create/collection", collection_name=f"col_{number}")["err_code"] == 0
    assert_error(daemon.ask("/create/collection", collection_name="col_30"), 1002)


@provokes(1003)
def test_1003_a_name_with_a_dash(daemon):
    """The name rule is told in the detail."""
    answer = daemon.ask("/create/collection", collection_name="face-col")
    assert_error(answer, 1003)
    assert answer["detail"]


@provokes(1004)
def test_1004_a_name_in_use(daemon, collection):
    """Creating the same name again."""
    assert_error(daemon.ask("/create/collection", collection_name=collection), 1004)


@provokes(1005)
@pytest.mark.parametrize(
    "path, name",
    [("/clear/collection", "not_there"), ("/delete/collection", "not_there"), ("/collection/status", ["not_there"])],
)
def test_1005_managing_a_collection_that_does_not_exist(daemon, path, name):
    """Clear, delete and status ask to check the name."""
    assert_error(daemon.ask(path, collection_name=name), 1005)


@provokes(1006)
@pytest.mark.parametrize(
    "path, fields",
    [
        ("/face/insert", {"face_image": [portrait(OBAMA)], "target_id": ["obama"]}),
        ("/face/update", {"face_image": [portrait(OBAMA)], "target_id": ["obama"]}),
        ("/face/search", {"face_image": portrait(OBAMA), "top_k": 1}),
        ("/delete/id", {"target_id": "obama"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_1006_faces_of_a_collection_that_does_not_exist(daemon, path, fields):
    """The face endpoints and delete/id say that it does not exist."""
    assert_error(daemon.ask(path, collection_name="not_there", **fields), 1006)


@provokes(1007)
def test_1007_the_sixth_feature(daemon, collection):
    """Five features a person."""
    assert daemon.insert(collection, *[("obama", portrait(OBAMA))] * 5)["err_code"] == 0
    assert_error(daemon.insert(collection, ("obama", portrait(OBAMA))), 1007)


@provokes(1009)
def test_1009_no_face(daemon, collection):
    """A picture of curtains, at each endpoint that looks for a face."""
    assert_error(daemon.ask("/face/compare", face_image1=scenery(), face_image2=portrait(OBAMA)), 1009)
    assert_error(daemon.ask("/face/search", collection_name=collection, face_image=scenery(), top_k=1), 1009)
    assert_error(daemon.insert(collection, ("obama", scenery())), 1009)


@provokes(1010)
def test_1010_no_picture(daemon, collection):
    """Words instead of a picture, at each endpoint that takes one."""
    assert_error(daemon.ask("/face/compare", face_image1=NOT_A_PICTURE, face_image2=portrait(OBAMA)), 1010)
    assert_error(daemon.ask("/face/search", collection_name=collection, face_image=NOT_A_PICTURE, top_k=1), 1010)
    assert_error(daemon.insert(collection, ("obama", NOT_A_PICTURE)), 1010)


NOT_JSON = [
    b"",
    b"collection_name=face_col",
    b"{",
    b"{'collection_name': 'face_col'}",
    b'{"collection_name": "a",}',
    b"\xff\xfe\x00",
    b'{"collection_name": "a"} trailing',
    b"null",
    b"[]",
    b'"text"',
    b"7",
    b"true",
    b'{"collection_name": "\xff"}',
]


@provokes(1011)
@pytest.mark.parametrize("path", [path for path in ENDPOINTS if path not in ("/version", "/license")])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_1011_a_body_that_is_no_json_object(daemon, path, method):
    """HTTP 400, with a detail that says what is wrong with the body."""
    for body in NOT_JSON:
        answer = daemon.send(path, body, method)
        assert_error(answer, 1011)
        assert answer["detail"], body


@provokes(1012)
def test_1012_without_a_license(start_daemon):
    """Neither --development nor a license file: the business endpoints are closed."""
    daemon = start_daemon(development=False)
    assert_error(daemon.ask("/create/collection", collection_name="face_col"), 1012)


@provokes(1013)
def test_1013_deleting_somebody_who_is_not_there(daemon, collection):
    """Only delete/id says so; update lists unknown people instead."""
    assert_error(daemon.ask("/delete/id", collection_name=collection, target_id="nobody"), 1013)


@provokes(1014)
def test_1014_a_full_queue(start_daemon):
    """With one worker, no room to wait and many clients some are sent away with HTTP 503 and told when to come back."""
    daemon = start_daemon(config="[recognition]\nworkers = 1\n[limits]\nqueue = 0\n")
    answers = []

    def client():
        for _ in range(4):
            answers.append(daemon.ask("/face/compare", face_image1=portrait(OBAMA), face_image2=portrait(OBAMA)))

    clients = [threading.Thread(target=client) for _ in range(8)]
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join()
    assert len(answers) == 32
    busy = [answer for answer in answers if answer["err_code"] != 0]
    assert busy and len(busy) < 32
    for answer in busy:
        assert_error(answer, 1014)
        assert int(answer.headers["Retry-After"]) >= 1


@provokes(404)
@pytest.mark.parametrize(
    "path", ["", "/", "/nothing", "/Version", "/face/", "/version%2F", "/face/insert/x", "/../../etc/passwd"]
)
def test_404_an_unknown_path(daemon, path):
    """The JSON error object here, too."""
    assert_error(daemon.ask(path), 404)


@pytest.mark.parametrize("path", ["/version/", "//version", "/version//", "/%76ersion", "/versio%6e/"])
def test_a_path_may_be_spelled_carelessly(daemon, path):
    """Slashes at the end or in a row, and escapes that need none: clients join addresses as they like. Case counts."""
    assert exchange(daemon, f"GET {PREFIX}{path} HTTP/1.1\r\nHost: x\r\n\r\n")["err_code"] == 0
    doubled = f"//{PREFIX}//{path}?x=//".replace("/engine", "///engine")
    assert exchange(daemon, f"POST {doubled} HTTP/1.1\r\nHost: x\r\n\r\n")["err_code"] == 0
    assert daemon.ask("/collection/status/", collection_name=[])["err_code"] == 0


@provokes(404)
def test_404_outside_the_prefix(daemon):
    """The root and a path without the API's prefix."""
    for path in ("/", "/version", "/api/v1/engine/other/version"):
        assert_error(exchange(daemon, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"), 404)


@provokes(405)
@pytest.mark.parametrize("path", ENDPOINTS)
def test_405_a_method_other_than_get_and_post(daemon, path):
    """GET and POST on every endpoint, nothing else; Allow names the two."""
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS"):
        answer = daemon.ask(path, method, collection_name="face_col")
        assert_error(answer, 405)
        assert {"GET", "POST"} <= {allowed.strip() for allowed in answer.headers["Allow"].split(",")}


@provokes(405)
@pytest.mark.parametrize("path", ENDPOINTS)
def test_405_asking_for_the_head_alone(daemon, collection, path):
    """HEAD is a method like the others: refused, without a body as HTTP demands, and nothing was done."""
    assert daemon.insert(collection, ("obama", portrait(OBAMA)))["success_num"] == 1
    new = f"{collection}_new"
    fields = {
        "collection_name": new if path == "/create/collection" else collection,
        "target_id": "obama" if path == "/delete/id" else ["obama"],
        "face_image": portrait(OBAMA) if path == "/face/search" else [portrait(OBAMA)],
        "face_image1": portrait(OBAMA),
        "face_image2": portrait(OBAMA),
        "top_k": 1,
    }
    before = daemon.status()
    connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=30)
    connection.request("HEAD", PREFIX + path, json.dumps(fields))
    response = connection.getresponse()
    assert response.status == 405
    assert response.read() == b""
    connection.close()
    assert daemon.status() == before
    assert {allowed.strip() for allowed in response.headers.get("Allow", "").split(",")} == {"GET", "POST"}


@provokes(408)
def test_408_a_body_that_stops_coming(start_daemon):
    """A client that stalls in the middle of its upload is told that it took too long."""
    daemon = start_daemon(config="[server]\nbody_idle_timeout_s = 1\n")
    assert_error(
        exchange(daemon, f"POST {PREFIX}/create/collection HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{{"), 408
    )


@provokes(413)
def test_413_an_announced_body_over_the_limit(daemon):
    """A client that asks first is refused by Content-Length, before it sends a byte: 128 MiB is the default limit."""
    head = f"POST {PREFIX}/face/insert HTTP/1.1\r\nHost: x\r\nContent-Length: {(128 << 20) + 1}\r\nExpect: 100-continue\r\n\r\n"
    assert_error(exchange(daemon, head), 413)


@provokes(413)
def test_413_a_chunked_body_over_the_limit(start_daemon):
    """Without a Content-Length the bytes are counted as they come."""
    daemon = start_daemon(config="[limits]\nmax_body_bytes = 10000\n")
    answer = daemon.send("/face/insert", (b" " * 1000 for _ in range(200)))
    assert_error(answer, 413)
    assert daemon.ask("/version")["err_code"] == 0


@provokes(429)
def test_429_too_many_connections_of_one_address(start_daemon):
    """An address that holds all the connections it may is told so on the next."""
    daemon = start_daemon(config="[server]\nmax_connections_per_ip = 1\n")
    with daemon.connect() as only:
        only.sendall(f"GET {PREFIX}/version HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert only.recv(65536).startswith(b"HTTP/1.1 200")
        assert_error(daemon.ask("/version"), 429)


def exchange(daemon, request: str) -> Answer:
    """Sends raw bytes and reads the one answer."""
    with daemon.connect() as connection:
        connection.sendall(request.encode("latin-1"))
        return read_answer(connection)


def answers(connection: socket.socket) -> list[Answer]:
    """All answers until the daemon closes."""
    received = b""
    while more := connection.recv(65536):
        received += more
    found = []
    while received:
        head, received = received.split(b"\r\n\r\n", 1)
        status, *lines = head.decode().split("\r\n")
        headers = CaseInsensitiveDict(line.split(": ", 1) for line in lines)
        length = int(headers["Content-Length"])
        found.append(Answer(int(status.split()[1]), headers, received[:length]))
        received = received[length:]
    return found


def assert_refused(answer, status: int) -> None:
    """The JSON error object, what to do about it and an id as with every answer; the connection ends."""
    assert answer.http == answer["err_code"] == status, (answer.http, answer)
    assert answer.content_type == "application/json"
    assert answer["status"] == http.HTTPStatus(status).phrase.replace("Request-URI", "URI")
    assert answer["detail"].strip()
    assert answer.headers["X-Request-Id"]
    assert answer.headers["Connection"] == "close"


VERSION = f"GET {PREFIX}/version HTTP/1.1\r\nHost: x\r\n".encode()
STATUS = f"POST {PREFIX}/collection/status HTTP/1.1\r\nHost: x\r\n".encode()
NOT_HTTP = {
    "TLS": (400, b"\x16\x03\x01\x02\x00\x01\x00"),
    "another protocol": (400, b"HELO\r\n\r\n"),
    "no path": (400, b"GET\r\n\r\n"),
    "no version": (400, b"GET /\r\n\r\n"),
    "an unknown version": (400, VERSION.replace(b"1.1", b"3.0") + b"\r\n"),
    "HTTP 2": (505, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"),
    "a path beyond ASCII": (400, VERSION.replace(b"/version", b"/v\xe9rsion") + b"\r\n"),
    "a NUL in the path": (400, VERSION.replace(b"/version", b"/v\x00rsion") + b"\r\n"),
    "a NUL in a header's name": (400, VERSION + b"X-\x00: y\r\n\r\n"),
    "a NUL in a header's value": (400, VERSION + b"X-Y: \x00\r\n\r\n"),
    "a header without colon": (400, VERSION + b"nonsense\r\n\r\n"),
    "two lengths": (400, STATUS + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}"),
    "a negative length": (400, STATUS + b"Content-Length: -2\r\n\r\n{}"),
    "an impossible length": (431, STATUS + b"Content-Length: 18446744073709551615\r\n\r\n{}"),
    "an unknown encoding": (400, STATUS + b"Transfer-Encoding: nonsense\r\n\r\n{}"),
    "chunks in HTTP 1.0": (400, STATUS.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "a long path": (414, b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n"),
    "many headers": (431, VERSION + b"X-Y: z\r\n" * 101 + b"\r\n"),
    # More than the daemon reads before it refuses: what it leaves unread must not destroy the answer.
    "a long header": (431, VERSION + b"X-Y: " + b"z" * 1_000_000 + b"\r\n\r\n"),
}


@provokes(400)
@provokes(414)
@provokes(431)
@provokes(505)
@pytest.mark.parametrize("status, request_", NOT_HTTP.values(), ids=NOT_HTTP.keys())
def test_what_is_no_http_request_gets_the_error_object(daemon, status, request_):
    """Alone and behind a good request, whose answer comes first; nothing more is read from that connection."""
    for before in (0, 1, 2):
        with daemon.connect() as connection:
            connection.sendall((VERSION + b"\r\n") * before + request_)
            *good, refusal = answers(connection)
        assert [answer["err_code"] for answer in good] == [0] * before
        assert_refused(refusal, status)
    assert daemon.ask("/version")["err_code"] == 0


@provokes(400)
@pytest.mark.parametrize("head", [b"G", VERSION, VERSION + b"\r\nGET"], ids=["a letter", "a line", "after another"])
def test_400_a_head_that_ends_early(daemon, head):
    """The client closes its sending side in the middle of a head."""
    with daemon.connect() as connection:
        connection.sendall(head)
        connection.shutdown(socket.SHUT_WR)
        *_, refusal = answers(connection)
    assert_refused(refusal, 400)


@provokes(408)
@pytest.mark.parametrize("head", [b"G", VERSION, VERSION + b"\r\nGET"], ids=["a letter", "a line", "after another"])
def test_408_a_head_that_stops_coming(start_daemon, head):
    """Also when it came together with a good request, whose answer comes first."""
    daemon = start_daemon(config="[server]\nheader_timeout_s = 1\n")
    with daemon.connect() as connection:
        connection.sendall(head)
        *good, refusal = answers(connection)
    assert [answer["err_code"] for answer in good] == [0] * head.count(b"\r\n\r\n")
    assert_refused(refusal, 408)


@pytest.mark.parametrize("said", [b"", b"\r\n", VERSION + b"\r\n"], ids=["nothing", "a blank line", "a request"])
def test_who_asks_nothing_more_is_not_refused(start_daemon, said):
    """A connection that waits is closed without a word after the last answer."""
    daemon = start_daemon(config="[server]\nheader_timeout_s = 1\n")
    with daemon.connect() as connection:
        connection.sendall(said)
        assert [answer["err_code"] for answer in answers(connection)] == [0] * said.count(b"GET")


@pytest.mark.parametrize("status, request_", NOT_HTTP.values(), ids=NOT_HTTP.keys())
def test_at_the_door_too_what_is_no_request_gets_the_error_object(one_connection, status, request_):
    """Where there is no place for another connection."""
    with one_connection.connect() as connection:
        connection.sendall(request_)
        (refusal,) = answers(connection)
    assert_refused(refusal, status)


@pytest.fixture(scope="module")
def one_connection(tmp_path_factory):
    """A daemon whose only place is taken."""
    config = "[server]\nmax_connections_per_ip = 1\nheader_timeout_s = 600\n"
    daemon = Daemon(tmp_path_factory.mktemp("door"), config).start()
    with daemon.connect() as only:
        only.sendall(VERSION + b"\r\n")
        assert only.recv(65536).startswith(b"HTTP/1.1 200")
        yield daemon
    daemon.stop()


HEAD = f"POST {PREFIX}/collection/status HTTP/1.1\r\n"
LENGTH = 'Content-Length: 23\r\n\r\n{"collection_name": []}'
UNCLEAR_HEADS = {
    "no host": (400, HEAD + LENGTH),
    "two hosts": (400, HEAD + "Host: a\r\nHost: a\r\n" + LENGTH),
    "two hosts in HTTP 1.0": (400, HEAD.replace("1.1", "1.0") + "Host: a\r\nHost: a\r\n" + LENGTH),
    "two hosts in one line": (400, HEAD + "Host: a, b\r\n" + LENGTH),
    "a host with a blank": (400, HEAD + "Host: a b\r\n" + LENGTH),
    "a host with a user": (400, HEAD + "Host: ann@a\r\n" + LENGTH),
    "a whole URL for a host": (400, HEAD + "Host: http://a/\r\n" + LENGTH),
    "a target with a user": (400, HEAD.replace(PREFIX, f"http://ann@a{PREFIX}") + "Host: a\r\n" + LENGTH),
    "gzip before the chunks": (501, HEAD + "Host: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    "gzip in a line of its own": (501, HEAD + "Host: a\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "an unknown encoding before the chunks": (501, HEAD + "Host: a\r\nTransfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n"),
    "chunks in chunks": (400, HEAD + "Host: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
    "an unknown expectation": (417, HEAD + "Host: a\r\nExpect: a-pony\r\n" + LENGTH),
    "one expectation too many": (417, HEAD + "Host: a\r\nExpect: 100-continue, a-pony\r\n" + LENGTH),
}


@provokes(417)
@provokes(501)
@pytest.mark.parametrize("status, request_", UNCLEAR_HEADS.values(), ids=UNCLEAR_HEADS.keys())
def test_a_head_that_leaves_something_open_is_refused(daemon, status, request_):
    """Whom it is for, how the body is to be read, what it waits for. The connection ends: what follows is not to be told from a body."""
    with daemon.connect() as connection:
        connection.sendall(request_.encode() + VERSION + b"\r\n")
        (refusal,) = answers(connection)
    assert_refused(refusal, status)


CLEAR_HEADS = {
    "HTTP 1.0 without host": HEAD.replace("1.1", "1.0") + LENGTH,
    "an empty host": HEAD + "Host:\r\n" + LENGTH,
    "any host": HEAD + "Host: My_Service.example.:8080\r\n" + LENGTH,
    "a host beyond ASCII": HEAD + "Host: t\xfcr:8080\r\n" + LENGTH,
    "a port that is none": HEAD + "Host: a:99999\r\n" + LENGTH,
    "a whole URL of another host": HEAD.replace(PREFIX, f"http://b:80{PREFIX}") + "Host: a\r\n" + LENGTH,
    "the usual expectation": HEAD + "Host: a\r\nExpect: 100-Continue\r\n" + LENGTH,
    "one length twice": HEAD + "Host: a\r\nContent-Length: 23\r\n" + LENGTH,
    "chunks": HEAD + 'Host: a\r\nTransfer-Encoding: Chunked\r\n\r\n17\r\n{"collection_name": []}\r\n0\r\n\r\n',
}


@pytest.mark.parametrize("request_", CLEAR_HEADS.values(), ids=CLEAR_HEADS.keys())
def test_a_head_that_is_clear_is_served(daemon, request_):
    """Old and careless clients, too."""
    assert exchange(daemon, request_)["err_code"] == 0


@pytest.mark.parametrize("order", [0, 1], ids=["length first", "chunks first"])
def test_a_length_beside_chunks_is_not_looked_at(daemon, order):
    """Chunks count, as HTTP/1.1 says, and what follows on the connection is not read: who believed the length cannot smuggle a request."""
    lines = ["Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n"]
    head = HEAD + "Host: a\r\n" + "".join(lines[::-1] if order else lines)
    with daemon.connect() as connection:
        connection.sendall(head.encode() + b'\r\n17\r\n{"collection_name": []}\r\n0\r\n\r\n' + VERSION + b"\r\n")
        (answer,) = answers(connection)
    assert answer["err_code"] == 0
    assert answer.headers["Connection"] == "close"


@provokes(405)
@pytest.mark.parametrize("line", ["OPTIONS *", "CONNECT a:80", "TRACE /", f"TRACE {PREFIX}/version", "GET *"])
def test_405_what_is_asked_of_a_server_and_not_of_a_path(daemon, line):
    """No proxy, no mirror; which methods there are is said."""
    answer = exchange(daemon, f"{line} HTTP/1.1\r\nHost: a\r\n\r\n")
    assert_error(answer, 405)
    assert answer.headers["Allow"] == "GET, POST"


BROKEN_CHUNKS = [b"zz\r\n{}\r\n", b"fffffffffffffffffff\r\n{}", b"2\r\n{}}}}", b"-2\r\n{}\r\n"]


@provokes(1011)
@pytest.mark.parametrize("chunks", BROKEN_CHUNKS)
def test_1011_broken_chunks(daemon, chunks):
    """The head was good: the endpoint says what is wrong with the body."""
    with daemon.connect() as connection:
        connection.sendall(STATUS + b"Transfer-Encoding: chunked\r\n\r\n" + chunks)
        (answer,) = answers(connection)
    assert_error(answer, 1011)


def test_the_messages_are_those_of_the_document():
    """The first eight codes are the customer's own."""
    documented = documented_messages()
    assert set(documented) == set(range(1001, 1009))
    for code, message in documented.items():
        assert MESSAGES[code] == message


def test_every_code_is_provoked_or_says_why_not():
    """A new code in the table needs a test here."""
    everything = set(MESSAGES) | {400, 404, 405, 408, 413, 414, 415, 417, 429, 431, 501, 505}
    assert set(PROVOKED) | set(NOT_PROVOKED_HERE) == everything
    assert not set(PROVOKED) & set(NOT_PROVOKED_HERE)


@pytest.mark.parametrize("path", ["/face/detect", "/face/feature", "/face/search"])
def test_what_is_wrong_with_the_only_picture_names_its_field(daemon, collection, path):
    """As for one of several: `face_image: ` and the reason."""
    for picture, code in {"": 1010, "aGFsbG8=": 1010, "!!": 1010, scenery(): 1009}.items():
        answer = daemon.ask(path, collection_name=collection, face_image=picture, top_k=1)
        if path == "/face/detect" and code == 1009:
            assert answer["err_code"] == 0 and answer["status"] == []
        else:
            assert_error(answer, code)
            assert answer["detail"].startswith("face_image: "), answer
