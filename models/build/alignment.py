"""From a detected face to the embedder's 112x112 input, over five points of the face mesh."""

import cv2
import numpy as np

from detection import Face
from letterbox import GREY

MESH_SIDE = 192
CROP = 1.5  # the mesh model's crop, in sides of the detected box
EMBEDDER_SIDE = 112

# Mesh points that make one alignment point each, and where ArcFace's template wants it.
MESH_POINTS = ([33, 133], [362, 263], [4], [61], [291])
TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)


def mesh(model, picture: np.ndarray, face: Face) -> np.ndarray:
    """468 points in pixels of the picture, found on a crop that is turned until the eyes are level."""
    eyes = face.keypoints[1] - face.keypoints[0]
    direction = eyes / np.linalg.norm(eyes)
    rotation = np.array([[direction[0], direction[1]], [-direction[1], direction[0]]])
    linear = rotation * (MESH_SIDE / (CROP * face.side))
    shift = np.full(2, MESH_SIDE / 2) - linear @ face.centre
    crop = _warp(picture, linear, shift, MESH_SIDE)
    points = model(crop.astype(np.float32) / 255)[0].reshape(468, 3)[:, :2]
    return (points - shift) @ np.linalg.inv(linear).T


def align(picture: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The 112x112 picture of the face on the template, u8 RGB."""
    five = np.array([points[indices].mean(axis=0) for indices in MESH_POINTS])
    linear, shift = similarity(five, TEMPLATE)
    return _warp(picture, linear, shift, EMBEDDER_SIDE)


def similarity(source: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Least-squares rotation, scale and shift of `source` onto `target` (Umeyama 1991)."""
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    source_centred, target_centred = source - source_mean, target - target_mean
    left, singular, right = np.linalg.svd(target_centred.T @ source_centred / len(source))
    signs = np.array([1.0, np.sign(np.linalg.det(left @ right))])
    rotation = left @ np.diag(signs) @ right
    scale = (singular * signs).sum() / source_centred.var(axis=0).sum()
    return scale * rotation, target_mean - scale * rotation @ source_mean


def _warp(picture: np.ndarray, linear: np.ndarray, shift: np.ndarray, side: int) -> np.ndarray:
    matrix = np.concatenate([linear, shift[:, None]], axis=1)
    border = {"borderMode": cv2.BORDER_CONSTANT, "borderValue": (GREY, GREY, GREY)}
    return cv2.warpAffine(picture, matrix, (side, side), flags=cv2.INTER_LINEAR, **border)
