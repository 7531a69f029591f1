"""bench calibrate on pictures of the tests' own: groups at one threshold, the diagram, and what too few pairs cannot show."""

import json
import math
from xml.etree import ElementTree

import pytest

import faces
from daemon import run
from faces import ASTRONAUT, BIDEN, OBAMA, OBAMA_2, OBAMA_3, brightness, encoded

PEOPLE = {"obama": [OBAMA, OBAMA_2, OBAMA_3], "biden": [BIDEN], "astronaut": [ASTRONAUT]}
# Three people with so many pictures are 5,043 pairs of two people; a threshold at FMR 1e-3 needs 5,000.
EACH = 41
# The first so many pictures of everybody are one group.
EARLY = 21
SVG = "{http://www.w3.org/2000/svg}"


def variation(name: str, number: int) -> bytes:
    """A small portrait, moved a little, in other light and compressed otherwise than the next."""
    picture = faces.head_and_shoulders(name, 200)
    left, top = number % 7, number % 5
    picture = picture.crop((left, top, picture.width - 6 + left, picture.height - 4 + top))
    return encoded(brightness(picture, 0.7 + 0.02 * (number % 31)), quality=70 + number % 23)


def picture_of(person: str, number: int) -> str:
    return f"images/{person}_{number:04}.jpg"


@pytest.fixture(scope="module")
def album(tmp_path_factory):
    """Neighbours by number are pairs of one person. The last of Biden is no Biden but a copy: one late pair nobody can tell apart."""
    folder = tmp_path_factory.mktemp("calibrate")
    (folder / "images").mkdir()
    rows, groups = ["path1,path2,same"], ["path,group"]
    people = list(PEOPLE)
    for number in range(EACH):
        for place, (person, pictures) in enumerate(PEOPLE.items()):
            path = picture_of(person, number)
            (folder / path).write_bytes(variation(pictures[number % len(pictures)], number))
            groups.append(f"{path},{'early' if number < EARLY else 'late'}")
            rows.append(f"{path},{picture_of(people[place - 1], number)},0")
            if number:
                rows.append(f"{picture_of(person, number - 1)},{path},1")
    last = EACH - 1
    (folder / picture_of("biden", last)).write_bytes((folder / picture_of("astronaut", last)).read_bytes())
    for name, lines in (("pairs.csv", rows), ("groups.csv", groups)):
        (folder / name).write_text("\n".join(lines) + "\n")
    return folder


def calibrate(folder, *arguments):
    return run("bench", "calibrate", "--pairs", "pairs.csv", *arguments, cwd=folder)


def wilson(hits: int, trials: int) -> list[float]:
    """Both solutions of |rate - p| = z sqrt(p (1 - p) / n), which the interval lies between."""
    z, n, rate = 1.959963985, trials, hits / trials
    a, b, c = 1 + z * z / n, -(2 * rate + z * z / n), rate * rate
    root = math.sqrt(b * b - 4 * a * c)
    return [(-b - root) / (2 * a), (-b + root) / (2 * a)]


def test_groups_and_the_diagram(album):
    """Pairs within each group are counted at the threshold that all pairs give; errors stand in the group that has them."""
    ended = calibrate(
        album, "--all-impostors", "--slices", "groups.csv", "--svg", "out.svg", "--most-similar", 1, "--samples", 10, "--json"
    )
    assert ended.returncode == 0, ended.stderr
    report = json.loads(ended.stdout)
    assert report["missed_faces"] == 0 and report["impostor_pairs"] == 3 * EACH * EACH
    assert [point["fmr"] for point in report["thresholds"]] == [1e-2, 1e-3]
    assert all(point["cosine_95"] and not point["extrapolated"] for point in report["thresholds"])

    slices = report["slices"]
    assert slices["fmr"] == 1e-3 and slices["cosine"] == report["thresholds"][1]["cosine"]
    assert slices["paths_not_in_pairs"] == 0
    early, late = slices["groups"]
    assert (early["group"], early["pictures"], late["group"], late["pictures"]) == ("early", 63, "late", 60)
    assert (early["genuine_pairs"], early["impostor_pairs"]) == (3 * 20, 3 * 21 * 21)
    assert (late["genuine_pairs"], late["impostor_pairs"]) == (3 * 19, 3 * 20 * 20)
    for group in (early, late):
        for rate, pairs in (("fnmr", "genuine_pairs"), ("fmr", "impostor_pairs")):
            hits = round(group[rate] * group[pairs])
            assert group[rate] == pytest.approx(hits / group[pairs])
            assert group[f"{rate}_95"] == pytest.approx(wilson(hits, group[pairs]), abs=1e-9)
    cosine, first, second = report["most_similar"][0]
    # Rounded to f16 a template is not quite of length 1.
    assert cosine == pytest.approx(1, abs=1e-3) and {first, second} == {picture_of("astronaut", 40), picture_of("biden", 40)}
    assert late["fmr"] > 0 and late["fnmr"] > 0
    accepted = round(early["fmr"] * early["impostor_pairs"]) + round(late["fmr"] * late["impostor_pairs"])
    assert accepted <= report["thresholds"][1]["impostors_above"] <= 5

    svg = ElementTree.parse(album / "out.svg").getroot()
    dots = svg.findall(f".//{SVG}circle")
    tenths = [tenth for tenth in report["reliability"] if tenth]
    assert svg.tag == f"{SVG}svg" and len(dots) == len(tenths) >= 2
    for dot, tenth in zip(dots, tenths):
        assert f"{tenth['pairs']} pairs" in dot.find(f"{SVG}title").text
        assert 0 <= float(dot.get("cx")) <= 400 and 0 <= float(dot.get("cy")) <= 400


