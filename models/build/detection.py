"""Reference decoding of the detector's outputs, used by the measurements."""

from dataclasses import dataclass

import numpy as np

from letterbox import letterbox, product_resize

SIDE = 192
CELLS = 48  # one anchor in the centre of each cell of a 48x48 grid
OVERLAP = 0.3


@dataclass
class Face:
    """In pixels of the picture. Keypoints: right eye, left eye, nose, mouth, right ear, left ear."""

    score: float
    box: np.ndarray  # left, top, right, bottom
    keypoints: np.ndarray  # 6 x 2

    @property
    def centre(self) -> np.ndarray:
        return (self.box[:2] + self.box[2:]) / 2

    @property
    def width(self) -> float:
        return float(self.box[2] - self.box[0])

    @property
    def side(self) -> float:
        return float((self.box[2:] - self.box[:2]).max())


def detect(model, picture: np.ndarray, threshold: float, zoom: float = 1.0) -> list[Face]:
    square, scale, offset = letterbox(picture, SIDE, zoom, resize=product_resize)
    boxes, scores = model((square.astype(np.float32) - 127.5) / 127.5)
    faces = decode(boxes[0], scores[0, :, 0], threshold)
    for face in faces:
        face.box = ((face.box.reshape(2, 2) - offset) / scale).reshape(4)
        face.keypoints = (face.keypoints - offset) / scale
    return faces


def detect_with_second_pass(model, picture: np.ndarray, threshold: float) -> list[Face]:
    """A face that fills the frame is found once the picture takes only half of the square."""
    return detect(model, picture, threshold) or detect(model, picture, threshold, zoom=0.5)


def decode(boxes: np.ndarray, logits: np.ndarray, threshold: float) -> list[Face]:
    """Faces in pixels of the 192x192 square, overlapping ones merged by their score-weighted mean."""
    scores = 1 / (1 + np.exp(-np.clip(logits, -80, 80)))
    kept = np.flatnonzero(scores >= threshold)
    kept = kept[np.argsort(-scores[kept], kind="stable")]
    cell = SIDE / CELLS
    anchors = (np.stack([kept % CELLS, kept // CELLS], axis=1) + 0.5) * cell
    # Centre and keypoints are relative to the anchor; the size is absolute.
    values = boxes[kept].astype(np.float64).reshape(-1, 8, 2)
    centres, sizes, keypoints = values[:, 0] + anchors, values[:, 1], values[:, 2:] + anchors[:, None]
    corners = np.concatenate([centres - sizes / 2, centres + sizes / 2], axis=1)
    scores = scores[kept]
    faces, open_ = [], np.ones(len(kept), bool)
    for index in range(len(kept)):
        if not open_[index]:
            continue
        group = open_ & (intersection_over_union(corners[index], corners) > OVERLAP)
        group[index] = True
        open_ &= ~group
        weights = scores[group] / scores[group].sum()
        faces.append(
            Face(float(scores[index]), weights @ corners[group], np.tensordot(weights, keypoints[group], axes=1))
        )
    return faces


def intersection_over_union(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    extent = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    shared = np.clip(extent, 0, None).prod(axis=1)
    areas = (others[:, 2:] - others[:, :2]).prod(axis=1)
    return shared / ((box[2:] - box[:2]).prod() + areas - shared + 1e-9)
