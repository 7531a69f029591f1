"""bench detection on a few pictures of the tests' own: what it counts, not how fast anything is."""

import json

import pytest
from PIL import Image

import faces
from daemon import run
from faces import BIDEN, OBAMA, OBAMA_2

PLAIN = ["one_pass", "with_padded_pass"]
FAR = ["far", "plain_recognisable", "far_recognisable"]


@pytest.fixture(scope="module")
def album(tmp_path_factory):
    """One large face, one of 3 % of the frame that only a far look sees, a wrong box, and two pictures without a face."""
    folder = tmp_path_factory.mktemp("album")
    near = faces.head_and_shoulders(OBAMA, 640)
    near.save(folder / "near.png")
    far = Image.new("RGB", (1920, 1080), (128, 128, 128))
    far.paste(faces.head_and_shoulders(BIDEN, 160), (1100, 300))
    far.save(folder / "far.png")
    (folder / "boxes.csv").write_text(
        "path,x,y,w,h,invalid\n"
        "near.png,175,170,280,280,0\n"
        "far.png,1150,330,60,70,0\n"
        "far.png,200,200,200,200,0\n"
        "far.png,900,900,100,100,1\n"
    )
    empty = folder / "empty"
    empty.mkdir()
    faces.without_face().save(empty / "curtains.png")
    Image.new("RGB", (320, 240), (128, 128, 128)).save(empty / "grey.png")
    return folder


def bench(*arguments) -> str:
    ended = run("bench", "detection", *arguments)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def sets(album):
    return ["--boxes", album / "boxes.csv", "--negatives", album / "empty"]


def test_far_looks_stand_beside_plain_ones(album):
    """The far face counts only for them; a box without a face, and one that is marked invalid, count for nobody."""
    report = json.loads(bench(*sets(album), "--far", "--json"))
    assert report["pictures"] == 2 and report["negatives"] == 2
    found = {name: {band: row["found"] for band, row in report[name]["recall"].items()} for name in PLAIN + FAR}
    for name in PLAIN + ["plain_recognisable"]:
        assert found[name] == {"< 4 %": 0, "4-8 %": 0, "8-15 %": 0, "> 15 %": 1}, name
    for name in ("far", "far_recognisable"):
        assert found[name] == {"< 4 %": 1, "4-8 %": 0, "8-15 %": 0, "> 15 %": 1}, name
    asked = {band: row["faces"] for band, row in report["far"]["recall"].items()}
    assert asked == {"< 4 %": 1, "4-8 %": 0, "8-15 %": 1, "> 15 %": 1}
    # What the padded pass takes for a face in the curtains, the landmark network does not.
    assert all(report[name]["false_detections"] == 0 for name in FAR)
    assert all(report[name]["ms_per_picture"] > 0 for name in PLAIN + FAR)


def test_without_the_option_there_is_no_word_of_far(album):
    """Plain looks alone, as a table and as JSON."""
    report = json.loads(bench(*sets(album), "--json"))
    assert not set(FAR) & set(report) and set(PLAIN) <= set(report)
    table = bench(*sets(album), "--far")
    assert "far recognisable" in table and "ms a picture" in table


def test_fill_cuts_pictures_down_to_their_faces(tmp_path):
    """Two people are found again, curtains have no face to cut to."""
    for name in (OBAMA_2, BIDEN):
        faces.image(name).save(tmp_path / f"{name}.png")
    faces.without_face().save(tmp_path / "zz.png")
    report = json.loads(bench("--fill", tmp_path, "--json"))
    assert report["pictures"] == 3 and report["filled"] == 2
    assert report["plain_recognisable"] == report["far_recognisable"] == 2
    assert json.loads(bench("--fill", tmp_path, "--pictures", 1, "--json"))["pictures"] == 1
    assert "zz.png (the whole picture)" in bench("--fill", tmp_path)


@pytest.mark.parametrize("arguments", [[], ["--far"], ["--fill", ".", "--far"], ["--boxes", "x.csv"], ["--pictures", "3"]])
def test_what_does_not_go_together_is_refused(arguments):
    """With the usage, and nothing measured."""
    ended = run("bench", "detection", *arguments)
    assert ended.returncode == 2 and "--" in ended.stderr
