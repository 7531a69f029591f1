"""Browsers: which web pages may use the daemon, what configured ones get, and that machines are served as ever."""

import json
import platform

import pytest
import requests

from contract import ENDPOINTS, PREFIX, assert_error
from daemon import Daemon, read_answer, run
from faces import OBAMA, portrait

KIOSK = "https://kiosk.example"
ALLOWED = f'[server]\norigins = ["{KIOSK}", "http://10.0.0.5:3000"]\nnames = ["door.example"]\n'


@pytest.fixture(scope="module")
def kiosk_daemon(tmp_path_factory):
    """A daemon that a page of another site may use, and that has a name in its network."""
    daemon = Daemon(tmp_path_factory.mktemp("kiosk"), config=ALLOWED).start()
    yield daemon
    daemon.stop()


def ask(daemon, path, headers, method="POST", **fields):
    return daemon.send(path, json.dumps(fields), method, headers)


def collections(daemon) -> set[str]:
    return {row["collection_name"] for row in daemon.status()}


def raw(daemon, method: str, target: str, headers: dict):
    """The answer to a request without body, as the client library gives it."""
    with requests.Session() as session:
        session.trust_env = False
        return session.request(method, f"http://127.0.0.1:{daemon.port}{target}", headers=headers, timeout=30)


@pytest.mark.parametrize("path", ENDPOINTS)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_page_of_another_site_is_refused_by_every_endpoint(daemon, path, method):
    """403 with the line of the configuration that would let it, whatever it asks for."""
    answer = ask(daemon, path, {"Origin": "http://evil.example", "Content-Type": "text/plain"}, method, collection_name="evil")
    assert_error(answer, 1015)
    assert answer.http == 403
    assert 'origins = ["http://evil.example"]' in answer["detail"]
    assert "evil" not in collections(daemon)
    assert not [name for name in answer.headers if name.lower().startswith("access-control-")]


@pytest.mark.parametrize("target", ["/metrics", "/", f"{PREFIX}/nothing"])
def test_a_page_of_another_site_is_refused_wherever_it_looks(daemon, target):
    """Figures and paths that do not exist are none of its business."""
    answer = raw(daemon, "GET", target, {"Origin": "http://evil.example"})
    assert (answer.status_code, answer.json()["err_code"]) == (403, 1015)


@pytest.mark.parametrize("origin", ["null", "", "*", "evil.example", "http://evil.example/path", f"{KIOSK}, {KIOSK}", "file://"])
def test_an_origin_that_names_no_page_is_refused(kiosk_daemon, origin):
    """Files, closed frames and nonsense."""
    answer = ask(kiosk_daemon, "/create/collection", {"Origin": origin}, collection_name="evil")
    assert_error(answer, 1015)
    assert answer.http == 403


def test_several_origins_are_refused(kiosk_daemon):
    """Also where each of them is allowed."""
    with kiosk_daemon.connect() as connection:
        head = f"POST {PREFIX}/version HTTP/1.1\r\nHost: localhost\r\nOrigin: {KIOSK}\r\nOrigin: {KIOSK}\r\nContent-Length: 2\r\n\r\n{{}}"
        connection.sendall(head.encode())
        assert_error(read_answer(connection), 1015)


def test_what_the_browser_marks_as_of_another_site_is_refused(kiosk_daemon):
    """With an origin of this device, too, and without one; a configured page is marked so rightly."""
    port = kiosk_daemon.port
    marked = {"Sec-Fetch-Site": "cross-site"}
    for more in ({}, {"Origin": f"http://127.0.0.1:{port}"}):
        answer = ask(kiosk_daemon, "/create/collection", marked | more, collection_name="evil")
        assert_error(answer, 1015)
        assert answer.http == 403
    assert raw(kiosk_daemon, "GET", f"{PREFIX}/version", marked).status_code == 403
    assert ask(kiosk_daemon, "/version", marked | {"Origin": KIOSK})["err_code"] == 0
    for site in ("same-origin", "none"):
        assert ask(kiosk_daemon, "/version", {"Sec-Fetch-Site": site})["err_code"] == 0


def test_a_name_that_leads_here_by_somebody_elses_doing_is_refused(kiosk_daemon):
    """DNS rebinding: the page is of the same origin, but the name is not this device's; the answer names the line to add."""
    for name in ("rebound.evil.example", "rebound.evil.example:8080", "door.example.evil.example"):
        answer = ask(kiosk_daemon, "/create/collection", {"Host": name, "Origin": f"http://{name}"}, collection_name="evil")
        assert_error(answer, 1015)
        assert answer.http == 403
        assert f'names = ["{name.split(":")[0]}"]' in answer["detail"]
    answer = ask(kiosk_daemon, "/version", {"Host": "rebound.evil.example", "Origin": KIOSK})
    assert_error(answer, 1015)
    assert "evil" not in collections(kiosk_daemon)


def own_names() -> list[str]:
    node = platform.node()
    return [node, node.upper(), f"{node.split('.')[0]}.local"]


@pytest.mark.parametrize("host", ["127.0.0.1:{}", "10.20.30.40", "[::1]:{}", "localhost:{}", "door.example", "DOOR.example:{}", *own_names()])
def test_a_page_of_the_device_itself_is_served_under_its_names(kiosk_daemon, host):
    """Addresses, localhost, its own name with and without .local, and what is configured."""
    host = host.format(kiosk_daemon.port)
    assert ask(kiosk_daemon, "/version", {"Host": host, "Origin": f"http://{host}"})["err_code"] == 0


