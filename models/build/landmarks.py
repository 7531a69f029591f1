"""landmarks.tflite: the 468-point face mesh, f32.

The second output of the published file, a face-presence logit, is kept: it tells a crop without a face.
"""

from graph import Graph

NAME = "recocomp face landmarks f32"


def build(source: bytes) -> bytes:
    return Graph(source).serialize(NAME, "image", ["mesh", "presence"])
