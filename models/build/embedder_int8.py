"""mobilefacenet-int8.tflite: MobileFaceNet with 8-bit convolutions; see models/embedder.md.

In 8 bits: 1x1 convolutions, 92 % of all multiplications. In f32: PReLUs, for which XNNPACK has no 8-bit kernel;
additions, which would round the residual stream once more in every block; the depthwise convolutions, where 8 bits cost
XNNPACK more than they gain; the last layer, whose output is the template; and the two layers that lose the most likeness
when they are rounded, the first convolution and the last expansion.
"""

import numpy as np

from embedder import NAME, fuse
from graph import Graph
from half_weights import store_filters_as_half
from int8_graph import write
from layers import Layer, merge_linear_tail, read, tame_slopes
from quantize import equalize, quantize

MEAN, SCALE = 127.5, 128.0


def build(source: bytes, faces: list[np.ndarray]) -> bytes:
    """`faces`: u8 RGB aligned faces of 112x112."""
    graph = Graph(fuse(source))
    layers = read(graph)
    merge_linear_tail(layers)
    tame_slopes(layers)
    images = (np.stack(faces).astype(np.float32) - MEAN) / SCALE
    chosen = {layer.index for layer in layers if runs_in_int8(layer, layers)}
    equalize(layers, chosen, images)
    quantized = quantize(layers, chosen, images)
    write(graph, layers, quantized)
    store_filters_as_half(graph)
    return graph.serialize(f"{NAME} int8", "image", ["embedding"])


def runs_in_int8(layer: Layer, layers: list[Layer]) -> bool:
    first, last_expansion, last = layers[0], layers[-3], layers[-1]
    return not layer.depthwise and layer.index not in (first.index, last_expansion.index, last.index)
