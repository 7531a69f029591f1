"""Bodies: JSON whatever its type, pictures as they are, and what is said of everything else."""

import base64
import bz2
import gzip
import json
import zlib

import pytest
import requests

import faces
from contract import ENDPOINTS, PREFIX, assert_batch, assert_error
from daemon import Answer
from faces import BIDEN, OBAMA, OBAMA_2, encoded, portrait

PICTURES = ["/face/insert", "/face/update", "/face/search", "/face/compare", "/face/detect", "/face/feature"]
OTHERS = [path for path in ENDPOINTS if path not in [*PICTURES, "/version", "/license"]]


def jpeg(name: str) -> bytes:
    return encoded(faces.head_and_shoulders(name))


def form(daemon, path, fields: list, files: list, **options) -> Answer:
    """multipart/form-data as the usual library writes it."""
    with requests.Session() as session:
        session.trust_env = False
        response = session.post(daemon.url(path), data=fields, files=files, timeout=120, **options)
        return Answer(response.status_code, response.headers, response.content)


def plain(daemon, path, picture: bytes, query: str = "", kind: str = "image/jpeg", method: str = "POST") -> Answer:
    """The picture is the body, the other fields are in the query."""
    return daemon.send(path + query, picture, method, {"Content-Type": kind})


def picture(name: str, field: str = "face_image") -> tuple:
    return (field, (f"{name}.jpg", jpeg(name), "image/jpeg"))


# JSON


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded", "image/jpeg", "multipart/form-data; boundary=x", "nonsense"])
@pytest.mark.parametrize("before", [b"", b" \r\n\t", b"\xef\xbb\xbf", b"\r\n\xef\xbb\xbf "])
def test_what_begins_with_a_brace_is_json_whatever_its_type(daemon, kind, before):
    """Behind blanks and a byte order mark, too."""
    headers = {"Content-Type": kind} if kind else {}
    answer = daemon.send("/collection/status", before + b'{"collection_name": []}', headers=headers)
    assert answer["err_code"] == 0
    answer = daemon.send("/face/detect", before + json.dumps({"face_image": portrait(OBAMA)}).encode(), headers=headers)
    assert len(answer["status"]) == 1


# Multipart


def test_faces_are_enrolled_and_found_from_a_form(daemon, collection):
    """Files with repeated names for the lists, in order; the answers are those of JSON."""
    answer = form(
        daemon,
        "/face/insert",
        [("collection_name", collection), ("target_id", "obama"), ("target_id", "nobody"), ("target_id", "José")],
        [picture(OBAMA), ("face_image", ("x.png", encoded(faces.without_face(), "PNG"), "image/png")), picture(BIDEN)],
    )
    assert_batch(answer, stored=2, invalid={1: "nobody"})
    answer = form(daemon, "/face/update", [("collection_name", collection), ("target_id[]", "José")], [picture(BIDEN, "face_image[]")])
    assert_batch(answer, stored=1)
    answer = form(daemon, "/face/search", [("collection_name", collection), ("top_k", "1")], [picture(OBAMA)])
    same = daemon.ask("/face/search", collection_name=collection, top_k=1, face_image=portrait(OBAMA))
    assert answer["status"] == same["status"]
    assert answer["status"][0]["result"] == "obama"
    answer = form(daemon, "/face/search", [("collection_name", collection), ("top_k", "2")], [picture(BIDEN)])
    assert answer["status"][0]["result"] == "José"


def test_faces_are_compared_detected_and_extracted_from_a_form(daemon):
    """To the last digit as from JSON."""
    answer = form(daemon, "/face/compare", [], [picture(OBAMA, "face_image1"), picture(OBAMA_2, "face_image2")])
    assert answer["score"] == daemon.compare(portrait(OBAMA), portrait(OBAMA_2))
    for path in ("/face/detect", "/face/feature"):
        answer = form(daemon, path, [("liveness", "True")], [picture(OBAMA)])
        same = daemon.ask(path, face_image=portrait(OBAMA), liveness=True)
        assert dict(answer) == dict(same)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "WEBP"])
