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


def letterbox(picture: np.ndarray, side: int, zoom: float = 1.0) -> tuple[np.ndarray, float, np.ndarray]:
    """(square u8 picture, scale, offset): a point p of the picture lies at p * scale + offset on the square.

    With a zoom of 0.5 the picture takes half of the square; faces that fill the frame are found only so.
    """
    height, width = picture.shape[:2]
    scale = side * zoom / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    left, top = (side - size[0]) // 2, (side - size[1]) // 2
    square = np.full((side, side, 3), GREY, np.uint8)
    square[top : top + size[1], left : left + size[0]] = cv2.resize(picture, size, interpolation=method)
    return square, scale, np.array([left, top], np.float64)