def test_the_table_says_what_was_not_measured(album):
    """The threshold of the groups, rates that the pairs cannot show, intervals that nobody asked for, paths in no pair."""
    groups = (album / "groups.csv").read_text() + "images/eve_0001.jpg,late\n./images/obama_0001.jpg,early\n"
    (album / "more.csv").write_text(groups)
    ended = calibrate(album, "--all-impostors", "--slices", "more.csv", "--samples", 0)
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    assert "1e-4: 5,043 pairs of two people, 50,000 are needed" in lines
    assert "1e-5: 5,043 pairs of two people, 500,000 are needed" in lines
    assert not any(line.startswith(("1e-2:", "1e-3:")) for line in lines)
    # What was measured is not called extrapolated for want of an interval.
    assert "extrapolated" not in ended.stdout
    measured = [line.split() for line in lines if line.startswith(("1e-2 ", "1e-3 "))]
    assert len(measured) == 2 and all(row[2] == "-" for row in measured)
    assert "2 of 125 paths with a group are in no pair" in lines
    [header] = [line for line in lines if line.startswith("groups at cosine")]
    assert f"cosine {measured[1][1]} (FMR 1e-3 " in header
    late = next(line for line in lines if line.startswith("late "))
    assert late.split()[1:3] == ["60", "57"] and late.count(" to ") == 2


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (["obama_0001.jpg,a", "biden_0001.jpg,b"], ["none of its 2 paths", "pairs.csv", "e.g. images/"]),
        ([], ["no pictures"]),
        (["images/obama_0001.jpg,a", "images/obama_0001.jpg,b"], ["images/obama_0001.jpg", "groups a and b"]),
        (["images/obama_0001.jpg"], ["wrong.csv"]),
    ],
    ids=["other paths", "empty", "two groups", "no column"],
)
def test_groups_that_cannot_be_used(album, rows, said):
    """The file and what is wrong are named before any work; nothing is printed as a result."""
    (album / "wrong.csv").write_text("\n".join(["path,group", *rows]) + "\n")
    ended = calibrate(album, "--all-impostors", "--slices", "wrong.csv")
    assert ended.returncode not in (0, 101) and ended.stdout == ""
    assert all(part in ended.stderr for part in ["wrong.csv", *said]), ended.stderr


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (9999, ["the other 0 rows need pairs of one person and of two"]),
        (1, ["the first 1 rows need pairs of one person and of two", "--fit-rows"]),
    ],
)
def test_the_score_is_judged_on_rows_it_was_not_fitted_on(album, rows, said):
    """No rows left to judge it on is no perfect score, and nothing to fit on is no score."""
    ended = calibrate(album, "--fit-rows", rows)
    assert ended.returncode not in (0, 101) and ended.stdout == ""
    assert all(part in ended.stderr for part in said), ended.stderr


def test_a_diagram_that_cannot_be_written_is_told_first(album):
    """Not after minutes of work, and it is the file that is named."""
    ended = calibrate(album, "--svg", "no/such/folder/out.svg")
    assert ended.returncode not in (0, 101) and ended.stdout == ""
    assert "no/such/folder/out.svg" in ended.stderr


def test_groups_need_a_threshold(tmp_path, album):
    """With few pictures there is none at FMR 1e-3: how many pairs are needed is said."""
    (tmp_path / "images").symlink_to(album / "images")
    pairs = [(("obama", 0), ("obama", 1), 1), (("obama", 0), ("biden", 0), 0), (("biden", 0), ("biden", 1), 1)]
    pairs.append((("obama", 1), ("biden", 1), 0))
    rows = [f"{picture_of(*a)},{picture_of(*b)},{same}" for a, b, same in pairs]
    (tmp_path / "pairs.csv").write_text("\n".join(["path1,path2,same", *rows]) + "\n")
    arguments = ["--all-impostors", "--fit-rows", 2, "--slices", album / "groups.csv"]
    ended = calibrate(tmp_path, *arguments)
    assert ended.returncode not in (0, 101) and ended.stdout == ""
    assert "1e-3: 4 pairs of two people, 5,000 are needed" in ended.stderr, ended.stderr
