"""liveness.tflite: live face or presentation attack, from the published ONNX file, f32.

The operators are translated one by one into the layout of TensorFlow Lite (height, width, channel). Three things are
rearranged without changing what is computed: the input takes RGB, because the first filter's channels are swapped; the
padding of convolutions that skip pixels is an operator of its own; and everything after the last convolution, which is linear
(two matrix products with a batch normalisation between them), is one fully connected layer.
"""

import numpy as np
import onnx
from ai_edge_litert import schema_py_generated as schema
from onnx import numpy_helper

from graph import Graph, Op

NAME = "recocomp liveness"
# What the published graph consists of, up to the layers that become one.
EXPECTED = {"Conv": 55, "PRelu": 33, "Add": 12, "GlobalAveragePool": 3, "Relu": 3, "Sigmoid": 3, "Mul": 3, "MatMul": 2}
LAST_CONVOLUTION = "746"


def build(source: bytes) -> bytes:
    """Class logits (live, two kinds of attack) of a 128x128 RGB picture of 0..255."""
    return _translate(source).serialize(f"{NAME} f32", "image", ["logits"])


def _translate(source: bytes) -> Graph:
    published = onnx.load_from_string(source).graph
    kinds = [node.op_type for node in published.node]
    found = {kind: kinds.count(kind) for kind in EXPECTED}
    if found != EXPECTED:
        raise ValueError(f"the published graph has {found}, expected {EXPECTED}")
    translation = _Translation(published)
    nodes = list(published.node)
    end = next(index for index, node in enumerate(nodes) if LAST_CONVOLUTION in node.output) + 1
    for node in nodes[:end]:
        translation.add(node)
    translation.add_head([node for node in nodes[end:] if node.op_type in ("MatMul", "BatchNormalization")])
    return translation.graph


