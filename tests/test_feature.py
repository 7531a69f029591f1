"""/face/feature and /face/search/feature: templates that clients keep and search by."""

import base64
import json

import numpy as np
import pytest

import attacks
import faces
from contract import assert_error
from faces import ASTRONAUT, BIDEN, NOT_A_PICTURE, OBAMA, OBAMA_2, OBAMA_3, base64_of, head_and_shoulders, portrait, ruined, scenery

MISSING = object()
TOKEN = "0123456789abcdef0123"
DOOR = '[door]\nenabled = true\nboard = "simulated"\ncollection = "staff"\nliveness = "off"\ntoken_file = "{}"\n'


@pytest.fixture(scope="module")
def people(shared_daemon):
    """Obama, biden and eileen. Tests only search in it."""
    name = "feature_people"
    shared_daemon.ask("/create/collection", collection_name=name)
    enrolled = shared_daemon.insert(
        name, ("obama", portrait(OBAMA)), ("biden", portrait(BIDEN)), ("eileen", portrait(ASTRONAUT))
    )
    assert enrolled["success_num"] == 3
    yield name
    shared_daemon.ask("/delete/collection", collection_name=name)


def extract(daemon, picture, **extra):
    answer = daemon.ask("/face/feature", face_image=picture, **extra)
    assert answer["err_code"] == 0, answer
    return answer["status"]


def numbers(feature: str) -> np.ndarray:
    """As the documentation tells integrators to read it."""
    return np.frombuffer(base64.b64decode(feature, validate=True), "<f4")


def encoded(vector) -> str:
    return base64.b64encode(np.asarray(vector, "<f4").tobytes()).decode()


def search(daemon, collection, of, top_k=100, **changes):
    fields = {"collection_name": collection, "feature": of["feature"], "template_space": of["template_space"], "top_k": top_k}
    fields.update(changes)
    return daemon.ask("/face/search/feature", **{name: value for name, value in fields.items() if value is not MISSING})


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_feature_is_what_the_reference_says(daemon, method):
    """192 float32, little endian, of length 1, in 1024 characters, with what is needed to use them."""
    answer = daemon.ask("/face/feature", method, face_image=portrait(OBAMA))
    assert set(answer) == {"err_code", "status"} and answer["err_code"] == 0
    status = answer["status"]
    assert set(status) == {"feature", "format", "dimension", "template_space", "model", "score"}
    assert (status["format"], status["dimension"]) == ("float32-le", 192)
    assert status["template_space"] == "mobilefacenet-ms1m-192" and status["model"].startswith("mobilefacenet-")
    assert len(status["feature"]) == 1024
    vector = numbers(status["feature"])
    assert vector.shape == (192,)
    assert abs(np.linalg.norm(vector) - 1) < 0.001


def test_the_score_of_two_features_can_be_computed(daemon, people):
    """Dot product and the two constants of the answer: what a search of one finds of the other's picture, nearly."""
    first, second = extract(daemon, portrait(OBAMA)), extract(daemon, portrait(OBAMA_2))
    cosine = float(numbers(first["feature"]) @ numbers(second["feature"]))
    score = 1 / (1 + np.exp(-(first["score"]["slope"] * cosine + first["score"]["offset"])))
    found = {row["result"]: row["score"] for row in search(daemon, people, second)["status"]}
    # What is enrolled was averaged with its mirror image.
    assert abs(score - found["obama"]) < 0.02 and score > 0.9


@pytest.mark.parametrize("name", [OBAMA_2, OBAMA_3, BIDEN, ASTRONAUT])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_search_by_feature_is_the_search_by_its_picture(daemon, people, name, method):
    """To the last digit."""
    feature = extract(daemon, portrait(name))
    fields = {name: feature[name] for name in ("feature", "template_space")}
    by_feature = daemon.ask("/face/search/feature", method, collection_name=people, top_k=3, **fields)
    by_picture = daemon.ask("/face/search", collection_name=people, face_image=portrait(name), top_k=3)
    assert by_feature["err_code"] == 0
    assert by_feature == by_picture and len(by_feature["status"]) == 3


