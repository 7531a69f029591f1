"""The command line: version, enroll, bench."""

import base64
import json
import os
import re
import resource

import pytest
from PIL import Image

import faces
from daemon import run
from faces import ASTRONAUT, BIDEN, OBAMA, OBAMA_2, OBAMA_3, encoded, portrait, ruined


def test_version():
    """Name and version, and nothing went wrong."""
    ended = run("version")
    assert ended.returncode == 0
    assert re.match(r"recocomp V?\d+\.\d+\.\d+", ended.stdout)


@pytest.mark.parametrize("arguments", [[], ["help-me"], ["serve", "--no-such-option"], ["bench"], ["enroll"]])
def test_wrong_usage_is_explained(arguments):
    """A usage text on stderr, exit code 2."""
    ended = run(*arguments)
    assert ended.returncode == 2
    assert "Usage" in ended.stderr
    assert ended.stdout == ""


def test_help_names_every_verb():
    """What `recocomp --help` shows."""
    ended = run("--help")
    assert ended.returncode == 0
    for verb in ("serve", "enroll", "bench", "version"):
        assert verb in ended.stdout


# enroll


@pytest.fixture
def album(tmp_path):
    """Folders are people, files are people too; one picture has no face and one is none."""
    folder = tmp_path / "album"
    (folder / "obama").mkdir(parents=True)
    (folder / "obama" / "first.jpg").write_bytes(faces.file_bytes(OBAMA))
    (folder / "obama" / "second.png").write_bytes(encoded(faces.head_and_shoulders(OBAMA_3), "PNG"))
    (folder / "eileen.jpg").write_bytes(faces.file_bytes(ASTRONAUT))
    (folder / "biden_0001.jpg").write_bytes(faces.file_bytes(BIDEN))
    return folder


def assert_enrolled(daemon):
    assert daemon.features("staff") == 4
    for name, person in ((OBAMA_2, "obama"), (ASTRONAUT, "eileen"), (BIDEN, "biden")):
        found = daemon.search("staff", portrait(name))
        assert set(found) == {"obama", "eileen", "biden"}
        assert list(found)[0] == person and found[person] > 0.9


def test_enroll_a_folder_into_the_data(album, start_daemon, tmp_path):
    """Without a daemon: the faces go into the data folder, and a daemon started on it finds everybody."""
    data = tmp_path / "data"
    ended = run("enroll", album, "--collection", "staff", "--data", data)
    assert ended.returncode == 0, ended.stderr
    assert "4" in ended.stdout and "refused 0" in ended.stdout
    assert_enrolled(start_daemon(data=data))


@pytest.mark.parametrize("through", ["data", "daemon"])
def test_enroll_looks_far_where_it_is_told_to(start_daemon, tmp_path, through):
    """A face that only tiles show; where the configuration forbids them, that is said."""
    room = Image.new("RGB", (1920, 1080), (128, 128, 128))
    room.paste(faces.head_and_shoulders(BIDEN, 120), (1100, 300))
    (tmp_path / "album").mkdir()
    (tmp_path / "album" / "biden.png").write_bytes(encoded(room, "PNG"))
    no_gate, off = tmp_path / "no_gate.toml", tmp_path / "off.toml"
    no_gate.write_text("[quality.enrolment]\ninter_eye_distance = 0\nhead_size = 0\nsharpness = 0\nunified_quality_score = 0\n")
    off.write_text('[recognition]\nfar = "off"\n')

    def enroll(*arguments, config=no_gate):
        if through == "data":
            place = ["--data", tmp_path / "data", "--config", config]
        else:
            place = ["--server", f"127.0.0.1:{start_daemon(config=config.read_text()).port}"]
        return run("enroll", tmp_path / "album", "--collection", "staff", *place, *arguments)

    plain = enroll()
    assert plain.returncode == 2 and "no face" in plain.stdout, plain.stdout + plain.stderr
    far = enroll("--far")
    assert far.returncode == 0 and "refused 0" in far.stdout, far.stdout + far.stderr
    forbidden = enroll("--far", config=off)
    assert forbidden.returncode == 1 and "recognition.far" in forbidden.stderr, forbidden.stdout + forbidden.stderr
    assert "duplicates" not in forbidden.stderr and "two names" not in forbidden.stderr


