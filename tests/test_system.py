"""Version and license: what a client asks first."""

import re

import pytest
import requests

from contract import ENDPOINTS, PREFIX, assert_error
from daemon import run
from faces import OBAMA, portrait


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_version_is_v_and_the_version_of_the_program(daemon, method):
    """A client learns which release it talks to; it is the one that `recocomp version` prints."""
    answer = daemon.ask("/version", method)
    assert set(answer) == {"err_code", "version"}
    assert answer["err_code"] == 0
    assert re.fullmatch(r"V\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?", answer["version"]), answer
    assert answer["version"].removeprefix("V") in run("version").stdout


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_license_of_a_development_daemon_is_authorized(daemon, method):
    """A daemon started with --development licenses itself."""
    answer = daemon.ask("/license", method)
    assert answer["err_code"] == 0
    assert answer["status"] == "Authorized"


@pytest.mark.parametrize("path", ["/version", "/license"])
@pytest.mark.parametrize("body", [None, b"", b"{}", b"[1, 2", b"\xff\xfe", b'{"unknown": 1}'])
def test_version_and_license_need_no_body(daemon, path, body):
    """Both answer without a body and whatever the body is: they take no parameter."""
    assert daemon.send(path, body, "GET")["err_code"] == 0
    assert daemon.send(path, body, "POST")["err_code"] == 0


def test_without_a_license_only_version_and_license_answer(start_daemon):
    """Started without --development and without a license file, the daemon says so at every door but these two."""
    daemon = start_daemon(development=False)
    assert daemon.ask("/version")["err_code"] == 0
    license_answer = daemon.ask("/license")
    assert license_answer["err_code"] == 0
    assert license_answer["status"] == "Unauthorized"
    for path in ENDPOINTS:
        if path not in ("/version", "/license"):
            assert_error(daemon.ask(path, collection_name="face_col"), 1012)
            assert_error(daemon.ask(path, "GET", collection_name="face_col"), 1012)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/json; charset=gbk"},
        {"Content-Type": "image/jpeg"},
        {"Content-Type": ";;;"},
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_body_is_json_whatever_the_content_type_says(daemon, collection, method, headers):
    """A client that forgets or mistakes Content-Type is served all the same."""
    body = '{"collection_name": ["%s"]}' % collection
    answer = daemon.send("/collection/status", body, method, headers)
    assert answer["err_code"] == 0
    assert answer["status"][0]["collection_name"] == collection


def test_answers_are_json(daemon):
    """Clients may rely on Content-Type: application/json in every answer."""
    for answer in (
        daemon.ask("/version"),
        daemon.ask("/license"),
        daemon.ask("/collection/status", collection_name=[]),
    ):
        assert answer.http == 200
        assert answer.content_type.startswith("application/json")


def test_metrics_count_people_and_damage(start_daemon):
    """Monitoring sees how many people are enrolled, and that a file was damaged, without learning who anybody is."""
    daemon = start_daemon()
    daemon.ask("/create/collection", collection_name="face_col")
    assert daemon.insert("face_col", ("obama", portrait(OBAMA)))["success_num"] == 1
    before = metrics(daemon)
    assert (before["recocomp_people"], before["recocomp_features"]) == (1, 1)
    assert before["recocomp_gallery_commits_total"] >= before["recocomp_gallery_commit_syncs_total"] == 1
    assert before["recocomp_gallery_damage_total"] == 0
    daemon.stop()
    (journal,) = (daemon.data / "gallery").rglob("journal-*")
    content = bytearray(journal.read_bytes())
    content[len(content) // 2] ^= 1
    journal.write_bytes(content)
    daemon.start()
    assert metrics(daemon)["recocomp_gallery_damage_total"] >= 1


def metrics(daemon) -> dict[str, float]:
    answer = requests.get(daemon.url("").removesuffix(PREFIX) + "/metrics", timeout=10)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    samples = [line.split(" ") for line in answer.text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in samples}
