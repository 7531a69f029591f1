"""The Python examples of the API document run as they stand, with only the host replaced, and print what it says they print."""

import ast
import os
import re
import subprocess
import sys

import pytest

import faces
from contract import DOCUMENT
from daemon import Daemon

TEXT = DOCUMENT.read_text("utf-8")
HOST = "http://daipops-engine-reco-comp-daipops.test.dm-ai.cn"

# The order in which a client would run them: each chapter of the document once, except that what deletes comes last.
ORDER = [
    "/version",
    "/license",
    "/create/collection",
    "/face/insert",
    "/face/search",
    "/face/update",
    "/face/compare",
    "/collection/status",
    "/delete/id",
    "/clear/collection",
    "/delete/collection",
]


def chapters() -> dict[str, tuple[str, object]]:
    """Path of each endpoint, its Python example, and its documented answer read as a Python literal."""
    found = {}
    for chapter in re.split(r"\n-{30,}\n", TEXT):
        code = re.search(r"\n\.\. code-block:: python\n\n((?:    .*\n|\s*\n)+)", chapter)
        answer = re.search(r"\(6\)[^\n]*\n[\^]+\n\s*\.\. code-block::\n\n((?:    .*\n|\s*\n)+)", chapter)
        if code and answer:
            source = re.sub(r"^    ", "", code[1], flags=re.MULTILINE)
            path = re.search(r"recocomp(/[a-z/]+)'", source)[1]
            found[path] = source, literal(answer[1])
    return found


def literal(text: str):
    """The document's search example closes one brace too many; everything else is a Python literal."""
    text = text.strip()
    try:
        return ast.literal_eval(text)
    except SyntaxError:
        return ast.literal_eval(text.replace("}]}\n", "}]\n"))


EXAMPLES = chapters()


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    """Runs all the examples in order against one daemon; what each printed, by path."""
    folder = tmp_path_factory.mktemp("examples")
    (folder / "test1.jpg").write_bytes(faces.file_bytes(faces.OBAMA))
    (folder / "test2.jpg").write_bytes(faces.file_bytes(faces.OBAMA_2))
    daemon = Daemon(folder / "daemon").start()
    answers = {}
    try:
        for path in ORDER:
            source = EXAMPLES[path][0].replace(HOST, f"http://127.0.0.1:{daemon.port}")
            ended = subprocess.run(
                [sys.executable, "-c", source],
                cwd=folder,
                capture_output=True,
                text=True,
                timeout=120,
                env={**os.environ, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"},
            )
            assert ended.returncode == 0, f"{path}: {ended.stderr}"
            answers[path] = ast.literal_eval(ended.stdout)
    finally:
        daemon.stop()
    daemon.assert_no_panic()
    return answers


def test_every_chapter_has_an_example():
    """Eleven endpoints, eleven examples, and all of them are run."""
    assert set(EXAMPLES) == set(ORDER)
    assert len(ORDER) == 11
    assert TEXT.count(HOST) >= 2 * len(ORDER)


MESSAGES = [
    "/create/collection",
    "/clear/collection",
    "/delete/collection",
    "/face/insert",
    "/face/update",
    "/delete/id",
]


@pytest.mark.parametrize("path", MESSAGES)
def test_the_example_prints_the_documented_answer(printed, path):
    """Field by field and word by word."""
    assert printed[path] == EXAMPLES[path][1]


def test_version_example(printed):
    """The documented fields; V and three numbers."""
    assert set(printed["/version"]) == set(EXAMPLES["/version"][1])
    assert printed["/version"]["err_code"] == 0
    assert re.fullmatch(r"V\d+\.\d+\.\d+", printed["/version"]["version"])


def test_license_example(printed):
    """The documented answer; a development license is said to be one in a detail beside it."""
    answer = dict(printed["/license"])
    answer.pop("detail", None)
    assert answer == EXAMPLES["/license"][1]


def test_search_example(printed):
    """test2.jpg finds the person enrolled with test1.jpg: the documented id, a score above 0.9."""
    documented = EXAMPLES["/face/search"][1]
    answer = printed["/face/search"]
    assert set(answer) == set(documented)
    assert answer["err_code"] == 0
    assert [row["result"] for row in answer["status"]] == [row["result"] for row in documented["status"]] == ["huge"]
    assert set(answer["status"][0]) == set(documented["status"][0])
    assert isinstance(answer["status"][0]["score"], float)
    assert 0.9 < answer["status"][0]["score"] <= 1


def test_compare_example(printed):
    """Two pictures of one person: the documented fields, a score above 0.9."""
    assert set(printed["/face/compare"]) == set(EXAMPLES["/face/compare"][1])
    assert printed["/face/compare"]["err_code"] == 0
    assert isinstance(printed["/face/compare"]["score"], float)
    assert 0.9 < printed["/face/compare"]["score"] <= 1


def test_status_example(printed):
    """The documented fields, types and time format; one feature after the update."""
    documented, answer = EXAMPLES["/collection/status"][1], printed["/collection/status"]
    assert set(answer) == set(documented)
    assert len(answer["status"]) == 1
    row, documented_row = answer["status"][0], documented["status"][0]
    assert {name: type(value) for name, value in row.items()} == {
        name: type(value) for name, value in documented_row.items()
    }
    assert row["collection_name"] == documented_row["collection_name"] == "face_col"
    assert row["feature_num"] == 1
    shape = r"[A-Z][a-z]{2} [A-Z][a-z]{2} [ 0-3]\d \d\d:\d\d:\d\d \d{4}"
    for field in ("create_time", "update_time"):
        assert re.fullmatch(shape, documented_row[field])
        assert re.fullmatch(shape, row[field])
