"""Quality: what is measured, what is refused, and how the refusal is told."""

import json
import math
import re

import numpy as np
import pytest
from PIL import Image

import faces
from contract import assert_batch, assert_error
from daemon import run
from faces import ASTRONAUT, BIDEN, OBAMA, OBAMA_2, OBAMA_3, base64_of, blurred, brightness, head_and_shoulders, portrait, ruined

COMPONENTS = {
    "unified_quality_score",
    "sharpness",
    "luminance_mean",
    "luminance_variance",
    "under_exposure_prevention",
    "over_exposure_prevention",
    "dynamic_range",
    "illumination_uniformity",
    "eyes_open",
    "mouth_closed",
    "inter_eye_distance",
    "head_size",
    "leftward_crop",
    "rightward_crop",
    "margin_above",
    "margin_below",
    "head_pose_yaw",
    "head_pose_pitch",
    "head_pose_roll",
}
# What a terminal's owner would set who takes only good portraits.
STRICT = "[quality.enrolment]\nsharpness = 60\n[quality.search]\nsharpness = 10\n"


def quality(daemon, picture: Image.Image) -> dict[str, float]:
    answer = daemon.ask("/face/detect", face_image=base64_of(picture))
    assert answer["err_code"] == 0 and answer["status"], answer
    return answer["status"][0]["quality"]


def test_every_component_is_given(daemon):
    """Nineteen, named after ISO/IEC 29794-5, from 0 to 100."""
    found = quality(daemon, head_and_shoulders(OBAMA))
    assert set(found) == COMPONENTS
    assert all(0 <= value <= 100 for value in found.values())


@pytest.mark.parametrize("name", faces.HEADS)
def test_official_portraits_are_good(daemon, name):
    """Taken by professionals: sharp, well lit, looking at the camera."""
    found = quality(daemon, faces.image(name))
    assert found["sharpness"] > 50 and found["dynamic_range"] > 60
    assert found["head_pose_yaw"] > 75 and found["head_pose_pitch"] > 75
    assert found["under_exposure_prevention"] > 60
    assert found["unified_quality_score"] > 50


def turned(picture: Image.Image) -> Image.Image:
    return picture.rotate(35, Image.Resampling.BICUBIC, fillcolor=(128, 128, 128))


def lit_from_one_side(picture: Image.Image) -> Image.Image:
    light = np.clip(np.linspace(-0.9, 1.9, picture.width), 0.1, 1.1)[None, :, None]
    return Image.fromarray(np.clip(np.asarray(picture) * light, 0, 255).astype(np.uint8))


