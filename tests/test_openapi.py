"""docs/ref/openapi.yaml: valid, complete, and true of what the daemon answers."""

import copy
import re

import pytest
import requests
import yaml
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

import attacks
import faces
from contract import HTTP_STATUS, MESSAGES
from daemon import ROOT
from faces import ASTRONAUT, BIDEN, NOT_A_PICTURE, OBAMA, OBAMA_2, base64_of, head_and_shoulders, portrait, scenery

SPECIFICATION = yaml.safe_load((ROOT / "docs" / "ref" / "openapi.yaml").read_text("utf-8"))
DOOR = '[door]\nenabled = true\nboard = "simulated"\ncollection = "staff"\nclients = ["127.0.0.1"]\n'


def routes() -> set[str]:
    """Every path that the router has."""
    source = (ROOT / "src" / "http" / "router.rs").read_text("utf-8")
    return set(re.findall(r'\.route\(\s*"([^"]+)"', source))


def closed(schema):
    """The schema, with fields that it does not name forbidden: clients must take them, an answer of this release has none."""
    if isinstance(schema, dict):
        schema = {key: closed(value) for key, value in schema.items()}
        if isinstance(schema.get("properties"), dict) and "type" in schema:
            schema.setdefault("additionalProperties", False)
    elif isinstance(schema, list):
        schema = [closed(value) for value in schema]
    return schema


CLOSED = closed(copy.deepcopy(SPECIFICATION))


