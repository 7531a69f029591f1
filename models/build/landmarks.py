"""landmarks.tflite: the 468-point face mesh, f32.

The second output of the published file, a face-presence logit, is kept: it tells a crop without a face.
"""

from graph import Graph
from half_weights import store_filters_as_half

NAME = "recocomp face landmarks"


def build(source: bytes) -> bytes:
    return Graph(source).serialize(f"{NAME} f32", "image", ["mesh", "presence"])


def build_half(source: bytes) -> bytes:
    """Weights stored as f16. Not shipped: it aligned the faces that the 8-bit embedder was made from."""
    graph = Graph(source)
    store_filters_as_half(graph)
    return graph.serialize(f"{NAME} f16", "image", ["mesh", "presence"])
