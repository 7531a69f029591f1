"""Pairs for `recocomp bench replay`: neighbouring frames of living people, and copies of their pictures.

    copies.py LIST FOLDER     # LIST: columns path,label; those with the label real, in the order of the camera

Copies and pairs.csv are written into FOLDER.
"""

import csv
import sys
from pathlib import Path

from PIL import Image, ImageEnhance

EVERY = 5  # of so many pictures one is copied


def copies(picture: Image.Image):
    width, height = picture.size
    for quality in (92, 75, 50):
        yield f"jpeg q{quality}", picture, {"quality": quality}
    for share in (90, 75, 50):
        yield f"resized to {share} %", picture.resize((width * share // 100, height * share // 100), Image.Resampling.LANCZOS), {}
    for share in (110, 80):
        yield f"brightness {share} %", ImageEnhance.Brightness(picture).enhance(share / 100), {}
    yield "contrast 120 %", ImageEnhance.Contrast(picture).enhance(1.2), {}
    for share in (2, 10):
        edge = (width * share // 200, height * share // 200)
        yield f"cropped by {share} %", picture.crop((*edge, width - edge[0], height - edge[1])), {}
    yield "turned by 2 degrees", picture.rotate(2, Image.Resampling.BICUBIC), {}


def main() -> None:
    listed, folder = Path(sys.argv[1]), Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    rows = [row for row in csv.DictReader(listed.open()) if row["label"] == "real"]
    paths = [(listed.parent / row["path"]).resolve() for row in rows]
    pairs = []
    for lag in (1, 2, 5):
        pairs += [(first, second, f"living, {lag} on") for first, second in zip(paths, paths[lag:])]
    for path in paths[::EVERY]:
        with Image.open(path) as picture:
            for index, (kind, copy, options) in enumerate(copies(picture.convert("RGB"))):
                made = (folder / f"{path.stem}-{index}.jpg").resolve()
                copy.save(made, **{"quality": 90, **options})
                pairs.append((path, made, kind))
    with (folder / "pairs.csv").open("w", newline="") as out:
        csv.writer(out).writerows([("path1", "path2", "kind"), *pairs])


if __name__ == "__main__":
    main()