@pytest.mark.parametrize("part_type", ["image/jpeg", "application/octet-stream", None])
def test_every_format_is_read_whatever_its_part_says(daemon, kind, part_type):
    """Cameras and libraries name wrong types; the bytes count."""
    file = encoded(faces.head_and_shoulders(OBAMA), kind)
    answer = form(daemon, "/face/detect", [], [("face_image", ("x", file, part_type) if part_type else ("x", file))])
    assert len(answer["status"]) == 1


def test_base64_in_a_form_is_read_too(daemon):
    """A text field as in JSON, with or without a data: prefix, and a part that says that it is base64."""
    expected = daemon.ask("/face/detect", face_image=portrait(OBAMA))["status"]
    for text in (portrait(OBAMA), "data:image/jpeg;base64," + portrait(OBAMA)):
        answer = form(daemon, "/face/detect", [], [("face_image", (None, text))])
        assert answer["status"] == expected
    body = (
        '--b\r\nContent-Disposition: form-data; name="face_image"\r\nContent-Transfer-Encoding: base64\r\n\r\n'
        + portrait(OBAMA)
        + "\r\n--b--\r\n"
    )
    answer = daemon.send("/face/detect", body, headers={"Content-Type": "multipart/form-data; boundary=b"})
    assert answer["status"] == expected


def test_a_form_with_something_missing_or_twice(daemon, collection):
    """The same codes as JSON has, and the field's name."""
    for fields, files, field in [
        ([("collection_name", collection)], [picture(OBAMA)], "top_k"),
        ([("collection_name", collection), ("top_k", "0")], [picture(OBAMA)], "top_k"),
        ([("collection_name", collection), ("top_k", "1"), ("top_k", "2")], [picture(OBAMA)], "top_k"),
        ([("top_k", "1")], [picture(OBAMA)], "collection_name"),
        ([("collection_name", collection), ("top_k", "1"), ("open", "yes")], [picture(OBAMA)], "open"),
        ([("collection_name", collection), ("top_k", "1")], [("x", ("x", b"x"))], "face_image"),
        ([("collection_name", collection), ("top_k", "1")], [picture(OBAMA), picture(BIDEN)], "face_image"),
        ([("collection_name", b"\xe9"), ("top_k", "1")], [picture(OBAMA)], "collection_name"),
    ]:
        answer = form(daemon, "/face/search", fields, files)
        assert_error(answer, 1011)
        assert answer["detail"].startswith(field), answer
    answer = form(daemon, "/face/insert", [("collection_name", collection), ("target_id", "a")], [picture(OBAMA), picture(BIDEN)])
    assert_error(answer, 1011)
    assert_batch(answer, stored=0)


def test_a_file_of_a_form_that_is_no_picture(daemon):
    """1010, as from JSON, with what is read."""
    for file in (b"", b"hello", b"\xff\xd8\xff\xe0", b"GIF89a" + bytes(20), b"%PDF-1.4"):
        answer = form(daemon, "/face/detect", [], [("face_image", ("x.jpg", file, "image/jpeg"))])
        assert_error(answer, 1010)


def test_a_broken_form_is_told_what_is_wrong(daemon):
    """Cut off anywhere it is 1011 and nothing is taken from it."""
    head = b'--b\r\nContent-Disposition: form-data; name="face_image"; filename="x.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
    whole = head + jpeg(OBAMA) + b"\r\n--b--\r\n"
    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    assert len(daemon.send("/face/detect", whole, headers=kind)["status"]) == 1
    for cut in (3, 20, len(head), len(head) + 1000, len(whole) - 8):
        assert_error(daemon.send("/face/detect", whole[:cut], headers=kind), 1011)
    for headers, word in [
        ({"Content-Type": "multipart/form-data"}, "boundary"),
        ({"Content-Type": "multipart/form-data; boundary=other"}, "boundary"),
        ({"Content-Type": "multipart/mixed; boundary=b"}, "multipart/form-data"),
        ({}, "multipart/form-data"),
    ]:
        answer = daemon.send("/face/detect", whole, headers=headers)
        assert_error(answer, 1011)
        assert word in answer["detail"], answer