def test_top_k_and_an_empty_collection(daemon, people, collection):
    """As for pictures."""
    feature = extract(daemon, portrait(OBAMA))
    assert [row["result"] for row in search(daemon, people, feature, top_k=1)["status"]] == ["obama"]
    assert len(search(daemon, people, feature, top_k=10**30)["status"]) == 3
    assert search(daemon, collection, feature)["status"] == []
    for wrong in (0, -1, "1", MISSING):
        assert_error(search(daemon, people, feature, top_k=wrong), 1011)
    assert_error(search(daemon, "not_there", feature), 1006)
    assert_error(search(daemon, "9", feature), 1003)


def test_other_spellings_of_base64_are_read(daemon, people):
    """URL-safe, wrapped, padded."""
    feature = extract(daemon, portrait(OBAMA))
    expected = search(daemon, people, feature)["status"]
    text = feature["feature"]
    wrapped = "\r\n".join(text[i : i + 76] for i in range(0, len(text), 76))
    for spelled in (text.replace("+", "-").replace("/", "_"), wrapped, text + "=="):
        assert search(daemon, people, feature, feature=spelled)["status"] == expected


UNIT = np.zeros(192)
UNIT[3] = 1
NAN, INFINITE = UNIT.copy(), UNIT.copy()
NAN[5], INFINITE[5] = np.nan, np.inf


@pytest.mark.parametrize(
    "feature, said",
    [
        (MISSING, "missing"),
        (None, "string"),
        (7, "string"),
        ([0.1] * 192, "string"),
        ("", "0 bytes, 768 are expected"),
        ("no base64!", "not base64"),
        ("é" * 8, "not base64"),
        (encoded(UNIT[:191]), "764 bytes, 768 are expected"),
        (encoded(np.zeros(193)), "772 bytes, 768 are expected"),
        (base64.b64encode(UNIT.astype("<f8").tobytes()).decode(), "1536 bytes"),
        ("A" * 1_000_000, "1000000 characters, 1024 are expected"),
        (encoded(NAN), "not finite"),
        (encoded(INFINITE), "not finite"),
        (encoded(np.zeros(192)), "no length"),
        (encoded(UNIT * 1.1), "length 1.1000"),
        (encoded(UNIT * 0.9), "divide each number by it"),
        (encoded(UNIT * 3e38), "length"),
    ],
    ids=lambda value: None if isinstance(value, str) and len(value) < 60 else "",
)
def test_what_is_no_feature_is_refused_with_the_reason(daemon, people, feature, said):
    """1011, the field, and what was expected."""
    space = extract(daemon, portrait(OBAMA))["template_space"]
    answer = search(daemon, people, {"feature": feature, "template_space": space})
    assert_error(answer, 1011)
    assert "feature" in answer["detail"] and said in answer["detail"], answer


@pytest.mark.parametrize("space", [MISSING, None, "", "facenet-512", "mobilefacenet-ms1m-192 "])
def test_features_of_another_model_are_refused(daemon, people, space):
    """They would be compared and mean nothing."""
    answer = search(daemon, people, extract(daemon, portrait(OBAMA)), template_space=space)
    assert_error(answer, 1011)
    assert "template_space" in answer["detail"]
    if isinstance(space, str):
        assert "mobilefacenet-ms1m-192" in answer["detail"] and "/face/feature" in answer["detail"]


def test_the_gates_of_a_search_hold_for_features(daemon):
    """No picture, no face, a ruined face, no field."""
    for picture, code in ((NOT_A_PICTURE, 1010), (scenery(), 1009), (ruined(OBAMA), 1017), (7, 1011), (None, 1011)):
        assert_error(daemon.ask("/face/feature", face_image=picture), code)
    assert "face_image" in daemon.ask("/face/feature")["detail"]


