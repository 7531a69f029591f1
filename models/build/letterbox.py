"""Pictures as the detector sees them: the whole picture on a square, surrounded by grey.

Grey, because BlazeFace's activations run away on large black areas.
"""

import cv2
import numpy as np

GREY = 127


def read_rgb(path) -> np.ndarray:
    picture = cv2.imread(str(path))
    if picture is None:
        raise ValueError(f"{path}: not a readable picture")
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def product_resize(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """To (width, height) as the product does it: the mean of the pixels whose centres lie in the area, rows first.

    Unlike OpenCV's area mean it counts a pixel at the border of the area as a whole one or not at all, and where the
    picture grows it is the nearest pixel.
    """
    rows = _means(picture.shape[0], size[1]) @ picture.reshape(picture.shape[0], -1).astype(np.float32)
    rows = np.floor(rows + 0.5).reshape(size[1], picture.shape[1], 3)
    columns = _means(picture.shape[1], size[0]) @ rows
    return np.floor(columns + 0.5).astype(np.uint8)


def calibration_resize(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """To (width, height) as the detector's ranges were found: exact mean of the area, bilinear where it grows."""
    shrinks = size[0] < picture.shape[1] or size[1] < picture.shape[0]
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def letterbox(picture: np.ndarray, side: int, zoom: float, resize) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(square u8 picture, scale, offset): a point p of the picture lies at p * scale + offset on the square.

    With a zoom of 0.5 the picture takes half of the square; faces that fill the frame are found only so.
    """
    height, width = picture.shape[:2]
    scale = side * zoom / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    left, top = (side - size[0]) // 2, (side - size[1]) // 2
    square = np.full((side, side, 3), GREY, np.uint8)
    square[top : top + size[1], left : left + size[0]] = resize(picture, size)
    return square, np.array(size) / (width, height), np.array([left, top], np.float64)


def _means(long: int, short: int) -> np.ndarray:
    """One row for each of the `short` pixels: the weights of the `long` ones."""
    scale = long / short
    centres = (np.arange(short) + 0.5) * scale
    distance = (np.arange(long) + 0.5 - centres[:, None]) / max(scale, 1)
    weights = ((distance > -0.5) & (distance <= 0.5)).astype(np.float32)
    return weights / weights.sum(axis=1, keepdims=True)
