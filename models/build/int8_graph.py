"""Writes a list of layers, some of them 8-bit, as a graph for TensorFlow Lite.

An 8-bit convolution stands between QUANTIZE and DEQUANTIZE, because XNNPACK has no 8-bit PReLU; everything else is f32.
Convolutions that follow each other directly pass their 8-bit tensor on.

A depthwise convolution that looks at its whole input at once becomes a product and a mean: XNNPACK has no depthwise
kernel for 7x7 and would multiply 512 matrices of one column each, which took a twelfth of the network's time.
"""

import numpy as np

from ai_edge_litert import schema_py_generated as schema
from graph import Graph, Op
from layers import PICTURE, Layer
from quantize import Quantized, Range


def write(graph: Graph, layers: list[Layer], quantized: dict[int, Quantized]) -> None:
    """Replaces the operators of `graph`; its input stays."""
    shape = graph.shape(graph.outputs[0])
    graph.subgraph.operators = []
    writer = _Writer(graph)
    for layer in layers:
        if layer.index in quantized:
            writer.int8_layer(layer, quantized[layer.index])
        else:
            writer.float_layer(layer)
    writer.reshape_output(layers[-1], shape)


class _Writer:
    def __init__(self, graph: Graph):
        self._graph = graph
        self._floats = {PICTURE: graph.inputs[0]}  # tensors by the index of the layer that makes them
        self._bytes: dict[int, tuple[int, Range]] = {}

    def int8_layer(self, layer: Layer, numbers: Quantized) -> None:
        name = f"layer_{layer.index}"
        source, have = self._bytes.get(layer.source, (None, None))
        if have != numbers.input:
            floats = self._as_floats(layer.source)
            source = self._int8_tensor(f"{name}_input", self._graph.shape(floats), numbers.input)
            self._add(Op.QUANTIZE, [floats], source)
        weights = self._graph.add_constant(f"{name}_filter", _stored(numbers.weights))
        self._set_steps(weights, numbers.weight_steps, 0, axis=3 if layer.depthwise else 0)
        # The accumulator's step: the format leaves no choice, and int32 is fine enough.
        steps = (numbers.weight_steps.astype(np.float64) * float(numbers.input.step)).astype(np.float32)
        bias = self._graph.add_constant(f"{name}_bias", np.round(layer.bias / steps).astype(np.int32))
        self._set_steps(bias, steps, 0, axis=0)
        output = self._int8_tensor(name, layer.shape, numbers.output)
        self._convolution(layer, [source, weights, bias], output, version=3)
        self._bytes[layer.index] = output, numbers.output
        if layer.slope is not None or layer.added is not None:
            self._finish(layer, self._as_floats(layer.index))
            del self._bytes[layer.index]

    def float_layer(self, layer: Layer) -> None:
        name = f"layer_{layer.index}"
        source = self._as_floats(layer.source)
        if layer.depthwise and layer.weights.shape[:2] == self._graph.shape(source)[1:3] and layer.shape[1:3] == (1, 1):
            self._finish(layer, self._whole_depthwise(layer, source))
            return
        weights = self._graph.add_constant(f"{name}_filter", _stored(layer.weights).astype(np.float32))
        bias = self._graph.add_constant(f"{name}_bias", layer.bias.astype(np.float32))
        output = self._graph.add_tensor(name, layer.shape, np.float32)
        self._convolution(layer, [source, weights, bias], output, version=1)
        self._finish(layer, output)

    def _whole_depthwise(self, layer: Layer, source: int) -> int:
        name, shape = f"layer_{layer.index}", self._graph.shape(source)
        factors = _stored(layer.weights * shape[1] * shape[2]).astype(np.float32)
        product = self._graph.add_tensor(f"{name}_product", shape, np.float32)
        inputs = [source, self._graph.add_constant(f"{name}_factors", factors)]
        self._add(Op.MUL, inputs, product, schema.MulOptionsT(), schema.BuiltinOptions.MulOptions)
        mean = self._graph.add_tensor(f"{name}_mean", layer.shape, np.float32)
        options = schema.Pool2DOptionsT()
        options.padding = layer.padding
        options.strideH = options.strideW = 1
        options.filterHeight, options.filterWidth = shape[1:3]
        self._add(Op.AVERAGE_POOL_2D, [product], mean, options, schema.BuiltinOptions.Pool2DOptions)
        output = self._graph.add_tensor(name, layer.shape, np.float32)
        inputs = [mean, self._graph.add_constant(f"{name}_bias", layer.bias.astype(np.float32))]
        self._add(Op.ADD, inputs, output, schema.AddOptionsT(), schema.BuiltinOptions.AddOptions)
        return output

    def reshape_output(self, last: Layer, shape: tuple[int, ...]) -> None:
        target = np.array(shape, np.int32)
        output = self._graph.add_tensor("embedding", shape, np.float32)
        options = schema.ReshapeOptionsT()
        options.newShape = target
        inputs = [self._as_floats(last.index), self._graph.add_constant("embedding_shape", target)]
        self._add(Op.RESHAPE, inputs, output, options, schema.BuiltinOptions.ReshapeOptions)
        self._graph.subgraph.outputs = np.array([output], np.int32)

    def _finish(self, layer: Layer, tensor: int) -> None:
        """PReLU and addition, both in f32."""
        name = f"layer_{layer.index}"
        if layer.slope is not None:
            slope = self._graph.add_constant(f"{name}_slope", layer.slope.astype(np.float32).reshape(1, 1, -1))
            before, tensor = tensor, self._graph.add_tensor(f"{name}_prelu", layer.shape, np.float32)
            self._add(Op.PRELU, [before, slope], tensor)
        if layer.added is not None:
            before, tensor = tensor, self._graph.add_tensor(f"{name}_sum", layer.shape, np.float32)
            options = schema.AddOptionsT()
            inputs = [before, self._as_floats(layer.added)]
            self._add(Op.ADD, inputs, tensor, options, schema.BuiltinOptions.AddOptions)
        self._floats[layer.index] = tensor

    def _as_floats(self, index: int) -> int:
        if index not in self._floats:
            stored, _ = self._bytes[index]
            floats = self._graph.add_tensor(f"layer_{index}_f32", self._graph.shape(stored), np.float32)
            self._add(Op.DEQUANTIZE, [stored], floats, version=2)
            self._floats[index] = floats
        return self._floats[index]

    def _convolution(self, layer: Layer, inputs: list[int], output: int, version: int) -> None:
        if layer.depthwise:
            kind, options = Op.DEPTHWISE_CONV_2D, schema.DepthwiseConv2DOptionsT()
            options_type = schema.BuiltinOptions.DepthwiseConv2DOptions
            options.depthMultiplier = 1
        else:
            kind, options = Op.CONV_2D, schema.Conv2DOptionsT()
            options_type = schema.BuiltinOptions.Conv2DOptions
        options.padding = layer.padding
        options.strideH = options.strideW = layer.stride
        options.dilationHFactor = options.dilationWFactor = 1
        self._add(kind, inputs, output, options, options_type, version)

    def _add(self, kind: int, inputs: list[int], output: int, options=None, options_type: int = 0, version: int = 1):
        operator = self._graph.new_operator(kind, inputs, [output], options, options_type, version)
        self._graph.operators.append(operator)

    def _int8_tensor(self, name: str, shape: tuple[int, ...], range_: Range) -> int:
        tensor = self._graph.add_tensor(name, shape, np.int8)
        self._set_steps(tensor, np.array([range_.step]), range_.zero)
        return tensor

    def _set_steps(self, tensor: int, steps: np.ndarray, zero: int, axis: int = 0) -> None:
        numbers = schema.QuantizationParametersT()
        numbers.scale = steps.astype(np.float32)
        numbers.zeroPoint = np.full(len(steps), zero, np.int64)
        numbers.quantizedDimension = axis
        self._graph.subgraph.tensors[tensor].quantization = numbers


def _stored(weights: np.ndarray) -> np.ndarray:
    """As the format keeps them: outputs x height x width x inputs, or 1 x height x width x channels."""
    return np.ascontiguousarray(weights.transpose(3, 0, 1, 2))
