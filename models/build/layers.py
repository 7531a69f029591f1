"""The embedder as a list of layers, which can be rewritten without changing what it computes.

Axes: weights are height x width x inputs x outputs, or height x width x channels x 1 of a depthwise layer. All numbers
are f64: a chain of rewritings must not add errors of its own.
"""

from dataclasses import dataclass

import numpy as np

from graph import Graph, Op

PICTURE = -1  # the `source` of the first layer


@dataclass
class Layer:
    """A convolution, then a PReLU or the addition of an earlier layer's output, where it has one."""

    index: int
    source: int  # the layer it reads
    depthwise: bool
    weights: np.ndarray
    bias: np.ndarray
    stride: int
    padding: int  # of schema.Padding
    shape: tuple[int, ...]  # of its output
    slope: np.ndarray | None = None  # of the PReLU, one a channel
    added: int | None = None

    def scale_inputs(self, factor: np.ndarray) -> None:
        self.weights = self.weights * factor[None, None, :, None]

    def scale_outputs(self, factor: np.ndarray) -> None:
        self.weights = self.weights * (factor[None, None, :, None] if self.depthwise else factor)
        self.bias = self.bias * factor


def read(graph: Graph) -> list[Layer]:
    layers, maker = [], {graph.inputs[0]: PICTURE}
    for operator in graph.operators:
        kind, options = graph.kind(operator), operator.builtinOptions
        output = int(operator.outputs[0])
        first, *others = (int(tensor) for tensor in operator.inputs)
        if kind in (Op.CONV_2D, Op.DEPTHWISE_CONV_2D):
            weights, bias = (graph.constant(tensor).astype(np.float64) for tensor in others)
            layers.append(
                Layer(
                    index=len(layers),
                    source=maker[first],
                    depthwise=kind == Op.DEPTHWISE_CONV_2D,
                    weights=weights.transpose(1, 2, 3, 0),
                    bias=bias,
                    stride=options.strideH,
                    padding=options.padding,
                    shape=graph.shape(output),
                )
            )
        elif kind == Op.PRELU and maker[first] == len(layers) - 1:
            layers[-1].slope = graph.constant(others[0]).astype(np.float64).reshape(-1)
        elif kind == Op.ADD and maker[first] == len(layers) - 1:
            layers[-1].added = maker[others[0]]
        elif kind != Op.RESHAPE:
            raise NotImplementedError(f"operator {kind}")
        maker[output] = len(layers) - 1
    return layers


def readers(layers: list[Layer], index: int) -> list[Layer]:
    return [layer for layer in layers if layer.source == index]


def merge_linear_tail(layers: list[Layer]) -> None:
    """The last two layers are 1x1 convolutions with nothing between them: their product is one, and smaller."""
    first, second = layers[-2:]
    if first.slope is not None or first.added is not None or first.weights.shape[:2] != (1, 1):
        raise ValueError("the layer before the last is not linear")
    second.bias = second.bias + first.bias @ second.weights[0, 0]
    second.weights = (first.weights[0, 0] @ second.weights[0, 0])[None, None]
    second.source, second.index = first.source, first.index
    del layers[-2]


def tame_slopes(layers: list[Layer]) -> None:
    """Brings every slope of every PReLU into -1..1.

    With |a| > 1, prelu(x, a) = -a * prelu(-x, 1/a): the layer's channel changes its sign, and the layers that read it
    take the factor -a. An error of x is then never enlarged by the PReLU that follows.
    """
    for layer in layers:
        if layer.slope is None:
            continue
        steep = np.abs(layer.slope) > 1
        factor = np.where(steep, -layer.slope, 1.0)
        layer.scale_outputs(np.where(steep, -1.0, 1.0))
        layer.slope = np.where(steep, 1 / np.where(steep, layer.slope, 1.0), layer.slope)
        for reader in readers(layers, layer.index):
            reader.scale_inputs(factor)


def streams(layers: list[Layer]) -> list[list[Layer]]:
    """Layers whose output channels must keep one scale: those that are added to each other, the others alone."""
    found: dict[int, list[Layer]] = {}
    root: dict[int, int] = {}
    for layer in layers:
        root[layer.index] = layer.index if layer.added is None else root[layer.added]
        found.setdefault(root[layer.index], []).append(layer)
    return list(found.values())