def test_limits_of_a_form_are_those_of_json(start_daemon):
    """Pictures of a batch, bytes of a picture, bytes of the body."""
    small, large = jpeg(OBAMA), encoded(faces.head_and_shoulders(OBAMA, 640))
    config = f"[limits]\nmax_batch = 2\nmax_picture_bytes = {len(small)}\nmax_body_bytes = {4 * len(small) + 2000}\n"
    daemon = start_daemon(config=config)
    daemon.ask("/create/collection", collection_name="staff")

    def insert(*files):
        fields = [("collection_name", "staff")] + [("target_id", f"p{index}") for index in range(len(files))]
        return form(daemon, "/face/insert", fields, [("face_image", ("x.jpg", file)) for file in files])

    assert_batch(insert(small, small), stored=2)
    assert_error(insert(small, small, small), 1011)
    assert_error(insert(*[small] * 5), 413)
    assert len(small) < len(large) < 4 * len(small)
    assert_error(insert(large), 1010)
    assert_error(plain(daemon, "/face/detect", large), 1010)
    assert_error(plain(daemon, "/face/detect", small * 5), 413)
    many = [("x", str(number)) for number in range(200)]
    assert_error(form(daemon, "/face/detect", many, [picture(OBAMA)]), 1011)


def test_a_form_takes_no_second_copy_of_its_memory(start_daemon):
    """A body of 60 MB, most of it files that are no pictures, is held once."""
    daemon = start_daemon(config="[recognition]\nworkers = 1\n")
    daemon.ask("/create/collection", collection_name="staff")
    files = [("face_image", ("x.jpg", jpeg(OBAMA) + bytes(10_000_000))) for _ in range(6)]
    fields = [("collection_name", "staff")] + [("target_id", f"p{index}") for index in range(6)]
    form(daemon, "/face/insert", fields[:2], files[:1])
    daemon.forget_peak_memory()
    before = daemon.peak_memory_kib()
    answer = form(daemon, "/face/insert", fields, files)
    assert answer["err_code"] == 0, answer
    # The buffer doubles as it grows: 64 MiB hold the body, and half of it is there while it grows.
    assert daemon.peak_memory_kib() - before < 110 * 1024


# Raw pictures


def test_a_picture_may_be_the_whole_body(daemon, collection):
    """With the other fields in the query, percent-encoded; GET works as well, where there is a body."""
    query = f"?collection_name={collection}&target_id=Jos%C3%A9+B"
    assert_batch(plain(daemon, "/face/insert", jpeg(OBAMA), query), stored=1)
    assert_batch(plain(daemon, "/face/update", jpeg(OBAMA), query), stored=1)
    for method in ("POST", "GET"):
        answer = plain(daemon, "/face/search", jpeg(OBAMA), f"?collection_name={collection}&top_k=1", method=method)
        assert answer["status"][0]["result"] == "José B"
    for path in ("/face/detect", "/face/feature"):
        same = daemon.ask(path, face_image=portrait(OBAMA), liveness=True)
        assert dict(plain(daemon, path, jpeg(OBAMA), "?liveness=true")) == dict(same)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "WEBP"])
@pytest.mark.parametrize("content_type", ["image/jpeg", "IMAGE/PNG", "image/*; q=1"])
def test_every_format_is_read_under_any_type_of_picture(daemon, kind, content_type):
    """That it is one is what the type must say."""
    file = encoded(faces.head_and_shoulders(OBAMA), kind)
    assert len(plain(daemon, "/face/detect", file, kind=content_type)["status"]) == 1


