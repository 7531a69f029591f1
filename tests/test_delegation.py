"""The networks run in XNNPACK. Where a network is not taken over, it still answers, many times slower and without a word."""

import os
import re

import faces
from daemon import run

NODES = re.compile(r"Replacing (\d+) out of (\d+) node\(s\) with delegate \(TfLiteXNNPackDelegate\)")


def test_every_node_of_every_network_runs_in_xnnpack():
    """The runtime's own report, asked for by RECOCOMP_RUNTIME_LOG, one line a network."""
    image = faces.FOLDER / "obama.jpg"
    environment = {**os.environ, "RECOCOMP_RUNTIME_LOG": "verbose"}
    done = run("bench", "pipeline", "--image", image, "--runs", 1, "--json", env=environment)
    assert done.returncode == 0, done.stderr
    reports = [(int(taken), int(all_nodes)) for taken, all_nodes in NODES.findall(done.stderr + done.stdout)]
    assert len(reports) == 4, done.stderr
    assert all(taken == all_nodes > 90 for taken, all_nodes in reports), reports
