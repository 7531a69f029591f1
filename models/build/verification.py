"""Cosines of the LFW development pairs over the whole path: detect, mesh, align, embed."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from alignment import align, mesh, mesh_again
from calibration_set import pairs, pictures_of
from detection import detect_with_second_pass
from interpreter import Model
from letterbox import read_rgb

THRESHOLD = 0.5  # the product's default


@dataclass
class Aligned:
    """One face for its two purposes: after one look at the mesh, and after two."""

    probe: np.ndarray
    enrolment: np.ndarray


class FaceAligner:
    """Picture -> aligned face, of the face nearest to the middle, or None."""

    def __init__(self, detector: bytes, landmarks: bytes):
        self._detector = Model(detector)
        self._landmarks = Model(landmarks)

    def __call__(self, picture: np.ndarray) -> Aligned | None:
        faces = detect_with_second_pass(self._detector, picture, THRESHOLD)
        if not faces:
            return None
        middle = np.array(picture.shape[1::-1]) / 2
        face = min(faces, key=lambda face: np.linalg.norm(face.centre - middle) / face.width)
        first = mesh(self._landmarks, picture, face)
        second = mesh_again(self._landmarks, picture, first)
        return Aligned(align(picture, first), align(picture, second))


def aligner_of(models: Path) -> FaceAligner:
    return FaceAligner((models / "detector.tflite").read_bytes(), (models / "landmarks.tflite").read_bytes())


def embed(model: Model, face: np.ndarray, mirror: bool) -> np.ndarray:
    """Unit length. With `mirror`, of the sum with the mirrored face's embedding."""
    image = (face.astype(np.float32) - 127.5) / 128
    vector = model(image)[0][0]
    if mirror:
        vector = vector + model(image[:, ::-1])[0][0]
    return unit(vector)


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def aligned_faces(lfw: Path, aligner: FaceAligner) -> dict[str, Aligned]:
    """By picture path; pictures without a face are absent."""
    faces = {name: aligner(read_rgb(lfw / name)) for name in pictures_of(pairs(lfw))}
    return {name: face for name, face in faces.items() if face is not None}


def enrolled(faces: dict[str, Aligned], model: Model) -> dict[str, np.ndarray]:
    """Two looks at the mesh, face and mirror image: how a template is kept and both sides are compared."""
    return {name: embed(model, face.enrolment, mirror=True) for name, face in faces.items()}


def probes(faces: dict[str, Aligned], model: Model) -> dict[str, np.ndarray]:
    """One look, one view: how a search sees the person in front of it."""
    return {name: embed(model, face.probe, mirror=False) for name, face in faces.items()}


def cosines(lfw: Path, first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(cosine, same person) of each pair; a pair with a missing face has cosine -1."""
    rows = pairs(lfw)
    same = np.array([row["same"] == "1" for row in rows])
    ends = [(first.get(row["path1"]), second.get(row["path2"])) for row in rows]
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
