"""fusion = "mean": a face is compared with the mean of a person's features. What was enrolled is the same either way."""

import json
import math

import pytest

import faces
from daemon import run, wait_until
from faces import ASTRONAUT, BIDEN, OBAMA, OBAMA_2, OBAMA_3, encoded, portrait
from test_door import ask_to_open, start_door, wait_for_event  # noqa: F401 (a fixture)
from test_system import metrics

MEAN = '[recognition]\nfusion = "mean"\n'
OFF = '[recognition]\nfusion = "off"\n'


class Curve:
    """The calibration that /face/feature tells, to get from scores back to cosines."""

    def __init__(self, daemon):
        self.constants = daemon.ask("/face/feature", face_image=portrait(OBAMA))["status"]["score"]

    def cosine(self, score: float) -> float:
        return (math.log(score / (1 - score)) - self.constants["offset"]) / self.constants["slope"]


def start(start_daemon, config=MEAN, *people, data=None):
    daemon = start_daemon(config=config, data=data)
    if not data:
        assert daemon.ask("/create/collection", collection_name="staff")["err_code"] == 0
        enrolled = daemon.insert("staff", *[(who, portrait(face)) for who, face in people])
        assert enrolled["success_num"] == len(people)
    return daemon


def again(start_daemon, daemon, config):
    """Another daemon on the same data."""
    daemon.stop()
    return start(start_daemon, config, data=daemon.data)


def test_the_mean_is_what_is_compared(start_daemon):
    """Of two features with the cosines a and b the mean has (a + b) / |sum|; all three can be had through the API."""
    people = (("first", OBAMA), ("second", OBAMA_2), ("both", OBAMA), ("both", OBAMA_2), ("eileen", ASTRONAUT))
    daemon = start(start_daemon, MEAN, *people)
    curve = Curve(daemon)
    found = daemon.search("staff", portrait(OBAMA_3))
    a, b, mean = (curve.cosine(found[who]) for who in ("first", "second", "both"))
    (agreement, _) = daemon.ask("/person/get", collection_name="staff", target_id="both")["status"]["features"]
    length = math.sqrt(2 + 2 * curve.cosine(agreement["agreement"]))
    # Stored features have the length 1 within 0.0005.
    assert mean == pytest.approx((a + b) / length, abs=1e-3)
    assert mean > max(a, b) + 1e-3, "the mean of two good features is more alike than either"

    # The same data, without fusion and with it again: nothing was changed, to the last digit.
    apart = again(start_daemon, daemon, OFF)
    best = apart.search("staff", portrait(OBAMA_3))
    assert best["both"] == max(found["first"], found["second"])
    assert {who: best[who] for who in ("first", "second", "eileen")} == {who: found[who] for who in ("first", "second", "eileen")}
    assert apart.features("staff") == 5
    assert again(start_daemon, apart, MEAN).search("staff", portrait(OBAMA_3)) == found


def test_a_search_by_feature_finds_the_same(start_daemon):
    daemon = start(start_daemon, MEAN, ("obama", OBAMA), ("obama", OBAMA_2), ("biden", BIDEN))
    feature = daemon.ask("/face/feature", face_image=portrait(OBAMA_3))["status"]
    asked = {name: feature[name] for name in ("feature", "template_space")}
    by_feature = daemon.ask("/face/search/feature", collection_name="staff", top_k=5, **asked)
    by_picture = daemon.ask("/face/search", collection_name="staff", top_k=5, face_image=portrait(OBAMA_3))
    assert by_feature["status"] == by_picture["status"] and len(by_picture["status"]) == 2


def test_updates_and_deletions_count_at_once(start_daemon):
    daemon = start(start_daemon, MEAN, ("obama", OBAMA))
    (alone,) = daemon.search("staff", portrait(OBAMA_3)).values()
    assert daemon.insert("staff", ("obama", portrait(OBAMA_2)))["success_num"] == 1
    (together,) = daemon.search("staff", portrait(OBAMA_3)).values()
    assert together > alone
    assert daemon.update("staff", ("obama", portrait(OBAMA)))["success_num"] == 1
    assert list(daemon.search("staff", portrait(OBAMA_3)).values()) == [alone]
    assert daemon.ask("/delete/id", collection_name="staff", target_id="obama")["err_code"] == 0
    assert daemon.search("staff", portrait(OBAMA_3)) == {}


