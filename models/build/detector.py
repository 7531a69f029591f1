"""detector.tflite: BlazeFace full range, int8 in the trunk, f32 in the two output layers.

The published graph (f16 weights) is replayed as a TensorFlow function up to the last feature map, which the TensorFlow
converter quantizes: int8 weights per channel, int8 activations. The two 1x1 convolutions that read boxes and scores
from that map stay f32: the boxes span +-117 pixels, so that the step of an 8-bit output would be a pixel of the 192.

Interface f32 on both sides: the caller prepares all models alike, and XNNPACK takes QUANTIZE at the entry as well.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# oneDNN crashes in this TensorFlow when it runs the replayed graph, and adds nothing to a conversion.
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"

import numpy as np
import tensorflow as tf

from ai_edge_litert import schema_py_generated as schema
from graph import Graph, Op

NAME = "recocomp BlazeFace full range int8"
SIDE = 192
MEAN = SCALE = 127.5


def prepare(square: np.ndarray) -> np.ndarray:
    return ((square.astype(np.float32) - MEAN) / SCALE)[None]


def build(source: bytes, squares: list[np.ndarray]) -> bytes:
    """`squares`: u8 RGB calibration pictures of 192x192."""
    graph = Graph(source)
    heads = _heads(graph)
    function = _replay(graph, heads[0]["features"])
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()], function)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([prepare(square)] for square in squares)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    quantized = Graph(converter.convert())
    _append_heads(quantized, heads)
    return quantized.serialize(NAME, "image", ["boxes", "scores"])


def _heads(graph: Graph) -> list[dict]:
    """The convolutions behind the outputs, boxes first: their weights and the feature map both read."""
    producer = {int(operator.outputs[0]): operator for operator in graph.operators}
    heads = []
    for output in sorted(graph.outputs, key=lambda tensor: -graph.shape(tensor)[-1]):
        reshape = producer[output]
        convolution = producer[int(reshape.inputs[0])]
        assert graph.kind(reshape) == Op.RESHAPE and graph.kind(convolution) == Op.CONV_2D
        features, filter_, bias = (int(tensor) for tensor in convolution.inputs)
        weights, offset = (_constant(graph, producer, tensor) for tensor in (filter_, bias))
        heads.append({"features": features, "filter": weights, "bias": offset, "shape": graph.shape(output)})
    assert heads[0]["features"] == heads[1]["features"]
    return heads


def _constant(graph: Graph, producer: dict, tensor: int) -> np.ndarray | None:
    """A stored value, looked up through the DEQUANTIZE that restores f16 to f32."""
    operator = producer.get(tensor)
    if operator is not None and graph.kind(operator) == Op.DEQUANTIZE:
        tensor = int(operator.inputs[0])
    value = graph.constant(tensor)
    return value.astype(np.float32) if value is not None and value.dtype == np.float16 else value


def _replay(graph: Graph, wanted: int):
    """A tf.function of the graph that returns the tensor `wanted`."""
    producer = {int(operator.outputs[0]): operator for operator in graph.operators}

    @tf.function(input_signature=[tf.TensorSpec(graph.shape(graph.inputs[0]), tf.float32, "image")])
    def network(image):
        values = {graph.inputs[0]: image}
        for operator in graph.operators:
            if graph.kind(operator) == Op.DEQUANTIZE:
                continue  # _constant looks through it
            arguments = []
            for tensor in map(int, operator.inputs):
                stored = _constant(graph, producer, tensor)
                arguments.append(values[tensor] if stored is None else stored)
            values[int(operator.outputs[0])] = _apply(graph, operator, arguments)
        return values[wanted]

    return network


def _apply(graph: Graph, operator, arguments):
    kind, options = graph.kind(operator), operator.builtinOptions
    if getattr(options, "fusedActivationFunction", 0) != schema.ActivationFunctionType.NONE:
        raise NotImplementedError("this graph keeps its activations as operators")
    padding = "SAME" if getattr(options, "padding", 0) == schema.Padding.SAME else "VALID"
    if kind == Op.CONV_2D:
        x, filter_, bias = arguments
        strides = [options.strideH, options.strideW]
        return tf.nn.bias_add(tf.nn.conv2d(x, filter_.transpose(1, 2, 3, 0), strides, padding), bias)
    if kind == Op.DEPTHWISE_CONV_2D:
        x, filter_, bias = arguments
        strides = [1, options.strideH, options.strideW, 1]
        return tf.nn.bias_add(tf.nn.depthwise_conv2d(x, filter_.transpose(1, 2, 3, 0), strides, padding), bias)
    if kind == Op.RELU:
        return tf.nn.relu(arguments[0])
    if kind == Op.ADD:
        return tf.add(*arguments)
    if kind == Op.PAD:
        return tf.pad(arguments[0], arguments[1])
    if kind == Op.MAX_POOL_2D:
        window, strides = (options.filterHeight, options.filterWidth), (options.strideH, options.strideW)
        return tf.nn.max_pool2d(arguments[0], window, strides, padding)
    if kind == Op.RESIZE_BILINEAR:
        return tf.raw_ops.ResizeBilinear(
            images=arguments[0],
            size=arguments[1],
            align_corners=options.alignCorners,
            half_pixel_centers=options.halfPixelCenters,
        )
    if kind == Op.RESHAPE:
        return tf.reshape(arguments[0], graph.shape(int(operator.outputs[0])))
    raise NotImplementedError(f"operator {kind}")


def _append_heads(graph: Graph, heads: list[dict]) -> None:
    (features,) = graph.outputs
    height, width = graph.shape(features)[1:3]
    outputs = []
    for name, head in zip(("boxes", "scores"), heads, strict=True):
        filter_ = graph.add_constant(f"{name}_filter", head["filter"])
        bias = graph.add_constant(f"{name}_bias", head["bias"])
        flat_shape = graph.add_constant(f"{name}_shape", np.array(head["shape"], np.int32))
        grid = graph.add_tensor(f"{name}_grid", (1, height, width, len(head["bias"])), np.float32)
        output = graph.add_tensor(name, head["shape"], np.float32)
        options = schema.Conv2DOptionsT()
        options.padding = schema.Padding.VALID
        options.strideH = options.strideW = 1
        options.dilationHFactor = options.dilationWFactor = 1
        graph.operators.append(
            graph.new_operator(
                Op.CONV_2D, [features, filter_, bias], [grid], options, schema.BuiltinOptions.Conv2DOptions
            )
        )
        reshape = schema.ReshapeOptionsT()
        reshape.newShape = np.array(head["shape"], np.int32)
        graph.operators.append(
            graph.new_operator(Op.RESHAPE, [grid, flat_shape], [output], reshape, schema.BuiltinOptions.ReshapeOptions)
        )
        outputs.append(output)
    graph.subgraph.outputs = np.array(outputs, np.int32)
