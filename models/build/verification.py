"""Cosines of the LFW development pairs over the whole path: detect, mesh, align, embed."""

from pathlib import Path

import numpy as np

from alignment import align, mesh
from calibration_set import pairs, pictures_of
from detection import detect_with_second_pass
from interpreter import Model
from letterbox import read_rgb

THRESHOLD = 0.3  # a development picture is known to show a face


class FaceAligner:
    """Picture -> aligned face, of the face nearest to the middle, or None."""

    def __init__(self, detector: Path, landmarks: Path):
        self._detector = Model(detector.read_bytes())
        self._landmarks = Model(landmarks.read_bytes())

    def __call__(self, picture: np.ndarray) -> np.ndarray | None:
        faces = detect_with_second_pass(self._detector, picture, THRESHOLD)
        if not faces:
            return None
        middle = np.array(picture.shape[1::-1]) / 2
        face = min(faces, key=lambda face: np.linalg.norm(face.centre - middle) / face.side)
        return align(picture, mesh(self._landmarks, picture, face))


def embed(model: Model, face: np.ndarray, mirror: bool) -> np.ndarray:
    """Unit length. With `mirror`, the mean with the mirrored face's embedding."""
    image = (face.astype(np.float32) - 127.5) / 128
    vector = unit(model(image)[0][0])
    if mirror:
        vector = unit(vector + unit(model(image[:, ::-1])[0][0]))
    return vector


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def aligned_faces(lfw: Path, aligner: FaceAligner) -> dict[str, np.ndarray]:
    """By picture path; pictures without a face are absent."""
    faces = {name: aligner(read_rgb(lfw / name)) for name in pictures_of(pairs(lfw))}
    return {name: face for name, face in faces.items() if face is not None}


def cosines(lfw: Path, faces: dict, model: Model, mirror: bool) -> tuple[np.ndarray, np.ndarray]:
    """(cosine, same person) of each pair; a pair with a missing face has cosine -1."""
    vectors = {name: embed(model, face, mirror) for name, face in faces.items()}
    rows = pairs(lfw)
    same = np.array([row["same"] == "1" for row in rows])
    ends = [(vectors.get(row["path1"]), vectors.get(row["path2"])) for row in rows]
    return np.array([-1.0 if a is None or b is None else float(a @ b) for a, b in ends]), same


def rates(cosine: np.ndarray, same: np.ndarray) -> dict[str, float]:
    """Accuracy at the best threshold of the other nine folds, and the usual operating points."""
    genuine, impostor = cosine[same], np.sort(cosine[~same])[::-1]
    order = np.random.default_rng(0).permutation(len(cosine))
    folds = np.array_split(order, 10)
    accuracy = []
    for fold in folds:
        rest = np.setdiff1d(order, fold)
        candidates = np.unique(cosine[rest])
        right = [((cosine[rest] >= threshold) == same[rest]).mean() for threshold in candidates]
        accuracy.append(((cosine[fold] >= candidates[int(np.argmax(right))]) == same[fold]).mean())
    result = {"accuracy": float(np.mean(accuracy))}
    for rate in (1e-2, 1e-3):
        threshold = impostor[int(rate * len(impostor))]
        result[f"TAR@{rate:g}"] = float((genuine > threshold).mean())
        result[f"cosine@{rate:g}"] = float(threshold)
    candidates = np.unique(cosine)
    result["EER"] = float(min(max((impostor >= t).mean(), (genuine < t).mean()) for t in candidates))
    return result
