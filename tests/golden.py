"""What this build sees in the test pictures, and what x86-64 saw when it was frozen in data/golden.json.

    RECOCOMP_BIN=... python tests/golden.py      freezes it anew (make golden): for new models only, on x86-64

Pictures are the files of pictures/ as they are, and cuttings of them without loss, so that no encoder has a say."""

import base64
import itertools
import json
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

import faces
from daemon import Daemon, binary, run

FILE = Path(__file__).resolve().parent / "data/golden.json"
PEOPLE = [faces.OBAMA, faces.OBAMA_2, faces.OBAMA_3, faces.BIDEN, faces.ASTRONAUT]
# The head from edge to edge, found at the second look; and no face at all.
CLOSE_UP, CURTAINS = "close_up_of_obama2", "curtains"
PURPOSES = ["enrolment", "probe"]

MEANS = '[recognition]\nfusion = "mean"\n'
MIN_COSINE = 0.999
MAX_SCORE_DIFFERENCE = 0.005
# Of the components of quality, 0 to 100.
MAX_QUALITY_DIFFERENCE = 1.0


def pictures(folder: Path) -> dict[str, Path]:
    """Picture files by name."""
    for name, cutting in ((CLOSE_UP, faces.close_up(faces.OBAMA_2)), (CURTAINS, faces.without_face())):
        cutting.save(folder / f"{name}.png", compress_level=1)
    return {name: faces.FOLDER / f"{name}.jpg" for name in PEOPLE} | {
        name: folder / f"{name}.png" for name in (CLOSE_UP, CURTAINS)
    }


def models() -> list[str]:
    """Name and checksum of each network inside."""
    shown = run("version")
    assert shown.returncode == 0, shown.stderr
    return shown.stdout.splitlines()[1:]


def seen(folder: Path) -> dict[str, dict]:
    """By picture and purpose: number of faces, the box, and the template as base64 of little-endian f16."""
    files = pictures(folder)
    result = {name: {} for name in files}
    for purpose in PURPOSES:
        done = run("bench", "templates", "--json", "--as", purpose, *files.values(), timeout=550)
        assert done.returncode == 0, done.stderr
        for name, row in zip(files, json.loads(done.stdout)["images"], strict=True):
            answer = result[name][purpose] = {"faces": row["faces"]}
            if row["faces"]:
                answer["box"] = [round(row["box"][side], 2) for side in ("x", "y", "width", "height")]
                answer["template"] = base64.b64encode(np.array(row["template"], "<f2").tobytes()).decode()
    return result


def template(answer: dict) -> np.ndarray:
    """A template of `seen`, length 1."""
    row = np.frombuffer(base64.b64decode(answer["template"]), "<f2").astype(np.float64)
    return row / np.linalg.norm(row)


def scores(daemon: Daemon, of_means: Daemon, folder: Path) -> dict[str, dict[str, float]]:
    """What the API answers: searches among everybody, comparisons, and a search by the means of features."""
    text = {name: faces.base64_of(path.read_bytes()) for name, path in pictures(folder).items()}
    assert daemon.ask("/create/collection", collection_name="golden")["err_code"] == 0
    answer = daemon.insert("golden", *((name, text[name]) for name in PEOPLE))
    assert answer["success_num"] == len(PEOPLE), answer
    result = {f"search {name}": daemon.search("golden", text[name]) for name in [*PEOPLE, CLOSE_UP]}
    pairs = itertools.pairwise([*PEOPLE, faces.OBAMA])
    result["compare"] = {f"{a} {b}": daemon.compare(text[a], text[b]) for a, b in pairs}
    assert daemon.ask("/delete/collection", collection_name="golden")["err_code"] == 0
    assert of_means.ask("/create/collection", collection_name="golden")["err_code"] == 0
    people = (faces.OBAMA, faces.OBAMA), (faces.OBAMA, faces.OBAMA_2), (faces.BIDEN, faces.BIDEN), (faces.BIDEN, faces.ASTRONAUT)
    assert of_means.insert("golden", *((who, text[picture]) for who, picture in people))["success_num"] == len(people)
    result["search obama3 by means"] = of_means.search("golden", text[faces.OBAMA_3])
    return result


def room() -> Image.Image:
    """Two people far away, whom only tiles show, and one nearer."""
    picture = Image.new("RGB", (1280, 720), (128, 128, 128))
    for name, width, left, top in ((faces.OBAMA, 110, 150, 300), (faces.ASTRONAUT, 100, 700, 90), (faces.BIDEN, 400, 850, 250)):
        picture.paste(faces.head_and_shoulders(name, width), (left, top))
    return picture


def detected(daemon: Daemon, folder: Path) -> dict[str, list[dict]]:
    """Every face with the numbers that refuse it: quality and liveness. Also one far look."""
    room().save(folder / "room.png", compress_level=1)
    asked = {name: (path, False) for name, path in pictures(folder).items()} | {"room, far": (folder / "room.png", True)}
    result = {}
    for name, (path, far) in asked.items():
        answer = daemon.ask("/face/detect", face_image=faces.base64_of(path.read_bytes()), liveness=True, far=far)
        assert answer["err_code"] == 0, answer
        result[name] = [
            {"box": row["box"], "quality": row["quality"], "liveness": row["liveness"]["score"]} for row in answer["status"]
        ]
    return result


def freeze() -> None:
    kind = subprocess.run(["file", "-b", binary()[-1]], capture_output=True, text=True, check=True).stdout
    if platform.machine() != "x86_64" or "x86-64" not in kind:
        sys.exit("golden answers are those of x86-64: run this there, on a build for it")
    with tempfile.TemporaryDirectory() as folder:
        daemons = [Daemon(Path(folder) / "daemon").start(), Daemon(Path(folder) / "means", config=MEANS).start()]
        try:
            answers = {
                "models": models(),
                "seen": seen(Path(folder)),
                "detected": detected(daemons[0], Path(folder)),
                "scores": scores(*daemons, Path(folder)),
            }
        finally:
            for daemon in daemons:
                daemon.stop()
    FILE.write_text(json.dumps(answers, indent=1) + "\n", "utf-8")
    print(f"{FILE}: {len(answers['seen'])} pictures, {sum(map(len, answers['scores'].values()))} scores")


if __name__ == "__main__":
    freeze()
