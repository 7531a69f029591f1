"""Makes every model of models.toml from the pinned packages and compares the files with its checksums."""

import argparse
import hashlib
import shutil
import sys
import tomllib
from pathlib import Path

import embedder
import landmarks
import liveness
import sources
from calibration_set import calibration_faces, calibration_paths, calibration_squares, digest, face_paths
from runtime_operators import require_known
from verification import FaceAligner

MODELS = Path(__file__).resolve().parent.parent
TABLE = MODELS / "models.toml"


def make_detector(packages: Path, lfw: Path, wider: Path) -> bytes:
    # Imported here because loading TensorFlow takes seconds and only quantization needs it.
    import detector

    paths = calibration_paths(lfw, wider)
    squares = calibration_squares(paths, detector.SIDE)
    print(f"calibration: {len(squares)} views of {len(paths)} pictures, SHA-256 {digest(paths)}", flush=True)
    return detector.build(sources.fetch(sources.DETECTOR, packages), squares)


def make_embedder(packages: Path, lfw: Path, aligner: FaceAligner) -> bytes:
    import embedder_int8

    paths = face_paths(lfw)
    faces = calibration_faces(paths, aligner)
    print(f"calibration: {len(faces)} faces of {len(paths)} pictures, SHA-256 {digest(paths)}", flush=True)
    return embedder_int8.build(sources.fetch(sources.EMBEDDER, packages), faces)


def make_all(options) -> dict[str, bytes]:
    original = sources.fetch(sources.EMBEDDER, options.packages)
    made = {
        "landmarks.tflite": landmarks.build(sources.fetch(sources.LANDMARKS, options.packages)),
        "mobilefacenet-f16.tflite": embedder.build(original),
        "mobilefacenet-f32.tflite": embedder.fuse(original),
        "liveness.tflite": liveness.build(sources.fetch(sources.LIVENESS, options.packages)),
    }
    if options.lfw and options.wider:
        made["detector.tflite"] = make_detector(options.packages, options.lfw, options.wider)
        # The shipped embedder was made with landmarks stored as f16. Those in f32 align faces a little differently,
        # which changes ranges and biases, and so the checksum.
        half = landmarks.build_half(sources.fetch(sources.LANDMARKS, options.packages))
        aligner = FaceAligner(made["detector.tflite"], half)
        made["mobilefacenet-int8.tflite"] = make_embedder(options.packages, options.lfw, aligner)
    else:
        print("detector.tflite and mobilefacenet-int8.tflite: left out, their calibration needs --lfw and --wider")
    return made


def install(made: dict[str, bytes], out: Path, entries: list[dict]) -> None:
    """Puts the files that lie beside models.toml there, and all checksums into it."""
    text = TABLE.read_text()
    for entry in entries:
        if entry["file"] not in made:
            continue
        checksum = hashlib.sha256(made[entry["file"]]).hexdigest()
        text = text.replace(f'sha256 = "{entry["sha256"]}"', f'sha256 = "{checksum}"')
        if (MODELS / entry["file"]).exists():
            shutil.copyfile(out / entry["file"], MODELS / entry["file"])
    TABLE.write_text(text)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packages", type=Path, required=True, help="folder that keeps the fetched packages")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--lfw", type=Path, help="LFW development set: images/ and pairs.csv")
    parser.add_argument("--wider", type=Path, help="WIDER development set: images/ and boxes.csv")
    parser.add_argument("--install", action="store_true", help="put the files and checksums beside models.toml")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    entries = tomllib.loads(TABLE.read_text())["model"]
    expected = {entry["file"]: entry["sha256"] for entry in entries}
    made, differing = make_all(options), 0
    for name, data in sorted(made.items()):
        require_known(data)
        (options.out / name).write_bytes(data)
        checksum = hashlib.sha256(data).hexdigest()
        equal = checksum == expected[name]
        differing += not equal
        verdict = "as in models.toml" if equal else "NOT as in models.toml"
        print(f"{name}: {len(data)} bytes, SHA-256 {checksum}, {verdict}")
    if options.install:
        install(made, options.out, entries)
        return 0
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
