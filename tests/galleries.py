"""Data folders of stopped daemons: filling, damaging and reading them by the command line."""

import hashlib
import json
import resource
import shutil
import subprocess
import time
from pathlib import Path

from daemon import binary, run
from faces import ASTRONAUT, BIDEN, OBAMA, OBAMA_2, OBAMA_3, portrait

SAMPLES = Path(__file__).resolve().parent / "data"
PASSPHRASE = "five words are long enough"

# Who is in the collections of `fill`, one picture a feature.
PEOPLE = {
    "staff": {"obama": [OBAMA, OBAMA_2, OBAMA_3], "biden": [BIDEN], "Zoë": [ASTRONAUT]},
    "visitors": {"biden": [BIDEN], "eileen": [ASTRONAUT]},
    "night_shift": {"obama": [OBAMA_2]},
}


def fill(daemon) -> None:
    for collection, people in PEOPLE.items():
        assert daemon.ask("/create/collection", collection_name=collection)["err_code"] == 0
        faces = [(who, portrait(name)) for who, names in people.items() for name in names]
        assert daemon.insert(collection, *faces)["success_num"] == len(faces)


def numbers(collection: str) -> dict[str, int]:
    """Features by target_id."""
    return {who: len(names) for who, names in PEOPLE[collection].items()}


def copy(data: Path, to: Path) -> Path:
    return Path(shutil.copytree(data, to))


def sample(name: str, to: Path) -> Path:
    """A data folder with a frozen gallery of an earlier release."""
    shutil.copytree(SAMPLES / name, to / "gallery")
    return to


def fingerprint(folder: Path) -> dict[str, str]:
    """Every file and what is in it."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def show(data: Path, name: str) -> dict:
    """A collection by `recocomp collection show`, with `everyone` as features by target_id."""
    ended = run("collection", "show", name, "--people", "--json", "--data", data)
    assert ended.returncode == 0, ended.stderr
    shown = json.loads(ended.stdout)
    shown["everyone"] = {row["target_id"]: row["features"] for row in shown["everyone"]}
    return shown


def names(data: Path) -> list[str]:
    ended = run("collection", "list", "--json", "--data", data)
    assert ended.returncode == 0, ended.stderr
    return [collection["name"] for collection in json.loads(ended.stdout)["collections"]]


def flip(path: Path, at: int, bit: int = 0) -> None:
    """One bit of a file; a negative place counts from the end."""
    bytes_ = bytearray(path.read_bytes())
    bytes_[at] ^= 1 << bit
    path.write_bytes(bytes_)


def crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def seal_on_another_device(data: Path) -> None:
    """SALT as another device would have made it: whole, but its check value is of another key."""
    path = data / "gallery" / "SALT"
    flip(path, 44)
    body = path.read_bytes()[:60]
    path.write_bytes(body + crc32c(body).to_bytes(4, "little"))


def at_most(size: int):
    """For preexec_fn: the kernel kills the process when it writes beyond `size` bytes of a file."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def assert_refused(ended, *words: str, code: int = 1) -> None:
    """A sentence on stderr with these words, and the exit code of a failure."""
    assert ended.returncode == code, (ended.returncode, ended.stdout, ended.stderr)
    assert ended.stderr.startswith("recocomp: ") and "panicked" not in ended.stderr
    for word in words:
        assert word in ended.stderr, f"{word!r} in {ended.stderr!r}"


def backup(file, lock, data, *more, **options):
    ended = run("backup", file, *lock, "--data", data, *more, **options)
    assert ended.returncode == 0, ended.stderr
    return ended


def restore(file, key, data, *more):
    ended = run("restore", file, *key, "--data", data, *more)
    assert ended.returncode == 0, ended.stderr
    return ended


def assert_everyone(data, collections=tuple(PEOPLE)):
    assert sorted(names(data)) == sorted(collections)
    for name in collections:
        assert show(data, name)["everyone"] == numbers(name)


def kill_after(seconds: float, *arguments) -> None:
    process = subprocess.Popen(
        [*binary(), *map(str, arguments)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
    )
    time.sleep(seconds)
    process.kill()
    process.wait()
