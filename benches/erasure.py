"""erasure.py [PROGRAM...]: what a client that deletes people one after the other makes the daemon write.

    python benches/erasure.py target/x86_64-unknown-linux-gnu/release/recocomp [ANOTHER...]

Enrols PEOPLE people, deletes DELETIONS of them spread over SECONDS seconds, and reads /proc/PID/io before, at the end of the series,
and after another minute and a half, when everything has been erased. The data lies on the file system of --folder.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from daemon import Daemon, run  # noqa: E402
from faces import OBAMA, base64_of, head_and_shoulders  # noqa: E402

BATCH = 250


def written(daemon: Daemon) -> dict[str, int]:
    """Bytes that the process has handed to write calls, and that went on their way to the medium."""
    lines = Path(f"/proc/{daemon.process.pid}/io").read_text().splitlines()
    numbers = dict(line.split(": ") for line in lines)
    return {key: int(numbers[key]) for key in ("wchar", "write_bytes")}


def measure(program: str, arguments) -> None:
    os.environ["RECOCOMP_BIN"] = program
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        daemon = Daemon(Path(folder)).start()
        try:
            fill(daemon, arguments.people)
            before = written(daemon)
            took = delete(daemon, arguments.deletions, arguments.seconds)
            series = written(daemon)
            time.sleep(arguments.after)
            rest = written(daemon)
        finally:
            daemon.stop(60)
    version = run("--version").stdout.strip()
    print(f"{program} ({version}), {arguments.people} people, {arguments.deletions} deletions in {took:.1f} s:")
    for key in before:
        now, later = series[key] - before[key], rest[key] - before[key]
        print(f"  {key:<12} {now / 1e6:9.2f} MB in the series, {later / 1e6:9.2f} MB {arguments.after} s later")


def fill(daemon: Daemon, people: int) -> None:
    assert daemon.ask("/create/collection", collection_name="staff")["err_code"] == 0
    picture = base64_of(head_and_shoulders(OBAMA, 160))
    for first in range(0, people, BATCH):
        batch = [(f"person-{number}", picture) for number in range(first, min(people, first + BATCH))]
        assert daemon.insert("staff", *batch)["success_num"] == len(batch)


def delete(daemon: Daemon, deletions: int, seconds: float) -> float:
    began = time.monotonic()
    for number in range(deletions):
        wait = began + number * seconds / deletions - time.monotonic()
        time.sleep(max(0, wait))
        assert daemon.ask("/delete/id", collection_name="staff", target_id=f"person-{number}")["err_code"] == 0
    return time.monotonic() - began


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("programs", nargs="+")
    parser.add_argument("--people", type=int, default=2000)
    parser.add_argument("--deletions", type=int, default=259)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--after", type=float, default=90)
    parser.add_argument("--folder")
    chosen = parser.parse_args()
    for one in chosen.programs:
        measure(one, chosen)
