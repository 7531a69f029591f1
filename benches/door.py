"""Who opens a door that should not, and who is shut out that should not: scenes and pictures shown to a real daemon.

    benches/door.sh BINARY --people lfw/images [--living pad.csv ...]

`--people`: pictures named NAME_0001.jpg, heads in the middle as LFW has them; of each name with two pictures the first is enrolled and the second
stands in the scene. `--living`: lists with the columns path,label; those with the label real are people at a terminal, of whom nobody may be told
that they are too far away or cannot be read. An older binary can be measured, too.
"""

import argparse
import csv
import os
import random
import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path

from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import scenes  # noqa: E402
from daemon import Daemon  # noqa: E402
from faces import base64_of  # noqa: E402

HEAD = (78, 58, 172, 188)  # of 250x250, hair to chin
DOOR = '[door]\nenabled = true\nboard = "simulated"\ncollection = "staff"\npulse_ms = 100\ncooldown_ms = 0\nclients = ["127.0.0.1"]\n'


def read(path: Path) -> Image.Image:
    with Image.open(path) as picture:
        return picture.convert("RGB")


def people(folder: Path, count: int) -> list[tuple[str, Path, Path]]:
    named = defaultdict(list)
    for path in sorted(folder.iterdir()):
        named[path.stem.rsplit("_", 1)[0]].append(path)
    several = [(name, *paths[:2]) for name, paths in named.items() if len(paths) > 1]
    return random.Random(11).sample(several, count)


def ask(daemon: Daemon, picture: str, **more) -> str:
    answer = daemon.ask("/face/search", collection_name="staff", face_image=picture, top_k=1, open=True, **more)
    return answer.get("door", {}).get("reason", f"err_code {answer['err_code']}")


def attack_scenes(chosen):
    """Name of the scene, picture, more fields."""
    for index, (_, _, shown) in enumerate(chosen):
        colleague = read(shown)
        front = read(chosen[(index + len(chosen) // 2) % len(chosen)][1])
        for width in (36, 80):
            yield f"alone, {width} px", scenes.alone(colleague, HEAD, width), {}
            yield f"alone, {width} px, far", scenes.alone(colleague, HEAD, width), {"far": True}
        for cover in scenes.COVERS:
            for width, near in ((80, 400), (140, 400), (200, 600)):
                scene = scenes.colleague_behind(cover(front, HEAD), HEAD, colleague, HEAD, width, near)
                yield f"{width} px behind {near} px, {cover.__name__}", scene, {}


def table(title: str, counts: dict[str, Counter]) -> None:
    print(f"\n{title}")
    for name, reasons in counts.items():
        rest = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common() if reason != "matched")
        print(f"  {name:<44} opened {reasons['matched']:>3} of {reasons.total()}; {rest}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary")
    parser.add_argument("--people", type=Path, required=True)
    parser.add_argument("--living", type=Path, action="append", default=[])
    parser.add_argument("--count", type=int, default=24)
    arguments = parser.parse_args()
    os.environ["RECOCOMP_BIN"] = arguments.binary
    chosen = people(arguments.people, arguments.count)
    for liveness in ("enforce", "off"):
        with tempfile.TemporaryDirectory() as folder:
            daemon = Daemon(Path(folder), config=DOOR + f'liveness = "{liveness}"\n').start()
            try:
                daemon.ask("/create/collection", collection_name="staff")
                for name, enrolled, _ in chosen:
                    daemon.insert("staff", (name, base64_of(read(enrolled))))
                counts = defaultdict(Counter)
                for name, scene, more in attack_scenes(chosen):
                    counts[name][ask(daemon, base64_of(scene), **more)] += 1
                table(f'scenes, liveness = "{liveness}"', counts)
                counts = defaultdict(Counter)
                if liveness == "off":
                    for path in sorted(arguments.people.iterdir())[::4]:
                        counts[f"{arguments.people}, every fourth"][ask(daemon, base64_of(path.read_bytes()))] += 1
                    for listed in arguments.living:
                        for row in csv.DictReader(listed.open()):
                            if row["label"] == "real":
                                picture = (listed.parent / row["path"]).read_bytes()
                                counts[str(listed)][ask(daemon, base64_of(picture))] += 1
                    table("people at a terminal", counts)
            finally:
                daemon.kill()


if __name__ == "__main__":
    main()