def test_enroll_through_a_running_daemon(album, start_daemon):
    """With --server the daemon does the work, and finds everybody at once."""
    daemon = start_daemon()
    ended = run("enroll", album, "--collection", "staff", "--server", f"127.0.0.1:{daemon.port}")
    assert ended.returncode == 0, ended.stderr
    assert_enrolled(daemon)


def test_enroll_into_the_data_of_a_running_daemon_goes_through_it(album, start_daemon, tmp_path):
    """Without --server: the daemon that runs on this data is found wherever it listens, and no other one gets a face."""
    daemon, other = start_daemon(), start_daemon()
    config = tmp_path / "other.toml"
    config.write_text(f'[server]\nlisten = "127.0.0.1:{other.port}"\n')
    ended = run("enroll", album, "--collection", "staff", "--data", daemon.data, "--config", config)
    assert ended.returncode == 0, ended.stderr
    assert_enrolled(daemon)
    assert other.status() == []


@pytest.mark.parametrize("given", ["file", "environment"])
def test_enroll_with_the_token_of_a_door(album, start_daemon, tmp_path, given):
    """Whoever may enrol there may let himself in: nothing without the token, everything with it. It is told by no command line."""
    token = tmp_path / "token"
    token.write_text("a-token-of-the-terminal-at-the-door\n")
    door = f'[door]\nenabled = true\nboard = "simulated"\ncollection = "staff"\ntoken_file = "{token}"\n'
    daemon = start_daemon(config=door)
    arguments = ["enroll", album, "--collection", "staff", "--server", f"127.0.0.1:{daemon.port}"]
    clean = {name: value for name, value in os.environ.items() if name != "RECOCOMP_TOKEN"}
    wrong = tmp_path / "wrong"
    wrong.write_text("a-token-of-the-terminal-at-the-doos\n")
    for more, environment in (([], clean), (["--token-file", wrong], clean), ([], {**clean, "RECOCOMP_TOKEN": wrong.read_text()})):
        refused = run(*arguments, *more, env=environment)
        assert refused.returncode == 1 and "1015" in refused.stderr, refused
    assert daemon.status() == []
    if given == "file":
        ended = run(*arguments, "--token-file", token, env={**clean, "RECOCOMP_TOKEN": "the-file-counts-more"})
    else:
        ended = run(*arguments, env={**clean, "RECOCOMP_TOKEN": token.read_text()})
    assert ended.returncode == 0, ended.stderr
    assert daemon.features("staff") == 4


@pytest.mark.parametrize("contents", [None, "", "two words", "\u00fcber-die-t\u00fcr"])
def test_enroll_with_a_token_that_is_none(album, daemon, tmp_path, contents):
    """Said before anything is sent."""
    token = tmp_path / "token"
    if contents is not None:
        token.write_text(contents)
    ended = run("enroll", album, "--collection", "staff", "--server", f"127.0.0.1:{daemon.port}", "--token-file", token)
    assert ended.returncode == 1 and ("token" in ended.stderr), ended


def test_enroll_into_the_data_of_a_daemon_that_is_gone(album, start_daemon, tmp_path):
    """A killed daemon leaves its address behind; the faces go into its data, not to whoever listens elsewhere."""
    daemon, other = start_daemon(), start_daemon()
    config = tmp_path / "other.toml"
    config.write_text(f'[server]\nlisten = "127.0.0.1:{other.port}"\n')
    daemon.kill()
    ended = run("enroll", album, "--collection", "staff", "--data", daemon.data, "--config", config)
    assert ended.returncode == 0, ended.stderr
    assert other.status() == []
    assert_enrolled(daemon.start())
    again = run("enroll", album, "--collection", "guests", "--data", daemon.data)
    assert again.returncode == 0, again.stderr
    assert daemon.features("guests") == 4, "the daemon that was started again is found at its new address"