@pytest.mark.parametrize(
    "component, worse",
    [
        ("unified_quality_score", lambda picture: blurred(picture, 4)),
        ("unified_quality_score", lambda picture: brightness(picture, 0.05)),
        ("unified_quality_score", lambda picture: picture.resize((picture.width // 6, picture.height // 6))),
        ("sharpness", lambda picture: blurred(picture, 4)),
        ("luminance_mean", lambda picture: brightness(picture, 0.3)),
        ("under_exposure_prevention", lambda picture: brightness(picture, 0.12)),
        ("over_exposure_prevention", lambda picture: brightness(picture, 3)),
        ("dynamic_range", lambda picture: brightness(picture, 0.12)),
        ("illumination_uniformity", lit_from_one_side),
        ("inter_eye_distance", lambda picture: picture.resize((picture.width // 3, picture.height // 3))),
        ("head_pose_roll", turned),
        ("leftward_crop", lambda picture: picture.crop((picture.width // 3, 0, picture.width, picture.height))),
        ("rightward_crop", lambda picture: picture.crop((0, 0, picture.width * 2 // 3, picture.height))),
        ("margin_above", lambda picture: picture.crop((0, picture.height // 5, picture.width, picture.height))),
        ("margin_below", lambda picture: picture.crop((0, 0, picture.width, picture.height * 3 // 4))),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize("name", [OBAMA, OBAMA_2, BIDEN])
def test_what_makes_a_picture_worse_lowers_its_component(daemon, name, component, worse):
    """The same portrait before and after."""
    picture = head_and_shoulders(name)
    before, after = quality(daemon, picture), quality(daemon, worse(picture))
    assert after[component] < before[component] - 3, (before[component], after[component])


@pytest.mark.parametrize("name", faces.HEADS)
def test_good_pictures_pass_the_default_gates(daemon, collection, name):
    """Enrolment, search and comparison."""
    assert daemon.insert(collection, ("someone", portrait(name)))["success_num"] == 1
    assert daemon.search(collection, portrait(name))["someone"] > 0.99


def assert_names_a_shortfall(detail: str) -> None:
    """Component, value and limit."""
    found = re.search(r"([a-z_]+) is (\d+\.\d), at least (\d+\.\d) is needed", detail)
    assert found and found[1] in COMPONENTS, detail
    assert float(found[2]) <= float(found[3])


def test_a_ruined_face_is_refused_everywhere_by_default(daemon, collection):
    """1017 with component, value and limit; the picture does show a face."""
    picture = ruined(OBAMA)
    assert len(daemon.ask("/face/detect", face_image=picture)["status"]) == 1
    daemon.insert(collection, ("biden", portrait(BIDEN)))
    for answer in (
        daemon.ask("/face/search", collection_name=collection, face_image=picture, top_k=1),
        daemon.ask("/face/compare", face_image1=portrait(OBAMA), face_image2=picture),
        daemon.insert(collection, ("obama", picture)),
        daemon.update(collection, ("biden", picture)),
    ):
        assert_error(answer, 1017)
        assert_names_a_shortfall(answer["detail"])
    assert daemon.features(collection) == 1
    assert daemon.search(collection, portrait(BIDEN))["biden"] > 0.99, "an update that is refused keeps the old face"


def test_a_refused_picture_of_a_batch_is_invalid_and_the_rest_is_stored(daemon, collection):
    """Its index and id are listed, and the detail says what was wrong."""
    answer = daemon.insert(
        collection, ("obama", portrait(OBAMA)), ("ruined", ruined(OBAMA_2)), ("biden", portrait(BIDEN))
    )
    assert answer["err_code"] == 0
    assert_batch(answer, stored=2, invalid={1: "ruined"})
    assert answer["detail"].startswith("face_image[1]: ")
    assert_names_a_shortfall(answer["detail"])


def test_no_face_comes_before_low_quality(daemon, collection):
    """A batch that stored nothing: 1009 where a picture shows nobody, 1017 where all do."""
    answer = daemon.insert(collection, ("a", ruined(OBAMA)), ("b", faces.scenery()))
    assert_error(answer, 1009)
    assert_batch(answer, stored=0, invalid={0: "a", 1: "b"})
    answer = daemon.insert(collection, ("a", ruined(OBAMA)), ("b", faces.NOT_A_PICTURE))
    assert_error(answer, 1017)


def test_enrolment_can_be_stricter_than_search(start_daemon):
    """A blurred picture is good enough to search with and not to keep."""
    daemon = start_daemon(config=STRICT)
    daemon.ask("/create/collection", collection_name="staff")
    assert daemon.insert("staff", ("obama", base64_of(faces.image(OBAMA))))["success_num"] == 1
    soft = blurred(head_and_shoulders(OBAMA_3, 480), 2.2)
    sharpness = quality(daemon, soft)["sharpness"]
    assert 10 < sharpness < 60, sharpness
    assert daemon.search("staff", base64_of(soft))["obama"] > 0.5
    answer = daemon.insert("staff", ("obama", base64_of(soft)))
    assert_error(answer, 1017)
    assert "sharpness is " in answer["detail"] and "at least 60.0 is needed" in answer["detail"]


def test_the_unified_score_is_a_gate(start_daemon):
    """It is that of `/face/detect`, though the embedding network gives it after the other gates."""
    plain = start_daemon()
    score = {name: quality(plain, faces.image(name))["unified_quality_score"] for name in (OBAMA, BIDEN)}
    worse, better = sorted(score, key=score.get)
    limit = round((score[worse] + score[better]) / 2, 1)
    assert score[better] - score[worse] > 0.5, score
    daemon = start_daemon(config=f"[quality.enrolment]\nunified_quality_score = {limit}\n[quality.search]\nunified_quality_score = {limit}\n")
    daemon.ask("/create/collection", collection_name="staff")
    answer = daemon.insert("staff", ("better", base64_of(faces.image(better))), ("worse", base64_of(faces.image(worse))))
    assert_batch(answer, stored=1, invalid={1: "worse"})
    for picture, code in ((better, 0), (worse, 1017)):
        answer = daemon.ask("/face/search", collection_name="staff", face_image=base64_of(faces.image(picture)), top_k=1)
        assert answer["err_code"] == code, answer
    assert f"unified_quality_score is {math.floor(score[worse] * 10) / 10:.1f}, at least {limit} is needed" in answer["detail"]


def test_gates_can_be_opened(start_daemon):
    """With every limit at 0 a ruined face is taken."""
    keys = "".join(f"{name} = 0\n" for name in sorted(COMPONENTS))
    daemon = start_daemon(config=f"[quality.enrolment]\n{keys}[quality.search]\n{keys}")
    daemon.ask("/create/collection", collection_name="staff")
    assert daemon.insert("staff", ("obama", ruined(OBAMA)))["success_num"] == 1
    assert daemon.ask("/face/search", collection_name="staff", face_image=ruined(OBAMA), top_k=1)["err_code"] == 0


# bench quality


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Portraits and worse copies of them, in pairs."""
    folder = tmp_path_factory.mktemp("quality")
    for name in faces.HEADS:
        (folder / f"{name}.jpg").write_bytes(faces.encoded(head_and_shoulders(name)))
    (folder / "ruined.jpg").write_bytes(faces.encoded(blurred(head_and_shoulders(OBAMA), 4)))
    (folder / "curtains.jpg").write_bytes(faces.encoded(faces.without_face()))
    rows = ["obama.jpg,obama2.jpg,1", "obama.jpg,obama3.jpg,1", "obama2.jpg,obama3.jpg,1", "obama2.jpg,ruined.jpg,1"]
    rows += ["obama.jpg,biden.jpg,0", "obama2.jpg,astronaut.jpg,0", "biden.jpg,astronaut.jpg,0"]
    rows += ["obama.jpg,curtains.jpg,1"]
    (folder / "pairs.csv").write_text("\n".join(["path1,path2,same", *rows]) + "\n")
    return folder / "pairs.csv"


def test_bench_quality(pairs):
    """How many each gate refuses, and error against discard on the pictures and their degraded copies."""
    ended = run("bench", "quality", "--pairs", pairs, "--json")
    assert ended.returncode == 0, ended.stderr
    report = json.loads(ended.stdout)
    assert report["pictures"] == 7 and report["faces"] == 6
    # Of six faces the ruined one.
    assert report["enrolment"]["refused"] == pytest.approx(1 / 6)
    assert report["enrolment"]["components"]["sharpness"]["refused"] == pytest.approx(1 / 6)
    assert report["search"]["refused"] == pytest.approx(1 / 6)
    assert report["enrolment"]["components"]["sharpness"]["limit"] >= report["search"]["components"]["sharpness"]["limit"]
    curves = report["error_versus_discard"]
    assert curves["pictures"]["pairs"] == 4, "a pair without a face is none"
    assert {"second picture: blur", "second picture: dark", "second picture: small", "second picture: turned", "mixed"} <= set(
        curves
    )
    for entry in curves.values():
        if entry["curve"]:
            assert 0 < entry["curve"]["p"] <= 1
            assert len(entry["curve"]["fnmr"]) == len(report["discarded"])


def test_bench_quality_for_people(pairs):
    """Without --json two tables."""
    ended = run("bench", "quality", "--pairs", pairs)
    assert ended.returncode == 0, ended.stderr
    assert "refused in all" in ended.stdout and "mixed" in ended.stdout


def test_bench_accuracy_asks_no_gate(pairs, tmp_path):
    """Accuracy is that of the networks: a limit that refuses everybody changes nothing."""
    config = tmp_path / "strict.toml"
    config.write_text('[quality.enrolment]\nsharpness = 100\n[quality.search]\nsharpness = 100\n[liveness]\nmode = "enforce"\nthreshold = 1.0\n')
    plain = run("bench", "accuracy", "--pairs", pairs, "--json")
    strict = run("bench", "accuracy", "--pairs", pairs, "--json", "--config", config)
    assert plain.returncode == strict.returncode == 0, strict.stderr
    assert plain.stdout == strict.stdout