def test_a_wrong_face_weakens_its_person_and_is_reported(start_daemon):
    """Without fusion one face of somebody else lets him in as well as his own; the mean is neither's."""
    both = (("mixed", OBAMA), ("mixed", BIDEN), ("biden", BIDEN))
    daemon = start(start_daemon, MEAN, *both)
    mixed = daemon.search("staff", portrait(BIDEN))
    apart = again(start_daemon, daemon, OFF)
    assert apart.search("staff", portrait(BIDEN))["mixed"] == mixed["biden"] > mixed["mixed"]
    daemon = again(start_daemon, apart, MEAN)
    answer = daemon.ask(
        "/face/insert", collection_name="staff", target_id=["mixed"], face_image=[portrait(ASTRONAUT)], disagreements=True
    )
    assert [row["target_id"] for row in answer["disagreements"]] == ["mixed"]


def test_duplicates_are_looked_for_face_by_face(start_daemon):
    """Whoever was enrolled among another person's faces is still found there."""
    daemon = start(start_daemon, MEAN, ("mixed", OBAMA), ("mixed", BIDEN), ("mixed", ASTRONAUT))
    answer = daemon.ask(
        "/face/insert", collection_name="staff", target_id=["joe"], face_image=[portrait(BIDEN)], duplicates=True
    )
    (row,) = answer["duplicates"]
    assert (row["target_id"], row["result"]) == ("joe", "mixed") and row["score"] > 0.99


def test_a_door_counts_people(start_door):  # noqa: F811
    """More faces of the same people do not raise the threshold, more people do."""
    daemon, _ = start_door("cooldown_ms = 0\n", MEAN)

    # No picture opens twice.
    pictures = iter((portrait(OBAMA), portrait(OBAMA_2), portrait(OBAMA_3), faces.photograph(OBAMA)))

    def threshold(count):
        assert ask_to_open(daemon, next(pictures))["door"]["opened"] is True
        return wait_for_event(daemon.data, "opened", count)["threshold"]

    two = threshold(1)
    more = [("obama", portrait(OBAMA_2)), ("obama", portrait(OBAMA_3))] + [("biden", portrait(BIDEN))] * 4
    assert daemon.insert("staff", *more)["success_num"] == 6
    assert threshold(2) == two
    assert daemon.insert("staff", ("eileen", portrait(ASTRONAUT)))["success_num"] == 1
    three = threshold(3)
    assert three > two
    daemon.stop()
    # Nine faces are nine chances where each is searched for.
    daemon, _ = start_door("cooldown_ms = 0\n", data=daemon.data)
    assert threshold(4) > three


def test_a_door_beyond_the_table_counts_people_too(start_door):  # noqa: F811
    daemon, _ = start_door("target_fpir = 0.000001\n", MEAN)
    door = ask_to_open(daemon, portrait(OBAMA))["door"]
    assert door["reason"] == "undecidable" and "2 people" in door["detail"], door


def table_without_means(folder) -> str:
    shipped = (faces.FOLDER.parents[1] / "models" / "models.toml").read_text()
    table = folder / "models.toml"
    table.write_text("\n".join(line for line in shipped.splitlines() if not line.startswith("impostor_cosine_fused")))
    return f'[models]\ntable = "{table}"\n'


def test_a_model_table_without_means_opens_no_door(start_door, tmp_path):  # noqa: F811
    """Nobody knows how often strangers are like its means: searches go on, the door stays shut and says why."""
    daemon, _ = start_door(MEAN, table_without_means(tmp_path))
    answer = ask_to_open(daemon, portrait(OBAMA))
    assert answer["status"][0]["result"] == "obama"
    assert answer["door"]["reason"] == "undecidable" and "impostor_cosine_fused" in answer["door"]["detail"]
    assert "recognition.fusion" in answer["door"]["detail"], "what would do"


def test_that_is_said_at_the_start_and_by_doctor(start_door, tmp_path):  # noqa: F811
    """With nobody enrolled yet: nobody will ever be let in."""
    config = table_without_means(tmp_path)
    daemon, _ = start_door(MEAN, config, enrolled=False)
    wait_until(lambda: "impostor_cosine_fused" in daemon.log(), 10, "the log says so")
    assert metrics(daemon)["recocomp_door_decides"] == 0
    assert daemon.ask("/create/collection", collection_name="staff")["err_code"] == 0
    said = run("doctor", "--config", daemon.folder / "recocomp.toml", "--data", daemon.data).stdout
    assert "nobody is let in: the embedding model has no impostor_cosine_fused" in said


