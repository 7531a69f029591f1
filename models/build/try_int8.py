"""Tries other ways to make the embedder 8-bit, and prints the two tables of models/embedder.md that compare them.

No part of a build: run by hand when the recipe of embedder_int8.py is to be changed. Ranges, scales and biases come
from a part of the faces that set them for the shipped file. Which layers stay f32 is decided by other pictures of LFW
development rows 1-600; what a variant costs is told by rows 601 and later, of which no picture is among the former.
"""

import argparse
import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

import sources
from calibration_set import FITTED_ROWS, calibration_faces, face_paths, pairs, pictures_of, spread
from embedder import fuse
from embedder_int8 import MEAN, SCALE, runs_in_int8
from graph import Graph
from half_weights import store_filters_as_half
from int8_graph import write
from interpreter import Model
from layers import Layer, merge_linear_tail, read, tame_slopes
from letterbox import read_rgb
from quantize import RANGE_SAMPLES, Quantized, Range, best_range, equalize, peaks_of, quantize
from verification import FaceAligner, aligner_of, rates, unit

SENSITIVITY_PICTURES = 50
TIMED_ROUNDS = 60
IMPOSTOR_RATE = 1e-4


def whole_range(values: np.ndarray) -> Range:
    return Range.between(float(values.min()), float(values.max()))


def range_of_percentiles(values: np.ndarray) -> Range:
    """Without the lowest and the highest value of 10,000."""
    chosen = np.random.default_rng(0).integers(0, len(values), min(len(values), RANGE_SAMPLES))
    return Range.between(*(float(end) for end in np.percentile(values[chosen], [0.01, 99.99])))


def peaks_without_a_thousandth(values: np.ndarray) -> np.ndarray:
    return np.percentile(np.abs(values), 99.9, axis=0)


def maxima(values: np.ndarray) -> np.ndarray:
    return np.abs(values).max(axis=0)


def peaks_and_power(values: np.ndarray) -> np.ndarray:
    """The geometric mean of peak and root mean square."""
    return np.sqrt(peaks_of(values) * np.sqrt((values**2).mean(axis=0)))


def all_but_the_last_two(layer: Layer, layers: list[Layer]) -> bool:
    return layer.index not in (layers[-2].index, layers[-1].index)


def all_but_depthwise(layer: Layer, layers: list[Layer]) -> bool:
    return not layer.depthwise and layer is not layers[-1]


def shipped_and_the_7x7_depthwise(layer: Layer, layers: list[Layer]) -> bool:
    return runs_in_int8(layer, layers) or layer is layers[-2]


def shipped_above_7x7(layer: Layer, layers: list[Layer]) -> bool:
    return runs_in_int8(layer, layers) and layer.shape[1] > 7


def shipped_above_7x7_but_one(layer: Layer, layers: list[Layer]) -> bool:
    return shipped_above_7x7(layer, layers) and layer is not _expansion_at_14x14(layers)


def _expansion_at_14x14(layers: list[Layer]) -> Layer:
    """To 512 channels, which the next layer brings to 7x7."""
    return next(layer for layer in layers if layer.shape[1:] == (14, 14, 512))


@dataclass(frozen=True)
class Variant:
    name: str
    in_8_bits: Callable[[Layer, list[Layer]], bool] = runs_in_int8
    slopes_tamed: bool = True
    reach: Callable[[np.ndarray], np.ndarray] | None = peaks_of  # by which channels are equalized; None: not at all
    choose_range: Callable[[np.ndarray], Range] = best_range
    biases_corrected: bool = True


PLAIN = Variant("", all_but_the_last_two, slopes_tamed=False, reach=None, biases_corrected=False)
ALL_BUT_DEPTHWISE = Variant("+ depthwise convolutions in f32", all_but_depthwise)
VARIANTS = [
    replace(PLAIN, name="all but the last two layers int8, ranges from minimum to maximum", choose_range=whole_range),
    replace(PLAIN, name="the same, ranges of percentiles 0.01 to 99.99", choose_range=range_of_percentiles),
    replace(PLAIN, name="the same, ranges of least squared error"),
    replace(PLAIN, name="+ slopes within -1..1", slopes_tamed=True),
    replace(PLAIN, name="+ channels equalized", slopes_tamed=True, reach=peaks_of),
    Variant("+ biases corrected", all_but_the_last_two),
    ALL_BUT_DEPTHWISE,
    Variant("+ first convolution and last expansion in f32: the recipe"),
    Variant("recipe, biases not corrected", biases_corrected=False),
    Variant("recipe, slopes as they are", slopes_tamed=False),
    Variant("recipe, channels not equalized", reach=None),
    Variant("recipe, channels equalized by 99.9 % of their values", reach=peaks_without_a_thousandth),
    Variant("recipe, channels equalized by their maximum", reach=maxima),
    Variant("recipe, channels equalized by the geometric mean of peak and RMS", reach=peaks_and_power),
    Variant("recipe, ranges from minimum to maximum", choose_range=whole_range),
    Variant("recipe, ranges of percentiles 0.01 to 99.99", choose_range=range_of_percentiles),
    Variant("recipe, 7x7 depthwise convolution in int8", shipped_and_the_7x7_depthwise),
    Variant("recipe, everything at 7x7 in f32", shipped_above_7x7),
    Variant("recipe, everything at 7x7 and the expansion before it in f32", shipped_above_7x7_but_one),
]


