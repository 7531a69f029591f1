"""From a detected face to the embedder's 112x112 input, over five points of the face mesh."""

import cv2
import numpy as np

from detection import Face
from letterbox import GREY

MESH_SIDE = 192
CROP_OF_BOX = 1.5  # side of the first crop, in longer sides of the detected box: what the mesh was trained on
CROP_OF_MESH = 1.35  # side of the second crop, in longer sides of the first mesh
EMBEDDER_SIDE = 112
BLACK = 0  # around a picture, as in the pictures the embedder was trained on

# Mesh points that make one alignment point each, and where ArcFace's template wants it.
MESH_POINTS = ([33, 133], [362, 263], [4], [61], [291])
TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)


def mesh(model, picture: np.ndarray, face: Face) -> np.ndarray:
    """The first look: 468 points in pixels of the picture, found on a crop around the detected box."""
    return _look(model, picture, face.centre, CROP_OF_BOX * face.side, _rotation(*face.keypoints[:2]))


def mesh_again(model, picture: np.ndarray, first: np.ndarray) -> np.ndarray:
    """The second look, on a crop around the mesh of the first: the detected box has no more say."""
    rotation = _rotation(*five(first)[:2])
    turned = first @ rotation.T
    low, high = turned.min(axis=0), turned.max(axis=0)
    centre = rotation.T @ ((low + high) / 2)
    return _look(model, picture, centre, CROP_OF_MESH * (high - low).max(), rotation)


def five(points: np.ndarray) -> np.ndarray:
    """The alignment points of a mesh: right eye, left eye, nose, right and left corner of the mouth."""
    return np.array([points[indices].mean(axis=0) for indices in MESH_POINTS])


def align(picture: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The 112x112 picture of the face on the template, u8 RGB."""
    linear, shift = similarity(five(points), TEMPLATE)
    return _warp(picture, linear, shift, EMBEDDER_SIDE, BLACK)


def similarity(source: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Least-squares rotation, scale and shift of `source` onto `target` (Umeyama 1991)."""
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    source_centred, target_centred = source - source_mean, target - target_mean
    left, singular, right = np.linalg.svd(target_centred.T @ source_centred / len(source))
    signs = np.array([1.0, np.sign(np.linalg.det(left @ right))])
    rotation = left @ np.diag(signs) @ right
    scale = (singular * signs).sum() / source_centred.var(axis=0).sum()
    return scale * rotation, target_mean - scale * rotation @ source_mean


def _rotation(right_eye: np.ndarray, left_eye: np.ndarray) -> np.ndarray:
    """Turns the line between the eyes level."""
    x, y = (left_eye - right_eye) / np.linalg.norm(left_eye - right_eye)
    return np.array([[x, y], [-y, x]])


def _look(model, picture: np.ndarray, centre: np.ndarray, side: float, rotation: np.ndarray) -> np.ndarray:
    linear = rotation * (MESH_SIDE / side)
    shift = np.full(2, MESH_SIDE / 2) - linear @ centre
    crop = _warp(picture, linear, shift, MESH_SIDE, GREY)
    points = model(crop.astype(np.float32) / 255)[0].reshape(468, 3)[:, :2]
    return (points - shift) @ np.linalg.inv(linear).T


def _warp(picture: np.ndarray, linear: np.ndarray, shift: np.ndarray, side: int, border: int) -> np.ndarray:
    """Bilinear; where the picture shrinks to half or less, averaged down by a whole factor first."""
    factor = int(1 / np.sqrt(np.linalg.det(linear)))
    if factor >= 2:
        height, width = (length // factor for length in picture.shape[:2])
        whole = picture[: height * factor, : width * factor]
        picture = cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA)
        # Pixel i of the smaller picture is centred on pixel factor * i + (factor - 1) / 2 of the larger.
        shift = shift + linear @ np.full(2, (factor - 1) / 2)
        linear = linear * factor
    matrix = np.concatenate([linear, shift[:, None]], axis=1)
    edge = {"borderMode": cv2.BORDER_CONSTANT, "borderValue": (border, border, border)}
    return cv2.warpAffine(picture, matrix, (side, side), flags=cv2.INTER_LINEAR, **edge)