@pytest.fixture(scope="module")
def album(tmp_path_factory):
    """Ten variations of each of five pictures, named as five people, and pairs of them."""
    folder = tmp_path_factory.mktemp("album")
    names = list(faces.HEADS)
    for name in names:
        for number in range(10):
            picture = faces.brightness(faces.head_and_shoulders(name, 200 + 16 * number), 0.6 + 0.08 * number)
            (folder / f"{name}_{number:04}.jpg").write_bytes(encoded(picture))
    rows = []
    for number in range(10):
        for place, name in enumerate(names):
            other = names[(place + 1 + number % 4) % 5]
            rows += [f"{name}_{number:04}.jpg,{name}_{(number + 1) % 10:04}.jpg,1", f"{name}_{number:04}.jpg,{other}_{number:04}.jpg,0"]
    (folder / "pairs.csv").write_text("\n".join(["path1,path2,same", *rows]) + "\n")
    return folder


def calibrated(album, *arguments):
    return run("bench", "calibrate", "--pairs", album / "pairs.csv", "--all-impostors", "--samples", "20", *arguments)


def test_bench_calibrate_measures_several_features(album):
    """Five features of each person against the pictures of four others, and each picture against the person's other ones."""
    ended = calibrated(album, "--fused", "--like", "search", "--json")
    assert ended.returncode == 0, ended.stderr
    ways = json.loads(ended.stdout)["several_features"]
    names = ["one feature", "the most similar feature", "the mean of two features", "the mean of the features"]
    assert [way["compared_with"] for way in ways] == names
    for way in ways:
        assert way["people_with_all_features"] == 5
        assert (way["impostor_comparisons_of_a_draw"], way["genuine_comparisons"]) == (5 * 40, 50)
        # 200 comparisons show no rate of 1 %: five of them would have to be above it.
        assert way["thresholds"] == []
        assert [door["people"] for door in way["doors"]] == [1, 10, 100, 1000]
    # The door asks for more the more people there are; five faces a person each on its own are too many for a thousand.
    (shut, opens) = (ways[1]["doors"][3], ways[3]["doors"])
    assert shut["cosine"] is None and shut["tar"] is None
    assert [door["cosine"] for door in opens] == sorted(door["cosine"] for door in opens)
    assert opens[0]["tar"] == 1, "variations of one picture are alike"
    pairs = json.loads(calibrated(album, "--json").stdout)
    assert pairs["impostor_pairs"] == 10 * 10 * 10 and pairs["several_features"] == []
    assert [point["fmr"] for point in pairs["thresholds"]] == [0.01]


def test_bench_calibrate_for_people(album):
    ended = calibrated(album, "--fused")
    assert ended.returncode == 0, ended.stderr
    assert "the mean of the features: 5 people, features drawn 20 times, 200 comparisons" in ended.stdout
    assert "too few comparisons for a threshold" in ended.stdout and "stays shut" in ended.stdout
    assert "impostor_cosine = [[1e-2, " in ended.stdout and "impostor_cosine_fused" not in ended.stdout
    alone = run("bench", "calibrate", "--pairs", album / "pairs.csv", "--fused")
    assert alone.returncode == 2 and "--all-impostors" in alone.stderr


def test_bench_calibrate_says_what_a_list_lacks(album):
    rows = (album / "pairs.csv").read_text().splitlines()
    (album / "few.csv").write_text("\n".join([rows[0], *(row for row in rows[1:] if all(f"_{n:04}" not in row for n in range(3, 10)))]) + "\n")
    ended = run("bench", "calibrate", "--pairs", album / "few.csv", "--all-impostors", "--fused", "--fit-rows", 4)
    assert ended.returncode == 1 and "5 pictures each, the list has 0" in ended.stderr, ended.stderr


def test_bench_search_by_means(tmp_path):
    ended = run("bench", "search", "--people", 200, "--features", 3, "--probes", 20, "--fusion", "mean", "--dir", tmp_path, "--json")
    assert ended.returncode == 0, ended.stderr
    report = json.loads(ended.stdout)
    assert report["recall_at_1"] == report["recall_at_10"] == pytest.approx(1)


def test_doctor_decides_as_the_door_does(start_daemon, tmp_path):
    """Three faces of one person: with fusion one chance, without it three."""
    daemon = start(start_daemon, OFF, ("obama", OBAMA), ("obama", OBAMA_2), ("obama", OBAMA_3))
    daemon.stop()
    door = '[door]\nenabled = true\nboard = "simulated"\ncollection = "staff"\nclients = ["127.0.0.1"]\n'

    def cosine(config):
        path = tmp_path / "doctor.toml"
        path.write_text(config + door)
        said = run("doctor", "--config", path, "--data", daemon.data).stdout
        (line,) = [line for line in said.splitlines() if "1 people, 3 faces, cosine from" in line]
        return float(line.rsplit(" ", 1)[1])

    assert cosine(MEAN) < cosine(OFF)