def test_another_scheme_or_port_is_another_page(daemon):
    """Whoever serves pages beside the daemon on this device is configured like everybody else."""
    host = f"127.0.0.1:{daemon.port}"
    for origin in (f"https://{host}", "http://127.0.0.1", "http://127.0.0.1:1", f"http://localhost:{daemon.port}"):
        answer = ask(daemon, "/version", {"Host": host, "Origin": origin})
        assert_error(answer, 1015)
        assert f'origins = ["{origin}"]' in answer["detail"]


@pytest.mark.parametrize("host", ["rebound.evil.example", "my_service:8080", "10.0.0.1", "recognition", ""])
def test_machines_are_served_under_any_name(daemon, host):
    """They send no Origin; reference clients have names of their own for the device."""
    assert ask(daemon, "/collection/status", {"Host": host}, collection_name=[])["err_code"] == 0


def test_a_configured_page_is_served_and_its_browser_lets_it_read(kiosk_daemon):
    """Every answer names the page, and only it: success, failure, unknown path."""
    asked = [
        (ask(kiosk_daemon, "/version", {"Origin": KIOSK}), 0),
        (ask(kiosk_daemon, "/face/detect", {"Origin": KIOSK}, face_image=portrait(OBAMA)), 0),
        (ask(kiosk_daemon, "/person/list", {"Origin": KIOSK}), 1011),
        (ask(kiosk_daemon, "/nothing", {"Origin": KIOSK}), 404),
    ]
    for answer, code in asked:
        assert answer["err_code"] == code
        assert answer.headers["Access-Control-Allow-Origin"] == KIOSK
        assert "Access-Control-Allow-Credentials" not in answer.headers
        assert "x-request-id" in answer.headers["Access-Control-Expose-Headers"]
        assert "origin" in answer.headers["Vary"].lower()
    assert "origin" in ask(kiosk_daemon, "/version", {}).headers["Vary"].lower()
    other = ask(kiosk_daemon, "/version", {"Origin": "http://10.0.0.5:3000"})
    assert other.headers["Access-Control-Allow-Origin"] == "http://10.0.0.5:3000"


def test_a_configured_page_may_ask_before_it_asks(kiosk_daemon):
    """The preflight of POST with JSON and a token, and of a page that is outside the device's network."""
    question = {
        "Origin": KIOSK,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
        "Access-Control-Request-Private-Network": "true",
    }
    answer = raw(kiosk_daemon, "OPTIONS", f"{PREFIX}/face/search", question)
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == KIOSK
    assert {"GET", "POST"} == set(answer.headers["Access-Control-Allow-Methods"].split(","))
    assert {"authorization", "content-type"} <= set(answer.headers["Access-Control-Allow-Headers"].split(","))
    assert answer.headers["Access-Control-Allow-Private-Network"] == "true"
    assert int(answer.headers["Access-Control-Max-Age"]) > 0
    assert "origin" in answer.headers["Vary"].lower()
    assert "Access-Control-Allow-Credentials" not in answer.headers


def test_a_page_that_is_not_configured_asks_in_vain(kiosk_daemon, daemon):
    """Its preflight is refused, with a daemon that has configured pages and with one that has none."""
    question = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    for asked in (kiosk_daemon, daemon):
        answer = raw(asked, "OPTIONS", f"{PREFIX}/face/search", question)
        assert (answer.status_code, answer.json()["err_code"]) == (403, 1015)
        assert "Access-Control-Allow-Origin" not in answer.headers


def test_a_get_as_a_browser_can_send_it_changes_nothing(daemon, collection):
    """Links and pictures of pages ask without an Origin, but without a body: whatever their query says, nothing happens."""
    assert daemon.insert(collection, ("obama", portrait(OBAMA)))["success_num"] == 1
    before = daemon.status()
    query = f"?collection_name={collection}&target_id=obama&face_image=x&index=0&top_k=1&open=true&new_target_id=x"
    for path in ENDPOINTS:
        for headers in ({}, {"Content-Type": "image/jpeg"}, {"Content-Type": "multipart/form-data; boundary=x"}):
            code = raw(daemon, "GET", f"{PREFIX}{path}{query}", headers).json()["err_code"]
            assert code == (0 if path in ("/version", "/license") else 1011), path
    assert daemon.status() == before


def test_a_large_upload_of_a_strange_page_hears_the_refusal(daemon):
    """It is refused before its body is read, and the answer still arrives."""
    answer = daemon.send("/face/insert", b"{" + b" " * 3_000_000, headers={"Origin": "http://evil.example"})
    assert_error(answer, 1015)


@pytest.mark.parametrize(
    "line",
    [
        'origins = ["*"]',
        'origins = ["null"]',
        'origins = ["kiosk.example"]',
        'origins = ["https://kiosk.example/"]',
        'origins = "https://kiosk.example"',
        'names = ["*.example"]',
        'names = ["http://door.example"]',
        'names = ["door.example:8080"]',
        'names = [""]',
    ],
)
def test_a_wrong_line_is_refused_with_its_key(tmp_path, line):
    """And with an example of a right one, or the type that is expected."""
    config = tmp_path / "recocomp.toml"
    config.write_text(f"[server]\n{line}\n")
    refused = run("serve", "--config", config, "--data", tmp_path / "data", "--listen", "127.0.0.1:0", "--development")
    assert refused.returncode == 1
    key = line.split(" ")[0]
    assert key in refused.stderr and ("like" in refused.stderr or "sequence" in refused.stderr or "list" in refused.stderr), refused.stderr