class _Translation:
    """The graph so far; tensors of the published one by name."""

    def __init__(self, published):
        self.graph = Graph.empty()
        self._constants = {entry.name: numpy_helper.to_array(entry) for entry in published.initializer}
        (entry,) = published.input
        _, channels, height, width = (size.dim_value for size in entry.type.tensor_type.shape.dim)
        tensor = self.graph.add_tensor("image", (1, height, width, channels), np.float32)
        self.graph.subgraph.inputs = np.array([tensor], np.int32)
        self._tensors = {entry.name: tensor}

    def add(self, node) -> None:
        attributes = {entry.name: onnx.helper.get_attribute_value(entry) for entry in node.attribute}
        first = self._tensors[node.input[0]]
        (name,) = node.output
        if node.op_type == "Conv":
            result = self._convolution(name, first, *(self._constants[i] for i in node.input[1:]), attributes)
        elif node.op_type == "PRelu":
            slope = self._constants[node.input[1]].reshape(1, 1, -1)
            result = self._same(Op.PRELU, name, [first, self.graph.add_constant(f"{name}_slope", slope)])
        elif node.op_type == "Relu":
            result = self._same(Op.RELU, name, [first])
        elif node.op_type == "Sigmoid":
            result = self._same(Op.LOGISTIC, name, [first])
        elif node.op_type == "Add":
            options = schema.AddOptionsT()
            inputs = [first, self._tensors[node.input[1]]]
            result = self._same(Op.ADD, name, inputs, options, schema.BuiltinOptions.AddOptions)
        elif node.op_type == "Mul":
            options = schema.MulOptionsT()
            inputs = [first, self._tensors[node.input[1]]]
            result = self._same(Op.MUL, name, inputs, options, schema.BuiltinOptions.MulOptions)
        elif node.op_type == "GlobalAveragePool":
            result = self._mean(name, first)
        else:
            raise ValueError(f"{node.op_type} is not expected here")
        self._tensors[name] = result

    def add_head(self, nodes) -> None:
        """MatMul, BatchNormalization, MatMul, folded in f64."""
        first, norm, second = nodes
        scale, shift, mean, variance = (self._constants[name].astype(np.float64) for name in norm.input[1:])
        (epsilon,) = (entry.f for entry in norm.attribute if entry.name == "epsilon")
        gain = scale / np.sqrt(variance + epsilon)
        last = self._constants[second.input[1]].astype(np.float64)
        weights = (self._constants[first.input[1]].astype(np.float64) * gain) @ last
        bias = (shift - mean * gain) @ last
        graph, count = self.graph, weights.shape[1]
        inputs = [
            self._tensors[LAST_CONVOLUTION],
            graph.add_constant("head_weights", np.ascontiguousarray(weights.T.astype(np.float32))),
            graph.add_constant("head_bias", bias.astype(np.float32)),
        ]
        output = graph.add_tensor("logits", (1, count), np.float32)
        options, kind = schema.FullyConnectedOptionsT(), schema.BuiltinOptions.FullyConnectedOptions
        graph.operators.append(graph.new_operator(Op.FULLY_CONNECTED, inputs, [output], options, kind))
        graph.subgraph.outputs = np.array([output], np.int32)

    def _same(self, kind: int, name: str, inputs: list[int], options=None, options_type=0) -> int:
        """An operator whose result has the shape of its first input."""
        output = self.graph.add_tensor(name, self.graph.shape(inputs[0]), np.float32)
        self.graph.operators.append(self.graph.new_operator(kind, inputs, [output], options, options_type))
        return output

    def _mean(self, name: str, source: int) -> int:
        """Of each channel. A MEAN would say the same, but the linked XNNPACK fails to run it."""
        graph = self.graph
        _, height, width, channels = graph.shape(source)
        options = schema.Pool2DOptionsT()
        options.padding = schema.Padding.VALID
        options.filterHeight = options.strideH = height
        options.filterWidth = options.strideW = width
        output = graph.add_tensor(name, (1, 1, 1, channels), np.float32)
        kind = schema.BuiltinOptions.Pool2DOptions
        graph.operators.append(graph.new_operator(Op.AVERAGE_POOL_2D, [source], [output], options, kind))
        return output

    def _convolution(self, name: str, source: int, weights, bias, attributes) -> int:
        graph = self.graph
        stride, depthwise = attributes["strides"][0], attributes["group"] > 1
        side = weights.shape[2]
        if source == self.graph.inputs[0]:
            weights = weights[:, ::-1]  # BGR to RGB
        # Published as output, input, height, width. A depthwise filter has one input each.
        filter_ = weights.transpose(1, 2, 3, 0) if depthwise else weights.transpose(0, 2, 3, 1)
        before, _, after, _ = attributes["pads"]
        _, height, width, channels = graph.shape(source)
        padded = height + before + after
        if before and stride > 1:
            # SAME would pad an even side only at its end.
            source = self._pad(f"{name}_padded", source, before, after)
        options = schema.DepthwiseConv2DOptionsT() if depthwise else schema.Conv2DOptionsT()
        options.strideH = options.strideW = stride
        options.dilationHFactor = options.dilationWFactor = 1
        same = before > 0 and stride == 1
        options.padding = schema.Padding.SAME if same else schema.Padding.VALID
        if depthwise:
            options.depthMultiplier = 1
        out = (padded - side) // stride + 1
        output = graph.add_tensor(name, (1, out, out, weights.shape[0]), np.float32)
        inputs = [
            source,
            graph.add_constant(f"{name}_filter", np.ascontiguousarray(filter_)),
            graph.add_constant(f"{name}_bias", bias),
        ]
        kind = Op.DEPTHWISE_CONV_2D if depthwise else Op.CONV_2D
        options_kind = schema.BuiltinOptions
        options_type = options_kind.DepthwiseConv2DOptions if depthwise else options_kind.Conv2DOptions
        graph.operators.append(graph.new_operator(kind, inputs, [output], options, options_type))
        return output

    def _pad(self, name: str, source: int, before: int, after: int) -> int:
        graph = self.graph
        amounts = np.array([[0, 0], [before, after], [before, after], [0, 0]], np.int32)
        _, height, width, channels = graph.shape(source)
        output = graph.add_tensor(name, (1, height + before + after, width + before + after, channels), np.float32)
        inputs = [source, graph.add_constant(f"{name}_amounts", amounts)]
        options, kind = schema.PadOptionsT(), schema.BuiltinOptions.PadOptions
        graph.operators.append(graph.new_operator(Op.PAD, inputs, [output], options, kind))
        return output