def test_several_faces_are_told(daemon):
    """The largest counts."""
    both = faces.side_by_side(head_and_shoulders(OBAMA_2), head_and_shoulders(BIDEN))
    assert "2 faces" in daemon.ask("/face/feature", face_image=base64_of(both))["detail"]


def test_liveness_of_the_picture_if_asked_for(daemon, people):
    """/face/feature says it; a feature alone has none to say."""
    answer = daemon.ask("/face/feature", face_image=base64_of(attacks.screen_held_up(OBAMA)), liveness=True)
    assert answer["err_code"] == 0 and answer["liveness"]["live"] is False
    feature = extract(daemon, portrait(OBAMA))
    assert "liveness" not in search(daemon, people, feature, liveness=False)
    refused = search(daemon, people, feature, liveness=True)
    assert_error(refused, 1011)
    assert "liveness" in refused["detail"] and "/face/search" in refused["detail"]


def test_where_liveness_is_enforced_a_feature_is_not_enough(start_daemon):
    """No way around it: neither is an attack's feature given nor any searched for."""
    daemon = start_daemon(config='[liveness]\nmode = "enforce"\n')
    daemon.ask("/create/collection", collection_name="staff")
    assert_error(daemon.ask("/face/feature", face_image=base64_of(attacks.screen_held_up(OBAMA))), 1016)
    refused = search(daemon, "staff", extract(daemon, portrait(OBAMA)))
    assert_error(refused, 1016)
    assert "/face/search" in refused["detail"]


def test_a_feature_never_opens_the_door(start_daemon, tmp_path):
    """Not for the bearer of the token, not where liveness is off: nobody was seen."""
    token = tmp_path / "token"
    token.write_text(TOKEN)
    daemon = start_daemon(config=DOOR.format(token))
    bearer = {"Authorization": f"Bearer {TOKEN}"}

    def post(path, headers=bearer, **fields):
        return daemon.send(path, json.dumps(fields), headers=headers)

    post("/create/collection", collection_name="staff")
    post("/face/insert", collection_name="staff", face_image=[portrait(OBAMA)], target_id=["obama"])
    feature = extract(daemon, portrait(OBAMA))
    query = {"collection_name": "staff", "feature": feature["feature"], "template_space": feature["template_space"], "top_k": 1}
    refused = post("/face/search/feature", **query, open=True)
    assert_error(refused, 1011)
    assert "open" in refused["detail"] and "/face/search" in refused["detail"]
    pins = (daemon.data / "door" / "simulated" / "pins.jsonl").read_text()
    assert not any('"relay"' in line and '"on":true' in line.replace(" ", "") for line in pins.splitlines())
    # Searching the door's people by feature tells their templates to whoever asks often enough: it takes the token.
    assert post("/face/search/feature", **query)["status"][0]["result"] == "obama"
    assert_error(post("/face/search/feature", headers={}, **query), 1015)
    assert_error(post("/face/search/feature", headers={"Authorization": "Bearer wrong"}, **query), 1015)


def test_features_can_be_switched_off(start_daemon):
    """Both endpoints answer 404 and name the key; everything else goes on."""
    daemon = start_daemon(config="[recognition]\nfeatures = false\n")
    for path in ("/face/feature", "/face/search/feature"):
        answer = daemon.ask(path, face_image=portrait(OBAMA))
        assert_error(answer, 404)
        assert "features" in answer["detail"]
    daemon.ask("/create/collection", collection_name="staff")
    assert daemon.search("staff", portrait(OBAMA)) == {}


def test_the_same_picture_gives_the_same_feature(daemon):
    """To the bit; another one does not."""
    first, again, other = (extract(daemon, portrait(name))["feature"] for name in (OBAMA, OBAMA, OBAMA_2))
    assert first == again != other