@pytest.mark.parametrize("through_daemon", [False, True], ids=["data folder", "daemon"])
def test_enroll_goes_on_after_a_file_that_cannot_be_read(album, start_daemon, tmp_path, through_daemon):
    """A link to nothing, a file whose reading fails and one far too large are refused by name, the rest is enrolled."""
    (album / "dangling.jpg").symlink_to(tmp_path / "nothing_there.jpg")
    (album / "obama" / "unreadable.jpg").symlink_to("/proc/self/mem")
    (album / "words.jpg").write_text("not a picture")
    with open(album / "enormous.jpg", "wb") as enormous:
        enormous.truncate(64 << 30)
    data = tmp_path / "data"
    daemon = start_daemon(data=data) if through_daemon else None
    where = ["--server", f"127.0.0.1:{daemon.port}"] if daemon else ["--data", data]
    # Whoever reads the large file does not get far: the machine that runs the tests is not to suffer.
    little = 8 << 30
    ended = run(
        "enroll",
        album,
        "--collection",
        "staff",
        *where,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (little, little)),
    )
    assert ended.returncode == 2, (ended.stdout, ended.stderr)
    refused = [line for line in ended.stdout.splitlines() if line.startswith("refused: ")]
    assert len(refused) == 4, ended.stdout
    for name in ("dangling.jpg", "unreadable.jpg", "words.jpg", "enormous.jpg"):
        line = next(line for line in refused if str(album) in line and name in line)
        assert len(line.split(name, 1)[1].strip(": ")) > 5, f"a reason is given: {line}"
    enormous = next(line for line in refused if "enormous.jpg" in line)
    assert re.search("larger|large|bytes|MiB", enormous) and "memory" not in enormous, enormous
    assert_enrolled(daemon or start_daemon(data=data))


@pytest.mark.parametrize("through_daemon", [False, True], ids=["data folder", "daemon"])
def test_enroll_reports_each_refused_picture_with_the_reason(album, start_daemon, tmp_path, through_daemon):
    """The others are enrolled; the exit code says that not everything was."""
    (album / "curtains.jpg").write_bytes(encoded(faces.without_face()))
    (album / "blurred.jpg").write_bytes(base64.b64decode(ruined(BIDEN)))
    (album / "obama" / "notes.txt").write_text("not a picture")
    (album / "obama" / "cut.jpg").write_bytes(faces.file_bytes(OBAMA)[:300])
    (album / "eileen").mkdir()
    for number in range(5):
        turned = faces.head_and_shoulders(ASTRONAUT).rotate(3 * (number - 2), Image.Resampling.BICUBIC)
        (album / "eileen" / f"{number}.png").write_bytes(encoded(turned, "PNG"))
    data = tmp_path / "data"
    daemon = start_daemon(data=data) if through_daemon else None
    where = ["--server", f"127.0.0.1:{daemon.port}"] if daemon else ["--data", data]
    ended = run("enroll", album, "--collection", "staff", *where)
    assert ended.returncode == 2, (ended.stdout, ended.stderr)
    refused = [line for line in ended.stdout.splitlines() if line.startswith("refused: ")]
    assert len(refused) == 4, ended.stdout
    assert "passed over: 1 (no pictures): obama/notes.txt" in ended.stdout
    for name in ("curtains.jpg", "cut.jpg", "blurred.jpg"):
        line = next(line for line in refused if name in line)
        assert len(line.split(name, 1)[1].strip(": ")) > 5, f"a reason is given: {line}"
    assert "sharpness" in next(line for line in refused if "blurred.jpg" in line)
    assert sum("eileen" in line for line in refused) == 1, "the sixth picture of a person"
    daemon = daemon or start_daemon(data=data)
    assert daemon.features("staff") == 8


@pytest.mark.parametrize(
    "arguments",
    [
        ["no_such_folder", "--collection", "staff"],
        ["album", "--collection", "bad-name"],
        ["empty", "--collection", "staff"],
        ["album", "--collection", "staff", "--server", "127.0.0.1:1"],
    ],
    ids=["no folder", "bad collection name", "empty folder", "no daemon"],
)
def test_enroll_that_cannot_start(album, tmp_path, arguments):
    """A sentence on stderr and an exit code that is neither success nor a crash."""
    (tmp_path / "empty").mkdir()
    ended = run("enroll", *arguments, *([] if "--server" in arguments else ["--data", "data"]), cwd=tmp_path)
    assert ended.returncode not in (0, 2, 101), ended.stdout
    assert ended.stderr.strip() and "panicked" not in ended.stderr


def test_enrolling_twice_adds_nothing(album, start_daemon, tmp_path):
    """The collection that exists is used; the faces that are there already are told and not stored again."""
    data = tmp_path / "data"
    assert run("enroll", album, "--collection", "staff", "--data", data).returncode == 0
    again = run("enroll", album, "--collection", "staff", "--data", data)
    assert again.returncode == 0 and "enrolled already 4" in again.stdout, again.stdout + again.stderr
    assert start_daemon(data=data).features("staff") == 4


