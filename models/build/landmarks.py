"""landmarks.tflite: the 468-point face mesh with its weights stored as f16.

The second output of the published file, a face-presence logit, is kept: it tells a crop without a face.
"""

from graph import Graph
from half_weights import store_filters_as_half

NAME = "recocomp face landmarks f16"


def build(source: bytes) -> bytes:
    graph = Graph(source)
    store_filters_as_half(graph)
    return graph.serialize(NAME, "image", ["mesh", "presence"])
