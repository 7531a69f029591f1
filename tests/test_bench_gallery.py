"""bench search, commits, compaction and start, at sizes that take no time: what they print, not how fast anything is."""

import json
from pathlib import Path

import pytest
from PIL import Image

from daemon import run


def measured(*arguments):
    ended = run("bench", *arguments, "--json")
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def test_search(tmp_path):
    """Every figure is there, every answer is right, and nothing stays behind."""
    report = measured("search", "--people", 200, "--features", 2, "--probes", 20, "--dir", tmp_path)
    assert report["people"] == 200 and report["features"] == 400 and report["threads"] == 1
    assert report["recall_at_1"] == report["recall_at_10"] == pytest.approx(1)
    for key in ("search_ms", "search_p99_ms", "read_ms", "gb_per_s", "ratio", "open_ms"):
        assert report[key] > 0
    assert report["kernel"] in ("avx512-vnni", "avx2", "neon-dotprod", "neon", "scalar")
    assert list(tmp_path.iterdir()) == []


def test_search_of_several_sizes(tmp_path):
    """One report for each size, in a list or as rows of a table."""
    sizes = ["search", "--sizes", "50,500", "--probes", 5, "--dir", tmp_path]
    assert [report["features"] for report in measured(*sizes)["sizes"]] == [50, 500]
    ended = run("bench", *sizes)
    assert ended.returncode == 0
    assert [line.split()[0] for line in ended.stdout.splitlines()[2:4]] == ["50", "500"]


def test_thirty_collections_take_little_memory(tmp_path):
    """What lies in files is not held in memory too."""
    report = measured("search", "--people", 300, "--collections", 30, "--probes", 5, "--dir", tmp_path)
    assert report["collections"] == 30
    assert report["rss_open_mb"] < 60


def test_commits_come_together(tmp_path):
    """Clients that enrol at once share syncs; a batch of 500 takes one."""
    report = measured("commits", "--commits", 20, "--sync-ms", 5, "--dir", tmp_path)
    assert report["commits"] == 160 and report["one_client_commits"] == report["one_client_syncs"] == 20
    assert report["syncs"] < report["commits"]
    assert report["batch_syncs"] == 1
    assert list(tmp_path.iterdir()) == []


def test_compaction(tmp_path):
    """Searches go on while a generation is written."""
    report = measured("compaction", "--people", 500, "--rounds", 1, "--pace", 50_000, "--dir", tmp_path)
    assert report["quiet_searches"] > 0 and report["during_searches"] > 0
    assert report["bytes_written"] > report["features"] * 192 * 3
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "wrong", [["search", "--people", 0], ["search", "--sizes", "10,x"], ["commits", "--sync-ms", -1], ["compaction", "--rounds", 0]]
)
def test_wrong_sizes_are_refused(wrong):
    """Usage on stderr, exit code 2."""
    ended = run("bench", *wrong)
    assert ended.returncode == 2 and ended.stdout == ""


def test_a_folder_that_is_not_there(tmp_path):
    """One sentence."""
    ended = run("bench", "search", "--dir", tmp_path / "nowhere")
    assert ended.returncode == 1
    assert "nowhere" in ended.stderr


def test_start(tmp_path):
    """A daemon of its own is started twice, searched and stopped; no daemon and no gallery stays behind."""
    picture = Path(__file__).parent / "pictures/obama.jpg"
    report = measured("start", "--image", picture, "--people", 50, "--rounds", 2, "--searches", 3, "--dir", tmp_path)
    assert report["people"] == 50 and report["searches"] == 3
    assert len(report["ready_ms"]["all"]) == 2 and report["first_search_ms"]["median"] > 0
    assert 0 < report["anonymous_mb"] < report["resident_mb"]
    assert list(tmp_path.iterdir()) == []


def test_start_with_a_picture_without_a_face(tmp_path):
    """Said in a sentence, instead of a figure about searches that were refused."""
    picture = tmp_path / "grey.png"
    Image.new("RGB", (200, 200), "grey").save(picture)
    ended = run("bench", "start", "--image", picture, "--people", 5, "--rounds", 1, "--dir", tmp_path)
    assert ended.returncode == 1 and "refused" in ended.stderr, ended.stderr