# bench


def json_of(ended) -> dict:
    """With --json standard output is one JSON object and nothing else."""
    assert ended.returncode == 0, ended.stderr
    result = json.loads(ended.stdout)
    assert isinstance(result, dict)
    assert len(ended.stdout.strip().splitlines()) == 1
    return result


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Twenty pairs, half of them of one person, from variations of five pictures."""
    folder = tmp_path_factory.mktemp("pairs")
    (folder / "img").mkdir()
    for name in faces.HEADS:
        (folder / "img" / f"{name}.jpg").write_bytes(faces.file_bytes(name))
        (folder / "img" / f"{name}_dark.jpg").write_bytes(encoded(faces.dark(faces.head_and_shoulders(name))))
    (folder / "img" / "curtains.jpg").write_bytes(encoded(faces.without_face()))
    same = [
        (a, b) for a in (OBAMA, OBAMA_2, OBAMA_3) for b in (f"{OBAMA}_dark", f"{OBAMA_2}_dark", f"{OBAMA_3}_dark")
    ] + [(BIDEN, f"{BIDEN}_dark")]
    different = [
        (a, b) for a in (OBAMA, OBAMA_2, OBAMA_3, f"{OBAMA}_dark", f"{OBAMA_2}_dark") for b in (BIDEN, ASTRONAUT)
    ]
    rows = [f"img/{a}.jpg,img/{b}.jpg,1" for a, b in same] + [f"img/{a}.jpg,img/{b}.jpg,0" for a, b in different]
    (folder / "pairs.csv").write_text("\n".join(["path1,path2,same", *rows]) + "\n")
    (folder / "missed.csv").write_text(
        "\n".join(["path1,path2,same", *rows, "img/obama.jpg,img/curtains.jpg,1"]) + "\n"
    )
    return folder


def test_bench_accuracy(pairs):
    """Easy pairs: all are told apart; every figure is a rate from 0 to 1."""
    result = json_of(run("bench", "accuracy", "--pairs", pairs / "pairs.csv", "--json"))
    assert {
        "pairs",
        "missed_faces",
        "accuracy",
        "tar_at_fmr_1e-2",
        "tar_at_fmr_1e-3",
        "eer",
        "threshold_fmr_1e-3",
    } <= set(result)
    assert result["pairs"] == 20
    assert result["missed_faces"] == 0
    assert result["accuracy"] == 1
    assert result["tar_at_fmr_1e-2"] == 1 and result["tar_at_fmr_1e-3"] == 1
    assert result["eer"] == 0


def test_bench_accuracy_counts_a_missed_face_as_a_failure(pairs):
    """A picture without a face is counted and costs its pair."""
    result = json_of(run("bench", "accuracy", "--pairs", pairs / "missed.csv", "--json"))
    assert result["pairs"] == 21
    assert result["missed_faces"] == 1
    assert result["accuracy"] < 1
    assert result["tar_at_fmr_1e-2"] == pytest.approx(10 / 11, abs=1e-6)


def test_bench_accuracy_for_people(pairs):
    """Without --json a table that a person reads."""
    ended = run("bench", "accuracy", "--pairs", pairs / "missed.csv")
    assert ended.returncode == 0
    assert "curtains.jpg" in ended.stdout and "EER" in ended.stdout


F16 = faces.FOLDER.parents[1] / "models" / "mobilefacenet-f16.tflite"


def test_bench_accuracy_beside_a_reference(pairs):
    """How alike templates are, and every pair that is decided differently; not the other way round."""
    result = json_of(run("bench", "accuracy", "--pairs", pairs / "pairs.csv", "--reference", F16, "--json"))
    beside = result["reference"]
    assert beside["embedder"] == "mobilefacenet-f16" and result["embedder"] == "mobilefacenet-int8"
    cosine = beside["cosine"]
    assert 0.9 < cosine["least"] <= cosine["p1"] <= cosine["median"] < 1
    assert (beside["decided_worse"], beside["decided_better"], beside["pairs"]) == (0, 0, [])
    ended = run("bench", "accuracy", "--pairs", pairs / "missed.csv", "--reference", F16)
    assert "beside mobilefacenet-f16" in ended.stdout and "decided worse       0" in ended.stdout


def test_bench_pipeline_beside_a_reference(tmp_path):
    """Both embedders by turns, on the same picture."""
    picture = tmp_path / "face.jpg"
    picture.write_bytes(encoded(faces.image(OBAMA)))
    result = json_of(run("bench", "pipeline", "--image", picture, "--runs", "10", "--reference", F16, "--json"))
    beside = result["reference"]
    assert beside["embedder"] == "mobilefacenet-f16"
    assert beside["embed_ratio"] == pytest.approx(result["stages"]["embed"]["median_ms"] / beside["embed_median_ms"])


def test_bench_pipeline(tmp_path):
    """Median and 99th percentile of each stage, which together are about the total."""
    picture = tmp_path / "face.jpg"
    picture.write_bytes(encoded(faces.image(OBAMA).resize((640, 480))))
    result = json_of(run("bench", "pipeline", "--image", picture, "--json"))
    assert len(result["stages"]) >= 4
    for stage in [*result["stages"].values(), result["total"]]:
        assert 0 <= stage["median_ms"] <= stage["p99_ms"]
    assert result["total"]["median_ms"] > 0
    together = sum(stage["median_ms"] for stage in result["stages"].values())
    assert 0.5 * result["total"]["median_ms"] < together < 1.5 * result["total"]["median_ms"]


def test_bench_detection(tmp_path):
    """Recall by size of the face, and false detections in pictures that are said to show none: here one does."""
    (tmp_path / "negatives" / "deeper").mkdir(parents=True)
    (tmp_path / "negatives" / "sky.png").write_bytes(encoded(Image.linear_gradient("L").convert("RGB"), "PNG"))
    (tmp_path / "negatives" / "deeper" / "biden.jpg").write_bytes(faces.file_bytes(BIDEN))
    rows = ["path,x,y,w,h,invalid"]
    for name, box in ((OBAMA, (310, 90, 270, 310)), (BIDEN, (175, 90, 165, 205)), (ASTRONAUT, (180, 60, 85, 110))):
        (tmp_path / f"{name}.jpg").write_bytes(faces.file_bytes(name))
        rows.append(",".join(map(str, [f"{name}.jpg", *box, 0])))
    rows.append("obama.jpg,0,0,10,10,0")  # smaller than 20 pixels: not asked for
    rows.append("obama.jpg,0,0,100,100,1")  # marked invalid: not asked for
    (tmp_path / "boxes.csv").write_text("\n".join(rows) + "\n")
    result = json_of(
        run("bench", "detection", "--boxes", tmp_path / "boxes.csv", "--negatives", tmp_path / "negatives", "--json")
    )
    assert result["pictures"] == 3 and result["negatives"] == 2
    recall = result["with_padded_pass"]["recall"]
    assert recall["> 15 %"] == {"faces": 3, "found": 3, "recall": 1}
    assert recall["4-8 %"]["faces"] == 0 and recall["< 4 %"]["faces"] == 0
    assert result["with_padded_pass"]["false_detections"] == 1
    assert result["with_padded_pass"]["false_detections_per_picture"] == 0.5


@pytest.mark.parametrize(
    "arguments",
    [
        ["accuracy", "--pairs", "missing.csv"],
        ["accuracy", "--reference", "words.jpg", "--pairs", "pairs.csv"],
        ["pipeline", "--reference", "words.jpg", "--image", "missing.jpg"],
        ["pipeline", "--image", "missing.jpg"],
        ["pipeline", "--image", "words.jpg"],
        ["detection", "--boxes", "missing.csv", "--negatives", "."],
        ["accuracy", "--pairs", "words.jpg"],
    ],
    ids=" ".join,
)
def test_bench_with_a_file_that_cannot_be_used(tmp_path, arguments):
    """The file is named, nothing is printed as a result."""
    (tmp_path / "words.jpg").write_text("words, no picture\nand no table\n")
    (tmp_path / "pairs.csv").write_text("path1,path2,same\nmissing.jpg,missing.jpg,1\n")
    ended = run("bench", *arguments, "--json", cwd=tmp_path)
    assert ended.returncode not in (0, 101)
    assert arguments[2] in ended.stderr
    assert ended.stdout == ""
