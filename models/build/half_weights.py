"""Stores f32 convolution filters as f16; 8-bit ones stay.

The standard form is used: an f16 constant behind a DEQUANTIZE operator, which XNNPACK folds when it packs the
weights, so that the arithmetic stays f32 and only the file shrinks. Biases and PReLU slopes stay f32; they are few.
"""

import numpy as np

from graph import Graph, Op


def store_filters_as_half(graph: Graph) -> None:
    dequantize, replaced = [], {}
    for operator in graph.operators:
        if graph.kind(operator) not in (Op.CONV_2D, Op.DEPTHWISE_CONV_2D):
            continue
        filter_ = int(operator.inputs[1])
        if filter_ not in replaced:
            value = graph.constant(filter_)
            if value.dtype == np.int8:
                continue
            if value.dtype != np.float32:
                raise ValueError(f"tensor {filter_} is {value.dtype}, f32 was expected")
            half = value.astype(np.float16)
            if not np.isfinite(half).all():
                raise ValueError(f"tensor {filter_} exceeds the range of f16")
            stored = graph.add_constant(f"filter_{len(replaced)}_f16", half)
            restored = graph.add_tensor(f"filter_{len(replaced)}", value.shape, np.float32)
            # Version 3 is the first that takes f16.
            dequantize.append(graph.new_operator(Op.DEQUANTIZE, [stored], [restored], version=3))
            replaced[filter_] = restored
        inputs = operator.inputs.copy()
        inputs[1] = replaced[filter_]
        operator.inputs = inputs
    graph.subgraph.operators = dequantize + list(graph.operators)
