"""Pictures that lie on their side or upside down: are their people enrolled as themselves?

    python benches/turned.py BINARY FOLDER [--people 150]

FOLDER holds pictures NAME_0001.jpg, NAME_0002.jpg of each person, as LFW names them. The first picture of each is enrolled as it
is and turned by 90, 180 and 270 degrees, each turn into a collection of its own; the second, as it is, is searched for. Also
printed: how like the template of the turned picture is to that of the upright one, and how often a turned picture became a
template of something else (cosine below 0.45). Needs the packages of tests/requirements.txt.
"""

import argparse
import base64
import io
import math
import os
import random
import sys
import tempfile
from pathlib import Path

from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from daemon import Daemon  # noqa: E402

JUNK = 0.45


def turned(path: Path, degrees: int) -> str:
    """The picture turned clockwise, as base64 of a JPEG without EXIF."""
    out = io.BytesIO()
    with Image.open(path) as picture:
        picture.convert("RGB").rotate(-degrees, expand=True).save(out, "JPEG", quality=95)
    return base64.b64encode(out.getvalue()).decode()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--people", type=int, default=150)
    arguments = parser.parse_args()
    os.environ["RECOCOMP_BIN"] = arguments.binary
    people = sorted(
        path.name.removesuffix("_0001.jpg")
        for path in arguments.folder.glob("*_0001.jpg")
        if (arguments.folder / path.name.replace("_0001", "_0002")).exists()
    )
    random.Random(1).shuffle(people)
    people = people[: arguments.people]
    with tempfile.TemporaryDirectory() as data:
        daemon = Daemon(Path(data)).start()
        try:
            measure(daemon, arguments.folder, people)
        finally:
            daemon.kill()


def measure(daemon, folder: Path, people: list[str]):
    curve = daemon.ask("/face/feature", face_image=turned(folder / f"{people[0]}_0001.jpg", 0))["status"]["score"]

    def cosine(score: float) -> float:
        score = min(max(score, 1e-12), 1 - 1e-12)
        return (math.log(score / (1 - score)) - curve["offset"]) / curve["slope"]

    print(f"{len(people)} people of {folder}")
    print("| turned by | enrolled | right person first | cosine to upright: median | least | below 0.45 |")
    print("|---|---|---|---|---|---|")
    for degrees in (0, 90, 180, 270):
        collection = f"turned_{degrees}"
        daemon.ask("/create/collection", collection_name=collection)
        enrolled, right, cosines = 0, 0, []
        for person in people:
            picture = turned(folder / f"{person}_0001.jpg", degrees)
            answer = daemon.ask("/face/insert", collection_name=collection, target_id=[person], face_image=[picture])
            if answer.get("success_num") != 1:
                continue
            enrolled += 1
            upright = turned(folder / f"{person}_0001.jpg", 0)
            alike = daemon.ask("/face/compare", face_image1=picture, face_image2=upright)
            if alike["err_code"] == 0:
                cosines.append(cosine(alike["score"]))
        for person in people:
            found = daemon.ask(
                "/face/search",
                collection_name=collection,
                face_image=turned(folder / f"{person}_0002.jpg", 0),
                top_k=1,
            )
            right += found["err_code"] == 0 and [row["result"] for row in found["status"]] == [person]
        cosines.sort()
        junk = sum(value < JUNK for value in cosines)
        print(f"| {degrees} | {enrolled} | {right} | {cosines[len(cosines) // 2]:.4f} | {cosines[0]:.4f} | {junk} |", flush=True)


if __name__ == "__main__":
    main()
