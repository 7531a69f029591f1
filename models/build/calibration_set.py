"""The pictures that set the activation ranges of the detector and of the embedder.

From the LFW development pairs only those of rows 1-600 are taken, and of the WIDER pictures every second one, so that
the rest stays unseen for the measurements. Each picture is seen at the two sizes of the product's two passes, and the
LFW ones also cut down to the middle half, where the face fills the frame: without those the activations of such faces
are clipped, and nine of ten are missed in the first pass. The embedder sees LFW faces alone, each as it is enrolled and,
mirrored, as it is searched.
"""

import csv
import hashlib
from pathlib import Path

import numpy as np

from letterbox import calibration_resize, letterbox, read_rgb

FITTED_ROWS = 600
LFW_PICTURES = 40
WIDER_PICTURES = 13
FACES = 64
ZOOMS = (1.0, 0.5)


def pairs(lfw: Path) -> list[dict]:
    with open(lfw / "pairs.csv", newline="") as file:
        return list(csv.DictReader(file))


def pictures_of(rows: list[dict]) -> list[str]:
    return sorted({row[key] for row in rows for key in ("path1", "path2")})


def wider_pictures(wider: Path) -> tuple[list[Path], list[Path]]:
    """(calibration half, measurement half)"""
    paths = sorted((wider / "images").iterdir())
    return paths[::2], paths[1::2]


def calibration_paths(lfw: Path, wider: Path) -> list[Path]:
    faces = [lfw / path for path in pictures_of(pairs(lfw)[:FITTED_ROWS])]
    return spread(faces, LFW_PICTURES) + spread(wider_pictures(wider)[0], WIDER_PICTURES)


def face_paths(lfw: Path) -> list[Path]:
    return spread([lfw / path for path in pictures_of(pairs(lfw)[:FITTED_ROWS])], FACES)


def calibration_faces(paths: list[Path], aligner) -> list[np.ndarray]:
    """`aligner`: a FaceAligner."""
    faces = [face for face in map(aligner, map(read_rgb, paths)) if face is not None]
    return [face.enrolment for face in faces] + [face.probe[:, ::-1] for face in faces]


def spread(paths: list[Path], count: int) -> list[Path]:
    return [paths[index * len(paths) // count] for index in range(count)]


def calibration_squares(paths: list[Path], side: int) -> list[np.ndarray]:
    pictures = [read_rgb(path) for path in paths]
    views = [(picture, zoom) for picture in pictures for zoom in ZOOMS]
    views += [(middle_half(picture), 1.0) for picture in pictures[:LFW_PICTURES]]
    return [letterbox(picture, side, zoom, resize=calibration_resize)[0] for picture, zoom in views]


def middle_half(picture: np.ndarray) -> np.ndarray:
    """Of an LFW picture: a face from brow to chin."""
    height, width = picture.shape[:2]
    return picture[height // 4 : height * 3 // 4, width // 4 : width * 3 // 4]


def digest(paths: list[Path]) -> str:
    """SHA-256 over the pictures in order, to tell whether two builds saw the same ones."""
    total = hashlib.sha256()
    for path in paths:
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()
