"""Chooses the 8-bit numbers of a list of layers: channel scales, ranges, rounded weights, corrected biases.

Nothing is trained. The steps, each measured in the card of the embedder:

1. `equalize`: a PReLU, an addition and a convolution all let a positive factor of a channel pass. So every channel is
   scaled to the same range before one step size is chosen for all of them.
2. Ranges: the one with the smallest mean squared error, which cuts off the rare extremes.
3. Weights: a step for each output channel, the one with the smallest squared error.
4. Biases: the mean error that quantization leaves in a channel, as far as this layer, is taken from its bias.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"  # see detector.py

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from ai_edge_litert import schema_py_generated as schema
from layers import PICTURE, Layer, readers, streams

# A channel's range leaves out one value of 10,000.
EQUALIZED_PERCENTILE = 99.99
# A channel that is nearly silent is not raised to more than 10,000 times its size.
SMALLEST_SCALE = 1e-4
# Shares of the observed minimum and maximum that are tried as the ends of a range.
RANGE_SHARES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.42, 0.35)
RANGE_SAMPLES = 200_000
WEIGHT_SHARES = (1.0, 0.95, 0.9, 0.85, 0.8)


@dataclass(frozen=True)
class Range:
    """value = step * (q - zero), q in -128..127"""

    step: np.float32
    zero: int

    @classmethod
    def between(cls, low: float, high: float) -> "Range":
        low, high = min(low, 0.0), max(high, 0.0)
        step = np.float32((high - low) / 255)
        return cls(step, int(np.clip(round(-128 - low / float(step)), -128, 127)))

    def rounded(self, values):
        return (tf.clip_by_value(tf.round(values / self.step) + self.zero, -128.0, 127.0) - self.zero) * self.step


@dataclass
class Quantized:
    """The 8-bit side of a layer: how its input, weights (a step for each output channel) and output are stored."""

    input: Range
    weights: np.ndarray
    weight_steps: np.ndarray
    output: Range


def peaks_of(values: np.ndarray) -> np.ndarray:
    """How far each channel reaches, of values x channels."""
    return np.percentile(np.ascontiguousarray(np.abs(values).T), EQUALIZED_PERCENTILE, axis=1)


def best_range(values: np.ndarray) -> Range:
    """The range of least squared error for these values, of one axis."""
    if len(values) > RANGE_SAMPLES:
        values = values[np.random.default_rng(0).integers(0, len(values), RANGE_SAMPLES)]
    low, high = float(values.min()), float(values.max())

    def error(lower, upper):
        rounded = Range.between(low * lower, high * upper).rounded(values).numpy()
        return float(((rounded - values) ** 2).mean(dtype=np.float64))

    lower = upper = 1.0
    for _ in range(2):
        lower = min(RANGE_SHARES, key=lambda share: error(share, upper))
        upper = min(RANGE_SHARES, key=lambda share: error(lower, share))
    return Range.between(low * lower, high * upper)


def equalize(layers: list[Layer], chosen: set[int], images: np.ndarray, reach=peaks_of) -> None:
    """Scales channels so that each fills the range of its tensor. `chosen`: indices of the layers to be quantized."""
    peaks = {}

    def observe(layer, before, after):
        peak = np.zeros(layer.shape[-1])
        if layer.index in chosen:
            peak = np.maximum(peak, reach(_by_channel(before)))
        if any(reader.index in chosen for reader in readers(layers, layer.index)):
            peak = np.maximum(peak, reach(_by_channel(after)))
        peaks[layer.index] = peak

    _run(layers, images, observe)
    for stream in streams(layers):
        scale = np.max([peaks[layer.index] for layer in stream], axis=0)
        if stream[-1] is layers[-1] or not scale.any():
            continue
        scale = np.maximum(scale, scale.max() * SMALLEST_SCALE)
        for layer in stream:
            layer.scale_outputs(1 / scale)
            for reader in readers(layers, layer.index):
                reader.scale_inputs(scale)


def quantize(
    layers: list[Layer], chosen: set[int], images: np.ndarray, choose_range=best_range, correct_biases=True
) -> dict[int, Quantized]:
    """Runs the f32 and the 8-bit network side by side, layer by layer, and corrects biases on the way.

    Where a layer reads another's 8-bit output as it is, it takes over that range.
    """
    exact, rough = {PICTURE: tf.constant(images)}, {PICTURE: tf.constant(images)}
    results: dict[int, Quantized] = {}
    for layer in layers:
        wanted = _convolve(layer, exact[layer.source], layer.weights)
        if layer.index in chosen:
            source = results.get(layer.source)
            plain = source is not None and layers[layer.source].slope is None and layers[layer.source].added is None
            entry = source.output if plain else choose_range(exact[layer.source].numpy().reshape(-1))
            weights, steps = _round_weights(layer)
            restored = weights * (steps[:, None] if layer.depthwise else steps)
            got = _convolve(layer, entry.rounded(rough[layer.source]), restored)
        else:
            got = _convolve(layer, rough[layer.source], layer.weights)
        if correct_biases:
            error = tf.reduce_mean(wanted - got, axis=(0, 1, 2))
            layer.bias = layer.bias + error.numpy().astype(np.float64)
            got = got + error
        if layer.index in chosen:
            output = choose_range(wanted.numpy().reshape(-1))
            results[layer.index] = Quantized(entry, weights, steps, output)
            got = output.rounded(got)
        exact[layer.index] = _finish(layer, wanted, exact)
        rough[layer.index] = _finish(layer, got, rough)
        _forget(layers, layer.index, exact, rough)
    return results


def _by_channel(values) -> np.ndarray:
    return values.numpy().reshape(-1, values.shape[-1])


def _round_weights(layer: Layer) -> tuple[np.ndarray, np.ndarray]:
    axes = (0, 1, 3) if layer.depthwise else (0, 1, 2)
    largest = np.maximum(np.abs(layer.weights).max(axis=axes), 1e-9)

    def spread(steps):
        return steps[:, None] if layer.depthwise else steps

    best, least = None, np.full(len(largest), np.inf)
    for share in WEIGHT_SHARES:
        steps = (largest * share / 127).astype(np.float32)
        restored = np.clip(np.round(layer.weights / spread(steps)), -127, 127) * spread(steps)
        error = ((restored - layer.weights) ** 2).sum(axis=axes)
        best = steps if best is None else np.where(error < least, steps, best)
        least = np.minimum(least, error)
    return np.clip(np.round(layer.weights / spread(best)), -127, 127).astype(np.int8), best


def _convolve(layer: Layer, values, weights: np.ndarray):
    weights = tf.constant(weights.astype(np.float32))
    padding = "SAME" if layer.padding == schema.Padding.SAME else "VALID"
    if layer.depthwise:
        product = tf.nn.depthwise_conv2d(values, weights, [1, layer.stride, layer.stride, 1], padding)
    else:
        product = tf.nn.conv2d(values, weights, layer.stride, padding)
    return tf.nn.bias_add(product, tf.constant(layer.bias.astype(np.float32)))


def _finish(layer: Layer, values, made: dict):
    if layer.slope is not None:
        values = tf.maximum(values, 0) + layer.slope.astype(np.float32) * tf.minimum(values, 0)
    return values if layer.added is None else values + made[layer.added]


def _run(layers: list[Layer], images: np.ndarray, observe) -> None:
    made = {PICTURE: tf.constant(images)}
    for layer in layers:
        before = _convolve(layer, made[layer.source], layer.weights)
        made[layer.index] = _finish(layer, before, made)
        observe(layer, before, made[layer.index])
        _forget(layers, layer.index, made)


def _forget(layers: list[Layer], done: int, *made: dict) -> None:
    """Drops the outputs that no later layer reads: they are hundreds of megabytes."""
    later = [layer for layer in layers if layer.index > done]
    needed = {done} | {layer.source for layer in later} | {layer.added for layer in later}
    for values in made:
        for index in set(values) - needed:
            del values[index]