class Workshop:
    """Makes variants from the f32 file and the faces that set ranges."""

    def __init__(self, fused: bytes, faces: list[np.ndarray]):
        self._fused = fused
        self._images = np.stack([_pixels(face) for face in faces])
        self._equalized: dict[tuple, list[Layer]] = {}

    def quantized(self, variant: Variant) -> tuple[list[Layer], dict[int, Quantized]]:
        layers, chosen = self._prepared(variant)
        return layers, quantize(layers, chosen, self._images, variant.choose_range, variant.biases_corrected)

    def file(self, layers: list[Layer], numbers: dict[int, Quantized]) -> bytes:
        graph = Graph(self._fused)
        write(graph, layers, numbers)
        store_filters_as_half(graph)
        return graph.serialize("variant", "image", ["embedding"])

    def _prepared(self, variant: Variant) -> tuple[list[Layer], set[int]]:
        """Layers before quantization, which several variants share, and which of them are to be quantized."""
        layers = read(Graph(self._fused))
        merge_linear_tail(layers)
        chosen = {layer.index for layer in layers if variant.in_8_bits(layer, layers)}
        key = variant.slopes_tamed, variant.reach, frozenset(chosen)
        if key not in self._equalized:
            if variant.slopes_tamed:
                tame_slopes(layers)
            if variant.reach is not None:
                equalize(layers, chosen, self._images, variant.reach)
            self._equalized[key] = layers
        return copy.deepcopy(self._equalized[key]), chosen


class Report:
    """What a model does to the faces of some pairs, beside the f32 model."""

    def __init__(self, fused: bytes, rows: list[dict], lfw: Path, aligner: FaceAligner):
        found = {name: aligner(read_rgb(lfw / name)) for name in pictures_of(rows)}
        self._faces = {name: face.enrolment for name, face in found.items() if face is not None}
        self._rows = rows
        self._timed = Model(fused)
        self._exact = self._embeddings(self._timed)

    def line(self, name: str, data: bytes) -> str:
        model = Model(data)
        embeddings = self._embeddings(model)
        cosine = np.concatenate(
            [(_unit_rows(embeddings[face]) * _unit_rows(self._exact[face])).sum(axis=1) for face in embeddings]
        )
        return (
            f"| {name} | {np.median(cosine):.4f} | {np.percentile(cosine, 1):.4f} | {cosine.min():.3f}"
            f" | {self._verification(embeddings)} | {self._time(model):.2f} |"
        )

    def exact_line(self) -> str:
        return f"| f32 | 1 | 1 | 1 | {self._verification(self._exact)} | 1 |"

    def _embeddings(self, model: Model) -> dict[str, np.ndarray]:
        """Of the face and of its mirror image, which the product adds up for both sides of a comparison."""
        return {
            name: np.stack([model(view)[0][0] for view in (_pixels(face), _pixels(face[:, ::-1]))])
            for name, face in self._faces.items()
        }

    def _verification(self, embeddings: dict[str, np.ndarray]) -> str:
        templates = {name: unit(views.sum(axis=0)) for name, views in embeddings.items()}
        ends = [(templates.get(row["path1"]), templates.get(row["path2"])) for row in self._rows]
        cosine = np.array([-1.0 if a is None or b is None else float(a @ b) for a, b in ends])
        same = np.array([row["same"] == "1" for row in self._rows])
        accepted = (cosine[same] > _impostor_cosine(templates)).mean()
        return f"{100 * rates(cosine, same)['accuracy']:.2f} % | {100 * accepted:.2f} %"

    def _time(self, model: Model) -> float:
        """Processor time relative to f32, by turns, so that both see the same load of the machine."""
        image, taken = _pixels(next(iter(self._faces.values()))), ([], [])
        for _ in range(TIMED_ROUNDS):
            for candidate, times in zip((self._timed, model), taken, strict=True):
                start = time.thread_time()
                candidate(image)
                times.append(time.thread_time() - start)
        exact, rough = (float(np.median(times)) for times in taken)
        return rough / exact


