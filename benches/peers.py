"""recocomp, faiss and usearch searching the same vectors in turns: python peers.py RECOCOMP [--people N] [--rounds N]

All three find the ten nearest of all vectors, exactly, with one thread, one probe at a time. recocomp keeps int8 and f16, answers with
people rather than vectors, and reads its files mapped; faiss keeps f32 (IndexFlatIP); usearch gets int8 (exact search, without an
index). Each round gives all of them the same probes, in another order each time, so that whatever else the machine does meets all
alike.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import tempfile
import time
from importlib.metadata import version

# Before the libraries start their threads.
os.environ["OMP_NUM_THREADS"] = "1"

import faiss
import numpy as np
from usearch.index import MetricKind, search

DIMENSIONS = 192
FEATURES = 5
TOP_K = 10


class Recocomp:
    name = "recocomp int8 + f16"

    def __init__(self, binary, folder, people, probes):
        arguments = ["bench", "search", "--in-turns", folder, "--people", people, "--features", FEATURES, "--probes", probes]
        self.process = subprocess.Popen(
            [binary, *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.kernel = json.loads(self.process.stdout.readline())["kernel"]
        self.version = subprocess.run([binary, "version"], capture_output=True, text=True).stdout.split("\n")[0]

    def round(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        return answer["ms"], [people[0] for people in answer["people"]]

    def end(self):
        self.process.stdin.close()
        self.process.wait()


class Library:
    def __init__(self, probes):
        self.probes = probes

    def round(self):
        times, first = [], []
        for number in range(len(self.probes)):
            probe = self.probes[number : number + 1]
            start = time.perf_counter()
            nearest = self.search(probe)
            times.append((time.perf_counter() - start) * 1e3)
            first.append(int(nearest) // FEATURES)
        return times, first

    def end(self):
        pass


class Faiss(Library):
    name = "faiss IndexFlatIP f32"
    version = f"faiss-cpu {version('faiss-cpu')}"

    def __init__(self, features, probes):
        super().__init__(probes)
        faiss.omp_set_num_threads(1)
        self.index = faiss.IndexFlatIP(DIMENSIONS)
        self.index.add(features)

    def search(self, probe):
        return self.index.search(probe, TOP_K)[1][0][0]


class Usearch(Library):
    name = "usearch exact i8"
    version = f"usearch {version('usearch')}"

    def __init__(self, features, probes):
        super().__init__(as_int8(probes))
        self.features = as_int8(features)

    def search(self, probe):
        return search(self.features, probe, TOP_K, MetricKind.Cos, exact=True, threads=1).keys.flat[0]


def as_int8(vectors):
    """The whole range of int8 for each vector, as recocomp rounds them: less is lost than with one scale for all."""
    return np.clip(np.rint(vectors * (127 / np.abs(vectors).max(axis=1, keepdims=True))), -127, 127).astype(np.int8)


def cpu():
    with open("/proc/cpuinfo") as file:
        names = [line.split(":")[1].strip() for line in file if line.startswith(("model name", "Model"))]
    return names[0] if names else platform.machine()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("recocomp")
    parser.add_argument("--people", type=int, default=100_000, help=f"with {FEATURES} features each")
    parser.add_argument("--probes", type=int, default=20, help="of one round")
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="recocomp-peers-") as folder:
        recocomp = Recocomp(arguments.recocomp, folder, arguments.people, arguments.probes)
        features = np.fromfile(f"{folder}/features.f32", np.float32).reshape(-1, DIMENSIONS)
        probes = np.fromfile(f"{folder}/probes.f32", np.float32).reshape(-1, DIMENSIONS)
    programs = [recocomp, Faiss(features, probes), Usearch(features, probes)]
    count = len(features)
    del features
    step = max(1, arguments.people // arguments.probes)
    right = [number * step % arguments.people for number in range(arguments.probes)]
    times = {program.name: [] for program in programs}
    hits = dict.fromkeys(times, 0)
    for program in programs:
        program.round()
    for number in range(arguments.rounds):
        turn = number % len(programs)
        for program in programs[turn:] + programs[:turn]:
            spent, first = program.round()
            times[program.name].append(spent)
            hits[program.name] += sum(a == b for a, b in zip(first, right))
    for program in programs:
        program.end()

    medians = {name: statistics.median(sum(rounds, [])) for name, rounds in times.items()}
    ours = medians[recocomp.name]
    print(f"{cpu()}; kernel {recocomp.kernel}; " + ", ".join(program.version for program in programs))
    print(
        f"{count} vectors of {DIMENSIONS}, top {TOP_K}, one thread; "
        f"{arguments.rounds} rounds in turns of {arguments.probes} probes"
    )
    print(f"{'':<24} {'median ms':>10} {'best ms':>10} {'x recocomp':>11} {'by rounds':>13} {'person first':>13}")
    for name, rounds in times.items():
        ratios = [statistics.median(theirs) / statistics.median(mine) for theirs, mine in zip(rounds, times[recocomp.name])]
        share = hits[name] / arguments.rounds / arguments.probes
        print(
            f"{name:<24} {medians[name]:>10.3f} {min(map(min, rounds)):>10.3f} {medians[name] / ours:>11.2f} "
            f"{min(ratios):>6.2f}-{max(ratios):<6.2f} {share:>13.3f}"
        )


if __name__ == "__main__":
    main()