def resolve(node: dict) -> dict:
    while "$ref" in node:
        found = CLOSED
        for part in node["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        node = found
    return node


def validator(schema: dict) -> Draft202012Validator:
    return Draft202012Validator({**schema, "components": CLOSED["components"]})


def check(path: str, answer) -> None:
    """The answer is one that the specification has for its HTTP status."""
    responses = CLOSED["paths"][path]["post"]["responses"]
    response = resolve(responses.get(str(answer.http), responses["default"]))
    schema = response["content"]["application/json"]["schema"]
    errors = sorted(validator(schema).iter_errors(dict(answer)), key=lambda error: error.json_path)
    assert not errors, f"{path} answered {dict(answer)}: {[(e.json_path, e.message, e.context) for e in errors]}"


class Asking:
    """Asks a daemon and checks body and answer against the specification."""

    def __init__(self, daemon):
        self.daemon = daemon
        self.asked = set()

    def __call__(self, path: str, wrong: bool = False, **fields):
        body = CLOSED["paths"][path]["post"].get("requestBody")
        if body is not None:
            schema = resolve(body)["content"]["application/json"]["schema"]
            assert validator(schema).is_valid(fields) != wrong, f"{path}: {fields.keys()}"
        answer = self.daemon.ask(path, **fields)
        check(path, answer)
        self.asked.add(path)
        return answer


def test_the_specification_is_valid_openapi():
    """By the reference's own schema."""
    errors = list(OpenAPIV31SpecValidator(SPECIFICATION).iter_errors())
    assert not errors, errors
    assert SPECIFICATION["openapi"].startswith("3.1.")


def test_every_route_is_in_it_and_no_other():
    """What the router has and what is described."""
    assert len(routes()) > 15
    assert set(SPECIFICATION["paths"]) == routes()


def test_every_code_is_in_it():
    """The codes of the API and of HTTP."""
    codes = set(SPECIFICATION["components"]["schemas"]["ErrCode"]["enum"])
    assert codes == set(MESSAGES) | {code for code in HTTP_STATUS if code < 1000}


def test_the_check_notices_what_is_not_described(daemon):
    """A field too many, one too few, one of another type."""
    answer = daemon.ask("/face/detect", face_image=portrait(OBAMA))
    check("/face/detect", answer)
    for spoil in (
        lambda a: a.update(surprise=1),
        lambda a: a.pop("status"),
        lambda a: a["status"][0].update(score="high"),
        lambda a: a["status"][0]["keypoints"].pop("nose"),
        lambda a: a.update(err_code=1099),
    ):
        spoiled = copy.deepcopy(answer)
        spoiled.http = answer.http
        spoil(spoiled)
        with pytest.raises(AssertionError):
            check("/face/detect", spoiled)


def test_answers_are_as_described(daemon, fresh_name):
    """Every endpoint, with success and with what goes wrong."""
    ask = Asking(daemon)
    ask("/version")
    ask("/license")
    here, two = {"collection_name": fresh_name}, {"face_image": [portrait(OBAMA), scenery()], "target_id": ["obama", "nobody"]}
    ask("/face/insert", **here, **two)
    assert ask("/create/collection", **here)["err_code"] == 0
    ask("/create/collection", **here)
    ask("/create/collection", wrong=True, collection_name="9")
    ask("/collection/status", collection_name=[])
    ask("/collection/status", collection_name=fresh_name)
    ask("/collection/status", collection_name=["not_there"])

    assert ask("/face/insert", **here, **two, duplicates=True, disagreements=True)["success_num"] == 1
    odd = {"face_image": [portrait(OBAMA_2), portrait(BIDEN)], "target_id": ["barack", "obama"]}
    doubts = ask("/face/insert", **here, **odd, duplicates=True, disagreements=True)
    assert doubts["duplicates"] and doubts["disagreements"]
    ask("/face/insert", **here, face_image=[portrait(OBAMA)] * 6, target_id=["full"] * 6)
    ask("/face/insert", **here, face_image=[NOT_A_PICTURE], target_id=["nobody"])
    for names in (["full"], ["full", "nobody"]):
        pictures = [portrait(OBAMA), scenery()][: len(names)]
        assert ask("/face/insert", **here, face_image=pictures, target_id=names, skip_identical=True)["already_enrolled"]
    ask("/face/insert", **here, face_image=[scenery()], target_id=["nobody"], skip_identical=True)
    ask("/face/insert", wrong=True, **here)
    assert ask("/face/update", **here, **two)["err_code"] == 0
    ask("/face/update", **here, face_image=[scenery()], target_id=["obama"], duplicates=True)
    ask("/face/update", **here, face_image=[portrait(BIDEN)], target_id=["unknown"])

    assert ask("/person/list", **here, limit=1)["next"] == "barack"
    assert ask("/person/list", **here, after=None)["total"] == 3
    ask("/person/list", wrong=True, **here, limit=0)
    assert ask("/person/get", **here, target_id="full")["status"]["feature_num"] == 5
    ask("/person/get", **here, target_id="barack")
    ask("/person/get", **here, target_id="nobody")

    attack = base64_of(attacks.screen_held_up(OBAMA))
    both = base64_of(faces.side_by_side(head_and_shoulders(OBAMA_2), head_and_shoulders(BIDEN)))
    for picture in (portrait(ASTRONAUT), attack, both, scenery(), NOT_A_PICTURE):
        for liveness in (False, True):
            ask("/face/detect", face_image=picture, liveness=liveness)
            ask("/face/search", **here, face_image=picture, top_k=2, liveness=liveness)
            ask("/face/search", **here, face_image=picture, top_k=2, liveness=liveness, all=True)
            ask("/face/compare", face_image1=picture, face_image2=portrait(OBAMA), liveness=liveness)
            ask("/face/feature", face_image=picture, liveness=liveness)
    assert ask("/face/search", **here, face_image=portrait(OBAMA), top_k=1, open=True)["door"]["reason"] == "no_door"
    feature = ask("/face/feature", face_image=portrait(OBAMA))["status"]
    feature = {name: feature[name] for name in ("feature", "template_space")}
    assert ask("/face/search/feature", **here, **feature, top_k=5)["err_code"] == 0
    ask("/face/search/feature", wrong=True, **here, **feature, top_k=5, open=True)

    assert ask("/delete/face", **here, target_id="full", index=0)["feature_num"] == 4
    ask("/delete/face", **here, target_id="full", index=4)
    ask("/delete/face", wrong=True, **here, target_id="full", index=-1)
    ask("/person/rename", **here, target_id="full", new_target_id="barack")
    assert ask("/person/rename", **here, target_id="full", new_target_id="barack", merge=True)["merged"]
    assert ask("/person/rename", **here, target_id="barack", new_target_id="ba")["feature_num"] == 5
    ask("/person/rename", **here, target_id="obama", new_target_id="ba", merge=True)
    ask("/delete/id", **here, target_id="obama")
    ask("/delete/id", **here, target_id="obama")
    ask("/clear/collection", **here)
    ask("/delete/collection", **here)
    ask("/delete/collection", **here)
    assert ask.asked == routes() - {"/metrics"}


def test_answers_of_a_door_are_as_described(start_daemon):
    """Opened, cooling down, nobody there, failed."""
    daemon = start_daemon(config=DOOR + 'liveness = "off"\n')
    ask = Asking(daemon)
    ask("/create/collection", collection_name="staff")
    ask("/face/insert", collection_name="staff", face_image=[portrait(OBAMA)], target_id=["obama"])
    pictures = [portrait(OBAMA_2), portrait(OBAMA_2), portrait(BIDEN), scenery()]
    asked = [ask("/face/search", collection_name="staff", face_image=picture, top_k=1, open=True) for picture in pictures]
    assert [answer["door"]["opened"] for answer in asked] == [True, False, False, False]


def test_refusals_of_the_whole_device_are_as_described(start_daemon):
    """Without a license, and what HTTP itself refuses."""
    daemon = start_daemon(development=False, config="[limits]\nmax_body_bytes = 1000\n")
    for path in SPECIFICATION["paths"].keys() - {"/metrics"}:
        check(path, daemon.send(path, "{}", "DELETE"))
        check(path, daemon.ask(path, collection_name="staff"))
        check(path, daemon.send(path, b" " * 2000))


def test_metrics_are_below_no_prefix(daemon):
    """Text for Prometheus, where the specification says."""
    with requests.Session() as session:
        session.trust_env = False
        response = session.get(f"http://127.0.0.1:{daemon.port}/metrics", timeout=30)
    assert SPECIFICATION["paths"]["/metrics"]["servers"][0]["url"] == "http://{host}:{port}"
    assert response.headers["Content-Type"].startswith("text/plain")