def test_a_raw_picture_with_something_missing_or_wrong(daemon, collection):
    """The same codes as JSON has, and the field's name."""
    for path, query, field in [
        ("/face/search", "", "collection_name"),
        ("/face/search", f"?collection_name={collection}", "top_k"),
        ("/face/search", f"?collection_name={collection}&top_k=1&top_k=2", "top_k"),
        ("/face/insert", f"?collection_name={collection}", "target_id"),
        ("/face/compare", "", "face_image1"),
        ("/face/detect", "?liveness=maybe", "liveness"),
    ]:
        answer = plain(daemon, path, jpeg(OBAMA), query)
        assert_error(answer, 1011)
        assert answer["detail"].startswith(field), answer
    answer = plain(daemon, "/face/insert", jpeg(OBAMA), f"?collection_name={collection}&target_id=Jos%E9")
    assert_error(answer, 1011)
    assert "UTF-8" in answer["detail"]
    assert_error(plain(daemon, "/face/detect", b"\0\0\0\x18ftypheic" + bytes(100), kind="image/heic"), 1010)


def test_the_query_counts_beside_raw_pictures_alone(daemon, collection):
    """JSON bodies have their fields themselves; what stands in the URL of one never did anything."""
    assert_error(daemon.ask(f"/face/search?collection_name={collection}&top_k=1", face_image=portrait(OBAMA)), 1011)
    assert_error(daemon.send(f"/delete/collection?collection_name={collection}", b""), 1011)
    assert daemon.status(collection)


@pytest.mark.parametrize("path", OTHERS)
def test_other_endpoints_take_json_alone(daemon, collection, path):
    """1011, and nothing happens."""
    for answer in (
        form(daemon, path, [("collection_name", collection), ("target_id", "x")], [picture(OBAMA)]),
        plain(daemon, path, jpeg(OBAMA), f"?collection_name={collection}&target_id=x"),
    ):
        assert_error(answer, 1011)
        assert "JSON object" in answer["detail"]
    assert daemon.status(collection)


# What is neither

BODY = b'{"collection_name": []}'
NOT_READ = {
    "empty": (b"", {}, "empty"),
    "blanks": (b" \r\n", {}, "empty"),
    "gzip": (gzip.compress(BODY), {}, "gzip"),
    "deflate": (zlib.compress(BODY), {}, "deflate"),
    "zip": (b"PK\x03\x04" + bytes(30), {}, "ZIP"),
    "bzip2": (bz2.compress(BODY), {}, "bzip2"),
    "UTF-16 with a mark": (BODY.decode().encode("utf-16"), {}, "UTF-16"),
    "UTF-16 little endian": (BODY.decode().encode("utf-16-le"), {}, "UTF-16"),
    "UTF-16 big endian": (BODY.decode().encode("utf-16-be"), {}, "UTF-16"),
    "UTF-32": (BODY.decode().encode("utf-32"), {}, "UTF-32"),
    "Latin-1": (b'{"collection_name": "\xe9"}', {}, "UTF-8"),
    "form fields": (b"collection_name=staff&top_k=1", {"Content-Type": "application/x-www-form-urlencoded"}, "form fields"),
    "form fields without a type": (b"collection_name=staff", {}, "form fields"),
    "a list": (b"[" + BODY + b"]", {}, "list"),
    "a string": (json.dumps(BODY.decode()).encode(), {}, "string"),
    "a number": (b"7", {}, "number"),
    "null": (b"null", {}, "literal"),
    "XML": (b"<?xml version='1.0'?>", {}, "XML"),
    "base64": (base64.b64encode(bytes(1000)), {}, "base64"),
    "text": (b"hello", {}, "text"),
    "a JPEG without a type": (b"\xff\xd8\xff\xe0" + bytes(100), {}, "image/jpeg"),
    "a JPEG of another type": (b"\xff\xd8\xff\xe0" + bytes(100), {"Content-Type": "application/octet-stream"}, "image/jpeg"),
    "a text called a picture": (b"hello", {"Content-Type": "image/jpeg"}, "image/jpeg"),
    "bytes": (bytes(range(128, 256)), {"Content-Type": "application/octet-stream"}, "octet-stream"),
}


