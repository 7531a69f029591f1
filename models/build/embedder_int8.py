"""embedder.tflite: MobileFaceNet with 8-bit convolutions; see models/embedder.md.

In 8 bits: the first convolution and every 1x1 convolution but the last, 97 % of the multiplications. In f32: PReLUs and
additions, for which XNNPACK has no 8-bit kernel or which would round the residual stream at each block; the depthwise
convolutions, where 8 bits cost XNNPACK more than they gain; and the last layer, whose output is the template.
"""

import numpy as np

from embedder import NAME, fuse
from graph import Graph
from half_weights import store_filters_as_half
from int8_graph import write
from layers import Layer, merge_linear_tail, read, tame_slopes
from quantize import Range, equalize, quantize

MEAN, SCALE = 127.5, 128.0
PICTURE = Range.between(-MEAN / SCALE, MEAN / SCALE)


def build(source: bytes, faces: list[np.ndarray]) -> bytes:
    """`faces`: u8 RGB aligned faces of 112x112."""
    graph = Graph(fuse(source))
    layers = read(graph)
    merge_linear_tail(layers)
    tame_slopes(layers)
    images = (np.stack(faces).astype(np.float32) - MEAN) / SCALE
    chosen = {layer.index for layer in layers if _runs_in_int8(layer, layers)}
    equalize(layers, chosen, images)
    quantized = quantize(layers, chosen, images, PICTURE)
    write(graph, layers, quantized)
    store_filters_as_half(graph)
    return graph.serialize(f"{NAME} int8", "image", ["embedding"])


def _runs_in_int8(layer: Layer, layers: list[Layer]) -> bool:
    return not layer.depthwise and layer is not layers[-1]