def sensitivity(workshop: Workshop, fused: bytes, faces: list[np.ndarray]) -> list[tuple[str, float]]:
    """(what is left in f32, mean of 1 - cosine in 10,000ths), ranges and biases as they are."""
    layers, numbers = workshop.quantized(ALL_BUT_DEPTHWISE)
    exact = _views(Model(fused), faces)

    def loss(unrounded: set[int]) -> float:
        kept = {index: value for index, value in numbers.items() if index not in unrounded}
        return 1e4 * float(1 - (_views(Model(workshop.file(layers, kept)), faces) * exact).sum(axis=1).mean())

    first, expansion, last_expansion = layers[0].index, _expansion_at_14x14(layers).index, layers[-3].index
    small = {layer.index for layer in layers if layer.shape[1] <= 7}
    large = {layer.index for layer in layers if layer.shape[1] >= 28}
    groups = {
        "first convolution and last expansion": {first, last_expansion},
        "first convolution and both expansions to 512": {first, expansion, last_expansion},
        "first convolution and everything at 7x7": {first} | small,
        "first convolution, expansion at 14x14, everything at 7x7": {first, expansion} | small,
        "everything from the picture to 28x28": large,
    }
    single = {_name(layer): {layer.index} for layer in layers if layer.index in numbers}
    return [(name, loss(unrounded)) for name, unrounded in ({"none": set()} | single | groups).items()]


def _name(layer: Layer) -> str:
    height, width, inputs, outputs = layer.weights.shape
    return f"{layer.index}: {height}x{width}, {inputs} to {outputs}, at {layer.shape[1]}x{layer.shape[2]}"


def _impostor_cosine(templates: dict[str, np.ndarray]) -> float:
    """What IMPOSTOR_RATE of all pairs of pictures of different people reach; the listed pairs are too few for that."""
    people = np.array([Path(name).stem.rpartition("_")[0] for name in templates])
    stacked = np.stack(list(templates.values()))
    impostors = np.sort((stacked @ stacked.T)[np.triu(people[:, None] != people)])
    return float(impostors[-1 - int(IMPOSTOR_RATE * len(impostors))])


def _unit_rows(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def _views(model: Model, faces: list[np.ndarray]) -> np.ndarray:
    return _unit_rows(np.stack([model(_pixels(face))[0][0] for face in faces]))


def _pixels(face: np.ndarray) -> np.ndarray:
    return (face.astype(np.float32) - MEAN) / SCALE


def main() -> None:
    home = Path(__file__).resolve().parent.parent
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packages", type=Path, required=True, help="folder of the fetched packages")
    parser.add_argument("--models", type=Path, default=home, help="folder of the shipped models")
    parser.add_argument("--lfw", type=Path, required=True)
    parser.add_argument("--every", type=int, default=4, help="of the rows after 600, score every n-th pair")
    parser.add_argument("--pictures", type=int, default=32, help="of those that set the shipped ranges, use so many")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    aligner, rows = aligner_of(options.models), pairs(options.lfw)
    fused = fuse(sources.fetch(sources.EMBEDDER, options.packages))
    shipped = face_paths(options.lfw)
    ranges = calibration_faces(spread(shipped, options.pictures), aligner)
    workshop = Workshop(fused, ranges)

    others = [path for name in pictures_of(rows[:FITTED_ROWS]) if (path := options.lfw / name) not in set(shipped)]
    faces = [aligner(read_rgb(path)) for path in spread(others, SENSITIVITY_PICTURES)]
    faces = [face.enrolment for face in faces if face is not None]
    print(f"ranges from {len(ranges)} faces; {len(faces)} other faces of rows 1-{FITTED_ROWS}:\n")
    print("| unrounded | 1 - cosine, in 10,000ths |\n|---|---|")
    for name, loss in sensitivity(workshop, fused, faces):
        print(f"| {name} | {loss:.1f} |", flush=True)

    scored = rows[FITTED_ROWS :: options.every]
    report = Report(fused, scored, options.lfw, aligner)
    print(f"\n{len(scored)} pairs of rows {FITTED_ROWS + 1} and later, {len(pictures_of(scored))} pictures:\n")
    print("| | median | 1st percentile | least | accuracy | TAR at FAR 0.01 % | time |\n|---|---|---|---|---|---|---|")
    print(report.exact_line(), flush=True)
    for variant in VARIANTS:
        print(report.line(variant.name, workshop.file(*workshop.quantized(variant))), flush=True)
    print(report.line("the shipped file", (options.models / "mobilefacenet-int8.tflite").read_bytes()))


if __name__ == "__main__":
    main()
