"""What damage to a JPEG does: which kinds are refused, and what the rest make of a face.

    P=$(cross/venv.sh tests/requirements.txt); RECOCOMP_BIN=target/.../recocomp $P benches/damage.py [WIDTH [SEED]]

Twenty pictures (five people in four encodings, WIDTH pixels wide, 320 without) are damaged in every kind of tests/jpegs.py. Printed by
kind: how many files, how many libjpeg-turbo warns of or refuses, how many of those recocomp takes (which must be none), how many it
takes in all, in how many of these a face is found, and the cosine of their templates to the whole picture's."""

import collections
import json
import random
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import jpegs  # noqa: E402
from daemon import run  # noqa: E402

BATCH = 200


def bench(verb: str, files: list[Path], *options) -> list[dict]:
    rows = []
    for start in range(0, len(files), BATCH):
        done = run("bench", verb, "--json", *options, *files[start : start + BATCH], timeout=3000)
        assert done.returncode == 0, done.stderr
        rows += json.loads(done.stdout)["images"]
    return rows


def templates(files: list[Path]) -> list[np.ndarray | None]:
    rows = bench("templates", files, "--as", "enrolment")
    found = [row.get("template") for row in rows]
    return [np.asarray(template) if template else None for template in found]


def main(width: int = 320, seed: int = 19) -> None:
    chance = random.Random(seed)
    table = collections.defaultdict(lambda: {"files": 0, "warned": 0, "let through": 0, "taken": 0, "cosines": []})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wholes, kinds, paths = [], [], []
        for number, picture in enumerate(jpegs.twenty_pictures(width)):
            wholes.append(folder / f"whole{number}.jpg")
            wholes[-1].write_bytes(picture)
            for kind, file in jpegs.damage(picture, chance):
                paths.append(folder / f"{len(paths)}.jpg")
                paths[-1].write_bytes(file)
                kinds.append((kind, number))
        quiet = jpegs.side_by_side(lambda path: jpegs.djpeg(path.read_bytes())[0], paths)
        taken = []
        for path, (kind, number), whole, row in zip(paths, kinds, quiet, bench("decode", paths), strict=True):
            line = table[kind]
            line["files"] += 1
            line["warned"] += not whole
            if "refused" not in row:
                line["taken"] += 1
                line["let through"] += not whole
                taken.append((path, kind, number))
        originals = templates(wholes)
        for (path, kind, number), template in zip(taken, templates([path for path, *_ in taken]), strict=True):
            if template is not None:
                table[kind]["cosines"].append(float(template @ originals[number]))
    print(f"{'kind':24}{'files':>8}{'warned':>8}{'of these taken':>16}{'taken':>8}{'faces':>8}{'worst':>8}{'1 %':>8}{'below 0.9':>11}")
    for kind, line in table.items():
        cosines = np.sort(line["cosines"])
        worst, percent = (cosines[0], np.percentile(cosines, 1)) if len(cosines) else (np.nan, np.nan)
        print(f"{kind:24}{line['files']:8}{line['warned']:8}{line['let through']:16}{line['taken']:8}{len(cosines):8}", end="")
        print(f"{worst:8.3f}{percent:8.3f}{int((cosines < 0.9).sum()):11}")
    if any(line["let through"] for line in table.values()):
        raise SystemExit("libjpeg-turbo warns of files that are taken")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