@pytest.mark.parametrize("body, headers, word", NOT_READ.values(), ids=NOT_READ.keys())
def test_everything_else_is_told_what_came_and_what_to_send(daemon, body, headers, word):
    """1011, in one sentence."""
    for path in ("/collection/status", "/face/detect"):
        answer = daemon.send(path, body, headers=headers)
        assert_error(answer, 1011)
        assert word in answer["detail"], answer
        assert word == "UTF-8" or "JSON object" in answer["detail"], answer


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "x-gzip", "identity, gzip", "nonsense"])
def test_415_an_encoded_body(daemon, coding):
    """Refused before it is read, whatever is in it."""
    for body in (gzip.compress(BODY), BODY, b"\xff\xd8\xff" + bytes(2_000_000)):
        for path in ("/collection/status", "/face/insert"):
            answer = daemon.send(path, body, headers={"Content-Encoding": coding})
            assert_error(answer, 415)
            assert "Content-Encoding" in answer["detail"]
    assert daemon.send("/collection/status", BODY, headers={"Content-Encoding": "identity"})["err_code"] == 0


# Base64 that suffered on the way

WHOLE = portrait(OBAMA)
SUFFERED = {
    "a + became a blank": (WHOLE.replace("+", " "), "a + of its base64"),
    "a + became a blank in wrapped lines": (base64.encodebytes(jpeg(OBAMA)).decode().replace("+", " "), "a + of its base64"),
    "percent-encoded": (WHOLE.replace("+", "%2B").replace("=", "%3D"), "percent-encoded"),
    "HTML entities": (WHOLE.replace("+", "&#43;"), "HTML entities"),
    "escaped twice": (WHOLE.replace("/", "\\/"), "escaped twice"),
    "as Python prints bytes": (f"b'{WHOLE}'", "Python"),
    "in quotes": (f'"{WHOLE}"', "quotes"),
    "a prefix without data:": (f"image/jpeg;base64,{WHOLE}", "data:"),
    "a data: URL without base64": (f"data:image/jpeg,{WHOLE}", "base64"),
    "cut off": (WHOLE.rstrip("=")[: len(WHOLE) // 4 * 4 - 7], "cut off"),
    "two in one": (base64.b64encode(b"\xff\xd8\xff\xe0").decode() + WHOLE, "several texts"),
    "hexadecimal": (jpeg(OBAMA).hex(), "hexadecimal"),
    "the file itself": (jpeg(OBAMA).decode("latin-1"), "the file itself"),
    "an address": ("https://pictures.example/1.jpg", "an address"),
}


@pytest.mark.parametrize("text, word", SUFFERED.values(), ids=SUFFERED.keys())
def test_1010_base64_that_suffered_is_told_how(daemon, text, word):
    """What went wrong is seen from the text, so whoever wrote the client need not guess."""
    answer = daemon.ask("/face/detect", face_image=text)
    assert_error(answer, 1010)
    assert word in answer["detail"], answer


def wrapped(text: str, width: int, end: str) -> str:
    return end.join(text[at : at + width] for at in range(0, len(text), width))


@pytest.mark.parametrize("width, end", [(76, "\n"), (76, "\r\n"), (64, " "), (64, "\n    "), (61, "\n"), (1000, "\t")])
def test_base64_in_lines_is_whole(daemon, width, end):
    """Line ends, blanks at regular places and indentation, with the standard and the URL-safe alphabet; also where there is no + at all."""
    no_plus = base64.b64encode(encoded(faces.head_and_shoulders(OBAMA), "BMP")[:54]).decode()
    for text in (WHOLE, WHOLE.replace("+", "-").replace("/", "_")):
        assert len(daemon.ask("/face/detect", face_image=wrapped(text, width, end))["status"]) == 1
    answer = daemon.ask("/face/detect", face_image=wrapped(no_plus, width, end))
    assert "+" not in no_plus and "a +" not in answer["detail"]
